"""Rows and the rows they repeat: as a table, in groups, and as scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._work import open_table
from unflaw.data import Finding

__all__ = ["TWINS", "groups_of", "root_of", "scores_of", "twins_of"]

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


def root_of(twins: pa.Table) -> dict[str, str]:
    """Return the first row of the group of each row that repeats one."""
    of: dict[str, str] = dict(zip(twins["id"].to_pylist(), twins["of"].to_pylist(), strict=True))
    return {row: of.get(first, first) for row, first in of.items()}  # an exact copy of a row that is a near copy


def groups_of(twins: pa.Table) -> dict[str, Any]:
    """Return the largest groups of rows that repeat one and the same, as evidence; their first row is that one.

    Which row of a group is the best is known only when all rows have a score (`_best.py`).
    """
    root = root_of(twins)
    counts = Counter(root.values())
    largest = sorted(counts, key=lambda name: (-counts[name], name))[:_GROUPS]
    members = {name: [name] for name in largest}
    for row in sorted(row for row, name in root.items() if name in members):
        if len(members[root[row]]) < _MEMBERS:
            members[root[row]].append(row)
    groups = [{"n_rows": counts[name] + 1, "rows": members[name]} for name in largest]
    return {"n_groups": len(counts), "groups": groups}


def scores_of(batch: Batch, finding: Finding) -> dict[str, RowScore]:
    """Score the rows of a batch that repeat another by their similarity.

    In the finding's evidence lie the table of twins, in memory or by its path (`_twins`), and what makes a reason of
    finding, id of the other, similarity, and whether it is exact (`_says`).
    """
    table = finding.evidence["_twins"]
    table = open_table(table) if isinstance(table, Path) else table
    places = table["place"].to_numpy()
    low, high = np.searchsorted(places, [batch.start, batch.start + len(batch.texts)]).tolist()
    columns = (table[name].slice(low, high - low).to_pylist() for name in ("id", "of", "similarity", "exact"))
    return {
        row_id: RowScore(min(1.0, similarity), finding.evidence["_says"](finding, of, similarity, exact))
        for row_id, of, similarity, exact in zip(*columns, strict=True)
    }
