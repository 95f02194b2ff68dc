"""Typed sources: Parquet, Arrow and Feather files, `datasets` folders, and the hub. All are read in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError, MissingExtraError, did_you_mean

__all__ = ["arrow_tables", "datasets_files", "group_sizes", "hub_records", "parquet_tables"]

Progress = Callable[[int, int], None] | None


def parquet_tables(
    path: Path, n_rows: int, progress: Progress, span: tuple[int, int] | None = None
) -> Iterator[pa.Table]:
    """Batches of a Parquet file, or of a span of its row groups. Raises `DataError` where it is broken."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = range(*(span or (0, file.metadata.num_row_groups)))
            done, total = 0, sum(file.metadata.row_group(group).num_rows for group in groups)
            for batch in file.iter_batches(batch_size=n_rows, row_groups=list(groups)):
                done += batch.num_rows
                if progress:
                    progress(done, total)
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise _not_whole(path, error) from error


def group_sizes(path: Path) -> list[int]:
    """Bytes of each row group of a Parquet file, compressed. Raises `DataError` where it is broken."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            return [sum(g.column(i).total_compressed_size for i in range(g.num_columns)) for g in groups]
    except (pa.ArrowException, OSError) as error:
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> DataError:
    return DataError(f"`{path}` is no whole Parquet file: {error}. Was it cut off while copying?")


def arrow_tables(paths: list[Path], n_rows: int, progress: Progress) -> Iterator[pa.Table]:
    """Batches of Arrow files, of the file (Feather) or the stream format (`datasets`)."""
    for done, path in enumerate(paths):
        try:
            with pa.memory_map(str(path)) as raw:
                whole = raw.read(6) == b"ARROW1"
                raw.seek(0)
                for batch in _file_batches(raw) if whole else pa.ipc.open_stream(raw):
                    table = pa.Table.from_batches([batch])
                    for start in range(0, table.num_rows, n_rows):
                        yield table.slice(start, n_rows)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"`{path}` is no whole Arrow file: {error}. Was it cut off while copying?") from error
        if progress:
            progress(done + 1, len(paths))


def _file_batches(raw: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(raw)
    for i in range(reader.num_record_batches):
        yield reader.get_batch(i)


def datasets_files(folder: Path) -> list[Path]:
    """Arrow files of a folder that `Dataset.save_to_disk` wrote. Raises `DataError` where it is none."""
    splits = folder / "dataset_dict.json"
    if splits.is_file():
        names = json.loads(splits.read_text("utf-8"))["splits"]
        if len(names) > 1:
            raise DataError(f"`{folder}` holds the splits {names}; name one, e.g. {folder / names[0]}")
        return datasets_files(folder / names[0])
    state = folder / "state.json"
    if not state.is_file():
        known = (".jsonl", ".json", ".csv", ".parquet", ".arrow", ".gz", ".zst")
        inside = [p.name for p in folder.iterdir() if p.suffix in known]
        hint = f"name one of its files: {sorted(inside)[:5]}" if inside else "name a file"
        raise DataError(f"`{folder}` is a folder, but none that `Dataset.save_to_disk` wrote; {hint}")
    return [folder / entry["filename"] for entry in json.loads(state.read_text("utf-8"))["_data_files"]]


def hub_records(name: str) -> Iterator[dict[str, Any]]:
    """Rows of `owner/name` or `owner/name:split` on the Hugging Face hub, streamed."""
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("datasets", "models") from None
    repository, _, split = name.partition(":")
    try:
        splits = datasets.load_dataset(repository, streaming=True)
        if not split and len(splits) == 1:
            split = next(iter(splits))
        split = split or "train"
        if split not in splits:
            raise DataError(f"`hub:{repository}` has no split {split!r}. {did_you_mean(split, splits)}")
        yield from splits[split]
    except (OSError, ValueError) as error:  # offline, unknown name, unknown configuration
        raise DataError(
            f"`hub:{repository}` cannot be read: {error}. The hub needs the internet and an existing name; "
            "offline, save the data set to a file or folder first and name that"
        ) from error
