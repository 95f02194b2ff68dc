"""Dates and amounts that stand as text in a table, as CSV and JSON files have them.

A column is read in one way, if there is one in which all real words but one in a hundred can be read. Where days and
months can be told in both orders (3/4/2024), the table's other columns decide, or else the month comes first. An amount
has a currency or a per cent sign, the same in all rows, and is no number where there are few different ones: then the
words themselves are asked. So codes stay words, and so does a date with a year of two digits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

__all__ = ["EPOCH", "Way", "days", "is_nothing", "values_of", "written_in"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_READ, _READ = 1000, 0.99
"""Words that are tried to tell how a column is written, and the share of them that must be read."""
_FIRST = 20
"""Words that are tried before all others."""
_FEW = 50
"""Different amounts up to which they are categories."""
_NOTHING = ("", "-", "--", "?", "n/a", "na", "nan", "null", "none")

_ISO = "ISO 8601"
_DAYS = (
    "%m/%d/%Y", "%m-%d-%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%d-%b-%Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_DATES = (_ISO, *(day + time for day, time in product(_DAYS, _TIMES)))
_SIGN = re.compile(r"[$€£¥₹%]|USD|EUR|GBP|CHF|JPY|INR")
_POINT, _COMMA = "1,234.5", "1.234,5"
_DIGITS = {
    _POINT: re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|\d+(?:\.\d+)?"),
    _COMMA: re.compile(r"\d{1,3}(?:\.\d{2,3})*\.\d{3}(?:,\d+)?|\d+(?:,\d+)?"),
}
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:[.,]\d{3})+")
_BETWEEN = re.compile(r"(?<=\d)['’ \u00a0\u202f](?=\d{3})")
"""What else parts thousands."""


class Way(NamedTuple):
    """How the dates or amounts of a column are written."""

    form: str
    """ISO 8601, a format of `strptime`, or how 1234.5 stands."""
    sign: str = ""
    """Of an amount: its currency or %."""

    def __str__(self) -> str:
        if self.sign:
            return f"an amount as {self.form} {self.sign}"
        return f"a date as {date(2024, 12, 25).strftime('%Y-%m-%d' if self.form == _ISO else self.form)}"

    @property
    def day(self) -> str:
        """The form without a time."""
        return self.form.split(" ")[0]

    def value(self, text: str) -> float:
        """Read an amount, or a date as days since 1970; nan of anything else."""
        return _amount(text, self) if self.sign else days(text, self.form)


def written_in(table: pa.Table) -> dict[str, Way]:
    """Return in which way the columns of words are written that hold dates or amounts."""
    ways: dict[str, list[Way]] = {}
    for name in table.column_names:
        if pa.types.is_string(table[name].type):
            said = _said(table[name].combine_chunks())
            if of := _ways(said.slice(0, _MOST_READ).to_pylist(), pc.count_distinct(said).as_py()):
                ways[name] = of
    sure = {of[0].day for of in ways.values() if len(of) == 1}
    return {name: next((way for way in of if way.day in sure), of[0]) for name, of in ways.items()}


def values_of(column: pa.Array, value: Callable[[str], float]) -> Float[np.ndarray, " n"]:
    """Return the numbers that a column of words stands for, each word read once; nan where one is missing."""
    coded = column.dictionary_encode()
    values = np.array([value(word) for word in coded.dictionary.to_pylist()] + [np.nan], dtype=np.float64)
    return values[pc.fill_null(coded.indices, len(values) - 1).to_numpy(zero_copy_only=False)]


def is_nothing(column: pa.Array) -> pa.Array:
    """Tell which words of a column of dates or amounts stand for a missing one."""
    small = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return pc.or_(pc.is_null(column), pc.is_in(small, value_set=pa.array(_NOTHING, pa.string())))


def days(text: str, form: str = _ISO) -> float:
    """Return the days since 1970 of a date that stands as text; nan of anything else."""
    try:
        at = datetime.fromisoformat(text.strip()) if form == _ISO else datetime.strptime(text.strip(), form)
    except ValueError:
        return float("nan")
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH) / timedelta(days=1)


def _said(column: pa.Array) -> pa.Array:
    return column.filter(pc.invert(is_nothing(column)))


def _ways(words: Sequence[str], n_different: int) -> list[Way]:
    """Return the ways in which words can be read, the likeliest first."""
    if not words:
        return []
    if signs := Counter(sign for word in words[:_FIRST] for sign in _SIGN.findall(word)):
        ((sign, _),) = signs.most_common(1)
        forms = _forms(words, sign) if n_different > _FEW else ()
        return [way for form in forms if _reads(way := Way(form, sign), words)][:1]
    return [way for form in _DATES if _reads(way := Way(form), words)]


def _forms(words: Sequence[str], sign: str) -> tuple[str, ...]:
    """Say which sign parts thousands, the likelier one first: where all words could, 12.500 € is not 12.5 €."""
    parted = [plain for word in words if "," in (plain := _plain(word, sign)) or "." in plain]
    if sign != "%" and all(map(_GROUPED.fullmatch, parted)) and not {",", "."} <= set("".join(parted)):
        return (_COMMA, _POINT) if any("." in plain for plain in parted) else (_POINT, _COMMA)
    return _POINT, _COMMA


def _reads(way: Way, words: Sequence[str]) -> bool:
    if all(np.isnan(way.value(word)) for word in words[:_FIRST]):
        return False
    return bool(np.isfinite([way.value(word) for word in words]).mean() >= _READ)


def _plain(text: str, sign: str) -> str:
    """Leave out the sign at one end, what is negative, and what parts thousands besides commas and points."""
    text = text.strip().strip("()+-−").strip()
    text = text.removeprefix(sign) if text.startswith(sign) else text.removesuffix(sign)
    return _BETWEEN.sub("", text.strip().lstrip("+-−").strip())


def _amount(text: str, way: Way) -> float:
    """Read an amount with its sign; below zero are those with a minus or in parentheses."""
    plain = _plain(text, way.sign)
    if text.count(way.sign) != 1 or not _DIGITS[way.form].fullmatch(plain):
        return float("nan")
    digits = plain.replace(",", "") if way.form == _POINT else plain.replace(".", "").replace(",", ".")
    below = text.strip().startswith("(") or "-" in text or "−" in text
    return -float(digits) if below else float(digits)
