"""Reading rows: every format and schema, in batches, with each line that is no row accounted for."""

from __future__ import annotations

import copy
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pyarrow as pa

from unflaw._errors import DataError, SchemaError, SettingsError
from unflaw.data._columns import Cells, Columns, concatenate
from unflaw.data._lines import Chunk, excerpt
from unflaw.data._nouns import Rejection
from unflaw.data._rows import ID, ROLES, Rows, content_ids, own, said
from unflaw.data._schemas import recognise
from unflaw.data._seen import Seen, digest
from unflaw.data._source import Source, open_source
from unflaw.data._values import Unfit, is_missing, refuse_half_pairs

__all__ = ["RowReader", "read"]

Ids = Literal["auto", "file", "content"]
_REJECTIONS_HELD = 10_000
_FILE_IDS = (ID, "id", "_id")


class RowReader:
    """The rows of a file in batches: memory is bounded by a batch, plus eight bytes a row for the ids.

    Iterate as often as you like; the counts are those of the latest pass. Columns nobody
    recognises may have a wider type in a later batch than in an earlier one.

    A row without a `weight`, or with an empty one, counts as much as one of weight 1.0 (`Rows.weights`
    says so); a weight that is NaN, infinite or negative makes its line no row. NaN in place of a text
    means that there is none.

    Parameters
    ----------
    path
        .jsonl, .ndjson, .json, .csv, .tsv (each plain, .gz, .zst or .bz2), .parquet, .arrow or
        .feather, a folder that `Dataset.save_to_disk` wrote, or "hub:owner/name:split".
    schema
        A name from `SCHEMAS`, or "table": take it instead of recognising one.
    columns
        Role → column, e.g. {"prompt": "q", "response": "a"}.
    limit
        Stop after this many rows.
    ids
        "file": the file's own column (unflaw.id, id or _id). "content": what the row says, so that
        the same row has the same id in every file. "auto": the file's own where it has one.
    on_reject
        Called with every line that became no row.
    progress
        Called with (done, total): bytes of a text file, rows of a Parquet file.
    batch_size
        Rows per batch.
    max_line_bytes
        A longer line is rejected without being held in memory. An array element that is so much longer
        that its end is out of sight makes the file unreadable.
    on_truncated
        "keep": where a compressed file breaks off, keep the rows before.

    Raises
    ------
    DataError
        The file cannot be read or holds no row.
    SchemaError
        Its columns fit no schema.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        schema: str | None = None,
        columns: Mapping[str, str] | None = None,
        limit: int | None = None,
        ids: Ids = "auto",
        on_reject: Callable[[Rejection], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        batch_size: int = 1000,
        max_line_bytes: int = 16 << 20,
        on_truncated: Literal["error", "keep"] = "error",
    ) -> None:
        _check(limit=limit, ids=ids, batch_size=batch_size, max_line_bytes=max_line_bytes, on_truncated=on_truncated)
        self._source = open_source(path, max_line_bytes=max_line_bytes, keep_truncated=on_truncated == "keep")
        self._limit, self._ids, self._batch_size = limit, ids, batch_size
        self._on_reject, self._progress = on_reject, progress
        self._forget()
        self._recognise(schema, columns)

    def _forget(self) -> None:
        self.n_rows = 0
        """Rows delivered so far."""
        self.n_rejected = 0
        """Lines that became no row so far."""
        self.rejected: list[Rejection] = []
        """The first ten thousand of them."""
        self.reasons: Counter[str] = Counter()
        """Kind of reason → lines rejected for it."""

    def _recognise(self, schema: str | None, columns: Mapping[str, str] | None) -> None:
        first = next(self._source.chunks(self._batch_size, self._note), None)
        if first is None:
            raise DataError(self._no_rows())
        records = first.records if first.table is None else self._listed(first.table)
        typed = self._source.format not in ("json", "hub")
        self._schema = recognise(records, schema=schema, columns=columns, source=self._source.name, binary=typed)
        self._spoken = [c for part, c in self._schema.columns.items() if part != "label"]
        """The file's columns that play parts, all but the label."""
        self._texts = [c for r, c in self.roles.items() if r != "label" and r not in self._schema.derived]
        """Those of them that hold the words of a role themselves."""
        self._cells = self._cells_of(records) if self._source.format == "csv" else None
        if self._cells and self._schema.columns.get("label") in self._cells.numbers:
            self._schema = replace(self._schema, label_kind="a number")
        self.id_column = self._find_ids(records)
        """The file's own id column, if it is used."""
        self._forget()

    def _cells_of(self, records: list[dict[str, Any]]) -> Cells:
        """Return how the cells of a CSV file are read: ids and texts stay what they are."""
        label = self.roles.get("label")
        return Cells(
            records,
            texts=[*self._spoken, *_FILE_IDS],
            strict=None if self.schema == "table" else [label] if label else [],
            numbers=["weight"] if self.roles else [],
        )

    def _find_ids(self, records: list[dict[str, Any]]) -> str | None:
        if self._ids == "content":
            return None
        for name in _FILE_IDS:
            if all(_is_id(r.get(name)) for r in records):
                return name
        if self._ids == "file":
            raise SchemaError(
                f"`ids` is 'file', but {self._source.name} has no column {', '.join(_FILE_IDS)} that is never empty; "
                "use ids='content' (--ids content)"
            )
        return None

    @property
    def schema(self) -> str:
        """Name of the recognised schema."""
        return self._schema.name

    @property
    def roles(self) -> dict[str, str]:
        """Role → column."""
        return self._schema.roles

    @property
    def source(self) -> str:
        """What is read, as the user named it."""
        return self._source.name

    @property
    def limit(self) -> int | None:
        """Stop after this many rows."""
        return self._limit

    def fingerprint(self) -> list[list[Any]]:
        """Return name, size and time of change of every file that is read: what tells a changed input."""
        if self._source.format == "hub":
            return []
        stats = [(path.resolve(), path.stat()) for path in self._source.files()]
        return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]

    def split(self, n_bytes: int = 16 << 20) -> list[RowReader]:
        """Return readers of parts of about `n_bytes`, which may be read at once, on any machine that has the file.

        Together they deliver the rows of this one in the same order; but each counts for itself how often a content
        came by, and lines from `line_before` on. What can only be read from the beginning, and what `limit` cuts, is
        one part. They call back to nobody, and may hold no row.
        """
        parts = [self._source] if self._limit is not None else self._source.split(n_bytes)
        return [self._of(part) for part in parts]

    def took(self, n_rows: int, rejected: Sequence[Rejection], reasons: Counter[str]) -> None:
        """Take over what the readers counted that this one was split into; `on_reject` hears of every line."""
        self.n_rows, self.n_rejected, self.reasons = n_rows, reasons.total(), reasons
        self.rejected = list(rejected[:_REJECTIONS_HELD])
        for rejection in rejected if self._on_reject else ():
            self._on_reject(rejection)  # type: ignore[misc]

    def warn(self) -> None:
        """Warn of lines that became no row, where nobody listens for them."""
        if self.n_rejected and self._on_reject is None:
            first, name = self.rejected[0], self._source.name
            warnings.warn(
                f"{self.n_rejected:,} lines of {name} became no row "
                f"({', '.join(f'{n:,} {kind}' for kind, n in self.reasons.most_common(3))}); "
                f"the first is line {first.line}: {first.reason}. Pass `on_reject` to get them all.",
                stacklevel=3,
            )

    def _of(self, source: Source) -> RowReader:
        reader = copy.copy(self)
        reader._source, reader._on_reject, reader._progress = source, None, None
        reader._forget()
        return reader

    def line_before(self) -> int:
        """Return how many lines of the file lie before the part that this reader reads."""
        return self._source.line_before()

    def __iter__(self) -> Iterator[Rows]:
        """Deliver the rows from the beginning. Raises `DataError` if there is none, or if ids repeat."""
        self._forget()
        seen = Seen()
        typing = Columns(self._texts)
        for chunk in self._source.chunks(self._batch_size, self._count, self._progress):
            if (rows := self._rows(chunk, typing, seen)) is None:
                continue
            if self._limit is not None and self.n_rows + len(rows) > self._limit:
                rows = rows.take(range(self._limit - self.n_rows))
            self.n_rows += len(rows)
            yield rows
            if self.n_rows == self._limit:
                return
        if not self.n_rows and self._source.span is None:
            raise DataError(self._no_rows())

    def _rows(self, chunk: Chunk, typing: Columns, seen: Seen) -> Rows | None:
        kept, records, values = [], [], []
        for i, (line, record) in enumerate(zip(chunk.lines, self._records(chunk), strict=True)):
            try:
                parsed = self._cells.parse(record) if self._cells else record
                values.append(self._values(parsed))
            except Unfit as problem:
                self._count(Rejection(line, str(problem), excerpt(json.dumps(record, ensure_ascii=False, default=str))))
                continue
            kept.append(i)
            records.append(self._without_nan(parsed))
        if not kept:
            return None  # no column has a type yet
        if chunk.table is None:
            table = typing.table(records)
        else:
            table = chunk.table if len(kept) == len(chunk.lines) else chunk.table.take(pa.array(kept, pa.int64()))
            table = self._without_nan_columns(table)
        ids = self._name(records, values, seen)
        derived = {f"unflaw.{r}": [v[r] for v in values] for r in ROLES if r in self._schema.derived}
        for name, column in {ID: ids, **derived}.items():
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, pa.array(column, pa.string()))
        return Rows(table, self.roles, self.schema, self._source.name)

    def _without_nan(self, record: dict[str, Any]) -> dict[str, Any]:
        """Say null of a text that is missing: columns that play roles hold texts and nothing else."""
        nan = [c for c in self._spoken if record.get(c) is not None and is_missing(record[c])]
        return {**record, **dict.fromkeys(nan)} if nan else record

    def _without_nan_columns(self, table: pa.Table) -> pa.Table:
        """Do the same to typed columns: one of numbers that plays a text can hold nothing but NaN."""
        for name in self._texts:
            at = table.schema.get_field_index(name)
            if at >= 0 and pa.types.is_floating(table.schema.field(at).type):
                table = table.set_column(at, pa.field(name, pa.string()), pa.nulls(len(table), pa.string()))
        return table

    def _records(self, chunk: Chunk) -> list[dict[str, Any]]:
        if chunk.table is None:
            return chunk.records
        if self.schema == "table":
            return self._listed(chunk.table)
        needed = {*self._schema.columns.values(), "weight", self.id_column} & set(chunk.table.column_names)
        return self._listed(chunk.table.select([n for n in chunk.table.column_names if n in needed]))

    def _listed(self, table: pa.Table) -> list[dict[str, Any]]:
        try:
            return table.to_pylist()
        except (OverflowError, ValueError) as error:  # Python has no year 10,000
            raise DataError(
                f"{self._source.name} holds a value that cannot be read ({error}): dates must lie in the years 1 to "
                "9999; write others as text"
            ) from None

    def _values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        if not self.roles and all(v is None for v in record.values()):
            raise Unfit("empty row: no column holds anything")
        if self.roles and "weight" in record:
            _check_weight(record["weight"])
        if self.id_column:
            _check_id(record.get(self.id_column), self.id_column)
        refuse_half_pairs("".join(record), "a column name")
        return self._schema.values(record)

    def _name(self, records: list[dict[str, Any]], values: list[dict[str, Any]], seen: Seen) -> list[str]:
        if self.id_column is None:
            if not self.roles:
                return content_ids([own(record) for record in records], seen)
            return content_ids([said(v, list(self.roles)) for v in values], seen)
        ids = [str(r[self.id_column]) for r in records]
        twice = [i for i, n in zip(ids, seen.add([digest(i) for i in ids]), strict=True) if n > 1]
        if twice:
            self.refuse_twice(list(dict.fromkeys(twice)))
        return ids

    def refuse_twice(self, twice: list[str]) -> None:
        """Raise the `DataError` that these ids of the file's own stand in several lines, and in which."""
        shown: dict[str, list[str]] = {i: [] for i in twice[:5]}
        column = self.id_column or ID
        for chunk in replace(self._source, span=None).chunks(self._batch_size, lambda _: None):
            for line, record in zip(chunk.lines, self._records(chunk), strict=True):
                if (name := str(record.get(column))) in shown:
                    shown[name].append(str(line))
        places = "; ".join(f"{i!r} in lines {', '.join(lines[:5])}" for i, lines in shown.items())
        raise DataError(
            f"`{column}` must name each row of {self._source.name} once, got {places}. "
            "Mend the file, or name rows by what they say with ids='content' (--ids content)"
        )

    def _count(self, rejection: Rejection) -> None:
        self._note(rejection)
        if self._on_reject:
            self._on_reject(rejection)

    def _note(self, rejection: Rejection) -> None:
        self.n_rejected += 1
        self.reasons[rejection.kind] += 1
        if len(self.rejected) < _REJECTIONS_HELD:
            self.rejected.append(rejection)

    def _no_rows(self) -> str:
        if not self.n_rejected:
            return f"`{self._source.name}` holds no row, only white space or a header"
        some = "\n".join(f"  line {r.line}: {r.reason}" for r in self.rejected[:3])
        return f"none of the {self.n_rejected:,} lines of {self._source.name} is a row:\n{some}"


def read(
    path: str | os.PathLike[str],
    *,
    schema: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    ids: Ids = "auto",
    on_reject: Callable[[Rejection], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    max_line_bytes: int = 16 << 20,
    on_truncated: Literal["error", "keep"] = "error",
) -> Rows:
    """Read all rows of a file into memory; `RowReader` has the parameters, and reads in batches.

    Lines that are no rows go to `on_reject`; where nobody listens, a warning counts them.
    """
    reader = RowReader(
        path, schema=schema, columns=columns, limit=limit, ids=ids, on_reject=on_reject, progress=progress,
        max_line_bytes=max_line_bytes, on_truncated=on_truncated,
    )  # fmt: skip
    rows = Rows(concatenate([batch.table for batch in reader]), reader.roles, reader.schema, os.fspath(path))
    reader.warn()
    return rows


def _check(*, limit: int | None, ids: str, batch_size: int, max_line_bytes: int, on_truncated: str) -> None:
    problems = []
    if limit is not None and limit < 1:
        problems.append(f"`limit` must be at least 1, got {limit}")
    if ids not in ("auto", "file", "content"):
        problems.append(f"`ids` must be auto, file or content, got {ids!r}")
    if batch_size < 1:
        problems.append(f"`batch_size` must be at least 1, got {batch_size}")
    if max_line_bytes < 1:
        problems.append(f"`max_line_bytes` must be at least 1, got {max_line_bytes}")
    if on_truncated not in ("error", "keep"):
        problems.append(f"`on_truncated` must be error or keep, got {on_truncated!r}")
    if problems:
        raise SettingsError(problems)


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _check_id(value: Any, column: str) -> None:
    if not _is_id(value):
        raise Unfit(f"no id: `{column}` is {value!r}")
    refuse_half_pairs(str(value), column)


def _check_weight(weight: Any) -> None:
    """Refuse what is no weight. None is one: the row counts like any other."""
    if weight is None:
        return
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise Unfit(f"not a weight: `weight` is {weight!r}")
    if not abs(weight) <= sys.float_info.max:  # NaN is not, either
        raise Unfit(f"not a finite number: `weight` is {weight}")
    if weight < 0:
        raise Unfit(f"not a weight: `weight` is {weight}, less than 0")
