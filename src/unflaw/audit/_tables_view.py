"""A table's columns as the reference says they are: numbers or words, however a file writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from unflaw.audit._tables_written import EPOCH, Way, days, is_nothing, values_of
from unflaw.measure import unit_of

__all__ = ["DATES", "DEFINITION", "Column", "View", "word"]

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The years 1 and 9999, in days since 1970."""
DATES = b"unflaw.dates"
"""Key in the metadata of a column whose numbers are days since 1970."""
_FEW = 50
"""Words of which so many are different, more than half of the rows, are names, not categories."""

DEFINITION = (
    "Integers, floats, decimals, dates and times are numbers, however few different ones there are, and so is text "
    "that holds dates (25.12.2024) or many different amounts ($1,234.50) throughout, all written alike; other text, "
    "true and false, and all else are categories. Of categories the 50 commonest count one by one and the others "
    "together. A missing value (null, nan, inf, and text where real rows have numbers) is a value of its own. Left out "
    "are columns in which real rows hold nothing, columns of words of which more than half are different (names, free "
    "text), and whole numbers that are all different and counted through (row numbers)."
)

Kind = Literal["number", "category", "name", "counter", "empty"]


class Column(NamedTuple):
    """What a column is."""

    name: str
    kind: Kind
    why: str
    unit: float = 0.0
    """Of numbers: the last digit the reference has, 0.0 where there is none."""

    @property
    def asked(self) -> bool:
        """Whether its shape means something."""
        return self.kind in ("number", "category")


@dataclass(frozen=True)
class View:
    """A plain table, seen as the reference's columns say."""

    table: pa.Table
    ways: Mapping[str, Way] = field(default_factory=dict)
    """How the reference's dates and amounts are written that stand as text."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._names

    def take(self, rows: Int[np.ndarray, " k"] | slice) -> View:
        """Rows at these places."""
        at = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        return View(self.table.take(pa.array(at)).combine_chunks(), self.ways)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.table.column_names)

    @cached_property
    def _numbers(self) -> dict[str, Float[np.ndarray, " n"]]:
        return {}

    @cached_property
    def _words(self) -> dict[str, pa.Array]:
        return {}

    def numbers(self, name: str) -> Float[np.ndarray, " n"]:
        """Return a column as numbers, nan where it holds none."""
        if name not in self._numbers:
            column, way = self.table[name].combine_chunks(), self._way(name)
            self._numbers[name] = _as_numbers(column) if way is None else values_of(column, way.value)
        return self._numbers[name]

    def words(self, name: str) -> pa.Array:
        """Return a column as words, null where it holds nothing."""
        if name not in self._words:
            column = self.table[name].combine_chunks()
            if self._way(name) is not None:  # what cannot be read stays as it is
                there = pc.if_else(is_nothing(column), pa.scalar(None, pa.string()), column)
                column = pc.coalesce(_as_words(self._read(name)), there)
            self._words[name] = _as_words(column) if pa.types.is_float64(column.type) else column
        return self._words[name]

    def missing(self, name: str) -> Bool[np.ndarray, " n"]:
        """Tell which rows hold nothing there."""
        column = self.table[name].combine_chunks()
        missing = pc.is_null(column) if self._way(name) is None else is_nothing(column)
        return np.asarray(missing.to_numpy(zero_copy_only=False))

    def dates(self, name: str) -> bool:
        """Tell whether a column's numbers are dates."""
        written = name in self.ways and not self.ways[name].sign
        return written or DATES in (self.table.schema.field(name).metadata or {})

    def what(self, name: str) -> str:
        """Say what a column of numbers holds: "a date as 25.12.2024"."""
        return str(self.ways[name]) if name in self.ways else "a date" if self.dates(name) else "a number"

    def is_number(self, name: str) -> bool:
        """Tell whether a column holds numbers."""
        return self._way(name) is not None or pa.types.is_float64(self.table[name].type)

    def kinds(self) -> list[Column]:
        """Say what each column of real rows is."""
        return [self._kind(name) for name in self.table.column_names]

    def matrix(self, names: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return columns as numbers, side by side."""
        return np.stack([self.numbers(name) for name in names], axis=1) if names else np.empty((len(self), 0))

    def _way(self, name: str) -> Way | None:
        return self.ways.get(name) if pa.types.is_string(self.table[name].type) else None

    def _read(self, name: str) -> pa.Array:
        return pa.array(self.numbers(name), from_pandas=True)

    def _kind(self, name: str) -> Column:
        if self._way(name) is None:
            return _kind(name, self.table[name].combine_chunks())
        found = _kind(name, self._read(name))
        return found._replace(why=f"{found.why}, each {self.ways[name]}")


def _as_numbers(column: pa.Array) -> Float[np.ndarray, " n"]:
    if pa.types.is_float64(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    return values_of(column, _number)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return days(text)
    return number if np.isfinite(number) else float("nan")


def _as_words(column: pa.Array) -> pa.Array:
    coded = column.dictionary_encode()
    return pa.array([word(v) for v in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def word(x: float, *, date: bool = False) -> str:
    """Write a number without trailing zeros, or the date it is, to the minute where it is no whole day.

    >>> word(3.0), word(0.25), word(1 / 3)
    ('3', '0.25', '0.333333')
    >>> word(float("inf"))
    'inf'
    >>> word(18262.0, date=True), word(18262.5, date=True)
    ('2020-01-01', '2020-01-01 12:00')
    """
    if date and _FIRST_DAY <= x <= _LAST_DAY:
        at = EPOCH.replace(tzinfo=None) + timedelta(days=x)
        return str(at.date()) if x == round(x) else at.isoformat(sep=" ", timespec="minutes")
    return f"{x:.0f}" if abs(x) < 1e15 and x == round(x) else f"{x:.6g}"


def _kind(name: str, column: pa.Array) -> Column:
    there = column.drop_null()
    n, missing = len(there), column.null_count
    if not n:
        return Column(name, "empty", "holds nothing in any real row")
    different = pc.count_distinct(there).as_py()
    told = f"{different:,} different in {n:,} rows, {missing:,} missing"
    if not pa.types.is_float64(column.type):
        if different > max(_FEW, n / 2):
            return Column(name, "name", f"words, mostly different: {told}")
        return Column(name, "category", f"words: {told}")
    x = there.to_numpy(zero_copy_only=False)
    unit = unit_of(x)
    if unit == 1 and different == n >= _FEW and np.ptp(x) < 20 * n and _even(x):
        return Column(name, "counter", f"whole numbers, all different, counted through: {told}")
    return Column(name, "number", f"numbers: {told}", unit)


def _even(x: Float[np.ndarray, " n"]) -> bool:
    """Tell whether numbers lie evenly between the least and the largest, as row numbers do."""
    from scipy.stats import kstest

    return bool(kstest(x, "uniform", args=(x.min(), max(np.ptp(x), 1.0))).pvalue > 1e-3)
