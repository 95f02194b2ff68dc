"""Rows and the rows they repeat: as a table, in groups, and as scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._work import open_table
from unflaw.data import ID, Finding

__all__ = ["TWINS", "groups_of", "scores_of", "twins_of", "with_best"]

TWINS = pa.schema({
    "place": pa.int64(), "id": pa.string(), "of": pa.string(), "similarity": pa.float64(), "exact": pa.bool_(),
    "label": pa.string(), "of_label": pa.string(),
})  # fmt: skip
"""A row, the row it repeats, and both labels, "" where there are none. Sorted by place in the set of the row."""

_GROUPS, _MEMBERS = 50, 10


def twins_of(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> pa.Table:
    """Return the table of these columns; labels may be missing."""
    n = len(columns["id"])
    table = pa.table({name: columns.get(name, [""] * n) for name in TWINS.names}, schema=TWINS)
    return table.take(pa.array(np.argsort(table["place"].to_numpy(), kind="stable")))


def groups_of(twins: pa.Table) -> dict[str, Any]:
    """Return the largest groups of rows that repeat one and the same, as evidence; their first row is that one.

    Which row of a group is the best is known only when all rows have a score (`_scores.py`).
    """
    of = dict(zip(twins["id"].to_pylist(), twins["of"].to_pylist(), strict=True))
    root = {row: of.get(first, first) for row, first in of.items()}  # an exact copy of a row that is a near copy
    counts = Counter(root.values())
    largest = sorted(counts, key=lambda name: (-counts[name], name))[:_GROUPS]
    members = {name: [name] for name in largest}
    for row in sorted(row for row, name in root.items() if name in members):
        if len(members[root[row]]) < _MEMBERS:
            members[root[row]].append(row)
    groups = [{"n_rows": counts[name] + 1, "rows": members[name]} for name in largest]
    return {"n_groups": len(counts), "groups": groups}


def scores_of(
    batch: Batch, finding: Finding, reason: Callable[[Finding, str, float, bool], str]
) -> dict[str, RowScore]:
    """Score the rows of a batch that repeat another by their similarity; `reason` takes finding, id, similarity, exact.

    The table of twins lies in the finding's evidence, in memory or by its path.
    """
    table = finding.evidence["_twins"]
    table = open_table(table) if isinstance(table, Path) else table
    places = table["place"].to_numpy()
    low, high = np.searchsorted(places, [batch.start, batch.start + len(batch.texts)]).tolist()
    columns = (table[name].slice(low, high - low).to_pylist() for name in ("id", "of", "similarity", "exact"))
    return {
        row_id: RowScore(min(1.0, similarity), reason(finding, of, similarity, exact))
        for row_id, of, similarity, exact in zip(*columns, strict=True)
    }


def with_best(findings: Sequence[Finding], table: pa.Table, score: str) -> list[Finding]:
    """Name the best row of each group that a finding lists: the one that the other checks speak against the least.

    `table` holds ids and scores by finding, in columns that begin with `score`; of several rows the first is the best.
    """
    import pyarrow.compute as pc

    counted = [f for f in findings if f.verdict != "ok" and f.n_scored]
    found = []
    for finding in findings:
        groups = finding.evidence.get("groups", [])
        if groups:
            members = table.filter(pc.is_in(table[ID], pa.array([i for group in groups for i in group["rows"]])))
            others = [f"{score}.{f.check}" for f in counted if f.check.split(".")[0] not in _OF_TWINS]
            sums = sum((members[name].fill_null(0).to_numpy() for name in others), np.zeros(len(members)))
            bad = dict(zip(members[ID].to_pylist(), sums.tolist(), strict=True))
            told = [{**group, "best": min(group["rows"], key=bad.__getitem__)} for group in groups]
            finding = replace(finding, evidence={**finding.evidence, "groups": told})
        found.append(finding)
    return found


_OF_TWINS = ("copies", "paraphrases")
"""Checks that speak against all rows of a group but the first."""
