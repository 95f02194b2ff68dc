"""Closed-form 95 % intervals that stay honest at the edges, where resampling claims certainty.

Notation
    k, n : rows that have a property, rows in all
    A    : area under the ROC curve, P(score of x > score of y) + P(equal) / 2
    m, n : rows on either side of A
    c    : classes within which rows are compared, such as classes of length

A bootstrap of n successes out of n gives [1, 1], and so does DeLong's interval for A = 1. Both
intervals here solve |estimate - t| = z sd(t) for t, with the deviation taken at t instead of at the
estimate; so they never collapse, and never leave [0, 1].

References: Wilson (1927), JASA 22; Hanley & McNeil (1982), Radiology 143 (variance of A);
Newcombe (1998), Statistics in Medicine 17, 873-890 (difference of two shares); Newcombe (2006), 25, 559-573, method 5
(inversion of the variance of A); Zou & Donner (2008), 27, 1693-1702 (mean of shares).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import SettingsError

__all__ = [
    "above_commonest", "auc_interval", "difference_of_shares", "difference_within", "mean_of_shares", "wilson_interval",
]  # fmt: skip

_Z = 1.959963984540054  # two-sided 95 %


def wilson_interval(k: int, n: int, z: float = _Z) -> tuple[float, float]:
    """Return the interval of a share k / n, z standard errors to either side.

    >>> [round(end, 3) for end in wilson_interval(0, 10)]
    [0.0, 0.278]
    """
    if not 0 <= k <= n or n < 1:
        raise SettingsError(f"`k` must lie between 0 and `n` and `n` be positive, got k={k}, n={n}")
    share, z2 = k / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if k == 0 else max(0.0, middle - reach)  # exactly: rounding would leave 1e-18
    high = 1.0 if k == n else min(1.0, middle + reach)
    return low, high


def above_commonest(hits: Bool[np.ndarray, " n"], y: Int[np.ndarray, " n"]) -> bool:
    """Return whether a model is shown to tell more labels than always the commonest one: Wilson's lower end is above.

    >>> above_commonest(np.arange(100) < 70, np.arange(100) % 2)
    True
    """
    return bool(wilson_interval(int(hits.sum()), len(hits))[0] > np.bincount(y).max() / len(y))


def difference_of_shares(k: int, n: int, j: int, m: int, z: float = _Z) -> tuple[float, float]:
    """Return the interval of k / n - j / m, from the Wilson intervals of the two (Newcombe 1998, method 10).

    >>> [round(end, 3) for end in difference_of_shares(56, 70, 48, 80)]
    [0.052, 0.334]
    """
    (low, high), (other_low, other_high) = wilson_interval(k, n, z), wilson_interval(j, m, z)
    p, q = k / n, j / m
    return p - q - math.hypot(p - low, other_high - q), p - q + math.hypot(high - p, q - other_low)


def mean_of_shares(k: Sequence[int], n: Sequence[int], z: float = _Z) -> tuple[float, float]:
    """Return the interval of the mean of the shares k[i] / n[i] of separate rows, from the Wilson interval of each.

    >>> [round(end, 3) for end in mean_of_shares([9, 5], [10, 10])]
    [0.499, 0.838]
    """
    shares = np.array([a / b for a, b in zip(k, n, strict=True)])
    ends = np.array([wilson_interval(a, b, z) for a, b in zip(k, n, strict=True)])
    below, above = np.sqrt(((ends - shares[:, None]) ** 2).sum(axis=0)) / len(shares)
    return float(shares.mean() - below), float(shares.mean() + above)


def difference_within(
    a: Float[np.ndarray, " m"], c: Int[np.ndarray, " m"], b: Float[np.ndarray, " n"], d: Int[np.ndarray, " n"]
) -> tuple[float, float, float, float]:
    """Return mean(a) - mean(b) among rows of like class, its interval (Welch), and the share of a's rows compared.

    Longer rows score otherwise than shorter ones, so sets of other lengths differ even where their rows do not. Each
    class weighs as many rows as the smaller side has in it; one with fewer than two on either side cannot be compared.

    >>> a, b = np.array([1.0, 1.0, 9.0, 9.0]), np.array([0.0, 0.0])
    >>> difference_within(a, np.array([0, 0, 1, 1]), b, np.array([0, 0]))
    (1.0, 1.0, 1.0, 0.5)
    """
    pairs = [(a[c == of], b[d == of]) for of in np.unique(c)]
    pairs = [(x, y) for x, y in pairs if min(len(x), len(y)) >= 2]
    if not pairs:
        return math.nan, math.nan, math.nan, 0.0
    weight = np.array([min(len(x), len(y)) for x, y in pairs], dtype=float)
    weight /= weight.sum()
    value = float(weight @ [x.mean() - y.mean() for x, y in pairs])
    reach = _Z * math.sqrt(weight**2 @ [x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y) for x, y in pairs])
    return value, value - reach, value + reach, sum(len(x) for x, _ in pairs) / len(a)


def auc_interval(auc: float, m: int, n: int) -> tuple[float, float]:
    """Return the interval of an area under the ROC curve of m against n rows.

    >>> [round(end, 2) for end in auc_interval(1.0, 50, 50)]
    [0.96, 1.0]
    """
    if not 0 <= auc <= 1 or min(m, n) < 1:
        raise SettingsError(f"`auc` must lie in [0, 1] and `m`, `n` be positive, got auc={auc}, m={m}, n={n}")

    def too_far(t: float) -> bool:
        return abs(auc - t) > _Z * math.sqrt(_auc_variance(t, m, n))

    return _edge(auc, 0.0, too_far), _edge(auc, 1.0, too_far)


def _auc_variance(t: float, m: int, n: int) -> float:
    """Hanley-McNeil variance at A = t, with the mean size (m + n) / 2 where the two sizes play different parts."""
    others = (m + n) / 2 - 1
    return t * (1 - t) * (1 + others * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)


def _edge(inside: float, end: float, too_far: Callable[[float], bool]) -> float:
    """Bisect between the estimate and an end of [0, 1] for the last t that is near enough."""
    outside = end
    for _ in range(60):
        middle = (inside + outside) / 2
        if too_far(middle):
            outside = middle
        else:
            inside = middle
    return inside
