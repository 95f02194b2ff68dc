"""What a question can be about: the sentences of a passage that can stand alone."""

from __future__ import annotations

import re

__all__ = ["sentences"]

_END = re.compile(r"(?<=[.!?])(?<![A-Z]\.)\s+(?=[^a-z\s])")  # not after an initial, as in "J. S. Bach"
_POINTS_BACK = re.compile(
    r"(he|she|it|they|his|her|its|their|this|that|these|those|such|however|therefore|thus|but|and|also|for example)\b",
    re.I,
)


def sentences(text: str) -> list[str]:
    """Split a passage into sentences that can stand alone; the whole text when there are none.

    >>> sentences("Bees dance to tell where food is. Yes. A round dance means that it is near.")
    ['Bees dance to tell where food is.', 'A round dance means that it is near.']
    >>> sentences("Tesla was born in Smiljan in 1856. He was the fourth of five children.")
    ['Tesla was born in Smiljan in 1856.']
    """
    parts = [part for part in _END.split(text.strip()) if len(part.split()) >= 5]
    alone = [part for part in parts if not _POINTS_BACK.match(part)]
    return alone or parts or [text.strip()]
