"""Tables: how far apart columns and pairs of columns of two tables lie, and which rows lie nearest.

Notation
    n, d     rows, columns
    x        numbers, nan where there is none, (n, d) or (n,)
    codes    number of each row's value in a column, 0 … K - 1, a missing value being one as well, (n,)
    counts   rows with each value, of numbers in ascending order and missing last, (K,)
    r        correlation of two columns over the rows that have both

What synthetic tables are usually asked is 1 minus each of these distances, averaged: SDMetrics' column shapes
(KSComplement, TVComplement) and column pair trends (CorrelationSimilarity, ContingencySimilarity). Where no value is
missing ours agree with them to the last digit. Missing ones are left out of column shapes there, and are a value like
others here, so that a column that was emptied is a column that changed.

References
----------
    Patki, Wedge & Veeramachaneni (2016), "The Synthetic Data Vault", and the documentation of SDMetrics (MIT).
    Gower (1971), "A General Coefficient of Similarity and Some of Its Properties", Biometrics 27: `nearest_row`.
    Fieller, Hartley & Pearson (1957), Biometrika 44: sd of Spearman's z is sqrt(1.06 / (n - 3)), in `correlation_p`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "bin_edges",
    "binned",
    "contingency",
    "correlation_p",
    "correlations",
    "ks_distance",
    "ks_p",
    "nearest_row",
    "positions",
    "ranked",
    "told_by",
]

_CELLS = 4_000_000
"""Distances held at a time: 32 MB."""


def ks_distance(a: Int[np.ndarray, " K"], b: Int[np.ndarray, " K"]) -> float:
    """Return the Kolmogorov-Smirnov distance of two columns of numbers, from their counts.

    It is the largest difference between the shares of rows up to a value: of two values it is the total variation.

    >>> ks_distance(np.array([5, 5, 0]), np.array([2, 3, 5])).__round__(3)
    0.5
    """
    return float(np.abs(np.cumsum(a / a.sum() - b / b.sum())).max())


def ks_p(distance: float, m: int, n: int) -> float:
    """Return how often chance gives m and n rows of one source so large a distance: at most so often, where values tie.

    >>> round(ks_p(0.1, 1000, 1000), 5)
    9e-05
    """
    from scipy.stats import kstwobign

    return float(kstwobign.sf(distance * np.sqrt(m * n / (m + n))))


def bin_edges(x: Float[np.ndarray, " n"], n_bins: int = 10) -> Float[np.ndarray, " edges"]:
    """Return the inner edges of bins of one width between the least and the largest of the numbers."""
    there = x[~np.isnan(x)]
    if not len(there):
        return np.empty(0)
    low, high = float(there.min()), float(there.max())
    return (
        np.linspace(low, high, n_bins + 1)[1:-1] if low < high else np.linspace(low - 0.5, high + 0.5, n_bins + 1)[1:-1]
    )


def binned(x: Float[np.ndarray, " n"], edges: Float[np.ndarray, " edges"]) -> Int[np.ndarray, " n"]:
    """Return the bin of each number, a missing one in the last.

    >>> binned(np.array([0.5, 1.0, 7.0, np.nan]), np.array([1.0, 2.0])).tolist()
    [0, 1, 2, 3]
    """
    return np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="right")).astype(np.int64)


def contingency(
    a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], n_a: int, n_b: int
) -> Int[np.ndarray, "{n_a} {n_b}"]:
    """Count the rows with each pair of values.

    >>> contingency(np.array([0, 0, 1]), np.array([1, 1, 0]), 2, 2).tolist()
    [[0, 2], [1, 0]]
    """
    return np.bincount(a * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b)


def ranked(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return the rank of each number in its column, equal ones sharing their mean, for Spearman's `correlations`."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(x, axis=0, nan_policy="omit"))


def correlations(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    """Return Pearson's r of every two columns over the rows that have both; nan where one of them is constant there.

    >>> correlations(np.array([[1.0, 2, 5], [2, 4, 5], [3, 6, 5], [4, np.nan, 5]])).round(2).tolist()
    [[1.0, 1.0, nan], [1.0, 1.0, nan], [nan, nan, nan]]
    """
    there = ~np.isnan(x)
    n = np.maximum(there.sum(axis=0), 1)
    z = np.where(there, x, 0.0)
    z = np.where(there, z - z.sum(axis=0) / n, 0.0)
    z /= np.where((scale := np.sqrt((z * z).sum(axis=0) / n)) > 0, scale, 1.0)
    both = there.astype(np.float64)
    n, sums = both.T @ both, z.T @ both  # sums[i, j]: of column i where j is there as well
    squares, products = (z * z).T @ both, z.T @ z
    spread = n * squares - sums**2
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (n * products - sums * sums.T) / np.sqrt(spread * spread.T)
    constant = np.minimum(spread, spread.T) <= 1e-9 * n * n
    return np.where(constant, np.nan, np.clip(r, -1.0, 1.0))


def told_by(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    """Return how many rows a correlation of two columns rests on.

    That is the rows that have both; but of columns that mostly hold one value, twice the rows of the rarer that do not:
    where a thousand rows hold three numbers other than 0, three rows decide.

    >>> told_by(np.array([[1.0, 0], [2, 0], [3, 0], [4, 7]])).tolist()
    [[4.0, 2.0], [2.0, 2.0]]
    """
    there = ~np.isnan(x)
    off = np.array([_off_the_commonest(x[there[:, j], j]) for j in range(x.shape[1])])
    both = there.T.astype(np.float64) @ there
    return np.asarray(both * np.minimum(1.0, 2 * np.minimum(off[:, None], off[None, :])))


def _off_the_commonest(x: Float[np.ndarray, " n"]) -> float:
    return 1 - float(np.unique(x, return_counts=True)[1].max() / len(x)) if len(x) else 0.0


def correlation_p(
    r: Float[np.ndarray, " p"], s: Float[np.ndarray, " p"], m: Float[np.ndarray, " p"], n: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """Return how often chance makes correlations by ranks, over m and n rows of one source, differ by so much.

    >>> correlation_p(np.array([0.5]), np.array([0.3]), np.array([103.0]), np.array([103.0])).round(3).tolist()
    [0.1]
    """
    from scipy.stats import norm

    z = [np.arctanh(np.clip(t, -1 + 1e-9, 1 - 1e-9)) for t in (r, s)]
    sd = np.sqrt(1.06 * (1 / np.maximum(m - 3, 1e-9) + 1 / np.maximum(n - 3, 1e-9)))
    return np.asarray(2 * norm.sf(np.abs(z[0] - z[1]) / sd))


def positions(x: Float[np.ndarray, "n d"], among: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n d"]:
    """Return the share of other numbers below each number, equal ones counting half; a missing one lies in the middle.

    Divided by its range instead, a column with one huge value would hardly count.
    """
    placed = np.full(x.shape, 0.5)
    for j in range(x.shape[1]):
        known = np.sort(among[~np.isnan(among[:, j]), j])
        there = ~np.isnan(x[:, j])
        if len(known):
            sides = (np.searchsorted(known, x[there, j], side=side) for side in ("left", "right"))
            placed[there, j] = sum(sides) / (2 * len(known))
    return placed


def nearest_row(
    x: Float[np.ndarray, "n p"], words: Int[np.ndarray, "n q"],
    others: Float[np.ndarray, "m p"], their_words: Int[np.ndarray, "m q"], *, but_own: bool = False,
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:  # fmt: skip
    """Return for each row the nearest of the others, the first of several, and its distance.

    Distance is Gower's: the mean over columns of |x_i - x_j| for numbers within [0, 1], and for words of 0 or, where
    they are not equal, 1. Where the others are the rows themselves, `but_own` leaves out each row's own place.
    """
    from scipy.spatial.distance import cdist

    p, q = x.shape[1], words.shape[1]
    at, distance = np.zeros(len(x), dtype=np.int64), np.zeros(len(x))
    size = max(1, _CELLS // max(1, len(others)))
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        apart = np.zeros((len(x[rows]), len(others)))
        if p:
            apart += cdist(x[rows], others, "cityblock")
        if q:
            apart += q * cdist(words[rows].astype(np.float64), their_words.astype(np.float64), "hamming")
        apart = apart.round(9)  # sums in another order must not part equal rows
        if but_own:
            apart[np.arange(len(apart)), np.arange(start, start + len(apart))] = np.inf
        at[rows] = apart.argmin(axis=1)
        distance[rows] = apart.min(axis=1) / max(1, p + q)
    return at, distance
