"""Vectors that lie near each other, by exact cosine in blocks: no index, no miss, and no more than a block in memory.

Notation
    x    one unit vector per row, (n, d)
    t    similarity from which on one row repeats another
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["nearest_original", "repeats_of_earlier", "share_nearer"]

_BLOCK = 2048


def nearest_original(
    x: Float[np.ndarray, "n d"], originals: Float[np.ndarray, "m d"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the original with the highest cosine to each row, the first of several, and that cosine."""
    best, similarity = np.zeros(len(x), dtype=np.int64), np.full(len(x), -np.inf, dtype=x.dtype)
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        for low in range(0, len(originals), _BLOCK):
            cosines = x[rows] @ originals[low : low + _BLOCK].T
            at = cosines.argmax(axis=1)
            highest = cosines[np.arange(len(at)), at]
            closer = highest > similarity[rows]
            best[rows] = np.where(closer, at + low, best[rows])
            similarity[rows] = np.where(closer, highest, similarity[rows])
    return best, similarity


def repeats_of_earlier(x: Float[np.ndarray, "n d"], t: float) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the earlier row that each row repeats, -1 for none, and their cosine.

    Only rows that repeat nothing are originals of others: in a group of ten alike the first is kept and nine repeat it,
    and a chain of rows, each a little further on, is not one group.
    """
    of, similarity = np.full(len(x), -1, dtype=np.int64), np.zeros(len(x), dtype=x.dtype)
    kept = np.empty(0, dtype=np.int64)
    for start in range(0, len(x), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(x)))
        if len(kept):
            at, highest = nearest_original(x[block], x[kept])
            old = highest >= t
            of[block[old]], similarity[block[old]] = kept[at[old]], highest[old]
        cosines = np.tril(x[block] @ x[block].T, -1)
        for i in np.flatnonzero((cosines >= t).any(axis=1)):
            here = np.where(of[block[:i]] < 0, cosines[i, :i], -np.inf)
            j = int(here.argmax())
            if here[j] >= t and here[j] > similarity[block[i]]:
                of[block[i]], similarity[block[i]] = block[j], here[j]
        kept = np.append(kept, block[of[block] < 0])
    return of, similarity


def share_nearer(
    own: Float[np.ndarray, "n d"], answered: Float[np.ndarray, "n d"], others: Float[np.ndarray, "k d"],
    counts: Bool[np.ndarray, "n k"],
) -> Float[np.ndarray, " n"]:  # fmt: skip
    """Return for each answer the share of others to which it is nearer than to its own, by cosine.

    Another that is as near as the own one, as an equal one is, counts half: an answer at random gets .5 on average.
    `counts` marks the others that are to be asked of a row; its own one is not.

    >>> eye = np.eye(3)
    >>> share_nearer(eye, eye[[1, 0, 2]], eye, ~np.eye(3, dtype=bool)).tolist()
    [0.75, 0.75, 0.0]
    """
    cosines, mine = answered @ others.T, np.einsum("nd,nd->n", own, answered)[:, None]
    equal = np.isclose(cosines, mine, rtol=0, atol=1e-6)
    return (np.where(equal, 0.5, cosines > mine) * counts).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
