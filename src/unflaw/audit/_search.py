"""Search for copies: texts that share a key meet, and those that meet are compared.

The search is cut into tasks by the keys, so that none holds more than a slice of them, however many texts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, UInt8, UInt64

from unflaw.audit._engine import HERE, Run
from unflaw.audit._kept import Columns, Kept
from unflaw.audit._pairs import Pairs, held
from unflaw.audit._twins import twins_of

__all__ = ["copies_of", "copies_within"]

_BUCKET = 50
"""Originals kept per key. Only rows of one rigid template fill a bucket without being copies of each other; then
near copies of later originals may be missed, exact ones are not."""
_COMPARED = 20
"""Originals compared word by word with a row: those that share the most keys. With k keys of 32 shared, J is about
(k / 32)^(1/4)."""
_TASK_ROWS = 250_000
"""Kept whose keys a task holds: some 200 MB."""
_PAIRS = 2**21
"""Pairs looked at at once."""


def copies_within(texts: Kept, threshold: float, run: Run = HERE, most: int | None = None) -> pa.Table:
    """Return every row that repeats one before it in order of id (`TWINS`); the first of its kind is no copy.

    The similarity is that of the shingles (Jaccard), 1 for an exact copy; with a threshold above 1 only exact ones are
    looked for. With `most`, only so many rows are looked at; a row's luck depends on its id alone.
    """
    opened = texts.open()
    among = opened.drawn(most)
    equal = _equal_within(opened, among)
    once = _but(among, equal.rows)
    near = _first_of_their_kind(opened, _Search.of(texts, None, once, once, threshold).all(run))
    return _as_twins(opened, opened, equal, near)


def copies_of(texts: Kept, originals: Kept, threshold: float, run: Run = HERE) -> pa.Table:
    """Return every row of `texts` that repeats one of `originals`."""
    rows, others = texts.open(), originals.open()
    equal = Pairs.equal(_contents(rows), _contents(others), others)
    new = _but(np.arange(len(rows)), equal.rows)
    once = _but(np.arange(len(others)), _equal_within(others, np.arange(len(others))).rows)
    near = _Search.of(texts, originals, new, once, threshold).all(run).nearest(others)
    return _as_twins(rows, others, equal, near)


def _as_twins(texts: Columns, others: Columns, equal: Pairs, near: Pairs) -> pa.Table:
    rows, of, similarity = Pairs.joined([equal, near])
    return twins_of({
        "place": texts.numbers("place", rows), "id": texts.strings("id", rows), "of": others.strings("id", of),
        "similarity": similarity, "exact": np.arange(len(rows)) < len(equal.rows),
        "label": texts.strings("label", rows), "of_label": others.strings("label", of),
    })  # fmt: skip


def _equal_within(texts: Columns, among: Int[np.ndarray, " m"]) -> Pairs:
    """Return all but the first of every kind, in order of id, with that first."""
    kind, counts = np.unique(_contents(texts)[among], return_inverse=True, return_counts=True)[1:]
    again = counts[kind] > 1
    rows, kind = among[again], kind[again]
    order = np.lexsort((texts.rank(rows), kind))
    rows, kind = rows[order], kind[order]
    first = np.searchsorted(kind, kind)
    later = np.arange(len(rows)) > first
    return Pairs(rows[later], rows[first[later]], np.ones(int(later.sum())))


def _contents(texts: Columns) -> UInt64[np.ndarray, " n"]:
    """Return one number per text and passage."""
    return texts.numbers("hash") ^ (texts.numbers("about") * np.uint64(0x9E3779B97F4A7C15))


def _first_of_their_kind(texts: Columns, pairs: Pairs) -> Pairs:
    """Let only rows that copy nothing be originals: in order of id, each copies what is most like it."""
    rank, rank_of = np.split(texts.rank(np.concatenate([pairs.rows, pairs.of])), 2)
    copies: set[int] = set()
    kept = []
    for at in np.lexsort((rank_of, -pairs.similarity, rank)).tolist():
        row, of = int(pairs.rows[at]), int(pairs.of[at])
        if row not in copies and of not in copies:
            copies.add(row)
            kept.append(at)
    return pairs.take(kept)


@dataclass(frozen=True)
class _Search:
    """One search for near copies. It is sent to every task: of the numbers of rows it holds one bit a row."""

    texts: Kept
    originals: Kept | None
    """None: the texts themselves, and of two that are alike the original has the smaller id."""
    rows: UInt8[np.ndarray, " r"]
    """The texts that may be copies, in bits."""
    may_be: UInt8[np.ndarray, " o"]
    """The originals that may be copied, in bits."""
    n_rows: int
    """Rows in both."""
    threshold: float

    @classmethod
    def of(
        cls, texts: Kept, originals: Kept | None, rows: Int[np.ndarray, " r"], may_be: Int[np.ndarray, " o"], t: float
    ) -> _Search:
        """Search these rows for near copies of those."""
        n = len(rows) + len(may_be)
        return cls(
            texts,
            originals,
            _bits(rows, len(texts)),
            _bits(may_be, len(texts if originals is None else originals)),
            n,
            t,
        )

    def all(self, run: Run) -> Pairs:
        """Return every pair that is alike, once."""
        if self.threshold > 1:
            return Pairs.joined([])
        n_tasks = max(1, -(-self.n_rows // _TASK_ROWS))
        pairs = Pairs.joined(run(self.part, [(i, n_tasks) for i in range(n_tasks)]))
        return pairs.take(np.unique(np.stack(pairs[:2]), axis=1, return_index=True)[1])

    def part(self, which: tuple[int, int]) -> Pairs:
        """Compare the texts that meet in one slice of the keys."""
        texts = self.texts.open()
        others = texts if self.originals is None else self.originals.open()
        both_about = self.texts.about and (self.originals is None or self.originals.about)
        found = [np.empty((2, 0), dtype=np.int64)]
        for rows, of, shared in self._meetings(texts, others, which):
            if both_about:
                may = _may_repeat(texts, rows, others, of)
                rows, of, shared = rows[may], of[may], shared[may]
            order = np.lexsort((others.rank(of), -shared, rows))
            rows, of = rows[order], of[order]
            most = np.arange(len(rows)) - np.searchsorted(rows, rows) < _COMPARED
            found.append(np.stack([rows[most], of[most]]))
        return self._alike(texts, others, *np.concatenate(found, axis=1))

    def _meetings(self, texts: Columns, others: Columns, which: tuple[int, int]) -> Iterator[Int[np.ndarray, "3 p"]]:
        """Yield (row, original, times) of those that meet, some millions at a time, and all of one row at once."""
        code, row = _keyed(texts, self.rows, which)
        if self.originals is None:
            code, row = _repeated(code, row)
            order = np.lexsort((texts.rank(row), code))
            code, row = code[order], row[order]
            first = np.searchsorted(code, code)
            count = np.minimum(np.arange(len(code)) - first, _BUCKET)
            of = row
        else:
            code_of, of = _keyed(others, self.may_be, which)
            both = held(code_of, code)
            code_of, of = code_of[both], of[both]
            order = np.lexsort((others.rank(of), code_of))
            code_of, of = code_of[order], of[order]
            first = np.searchsorted(code_of, code)
            count = np.minimum(np.searchsorted(code_of, code, side="right") - first, _BUCKET)
        if not len(row):
            return
        order = np.argsort(row, kind="stable")
        row, first, count = row[order], first[order], count[order]
        ends = np.cumsum(count)
        cuts = np.searchsorted(ends, np.arange(0, ends[-1] + _PAIRS, _PAIRS), side="left")
        cuts = np.unique(np.searchsorted(row, row[cuts[cuts < len(row)]], side="left"))  # a row is never cut in two
        for a, b in zip(cuts.tolist(), [*cuts[1:].tolist(), len(row)], strict=True):
            n = count[a:b]
            within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
            pairs = np.repeat(row[a:b], n), of[np.repeat(first[a:b], n) + within]
            yield np.stack(_counted(np.stack([*pairs, np.ones(len(within), dtype=np.int64)])))

    def _alike(self, texts: Columns, others: Columns, rows: Int[np.ndarray, " p"], of: Int[np.ndarray, " p"]) -> Pairs:
        """Compare pairs word by word."""
        kept: list[Pairs] = []
        for start in range(0, len(rows), _PAIRS // 32):
            i, j = (side[start : start + _PAIRS // 32] for side in (rows, of))
            (once, at), (once_of, at_of) = (np.unique(side, return_inverse=True) for side in (i, j))
            similarity = (texts.shingles(once) + others.shingles(once_of)).jaccard(at, at_of + len(once))
            alike = similarity >= self.threshold
            kept.append(Pairs(i[alike], j[alike], similarity[alike]))
        return Pairs.joined(kept)


def _may_repeat(
    texts: Columns, rows: Int[np.ndarray, " p"], others: Columns, of: Int[np.ndarray, " p"]
) -> Bool[np.ndarray, " p"]:
    """Tell of which pairs the passages are not different ones: nearly the same, or one has none."""
    about, about_of = texts.numbers("about", rows), others.numbers("about", of)
    may = (about == about_of) | (about == 0) | (about_of == 0)
    asked = np.flatnonzero(~may)
    may[asked] = _alike_passages(texts, rows[asked], others, of[asked])
    return may


def _alike_passages(
    texts: Columns, rows: Int[np.ndarray, " p"], others: Columns, of: Int[np.ndarray, " p"]
) -> Bool[np.ndarray, " p"]:
    """Tell of which pairs the passages are nearly the same, e.g. one of them cut."""
    (once, at), (once_of, at_of) = (np.unique(side, return_inverse=True) for side in (rows, of))
    mine, theirs = texts.passages(once), others.passages(once_of)
    same = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rows), _PAIRS // 32):
        part = slice(start, start + _PAIRS // 32)
        a, b = mine[at[part]], theirs[at_of[part]]
        same[part] = ((a[:, :, None] == b[:, None, :]) & (a != 0)[:, :, None]).any(axis=(1, 2))
    return same


def _but(rows: Int[np.ndarray, " m"], without: Int[np.ndarray, " w"]) -> Int[np.ndarray, " r"]:
    """Return the rows, which are in order, without these, which are among them."""
    left = np.ones(len(rows), dtype=bool)
    left[np.searchsorted(rows, without)] = False
    return rows[left]


def _counted(pairs: Int[np.ndarray, "3 p"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up how often each pair came."""
    rows, of, times = pairs
    width = int(of.max(initial=0)) + 1
    code, at = np.unique(rows * width + of, return_inverse=True)
    return code // width, code % width, np.bincount(at, times, len(code)).astype(np.int64)


def _bits(rows: Int[np.ndarray, " r"], n: int) -> UInt8[np.ndarray, " b"]:
    """Mark rows among n with a bit each; of the eight in a byte the highest comes first."""
    marked = np.zeros(n, dtype=bool)
    marked[rows] = True
    return np.packbits(marked)


def _keyed(
    texts: Columns, rows: UInt8[np.ndarray, " b"], which: tuple[int, int]
) -> tuple[UInt64[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Return (key, row) for each key of these rows that lies in a slice of all keys."""
    part, n_parts = which
    found: list[Sequence[np.ndarray]] = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    for keys, of in texts.keyed(part * 2**64 // n_parts, (part + 1) * 2**64 // n_parts):
        inside: Bool[np.ndarray, " e"] = (rows[of >> 3] >> (7 - (of & 7)) & 1).astype(bool)
        found.append((keys[inside], of[inside]))
    code, row = (np.concatenate(column) for column in zip(*found, strict=True))
    return code, row


def _repeated(
    code: UInt64[np.ndarray, " e"], row: Int[np.ndarray, " e"]
) -> tuple[UInt64[np.ndarray, " f"], Int[np.ndarray, " f"]]:
    """Leave out the keys that one row alone has."""
    order = np.argsort(code, kind="stable")
    code, row = code[order], row[order]
    same = code[1:] == code[:-1]
    both = np.zeros(len(code), dtype=bool)
    both[1:] |= same
    both[:-1] |= same
    return code[both], row[both]
