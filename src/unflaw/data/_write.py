"""Writing rows in any format and schema. A file is either wholly there or not at all."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError
from unflaw.data._columns import unpacked
from unflaw.data._convert import converted
from unflaw.data._files import atomic_folder, atomic_write
from unflaw.data._json import json_ready
from unflaw.data._rows import Rows
from unflaw.data._source import format_of, suffix_of

__all__ = ["write"]


def write(rows: Rows | Iterable[Rows], path: str | os.PathLike[str], *, to: str | None = None) -> int:
    """Write rows and return how many; a later `read` gives them the same ids.

    Columns that unflaw worked out from the file's own (`unflaw.prompt` and the like) are left out:
    reading works them out again. JSON has no NaN: it becomes null. CSV has no types and no nesting:
    nested values become JSON text, and a column of numbers is told by its looks.

    Parameters
    ----------
    rows
        All rows, or batches of them, e.g. a `RowReader`: then memory is bounded by a batch.
    path
        The suffix says the format: .jsonl, .ndjson, .json, .csv, .tsv (plain, .gz, .zst or .bz2),
        .parquet, .arrow, .feather. No suffix: a folder that `datasets.load_from_disk` opens.
    to
        Write this schema instead, e.g. "messages" or "prompt/completion".

    Raises
    ------
    DataError
        The file cannot be written, or the format cannot hold the rows.
    SchemaError
        The rows lack a role the schema needs.
    """
    path = Path(path).expanduser()
    batches = iter([rows] if isinstance(rows, Rows) else rows)
    tables = (_outgoing(converted(batch, to) if to else batch.table, batch.roles) for batch in batches)
    if not path.suffix:
        return _write_folder(tables, path)
    kind = format_of(path)
    with atomic_write(path, "wb") as raw:
        if kind in ("parquet", "arrow"):
            return _write_typed(tables, raw, kind, path)
        with _compressed(raw, path) as file:
            return (_write_json if kind == "json" else _write_csv)(tables, file, path)


def _outgoing(table: pa.Table, roles: Mapping[str, str]) -> pa.Table:
    """Leave out the columns that reading worked out; a file's own of such a name stays."""
    derived = {name for role, name in roles.items() if name == f"unflaw.{role}"}
    return table.drop_columns([n for n in table.column_names if n in derived])


@contextmanager
def _compressed(raw: Any, path: Path) -> Iterator[Any]:
    suffix = path.suffix.lower()
    if suffix == ".gz":  # no time stamp: the same rows give the same bytes
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
            yield file
    elif suffix == ".zst":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as file:
            yield file
    elif suffix == ".bz2":
        with bz2.BZ2File(raw, "wb") as file:
            yield file
    else:
        yield raw


def _write_json(tables: Iterator[pa.Table], file: Any, path: Path) -> int:
    array = suffix_of(path) == ".json"
    n = 0
    for table in filter(len, tables):
        lines = [_json_line(record, path) for record in unpacked(table)]
        text = (",\n" if array else "\n").join(lines)
        lead = ("[\n" if n == 0 else ",\n") if array else ""
        file.write((lead + text + ("" if array else "\n")).encode())
        n += len(lines)
    if array:
        file.write(b"\n]\n" if n else b"[]\n")
    return n


def _json_line(record: dict[str, Any], path: Path) -> str:
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, default=json_ready)
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can hold it
        return json.dumps(record, default=json_ready)
    except ValueError:
        return json.dumps(_without_nan(record, path), ensure_ascii=False, default=json_ready)
    return line


def _without_nan(value: Any, path: Path) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v, path) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_nan(v, path) for v in value]
    if isinstance(value, float) and math.isinf(value):
        raise DataError(f"`{path}` cannot hold the number {value}: JSON has no infinity; write .parquet")
    return None if isinstance(value, float) and math.isnan(value) else value


def _write_csv(tables: Iterator[pa.Table], file: Any, path: Path) -> int:
    n = 0
    names: list[str] | None = None
    for table in tables:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t" if suffix_of(path) == ".tsv" else ",", lineterminator="\n")
        if names is None:
            names = table.column_names
            writer.writerow(names)
        _refuse_new_columns(names, table, n, path)
        writer.writerows([_cell(record.get(name)) for name in names] for record in unpacked(table))
        file.write(text.getvalue().encode())
        n += table.num_rows
    return n


def _cell(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        return json.dumps(value)  # half a surrogate pair: only an escape can hold it
    nested = isinstance(value, (bool, list, dict))
    return json.dumps(value, ensure_ascii=False, default=json_ready) if nested else value


def _write_typed(tables: Iterator[pa.Table], file: Any, kind: str, path: Path) -> int:
    import pyarrow.parquet as pq

    openers: dict[str, Callable[[pa.Schema], Any]] = {
        "parquet": lambda schema: pq.ParquetWriter(file, schema, compression="zstd"),
        "arrow": lambda schema: pa.ipc.new_file(file, schema),
        "stream": lambda schema: pa.ipc.new_stream(file, schema),
    }
    first = next(tables, None)
    if first is None:
        raise DataError(f"there is no row to write to `{path}`")
    n = 0
    try:
        with openers[kind](first.schema) as writer:
            for table in itertools.chain([first], tables):
                _refuse_new_columns(first.column_names, table, n, path)
                writer.write_table(table.select(first.column_names).cast(first.schema))
                n += table.num_rows
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"`{path}` cannot hold these rows, the trouble began after row {n:,}: {error}. Write .jsonl, "
            "or read the rows whole first: a column of batches keeps the type of the first batch"
        ) from error
    return n


def _refuse_new_columns(names: list[str], table: pa.Table, n: int, path: Path) -> None:
    new = sorted(set(table.column_names) - set(names))
    if new or len(table.column_names) < len(names):
        raise DataError(
            f"`{path}` cannot hold these rows: after row {n:,} the columns change "
            f"({new or sorted(set(names) - set(table.column_names))}). Write .jsonl, or read the rows whole first"
        )


def _write_folder(tables: Iterator[pa.Table], path: Path) -> int:
    if path.exists() and not (path / "state.json").is_file():
        raise DataError(f"`{path}` exists and is no data set folder; name another, or a file with a suffix")
    name = "data-00000-of-00001.arrow"
    state: dict[str, Any] = {
        "_data_files": [{"filename": name}], "_fingerprint": None, "_format_columns": None, "_format_kwargs": {},
        "_format_type": None, "_output_all_columns": False, "_split": None,
    }  # fmt: skip
    with atomic_folder(path) as folder:
        with open(folder / name, "wb") as file:
            n = _write_typed(tables, file, "stream", path)
        (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        (folder / "dataset_info.json").write_text("{}", encoding="utf-8")
    return n
