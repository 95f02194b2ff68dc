"""Labels that several gave a row: the column `annotations`, and `unflaw.annotators` where models gave them."""

from __future__ import annotations

from typing import Any

from unflaw.data._rows import Rows

__all__ = ["ANNOTATIONS", "ANNOTATORS", "annotations_of", "annotators_of"]

ANNOTATIONS, ANNOTATORS = "annotations", "unflaw.annotators"
"""Columns of the labels a row was given, a list, and of the names of the models that gave them, if no people did."""
_MOST = 100
"""Labels of a row: more are no votes, but spans or free text."""


def annotations_of(rows: Rows) -> list[list[Any]]:
    """Return the labels that each row was given; none where there is no column of lists."""
    given = rows.column(ANNOTATIONS) if ANNOTATIONS in rows.table.column_names else [None] * len(rows)
    told = [
        [v for v in row if isinstance(v, (str, int, float)) and v == v] if isinstance(row, list) else []  # nan != nan
        for row in given
    ]
    return [row if len(row) <= _MOST else [] for row in told]


def annotators_of(rows: Rows) -> frozenset[str]:
    """Return the names of the models that gave the annotations; none where people did."""
    named = rows.column(ANNOTATORS) if ANNOTATORS in rows.table.column_names else []
    return frozenset(str(name) for row in named for name in row or ())
