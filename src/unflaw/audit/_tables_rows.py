"""The rows of a table as the check `tables` keeps them: a sample with all its values, and a hash of every row.

Columns arrive in many types and leave in two: numbers (dates count days, times seconds) and words (all else, true and
false as well). What a column is, the reference decides: see
`DEFINITION` in `_tables_view.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int, UInt64

from unflaw.audit._frame import Batch
from unflaw.audit._kept import Kept
from unflaw.audit._sample import bound, draw
from unflaw.audit._tables_view import DATES, View
from unflaw.audit._tables_written import Way
from unflaw.data import Rows
from unflaw.measure import text_hash

__all__ = ["TableSample", "TableSummary", "TablesSummary", "hashed", "is_table", "plain"]

_MOST_CELLS = 4_000_000
"""Cells of a sample: 32 MB of numbers. A table of 1,000 columns is asked 4,000 rows."""
_LONGEST = 200
"""Letters of a word that are kept."""
_DAY = 86_400e6
"""In microseconds."""
_SAME = 6
"""Digits in which fractions must agree to be equal: what went through 32 bits has seven. Whole numbers must be so."""


def is_table(rows: Rows) -> bool:
    """Tell whether rows are plain ones: no column speaks. One that is called `label` is a column like others."""
    return not set(rows.roles) - {"label"} and bool(_own(rows))


def _own(rows: Rows) -> list[str]:
    return sorted(c for c in rows.table.column_names if not c.startswith("unflaw.") and c != "weight")


def plain(rows: Rows) -> pa.Table:
    """Return the user's own columns as numbers and words; of numbers that count days the field says so."""
    columns = [rows.table[name].combine_chunks() for name in _own(rows)]
    arrays = [_plain(column) for column in columns]
    told = [{DATES: b""} if _is_date(column.type) else None for column in columns]
    fields = zip(_own(rows), arrays, told, strict=True)
    return pa.table(arrays, pa.schema([pa.field(name, of.type, metadata=days) for name, of, days in fields]))


def _is_date(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind) or pa.types.is_timestamp(kind)


def _plain(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _finite(column.cast(pa.float64(), safe=False))
    if _is_date(kind):
        return _finite(pc.divide(column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64()), _DAY))
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        as_us = pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")
        return _finite(pc.divide(column.cast(as_us, safe=False).cast(pa.int64()).cast(pa.float64()), 1e6))
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        words = pc.utf8_slice_codeunits(column.cast(pa.string()), 0, _LONGEST)
        small = pc.utf8_lower(words)
        return pc.if_else(pc.is_in(small, pa.array(["true", "false"])), small, words)  # a CSV file may have True
    return pa.array([None if v is None else str(v)[:_LONGEST] for v in column.to_pylist()], pa.string())


def _finite(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


@dataclass(frozen=True)
class TableSample:
    """At most k rows, those with the smallest draws, in order of draw: `Sample` with its values in columns."""

    k: int
    draws: UInt64[np.ndarray, " n"]
    places: Int[np.ndarray, " n"]
    """In the set."""
    ids: pa.Array
    table: pa.Table
    n_rows: int
    ways: Mapping[str, Way] = field(default_factory=dict)
    """How the dates and amounts are written that stand as text."""

    @classmethod
    def of(cls, batch: Batch, table: pa.Table, max_rows: int, seed: int) -> TableSample:
        """Sample these rows; where it is known how many the set has, most are left out at once."""
        k = min(max_rows, _MOST_CELLS // max(1, table.num_columns))
        draws, ids = np.array([draw(i, seed) for i in batch.ids], dtype=np.uint64), pa.array(batch.ids, pa.string())
        places, highest = (
            np.array(batch.placed(), dtype=np.int64),
            2**64 if batch.n_set is None else bound(k, batch.n_set),
        )
        few = np.flatnonzero(draws <= np.uint64(highest - 1))
        at = pa.array(few)
        return cls(k, draws[few], places[few], ids.take(at), table.take(at), table.num_rows)._smallest()

    def __add__(self, other: TableSample) -> TableSample:
        return TableSample(
            self.k, np.concatenate([self.draws, other.draws]), np.concatenate([self.places, other.places]),
            pa.concat_arrays([self.ids, other.ids]),
            pa.concat_tables([self.table, other.table], promote_options="permissive"), self.n_rows + other.n_rows,
        )._smallest()  # fmt: skip

    def __len__(self) -> int:
        return len(self.draws)

    @cached_property
    def view(self) -> View:
        """The sampled rows as the reference's columns say."""
        return View(self.table, self.ways)

    def _smallest(self) -> TableSample:
        order = np.argsort(self.draws, kind="stable")
        tied = self.draws[order[1:]] == self.draws[order[:-1]]
        if tied.any():  # one chance in 10^19 for two ids
            names = self.ids.to_pylist()
            order = np.array(sorted(order.tolist(), key=lambda i: (self.draws[i], names[i])))
        order = order[: self.k]
        kept = pa.array(order)  # taken, not sliced: a slice travels with all it was cut from
        table = self.table.take(kept).combine_chunks()
        return TableSample(self.k, self.draws[order], self.places[order], self.ids.take(kept), table, self.n_rows)


def hashed(places: Int[np.ndarray, " n"], ids: pa.Array, table: pa.Table) -> Kept:
    """Keep a 64-bit hash of each row's values; columns may come in any order, and numbers count to six digits."""
    hashes = np.zeros(table.num_rows, dtype=np.uint64)
    for name in table.column_names:
        cells = _cell_hashes(table[name].combine_chunks())
        hashes += _mixed(cells ^ np.uint64(text_hash(name)))  # wraps around: sums modulo 2^64 need no order
    return Kept((pa.table({"place": places, "id": ids, "hash": hashes}),), len(places))


def _cell_hashes(column: pa.Array) -> UInt64[np.ndarray, " n"]:
    if pa.types.is_float64(column.type):
        x = column.to_numpy(zero_copy_only=False)
        return _to_digits(x).view(np.uint64)
    coded = column.dictionary_encode()
    words = np.array([text_hash(word) for word in coded.dictionary.to_pylist()] + [0], dtype=np.uint64)
    return words[pc.fill_null(coded.indices, len(words) - 1).to_numpy(zero_copy_only=False)]


def _to_digits(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Round to six digits, but for whole numbers; every missing number is one nan, and zero has no sign."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (_SAME - 1 - np.floor(np.log10(np.abs(x))))
        rounded = np.where(x == np.round(x), x, np.round(x * scale) / scale)
    return np.where(np.isfinite(rounded), rounded, np.nan) + 0.0


def _mixed(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Spread 64 bits evenly: the last steps of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class TableSummary:
    """What is kept of the rows of a table; on disk 16 bytes of each and its id."""

    sample: TableSample
    whole: Kept
    """Hashes of all rows."""

    @classmethod
    def of(cls, batch: Batch, max_rows: int, seed: int) -> TableSummary:
        """Keep a sample, and a hash of every row."""
        table = plain(batch.rows)
        places = np.array(batch.placed(), dtype=np.int64)
        whole = hashed(places, pa.array(batch.ids, pa.string()), table)
        return cls(TableSample.of(batch, table, max_rows, seed), whole)

    def read_as(self, ways: Mapping[str, Way]) -> TableSummary:
        """Read these columns of the sample so, where they stand as text."""
        return replace(self, sample=replace(self.sample, ways=ways))

    def __add__(self, other: TableSummary) -> TableSummary:
        return TableSummary(self.sample + other.sample, self.whole + other.whole)


@dataclass(frozen=True)
class TablesSummary:
    """What is kept of rows: of those that are no table, nothing."""

    table: TableSummary | None = None

    def __add__(self, other: TablesSummary) -> TablesSummary:
        if self.table is None or other.table is None:
            return self if other.table is None else other
        return TablesSummary(self.table + other.table)

    def keep(self, path: Path) -> TablesSummary:
        """Put the hashes on disk, below this name."""
        return self if self.table is None else TablesSummary(replace(self.table, whole=self.table.whole.keep(path)))
