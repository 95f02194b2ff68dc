"""Question-answer rows about passages: the plain way to make synthetic data, done carefully.

Each row is asked for with one sentence of its passage as the fact in focus, so several rows about one
passage ask different things. The model writes a JSON object; the caller's template turns it into the
response. So the wording of the format comes from us and can be studied, and the content from the model.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, NamedTuple

from unflaw._errors import SettingsError, TooFewRowsError, did_you_mean
from unflaw.data import Rows, content_ids
from unflaw.generate._answers import AnswerError, normal, read_object, shortened, word_runs
from unflaw.generate._focus import sentences
from unflaw.generate._generated import Generated, Rejected
from unflaw.models import Generator, Prompt, Sampling, call

__all__ = ["FIELDS", "qa", "qa_prompts"]

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

STRIDE = 1_000_003
"""Seeds between one attempt and the next, so that a row keeps its seed whatever `n` is."""

LEAK = 7
"""So many words in a row taken from the instructions or examples, and the answer is an echo."""


def qa(
    passages: Rows | Sequence[Mapping[str, Any]],
    generator: Generator,
    *,
    n: int,
    template: str = "{answer}",
    seed: int = 0,
    shots: Sequence[Mapping[str, str]] = (),
    max_retries: int = 3,
    temperature: float = 0.7,
    top_p: float = 0.95,
    max_tokens: int = 160,
    grounding: float = 0.5,
    whole_passage: bool = False,
    model: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    r"""Have a generator write `n` question-answer rows about passages, spread evenly over them.

    Parameters
    ----------
    passages
        Rows with a `text` (or `context`) role, or dicts with such a key.
    template
        How the response is written: `str.format` fields `answer`, `explanation`, `topic`, `question`, e.g.
        "Answer: {answer}\nExplanation: {explanation}", of which the model is asked for those named only. It may
        also name columns of the passages, e.g. {title}.
    seed
        Row k is first drawn with seed + k. Same passages, settings and seed: same rows.
    shots
        Examples shown first, dicts with `passage` and every field; ours are used when there are none.
    max_retries
        How often a row is asked again, about another sentence, when its answer will not do.
    grounding
        Share of the words of the answer, and of the longer words of the question, that must occur in the
        passage, since a small model invents; 0 turns this off.
    whole_passage
        Show the model the passage, too, and not only the sentence in focus: slower, and too much for a small one.
    model
        Name written to each row; by default the generator's own.
    progress
        Called with (rows done or given up, n).

    Returns
    -------
    Rows with `question`, `answer` (in the template), `answer_plain`, `passage_id` and where each came from;
    every refused answer with its reason; `shortfall` says how many rows could not be had.
    """
    plan = _plan(passages, template, seed, shots, max_retries, grounding, whole_passage)
    plan.check(n)
    sampling = Sampling(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, json_schema=_schema(plan.fields)
    )
    before = _usage(generator)
    accepted, rejected = _ask_all(plan, generator, sampling, n, progress)
    name = model or str(getattr(generator, "name", type(generator).__name__))
    records = [
        {
            "question": fields["question"],
            "answer": template.format_map({**plan.passage(k).columns, **fields}),
            "answer_plain": fields["answer"],
            "passage_id": plan.passage(k).id,
            "unflaw.model": name,
            "unflaw.prompt": plan.prompt_id,
            "unflaw.seed": plan.row_seed(k, attempt),
            "unflaw.attempt": attempt,
        }
        for k, (attempt, fields) in sorted(accepted.items())
    ]
    if not records:
        raise TooFewRowsError(
            f"`n` = {n} rows were asked for and none would do; reasons: {_count(rejected)}. "
            "Try a larger model, a higher `max_tokens`, or your own `shots`"
        )
    rows = Rows.from_records(
        records, {"prompt": "question", "response": "answer"}, schema="question/answer", source=f"qa by {name}"
    )
    settings = {
        "method": "qa", "n": n, "template": template, "seed": seed, "max_retries": max_retries, "model": name,
        "prompt_id": plan.prompt_id, "prompt": plan.instruction, "shots": [dict(s) for s in plan.shots],
        "sampling": asdict(sampling),
    }  # fmt: skip
    usage = {key: total - before[key] for key, total in _usage(generator).items()}
    return Generated(rows, rejected, n, usage, settings)


def qa_prompts(
    passages: Rows | Sequence[Mapping[str, Any]],
    *,
    n: int,
    template: str = "{answer}",
    seed: int = 0,
    shots: Sequence[Mapping[str, str]] = (),
    whole_passage: bool = False,
) -> list[Prompt]:
    """Return the first prompts `qa` would send, without sending them."""
    plan = _plan(passages, template, seed, shots, 0, 0.0, whole_passage)
    plan.check(n)
    return [plan.prompt(k, 0) for k in range(n)]


class _Passage(NamedTuple):
    id: str
    text: str
    columns: Mapping[str, Any]
    """What else the passage's row holds; a template may name it."""


@dataclass(frozen=True)
class _Plan:
    """Which row asks what: everything that can be known before a model is called."""

    passages: tuple[_Passage, ...]
    """In the order they take turns."""
    fields: tuple[str, ...]
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

    def passage(self, k: int) -> _Passage:
        """Return the passage that row k is about: each in turn."""
        return self.passages[k % len(self.passages)]

    def row_seed(self, k: int, attempt: int) -> int:
        """Return the sampling seed; it does not depend on `n`, so asking for more rows keeps the first ones."""
        return (self.seed + k + attempt * STRIDE) % 2**31

    def prompt(self, k: int, attempt: int) -> Prompt:
        """Return the chat that asks for row k."""
        text = self.passage(k)[1]
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


def _plan(
    passages: Rows | Sequence[Mapping[str, Any]],
    template: str,
    seed: int,
    shots: Sequence[Mapping[str, str]],
    max_retries: int,
    grounding: float,
    whole_passage: bool,
) -> _Plan:
    found = _passages(passages)
    columns = set.intersection(*(set(p.columns) for p in found)) if found else set()
    shuffled = random.Random(seed).sample(found, len(found))  # so that few rows are about any of many passages
    return _Plan(
        tuple(shuffled), _fields(template, columns), tuple(shots or EXAMPLES), seed, max_retries, grounding, whole_passage
    )


def _passages(passages: Rows | Sequence[Mapping[str, Any]]) -> list[_Passage]:
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
    found: dict[str, _Passage] = {}
    for i, text, columns in zip(ids, texts, records, strict=True):
        if text and str(text).strip():
            found.setdefault(str(text), _Passage(i, str(text), columns))
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
    if problems:
        raise SettingsError(problems)
    return tuple(name for name in FIELDS if name in ("question", "answer") or name in named)


def _schema(fields: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "minLength": 2, "maxLength": FIELDS[name][1]} for name in fields},
        "required": list(fields),
        "additionalProperties": False,
    }


def _ask_all(
    plan: _Plan, generator: Generator, sampling: Sampling, n: int, progress: Callable[[int, int], None] | None
) -> tuple[dict[int, tuple[int, dict[str, str]]], list[Rejected]]:
    """Ask for every row, then again for those that would not do. Rows are judged in order, not on arrival."""
    echoes = word_runs([plan.instruction, *(v for s in plan.shots for v in s.values())], LEAK)
    accepted: dict[int, tuple[int, dict[str, str]]] = {}
    rejected: list[Rejected] = []
    asked: set[str] = set()
    todo = list(range(n))
    for attempt in range(plan.max_retries + 1):
        settled = n - len(todo)

        def tick(done: int, settled: int = settled) -> None:
            if progress is not None:
                progress(settled + done, n)

        answers = _draw(plan, generator, sampling, todo, attempt, tick)
        refused = []
        for k, output in zip(todo, answers, strict=True):
            try:
                read = read_object(output, plan.fields)
                fields = {name: shortened(value, FIELDS[name][1]) for name, value in read.items()}
                _judge(fields, plan, k, asked, echoes)
            except AnswerError as reason:
                refused.append(k)
                rejected.append(
                    Rejected(k, plan.passage(k).id, attempt, plan.row_seed(k, attempt), str(reason), output)
                )
            else:
                asked.add(normal(fields["question"]))
                accepted[k] = (attempt, fields)
        todo = refused
        if not todo:
            break
    return accepted, rejected


def _draw(
    plan: _Plan, generator: Generator, sampling: Sampling, todo: list[int], attempt: int, tick: Callable[[int], None]
) -> list[str]:
    done = 0

    def count(_: int, __: str) -> None:
        nonlocal done
        done += 1
        tick(done)

    prompts = [plan.prompt(k, attempt) for k in todo]
    return call(generator, prompts, sampling, seeds=[plan.row_seed(k, attempt) for k in todo], on_result=count)


_POINTING = re.compile(r"\b(the|this|that|above|last) (passage|text|paragraph|sentence|line|excerpt|article)\b", re.I)


def _judge(fields: Mapping[str, str], plan: _Plan, k: int, asked: set[str], echoes: set[tuple[str, ...]]) -> None:
    """Raise AnswerError when a well-formed answer makes no good row."""
    question, answer = normal(fields["question"]), normal(fields["answer"])
    said = set(normal(plan.passage(k).text).split())
    if not fields["question"].endswith("?"):
        raise AnswerError("no question mark")
    if question in asked:
        raise AnswerError("duplicate question")
    if f" {answer} " in f" {question} ":
        raise AnswerError("answer is in the question")
    if word_runs(fields.values(), LEAK) & echoes:
        raise AnswerError("echo of the prompt")
    if _POINTING.search(fields["question"]):
        raise AnswerError("question points at the passage")
    for name, words in (("answer", answer.split()), ("question", [w for w in question.split() if len(w) > 5])):
        if sum(word in said for word in words) < plan.grounding * len(words):
            raise AnswerError(f"{name} is not about the passage")


def _usage(generator: Generator) -> dict[str, float]:
    """Totals the generator has counted so far, nothing when it does not count."""
    usage = getattr(generator, "usage", None)
    return asdict(usage) if is_dataclass(usage) and not isinstance(usage, type) else {}


def _count(rejected: Sequence[Rejected]) -> str:
    reasons: dict[str, int] = {}
    for r in rejected:
        reasons[r.reason] = reasons.get(r.reason, 0) + 1
    return ", ".join(f"{reason} ({n})" for reason, n in sorted(reasons.items(), key=lambda item: -item[1]))
