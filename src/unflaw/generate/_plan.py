"""Which row asks what: everything about a question-answer job that is known before a model is called."""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from unflaw._errors import SettingsError, did_you_mean
from unflaw.data import Rows, content_ids
from unflaw.generate._answers import AnswerError, normal, read_object, shortened, word_runs
from unflaw.generate._ask import STRIDE
from unflaw.generate._focus import sentences
from unflaw.models import Prompt

__all__ = ["EXAMPLES", "FIELDS", "Passage", "Plan", "plan_rows"]

FIELDS = {
    "question": ("a short question that the fact answers", 120),
    "answer": ("its answer in the words of the fact", 100),
    "explanation": ("one short sentence of explanation", 160),
    "topic": ("a topic of one to three words", 40),
}
"""What a template may name: what the model is told about it, and the most characters it may have."""

EXAMPLES = (
    {
        "passage": "Sand dunes cover only about a quarter of the Sahara; the rest is rock.",
        "question": "How much of the Sahara do sand dunes cover?",
        "answer": "Only about a quarter",
        "explanation": "The rest is rock.",
        "topic": "Deserts",
    },
    {
        "passage": "Ada Lovelace, an English mathematician, published the first computer program in 1843.",
        "question": "What did Ada Lovelace publish in 1843?",
        "answer": "The first computer program",
        "explanation": "She was a mathematician.",
        "topic": "Computing",
    },
    {
        "passage": "Bread rises because yeast eats sugar and gives off carbon dioxide.",
        "question": "Why does bread rise?",
        "answer": "Yeast gives off carbon dioxide",
        "explanation": "The gas comes from the sugar it eats.",
        "topic": "Baking",
    },
)
"""Shown before the passage when the caller brings no `shots`: a small model needs to see what is wanted."""

ECHO = 7
"""So many words in a row taken from the instructions or examples, and the answer is an echo."""

LONG_WORD = 6
"""Letters from which on a word of a question counts as one about its subject."""

_POINTING = re.compile(r"\b(the|this|that|above|last) (passage|text|paragraph|sentence|line|excerpt|article)\b", re.I)


class Passage(NamedTuple):
    """What rows are asked about."""

    id: str
    text: str
    columns: Mapping[str, Any]
    """The whole row of the passage; a template may name what it holds."""


@dataclass(frozen=True)
class Plan:
    """Which row asks what, and whether an answer will do."""

    passages: tuple[Passage, ...]
    """In the order they take turns."""
    template: str
    fields: tuple[str, ...]
    """What the model must write, in this order."""
    shots: tuple[Mapping[str, str], ...]
    seed: int
    max_retries: int
    grounding: float
    whole_passage: bool

    def check(self, n: int) -> None:
        """Raise SettingsError with everything wrong."""
        problems = []
        if n < 1:
            problems.append(f"`n` must be at least 1, got {n}")
        if self.max_retries < 0:
            problems.append(f"`max_retries` must not be negative, got {self.max_retries}")
        if not 0 <= self.grounding <= 1:
            problems.append(f"`grounding` must be in [0, 1], got {self.grounding}")
        if not self.passages:
            problems.append("`passages` must hold at least one text that is not empty, got none")
        for i, shot in enumerate(self.shots):
            lacking = [name for name in ("passage", *self.fields) if not shot.get(name)]
            if lacking:
                problems.append(f"`shots[{i}]` must have {lacking}, got {sorted(shot)}")
        if problems:
            raise SettingsError(problems)

    @property
    def instruction(self) -> str:
        """The request that precedes each passage."""
        wanted = [FIELDS[name][0] for name in self.fields]
        return f"Write, as JSON, {', '.join(wanted[:-1])} and {wanted[-1]}."

    @property
    def prompt_id(self) -> str:
        """Name of the wording: equal ids, equal prompts for equal passages."""
        said = json.dumps([self.instruction, [dict(s) for s in self.shots], self.fields], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def passage(self, k: int) -> Passage:
        """Return the passage that row k is about: each in turn."""
        return self.passages[k % len(self.passages)]

    @property
    def unique(self) -> str:
        """No two rows ask the same."""
        return "question"

    def about(self, k: int) -> str:
        """Return the id of the passage that row k is about."""
        return self.passage(k).id

    def row_seed(self, k: int, attempt: int) -> int:
        """Return the sampling seed; it does not depend on `n`, so asking for more rows keeps the first ones."""
        return (self.seed + k + attempt * STRIDE) % 2**31

    def prompt(self, k: int, attempt: int) -> Prompt:
        """Return the chat that asks for row k."""
        text = self.passage(k).text
        facts = sentences(text)
        turn = k // len(self.passages)
        # Retries go backwards, so that they meet the questions of other rows late.
        fact = facts[(-turn - attempt if attempt else turn) % len(facts)]
        context = f"Passage: {text}\n\n" if self.whole_passage and text != fact else ""
        turns: list[dict[str, str]] = []
        for shot in self.shots:
            turns.append({"role": "user", "content": f"Fact: {shot['passage']}"})
            wrote = json.dumps({name: shot[name] for name in self.fields}, ensure_ascii=False)
            turns.append({"role": "assistant", "content": wrote})
        turns.append({"role": "user", "content": f"{context}Fact: {fact}"})
        turns[0]["content"] = f"{self.instruction}\n\n{turns[0]['content']}"
        return turns

    @property
    def json_schema(self) -> dict[str, Any]:
        """What an answer must look like."""
        return {
            "type": "object",
            "properties": {
                name: {"type": "string", "minLength": 2, "maxLength": FIELDS[name][1]} for name in self.fields
            },
            "required": list(self.fields),
            "additionalProperties": False,
        }

    @cached_property
    def _echoes(self) -> set[tuple[str, ...]]:
        return word_runs([self.instruction, *(value for shot in self.shots for value in shot.values())], ECHO)

    def read(self, k: int, output: str) -> dict[str, str]:
        """Return the fields a model wrote for row k. Raises AnswerError with the reason when they will not do."""
        fields = {name: shortened(value, FIELDS[name][1]) for name, value in read_object(output, self.fields).items()}
        question, answer = normal(fields["question"]), normal(fields["answer"])
        if not fields["question"].endswith("?"):
            raise AnswerError("no question mark")
        if f" {answer} " in f" {question} ":
            raise AnswerError("answer is in the question")
        if word_runs(fields.values(), ECHO) & self._echoes:
            raise AnswerError("echo of the prompt")
        if _POINTING.search(fields["question"]):
            raise AnswerError("question points at the passage")
        said = set(normal(self.passage(k).text).split())
        telling = [word for word in question.split() if len(word) >= LONG_WORD]
        for name, words in (("answer", answer.split()), ("question", telling)):
            if sum(word in said for word in words) < self.grounding * len(words):
                raise AnswerError(f"{name} is not about the passage")
        return fields

    def render(self, k: int, fields: Mapping[str, str]) -> str:
        """Write the response of row k."""
        return self.template.format_map({**self.passage(k).columns, **fields})


def plan_rows(
    passages: Rows | Sequence[Mapping[str, Any]],
    template: str,
    seed: int,
    shots: Sequence[Mapping[str, str]],
    max_retries: int,
    grounding: float,
    whole_passage: bool,
) -> Plan:
    """Lay a job out. Raises SettingsError when the template does not fit."""
    found = _passages(passages)
    columns = set.intersection(*(set(p.columns) for p in found)) if found else set()
    shuffled = random.Random(seed).sample(found, len(found))  # so that few rows are about any of many passages
    return Plan(
        tuple(shuffled),
        template,
        _fields(template, columns),
        tuple(shots or EXAMPLES),
        seed,
        max_retries,
        grounding,
        whole_passage,
    )


def _passages(passages: Rows | Sequence[Mapping[str, Any]]) -> list[Passage]:
    """Return every passage that says something, each text once."""
    if isinstance(passages, Rows):
        role = next((r for r in ("text", "context") if passages.has(r)), "text")
        ids, texts, records = passages.ids, passages.column(role), passages.table.to_pylist()
    else:
        records = [dict(p) for p in passages]
        texts = [p.get("text") or p.get("context") for p in records]
        made = content_ids([{"text": text} for text in texts])
        ids = [str(p.get("id") or i) for p, i in zip(records, made, strict=True)]
    # Several rows of a question/answer/context file share one context.
    found: dict[str, Passage] = {}
    for i, text, columns in zip(ids, texts, records, strict=True):
        if text and str(text).strip():
            found.setdefault(str(text), Passage(i, str(text), columns))
    return list(found.values())


def _fields(template: str, columns: Collection[str]) -> tuple[str, ...]:
    """Return the fields the model must write: question and answer always, others if the template names them."""
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise SettingsError(f"`template` must be a format string, got {template!r}: {error}") from None
    known = {*FIELDS, *columns}
    problems = [
        f"`template` may name {', '.join(FIELDS)} or a column of the passages; got {{{name}}}. "
        f"{did_you_mean(name, known)}"
        for name in named
        if name not in known
    ]
    if "answer" not in named:
        problems.append(f"`template` must hold {{answer}}, got {template!r}")
    if not problems:
        try:  # now, and not when every answer is paid for
            template.format_map(dict.fromkeys(known, "x"))
        except (ValueError, LookupError) as error:
            problems.append(f"`template` cannot be filled in, got {template!r}: {error}")
    if problems:
        raise SettingsError(problems)
    return tuple(name for name in FIELDS if name in ("question", "answer") or name in named)
