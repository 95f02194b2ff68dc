"""Does an answer lie near the passage it is about?

Notation
    n, m     rows, different passages; d the size of a vector
    answers  one unit vector per row, (n, d)
    x        one unit vector per passage, (m, d)
    own      number of each row's passage, (n,)
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["passages_nearer"]

_AT_ONCE = 64
_EQUAL = 1e-6


def passages_nearer(
    answers: Float[np.ndarray, "n d"], x: Float[np.ndarray, "m d"], own: Int[np.ndarray, " n"], k: int
) -> Float[np.ndarray, " n"]:
    """Return for each answer the share of k other passages to which it is nearer than to its own, by cosine.

    The cosine itself says little: a year or a name lies near nothing. Rows share passages, so the passages are what is
    compared with, each once, and never the own one: the k that follow a block of passages, from the end back to the
    beginning, in the order given, which should be random. One as near as the own counts half. An answer at random gets
    .5 on average; nan where there is no other passage.

    >>> eye = np.eye(4)
    >>> passages_nearer(eye[[0, 0, 1, 3]], eye, np.array([0, 1, 1, 2]), 3).round(2).tolist()
    [0.0, 0.67, 0.0, 0.67]
    """
    m = len(x)
    k = min(k, m - 1)
    nearer = np.full(len(answers), np.nan)
    if k < 1:
        return nearer
    size = max(1, min(_AT_ONCE, m - k))  # a block and the passages that follow it do not meet
    order = np.argsort(own, kind="stable")
    edges = np.searchsorted(own[order], np.arange(0, m + size, size))
    for block, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        rows = order[first:last]
        others = x[(min((block + 1) * size, m) + np.arange(k)) % m]
        mine = np.einsum("nd,nd->n", answers[rows], x[own[rows]])[:, None]
        cosines = answers[rows] @ others.T
        equal = np.isclose(cosines, mine, rtol=0, atol=_EQUAL)
        nearer[rows] = np.where(equal, 0.5, cosines > mine).mean(axis=1)
    return nearer
