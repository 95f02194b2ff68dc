"""What a file holds, found in one pass with bounded memory."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from unflaw.data._columns import is_json, unpacked
from unflaw.data._json import plain_value
from unflaw.data._nouns import Rejection
from unflaw.data._read import RowReader
from unflaw.data._rows import ROLES, Rows
from unflaw.data._seen import Seen, digest

__all__ = ["Column", "Inspection", "Lengths", "inspect"]

_LABELS_COUNTED = 1000
_EXAMPLES = 3


@dataclass(frozen=True)
class Column:
    """One column of the file."""

    name: str
    type: str
    """In Arrow's words, e.g. "string", "list<item: int64>"; "mixed" where values have no common type."""
    role: str
    """The role it plays, empty for none."""
    n_null: int


@dataclass(frozen=True)
class Lengths:
    """How long the texts of a role are. A percentile is a length that occurs (the nearest rank)."""

    unit: Literal["words", "characters"]
    min: int
    median: int
    p95: int
    max: int


@dataclass(frozen=True)
class Inspection:
    """What `unflaw inspect` shows."""

    source: str
    schema: str
    roles: Mapping[str, str]
    """Role → column; those starting with `unflaw.` were worked out from other columns."""
    n_rows: int
    n_rejected: int
    n_copies: int
    """Rows that say exactly what an earlier row says."""
    id_column: str | None
    """The file's own id column; None where ids come from what rows say."""
    columns: Sequence[Column]
    lengths: Mapping[str, Sequence[Lengths]]
    """Role → its lengths in words and in characters, empty texts left out."""
    labels: Mapping[str, int]
    """Label → rows, the most frequent first."""
    reasons: Mapping[str, int]
    """Why lines became no rows → how many, the most frequent first."""
    rejected: Sequence[Rejection]
    """The first lines that became no row."""
    examples: Sequence[Mapping[str, Any]]
    """The first rows: role → value, or column → value in a plain table. JSON-ready: NaN is null, bytes are base64."""
    warnings: Sequence[str] = field(default=())
    """What looks wrong, in sentences."""


def inspect(
    path: str | os.PathLike[str],
    *,
    schema: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_truncated: Literal["error", "keep"] = "error",
) -> Inspection:
    """Look at a file: its schema, counts, lengths, labels and first rows.

    Ids that occur twice, which `read` refuses, are only warned about here. `RowReader` explains
    the parameters and the errors.
    """
    how: dict[str, Any] = {"schema": schema, "columns": columns, "on_truncated": on_truncated}
    own = RowReader(path, **how).id_column
    reader = RowReader(path, **how, limit=limit, ids="content", progress=progress)
    notes = _Notes(own)
    for rows in reader:
        notes.take(rows)
    labels = dict(notes.labels.most_common())
    return Inspection(
        source=os.fspath(path),
        schema=reader.schema,
        roles=reader.roles,
        n_rows=reader.n_rows,
        n_rejected=reader.n_rejected,
        n_copies=notes.n_copies,
        id_column=own,
        columns=notes.columns(reader.roles),
        lengths={role: _lengths(notes, role) for role in ROLES if role in notes.words},
        labels={str(label): n for label, n in labels.items()},
        reasons=dict(reader.reasons.most_common()),
        rejected=reader.rejected[:10],
        examples=notes.examples,
        warnings=_warnings(notes, reader, own),
    )


class _Notes:
    """What is kept of the rows that went by: counts, never rows."""

    def __init__(self, id_column: str | None) -> None:
        self.id_column, self.ids = id_column, Seen()
        self.types: dict[str, pa.Field] = {}
        self.filled: Counter[str] = Counter()
        self.words: dict[str, Counter[int]] = {}
        self.characters: dict[str, Counter[int]] = {}
        self.labels: Counter[Any] = Counter()
        self.many_labels = False
        self.examples: list[dict[str, Any]] = []
        self.n_rows = self.n_copies = self.n_same_id = 0

    def take(self, rows: Rows) -> None:
        self.n_rows += len(rows)
        self.n_copies += sum("-" in i for i in rows.ids)
        for one, column in zip(rows.table.schema, rows.table.columns, strict=True):
            if one.name not in self.types or not pa.types.is_null(one.type):
                self.types[one.name] = one
            self.filled[one.name] += len(column) - column.null_count
        for role in rows.roles:
            values = rows.column(role)
            if role == "label":
                self._count_labels(values)
                continue
            texts = [v for v in values if v]
            self.words.setdefault(role, Counter()).update(len(t.split()) for t in texts)
            self.characters.setdefault(role, Counter()).update(map(len, texts))
        if self.id_column:
            counts = self.ids.add([digest(str(i)) for i in rows.column(self.id_column)])
            self.n_same_id += sum(n > 1 for n in counts)
        if len(self.examples) < _EXAMPLES:
            names = rows.roles or {c: c for c in rows.table.column_names if not c.startswith("unflaw.")}
            head = rows.take(range(min(_EXAMPLES - len(self.examples), len(rows))))
            self.examples += [{n: plain_value(r[c]) for n, c in names.items()} for r in unpacked(head.table)]

    def _count_labels(self, values: Sequence[Any]) -> None:
        """Count labels as long as they look like classes; targets of a regression would fill the memory."""
        if not self.many_labels:
            self.labels.update(values)
            self.many_labels = len(self.labels) > _LABELS_COUNTED
        if self.many_labels:
            self.labels.clear()

    def columns(self, roles: Mapping[str, str]) -> list[Column]:
        played = {column: role for role, column in roles.items()}
        return [
            Column(
                name, "mixed" if is_json(one) else str(one.type), played.get(name, ""), self.n_rows - self.filled[name]
            )
            for name, one in self.types.items()
            if not name.startswith("unflaw.") or name in played
        ]


def _lengths(notes: _Notes, role: str) -> list[Lengths]:
    both: tuple[tuple[Literal["words", "characters"], Counter[int]], ...] = (
        ("words", notes.words[role]),
        ("characters", notes.characters[role]),
    )
    return [
        Lengths(unit, *(_rank(counts, share) for share in (0.0, 0.5, 0.95, 1.0))) for unit, counts in both if counts
    ]


def _rank(counts: Counter[int], share: float) -> int:
    """Return the smallest length that at least this share of the texts does not exceed."""
    needed, passed = share * counts.total(), 0
    for length in sorted(counts):
        passed += counts[length]
        if passed >= needed:
            return length
    return max(counts)


def _warnings(notes: _Notes, reader: RowReader, own: str | None) -> list[str]:
    said = []
    if reader.n_rejected:
        said.append(f"{reader.n_rejected:,} of {reader.n_rejected + reader.n_rows:,} lines became no row.")
    if notes.n_copies:
        said.append(f"{notes.n_copies:,} rows say exactly what an earlier row says.")
    if notes.n_same_id:
        said.append(f"`{own}` repeats in {notes.n_same_id:,} rows, so that other commands need --ids content.")
    if len(notes.labels) == 1:
        said.append(f"All rows have the same label, {next(iter(notes.labels))!r}: nothing can be learnt from it.")
    if notes.many_labels:
        said.append(f"There are more than {_LABELS_COUNTED:,} different labels; they were not counted.")
    return said
