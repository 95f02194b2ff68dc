"""Labels that a panel of language models gives rows, a vote at a time: how far do they agree?

A stand-in for annotators where there are none, and called that wherever it is shown: models that learnt from the same
texts agree for other reasons than people do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unflaw._errors import SchemaError, SettingsError
from unflaw.data import ANNOTATIONS, ANNOTATORS, Rows
from unflaw.generate._answers import AnswerError, read_object
from unflaw.generate._ask import STRIDE, Progress
from unflaw.generate._task import TextTask
from unflaw.models import Generator, Prompt, Sampling, call
from unflaw.train import label_names, problems_of_texts, texts_of

__all__ = ["Votes", "problems_of_votes", "vote"]


@dataclass(frozen=True)
class Votes:
    """Labels that models gave rows."""

    ids: list[str]
    annotations: list[list[str]]
    """Of each row, those that could be read."""
    annotators: list[str]
    """Names of the models."""
    unreadable: list[tuple[int, str, str]]
    """(place of the row, model, answer) of each vote that named no label after all retries."""

    @property
    def unread(self) -> int:
        """Votes that named no label."""
        return len(self.unreadable)

    def on(self, rows: Rows) -> Rows:
        """Return the rows these are of, with the columns `annotations` and `unflaw.annotators`."""
        return rows.with_columns_of(
            self.ids, {ANNOTATIONS: self.annotations, ANNOTATORS: [self.annotators] * len(self.ids)}
        )


def vote(
    rows: Rows,
    task: TextTask,
    panel: Mapping[str, Generator],
    *,
    votes: int = 3,
    temperature: float = 1.0,
    max_retries: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Votes:
    """Have each model of a panel say `votes` times which label of the task each row has.

    Labels stand in another order from vote to vote, since small models favour one place over the others.

    Parameters
    ----------
    panel : name → model. One model that votes several times shows how sure it is, several how far they agree.
    temperature : of the votes; at 0 those of one model differ only by where it finds the label.
    max_retries : how often an answer that names no label is asked again.
    progress : called with (votes read so far, votes wanted, answers that named no label), as answers arrive.

    Raises
    ------
    SettingsError
        No model, too few votes to agree or not, or rows without a text or with labels that the task has not.
    """
    problems = problems_of_votes(rows, task)
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
    said = [t if isinstance(t, str) else " → ".join(t) for t in texts_of(rows)]
    given: list[list[str]] = [[] for _ in said]
    unreadable: list[tuple[int, str, str]] = []
    total, n_read, n_unread = len(said) * votes * len(panel), 0, 0

    def tell(read: bool) -> None:
        nonlocal n_read, n_unread
        n_read, n_unread = n_read + read, n_unread + (not read)
        if progress is not None:
            progress(n_read, total, n_unread)

    for name, generator in panel.items():
        for k in range(votes):
            drawn = replace(sampling, seed=seed + k * (max_retries + 1) * STRIDE)
            prompts = [_prompt(task, text, first=i + k) for i, text in enumerate(said)]
            left = _cast(generator, prompts, drawn, labels, max_retries, given, tell)
            unreadable += [(at, name, answer) for at, answer in left.items()]
    return Votes(rows.ids, given, list(panel), unreadable)


def _cast(
    generator: Generator, prompts: Sequence[Prompt], sampling: Sampling, labels: Sequence[str], max_retries: int,
    given: Sequence[list[str]], tell: Callable[[bool], None],
) -> dict[int, str]:  # fmt: skip
    """Add one vote of a model to each row, asking again where it names no label; return what could not be read.

    `tell` hears of every answer whether it named one.
    """
    left, said = list(range(len(prompts))), dict[int, str]()

    def arrived(_: int, answer: str) -> None:
        tell(_read(answer, labels) is not None)

    for attempt in range(max_retries + 1):
        seeds = [(sampling.seed + i + attempt * STRIDE) % 2**31 for i in left]
        answers = call(generator, [prompts[i] for i in left], sampling, seeds=seeds, on_result=arrived)
        said = dict(zip(left, answers, strict=True))
        told = [_read(answer, labels) for answer in said.values()]
        for i, label in zip(left, told, strict=True):
            given[i].extend([] if label is None else [label])
        left = [i for i, label in zip(left, told, strict=True) if label is None]
        if not left:
            break
    return {i: said[i] for i in left}


def problems_of_votes(rows: Rows, task: TextTask) -> list[str]:
    """Say what is wrong with rows that are to be voted on."""
    try:
        texts = texts_of(rows)
    except SchemaError as error:
        return [f"`rows`: {error}"]
    if not texts:
        return ["`rows` must hold rows, got none"]
    problems = problems_of_texts(rows, "rows", texts)
    if rows.has("label") and (strange := [of for of in label_names(rows) if of not in task.labels]):
        problems.append(
            f"`rows` have labels that are none of the task's, {', '.join(task.labels)}: {', '.join(strange[:3])}; name "
            "them alike, or the votes stand beside other labels"
        )
    if ANNOTATIONS in rows.table.column_names and ANNOTATORS not in rows.table.column_names:
        problems.append(
            f"`rows` have a column `{ANNOTATIONS}` already, which votes of models would replace; rename it first"
        )
    return problems


def _prompt(task: TextTask, said: str, first: int) -> Prompt:
    """Ask for the label of a text; of the labels, in their turns, this one comes first."""
    turns = list(task.labels.items())
    turns = turns[first % len(turns) :] + turns[: first % len(turns)]
    options = "\n".join(f"- {label}: {meaning}" if meaning else f"- {label}" for label, meaning in turns)
    asked = f"Text, {task.task}: {json.dumps(said, ensure_ascii=False)}\n\nWhich label fits it best?\n{options}\n\n"
    return [
        {"role": "system", "content": "You label texts."},
        {"role": "user", "content": f'{asked}Answer as JSON: {{"label": "…"}}.'},
    ]


def _read(answer: str, labels: Sequence[str]) -> str | None:
    """Return the label that an answer names, or else the one that differs by its case; None where there is none."""
    try:
        named: Any = json.loads(answer)["label"]
    except (ValueError, KeyError, TypeError):
        try:
            named = read_object(answer, ("label",))["label"]
        except AnswerError:
            return None
    said = str(named).strip()
    return said if said in labels else next((v for v in labels if v.casefold() == said.casefold()), None)
