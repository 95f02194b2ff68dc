"""Rows that are broken off, have brackets that do not close, or say one thing over and over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from unflaw.audit._said import Said
from unflaw.audit._traits import Trait, TraitsCheck
from unflaw.data import mask

__all__ = ["form_check"]

_LONG = 8
"""Words from which on an answer is sentences, and ends in a mark."""
_MARKS = frozenset(".!?…。！？।॥؟۔։፧።:;)]}\"'”’»`*|>~")
"""Ends of sentences, and of what may stand there instead."""
_ADDRESS = re.compile(r"https?://\S+$")
_ITEM = re.compile(r"^[^\S\n]*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_BRACKET = re.compile(r"```.*?```|`[^`\n]*`|<[^<>\n]*>|[()\[\]{}]", re.DOTALL)
"""Brackets, and the code and tags in which they do not count."""
_PAIRS = {")": "(", "]": "[", "}": "{"}
_EYES = re.compile(r"[:;=]['-]?\Z")
_NUMBER = re.compile(r"(?:^|\s)(?:\w{1,3}|[ivxIVX]+)\Z")
_BEFORE = 10
"""Signs before a bracket that tell a face or a number of a list."""
_SENTENCE = re.compile(r"[^.!?\n]+")
_LEAST_WORDS, _TIMES = 3, 3


def form_check() -> TraitsCheck:
    """Return the check: how rows end, close their brackets, and go round in circles."""
    return TraitsCheck(
        name="form",
        needs=frozenset({"text"}),
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
    words = said.answer.split()
    if len(words) < _LONG or _ITEM.search(said.answer.rstrip()):
        return None
    return "" if _ends(words) else f"breaks off with {mask(' '.join(words[-3:]))[-60:]!r}"


def _ends(words: Sequence[str]) -> bool:
    """Tell whether a mark ends these words: whatever stands behind it is none of a word."""
    for sign in chain.from_iterable(map(reversed, reversed(words))):
        if sign in _MARKS:
            return True
        if sign.isalnum() or sign == "_":
            break
    return bool(_ADDRESS.search(words[-1]))


def _brackets(said: Said) -> str:
    """Find a bracket that is not closed, or was not open; faces and numbers of a list aside.

    What may be a face or a number is taken for a bracket where it matches one, and makes up for one that is missing.
    """
    open_ones: list[tuple[str, bool]] = []
    spare: Counter[str] = Counter()
    for found in _BRACKET.finditer(said.text):
        sign, before = found[0], said.text[max(0, found.start() - _BEFORE) : found.start()]
        face = sign in "()[]" and bool(_EYES.search(before))
        if sign in _PAIRS.values():
            open_ones.append((sign, face))
        elif sign in _PAIRS:
            while open_ones and open_ones[-1][1] and open_ones[-1][0] != _PAIRS[sign]:
                open_ones.pop()
            maybe = face or bool(_NUMBER.search(before))
            if open_ones and open_ones[-1][0] == _PAIRS[sign]:
                opener, was_face = open_ones.pop()
                spare[sign] += maybe
                spare[opener] += was_face and not maybe
            elif not maybe and not spare[sign]:
                return f"has {sign!r} that closes nothing"
            elif not maybe:
                spare[sign] -= 1
    left = Counter(sign for sign, face in open_ones if not face) - spare
    return f"has {next(iter(left))!r} that is not closed" if left else ""


def _loops(said: Said) -> str:
    """Find a sentence of three words or more that comes three times."""
    sentences = (" ".join(s.split()).casefold() for s in _SENTENCE.findall(said.answer))
    told = Counter(s for s in sentences if len(s.split()) >= _LEAST_WORDS).most_common(1)
    if not told or told[0][1] < _TIMES:
        return ""
    said_so = next(s for s in _SENTENCE.findall(said.answer) if " ".join(s.split()).casefold() == told[0][0])
    return f"says {mask(' '.join(said_so.split()))[:60]!r} {told[0][1]} times"  # in small letters a key is none
