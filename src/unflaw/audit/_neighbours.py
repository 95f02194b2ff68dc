"""Search for rows whose vectors lie next to each other: all against all up to some number of rows, in cells above.

A cell is what lies nearest to one of some centres (k-means). A row lies in one cell, and looks for others in the few
cells nearest to it. Most neighbours are found there, not all; how many, is measured on some of the rows themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from unflaw.audit._engine import Run
from unflaw.audit._kept import Columns, Kept
from unflaw.audit._pairs import Pairs, held
from unflaw.audit._twins import twins_of
from unflaw.measure import nearest_original, repeats_of_earlier

__all__ = ["Neighbours", "neighbours_of", "neighbours_within"]

_LOOKED_IN = 4
"""Cells a row looks in: of 74,000 short texts in 185 cells, 98 % of those with a neighbour find one there."""
_LEARNT_FROM = 50_000
_JUDGED_BY = 1000
"""Rows by which the share that is found is measured."""
_TASK_ROWS = 100_000
"""Rows that a task looks at, about."""


class Neighbours(NamedTuple):
    """Rows that lie next to another."""

    twins: pa.Table
    """See `TWINS`; similarity is the cosine."""
    n_rows: int
    """Rows that were compared: each text once."""
    found: tuple[int, int] | None
    """Of how many rows that have a neighbour one was found, judged by some; None where none can be missed."""


def neighbours_within(kept: Kept, t: float, exact_rows: int, run: Run, most: int | None = None) -> Neighbours:
    """Return every row that lies next to one before it in order of id, and which; those are next to none themselves.

    With `most`, only so many rows are looked at; a row's luck depends on its id alone.
    """
    opened = kept.open()
    rows = _each_text_once(opened)
    if most is not None:
        rows = rows[np.argsort(opened.numbers("draw")[rows], kind="stable")[:most]]
    if len(rows) <= exact_rows:
        rows = rows[np.argsort(opened.rank(rows))]
        of, cosine = repeats_of_earlier(opened.vectors(rows), t)
        at = np.flatnonzero(of >= 0)
        return Neighbours(_as_twins(opened, opened, Pairs(rows[at], rows[of[at]], cosine[at])), len(rows), None)
    cells = _Cells.of(kept, kept, rows, run)
    pairs = _before(opened, cells.pairs(partial(_compare_within, kept, t), run))
    found = _found(_Judge(kept, kept, t, rows), np.union1d(pairs.rows, pairs.of), rows, run)
    return Neighbours(_as_twins(opened, opened, _settled(opened, pairs)), len(rows), found)


def neighbours_of(kept: Kept, originals: Kept, t: float, exact_rows: int, run: Run) -> Neighbours:
    """Return every row that lies next to an original, and the nearest; those whose very words stand there left out."""
    opened, others = kept.open(), originals.open()
    rows, may_be = _each_text_once(opened), _each_text_once(others)
    new = rows[~held(opened.numbers("hash")[rows], others.numbers("hash"))]
    if not len(may_be):
        return Neighbours(_as_twins(opened, others, Pairs.joined([])), len(rows), None)
    if len(rows) * len(may_be) <= exact_rows**2:
        new, may_be = new[np.argsort(opened.rank(new))], may_be[np.argsort(others.rank(may_be))]
        at, cosine = nearest_original(opened.vectors(new), others.vectors(may_be))
        pairs, found = Pairs(new, may_be[at], cosine).take(cosine >= t), None
    else:
        cells = _Cells.of(kept, originals, may_be, run, new)
        pairs = cells.pairs(partial(_compare_with, kept, originals, t), run).nearest(others)
        found = _found(_Judge(kept, originals, t, may_be), pairs.rows, new, run)
    return Neighbours(_as_twins(opened, others, pairs), len(rows), found)


def _each_text_once(rows: Columns) -> Int[np.ndarray, " m"]:
    """Return the numbers of the rows, of equal texts only the one with the smallest id."""
    kind, counts = np.unique(rows.numbers("hash"), return_inverse=True, return_counts=True)[1:]
    again = np.flatnonzero(counts[kind] > 1)
    again = again[np.lexsort((rows.rank(again), kind[again]))]
    first = np.unique(kind[again], return_index=True)[1]
    return np.union1d(np.flatnonzero(counts[kind] == 1), again[first])


def _as_twins(rows: Columns, others: Columns, pairs: Pairs) -> pa.Table:
    return twins_of({
        "place": rows.numbers("place", pairs.rows), "id": rows.strings("id", pairs.rows),
        "of": others.strings("id", pairs.of), "similarity": pairs.similarity.astype(np.float64),
        "exact": np.zeros(len(pairs.rows), dtype=bool),
    })  # fmt: skip


def _before(rows: Columns, pairs: Pairs) -> Pairs:
    """Turn pairs so that the original has the smaller id."""
    rank, rank_of = np.split(rows.rank(np.concatenate([pairs.rows, pairs.of])), 2)
    turned = rank < rank_of
    return Pairs(np.where(turned, pairs.of, pairs.rows), np.where(turned, pairs.rows, pairs.of), pairs.similarity)


def _settled(rows: Columns, pairs: Pairs) -> Pairs:
    """Give each row the nearest original that is next to none itself, as far as there is one."""
    rank, rank_of = np.split(rows.rank(np.concatenate([pairs.rows, pairs.of])), 2)
    kept: dict[int, int] = {}
    for at in np.lexsort((rank_of, -pairs.similarity, rank)).tolist():
        row = int(pairs.rows[at])
        if row not in kept or (int(pairs.of[kept[row]]) in kept and int(pairs.of[at]) not in kept):
            kept[row] = at
    return pairs.take(np.fromiter(kept.values(), np.int64, len(kept)))


Cell = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]
"""Rows that lie in a cell, and rows that look in it: by their numbers."""


@dataclass(frozen=True)
class _Cells:
    """Which rows lie in which cell, and which look in it."""

    members: Int[np.ndarray, " m"]
    home: Int[np.ndarray, " m"]
    """Cell of each member."""
    seekers: Int[np.ndarray, " s"]
    looks_in: Int[np.ndarray, "s L"]
    """Cells each seeker looks in."""
    n: int

    @classmethod
    def of(
        cls, kept: Kept, originals: Kept, members: Int[np.ndarray, " m"], run: Run,
        seekers: Int[np.ndarray, " s"] | None = None,
    ) -> _Cells:  # fmt: skip
        """Learn the cells from some originals. Without seekers, members look in other cells than their own."""
        others = originals.open()
        drawn = members[np.argsort(others.numbers("draw")[members], kind="stable")[:_LEARNT_FROM]]
        centres = _centres(others.vectors(drawn), int(2.5 * math.sqrt(len(members))))
        nearest = _in_chunks(partial(_nearest_centres, originals, centres), members, run)
        if seekers is None:
            return cls(members, nearest[:, 0], members, nearest[:, 1:], len(centres))
        looks_in = _in_chunks(partial(_nearest_centres, kept, centres), seekers, run)
        return cls(members, nearest[:, 0], seekers, looks_in, len(centres))

    def pairs(self, compare: Callable[[Sequence[Cell]], Pairs], run: Run) -> Pairs:
        """Compare the rows of all cells with those that look in there."""
        return Pairs.joined(run(compare, list(self._tasks())))

    def _tasks(self) -> Iterator[list[Cell]]:
        """Put cells together until they hold enough rows for a task."""
        seekers = np.repeat(self.seekers, self.looks_in.shape[1])
        sides = [_by_cell(*side, self.n) for side in ((self.members, self.home), (seekers, self.looks_in.ravel()))]
        task: list[Cell] = []
        for mine, looking in zip(*sides, strict=True):
            if len(mine):
                task.append((mine, looking))
            if sum(len(m) + len(s) for m, s in task) >= _TASK_ROWS:
                yield task
                task = []
        if task:
            yield task


def _by_cell(rows: Int[np.ndarray, " r"], cell: Int[np.ndarray, " r"], n: int) -> Iterator[Int[np.ndarray, " _"]]:
    order = np.argsort(cell, kind="stable")
    cuts = np.searchsorted(cell[order], np.arange(n + 1))
    return (rows[order[a:b]] for a, b in zip(cuts[:-1], cuts[1:], strict=True))


def _centres(x: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, "k d"]:
    from sklearn.cluster import MiniBatchKMeans

    means = MiniBatchKMeans(min(k, len(x)), init="random", n_init=1, max_iter=10, batch_size=4096, random_state=0)
    centres = means.fit(x).cluster_centers_
    return (centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)).astype(np.float32)


def _in_chunks(
    task: Callable[[tuple[int, np.ndarray]], tuple[int, np.ndarray]], rows: np.ndarray, run: Run
) -> np.ndarray:
    """Run a task over chunks of rows, and put what it says of each row in order."""
    chunks = [(start, rows[start : start + _TASK_ROWS]) for start in range(0, max(1, len(rows)), _TASK_ROWS)]
    return np.concatenate([of for _, of in sorted(run(task, chunks), key=lambda said: said[0])])


def _nearest_centres(
    kept: Kept, centres: Float[np.ndarray, "k d"], chunk: tuple[int, Int[np.ndarray, " c"]]
) -> tuple[int, Int[np.ndarray, "c L"]]:
    """Return the cells nearest to each row, the nearest first."""
    start, rows = chunk
    opened, looked_in = kept.open(), min(_LOOKED_IN, len(centres))
    found = [np.empty((0, looked_in), np.int32)]
    for low in range(0, len(rows), 4096):
        cosines = opened.vectors(rows[low : low + 4096]) @ centres.T
        best = np.argpartition(-cosines, looked_in - 1, axis=1)[:, :looked_in]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(best, order, axis=1).astype(np.int32))
    return start, np.concatenate(found)


def _compare_within(kept: Kept, t: float, cells: Sequence[Cell]) -> Pairs:
    """Find the rows of each cell that lie next to another, and those that look in and lie next to a first one."""
    opened, found = kept.open(), list[Pairs]()
    for members, seekers in cells:
        members = members[np.argsort(opened.rank(members))]
        x = opened.vectors(members)
        of, cosine = repeats_of_earlier(x, t)
        near = np.flatnonzero(of >= 0)
        found.append(Pairs(members[near], members[of[near]], cosine[near]))
        first = np.flatnonzero(of < 0)
        at, cosine = nearest_original(opened.vectors(seekers), x[first])
        found.append(Pairs(seekers, members[first[at]], cosine).take(cosine >= t))
    return Pairs.joined(found)


def _compare_with(kept: Kept, originals: Kept, t: float, cells: Sequence[Cell]) -> Pairs:
    """Find the rows that look in a cell and lie next to one of its originals."""
    opened, others, found = kept.open(), originals.open(), list[Pairs]()
    for members, seekers in cells:
        at, cosine = nearest_original(opened.vectors(seekers), others.vectors(members))
        found.append(Pairs(seekers, members[at], cosine).take(cosine >= t))
    return Pairs.joined(found)


@dataclass(frozen=True)
class _Judge:
    """Says of some rows whether they have a neighbour, by looking at all."""

    kept: Kept
    originals: Kept
    t: float
    may_be: Int[np.ndarray, " o"]

    def has(self, drawn: Int[np.ndarray, " j"], chunk: tuple[int, Int[np.ndarray, " c"]]) -> Bool[np.ndarray, " j"]:
        """Look at a chunk of the originals."""
        mine, others = self.kept.open(), self.originals.open()
        cosines = mine.vectors(drawn) @ others.vectors(chunk[1]).T
        if self.kept == self.originals:  # a row is not next to itself
            cosines[drawn[:, None] == chunk[1][None, :]] = -1
        return (cosines >= self.t).any(axis=1)


def _found(judge: _Judge, found: Int[np.ndarray, " f"], rows: Int[np.ndarray, " r"], run: Run) -> tuple[int, int]:
    """Return of how many of some rows that have a neighbour one was found."""
    draws = judge.kept.open().numbers("draw")[rows]
    drawn = rows[np.argsort(draws, kind="stable")[:_JUDGED_BY]]
    chunks = [(start, judge.may_be[start : start + _TASK_ROWS]) for start in range(0, len(judge.may_be), _TASK_ROWS)]
    has = np.any([*run(partial(judge.has, drawn), chunks)], axis=0)
    return int(np.isin(drawn[has], found).sum()), int(has.sum())
