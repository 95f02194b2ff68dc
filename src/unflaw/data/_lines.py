"""Text files, line by line: JSON lines and JSON arrays, plain or compressed, however broken.

Every source yields chunks of rows with the line each began on, and hands what is no row to
`reject`. Memory is bounded by one chunk, and a line by `max_line_bytes`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError
from unflaw.data._nouns import Rejection

__all__ = ["Chunk", "TextFile", "excerpt", "grouped", "is_array", "is_packed", "json_chunks", "lines_before"]

_BLOCK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_CHUNK_BYTES = 32 << 20
_EXCERPT_CHARACTERS = 2000
_EXCERPT_BYTES = 4 * _EXCERPT_CHARACTERS  # UTF-8 takes at most four a character
_DECODE = json.JSONDecoder().raw_decode
_BETWEEN = re.compile(r"[\s,]*")
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
    span: tuple[int, int] | None = None
    """Bytes of an uncompressed file, from and to: the lines that begin there are read. None: all of it."""

    def blocks(self) -> Iterator[bytes]:
        """Decompressed bytes. Raises `DataError` for what is no text, OSError where the file breaks off."""
        blocks = self._packed_blocks() if self.span is None else self._span_blocks(*self.span)
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

    def _span_blocks(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of the lines that begin at `start` or later, and before `stop`.

        A line begins where the file does or behind a line break, so that what is before the first break is left to
        the span before, and the last line is read to its end.
        """
        with open(self.path, "rb") as raw:
            if start:
                raw.seek(start - 1)
                while (skipped := raw.readline(_BLOCK)) and not skipped.endswith(b"\n"):
                    pass
            block = b"\n"
            while (left := stop - raw.tell()) > 0 and (block := raw.read(min(_BLOCK, left))):
                if self.progress:
                    self.progress(raw.tell() - start, stop - start)
                yield block
            while block and not block.endswith(b"\n"):
                if block := raw.readline(_BLOCK):
                    yield block

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
                    cut = held[:_EXCERPT_BYTES]
                    too_long, held = too_long + len(held) - len(cut), cut
        except OSError as error:
            self.broken(error, number, held)
            return
        if held:
            yield from self._checked(number, held, too_long + len(held))

    def _checked(self, number: int, line: bytes, size: int) -> Iterator[tuple[int, bytes]]:
        if size <= self.max_line_bytes:
            yield number, line
        else:
            self.too_long(number, line, size)

    def too_long(self, number: int, line: bytes | str, size: int) -> None:
        """Reject a line over the limit."""
        reason = f"line too long: {size:,} bytes, the limit is {self.max_line_bytes:,}; raise `max_line_bytes`"
        self.reject(Rejection(number, reason, excerpt(line)))

    def broken(self, error: OSError, number: int, held: bytes | str) -> None:
        """Reject what is left where the file breaks off. Raises `DataError` unless that is to be kept."""
        if not self.keep_truncated:
            raise DataError(
                f"`{self.path}` breaks off in line {number}: {error}. Get a whole copy, "
                'or keep the rows before that line with on_truncated="keep" (--on-truncated keep)'
            ) from error
        self.reject(Rejection(number, f"file breaks off: {error}", excerpt(held)))


def excerpt(line: bytes | str) -> str:
    """Return the beginning of a line, at most 2,000 characters, whatever its bytes; any encoding can hold it."""
    if isinstance(line, bytes):
        return line[:_EXCERPT_BYTES].decode("utf-8", "replace")[:_EXCERPT_CHARACTERS]
    text = line[:_EXCERPT_CHARACTERS]
    return text.encode("utf-8", "backslashreplace").decode()[:_EXCERPT_CHARACTERS]


def _refuse_binary(block: bytes, path: Path) -> None:
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"`{path}` is UTF-16; make it UTF-8 first, e.g. iconv -f utf-16 -t utf-8")
    if b"\0" in block:
        kinds = {b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF", b"SQLite": "an SQLite database"}
        kind = next((k for magic, k in kinds.items() if block.startswith(magic)), "binary")
        raise DataError(f"`{path}` looks like {kind}, not text; unflaw reads JSON lines, JSON, CSV, Parquet and Arrow")


def json_chunks(file: TextFile, n_rows: int) -> Iterator[Chunk]:
    """Rows of a JSON-lines file, or of a file that is one JSON array."""
    rows = _array_rows(file) if is_array(file.path) else _line_rows(file)
    return grouped(rows, n_rows)


def grouped(rows: Iterator[tuple[int, dict[str, Any], int]], n_rows: int) -> Iterator[Chunk]:
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


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, whatever its name says."""
    with open(path, "rb") as raw:
        head = raw.read(8)
    return any(head.startswith(magic) for magic in _MAGIC)


def lines_before(path: Path, stop: int) -> int:
    """Count the lines that begin before a byte."""
    block, found = b"\n", 0
    with open(path, "rb") as raw:
        for at in range(0, stop, _BLOCK):
            block = raw.read(min(_BLOCK, stop - at))
            found += block.count(b"\n")
    return found + (not block.endswith(b"\n"))


def is_array(path: Path) -> bool:
    """Whether a file is one JSON array, not JSON lines."""
    quiet = TextFile(path, lambda _: None)
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
    text, at, line, gap = "", 0, 1, re.compile(r"[\s\[]*")
    try:
        for block in _decoded(file):
            text, at = text[at:] + block, 0
            while True:
                start = _after(gap, text, at)
                line += text.count("\n", at, start)
                at = start
                if at == len(text) or text[at] == "]":
                    break
                gap = _BETWEEN
                found = _element(file, text, at, line)
                if found is None:
                    break  # cut by the block's end, perhaps: read on
                value, end = found
                if _is_row(file, value, text[at:end], line):
                    yield line, value, end - at
                line += text.count("\n", at, end)
                at = end
    except OSError as error:
        file.broken(error, line, text[at:])
        return
    if text[at:].strip() != "]":
        raise DataError(f"`{file.path}` is a JSON array that is broken in line {line}: {_problem(text[at:])}")


def _after(gap: re.Pattern[str], text: str, at: int) -> int:
    found = gap.match(text, at)
    return found.end() if found else at


def _element(file: TextFile, text: str, at: int, line: int) -> tuple[Any, int] | None:
    """Return the element at this place and where it ends, None where more must be read. Raises `DataError`."""
    try:
        return _DECODE(text, at)
    except (ValueError, RecursionError) as error:
        if len(text) - at <= file.max_line_bytes:
            return None
        if _ends_early(error, text):
            raise DataError(
                f"`{file.path}` holds an element from line {line} on that is too long: it exceeds `max_line_bytes` "
                f"({file.max_line_bytes:,}); raise that, unless a quote or bracket is not closed there"
            ) from error
        raise DataError(f"`{file.path}` holds no valid JSON from line {line} on: {error}") from error


def _ends_early(error: Exception, text: str) -> bool:
    """Whether the only thing wrong with JSON is that it ends: within a word like "-Infinity" at the most."""
    return isinstance(error, json.JSONDecodeError) and (
        error.msg.startswith("Unterminated string") or len(text) - error.pos <= len("-Infinit")
    )


def _is_row(file: TextFile, value: Any, text: str, line: int) -> bool:
    """Whether an element is a row; what is none is rejected."""
    if len(text) > file.max_line_bytes:
        file.too_long(line, text, len(text.encode("utf-8", "surrogatepass")))
    elif not isinstance(value, dict):
        file.reject(Rejection(line, _NO_OBJECT + type(value).__name__, excerpt(text)))
    else:
        return True
    return False


def _problem(rest: str) -> str:
    """Say what is wrong with the end of an array."""
    try:
        _DECODE(rest, 0)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "the closing ] is missing"


def _decoded(file: TextFile) -> Iterator[str]:
    """Text of a file, block by block. Raises `DataError` where it is no text, OSError where it breaks off."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    try:
        for block in file.blocks():
            yield decoder.decode(block)
            position += len(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise DataError(f"`{file.path}` is not UTF-8 near byte {position + error.start}; convert it first") from error
