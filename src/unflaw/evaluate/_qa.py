"""Question answering: how near the answer is to a known one.

Exact match alone punishes "in Paris" where "Paris" was meant, and token overlap alone rewards an
answer that lists every city; so both are given, after the normalisation of SQuAD (Rajpurkar et al.
2016, arXiv:1606.05250): case, punctuation and the articles a, an, the are ignored. Where a row has
several right answers the nearest counts. "qa.contains" asks only whether a right answer occurs in
what was written, which is fairer to a model that answers in sentences.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unflaw._errors import DataError, SettingsError
from unflaw.data import Rows, Score
from unflaw.evaluate._instructions import generate_outputs
from unflaw.evaluate._score import digest, mean_score
from unflaw.models import Generator, Sampling

__all__ = ["contains_answer", "exact_match", "extract_answer", "normalise_answer", "question_answering", "token_f1"]


def normalise_answer(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces.

    >>> normalise_answer("The  Eiffel-Tower!")
    'eiffeltower'
    """
    kept = "".join(c for c in text.lower() if not unicodedata.category(c).startswith("P") and c not in "$+<=>^`|~")
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def exact_match(answer: str, right: Sequence[str]) -> float:
    """1 where the answer equals a right one after normalisation, else 0."""
    return float(normalise_answer(answer) in {normalise_answer(r) for r in right})


def token_f1(answer: str, right: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of words, for the nearest right answer.

    >>> token_f1("the old town hall", ["town hall of Bonn"])  # 2 shared of 3 and 4 words
    0.5714285714285714
    """
    return max(_f1(normalise_answer(answer).split(), normalise_answer(r).split()) for r in right)


def contains_answer(answer: str, right: Sequence[str]) -> float:
    """1 where a right answer occurs in the text as whole words after normalisation, else 0."""
    text = f" {normalise_answer(answer)} "
    wanted = [normalise_answer(r) for r in right]
    return float(any(w and f" {w} " in text for w in wanted))


def extract_answer(text: str, pattern: str | None) -> str:
    r"""Return what the pattern's group holds (named "answer", or the first), or the text where nothing matches.

    >>> extract_answer("Answer: Paris. Reason: it is.", r"Answer: (.*?)\. Reason")
    'Paris'
    """
    found = re.search(pattern, text, re.DOTALL) if pattern else None
    if found is None:
        return text
    named = found.groupdict().get("answer")
    return next((g for g in (named, *found.groups(), found.group()) if g is not None), text).strip()


def question_answering(
    generator: Generator,
    rows: Rows,
    *,
    answers: str = "response",
    ask: str = "{prompt}",
    answer_pattern: str | None = None,
    max_tokens: int = 48,
    seed: int = 0,
    name: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Ask every row's prompt (its context before it) and score the answers by row id.

    Returns "qa.exact_match", "qa.f1" and "qa.contains". `answers` is the role or column with the right answer, a
    text or a list of texts. `ask` wraps the prompt, e.g. "{prompt} Answer in a few words." With `answer_pattern` the
    answer is first cut out of templated output; text that does not match is judged whole.

    Raises
    ------
    SettingsError
        The pattern is no regular expression, or `ask` does not hold "{prompt}".
    DataError
        A row has no right answer.
    """
    problems = [] if "{prompt}" in ask else [f"`ask` must hold {{prompt}}, got {ask!r}"]
    try:
        re.compile(answer_pattern or "")
    except re.error as error:
        problems.append(f"`answer_pattern` must be a regular expression, got {answer_pattern!r} ({error})")
    if problems:
        raise SettingsError(problems)
    right = _right_answers(rows, answers)
    asked = {i: ask.replace("{prompt}", prompt) for i, prompt in zip(rows.ids, _questions(rows), strict=True)}
    outputs = generate_outputs(generator, asked, Sampling(max_tokens=max_tokens, seed=seed), progress)
    found = {i: extract_answer(text, answer_pattern) for i, text in outputs.items()}
    settings = {
        "prompts_hash": digest([asked, right]), "max_tokens": max_tokens, "answer_pattern": answer_pattern
    }  # fmt: skip
    texts = {"outputs": outputs, "settings": {**settings, "prompts": asked}}  # kept once, with the first score
    rules = {"exact_match": exact_match, "f1": token_f1, "contains": contains_answer}
    scores: list[Score] = []
    for rule, judge in rules.items():
        given: dict[str, Any] = {"settings": settings} if scores else texts
        scores.append(mean_score(f"qa.{rule}", name, {i: judge(found[i], right[i]) for i in asked}, seed=seed, **given))
    return scores


def _questions(rows: Rows) -> list[str]:
    prompts = [str(p or "") for p in rows.column("prompt")]
    if rows.has("context"):
        return [f"{c}\n\n{p}" if c else p for c, p in zip(rows.column("context"), prompts, strict=True)]
    return prompts


def _right_answers(rows: Rows, column: str) -> Mapping[str, list[str]]:
    held = dict(zip(rows.ids, rows.column(column), strict=True))
    right = {i: [str(a) for a in (v if isinstance(v, list) else [v]) if a not in (None, "")] for i, v in held.items()}
    bare = [i for i, found in right.items() if not found]
    if bare or not right:
        raise DataError(f"every row needs a right answer in `{column}`, none for {len(bare)} row(s), e.g. {bare[:3]}")
    return right


def _f1(answer: list[str], right: list[str]) -> float:
    if not answer or not right:
        return float(answer == right)
    shared = (Counter(answer) & Counter(right)).total()
    return 2 * shared / (len(answer) + len(right))
