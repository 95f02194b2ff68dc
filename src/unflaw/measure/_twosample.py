"""Are two sets of points draws from one distribution? A classifier's answer and a kernel's.

Notation
    X, Y  : the two sets, shapes (n, d), (m, d); for the classifier Y is the positive class
    g     : group of each point; points of one group are copies of each other
    A     : area under the ROC curve of the classifier on points it was not trained on
    K     : kernel matrix of the pooled points, exp(-|a - b|^2 / (2 s^2)), s^2 the median of |a - b|^2
    MMD^2 : mean of K within X (i != j) + mean within Y (i != j) - 2 mean between

References: Lopez-Paz & Oquab (2017), "Revisiting Classifier Two-Sample Tests", ICLR; Gretton et al. (2012),
"A Kernel Two-Sample Test", JMLR 13 (unbiased estimate, eq. 3, and median heuristic); Phipson & Smyth (2010),
SAGMB 9 (a permutation p-value is (1 + #{as large}) / (1 + permutations), never 0).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure._intervals import auc_interval
from unflaw.measure._neighbours import squared_distances

__all__ = ["ClassifierTest", "KernelTest", "auc", "classifier_test", "kernel_test", "linear_probability"]


class ClassifierTest(NamedTuple):
    """How well a linear classifier tells Y from X."""

    auc: float
    low: float
    high: float
    p_x: Float[np.ndarray, " n"]
    """Per row of X: probability of belonging to Y, by the classifier that did not see the row."""
    p_y: Float[np.ndarray, " m"]
    """Per row of Y, likewise."""
    weights: Float[np.ndarray, " d"]
    """Of the classifier fitted on everything, for rows that were not part of the test."""
    bias: float


class KernelTest(NamedTuple):
    """The distance of two sets in the kernel's space, and how often chance gives as much."""

    mmd2: float
    """Unbiased, so that two draws of one distribution give 0 on average, and at times less."""
    p_value: float
    null_high: float
    """The 95 % quantile of MMD^2 when the labels are shuffled."""


def auc(positive: Float[np.ndarray, " m"], negative: Float[np.ndarray, " n"]) -> float:
    """Return the probability that a positive outranks a negative; ties count half.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))  # ties share their mean rank
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))


def classifier_test(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    *,
    groups: Sequence[Hashable] | None = None,
    n_folds: int = 5,
    penalty: float = 10.0,
    seed: int = 0,
) -> ClassifierTest:
    """Cross-validate a logistic regression that tells `y` from `x`.

    Accuracy on seen rows rises with d alone, so each row is judged by a classifier trained on the
    other folds, and copies of a text (one value in `groups`, of x then y) share a fold: otherwise
    the classifier could remember the row.

    Rows given, each fold's area has the Hanley-McNeil variance. But every pair of rows plays twice, once
    as teacher and pupil and once the other way round, so without a difference the mean over folds varies
    as if there were half as many rows (simulated: .040 for a nominal .029 at n = m = 200). The
    interval allows for that; where the difference is large it is a little wide.

    Parameters
    ----------
    groups
        Name of the group of each row of `x`, then of each row of `y`; None: every row its own.
    penalty
        Strength of the squared penalty on the weights of the standardised features, against the summed loss.

    Raises
    ------
    TooFewRowsError
        A side has fewer groups than folds: some classifier would see one class only.
    """
    points = np.concatenate([x, y]).astype(np.float64)
    is_y = np.arange(len(points)) >= len(x)
    names = range(len(points)) if groups is None else groups
    if len(names) != len(points):
        raise SettingsError(f"`groups` must name {len(points)} rows (x, then y), got {len(names)}")
    fold = _folds(names, is_y, n_folds, np.random.default_rng(seed))
    p = np.empty(len(points))
    for i in range(n_folds):
        weights, bias = _logistic(points[fold != i], is_y[fold != i], penalty)
        p[fold == i] = linear_probability(points[fold == i], weights, bias)
    area = auc(p[is_y], p[~is_y])
    weights, bias = _logistic(points, is_y, penalty)
    return ClassifierTest(
        area, *auc_interval(area, max(1, len(y) // 2), max(1, len(x) // 2)), p[~is_y], p[is_y], weights, bias
    )


def linear_probability(
    points: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " d"], bias: float
) -> Float[np.ndarray, " n"]:
    """Return the logistic function of points . weights + bias."""
    logit = (points * weights).sum(axis=1) + bias  # row by row: the last digit of a matrix product depends on n
    return 0.5 * (1 + np.tanh(0.5 * logit))  # the logistic function, without overflow


def kernel_test(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], *, n_permutations: int = 999, seed: int = 0
) -> KernelTest:
    """Return MMD^2 of two sets of equal size, with its permutation p-value.

    With s = +1 on X and -1 on Y, and T the sum of K off its diagonal,
    within = (s'Ks + T) / 2 and between = (T - s'Ks) / 4, so one matrix product serves all permutations.

    Raises
    ------
    TooFewRowsError
        Fewer than two rows a side: no pair within.
    """
    n = len(x)
    if len(y) != n:
        raise SettingsError(
            f"`x` and `y` must hold equally many rows, got {n} and {len(y)}; take a sample of the larger"
        )
    if n < 2:
        raise TooFewRowsError(f"`x` and `y` must each hold at least two rows, got {n}")
    kernel = _kernel(np.concatenate([x, y]).astype(np.float64))
    total = kernel.sum()
    rng = np.random.default_rng(seed)
    sign = np.repeat([1.0, -1.0], n)
    signs = np.stack([sign, *(rng.permutation(sign) for _ in range(n_permutations))])  # (permutations + 1, 2n)
    q = ((signs @ kernel) * signs).sum(axis=1)
    mmd2 = (q + total) / 2 / (n * (n - 1)) - (total - q) / 2 / (n * n)
    null = mmd2[1:]
    as_large = int((null >= mmd2[0] - 1e-12).sum())
    return KernelTest(float(mmd2[0]), (1 + as_large) / (1 + n_permutations), float(np.quantile(null, 0.95)))


def _kernel(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """RBF kernel with a zero diagonal. Where most points agree (median 0) the mean distance sets the scale."""
    squared = squared_distances(points, points)
    apart = squared[np.triu_indices(len(points), 1)]
    scale = float(np.median(apart)) or float(apart.mean()) or 1.0
    kernel: np.ndarray = np.exp(-squared / (2 * scale))
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _logistic(
    points: Float[np.ndarray, "n d"], is_y: Bool[np.ndarray, " n"], penalty: float
) -> tuple[Float[np.ndarray, " d"], float]:
    """Fit on standardised points; return weights and bias for the points as they are."""
    from sklearn.linear_model import LogisticRegression

    mean, sd = points.mean(axis=0), points.std(axis=0)
    sd[sd < 1e-9] = 1.0  # a constant feature says nothing; leave it at zero
    model = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=1000, solver="newton-cholesky")
    model.fit(((points - mean) / sd).astype(np.float32), is_y)  # half the time; weights are the same to 1e-5
    weights = model.coef_[0].astype(np.float64) / sd
    return weights, float(model.intercept_[0] - mean @ weights)


def _folds(
    groups: Sequence[Hashable] | range, is_y: Bool[np.ndarray, " n"], n_folds: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Deal groups into folds of about equal size in both classes: largest first, each to the fold with most room."""
    members: dict[Hashable, list[int]] = {}
    for i, name in enumerate(groups):
        members.setdefault(name, []).append(i)
    for side, label in ((False, "x"), (True, "y")):
        n_groups = sum(any(is_y[i] == side for i in rows) for rows in members.values())
        if n_groups < n_folds:
            raise TooFewRowsError(f"`{label}` must hold at least {n_folds} different rows, got {n_groups}")
    groups_of_rows = list(members.values())
    order: list[Any] = [groups_of_rows[j] for j in rng.permutation(len(members))]
    order.sort(key=len, reverse=True)  # stable: equals stay shuffled
    filled = np.zeros((n_folds, 2))
    fold = np.empty(len(is_y), dtype=np.int64)
    for rows in order:
        counts = np.bincount(is_y[rows].astype(np.int64), minlength=2)
        # the fold in which this group's main class has most room; then the emptiest one
        into = min(range(n_folds), key=lambda f: (filled[f, counts.argmax()], filled[f].sum(), f))
        fold[rows] = into
        filled[into] += counts
    return fold
