"""From a path, a folder or a hub name to chunks of rows: which format it is, and whether it can be read at all."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from unflaw._errors import DataError, did_you_mean
from unflaw.data._csv import csv_chunks
from unflaw.data._lines import Chunk, TextFile, json_chunks
from unflaw.data._nouns import Rejection
from unflaw.data._tables import arrow_tables, datasets_files, hub_records, parquet_tables

__all__ = ["FORMATS", "Format", "Source", "format_of", "open_source", "suffix_of"]

Format = Literal["json", "csv", "parquet", "arrow", "datasets", "hub"]

FORMATS: dict[str, Format] = {
    ".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
    ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
}  # fmt: skip
COMPRESSED = (".gz", ".zst", ".bz2")


@dataclass(frozen=True)
class Source:
    """Something that can be read more than once."""

    name: str
    """As the user named it."""
    format: Format
    path: Path
    max_line_bytes: int = 16 << 20
    keep_truncated: bool = False

    def chunks(
        self, n_rows: int, reject: Callable[[Rejection], None], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Chunk]:
        """Rows from the beginning, in chunks of at most `n_rows`.

        Progress counts bytes of a text file, rows of a Parquet file, files of an Arrow folder.
        """
        if self.format in ("json", "csv"):
            file = TextFile(self.path, reject, self.max_line_bytes, self.keep_truncated, progress)
            return json_chunks(file, n_rows) if self.format == "json" else csv_chunks(file, n_rows)
        if self.format == "hub":
            return _counted(hub_records(self.name.removeprefix("hub:")), n_rows)
        if self.format == "parquet":
            return _typed(parquet_tables(self.path, n_rows, progress))
        paths = datasets_files(self.path) if self.format == "datasets" else [self.path]
        return _typed(arrow_tables(paths, n_rows, progress))


def _typed(tables: Iterator[pa.Table]) -> Iterator[Chunk]:
    done = 0
    for table in tables:
        yield Chunk(list(range(done + 1, done + table.num_rows + 1)), [], table)
        done += table.num_rows


def _counted(records: Iterator[dict[str, Any]], n_rows: int) -> Iterator[Chunk]:
    done = 0
    while some := list(itertools.islice(records, n_rows)):
        yield Chunk(list(range(done + 1, done + len(some) + 1)), some)
        done += len(some)


def suffix_of(path: Path) -> str:
    """Return the suffix that says the format, in small letters: the last one that is no compression's.

    >>> suffix_of(Path("a.json.v2.JSONL.gz"))
    '.jsonl'
    """
    return next((s.lower() for s in reversed(path.suffixes) if s.lower() not in COMPRESSED), "")


def format_of(path: Path) -> Format:
    """Format a file's name promises. Raises `DataError` for a suffix nobody knows."""
    if (suffix := suffix_of(path)) in FORMATS:
        return FORMATS[suffix]
    raise DataError(
        f"`{path}` has no suffix that says its format. Known: {', '.join(FORMATS)}, "
        f"the text formats also with {', '.join(COMPRESSED)}"
    )


def open_source(name: str | os.PathLike[str], *, max_line_bytes: int, keep_truncated: bool) -> Source:
    """Find out what can be read under this name. Raises `DataError` where nothing can."""
    name = os.fspath(name)
    if name.startswith("hub:"):
        return Source(name, "hub", Path())
    path = Path(name).expanduser()
    if path.is_dir():
        datasets_files(path)
        return Source(name, "datasets", path)
    _check_file(path)
    with open(path, "rb") as file:
        magic = file.read(6)
    kind: Format = "parquet" if magic[:4] == b"PAR1" else "arrow" if magic == b"ARROW1" else format_of(path)
    return Source(name, kind, path, max_line_bytes, keep_truncated)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise DataError(f"`{path}` does not exist. {_siblings(path)}")
    if not path.is_file():
        raise DataError(f"`{path}` is no regular file; it would have to be read twice: save it to a file first")
    if not os.access(path, os.R_OK):
        raise DataError(f"`{path}` cannot be read: permission denied")
    if path.stat().st_size == 0:
        raise DataError(f"`{path}` is empty (0 bytes). Did the program that wrote it finish?")


def _siblings(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"Neither does the folder {folder}; paths are relative to {Path.cwd()}."
    names = [p.name for p in itertools.islice(folder.iterdir(), 10_000)]
    near = difflib.get_close_matches(path.name, names, n=1)
    readable = [n for n in names if any(s in FORMATS for s in Path(n).suffixes)]
    if near or 0 < len(readable) <= 20:
        return did_you_mean(path.name, near or readable)
    return f"Paths are relative to {Path.cwd()}."
