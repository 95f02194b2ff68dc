"""Precision, recall, density, coverage: do two clouds of points lie in the same places?

Notation
    X      : real points, shape (n, d)
    Y      : synthetic points, shape (m, d)
    k      : neighbours
    r(x_i) : distance of x_i to its k-th nearest neighbour in X, itself not counted
    B(x_i) : open ball around x_i with radius r(x_i)

    precision  share of y in any B(x)             are the synthetic rows like some real row?
    recall     share of x in any B(y)             does every real row have a synthetic one like it?
    density    mean over y of #{B(x) holding y}/k precision that one outlying x cannot inflate
    coverage   share of x whose B(x) holds any y  recall that one outlying y cannot inflate

All four depend on n, m and d, so a value means nothing by itself: compare it with the same statistic,
at the same sizes, between two halves of the real points.

References: Kynkäänniemi et al. (2019), "Improved Precision and Recall Metric for Assessing Generative
Models", NeurIPS; Naeem et al. (2020), "Reliable Fidelity and Diversity Metrics for Generative Models",
ICML (density, coverage, k = 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import SettingsError, TooFewRowsError

__all__ = ["Overlap", "neighbour_overlap", "squared_distances"]

_BLOCK = 4_000_000
"""Distances held at a time: 32 MB."""


class Overlap(NamedTuple):
    """What each row says; the four values are means, so an interval over rows is one over these."""

    precision: Float[np.ndarray, " m"]
    """Per synthetic row: 1 where some real ball holds it, else 0."""
    recall: Float[np.ndarray, " n"]
    """Per real row: 1 where some synthetic ball holds it, else 0."""
    density: Float[np.ndarray, " m"]
    """Per synthetic row: number of real balls that hold it, over k."""
    coverage: Float[np.ndarray, " n"]
    """Per real row: 1 where its ball holds a synthetic row, else 0."""


def neighbour_overlap(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], k: int = 5) -> Overlap:
    """Measure how real points `x` and synthetic points `y` lie among each other.

    Time grows with (n + m)^2 d; memory does not grow with n m.

    Raises
    ------
    TooFewRowsError
        A set has no k-th neighbour.
    """
    if k < 1:
        raise SettingsError(f"`k` must be at least 1, got {k}")
    if min(len(x), len(y)) <= k:
        raise TooFewRowsError(f"`x` and `y` must each hold more than k={k} rows, got {len(x)} and {len(y)}")
    radius_x, radius_y = (np.maximum(_radii(of, k), _EQUAL) for of in (x, y))
    holders = np.zeros(len(y), dtype=np.int64)  # real balls that hold each y
    recall, coverage = np.zeros(len(x)), np.zeros(len(x))
    for rows, squared in _blocks(x, y):  # (rows, m)
        held = squared < radius_x[rows, None]
        holders += held.sum(axis=0)
        coverage[rows] = held.any(axis=1)
        recall[rows] = (squared < radius_y[None, :]).any(axis=1)
    return Overlap((holders > 0).astype(np.float64), recall, holders / k, coverage)


_EQUAL = 1e-9
"""Squared distance below which two rows are equal, and a product of matrices left something of 0: where k rows equal
another one, its ball still holds whatever equals it."""


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Return |x_i - y_j|^2, by one matrix product."""
    squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2 * (x @ y.T)
    return np.maximum(squared, 0.0, out=squared)  # cancellation can leave -1e-16 where two points agree


def _radii(x: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, " n"]:
    """Squared distance to the k-th nearest other point."""
    radii = np.empty(len(x))
    for rows, squared in _blocks(x, x):
        squared[np.arange(len(rows)), rows] = np.inf  # a point is not its own neighbour
        radii[rows] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii


def _blocks(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Iterator[tuple[Int[np.ndarray, " rows"], Float[np.ndarray, "rows m"]]]:
    x, y = x.astype(np.float64), y.astype(np.float64)
    size = max(1, _BLOCK // len(y))
    for start in range(0, len(x), size):
        rows = np.arange(start, min(start + size, len(x)))
        yield rows, squared_distances(x[rows], y)
