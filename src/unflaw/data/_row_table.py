"""`rows.parquet` of a run folder: what is known of rows, by id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from unflaw._errors import DataError
from unflaw.data._files import atomic_write

__all__ = ["read_row_table", "save_row_table"]


def read_row_table(path: Path) -> pa.Table | None:
    """Read the file; None before there is one."""
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path) if path.is_file() else None
    except pa.ArrowException as error:
        raise DataError(f"`{path}` is no readable Parquet file: {error}") from error


def save_row_table(path: Path, parts: Iterable[pa.Table]) -> None:
    """Write parts that have one schema, one after the other; there is at least one."""
    import pyarrow.parquet as pq

    rest = iter(parts)
    first = next(rest)
    with atomic_write(path, "wb") as file, pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for part in rest:
            writer.write_table(part)
