"""Dates and amounts that stand as text in a table, as CSV and JSON files have them.

A column is read in one way, the first in which all real words but one in a hundred can be read: 3/4/2024 is a day in
March unless the column also holds a 25/4/2024. What cannot be read in that way is missing. Plain digits stay words, as
they may be codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pyarrow as pa

__all__ = ["DATES", "EPOCH", "days", "read_as", "written_in"]

DATES = b"unflaw.dates"
"""Key in the metadata of a column whose numbers are days since 1970."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_READ, _READ = 1000, 0.99
"""Words that are tried to tell how a column is written, and the share of them that must be read."""

_ISO, _POINT, _COMMA = "ISO 8601", "1,234.5", "1.234,5"
_DAYS = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y",
    "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_WAYS = (_ISO, *(day + time for day, time in product(_DAYS, _TIMES)), _POINT, _COMMA)
_SIGNS = r"[$€£¥₹%]|USD|EUR|GBP|CHF|JPY"
_AMOUNT = {
    _POINT: re.compile(r"(-?)(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"),
    _COMMA: re.compile(r"(-?)(\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?)"),
}
_MARKED = re.compile(rf"{_SIGNS}|\d[.,]\d")
"""What tells an amount from a code."""
_SIGN = re.compile(rf"\s*(?:{_SIGNS})\s*")


def written_in(table: pa.Table) -> dict[str, str]:
    """Return column → way in which its dates or amounts are written, of the columns of words that hold such."""
    found = {}
    for name in table.column_names:
        said = table[name].drop_null()
        if len(said) and pa.types.is_string(said.type):
            words = said.to_pylist()[:_MOST_READ]
            if way := next((way for way in _WAYS if _reads(way, words)), None):
                found[name] = way
    return found


def read_as(table: pa.Table, ways: Mapping[str, str]) -> pa.Table:
    """Return a table with these columns as numbers, dates as days since 1970, where they stand as words."""
    for name, way in ways.items():
        at = table.schema.get_field_index(name)
        if at >= 0 and pa.types.is_string(table.schema.field(at).type):
            coded = table[name].combine_chunks().dictionary_encode()
            values = np.array([_value(way, word) for word in coded.dictionary.to_pylist()], dtype=np.float64)
            column = pa.array(values, mask=np.isnan(values)).take(coded.indices)
            dates = None if way in _AMOUNT else {DATES: b""}
            table = table.set_column(at, pa.field(name, pa.float64(), metadata=dates), column)
    return table


def days(text: str, way: str = _ISO) -> float:
    """Return the days since 1970 of a date that stands as text; nan of anything else."""
    try:
        at = datetime.fromisoformat(text.strip()) if way == _ISO else datetime.strptime(text.strip(), way)
    except ValueError:
        return float("nan")
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH) / timedelta(days=1)


def _reads(way: str, words: list[str]) -> bool:
    if np.isnan([_value(way, word) for word in words[:20]]).all():
        return False
    if way in _AMOUNT and not any(map(_MARKED.search, words)):
        return False
    return bool(np.isfinite([_value(way, word) for word in words]).mean() >= _READ)


def _value(way: str, word: str) -> float:
    return _amount(way, word) if way in _AMOUNT else days(word, way)


def _amount(way: str, word: str) -> float:
    """Read a number with a currency or a per cent sign, and with separators; in parentheses it is below zero."""
    plain = _SIGN.sub("", word.strip())
    if below := plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1]
    found = _AMOUNT[way].fullmatch(plain)
    if found is None:
        return float("nan")
    digits = found[2].replace(",", "") if way == _POINT else found[2].replace(".", "").replace(",", ".")
    return -float(digits) if below or found[1] else float(digits)
