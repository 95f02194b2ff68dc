"""Labels: how they are spread, what gives them away, and which are likely to be wrong.

Notation
    n, K     rows, classes
    labels   class of each row, 0 … K - 1, (n,)
    p        probability of each class for each row, from a model that has not seen the row, (n, K)
    H, I     entropy and mutual information

References
----------
    Northcutt et al. 2021, "Confident Learning" (arXiv 1911.00068), by cleanlab: `label_issues`.
    Theil 1972, "Statistical Decomposition Analysis": `uncertainty`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import TooFewRowsError

__all__ = ["LabelJudge", "label_issues", "out_of_sample", "stratified_folds", "total_variation", "uncertainty"]

_PENALTY = 10.0


def total_variation(a: Int[np.ndarray, " K"], b: Int[np.ndarray, " K"]) -> float:
    """Return how much of one set would need another label to be spread as the other: half the sum of |p - q|.

    >>> total_variation(np.array([5, 5]), np.array([8, 2])).__round__(3)
    0.3
    """
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def uncertainty(counts: Int[np.ndarray, "B K"]) -> float:
    """Return Theil's U = I(label; bin) / H(label), the part of what is to know about the label that the bin tells.

    `counts` holds the rows of each bin and class. Rows dealt at random have I of about (B - 1)(K - 1) / 2n, which is
    taken off, so that they give 0 on average.

    >>> uncertainty(np.array([[50, 0], [0, 50]])).__round__(2), uncertainty(np.array([[25, 25], [25, 25]])).__round__(2)
    (0.99, -0.01)
    """
    n = counts.sum()
    p = counts / n
    by_bin, by_class = p.sum(axis=1, keepdims=True), p.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nansum(p * np.log(p / (by_bin * by_class)))
        entropy = -np.nansum(by_class * np.log(by_class))
    bins, classes = (by_bin > 0).sum(), (by_class > 0).sum()
    chance = (bins - 1) * (classes - 1) / (2 * n)
    return float((information - chance) / entropy) if classes > 1 else 0.0


def out_of_sample(
    x: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    *,
    n_folds: int = 5,
    penalty: float = _PENALTY,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Float[np.ndarray, "n K"]:
    """Return p: cross-validated logistic regression on standardised features, rows of one group in one fold.

    Raises
    ------
    TooFewRowsError
        A class has fewer rows, or groups, than there are folds.
    """
    p = np.zeros((len(labels), int(labels.max()) + 1))
    folds = stratified_folds(labels, n_folds, seed, groups)
    for n in range(n_folds):
        model = _classifier(penalty).fit(x[folds != n], labels[folds != n])
        p[np.ix_(folds == n, model.classes_)] = model.predict_proba(x[folds == n])
    return p


def stratified_folds(
    labels: Int[np.ndarray, " n"], n_folds: int, seed: int, groups: Sequence[Hashable] | None = None
) -> Int[np.ndarray, " n"]:
    """Deal rows to folds 0 … n_folds - 1, each label alike; rows of one group, as copies are, by the first of them.

    Raises
    ------
    TooFewRowsError
        A class has fewer rows, or groups, than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    keys: Sequence[Hashable] = range(len(labels)) if groups is None else groups
    places: dict[Hashable, int] = {}
    at = np.array([places.setdefault(key, len(places)) for key in keys])
    of_group = labels[np.unique(at, return_index=True)[1]]
    counts = np.bincount(of_group)
    if (fewest := counts[counts > 0].min()) < n_folds:
        what = f"{n_folds} rows that are no copies, one per fold"
        raise TooFewRowsError(f"every label must have at least {what}, got {fewest} of the rarest")
    fold = np.zeros(len(of_group), dtype=int)
    dealt = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(of_group, of_group)
    for n, (_, asked) in enumerate(dealt):
        fold[asked] = n
    return fold[at]


def _classifier(penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=500))


def label_issues(
    labels: Int[np.ndarray, " n"], p: Float[np.ndarray, "n K"]
) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return which labels are likely to be wrong, and how good each is, in [0, 1]."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(find_label_issues(labels, p, n_jobs=1)), np.asarray(get_label_quality_scores(labels, p))


@dataclass(frozen=True)
class LabelJudge:
    """Tells which labels of further rows are likely to be wrong, as `label_issues` told of some."""

    model: Any
    """Fitted on these, all of them."""
    cut: Float[np.ndarray, " K"]
    """By class: margin of the likeliest other class from which on a label counts as wrong; inf where none did."""

    @classmethod
    def of(
        cls, x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], p: Float[np.ndarray, "n K"],
        wrong: Bool[np.ndarray, " n"],
    ) -> LabelJudge:  # fmt: skip
        """Learn from rows and what `out_of_sample`, as it is unless told otherwise, and `label_issues` said of them.

        The cut of a class leaves as large a share of its rows above it as were found wrong.
        """
        margins, cut = _margins(labels, p), np.full(p.shape[1], np.inf)
        for k in np.unique(labels[wrong]).tolist():
            mine = labels == k
            cut[k] = np.sort(margins[mine])[-int(wrong[mine].sum())]
        return cls(_classifier(_PENALTY).fit(x, labels), cut)

    def issues(
        self, x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]
    ) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return which labels are likely to be wrong, and how good each is, in [0, 1]; see `label_issues`."""
        p = self.model.predict_proba(x)
        return _margins(labels, p) >= self.cut[labels], p[np.arange(len(p)), labels]


def _margins(labels: Int[np.ndarray, " n"], p: Float[np.ndarray, "n K"]) -> Float[np.ndarray, " n"]:
    """Return by how much the likeliest other class is likelier than the label."""
    rows = np.arange(len(p))
    others = p.copy()
    others[rows, labels] = -1.0
    return others.max(axis=1) - p[rows, labels]
