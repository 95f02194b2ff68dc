"""Labelled texts from nothing but a task, or from a few real examples (arXiv 2310.07849, with prompts of our own).

Zero-shot, a few texts of one label are written in one conversation: the first is asked for, each later one is to
differ from those before. Few-shot, every text is asked for by itself, after some real ones with their labels that it is
to take after without rewording them. Labels take turns, so that there are as many rows of each, to within one.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from unflaw._errors import SchemaError, SettingsError
from unflaw.data import Rows
from unflaw.generate._answers import AnswerError, n_words, normal, read_object, word_runs
from unflaw.generate._ask import STRIDE, Asked, Progress, ask, refuse_none, spent, usage_of
from unflaw.generate._generated import Generated
from unflaw.generate._task import TextTask
from unflaw.models import Generator, Prompt, Sampling

__all__ = ["text", "text_prompts"]

ECHO = 7
"""So many words in a row taken from the instructions, and the text is an echo."""
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s|$)|[。！？]+[」』”’）]*")
_CHARACTERS_A_WORD = 8
"""Room for a word in the decoder's limit on a text."""


def text(
    task: TextTask,
    generator: Generator,
    *,
    n: int,
    examples: Rows | None = None,
    shots: int = 0,
    turns: int = 4,
    max_copy: float = 0.7,
    seed: int = 0,
    max_retries: int = 5,
    temperature: float = 0.9,
    top_p: float = 0.95,
    model: str = "",
    progress: Progress | None = None,
) -> Generated:
    """Have a generator write `n` labelled texts, as many of each label, to within one.

    Parameters
    ----------
    task : see `read_task`.
    examples : real rows with `text` and `label`, for `shots` above 0.
    shots : examples shown before each text, drawn anew for each from all labels alike; 0 for zero-shot.
    turns : texts of one label in one conversation, zero-shot.
    max_copy : a text that shares more than this of its words, in order, with one of its shots (ROUGE-L, F1) is refused;
        1 keeps all but equal ones. `settings["near_copies"]` counts answers above .7 whatever it is.
    seed : row k is first drawn with seed + k. Same task, examples, settings and seed: same rows.
    max_retries : how often a row is asked again when its answer will not do.
    model : name written to each row; by default the generator's own.
    progress : called with (rows that will do so far, n, answers refused so far), as answers arrive.

    Returns
    -------
    Rows with `text`, `label` and where each came from: model, prompt, seed, attempt, ids of the shots, and likeness to
    the nearest of them; every refused answer with its reason.

    Raises
    ------
    SettingsError
        Settings, or examples, that break their rule: all at once.
    TooFewRowsError
        No answer would do.
    """
    plan = _plan(task, n, examples, shots, turns, max_copy, seed, max_retries)
    sampling = Sampling(
        max_tokens=3 * task.words[1] + 40, temperature=temperature, top_p=top_p, seed=seed, json_schema=plan.json_schema
    )
    before, asked = usage_of(generator), Asked()
    for rows in plan.rounds(n):
        plan.said = {k: fields["text"] for k, (_, fields) in asked.accepted.items()}
        ask(plan, generator, sampling, rows, asked, progress, n)
    refuse_none(asked, n)
    name = model or str(getattr(generator, "name", type(generator).__name__))
    records = [
        {
            "text": fields["text"], "label": plan.about(k), "unflaw.model": name, "unflaw.prompt_id": plan.prompt_id,
            "unflaw.seed": plan.row_seed(k, attempt), "unflaw.attempt": attempt,
            **(plan.shown(k, fields["text"]) if shots else {}),
        }
        for k, (attempt, fields) in sorted(asked.accepted.items())
    ]  # fmt: skip
    rows_made = Rows.from_records(
        records, {"text": "text", "label": "label"}, schema="text/label", source=f"text by {name}"
    )
    settings = {
        "method": "text", "n": n, "task": asdict(task), "shots": shots, "turns": plan.turns, "max_copy": max_copy,
        "seed": seed, "max_retries": max_retries, "model": name, "prompt_id": plan.prompt_id,
        "prompt": plan.wording, "sampling": asdict(sampling),
        "near_copies": plan.near_copies(asked), "answers": len(asked.accepted) + len(asked.rejected),
    }  # fmt: skip
    return Generated(rows_made, asked.rejected, n, spent(generator, before), settings)


def text_prompts(
    task: TextTask,
    *,
    n: int,
    examples: Rows | None = None,
    shots: int = 0,
    turns: int = 4,
    max_copy: float = 0.7,
    seed: int = 0,
    max_retries: int = 5,
    temperature: float = 0.9,
    top_p: float = 0.95,
) -> list[Prompt]:
    """Return the first prompts `text` would send, without sending them. Raises what it would."""
    plan = _plan(task, n, examples, shots, turns, max_copy, seed, max_retries)
    Sampling(temperature=temperature, top_p=top_p)
    return [plan.prompt(k, 0) for k in range(min(n, len(plan.labels)))]


@dataclass
class _Plan:
    """Which row asks what, and whether an answer will do."""

    task: TextTask
    ids: list[str]
    texts: list[str]
    """Of the examples, as `ids`."""
    told: list[str]
    """Their labels, as `ids`."""
    shots: int
    turns: int
    max_copy: float
    seed: int
    max_retries: int
    said: Mapping[int, str] = field(default_factory=dict)
    """Texts of the turns before."""
    drawn: dict[int, list[int]] = field(default_factory=dict)
    """Row → places of its shots."""

    @property
    def unique(self) -> str:
        """No two rows have one text."""
        return "text"

    @cached_property
    def labels(self) -> list[str]:
        """Labels take turns in this order."""
        return list(self.task.labels)

    @cached_property
    def prompt_id(self) -> str:
        """Name of the wording: equal ids, equal prompts for equal labels and examples."""
        task = {**asdict(self.task), "examples": ""}  # whose path is no wording
        said = json.dumps([task, self.shots, self.turns, self.instruction(""), _MORE, _IMITATE])
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def about(self, k: int) -> str:
        """Return the label of row k."""
        return self.labels[k % len(self.labels)]

    def row_seed(self, k: int, attempt: int) -> int:
        """Return the sampling seed; it does not depend on `n`, so asking for more rows keeps the first ones."""
        return (self.seed + k + attempt * STRIDE) % 2**31

    def rounds(self, n: int) -> list[list[int]]:
        """Return rows that can be asked for at once: those of one turn of all conversations."""
        turn = [(k // len(self.labels)) % self.turns for k in range(n)]
        return [[k for k in range(n) if turn[k] == t] for t in range(min(self.turns, max(turn) + 1))]

    def earlier(self, k: int) -> list[str]:
        """Return the texts that the conversation of row k holds already."""
        size = len(self.labels)
        turn = (k // size) % self.turns
        return [self.said[j] for j in range(k - turn * size, k, size) if j in self.said]

    @cached_property
    def places(self) -> Mapping[str, list[int]]:
        """Label → places of its examples."""
        places: dict[str, list[int]] = {label: [] for label in self.labels}
        for i, label in enumerate(self.told):
            places[label].append(i)
        return places

    @cached_property
    def words(self) -> list[list[str]]:
        """Words of the examples, lower-case."""
        return [normal(text).split() for text in self.texts]

    def shots_of(self, k: int) -> list[int]:
        """Draw the examples shown before row k, labels alike; one is not shown twice."""
        if k not in self.drawn:
            rng = random.Random(f"{self.seed} {k}")
            order = rng.sample(self.labels, len(self.labels))
            taken: dict[str, list[int]] = {label: [] for label in order}
            drawn: list[int] = []
            while len(drawn) < self.shots:
                for label in order:
                    left = len(self.places[label]) - len(taken[label])
                    if left and len(drawn) < self.shots:
                        at = rng.randrange(left)
                        for place in sorted(taken[label]):  # of those that are left
                            at += place <= at
                        taken[label].append(at)
                        drawn.append(self.places[label][at])
            self.drawn[k] = rng.sample(drawn, len(drawn))
        return self.drawn[k]

    def instruction(self, label: str) -> str:
        """Ask for a text of a label."""
        meaning = self.task.labels.get(label, "")
        low, high = self.task.words
        which = f'Its label is "{label}"' + (f", which means: {meaning}" if meaning else "")
        return f'Write {self.task.task}, in {low} to {high} words. {which}. Answer as JSON: {{"text": "…"}}.'

    @property
    def _context(self) -> str:
        return self.task.context or f"You write {self.task.task}, the way people do."

    @property
    def wording(self) -> dict[str, Any]:
        """All that is said in prompts, examples and earlier texts aside."""
        asked = {label: self.instruction(label) for label in self.labels}
        return {"context": self._context, "asked": asked, "beside": _IMITATE if self.shots else _MORE}

    def prompt(self, k: int, attempt: int) -> Prompt:
        """Return the chat that asks for row k."""
        label = self.about(k)
        turns: list[dict[str, str]] = [{"role": "system", "content": self._context}]
        if self.shots:
            for i in self.shots_of(k):
                turns += [{"role": "user", "content": self.instruction(self.told[i])}, _answer(self.texts[i])]
            turns.append({"role": "user", "content": f"{_IMITATE} {self.instruction(label)}"})
            return turns
        turns.append({"role": "user", "content": self.instruction(label)})
        for said in self.earlier(k):
            turns += [_answer(said), {"role": "user", "content": f"{_MORE} {self.instruction(label)}"}]
        return turns

    @property
    def json_schema(self) -> dict[str, Any]:
        """What an answer must look like."""
        longest = _CHARACTERS_A_WORD * self.task.words[1]
        return {
            "type": "object",
            "properties": {"text": {"type": "string", "minLength": 2, "maxLength": longest}},
            "required": ["text"],
            "additionalProperties": False,
        }

    @cached_property
    def _echoes(self) -> set[tuple[str, ...]]:
        asked = [self.instruction(label) for label in self.labels]
        return word_runs([*asked, self.task.context, _MORE, _IMITATE], ECHO)

    def read(self, k: int, output: str) -> dict[str, str]:
        """Return the text a model wrote for row k. Raises AnswerError with the reason when it will not do."""
        fields = {"text": self._fitted(read_object(output, ("text",))["text"])}
        if word_runs(fields.values(), ECHO) & self._echoes:
            raise AnswerError("echo of the prompt")
        if self.shots:
            self._refuse_copy(k, fields["text"])
        return fields

    def _fitted(self, said: str) -> str:
        """Return a text of as many words as were asked for: a longer one is cut after a sentence."""
        low, high = self.task.words
        ends = [m.end() for m in _SENTENCE_END.finditer(said)]
        closed = len(said) >= _CHARACTERS_A_WORD * high - 1 and len(said) not in ends  # by the decoder, half-way
        if closed or n_words(said) > high:
            fits = [end for end in ends if n_words(said[:end]) <= high]
            if not fits:
                raise AnswerError("too long")
            said = said[: fits[-1]]
        if n_words(said) < low:
            raise AnswerError("too short")
        return said

    def _refuse_copy(self, k: int, said: str) -> None:
        if normal(said).split() in [self.words[i] for i in self.shots_of(k)]:
            raise AnswerError("copy of a shot")
        if self.likeness(k, said) > self.max_copy:
            raise AnswerError("near copy of a shot")

    def likeness(self, k: int, said: str) -> float:
        """Return ROUGE-L (F1) of a text and the nearest of its shots: 2 LCS over the words of both."""
        from rapidfuzz.distance import LCSseq

        own = normal(said).split()
        others = [self.words[i] for i in self.shots_of(k)]
        return max((2 * LCSseq.similarity(own, of) / max(1, len(own) + len(of)) for of in others), default=0.0)

    def shown(self, k: int, said: str) -> dict[str, Any]:
        """Return what a row says of its shots: their ids, and its likeness to the nearest."""
        return {"unflaw.shots": [self.ids[i] for i in self.shots_of(k)], "unflaw.copy": self.likeness(k, said)}

    def near_copies(self, asked: Asked) -> int:
        """Count the answers, refused ones as well, that are near copies of one of their shots."""
        if not self.shots:
            return 0
        said = [(k, fields["text"]) for k, (_, fields) in asked.accepted.items()]
        for r in asked.rejected:
            try:
                said.append((r.row, read_object(r.output, ("text",))["text"]))
            except AnswerError:
                continue
        return sum(self.likeness(k, of) > 0.7 for k, of in said)


_MORE = "Now another one that differs from all those above: in its subject, its words and the way it is built."
_IMITATE = "Take the texts above as models of tone and form, but write something new: do not reword any of them."


def _answer(said: str) -> dict[str, str]:
    return {"role": "assistant", "content": json.dumps({"text": said}, ensure_ascii=False)}


def _plan(
    task: TextTask, n: int, examples: Rows | None, shots: int, turns: int, max_copy: float, seed: int, max_retries: int
) -> _Plan:
    """Lay a job out. Raises SettingsError with everything wrong."""
    problems = [
        f"`{name}` must be at least {least}, got {value}"
        for name, value, least in (
            ("n", n, 1),
            ("shots", shots, 0),
            ("turns", turns, 1),
            ("max_retries", max_retries, 0),
        )
        if value < least
    ]
    if not 0 <= max_copy <= 1:
        problems.append(f"`max_copy` must be in [0, 1], got {max_copy}")
    ids: list[str] = []
    texts: list[str] = []
    told: list[str] = []
    if shots > 0 and examples is None:
        problems.append("`shots` above 0 need `examples`, got none; name them in the task file or leave `shots` at 0")
    elif shots > 0 and examples is not None:
        ids, texts, told = examples.ids, _column(examples, "text", problems), _column(examples, "label", problems)
        problems += _problems_of_examples(task, Counter(told), texts, shots)
    if problems:
        raise SettingsError(problems)
    return _Plan(task, ids, texts, told, shots, 1 if shots else turns, max_copy, seed, max_retries)


def _column(rows: Rows, role: str, problems: list[str]) -> list[str]:
    try:
        return ["" if value is None else str(value) for value in rows.column(role)]
    except SchemaError as error:
        problems.append(f"`examples`: {error}")
        return []


def _problems_of_examples(task: TextTask, counts: Counter[str], texts: Sequence[str], shots: int) -> list[str]:
    problems = [
        f"`examples` hold {n:,} rows of {label!r}, which is no label of the task: {', '.join(task.labels)}"
        for label, n in counts.items()
        if label not in task.labels
    ]
    if bare := [label for label in task.labels if not counts[label]] if counts else []:
        problems.append(f"`examples` must hold every label of the task, got none of {', '.join(bare)}")
    if blank := sum(not text.strip() for text in texts):
        problems.append(f"`examples` must hold a text in every row, got {blank:,} without")
    if shots > len(texts):
        problems.append(f"`shots` must not exceed the {len(texts):,} `examples`, got {shots}")
    return problems
