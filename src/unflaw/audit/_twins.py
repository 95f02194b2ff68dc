"""Rows and the rows they repeat: as a table, in groups, and as scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._work import open_table
from unflaw.data import Finding

__all__ = ["TWINS", "groups_of", "scores_of", "twins_of"]

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
    of, counts = np.unique(np.array(twins["of"].to_pylist(), dtype=object), return_counts=True)
    largest = sorted(range(len(of)), key=lambda i: (-counts[i], of[i]))[:_GROUPS]
    names = {of[i]: [of[i]] for i in largest}
    for other, row in sorted(zip(twins["of"].to_pylist(), twins["id"].to_pylist(), strict=True)):
        if other in names and len(names[other]) < _MEMBERS:
            names[other].append(row)
    groups = [{"n_rows": int(counts[i]) + 1, "rows": names[of[i]]} for i in largest]
    return {"n_groups": len(of), "groups": groups}


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
