"""From a path, a folder or a hub name to chunks of rows: which format it is, and whether it can be read at all."""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from unflaw._errors import DataError, did_you_mean
from unflaw.data._csv import csv_chunks
from unflaw.data._lines import Chunk, TextFile, is_array, is_packed, json_chunks, lines_before
from unflaw.data._nouns import Rejection
from unflaw.data._tables import arrow_tables, datasets_files, group_sizes, hub_records, parquet_tables

__all__ = ["FORMATS", "Format", "Source", "data_files", "format_of", "open_source", "suffix_of"]

Format = Literal["json", "csv", "parquet", "arrow", "datasets", "files", "hub"]

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
    span: tuple[int, int] | None = None
    """The part to read, from and to: bytes of JSON lines, row groups of Parquet, files of a folder. None: all of it."""

    def chunks(
        self, n_rows: int, reject: Callable[[Rejection], None], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Chunk]:
        """Rows from the beginning, in chunks of at most `n_rows`.

        Progress counts bytes of a text file, rows of a Parquet file, files of a folder.
        """
        if self.format in ("json", "csv"):
            file = TextFile(self.path, reject, self.max_line_bytes, self.keep_truncated, progress, self.span)
            return json_chunks(file, n_rows) if self.format == "json" else csv_chunks(file, n_rows)
        if self.format == "hub":
            return _counted(hub_records(self.name.removeprefix("hub:")), n_rows)
        if self.format == "parquet":
            return _typed(parquet_tables(self.path, n_rows, progress, self.span))
        if self.format == "files":
            return self._file_by_file(n_rows, reject, progress)
        paths = self.files()[slice(*self.span or (None, None))]
        return _typed(arrow_tables(paths, n_rows, progress))

    def files(self) -> list[Path]:
        """Return the files that are read, one after the other."""
        if self.format == "files":
            return data_files(self.path)
        return datasets_files(self.path) if self.format == "datasets" else [self.path]

    def split(self, n_bytes: int) -> list[Source]:
        """Cut into parts of about `n_bytes` on disk that can be read by themselves and together are all of it.

        A compressed file, a CSV file, a JSON array and the hub can be read from the beginning alone: one part.
        """
        if self.format in ("datasets", "files"):
            spans = _packed([path.stat().st_size for path in self.files()], n_bytes)
        elif self.format == "parquet":
            spans = _packed(group_sizes(self.path), n_bytes)
        elif self.format == "json" and not is_packed(self.path) and not is_array(self.path):
            size = self.path.stat().st_size
            ends = [*range(n_bytes, size, n_bytes), size]
            spans = list(zip([0, *ends[:-1]], ends, strict=True))
        else:
            return [self]
        return [replace(self, span=span) for span in spans]

    def line_before(self) -> int:
        """Return how many lines of the file lie before this part."""
        if self.format != "json" or self.span is None:
            return 0
        return lines_before(self.path, self.span[0])

    def _file_by_file(
        self, n_rows: int, reject: Callable[[Rejection], None], progress: Callable[[int, int], None] | None
    ) -> Iterator[Chunk]:
        paths = self.files()[slice(*self.span or (None, None))]
        for done, path in enumerate(paths):

            def refuse(one: Rejection, name: str = path.name) -> None:
                reject(replace(one, reason=f"{one.reason} ({name})"))

            source = open_source(path, max_line_bytes=self.max_line_bytes, keep_truncated=self.keep_truncated)
            yield from source.chunks(n_rows, refuse)
            if progress:
                progress(done + 1, len(paths))


def _packed(sizes: Sequence[int], n_bytes: int) -> list[tuple[int, int]]:
    """Cut a row of things into spans of about `n_bytes`, none empty.

    >>> _packed([4, 4, 4, 20, 1], 8)
    [(0, 2), (2, 4), (4, 5)]
    """
    spans, first, held = [], 0, 0
    for at, size in enumerate(sizes):
        held += size
        if held >= n_bytes or at + 1 == len(sizes):
            spans.append((first, at + 1))
            first, held = at + 1, 0
    return spans


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
    if (kind := FORMATS.get(suffix_of(path))) in ("parquet", "arrow") and path.suffix.lower() in COMPRESSED:
        raise DataError(f"`{path}` cannot be: {kind} is compressed inside the file; leave {path.suffix} off")
    if kind is not None:
        return kind
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
        if data_files(path):
            return Source(name, "files", path, max_line_bytes, keep_truncated)
        datasets_files(path)
        return Source(name, "datasets", path)
    _check_file(path)
    with open(path, "rb") as file:
        magic = file.read(6)
    kind: Format = "parquet" if magic[:4] == b"PAR1" else "arrow" if magic == b"ARROW1" else format_of(path)
    return Source(name, kind, path, max_line_bytes, keep_truncated)


def data_files(folder: Path) -> list[Path]:
    """Return the files of a folder, by name, where all that have a known suffix have the same; else none.

    What `Dataset.save_to_disk` wrote is no such folder, nor is one with files of several formats.
    """
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        return []
    known = [path for path in sorted(folder.iterdir()) if path.is_file() and suffix_of(path) in FORMATS]
    kept = [path for path in known if not path.name.startswith((".", "_"))]
    return kept if len({FORMATS[suffix_of(path)] for path in kept}) == 1 else []


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
