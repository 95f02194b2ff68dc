"""Labels that a panel of language models gives rows, a vote at a time: how far do they agree?

A stand-in for annotators where there are none, and called that wherever it is shown: models that learnt from the same
texts agree for other reasons than people do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.generate._answers import AnswerError, read_object
from unflaw.generate._ask import STRIDE
from unflaw.generate._task import TextTask
from unflaw.models import Generator, Prompt, Sampling, call
from unflaw.train import texts_of

__all__ = ["ANNOTATIONS", "ANNOTATORS", "Votes", "vote"]

ANNOTATIONS, ANNOTATORS = "annotations", "unflaw.annotators"
"""Columns of the labels a row was given, and of who gave them; `unflaw audit` reads both."""


@dataclass(frozen=True)
class Votes:
    """Labels that models gave rows."""

    ids: list[str]
    annotations: list[list[str]]
    """Of each row, those that could be read."""
    annotators: list[str]
    """Names of the models."""
    unread: int
    """Votes that named no label, after all retries."""

    def on(self, rows: Rows) -> Rows:
        """Return the rows these are of, with the columns `annotations` and `unflaw.annotators`."""
        at = {i: k for k, i in enumerate(self.ids)}
        given = [self.annotations[at[i]] for i in rows.ids]
        return rows.with_column(ANNOTATIONS, given).with_column(ANNOTATORS, [self.annotators] * len(rows))


def vote(
    rows: Rows,
    task: TextTask,
    panel: Mapping[str, Generator],
    *,
    votes: int = 3,
    temperature: float = 1.0,
    max_retries: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Votes:
    """Have each model of a panel say `votes` times which label of the task each row has.

    Parameters
    ----------
    panel : name → model. One model that votes several times shows how sure it is, several how far they agree.
    temperature : of the votes; at 0 those of one model are all the same.
    max_retries : how often an answer that names no label is asked again.

    Raises
    ------
    SettingsError
        No model, or too few votes to agree or not.
    """
    problems = []
    if not panel:
        problems.append("`panel` must hold at least one model, got none")
    if votes < 1 or votes * len(panel) < 2:
        problems.append(f"`votes` must give each row two labels at least, got {votes} of {len(panel)} models")
    if problems:
        raise SettingsError(problems)
    labels = list(task.labels)
    schema = {
        "type": "object", "properties": {"label": {"type": "string", "enum": labels}}, "required": ["label"],
        "additionalProperties": False,
    }  # fmt: skip
    sampling = Sampling(max_tokens=40, temperature=temperature, seed=seed, json_schema=schema)
    prompts = [_prompt(task, " → ".join(t) if not isinstance(t, str) else t) for t in texts_of(rows)]
    given: list[list[str]] = [[] for _ in prompts]
    unread, done, total = 0, 0, len(prompts) * votes * len(panel)
    for generator in panel.values():
        for k in range(votes):
            drawn = replace(sampling, seed=seed + k * (max_retries + 1) * STRIDE)
            unread += _cast(generator, prompts, drawn, labels, max_retries, given)
            done += len(prompts)
            if progress is not None:
                progress(done, total)
    return Votes(rows.ids, given, list(panel), unread)


def _cast(
    generator: Generator, prompts: Sequence[Prompt], sampling: Sampling, labels: Sequence[str], max_retries: int,
    given: Sequence[list[str]],
) -> int:  # fmt: skip
    """Add one vote of a model to each row, asking again where it names no label; return how many are missing."""
    left = list(range(len(prompts)))
    for attempt in range(max_retries + 1):
        seeds = [(sampling.seed + i + attempt * STRIDE) % 2**31 for i in left]
        told = [_read(a, labels) for a in call(generator, [prompts[i] for i in left], sampling, seeds=seeds)]
        for i, label in zip(left, told, strict=True):
            given[i].extend([] if label is None else [label])
        left = [i for i, label in zip(left, told, strict=True) if label is None]
        if not left:
            break
    return len(left)


def _prompt(task: TextTask, said: str) -> Prompt:
    options = "\n".join(f"- {label}: {meaning}" if meaning else f"- {label}" for label, meaning in task.labels.items())
    asked = f"Text, {task.task}: {json.dumps(said, ensure_ascii=False)}\n\nWhich label fits it best?\n{options}\n\n"
    return [
        {"role": "system", "content": "You label texts."},
        {"role": "user", "content": f'{asked}Answer as JSON: {{"label": "…"}}.'},
    ]


def _read(answer: str, labels: Sequence[str]) -> str | None:
    """Return the label that an answer names, whatever its case; None for none."""
    try:
        named: Any = read_object(answer, ("label",))["label"]
    except AnswerError:
        return None
    return next((label for label in labels if label.casefold() == named.casefold()), None)
