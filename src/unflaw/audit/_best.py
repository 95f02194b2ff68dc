"""Of rows that say the same, which stays: the first, or where another check blames it, the best that none blames.

Copies and paraphrases are found before any row has a score, and speak against every row of a group but the first. Where
that has another flaw, and a row of its group has none, these two change places once all are scored: else whoever takes
out what is blamed loses the first for its flaw, and the others for being its copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unflaw.audit._frame import RowScore
from unflaw.audit._twins import root_of
from unflaw.audit._work import open_table
from unflaw.data import ID, Finding

__all__ = ["Swap", "in_groups", "swaps_of", "with_best"]


class Swap(NamedTuple):
    """The first row of a group, and the one that takes its place."""

    first: str
    first_at: int
    """Its place in the set."""
    best: str
    best_at: int
    score: RowScore
    """What is now said of the first."""


def in_groups(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that speak against all rows of a group but one."""
    return [f for f in findings if "groups" in f.evidence]


def swaps_of(finding: Finding, whole: pa.Table, others: Sequence[str]) -> list[Swap]:
    """Return who changes places in the groups of a finding.

    `whole` is the table of all rows, in order: id, whether another check blames it, and scores by check, of which
    `others` count.
    """
    twins = finding.evidence["_twins"]
    twins = open_table(twins) if isinstance(twins, Path) else twins
    roots = root_of(twins)
    firsts = np.flatnonzero(pc.is_in(whole[ID], pa.array(sorted(set(roots.values())), pa.string())).to_numpy())
    known = zip(whole[ID].take(pa.array(firsts)).to_pylist(), firsts.tolist(), _bad(whole, firsts, others), strict=True)
    flawed = {row: at for row, at, (blamed, _) in known if blamed}
    asked = twins.filter(pa.array([roots[row] in flawed for row in twins["id"].to_pylist()], pa.bool_()))
    columns = (asked[name].to_pylist() for name in ("id", "place", "similarity", "exact"))
    members = sorted(zip(_bad(whole, asked["place"].to_numpy(), others), *columns, strict=True))
    swaps: dict[str, Swap] = {}
    for (blamed, _), row, at, similarity, exact in members:  # the best of each group comes first
        first = roots[row]
        if first not in swaps and not blamed:
            said = RowScore(min(1.0, similarity), finding.evidence["_says"](finding, row, similarity, exact))
            swaps[first] = Swap(first, flawed[first], row, at, said)
    return list(swaps.values())


def with_best(finding: Finding, swaps: Sequence[Swap]) -> Finding:
    """Name the row of each group that stays."""
    best = {swap.first: swap.best for swap in swaps}
    groups = [_with(group, best.get(group["rows"][0], group["rows"][0])) for group in finding.evidence["groups"]]
    return replace(finding, evidence={**finding.evidence, "groups": groups})


def _with(group: Mapping[str, Any], best: str) -> dict[str, Any]:
    rows = list(group["rows"])
    return {**group, "best": best, "rows": rows if best in rows else [*rows[:-1], best]}


def _bad(whole: pa.Table, places: np.ndarray, others: Sequence[str]) -> list[tuple[bool, float]]:
    """Return of rows whether they are blamed, and the sum of their scores by other checks."""
    rows = whole.select(["blamed", *others]).take(pa.array(places, pa.int64()))
    sums = sum((np.nan_to_num(rows[name].to_numpy().astype(np.float64)) for name in others), np.zeros(len(rows)))
    return list(zip(rows["blamed"].to_pylist(), sums.tolist(), strict=True))
