"""Questions and answers: does the passage hold the answer, does the answer add to the question, do its sums hold?"""

from __future__ import annotations

from functools import lru_cache

from unflaw.audit._said import Said
from unflaw.audit._traits import Trait, TraitsCheck
from unflaw.measure import equations, normalise, words_of

__all__ = ["qa_check", "ungrounded"]

_GROUNDED = 0.5
_LEAST_WORDS = 3
_STOP = frozenset(
    "a an and are as at be been but by can did do does for from had has have he her his how i if in into is it its may"
    " more most no not of on one or our she so some such than that the their them then there these they this to up was"
    " we were what when where which who why will with would you your yes".split()
)
"""Words that say nothing of what a sentence is about."""


def qa_check() -> TraitsCheck:
    """Return the check: answers against their passages, their questions, and arithmetic."""
    return TraitsCheck(
        name="qa",
        traits=(
            Trait(
                "ungrounded", "Answers that their passage does not hold", ungrounded,
                "answer with words of which the passage holds less than half", 0.05, 0.2, alone=False,
            ),
            Trait("echoes", "Answers that only repeat their question", _echo, "only repeat the question", 0.02, 0.1),
            Trait("sums", "Sums that do not hold", _wrong_sum, "that do a sum get one wrong", 0.02, 0.1),
        ),
    )  # fmt: skip


def _content(text: str) -> list[str]:
    return [word for word in words_of(normalise(text)) if word not in _STOP]


@lru_cache(maxsize=2048)
def ungrounded(said: Said) -> str | None:
    """Count the answer's words, those of the question aside, that the passage holds.

    Two checks ask it of the same rows, batch by batch: the second finds the answer here.
    """
    if not said.context or not said.prompt:
        return None
    asked = set(_content(said.prompt))
    answer = [word for word in _content(said.answer) if word not in asked]
    if not answer:
        return None
    passage = set(_content(said.context))
    held = sum(word in passage for word in answer) / len(answer)
    missing = next((word for word in answer if word not in passage), "")
    return "" if held >= _GROUNDED else f"answers {missing!r}, of which the passage says nothing"


def _echo(said: Said) -> str | None:
    asked, answer = set(_content(said.prompt)), _content(said.answer) if said.prompt else []
    if len(asked) < _LEAST_WORDS or len(answer) < _LEAST_WORDS:
        return None
    return "says nothing that the question does not" if set(answer) <= asked else ""


def _wrong_sum(said: Said) -> str | None:
    found = list(equations(said.text))
    if not found:
        return None
    return next((f"says {e.text[:60]!r}, which does not hold" for e in found if not e.holds), "")
