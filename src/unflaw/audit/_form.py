"""Rows that are broken off, have brackets that do not close, or say one thing over and over."""

from __future__ import annotations

import re
from collections import Counter

from unflaw.audit._said import Said
from unflaw.audit._traits import Trait, TraitsCheck
from unflaw.measure import mask

__all__ = ["form_check"]

_LONG = 8
"""Words from which on an answer is sentences, and ends in a mark."""
_ENDS = re.compile(r"[.!?…。！？:;)\]}\"'”’»`*|>~]\W*$|https?://\S+$")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_NO_BRACKET = re.compile(
    r"(?:^|(?<=\s))\(?(?:\w{1,3}|[ivxIVX]+)\)|[:;=]['-]?[()\[\]]|```.*?```|`[^`\n]*`|<[^<>\n]*>",
    re.DOTALL | re.MULTILINE,
)
"""Enumeration, smileys, code and tags."""
_BRACKET = re.compile(r"[()\[\]{}]")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_SENTENCE = re.compile(r"[^.!?\n]+")
_LEAST_WORDS, _TIMES = 3, 3


def form_check() -> TraitsCheck:
    """Return the check: how rows end, close their brackets, and go round in circles."""
    return TraitsCheck(
        name="form",
        traits=(
            Trait(
                "truncated", "Answers that break off", _truncated, "break off without an end", 0.05, 0.2, alone=False
            ),
            Trait("brackets", "Rows with brackets that do not match", _brackets, "have brackets that do not match"),
            Trait("loops", "Rows that say the same sentence three times", _loops, "say the same sentence three times"),
        ),
    )


def _truncated(said: Said) -> str | None:
    """Ask where an answer ends that is sentences, not a list or a phrase."""
    answer = said.answer.rstrip()
    if len(answer.split()) < _LONG or _ITEM.search(answer):
        return None
    return "" if _ENDS.search(answer) else f"breaks off with {mask(' '.join(answer.split()[-3:]))[-60:]!r}"


def _brackets(said: Said) -> str:
    """Find a bracket that is not closed, or was not open; enumeration, smileys and code aside."""
    text, open_ones = _NO_BRACKET.sub(" ", said.text) if _BRACKET.search(said.text) else "", []
    for sign in _BRACKET.findall(text):
        if sign in _PAIRS.values():
            open_ones.append(sign)
        elif sign in _PAIRS and (not open_ones or open_ones.pop() != _PAIRS[sign]):
            return f"has {sign!r} that closes nothing"
    return f"has {open_ones[-1]!r} that is not closed" if open_ones else ""


def _loops(said: Said) -> str:
    """Find a sentence of three words or more that comes three times."""
    sentences = (" ".join(s.split()).casefold() for s in _SENTENCE.findall(said.answer))
    told = Counter(s for s in sentences if len(s.split()) >= _LEAST_WORDS).most_common(1)
    if not told or told[0][1] < _TIMES:
        return ""
    said_so = next(s for s in _SENTENCE.findall(said.answer) if " ".join(s.split()).casefold() == told[0][0])
    return f"says {mask(' '.join(said_so.split()))[:60]!r} {told[0][1]} times"  # in small letters a key is none
