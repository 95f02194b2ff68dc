"""Tables: do rows lie nearer to the real rows they were made from than to others, or than real rows do?

A distance to the closest record says nothing by itself: it is small where a table is coarse, and grows as there are
fewer rows to be near. So a choice is asked for. With held-out rows: is a row nearer to the reference or to as many of
those? Rows that remember nothing choose either as often. Without: does a row lie nearer to the real rows than one of
them to the others? There rows may win by being typical, too, since the middle of a table is crowded.

References
----------
    Platzer & Reutterer (2021), "Holdout-Based Empirical Assessment of Mixed-Type Synthetic Data", Frontiers in Big Data
    4; SDMetrics' DCROverfittingProtection asks the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._shares import Rule
from unflaw.audit._tables_rows import TableSummary, plain
from unflaw.audit._tables_sides import Sides
from unflaw.audit._tables_view import Column, View
from unflaw.audit._tables_written import Way
from unflaw.audit._template import above
from unflaw.data import Finding
from unflaw.measure import auc, auc_interval, nearest_row, positions, text_hash, wilson_interval

__all__ = ["closest_finding", "score_closest"]

NEARER = Rule(0.04, 0.15)
"""Above the control: eight rows in a hundred are copies, or thirty."""
_MANY = 4.0
"""Standard errors above what chance gives: rows share their nearest ones, so the share varies 1.1 times as much as that
of rows by themselves would, in some tables 1.4 times."""
_NEAREST = 0.05
"""Rows nearer to a real one than this share of real rows are get a score."""
_MOST_ROWS, _MOST_STEPS = 3000, 200_000_000
"""Rows of a set whose distances to those of another are taken; and differences of two values, all together."""


@dataclass(frozen=True)
class Places:
    """Where rows lie: numbers by the share of others below, words by themselves."""

    x: Float[np.ndarray, "n p"]
    words: Int[np.ndarray, "n q"]

    @classmethod
    def of(cls, view: View, columns: Sequence[Column], among: Float[np.ndarray, "k p"]) -> Places:
        """Place rows among others by their numbers; that one is missing is a word of its own."""
        numbers = [c.name for c in columns if c.kind == "number"]
        words = [_hashed(view.words(c.name)) for c in columns if c.kind != "number"]
        words += [np.isnan(view.numbers(name)).astype(np.int64) for name in numbers]
        coded = np.stack(words, axis=1) if words else np.empty((len(view), 0), dtype=np.int64)
        return cls(positions(view.matrix(numbers), among), coded)

    def __len__(self) -> int:
        return len(self.x)

    def first(self, n: int) -> Places:
        """Return the first n rows: they come in random order."""
        return Places(self.x[:n], self.words[:n])

    def to(self, others: Places) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return the nearest of the others to each row, and how far it lies."""
        return nearest_row(self.x, self.words, others.x, others.words)

    def to_others(self) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return the nearest other row of the same to each."""
        return nearest_row(self.x, self.words, self.x, self.words, but_own=True)


def _hashed(column: pa.Array) -> Int[np.ndarray, " n"]:
    """Return whole numbers below 2^52, which floats hold."""
    coded = column.dictionary_encode()
    words = np.array([text_hash(word) >> 12 for word in coded.dictionary.to_pylist()] + [0], dtype=np.int64)
    return words[pc.fill_null(coded.indices, len(words) - 1).to_numpy(zero_copy_only=False)]


class Nearness(NamedTuple):
    """How often a row lies nearer to real rows than it should: one half is no flaw."""

    share: float
    low: float
    high: float
    n: int
    chance: float
    """Standard deviation of the share where there is no flaw."""


def nearer(rows: Sequence[Places], reference: Sequence[Places], holdout: Places, most: int) -> Nearness:
    """Return the share of rows nearer to the reference than to as many held-out rows, ties half; sets come in pairs."""
    won = []
    for mine, real in zip(rows, reference, strict=True):
        n = min(len(real), len(holdout), most)
        (_, to_real), (_, to_held) = (mine.first(most).to(others.first(n)) for others in (real, holdout))
        won.append(np.where(to_real == to_held, 0.5, to_real < to_held))
    wins = np.concatenate(won)
    share = float(wins.mean())
    low, high = wilson_interval(round(share * len(wins)), len(wins))
    return Nearness(share, min(low, share), max(high, share), len(wins), 0.5 / math.sqrt(len(wins)))


def nearness(rows: Places, real: Places, most: int) -> tuple[Nearness, Nearness]:
    """Return the chance that a row lies nearer to the real rows than one of these does to the others.

    Of a real row it is one half, by symmetry: that is the second.
    """
    rows, real = rows.first(most), real.first(most)
    (_, near), (_, usual) = rows.to(real), real.to_others()
    m, n, share = len(near), len(usual), auc(-near, -usual)
    chance = math.sqrt((m + n + 1) / (12 * m * n))
    return Nearness(share, *auc_interval(share, m, n), m, chance), Nearness(0.5, *auc_interval(0.5, n, n), n, chance)


def closest_finding(
    sides: Sides, control: tuple[TableSummary, TableSummary], holdout: TableSummary | None
) -> Finding | None:
    """Return how often rows lie nearer to real ones than they should; None where there is no column to tell by."""
    if holdout is not None and not {c.name for c in sides.shared} & set(holdout.sample.table.column_names):
        holdout = None
    columns = [c for c in sides.shared if holdout is None or c.name in holdout.sample.table.column_names]
    if not columns:
        return None
    most = min(_MOST_ROWS, math.isqrt(_MOST_STEPS // len(columns)))
    samples = [half.sample for half in control] + ([] if holdout is None else [holdout.sample])
    views = [sides.synthetic, sides.reference, *(sample.view for sample in samples)]
    among = _among(views, columns)
    mine, real, a, b, *held = (Places.of(view, columns, among) for view in views)
    if held:
        found, usual = nearer([mine], [real], held[0], most), nearer([a, b], [b, a], held[0], most)
    else:
        found, usual = nearness(mine, real, most)
    excess = found.share - max(0.5, usual.share)  # real rows that prefer held-out ones excuse nothing
    verdict = above(excess if excess > _MANY * found.chance else 0.0, NEARER.warn, NEARER.fail)
    than = "than to as many held-out rows" if held else "than a real row lies to others"
    near = None if verdict == "ok" else _Near.of(columns, among, sides, most)
    return Finding(
        check="tables.closest",
        title="Rows lie nearer to real rows than they should",
        value=found.share,
        low=found.low,
        high=found.high,
        better="lower",
        verdict=verdict,
        threshold=f"warn from {NEARER.warn:g}, fail from {NEARER.fail:g} above the control and .5, when {_MANY:g} "
        "standard errors off",
        meaning=f"{found.share:.0%} of the rows lie nearer to real rows {than}; half of them would by chance."
        + ("" if held else " Held-out rows would tell whether they are copied, or only typical."),
        control=usual.share,
        control_low=usual.low,
        control_high=usual.high,
        unit="share of rows, .5 being chance",
        n_rows=found.n,
        n_reference=usual.n,
        evidence={
            "held_out": bool(held), "columns": [c.name for c in columns], "rows_of_a_set": most,
            "distance": "mean over columns: of numbers, the share of rows between them; of words 0 or 1",
            "_near": near,
        },
        settings=sides.settings,
    )  # fmt: skip


def _among(views: Sequence[View], columns: Sequence[Column]) -> Float[np.ndarray, "k p"]:
    """Return as many rows of each table to place rows among: among real ones alone, these would lie more evenly."""
    numbers = [column.name for column in columns if column.kind == "number"]
    whole = [views[0], views[1], *views[4:]]  # the third and fourth are halves of the second
    n = min(map(len, whole))
    return np.concatenate([view.matrix(numbers)[:n] for view in whole])


@dataclass(frozen=True)
class _Near:
    """Real rows, and how near to another of them one of them usually lies."""

    columns: Sequence[Column]
    among: Float[np.ndarray, "k p"]
    """Some of the rows among which rows are placed: this travels to every process."""
    real: Places
    ids: Sequence[str]
    edge: float
    """Nearer lie 5 % of the real rows."""
    middle: float
    ways: Mapping[str, Way]

    @classmethod
    def of(cls, columns: Sequence[Column], among: Float[np.ndarray, "k p"], sides: Sides, most: int) -> _Near:
        """Look at the first real rows, those that have an id."""
        some, ids = among[:: max(1, len(among) // _MOST_ROWS)], sides.real_ids[:most]
        places = Places.of(sides.reference.take(slice(len(ids))), columns, some)
        usual = places.to_others()[1]
        edge, middle = float(np.quantile(usual, _NEAREST)), float(np.median(usual))
        return cls(columns, some, places, ids, edge, middle, sides.reference.ways)

    def score(self, batch: Batch) -> dict[str, RowScore]:
        """Score the rows that lie nearer to a real row than nearly all real rows lie to others."""
        at, distance = Places.of(View(plain(batch.rows), self.ways), self.columns, self.among).to(self.real)
        said = f"than {1 - _NEAREST:.0%} of real rows to any other"
        return {
            batch.ids[i]: RowScore(
                1 - float(distance[i]) / self.middle, f"lies nearer to real row {self.ids[int(at[i])]} {said}"
            )
            for i in np.flatnonzero(distance < self.edge).tolist()
        }


def score_closest(batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
    """Score the rows that lie too near to a real one, where too many do."""
    near = {f.check: f.evidence["_near"] for f in findings if f.evidence.get("_near") is not None}
    return {check: of.score(batch) for check, of in near.items()}
