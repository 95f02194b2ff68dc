"""What the course of training says of each row: how sure of its label a classifier was, how steadily, and how early.

Notation
    E, n, K  epochs, rows, classes
    z        logits of every row after every epoch, (E, n, K)
    y        label of each row, 0 … K - 1, (n,)
    p_e      softmax(z_e), so p_e(y) is the probability of the label after epoch e
    mu       confidence: mean of p_e(y) over epochs
    sigma    variability: standard deviation of p_e(y) over epochs, by E and not E - 1
    c        correctness: share of epochs in which the label is the likeliest class
    aum      area under the margin: mean of z(y) less the largest other logit

References
----------
    Swayamdipta et al. 2020, "Dataset Cartography" (arXiv 2009.10795): mu, sigma, c.
    Pleiss et al. 2020, "Identifying Mislabeled Data using the Area Under the Margin Ranking" (arXiv 2001.10528): aum.
    Toneva et al. 2019, "An Empirical Study of Example Forgetting" (arXiv 1812.05159): `forgotten`.
    Cosma et al. 2024, "How Hard is this Test Set?" (arXiv 2410.03429): the four together, of two views of a row, in
        three clusters: `levels`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import SettingsError, TooFewRowsError

__all__ = ["LEAST_GRADED", "LEVELS", "Dynamics", "Levels", "dynamics", "levels"]

LEVELS = ("easy", "ambiguous", "hard")
"""Names of the three clusters, by falling mean confidence."""
LEAST_GRADED = 30
"""Rows without which three clusters in eight dimensions mean nothing."""


class Dynamics(NamedTuple):
    """Features of every row, each (n,)."""

    mu: Float[np.ndarray, " n"]
    sigma: Float[np.ndarray, " n"]
    correctness: Float[np.ndarray, " n"]
    aum: Float[np.ndarray, " n"]
    forgotten: Float[np.ndarray, " n"]
    """Times the label was the likeliest class after one epoch and not after the next; nan where it never was."""


def dynamics(z: Float[np.ndarray, "E n K"], y: Int[np.ndarray, " n"]) -> Dynamics:
    """Return the features of rows from their logits after each epoch.

    Raises
    ------
    SettingsError
        Fewer than two epochs, which show no course, or one class, which leaves no margin.

    >>> d = dynamics(np.log(np.array([[[0.2, 0.8]], [[0.6, 0.4]]])), np.array([0]))
    >>> d.mu.round(2).tolist(), d.sigma.round(2).tolist(), d.correctness.tolist(), d.forgotten.tolist()
    ([0.4], [0.2], [0.5], [0.0])
    """
    problems = []
    if len(z) < 2:
        problems.append(f"`z` must hold at least two epochs, got {len(z)}: one shows no course")
    if z.shape[2] < 2:
        problems.append(f"`z` must hold at least two classes, got {z.shape[2]}")
    if problems:
        raise SettingsError(problems)
    p, margin = np.empty(z.shape[:2]), np.empty(z.shape[:2])
    rows = np.arange(z.shape[1])
    for epoch, logits in enumerate(z):
        others = logits.astype(np.float64)
        own, top = others[rows, y], others.max(axis=1)
        p[epoch] = np.exp(own - top) / np.exp(others - top[:, None]).sum(axis=1)
        others[rows, y] = -np.inf
        margin[epoch] = own - others.max(axis=1)
    right = margin > 0
    forgotten = np.where(right.any(axis=0), (right[:-1] & ~right[1:]).sum(axis=0).astype(np.float64), np.nan)
    return Dynamics(p.mean(axis=0), p.std(axis=0), right.mean(axis=0), margin.mean(axis=0), forgotten)


@dataclass(frozen=True)
class Levels:
    """Rows in three clusters."""

    level: Int[np.ndarray, " n"]
    """Place in `LEVELS` of each row."""
    p: Float[np.ndarray, "n 3"]
    """How likely each level is for each row, under the mixture."""
    stability: float
    """Mean adjusted Rand index of these clusters and those of the other seeds: 1 where all agree, 0 by chance."""


def levels(views: list[Dynamics], *, forgetting: bool = False, n_seeds: int = 5, seed: int = 0) -> Levels:
    """Cluster rows by the features of one or more views into easy, ambiguous and hard.

    A Gaussian mixture of three components with full covariances, each feature standardised, ten starts. It is named by
    the mean of mu of the first view. Where a feature hardly moves within a component (correctness of easy rows), its
    covariance is all but singular, and a start that finds a few rows alike has the best likelihood of all. So the
    mixture is found again from `n_seeds` other seeds; the one that agrees most with the others is taken, of equals the
    first, and `stability` says how well.

    Raises
    ------
    TooFewRowsError
        Fewer than thirty rows.
    """
    n = len(views[0].mu)
    if n < LEAST_GRADED:
        raise TooFewRowsError(f"three levels of difficulty need at least {LEAST_GRADED} rows, got {n}")
    from sklearn.metrics import adjusted_rand_score
    from sklearn.preprocessing import StandardScaler

    features = np.column_stack([column for view in views for column in _features(view, forgetting)])
    scaled = StandardScaler().fit_transform(features)
    found = [_mixture(scaled, seed + k) for k in range(n_seeds + 1)]
    named = [p.argmax(axis=1) for p in found]
    agreement = [
        np.mean([adjusted_rand_score(own, other) for other in named if other is not own] or [1.0]) for own in named
    ]
    at = int(np.argmax(np.round(agreement, 9)))
    order = sorted(range(3), key=lambda k: -_mean_of(views[0].mu, found[at][:, k]))
    p = found[at][:, order]
    return Levels(p.argmax(axis=1), p, float(agreement[at]))


def _features(view: Dynamics, forgetting: bool) -> list[Float[np.ndarray, " n"]]:
    """Return the features to cluster by; a row that was never learnt counts as forgotten more often than any other."""
    four = [view.mu, view.sigma, view.correctness, view.aum]
    if not forgetting:
        return four
    most = np.nanmax(view.forgotten, initial=0.0) + 1
    return [*four, np.where(np.isnan(view.forgotten), most, view.forgotten)]


def _mixture(scaled: Float[np.ndarray, "n f"], seed: int) -> Float[np.ndarray, "n 3"]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rows all alike: some levels stay empty, which shows
        return np.asarray(GaussianMixture(3, n_init=10, random_state=seed).fit(scaled).predict_proba(scaled))


def _mean_of(mu: Float[np.ndarray, " n"], p: Float[np.ndarray, " n"]) -> float:
    """Return the mean confidence of a component; of one that holds no row, the least."""
    return float(mu @ p / p.sum()) if p.sum() > 0 else -1.0
