"""A sample of rows that does not depend on how the rows came in.

Each row draws a number from a hash of its id and the seed; the k smallest stay. The sample of a
union is then the sample of the samples' union, so batch size and order change nothing
(bottom-k sampling: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).

Where it is known how many rows there are, most can be left out at once: of n rows, the k-th smallest
draw lies below `bound(k, n)` but for one set in a billion, and then the sample is a little smaller.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Sample", "bottom_k", "bound", "draw", "merge_samples"]


@dataclass(frozen=True)
class Sample:
    """At most k rows, sorted by their draw, out of `n_rows` seen."""

    k: int
    draws: tuple[tuple[int, str], ...]
    """(draw, row id), ascending."""
    values: tuple[Any, ...]
    """What is kept of each row, in the order of `draws`."""
    n_rows: int

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the sampled rows, in order of their draw."""
        return [row_id for _, row_id in self.draws]

    def first(self, n: int) -> Sample:
        """Return the sample of n rows at most."""
        return self if n >= len(self.draws) else Sample(n, self.draws[:n], self.values[:n], self.n_rows)


def draw(row_id: str, seed: int) -> int:
    """Return 64 random bits that belong to this row and seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{row_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest())


def bound(k: int, n: int) -> int:
    """Return a draw below which at least k of n rows lie, but for one set in a billion."""
    expected = k + 7 * math.sqrt(k) + 24  # P(Poisson(expected) < k) < 1e-9, by Chernoff
    return 2**64 if expected >= n else int(expected / n * 2**64)


def bottom_k(
    ids: Sequence[str], value: Callable[[int], Any], k: int, seed: int, n: int | None = None, n_rows: int | None = None
) -> Sample:
    """Sample at most k of these rows.

    Parameters
    ----------
    value
        From the position of a row to what is kept of it; asked only for rows that may stay.
    n
        How many rows there are in the whole set, if that is known.
    n_rows
        How many rows were seen, where some of them cannot be sampled.
    """
    highest = 2**64 if n is None else bound(k, n)
    drawn = sorted((d, i, at) for at, i in enumerate(ids) if (d := draw(i, seed)) < highest)[:k]
    values = tuple(value(at) for _, _, at in drawn)
    return Sample(k, tuple((d, i) for d, i, _ in drawn), values, len(ids) if n_rows is None else n_rows)


def merge_samples(a: Sample, b: Sample) -> Sample:
    """Return the sample of both sets of rows."""
    drawn = [*zip(a.draws, a.values, strict=True), *zip(b.draws, b.values, strict=True)]
    best = sorted(drawn, key=lambda row: row[0])[: a.k]
    return Sample(a.k, tuple(d for d, _ in best), tuple(v for _, v in best), a.n_rows + b.n_rows)
