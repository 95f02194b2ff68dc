"""Rows and the originals they may repeat, by their numbers: what searches for copies and paraphrases hand around."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from unflaw.audit._kept import Columns

__all__ = ["Pairs", "held"]


class Pairs(NamedTuple):
    """Rows and originals."""

    rows: Int[np.ndarray, " p"]
    of: Int[np.ndarray, " p"]
    similarity: Float[np.ndarray, " p"]

    @classmethod
    def equal(cls, mine: UInt64[np.ndarray, " n"], theirs: UInt64[np.ndarray, " m"], others: Columns) -> Pairs:
        """Return the rows whose hash is that of one of the others; of several the one with the smallest id."""
        shared = np.flatnonzero(held(theirs, mine))
        shared = shared[np.lexsort((others.rank(shared), theirs[shared]))]
        rows = np.flatnonzero(held(mine, theirs[shared]))
        return cls(rows, shared[np.searchsorted(theirs[shared], mine[rows])], np.ones(len(rows)))

    @classmethod
    def joined(cls, found: Iterable[Pairs]) -> Pairs:
        """Return all of these, or none of none."""
        none = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        return cls(*(np.concatenate(column) for column in zip(none, *found, strict=True)))

    def take(self, at: Sequence[int] | np.ndarray) -> Pairs:
        """Return those at these places, or under this mask."""
        return Pairs(*(column[at] for column in self))

    def nearest(self, others: Columns) -> Pairs:
        """Return for each row the original that is most like it; of several the one with the smallest id."""
        order = np.lexsort((others.rank(self.of), -self.similarity, self.rows))
        return self.take(order[np.unique(self.rows[order], return_index=True)[1]])


def held(values: UInt64[np.ndarray, " n"], among: UInt64[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
    """Tell which values are among these; `np.isin` puts 64-bit numbers into a hash table, several times as slow."""
    if not len(among):
        return np.zeros(len(values), dtype=bool)
    among = np.sort(among)
    return among[np.minimum(np.searchsorted(among, values), len(among) - 1)] == values
