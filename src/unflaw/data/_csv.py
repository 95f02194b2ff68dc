"""CSV with a header, however broken: a stray quote costs the row it stands in and none after it."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any

from unflaw._errors import DataError
from unflaw.data._lines import Chunk, TextFile, excerpt, grouped
from unflaw.data._nouns import Rejection

__all__ = ["csv_chunks"]

_READINGS = 8
"""A line that was read this often belongs to no longer row: else a hostile file would be read over and over."""


def csv_chunks(file: TextFile, n_rows: int) -> Iterator[Chunk]:
    """Rows of a CSV file with a header; every cell is text, an empty one is None."""
    return grouped(_csv_rows(file), n_rows)


_Line = tuple[int, bytes, int]
"""Number, text, and how often a reader took it before."""


class _CsvLines:
    """The physical lines of a file, for a `csv.reader`; those since the last row can be read again.

    A quote that is never closed swallows every line after it. Only the first of them is to blame:
    it is rejected, and a fresh reader takes the others.
    """

    def __init__(self, file: TextFile) -> None:
        self.file = file
        self.since: list[_Line] = []
        """Lines that a reader has taken since the last row."""
        self._lines = file.lines()
        self._again: deque[_Line] = deque()

    def __iter__(self) -> Iterator[str]:
        """Yield lines to one reader. Raises `csv.Error` where the row they belong to can only be broken."""
        since, held = self.since, 0
        while (line := self._next()) is not None:
            held = held + len(line[1]) if since else len(line[1])
            since.append(line)
            if len(since) > 1:
                self._check(line, held)
            yield line[1].decode("utf-8", "surrogateescape") + "\n"

    def _check(self, line: _Line, held: int) -> None:
        """Refuse to go on with a row that is too long, or whose lines were read too often."""
        if held > self.file.max_line_bytes:
            raise csv.Error(f"a row of more than `max_line_bytes` ({self.file.max_line_bytes:,}), or an open quote")
        if max(self.since[0][2], line[2]) >= _READINGS:
            raise csv.Error("a quote is never closed")

    def peek(self) -> str:
        """Return the next line, which stays the next."""
        line = self._next()
        self._again.extendleft([line] if line else [])
        return line[1].decode("utf-8", "surrogateescape") if line else ""

    def _next(self) -> _Line | None:
        if self._again:
            return self._again.popleft()
        fresh = next(self._lines, None)
        return fresh and (*fresh, 0)

    def next_row(self) -> int:
        """Return the line the row began on that was just read."""
        number = self.since[0][0]
        self.since.clear()
        return number

    def reject_first(self, reason: str) -> None:
        """Reject the first line since the last row, and have the others read again."""
        (number, text, _), *others = self.since
        self.file.reject(Rejection(number, reason, excerpt(text)))
        self._again.extendleft((number, text, n_readings + 1) for number, text, n_readings in reversed(others))
        self.since.clear()


def _csv_rows(file: TextFile) -> Iterator[tuple[int, dict[str, Any], int]]:
    lines = _CsvLines(file)
    delimiter, names = _header(lines)
    for number, cells in _cells(lines, delimiter):
        text = delimiter.join(cells)
        if len(cells) != len(names):
            reason = f"wrong number of cells: {len(cells)}, the header has {len(names)}"
            file.reject(Rejection(number, reason, excerpt(text)))
        elif not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text):
            raw = text.encode("utf-8", "surrogateescape")
            file.reject(Rejection(number, "not UTF-8: the row holds other bytes", excerpt(raw)))
        else:
            yield number, {n: c if c != "" else None for n, c in zip(names, cells, strict=True)}, len(text)


def _cells(lines: _CsvLines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield every row's cells, and the line it begins on."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            why = str(error).replace("unexpected end of data", "a quote is never closed")
            lines.reject_first(f"not valid CSV: {why}")
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if cells is None:
            return
        number = lines.next_row()
        if cells:
            yield number, cells


def _header(lines: _CsvLines) -> tuple[str, list[str]]:
    """Return the delimiter and the names of the columns."""
    path = lines.file.path
    csv.field_size_limit(max(csv.field_size_limit(), lines.file.max_line_bytes))  # the module's own limit is 128 KiB
    delimiter = max(",\t;|", key=lines.peek().count)
    try:
        names = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise DataError(f"the header of `{path}`, its first line, is not valid CSV: {error}") from error
    lines.since.clear()
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"`{path}` has more than one column called {twice}; rename them in its first line")
    if any("\udc80" <= c <= "\udcff" for n in names for c in n):
        raise DataError(f"`{path}` is not UTF-8: its header holds other bytes; make it UTF-8 first")
    return delimiter, names
