"""Arrow types for values that come without any: settled by the first batch, widened by later ones, never lossy.

A column that no one type can hold (a number here, a text there) becomes JSON text, marked as such
in its field, and is unpacked again when it is written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from unflaw.data._values import Unfit

__all__ = ["Cells", "Columns", "concatenate", "is_json", "unpacked"]

_JSON = {b"unflaw": b"json"}
_REFUSALS = (ValueError, TypeError, OverflowError)  # what Arrow raises for values of mixed types
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
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
    packed = {f.name for t in tables for f in t.schema if is_json(f)}
    evened = []
    for table in tables:
        for name in packed & set(table.column_names):
            at = table.schema.get_field_index(name)
            if not is_json(table.schema.field(at)):
                field = pa.field(name, pa.string(), metadata=_JSON)
                table = table.set_column(at, field, _packed(table[name].to_pylist()))
        evened.append(table)
    return pa.concat_tables(evened, promote_options="permissive")


class Cells:
    """Types for the cells of a CSV file: a column is numbers if all its first cells are.

    Parameters
    ----------
    records
        The first rows, every cell text or None.
    texts
        Columns that stay text, whatever they look like: the answer "42" is a text.
    """

    def __init__(self, records: Sequence[Mapping[str, str | None]], texts: Iterable[str]) -> None:
        names = list(dict.fromkeys(name for record in records for name in record))
        self.numbers = [n for n in names if n not in set(texts) and _numeric([r[n] for r in records])]
        """Columns that hold numbers."""
        self.n_first = len(records)

    def parse(self, record: Mapping[str, str | None]) -> dict[str, Any]:
        """Turn cells into values. Raises `Unfit` for a text among numbers."""
        values: dict[str, Any] = dict(record)
        for name in self.numbers:
            cell = values[name]
            if cell is None or cell.lower() in _MISSING:
                values[name] = None
            elif _INTEGER.fullmatch(cell):
                values[name] = int(cell)
            elif _DECIMAL.fullmatch(cell):
                values[name] = float(cell)
            else:
                raise Unfit(f"not a number: `{name}` holds {cell[:40]!r}, the first {self.n_first} rows hold numbers")
        return values


def _numeric(cells: Sequence[str | None]) -> bool:
    given = [c for c in cells if c is not None and c.lower() not in _MISSING]
    return bool(given) and all(_DECIMAL.fullmatch(c) and not _CODE.fullmatch(c) for c in given)
