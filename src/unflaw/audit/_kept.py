"""What must be known of every row, to compare it with all others: columns in Arrow tables, in memory or on disk.

From disk they are mapped, and read where they are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Shaped, UInt64

from unflaw.audit._sample import draw
from unflaw.audit._work import open_table, save_table
from unflaw.measure import Shingles, band_keys, least_shingles, normalise, text_hash

__all__ = ["Columns", "Kept", "kept_texts", "kept_vectors"]


class Columns:
    """Columns of some tables, one below the other; a row is called by its number."""

    def __init__(self, tables: Sequence[pa.Table | Path]) -> None:
        self.tables = tables
        opened = [of if isinstance(of, pa.Table) else open_table(of) for of in tables]
        self.firsts = np.cumsum([0, *map(len, opened)])
        self.batches = [batch for table in opened for batch in table.to_batches() if len(batch)]
        self.starts = np.cumsum([0, *map(len, self.batches)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def numbers(self, name: str, rows: Int[np.ndarray, " r"] | None = None) -> Shaped[np.ndarray, " n"]:
        """Return a column of numbers: what these rows have, or all of it."""
        kind = np.int64 if name == "place" else np.uint64
        if rows is None:
            return np.concatenate([np.empty(0, kind), *(batch[name].to_numpy() for batch in self.batches)])
        found = np.zeros(len(rows), dtype=kind)
        for batch, at, inside in self._by_batch(rows):
            found[at] = batch[name].to_numpy()[inside]
        return found

    def strings(self, name: str, rows: Int[np.ndarray, " r"]) -> list[str]:
        """Return what some rows have in a column of strings without nulls."""
        found: list[str] = [""] * len(rows)
        for batch, at, inside in self._by_batch(rows):
            values = batch[name].take(pa.array(inside)).to_pylist()
            for place, value in zip(at.tolist(), values, strict=True):
                found[place] = value
        return found

    def shingles(self, rows: Int[np.ndarray, " r"]) -> Shingles:
        """Return the shingles of some rows."""
        found, places = [pa.array([], _SHINGLES)], [np.empty(0, np.int64)]
        for batch, at, inside in self._by_batch(rows):
            found.append(batch["shingles"].take(pa.array(inside)))
            places.append(at)
        lists = pa.concat_arrays(found).take(pa.array(np.argsort(np.concatenate(places))))
        return Shingles(lists.values.to_numpy(), lists.offsets.to_numpy())

    def passages(self, rows: Int[np.ndarray, " r"]) -> UInt64[np.ndarray, "r 4"]:
        """Return what tells the passages of some rows."""
        found = np.zeros((len(rows), _N_LEAST), dtype=np.uint64)
        for batch, at, inside in self._by_batch(rows):
            found[at] = _flat(batch["passage"], np.uint64)[inside]
        return found

    def vectors(self, rows: Int[np.ndarray, " r"]) -> Float[np.ndarray, "r d"]:
        """Return the vectors of some rows, at length 1."""
        found = np.zeros((len(rows), self._width("vector", np.float16)), dtype=np.float32)
        for batch, at, inside in self._by_batch(rows):
            found[at] = _flat(batch["vector"], np.float16)[inside]
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)

    def keyed(self, low: int, high: int) -> Iterator[tuple[UInt64[np.ndarray, " e"], Int[np.ndarray, " e"]]]:
        """Yield (keys, rows that have them) table by table, of the keys from `low` up to `high`.

        On disk keys are in order, so that only these are read.
        """
        for first, of in zip(self.firsts.tolist(), self.tables, strict=False):
            keys, rows = _by_key(of) if isinstance(of, pa.Table) else _columns_of(_keys_of(of))
            a, b = (int(np.searchsorted(keys, np.uint64(end))) if end < 2**64 else len(keys) for end in (low, high))
            yield np.array(keys[a:b]), rows[a:b].astype(np.int64) + first

    def rank(self, rows: Int[np.ndarray, " r"]) -> Int[np.ndarray, " r"]:
        """Return the rank of each row's id among these rows; a row may come several times."""
        once, at = np.unique(rows, return_inverse=True)
        ids = self.strings("id", once)
        rank = np.empty(len(once), dtype=np.int64)
        rank[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        return rank[at]

    def drawn(self, most: int | None) -> Int[np.ndarray, " m"]:
        """Return the rows with the smallest draws, or all of them, by their numbers."""
        if most is None or most >= len(self):
            return np.arange(len(self))
        return np.sort(np.argsort(self.numbers("draw"), kind="stable")[:most])

    def _by_batch(self, rows: Int[np.ndarray, " r"]) -> Iterator[tuple[pa.RecordBatch, np.ndarray, np.ndarray]]:
        """Yield (batch, which of the rows lie in it, where)."""
        of = np.searchsorted(self.starts, rows, side="right") - 1
        order = np.argsort(of, kind="stable")
        cuts = np.searchsorted(of[order], np.arange(len(self.batches) + 1))
        for i in np.unique(of).tolist():
            at = order[cuts[i] : cuts[i + 1]]
            yield self.batches[i], at, rows[at] - self.starts[i]

    def _width(self, name: str, kind: type) -> int:
        return self.batches[0][name].type.byte_width // np.dtype(kind).itemsize if self.batches else 1


def _flat(column: pa.Array, kind: type) -> Shaped[np.ndarray, "b w"]:
    width = column.type.byte_width // np.dtype(kind).itemsize
    rows: np.ndarray = np.frombuffer(column.buffers()[1], dtype=kind).reshape(-1, width)
    return rows[column.offset : column.offset + len(column)]


@dataclass(frozen=True)
class Kept:
    """Rows of which something is kept: place in the set, id, hash of the text, draw, and what they are compared by."""

    tables: tuple[pa.Table | Path, ...] = ()
    n: int = 0
    labelled: bool = False
    about: bool = False
    """Whether any of them has a passage that it is about."""

    def __len__(self) -> int:
        return self.n

    def __add__(self, other: Kept) -> Kept:
        sides = self.labelled or other.labelled, self.about or other.about
        return Kept(self.tables + other.tables, self.n + other.n, *sides)

    def keep(self, path: Path) -> Kept:
        """Put what is in memory on disk, below this name."""
        held = [of for of in self.tables if isinstance(of, pa.Table)]
        if not held:
            return self
        table = pa.concat_tables(held).combine_chunks()
        save_table(file := path.with_name(f"{path.name}.arrow"), table.drop_columns(_KEYS & {*table.column_names}))
        if _KEYS <= {*table.column_names}:
            save_table(_keys_of(file), pa.table(dict(zip(("key", "row"), _by_key(table), strict=True))))
        return replace(self, tables=(*(of for of in self.tables if isinstance(of, Path)), file))

    def open(self) -> Columns:
        """Open the tables, without loading them."""
        return Columns(self.tables)


_KEYS = {"keys"}
_N_LEAST = 4
"""Shingles that tell a passage: of two that share four in five, one or more is the same with probability .998."""
_SHINGLES = pa.large_list(pa.uint64())


def _keys_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-keys")


def _by_key(table: pa.Table) -> tuple[UInt64[np.ndarray, " e"], Shaped[np.ndarray, " e"]]:
    """Return the keys of all rows in order, and the row of each."""
    if not len(table):
        return np.empty(0, np.uint64), np.empty(0, np.uint32)
    of_rows = np.concatenate([_flat(chunk, np.uint64) for chunk in table["keys"].chunks])
    order = np.argsort(of_rows, axis=None, kind="stable")
    return of_rows.ravel()[order], (order // of_rows.shape[1]).astype(np.uint32)


def _columns_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    table = open_table(path)
    return table["key"].to_numpy(), table["row"].to_numpy()


def kept_texts(
    places: Sequence[int], ids: Sequence[str], texts: Sequence[str], contexts: Sequence[str],
    labels: Sequence[str] | None = None,
) -> Kept:  # fmt: skip
    """Keep the shingles of normalised texts, and the keys by which near copies meet.

    Beside them: hash of the passage a text is about (`about`, 0 for none), what tells passages that are alike
    (`passage`), and its label ("" for none).
    """
    plain = [normalise(text) for text in texts]
    if not plain:
        return Kept()
    passages = {context: at for at, context in enumerate(dict.fromkeys(contexts))}
    told_of, at = [normalise(context) for context in passages], [passages[context] for context in contexts]
    about = np.array([text_hash(passage) if passage else 0 for passage in told_of], dtype=np.uint64)[at]
    told = [""] * len(ids) if labels is None else list(labels)
    table = _named(places, ids, plain).append_column("about", pa.array(about, pa.uint64()))
    shingles = Shingles.of(plain)
    lists = pa.LargeListArray.from_arrays(pa.array(shingles.starts, pa.int64()), pa.array(shingles.hashes))
    table = table.append_column("shingles", lists).append_column("label", pa.array(told))
    table = table.append_column("passage", _fixed(least_shingles(told_of, _N_LEAST)[at]))
    table = table.append_column("keys", _fixed(band_keys(shingles)))
    return Kept((table,), len(plain), labels is not None, any(told_of))


def kept_vectors(places: Sequence[int], ids: Sequence[str], texts: Sequence[str], x: Float[np.ndarray, "n d"]) -> Kept:
    """Keep vectors, as half floats."""
    plain = [normalise(text) for text in texts]
    table = _named(places, ids, plain).append_column("vector", _fixed(x.astype(np.float16)))
    return Kept((table,), len(plain))


def _named(places: Sequence[int], ids: Sequence[str], plain: Sequence[str]) -> pa.Table:
    hashes, draws = ([of(v) for v in values] for of, values in ((text_hash, plain), (_draw, ids)))
    columns: dict[str, Any] = {"place": pa.array(places, pa.int64()), "id": pa.array(ids, pa.string())}
    return pa.table({**columns, "hash": pa.array(hashes, pa.uint64()), "draw": pa.array(draws, pa.uint64())})


def _draw(row_id: str) -> int:
    return draw(row_id, 0)


def _fixed(rows: Shaped[np.ndarray, "n w"]) -> pa.Array:
    """Return an Arrow column of rows of equal width."""
    rows = np.ascontiguousarray(rows)
    kind = pa.binary(rows.shape[1] * rows.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, pa.py_buffer(rows)])
