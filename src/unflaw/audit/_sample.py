"""A sample of rows that does not depend on how the rows came in.

Each row draws a number from a hash of its id and the seed; the k smallest stay. The sample of a
union is then the sample of the samples' union, so batch size and order change nothing
(bottom-k sampling: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Sample", "bottom_k", "draw", "merge_samples"]


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


def draw(row_id: str, seed: int) -> int:
    """Return 64 random bits that belong to this row and seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{row_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest())


def bottom_k(ids: Sequence[str], values: Sequence[Any], k: int, seed: int) -> Sample:
    """Sample at most k of these rows."""
    return _smallest(k, [((draw(i, seed), i), v) for i, v in zip(ids, values, strict=True)], len(ids))


def merge_samples(a: Sample, b: Sample) -> Sample:
    """Return the sample of both sets of rows."""
    return _smallest(
        a.k, [*zip(a.draws, a.values, strict=True), *zip(b.draws, b.values, strict=True)], a.n_rows + b.n_rows
    )


def _smallest(k: int, drawn: list[tuple[tuple[int, str], Any]], n_rows: int) -> Sample:
    best = sorted(drawn, key=lambda row: row[0])[:k]
    return Sample(k, tuple(d for d, _ in best), tuple(v for _, v in best), n_rows)
