"""Text files, line by line: JSON lines, JSON arrays and CSV, plain or compressed, however broken.

Every source yields chunks of rows with the line each began on, and hands what is no row to
`reject`. Memory is bounded by one chunk, and a line by `max_line_bytes`.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError
from unflaw.data._nouns import Rejection

__all__ = ["Chunk", "TextFile", "csv_chunks", "excerpt", "json_chunks"]

_BLOCK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_CHUNK_BYTES = 32 << 20
_NO_OBJECT = 'not an object: a row is {"column": value}, this is a '


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, before anybody knows their schema."""

    lines: list[int]
    """Where each row begins, counted from 1."""
    records: list[dict[str, Any]]
    table: pa.Table | None = None
    """The same rows typed, where the file has types."""


@dataclass(frozen=True)
class TextFile:
    """A text file to be read, and what to do about the parts that are no rows."""

    path: Path
    reject: Callable[[Rejection], None]
    max_line_bytes: int = 16 << 20
    keep_truncated: bool = False
    """Keep the rows of a compressed file that breaks off, instead of raising."""
    progress: Callable[[int, int], None] | None = None

    def blocks(self) -> Iterator[bytes]:
        """Decompressed bytes. Raises `DataError` for what is no text, OSError where the file breaks off."""
        blocks = self._packed_blocks()
        if first := next(blocks, b""):
            _refuse_binary(first, self.path)
            yield first.removeprefix(b"\xef\xbb\xbf")
        yield from blocks

    def _packed_blocks(self) -> Iterator[bytes]:
        size, read = self.path.stat().st_size, 0
        with pa.OSFile(str(self.path)) as raw:
            stream = self._decompressed(raw)
            try:
                while block := stream.read(_BLOCK):
                    read += len(block)
                    if self.progress:
                        self.progress(raw.tell(), size)
                    yield block
            except OSError:
                yield from self._last_bytes(read)
                raise

    def _decompressed(self, raw: Any) -> Any:
        head = raw.read(8)
        raw.seek(0)
        codec = next((c for magic, c in _MAGIC.items() if head.startswith(magic)), None)
        return pa.CompressedInputStream(raw, codec) if codec else raw

    def _last_bytes(self, start: int) -> Iterator[bytes]:
        """Bytes between the last whole block and the break: a block that fails gives none of its bytes."""
        with pa.OSFile(str(self.path)) as raw, self._decompressed(raw) as stream:
            while start:
                start -= len(stream.read(min(start, _BLOCK)))
            found = bytearray()
            try:
                while byte := stream.read(1):
                    found += byte
            except OSError:
                yield bytes(found)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of every line; one over the limit is rejected, without ever being held whole."""
        number, held, too_long = 1, b"", 0
        try:
            for block in self.blocks():
                first, *rest = block.split(b"\n")
                held += first
                for piece in rest:  # `held` is complete: a newline followed it
                    yield from self._checked(number, held, too_long + len(held))
                    number, held, too_long = number + 1, piece, 0
                if len(held) > self.max_line_bytes:
                    too_long, held = too_long + len(held) - 200, held[:200]
        except OSError as error:
            self._broken(error, number, held)
            return
        if held:
            yield from self._checked(number, held, too_long + len(held))

    def _checked(self, number: int, line: bytes, size: int) -> Iterator[tuple[int, bytes]]:
        if size <= self.max_line_bytes:
            yield number, line
        else:
            reason = f"line too long: {size:,} bytes, the limit is {self.max_line_bytes:,}"
            self.reject(Rejection(number, reason, excerpt(line)))

    def _broken(self, error: OSError, number: int, held: bytes) -> None:
        if not self.keep_truncated:
            raise DataError(
                f"`{self.path}` breaks off in line {number}: {error}. Get a whole copy, "
                'or keep the rows before that line with on_truncated="keep" (--on-truncated keep)'
            ) from error
        self.reject(Rejection(number, f"file breaks off: {error}", excerpt(held)))


def excerpt(line: bytes | str) -> str:
    """Return the beginning of a line, at most 200 characters, whatever its bytes."""
    return (line[:800].decode("utf-8", "replace") if isinstance(line, bytes) else line)[:200]


def _refuse_binary(block: bytes, path: Path) -> None:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"`{path}` is UTF-16; make it UTF-8 first, e.g. iconv -f utf-16 -t utf-8")
    if b"\0" in block:
        kinds = {b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF", b"SQLite": "an SQLite database"}
        kind = next((k for magic, k in kinds.items() if block.startswith(magic)), "binary")
        raise DataError(f"`{path}` looks like {kind}, not text; unflaw reads JSON lines, JSON, CSV, Parquet and Arrow")


def json_chunks(file: TextFile, n_rows: int) -> Iterator[Chunk]:
    """Rows of a JSON-lines file, or of a file that is one JSON array."""
    rows = _array_rows(file) if _is_array(file) else _line_rows(file)
    return _grouped(rows, n_rows)


def _grouped(rows: Iterator[tuple[int, dict[str, Any], int]], n_rows: int) -> Iterator[Chunk]:
    lines: list[int] = []
    records: list[dict[str, Any]] = []
    held = 0
    for number, record, size in rows:
        lines.append(number)
        records.append(record)
        held += size
        if len(records) >= n_rows or held >= _CHUNK_BYTES:
            yield Chunk(lines, records)
            lines, records, held = [], [], 0
    if records:
        yield Chunk(lines, records)


def _line_rows(file: TextFile) -> Iterator[tuple[int, dict[str, Any], int]]:
    for number, line in file.lines():
        line = line.strip()
        if not line:
            continue
        try:
            record = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start} of the line"
        except (ValueError, RecursionError) as error:
            reason = f"not valid JSON: {error}"
        else:
            if isinstance(record, dict):
                yield number, record, len(line)
                continue
            reason = _NO_OBJECT + type(record).__name__
        file.reject(Rejection(number, reason, excerpt(line)))


def _is_array(file: TextFile) -> bool:
    quiet = TextFile(file.path, file.reject)
    try:
        start = next((b.lstrip()[:1] for b in quiet.blocks() if b.strip()), b"")
    except OSError:  # `lines` will tell where it broke
        return False
    return start == b"["


def _array_rows(file: TextFile) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Elements of a JSON array, one at a time.

    What comes after a mistake cannot be told apart from the mistake, so that the file is refused,
    unlike a JSON-lines file, which only loses the line.
    """
    decode = json.JSONDecoder().raw_decode
    text, at, line, gap = "", 0, 1, re.compile(r"[\s\[]*")
    for block in _decoded(file):
        text, at = text[at:] + block, 0
        while True:
            found = gap.match(text, at)
            start = found.end() if found else at
            line += text.count("\n", at, start)
            at = start
            if at == len(text) or text[at] == "]":
                break
            gap = re.compile(r"[\s,]*")
            try:
                value, end = decode(text, at)
            except (ValueError, RecursionError) as error:
                if len(text) - at > file.max_line_bytes:
                    raise DataError(f"`{file.path}` holds no valid JSON from line {line} on: {error}") from error
                break  # cut by the block's end, perhaps: read on
            if isinstance(value, dict):
                yield line, value, end - at
            else:
                file.reject(Rejection(line, _NO_OBJECT + type(value).__name__, excerpt(text[at:end])))
            line += text.count("\n", at, end)
            at = end
    if text[at:].strip() != "]":
        try:
            decode(text, at)
            problem = "the closing ] is missing"
        except (ValueError, RecursionError) as error:
            problem = str(error)
        raise DataError(f"`{file.path}` is a JSON array that is broken in line {line}: {problem}")


def _decoded(file: TextFile) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    try:
        for block in file.blocks():
            yield decoder.decode(block)
            position += len(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise DataError(f"`{file.path}` is not UTF-8 near byte {position + error.start}; convert it first") from error
    except OSError as error:
        raise DataError(f"`{file.path}` breaks off after {position:,} bytes: {error}. Get a whole copy") from error


def csv_chunks(file: TextFile, n_rows: int) -> Iterator[Chunk]:
    """Rows of a CSV file with a header; every cell is text, an empty one is None."""
    return _grouped(_csv_rows(file), n_rows)


def _csv_rows(file: TextFile) -> Iterator[tuple[int, dict[str, Any], int]]:
    numbers: list[int] = []  # of the physical lines the reader has taken since the last row

    def taken() -> Iterator[str]:
        for number, line in file.lines():
            numbers.append(number)
            yield line.decode("utf-8", "surrogateescape") + "\n"

    lines = taken()
    head = next(lines, "")
    delimiter = max(",\t;|", key=head.count)
    csv.field_size_limit(max(csv.field_size_limit(), file.max_line_bytes))  # the module's own limit is 128 KiB
    reader = csv.reader(itertools.chain([head], lines), delimiter=delimiter, strict=True)
    names = _header(reader, file.path)
    numbers.clear()
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            file.reject(Rejection(numbers[0], f"not valid CSV: {error}", ""))
            numbers.clear()
            continue
        if cells is None:
            return
        number = numbers[0]
        numbers.clear()
        if not cells:
            continue
        text = delimiter.join(cells)
        if len(cells) != len(names):
            reason = f"wrong number of cells: {len(cells)}, the header has {len(names)}"
            file.reject(Rejection(number, reason, excerpt(text)))
        elif not text.isascii() and any("\udc80" <= c <= "\udcff" for c in text):
            raw = text.encode("utf-8", "surrogateescape")
            file.reject(Rejection(number, "not UTF-8: the row holds other bytes", excerpt(raw)))
        else:
            yield number, {n: c if c != "" else None for n, c in zip(names, cells, strict=True)}, len(text)


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise DataError(f"the header of `{path}`, its first line, is not valid CSV: {error}") from error
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"`{path}` has more than one column called {twice}; rename them in its first line")
    if any("\udc80" <= c <= "\udcff" for n in names for c in n):
        raise DataError(f"`{path}` is not UTF-8: its header holds other bytes; make it UTF-8 first")
    return names
