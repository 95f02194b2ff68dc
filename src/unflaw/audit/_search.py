"""Search for copies: an index of originals, and the rows that meet one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

from unflaw.audit._sample import draw
from unflaw.measure import band_keys, jaccard, normalise, shingles, text_hash

__all__ = ["Copy", "Texts", "copies_of", "copies_within"]

_BUCKET = 50
"""Originals kept per key. Only rows of one rigid template fill a bucket without being copies of each other; then
near copies of later originals may be missed, exact ones are not."""
_COMPARED = 20
"""Originals compared word by word with a row: those that share the most keys."""


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
        return cls(tuple(ids), plain, about, band_keys([shingles(text) for text in plain]))

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
    index, copies = _Index(texts, threshold), []
    for position in _that_meet(texts.keys):
        copy = index.find(texts, position)
        if copy is None:
            index.add(position)
        else:
            copies.append(copy)
    return copies


def copies_of(texts: Texts, originals: Texts, threshold: float) -> list[Copy]:
    """Return every row of `texts` that repeats one of `originals`, in order of id."""
    texts, originals = texts.by_id(), originals.by_id()
    index = _Index(originals, threshold)
    for position in _that_meet(originals.keys, texts.keys):
        index.add(position)
    found = (index.find(texts, position) for position in _that_meet(texts.keys, originals.keys))
    return [copy for copy in found if copy is not None]


def _that_meet(keys: UInt64[np.ndarray, "n bands"], others: UInt64[np.ndarray, "m bands"] | None = None) -> list[int]:
    """Return the positions that share a key with any of `others`, or with one another; equal texts share all.

    Most rows meet nobody, and a sort of each band tells it without looking at them one by one.
    """
    meet = np.zeros(len(keys), dtype=bool)
    for band in range(keys.shape[1]):
        if others is not None:
            meet |= np.isin(keys[:, band], others[:, band])
        else:
            _, at, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
            meet |= counts[at] > 1
    return np.flatnonzero(meet).tolist()


class _Index:
    """Originals by exact text and by key."""

    def __init__(self, originals: Texts, threshold: float) -> None:
        self.originals = originals
        self.threshold = threshold
        self.exact: dict[tuple[str, int], int] = {}
        self.buckets: dict[int, list[int]] = {}

    def add(self, position: int) -> None:
        same = self.originals.texts[position], self.originals.contexts[position]
        if same in self.exact:
            return
        self.exact[same] = position
        for key in self.originals.keys[position].tolist():
            bucket = self.buckets.setdefault(key, [])
            if len(bucket) < _BUCKET:
                bucket.append(position)

    def find(self, texts: Texts, position: int) -> Copy | None:
        text, context = texts.texts[position], texts.contexts[position]
        same = self.exact.get((text, context))
        if same is not None:
            return Copy(texts.ids[position], self.originals.ids[same], 1.0, True)
        mine, best, original = shingles(text), 0.0, -1
        for near in self._nearest(texts.keys[position].tolist()):
            about = self.originals.contexts[near]
            similarity = jaccard(mine, shingles(self.originals.texts[near]))
            if similarity > best and (about == context or not about or not context):
                best, original = similarity, near
        if best < self.threshold:
            return None
        return Copy(texts.ids[position], self.originals.ids[original], best, text == self.originals.texts[original])

    def _nearest(self, keys: list[int]) -> list[int]:
        """Originals that share the most keys; with k keys of 32 shared, J is about (k / 32)^(1/4)."""
        shared = Counter(near for key in keys for near in self.buckets.get(key, ()))
        return sorted(shared, key=lambda near: (-shared[near], near))[:_COMPARED]
