"""The rows of an audit in parts on disk: read once, looked at as often as it takes, by whoever has the work folder.

A source is read in shards, each by one task, and a shard lies in parts of some thousand rows. Rows passed in memory are
put there, too, so that everything behind this has one way to come by rows.

    SET/shard-00003.pkl           what reading the shard gave; it is written last
    SET/00003-0000/rows.arrow     the rows of its first part
    SET/digests-00003.npy         of each row: 64 bits of what names it, and of what it says
    SET/renames-00003.npy         of contents that came by in shards before, too: how often
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from unflaw._errors import DataError
from unflaw.audit._engine import Run
from unflaw.audit._work import finished, load, open_table, save, save_array, save_table
from unflaw.data import ID, Rejection, RowReader, Rows, concatenate
from unflaw.measure import text_hash

__all__ = ["Part", "RowSet", "read_set"]

_SMALLEST_SHARD, _LARGEST_SHARD, _SHARDS = 16 << 20, 1 << 30, 2048
"""Bytes of a shard, and how many shards there should be about where they are neither small nor large."""


@dataclass(frozen=True)
class Part:
    """Some thousand rows on disk."""

    folder: Path
    """Holds the rows, and what is found out about them."""
    first: int
    """Place of its first row in the whole set."""
    n_rows: int
    n_set: int
    """Rows of the whole set."""
    kind: Rows
    """An empty `Rows`: roles, schema, source and types of all of the set's rows."""

    @property
    def done(self) -> int:
        """Rows up to the end of this part."""
        return self.first + self.n_rows

    def batches(self, size: int) -> Iterator[tuple[int, Rows]]:
        """Yield (place of the first row in the part, at most `size` rows)."""
        table = self._table()
        for start in range(0, self.n_rows, size):
            yield start, self._rows(table.slice(start, size))

    def take(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places of the part."""
        return self._rows(self._table().take(pa.array(places, pa.int64())))

    def _table(self) -> pa.Table:
        return open_table(self.folder / "rows.arrow")

    def _rows(self, table: pa.Table) -> Rows:
        if table.schema != self.kind.table.schema:
            table = concatenate([self.kind.table, table])
        renames = _renames_of(self.folder)
        if renames.exists():
            at = table.schema.get_field_index(ID)
            table = table.set_column(at, ID, pa.array(_renamed(table[ID].to_pylist(), np.load(renames))))
        return replace(self.kind, table=table)


@dataclass(frozen=True)
class RowSet:
    """The rows of one side of an audit."""

    source: str
    parts: tuple[Part, ...]
    n_rows: int
    contents: np.ndarray = field(repr=False)
    """64 bits of what each row says, sorted."""

    def has(self, role: str) -> bool:
        """Whether a column plays this role."""
        return self.parts[0].kind.has(role)

    @property
    def has_passages(self) -> bool:
        """Whether rows have a passage that they are about."""
        return self.parts[0].kind.has_passages

    def take(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places, in ascending order."""
        wanted, found = np.unique(np.array(places, dtype=np.int64)), []
        for part in self.parts:
            here = wanted[(wanted >= part.first) & (wanted < part.done)] - part.first
            if len(here):
                found.append(part.take(here.tolist()).table)
        kind = self.parts[0].kind
        return replace(kind, table=concatenate([kind.table, *found]))


@dataclass(frozen=True)
class _Shard:
    """What one task reads: a part of a file, or rows in memory."""

    root: Path
    number: int
    of: RowReader | Rows
    part_rows: int

    def folder(self, part: int) -> Path:
        return self.root / f"{self.number:05d}-{part:04d}"

    @property
    def record(self) -> Path:
        return self.root / f"shard-{self.number:05d}.pkl"

    @property
    def digests(self) -> Path:
        return self.root / f"digests-{self.number:05d}.npy"


@dataclass(frozen=True)
class _ShardRead:
    """What reading a shard gave."""

    sizes: list[int]
    """Rows of each part."""
    kind: Rows | None
    """An empty `Rows` like its own; None where it has none."""
    rejected: list[Rejection]
    """Lines that became no row, the first ten thousand."""
    reasons: Counter[str]


def read_set(source: Rows | RowReader, root: Path, run: Run, part_rows: int) -> RowSet:
    """Put the rows of a source into parts below `root`; shards that lie there already are not read again.

    Raises
    ------
    DataError
        There is no row, or the file's own ids repeat.
    """
    shards = [_Shard(root, i, of, part_rows) for i, of in enumerate(_cut(source))]
    left = [shard for shard in shards if not finished(shard.record)]
    for _ in run(_read, left):
        pass
    read: list[_ShardRead] = [load(shard.record) for shard in shards]
    if not any(sum(one.sizes) for one in read):
        raise DataError(_no_rows(root.name, source.source or "the rows passed", read))
    digests = [np.load(shard.digests) for shard in shards]
    if isinstance(source, RowReader):
        _name_apart(source, shards, [of[0] for of in digests])
    kinds = [one.kind for one in read if one.kind is not None]
    kind = replace(kinds[0], table=concatenate([of.table for of in kinds]))
    n_set, first, parts = sum(sum(one.sizes) for one in read), 0, []
    for shard, one in zip(shards, read, strict=True):
        for i, size in enumerate(one.sizes):
            parts.append(Part(shard.folder(i), first, size, n_set, kind))
            first += size
    contents = np.sort(np.concatenate([of[1] for of in digests]))
    if isinstance(source, RowReader):
        rejected = [one for of in read for one in of.rejected]
        source.took(n_set, rejected, sum((one.reasons for one in read), Counter[str]()))
    return RowSet(source.source, tuple(parts), n_set, contents)


def _cut(source: Rows | RowReader) -> Sequence[Rows | RowReader]:
    if isinstance(source, Rows):
        return [source]
    total = sum(size for _, size, _ in source.fingerprint())
    return source.split(min(_LARGEST_SHARD, max(_SMALLEST_SHARD, total // _SHARDS)))


def _read(shard: _Shard) -> int:
    """Read a shard into parts. A shard of which no line is a row is an empty one."""
    sizes: list[int] = []
    digests: list[np.ndarray] = []
    kind: list[pa.Table] = []
    for rows in _parts_of(shard):
        save_table(shard.folder(len(sizes)) / "rows.arrow", rows.table)
        sizes.append(len(rows))
        kind.append(rows.table.schema.empty_table())
        said = np.fromiter(map(text_hash, rows.texts()), np.uint64, len(rows))
        digests.append(np.stack([_names(rows.ids, shard.of), said]))
    save_array(shard.digests, np.concatenate([np.empty((2, 0), np.uint64), *digests], axis=1))
    empty = Rows(concatenate(kind), shard.of.roles, shard.of.schema, shard.of.source) if kind else None
    save(shard.record, _ShardRead(sizes, empty, *_rejections(shard.of)))
    return sum(sizes)


def _parts_of(shard: _Shard) -> Iterator[Rows]:
    """Yield the rows of a shard, part by part."""
    if isinstance(shard.of, Rows):
        yield from shard.of.batches(shard.part_rows)
        return
    held: list[pa.Table] = []
    size, reader = 0, shard.of
    for rows in reader:
        held.append(rows.table)
        size += len(rows)
        while size >= shard.part_rows:
            table = concatenate(held)
            yield Rows(table.slice(0, shard.part_rows), reader.roles, reader.schema, reader.source)
            held, size = [table.slice(shard.part_rows)], size - shard.part_rows
    if size:
        yield Rows(concatenate(held), reader.roles, reader.schema, reader.source)


def _rejections(of: Rows | RowReader) -> tuple[list[Rejection], Counter[str]]:
    if isinstance(of, Rows):
        return [], Counter()
    before = of.line_before() if of.rejected else 0
    return [replace(r, line=r.line + before) for r in of.rejected], of.reasons


def _no_rows(side: str, name: str, read: Sequence[_ShardRead]) -> str:
    lines = [f"  line {r.line}: {r.reason}" for one in read for r in one.rejected[:3]][:3]
    n = sum(one.reasons.total() for one in read)
    why = f"; none of its {n:,} lines is a row:\n" + "\n".join(lines) if n else ""
    return f"`{side}` must hold rows, got none in {name}{why}"


def _names(ids: Sequence[str], of: Rows | RowReader) -> np.ndarray:
    """Return 64 bits of what names each row: its content, or the file's own id."""
    if isinstance(of, RowReader) and of.id_column is None:
        return np.fromiter((int(i.partition("-")[0], 16) for i in ids), np.uint64, len(ids))
    return np.fromiter(map(text_hash, ids), np.uint64, len(ids))


def _name_apart(reader: RowReader, shards: Sequence[_Shard], names: Sequence[np.ndarray]) -> None:
    """Let no two rows of different shards have one id: contents are counted on, ids of the file's own are refused."""
    each = [np.unique(of, return_counts=True) for of in names]
    everywhere, n_shards = np.unique(np.concatenate([of for of, _ in each]), return_counts=True)
    shared = everywhere[n_shards > 1]
    if not len(shared):
        return
    if reader.id_column is not None:
        reader.refuse_twice(_ids_with(shards, names, shared[:5]))
    seen = np.zeros(len(shared), dtype=np.uint64)
    for shard, (contents, counts) in zip(shards, each, strict=True):
        at = np.searchsorted(shared, contents)
        inside = at < len(shared)
        inside[inside] = shared[at[inside]] == contents[inside]
        before = seen[at[inside]]
        save_array(_renames_of(shard.folder(0)), np.stack([contents[inside], before])[:, before > 0])
        seen[at[inside]] += counts[inside].astype(np.uint64)


def _renames_of(folder: Path) -> Path:
    return folder.with_name(f"renames-{folder.name.partition('-')[0]}.npy")


def _renamed(ids: list[str], renames: np.ndarray) -> list[str]:
    """Count a content on from the shards before: the first "1f0c…" behind two others is "1f0c…-3"."""
    known, before = renames
    if not len(known):
        return ids
    parts = [i.partition("-") for i in ids]
    names = np.fromiter((int(name, 16) for name, _, _ in parts), np.uint64, len(ids))
    at = np.minimum(np.searchsorted(known, names), len(known) - 1)
    for i in np.flatnonzero(known[at] == names).tolist():
        ids[i] = f"{parts[i][0]}-{int(parts[i][2] or 1) + int(before[at[i]])}"
    return ids


def _ids_with(shards: Sequence[_Shard], names: Sequence[np.ndarray], wanted: np.ndarray) -> list[str]:
    found: set[str] = set()
    for shard, of in zip(shards, names, strict=True):
        places = np.flatnonzero(np.isin(of, wanted)).tolist()
        sizes = load(shard.record).sizes
        for part, size in enumerate(sizes):
            here = [p for p in places if 0 <= p < size]
            places = [p - size for p in places if p >= size]
            table = open_table(shard.folder(part) / "rows.arrow")
            found |= set(table[ID].take(pa.array(here, pa.int64())).to_pylist())
    return sorted(found)
