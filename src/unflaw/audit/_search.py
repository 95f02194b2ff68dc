"""Search for copies: rows that share a key meet, and those that meet are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt64

from unflaw.audit._sample import draw
from unflaw.measure import Shingles, band_keys, normalise, text_hash

__all__ = ["Copy", "Texts", "copies_of", "copies_within"]

_BUCKET = 50
"""Originals kept per key. Only rows of one rigid template fill a bucket without being copies of each other; then
near copies of later originals may be missed, exact ones are not."""
_COMPARED = 20
"""Originals compared word by word with a row: those that share the most keys. With k keys of 32 shared, J is about
(k / 32)^(1/4)."""
_ROWS_AT_ONCE = 4096


class Copy(NamedTuple):
    """A row, and the one it repeats."""

    row: str
    of: str
    similarity: float
    """Jaccard similarity of the shingles; 1 for an exact copy."""
    exact: bool


@dataclass(frozen=True)
class Texts:
    """Texts ready to be compared."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    """Normalised."""
    contexts: tuple[int, ...]
    """Hash of the passage a row is about, 0 where there is none: about two passages, equal words are no copy."""
    keys: UInt64[np.ndarray, "n bands"]

    @classmethod
    def of(cls, ids: Sequence[str], texts: Sequence[str], contexts: Sequence[str]) -> Texts:
        """Normalise, and find the keys by which near copies meet."""
        plain = tuple(normalise(text) for text in texts)
        about = tuple(text_hash(normalise(context)) if context else 0 for context in contexts)
        return cls(tuple(ids), plain, about, band_keys(Shingles.of(plain)))

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: Texts) -> Texts:
        return Texts(
            self.ids + other.ids,
            self.texts + other.texts,
            self.contexts + other.contexts,
            np.concatenate([self.keys, other.keys]),
        )

    def by_id(self) -> Texts:
        """Sort by id, so that what is found does not depend on how the rows came in."""
        return self._take(sorted(range(len(self)), key=self.ids.__getitem__))

    def sample(self, n: int) -> Texts:
        """Draw n texts, or take all where there are no more; a text's luck depends on its id alone."""
        if n >= len(self):
            return self
        return self._take(sorted(range(len(self)), key=lambda i: draw(self.ids[i], 0))[:n])

    def _take(self, order: Sequence[int]) -> Texts:
        return Texts(
            tuple(self.ids[i] for i in order),
            tuple(self.texts[i] for i in order),
            tuple(self.contexts[i] for i in order),
            self.keys[list(order)],
        )


def copies_within(texts: Texts, threshold: float) -> list[Copy]:
    """Return every row that repeats one before it, in order of id; the first of its kind is no copy."""
    texts = texts.by_id()
    exact = _first_of(texts)
    alike = _near(texts, texts, threshold)
    copies: dict[int, Copy] = {}
    for i in range(len(texts)):
        if exact[i] < i:
            copies[i] = Copy(texts.ids[i], texts.ids[exact[i]], 1.0, True)
        elif found := [near for near in alike.get(i, ()) if near[1] < i and near[1] not in copies]:
            copies[i] = _as_copy(texts, i, texts, *max(found, key=lambda near: (near[0], -near[1])))
    return list(copies.values())


def copies_of(texts: Texts, originals: Texts, threshold: float) -> list[Copy]:
    """Return every row of `texts` that repeats one of `originals`, in order of id."""
    texts, originals = texts.by_id(), originals.by_id()
    exact = {same: i for i, same in reversed(list(enumerate(zip(originals.texts, originals.contexts, strict=True))))}
    alike = _near(texts, originals, threshold)
    copies = []
    for i, same in enumerate(zip(texts.texts, texts.contexts, strict=True)):
        if same in exact:
            copies.append(Copy(texts.ids[i], originals.ids[exact[same]], 1.0, True))
        elif i in alike:
            copies.append(_as_copy(texts, i, originals, *max(alike[i], key=lambda near: (near[0], -near[1]))))
    return copies


def _first_of(texts: Texts) -> list[int]:
    """Return for each row the first row with its text and its passage."""
    first: dict[tuple[str, int], int] = {}
    return [first.setdefault(same, i) for i, same in enumerate(zip(texts.texts, texts.contexts, strict=True))]


def _as_copy(texts: Texts, i: int, originals: Texts, similarity: float, j: int) -> Copy:
    return Copy(texts.ids[i], originals.ids[j], similarity, texts.texts[i] == originals.texts[j])


def _near(texts: Texts, originals: Texts, threshold: float) -> dict[int, list[tuple[float, int]]]:
    """Return for each text the (similarity, place) of the originals that it nearly copies.

    Where `originals` are the texts themselves, only earlier ones are looked at, and only one of equal texts.
    """
    i, j = _pairs(texts, originals)
    about, of = np.array(texts.contexts, dtype=np.uint64), np.array(originals.contexts, dtype=np.uint64)
    may = (about[i] == of[j]) | (about[i] == 0) | (of[j] == 0)
    i, j = i[may], j[may]
    shift = 0 if texts is originals else len(texts)
    both = texts.texts if texts is originals else texts.texts + originals.texts
    wanted = np.union1d(i, j + shift)
    shingles = Shingles.of([both[k] for k in wanted])
    similarity = shingles.jaccard(np.searchsorted(wanted, i), np.searchsorted(wanted, j + shift))
    near: dict[int, list[tuple[float, int]]] = {}
    for k in np.flatnonzero(similarity >= threshold).tolist():
        near.setdefault(int(i[k]), []).append((float(similarity[k]), int(j[k])))
    return near


def _pairs(texts: Texts, originals: Texts) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Return the pairs of a text and an original to compare: those that share keys, for each text the most likely."""
    same = texts is originals
    first = 0 if same else len(originals)
    once = np.array(_first_of(originals), dtype=np.int64) == np.arange(len(originals))
    keys = originals.keys if same else np.concatenate([originals.keys, texts.keys])
    may_be_original = once if same else np.concatenate([once, np.zeros(len(texts), dtype=bool)])
    buckets = [_Bucket.of(keys[:, band], may_be_original) for band in range(keys.shape[1])]
    found = []
    for start in range(first, len(keys), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(keys)))
        pairs = np.concatenate([bucket.pairs(rows, len(keys), earlier=same) for bucket in buckets])
        pairs, shared = np.unique(pairs, return_counts=True)
        i, j = np.divmod(pairs, len(keys))
        order = np.lexsort((j, -shared, i))
        i, j = i[order], j[order]
        rank = np.arange(len(i)) - np.searchsorted(i, i)
        found.append(np.stack([i, j])[:, rank < _COMPARED])
    i, j = np.concatenate([np.empty((2, 0), dtype=np.int64), *found], axis=1)
    return i - first, j


@dataclass(frozen=True)
class _Bucket:
    """Rows that share the key of one band."""

    originals: Int[np.ndarray, " o"]
    """Rows that may be originals, by key, then by place."""
    begin: Int[np.ndarray, " n"]
    """Where the originals with a row's key begin, and how many there are."""
    count: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, keys: UInt64[np.ndarray, " n"], may_be_original: Bool[np.ndarray, " n"]) -> _Bucket:
        """Sort the originals by key."""
        originals = np.flatnonzero(may_be_original)
        originals = originals[np.argsort(keys[originals], kind="stable")]
        ranked = keys[originals]
        begin = np.searchsorted(ranked, keys, side="left")
        return cls(originals, begin, np.searchsorted(ranked, keys, side="right") - begin)

    def pairs(self, rows: Int[np.ndarray, " r"], n: int, *, earlier: bool) -> Int[np.ndarray, " p"]:
        """Return row · n + original for the first originals that share a row's key; of those only earlier ones."""
        counts = np.minimum(self.count[rows], _BUCKET)
        row = np.repeat(rows, counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        original = self.originals[self.begin[row] + within]
        kept = original < row if earlier else slice(None)
        return row[kept] * n + original[kept]
