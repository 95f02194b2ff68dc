"""Arrow types for values that come without any: settled by the first batch, widened by later ones, never lossy.

A column that no one type can hold (a number here, a text there) becomes JSON text, marked as such
in its field, and is unpacked again when it is written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw._errors import DataError
from unflaw.data._values import Unfit

__all__ = ["Cells", "Columns", "beside", "concatenate", "is_json", "joined", "unpacked"]

_JSON = {b"unflaw": b"json"}
_REFUSALS = (ValueError, TypeError, OverflowError)  # what Arrow raises for values of mixed types
_INTEGER = re.compile(r"[+-]?\d+")
_DIGITS_AT_MOST = 4000  # Python reads no longer integers; what has more digits is a text
_DECIMAL = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)
_CODE = re.compile(r"[+-]?0\d+")  # 007 is a name, not a number
_MISSING = frozenset({"na", "n/a", "null", "none"})


class Columns:
    """Builds one Arrow table per batch of dicts, with the same types in every batch where possible."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.fields = {name: pa.field(name, pa.string()) for name in texts}
        """Column → the type settled so far."""

    def table(self, records: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Build the table of these rows; a column a row lacks is null there."""
        names = list(dict.fromkeys(name for record in records for name in record))
        known = [n for n in self.fields if n not in names]
        arrays = {n: self._array(n, [r.get(n) for r in records]) for n in (*names, *known)}
        return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema([self.fields[n] for n in arrays]))

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        field = self.fields.get(name, pa.field(name, pa.null()))
        if not is_json(field):
            try:
                array = pa.array(values)
                wide = _wider(field.type, array.type)
                self.fields[name] = pa.field(name, wide)
                return array if array.type == wide else pa.array(values, wide)
            except _REFUSALS:
                field = pa.field(name, pa.string(), metadata=_JSON)
        self.fields[name] = field
        return _packed(values)


def _wider(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    """Return the type that holds both. Raises `TypeError` where none does."""
    schemas = [pa.schema([("x", a)]), pa.schema([("x", b)])]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _packed(values: Iterable[Any]) -> pa.Array:
    return pa.array([None if v is None else json.dumps(v, default=str) for v in values], pa.string())


def is_json(field: pa.Field) -> bool:
    """Whether a column holds JSON text in place of values of mixed types."""
    return field.metadata is not None and field.metadata.get(b"unflaw") == b"json"


def unpacked(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dicts, with what `Columns` packed as JSON text unpacked again."""
    records = table.to_pylist()
    for field in filter(is_json, table.schema):
        for record in records:
            if record[field.name] is not None:
                record[field.name] = json.loads(record[field.name])
    return records


def concatenate(tables: Sequence[pa.Table]) -> pa.Table:
    """Join the batches of one file, widening what later batches widened."""
    packed = {f.name for t in tables for f in t.schema if is_json(f)} | _rounded(tables)
    evened = []
    for table in tables:
        for name in packed & set(table.column_names):
            at = table.schema.get_field_index(name)
            if not is_json(table.schema.field(at)):
                field = pa.field(name, pa.string(), metadata=_JSON)
                table = table.set_column(at, field, _packed(table[name].to_pylist()))
        evened.append(table)
    return pa.concat_tables(evened, promote_options="permissive")


def _rounded(tables: Sequence[pa.Table]) -> set[str]:
    """Return the columns of integers too large for the floats that other batches have there."""
    floats = {f.name for t in tables for f in t.schema if pa.types.is_floating(f.type)}
    found = set()
    for table in tables:
        for name in floats & set(table.column_names):
            if not pa.types.is_integer(table[name].type):
                continue
            try:
                table[name].cast(pa.float64())
            except pa.ArrowInvalid:
                found.add(name)
    return found


def joined(old: pa.Table, new: pa.Table, key: str) -> pa.Table:
    """Join by a key column: all rows of both, the new value where it is not null.

    Raises `DataError` where a column changes its type.
    """
    import pyarrow.compute as pc

    try:
        both = concatenate([old, new])
    except pa.ArrowException as error:
        raise DataError(f"a row column changes its type: {error}; give it another name") from error
    in_new, in_old = (
        pc.fill_null(pc.index_in(a[key], value_set=b[key].combine_chunks()), -1).to_numpy()
        for a, b in ((old, new), (new, old))
    )
    at_old = np.concatenate([np.arange(len(old)), np.full((in_old < 0).sum(), -1)])
    at_new = np.concatenate([in_new, np.flatnonzero(in_old < 0)])
    columns = {}
    for name in both.column_names:
        valid = both[name].is_valid().to_numpy()
        given = (at_new >= 0) & (valid[at_new + len(old)] | (at_old < 0))
        columns[name] = both[name].take(pa.array(np.where(given, at_new + len(old), at_old)))
    return pa.table(columns, schema=both.schema)


def beside(table: pa.Table, some: pa.Table, key: str) -> Iterator[pa.Table]:
    """Yield a table batch by batch, with the other columns of `some` of its rows; null where there are none."""
    import pyarrow.compute as pc

    keys = some[key].combine_chunks()
    for batch in table.to_batches():
        part = pa.Table.from_batches([batch])
        at = pc.index_in(part[key], value_set=keys).combine_chunks()
        for name in (n for n in some.column_names if n not in part.column_names):
            part = part.append_column(some.schema.field(name), some[name].take(at))
        yield part


class Cells:
    """Types for the cells of a CSV file: a column is numbers if all its first cells are.

    Parameters
    ----------
    records
        The first rows, every cell text or None.
    texts
        Columns that stay text, whatever they look like: the answer "42" is a text.
    strict
        Columns in which a text among numbers is a mistake; None for all. In others it stays a text,
        as does a code like 007.
    numbers
        Columns in which every number counts as one, whatever the first rows hold.
    """

    def __init__(
        self, records: Sequence[Mapping[str, str | None]], texts: Iterable[str], strict: Iterable[str] | None = None,
        numbers: Iterable[str] = (),
    ) -> None:  # fmt: skip
        names = list(dict.fromkeys(name for record in records for name in record))
        texts, numbers = set(texts), set(numbers)
        self.numbers = [n for n in names if n in numbers or (n not in texts and _numeric([r[n] for r in records]))]
        """Columns that hold numbers."""
        self.strict = set(names if strict is None else strict)
        self.n_first = len(records)

    def parse(self, record: Mapping[str, str | None]) -> dict[str, Any]:
        """Turn cells into values. Raises `Unfit` for a text among numbers."""
        values: dict[str, Any] = dict(record)
        for name in self.numbers:
            cell = values[name]
            if cell is None or cell.lower() in _MISSING:
                values[name] = None
            elif name not in self.strict and _CODE.fullmatch(cell):
                continue
            elif (number := _number(cell)) is not None:
                values[name] = number
            elif name in self.strict:
                raise Unfit(f"not a number: `{name}` holds {cell[:40]!r}, the first {self.n_first} rows hold numbers")
        return values


def _number(cell: str) -> int | float | None:
    """Return the number a cell shows, None where it shows none. An integer keeps all its digits."""
    if _INTEGER.fullmatch(cell):
        return int(cell) if len(cell) <= _DIGITS_AT_MOST else None
    return float(cell) if _DECIMAL.fullmatch(cell) else None


def _numeric(cells: Sequence[str | None]) -> bool:
    given = [c for c in cells if c is not None and c.lower() not in _MISSING]
    return bool(given) and all(_number(c) is not None and not _CODE.fullmatch(c) for c in given)
