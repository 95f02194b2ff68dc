"""Which moulds rows are cast in: patterns of kinds of words that come back in them, and hardly in real rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from unflaw.audit._comparable import Drawn, RowSample
from unflaw.measure import Words, template_rate

__all__ = ["PATTERN", "Moulds", "mould_rate", "moulds_of", "runs", "standing"]

PATTERN = 8
"""Kinds of words of a template; a run of six stands in any row of 150 words."""
_OFTEN, _LEAST_ROWS = 0.01, 4
"""Share and number of rows in which a template stands."""
_TIMES = 3
"""How much more often than in real rows a pattern stands that a row is blamed for."""
_N_SHOWN = 20


class Moulds(NamedTuple):
    """The patterns in which a set is cast."""

    patterns: frozenset[str]
    shown: Sequence[Mapping[str, Any]]
    """The commonest, with an example."""


def _least(n_rows: int) -> int:
    return max(_LEAST_ROWS, math.ceil(_OFTEN * n_rows))


def mould_rate(drawn: Drawn) -> float:
    """Return the share of rows that hold a template."""
    return template_rate(drawn.classes, PATTERN, least=_least(len(drawn.classes)))


def moulds_of(mine: RowSample, real: RowSample) -> Moulds:
    """Find the patterns that stand in 1 % of the rows, and three times as often as in real ones."""
    n, m = len(mine.classes), len(real.classes)
    grams, text = Words.of([*mine.classes, *real.classes]).grams(PATTERN)
    if not len(grams):
        return Moulds(frozenset(), [])
    here, there = (_texts_with(grams[of], text[of], int(grams.max()) + 1) for of in (text < n, text >= n))
    kept = (here >= _least(n)) & (here / n > _TIMES * there / m)
    first = np.searchsorted(text, np.arange(n))  # place of each row's first pattern
    example: dict[int, tuple[int, int]] = {}
    for at in np.flatnonzero(kept[grams] & (text < n)).tolist():
        example.setdefault(int(grams[at]), (int(text[at]), int(at - first[text[at]])))
    patterns = {gram: " ".join(mine.classes[row][place : place + PATTERN]) for gram, (row, place) in example.items()}
    shown = [
        {
            "pattern": patterns[gram],
            "example": " ".join(mine.texts[example[gram][0]][example[gram][1] :][:PATTERN]),
            "share": float(here[gram] / n),
            "reference_share": float(there[gram] / m),
        }
        for gram in sorted(example, key=lambda gram: (-here[gram], gram))[:_N_SHOWN]
    ]
    return Moulds(frozenset(patterns.values()), shown)


def _texts_with(grams: np.ndarray, text: np.ndarray, n_grams: int) -> np.ndarray:
    """Count the texts that hold each gram."""
    return np.bincount(np.unique(np.stack([grams, text]), axis=1)[0], minlength=n_grams)


def runs(words: Sequence[str], k: int) -> list[str]:
    """Return every run of k words."""
    return [" ".join(words[i : i + k]) for i in range(len(words) - k + 1)]


def standing(words: Sequence[str], kinds: Sequence[str], known: Collection[str], k: int) -> tuple[float, str]:
    """Return the share of a row's words that stand in runs of k whose kinds are known, and the first such run."""
    at = [i for i, run in enumerate(runs(kinds, k)) if run in known]
    if not at:
        return 0.0, ""
    return len({i + j for i in at for j in range(k)}) / len(words), " ".join(words[at[0] : at[0] + k])
