"""What answers are held against: the questions, or the passages, of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unflaw.measure import share_nearer

__all__ = ["Strangers"]


class Strangers(NamedTuple):
    """Some of a set's questions or passages, each once."""

    keys: tuple[str, ...]
    """Tells which is a row's own."""
    x: Float[np.ndarray, "k d"]
    """Their L2-normalised vectors."""

    @classmethod
    def of(cls, keys: Sequence[str], x: Sequence[Float[np.ndarray, " d"]], n: int) -> Strangers:
        """Take the first n different ones."""
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        at = sorted(first.values())[:n]
        return cls(tuple(keys[i] for i in at), np.stack([x[i] for i in at]))

    def nearer(
        self, keys: Sequence[str], own: Float[np.ndarray, "n d"], answered: Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, " n"]:
        """Return for each answer the share of these that it is nearer to than to its own, by cosine."""
        counts = np.ones((len(keys), len(self.keys)), dtype=bool)
        column = {key: k for k, key in enumerate(self.keys)}
        for i, key in enumerate(keys):
            if key in column:
                counts[i, column[key]] = False
        return share_nearer(own, answered, self.x, counts)
