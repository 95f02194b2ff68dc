"""Counting what was seen before, at eight bytes a row: enough memory for files no `dict` would hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["Seen", "digest"]


def digest(text: str) -> str:
    """16 hex digits of BLAKE2b. Two of a hundred million texts share one with probability 0.0003."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Seen:
    """How often each digest came by so far.

    Digests lie in a few sorted runs of growing size, merged two by two like a log-structured
    merge tree, so that a batch costs a few binary searches. Only repeated digests have a count.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []
        """Sorted uint64, the longest first."""
        self._repeats: dict[str, int] = {}

    def add(self, digests: Sequence[str]) -> list[int]:
        """For each digest, which occurrence this is: 1 for the first."""
        values = np.array([int(d, 16) for d in digests], dtype=np.uint64)
        known = np.zeros(len(values), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, values), len(run) - 1)
            known |= run[at] == values
        fresh: set[str] = set()
        counts = []
        for name, old in zip(digests, known.tolist(), strict=True):
            if old or name in fresh:
                self._repeats[name] = self._repeats.get(name, 1) + 1
            fresh.add(name)
            counts.append(self._repeats.get(name, 1))
        self._push(np.unique(values[~known]))
        return counts

    def _push(self, run: np.ndarray) -> None:
        if not len(run):
            return
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")
            self._runs.append(merged)
