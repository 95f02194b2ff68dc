"""Rows and the originals they may repeat, by their numbers: what searches for copies and paraphrases hand around."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unflaw.audit._kept import Columns

__all__ = ["Pairs"]


class Pairs(NamedTuple):
    """Rows and originals."""

    rows: Int[np.ndarray, " p"]
    of: Int[np.ndarray, " p"]
    similarity: Float[np.ndarray, " p"]

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
