"""What the three tasks share: arms that are done once, rows taken out by an audit, differences with intervals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unflaw import filter_rows
from unflaw.audit import Audit
from unflaw.data import Rows
from unflaw.report import excess

__all__ = [
    "CLEAN",
    "HIGHER",
    "Arms",
    "Record",
    "found_in",
    "lines_of",
    "ratio",
    "ratio_of_items",
    "taken_out",
    "taken_out_words",
]

Record = dict[str, Any]
NAME = ("set", "seed", "flaw", "dose", "arm")
"""What an arm is known by."""
CLEAN = ("clean", "clean again", "clean once more")
"""Arms on clean rows; where an order of the rows may be lucky, flaws are held against the mean of three."""
HIGHER = frozenset(
    "gap.precision gap.recall gap.density gap.coverage diversity.distinct diversity.vendi diversity.remote_clique"
    " diversity.chamfer perplexity.variance_ratio perplexity.after_variance_ratio".split()
)
"""Findings whose value is the better the higher it is."""
MOST = 0.5
"""No more of the rows are taken out, whatever an audit says."""


class Arms:
    """Records of one task, a line each: what is there is not done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: dict[tuple[Any, ...], Record] = {}
        for record in lines_of(path):
            self.records[name_of(record)] = record
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")  # ends what a run that was cut off left of a line

    def once(self, work: Callable[[], Mapping[str, Any]], **name: Any) -> Record:
        """Do an arm, or return what it came to."""
        key = name_of(name)
        if key not in self.records:
            record = {**name, **work()}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            self.records[key] = json.loads(json.dumps(record))
        return self.records[key]


def lines_of(path: Path) -> list[Record]:
    """Read records; half a line, of a run that was cut off, is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def name_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells an arm from others."""
    return tuple(record.get(part) for part in NAME)


def found_in(found: Audit) -> dict[str, list[Any]]:
    """Return value, control, verdict and rows of every finding."""
    return {f.check: [round(f.value, 6), _rounded(f.control), f.verdict, f.n_rows] for f in found.findings}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def taken_out(rows: Rows, found: Audit) -> tuple[str, ...]:
    """Return the rows that go, as a user would have it: those that score highest, as many as there are too many.

    How many are too many is the largest excess over real rows of the findings that warn or fail, and a tenth where none
    of them counts rows. Where labels are spread unlike real ones they go from the classes that have most.
    """
    flawed = [f for f in found.findings if f.verdict != "ok"]
    unbalanced = [f for f in flawed if f.check == "labels.balance"]
    named = [f for f in flawed if f.row_scores]
    if not (named or unbalanced):
        return ()
    counted = [share for f in (*named, *unbalanced) if (share := excess(f, len(rows))) is not None]
    share = min(MOST, max(counted, default=0.1))
    if unbalanced:
        kept = round(len(rows) * (1 - share))
        return tuple(filter_rows(rows, found.row_scores(), keep=kept, balance="label").removed)
    return tuple(filter_rows(rows, found.row_scores(), worst=share).removed)


def taken_out_words(removed: Iterable[int], spoilt: Iterable[int]) -> dict[str, int]:
    """Count rows taken out, and how many of them are spoilt."""
    removed = set(removed)
    return {"removed": len(removed), "right": len(removed & set(spoilt))}


def ratio(
    losses: Sequence[np.ndarray], gains: Sequence[np.ndarray], n_resamples: int = 2000
) -> tuple[float, float, float]:
    """Return a loss as a share of the gain, the mean over sets and kinds of model, with its 95 % interval.

    A loss and a gain are arrays of seeds × kinds, one of each for every set. The bootstrap draws seeds, of each set on
    its own: what is paired stays paired. Of three seeds the interval is hardly more than their range.

    >>> ratio([np.array([[1.0], [3.0]])], [np.array([[4.0], [4.0]])])
    (0.5, 0.25, 0.75)
    """
    rng, drawn = np.random.default_rng(0), []
    shares = [loss.mean(0) / gain.mean(0) for loss, gain in zip(losses, gains, strict=True)]
    for loss, gain in zip(losses, gains, strict=True):
        places = rng.integers(0, len(loss), (n_resamples, len(loss)))
        drawn.append(loss[places].mean(1) / gain[places].mean(1))  # resamples × kinds
    return _with_ends(float(np.mean(np.concatenate(shares))), np.concatenate(drawn, axis=1).mean(1))


def ratio_of_items(
    losses: Sequence[np.ndarray], gains: Sequence[np.ndarray], n_resamples: int = 2000
) -> tuple[float, float, float]:
    """Return a loss as a share of the gain where each seed has items of its own: seeds are drawn, and items of each.

    >>> ratio_of_items([np.array([1.0, 1.0])], [np.array([4.0, 4.0])])
    (0.25, 0.25, 0.25)
    """
    loss, gain = np.array(losses), np.array(gains)  # seeds × items
    rng = np.random.default_rng(0)
    seeds = rng.integers(0, len(loss), (n_resamples, len(loss), 1))
    items = rng.integers(0, loss.shape[1], (n_resamples, *loss.shape))
    drawn = loss[seeds, items].mean((1, 2)) / gain[seeds, items].mean((1, 2))
    return _with_ends(float(loss.mean() / gain.mean()), drawn)


def _with_ends(value: float, drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return value, float(low), float(high)
