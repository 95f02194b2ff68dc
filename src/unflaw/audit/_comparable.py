"""Make rows of two sets comparable, whatever their lengths.

For the words, the i-th longest row of one and the i-th longest of the other are cut to the shorter of the two. An
embedding is of a whole row, and those of longer rows lie closer together (film reviews of 140 words have a Vendi score
40 % below that of their first halves), so there only rows enter that have a partner about as long in the other set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError
from unflaw.audit._sample import Sample
from unflaw.measure import Words, word_classes

__all__ = ["Drawn", "RowSample", "Tagger", "comparable", "partners", "tagged"]

Tagger = Callable[[Sequence[str]], Sequence[str]]
"""Gives each word of a text a tag."""

_ABOUT, _LEAST_PARTNERS = 1.25, 0.25
"""Rows are about as long where one is at most this times the other; this share of a half must have a partner."""


class Drawn(NamedTuple):
    """Half of a set's sampled rows, made comparable with those of the other."""

    words: Words
    texts: Sequence[str]
    """The same words as text."""
    classes: Words
    """The same words' kinds."""
    x: Float[np.ndarray, "m d"]
    """Of the rows that have a partner about as long; without any such, of all."""
    matched: bool


def tagged(tagger: Tagger, words: Sequence[str]) -> Sequence[str]:
    """Return a tag for each word. Raises `DataError` where there are more or fewer."""
    tags = list(tagger(words))
    if len(tags) != len(words):
        raise DataError(
            f"`tagger` must give one tag per word, got {len(tags)} for the {len(words)} words {' '.join(words)[:60]!r}"
        )
    return tags


@dataclass(frozen=True)
class RowSample:
    """The sampled rows of a set."""

    texts: Sequence[Sequence[str]]
    classes: Sequence[Sequence[str]]
    """Kind of each word."""
    x: Float[np.ndarray, "n d"]

    @classmethod
    def of(cls, sample: Sample, n: int, tagger: Tagger = word_classes) -> RowSample:
        """Take the first n."""
        kept = sample.values[:n]
        texts = [words.split() for words, _ in kept]
        classes = [tagged(tagger, text) for text in texts]
        return cls(texts, classes, np.stack([x for _, x in kept]).astype(np.float64))

    def longest_first(self, rows: Sequence[int]) -> RowSample:
        """Take rows, the longest first; of two as long the earlier one."""
        order = sorted(rows, key=lambda i: (-len(self.texts[i]), i))
        return RowSample([self.texts[i] for i in order], [self.classes[i] for i in order], self.x[order])


def comparable(a: RowSample, b: RowSample) -> tuple[Drawn, Drawn]:
    """Cut the i-th row of either to the length of the shorter; find the rows that are about as long as they are."""
    lengths = [min(len(s), len(t)) for s, t in zip(a.texts, b.texts, strict=True)]
    pairs = partners([len(text) for text in a.texts], [len(text) for text in b.texts])
    matched = len(pairs) >= max(2, _LEAST_PARTNERS * len(lengths))

    def drawn(of: RowSample, rows: Sequence[int]) -> Drawn:
        texts = [text[:most] for text, most in zip(of.texts, lengths, strict=True)]
        classes = Words.of([text[:most] for text, most in zip(of.classes, lengths, strict=True)])
        x = of.x[list(rows)] if matched else of.x
        return Drawn(Words.of(texts), [" ".join(text) for text in texts], classes, x, matched)

    return drawn(a, [i for i, _ in pairs]), drawn(b, [j for _, j in pairs])


def partners(a: Sequence[int], b: Sequence[int]) -> list[tuple[int, int]]:
    """Pair lengths, both the longest first, that differ by a quarter at most; none twice."""
    i = j = 0
    pairs = []
    while i < len(a) and j < len(b):
        if a[i] <= _ABOUT * b[j] and b[j] <= _ABOUT * a[i]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif a[i] > b[j]:
            i += 1
        else:
            j += 1
    return pairs
