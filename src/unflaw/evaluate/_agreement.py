"""Are the rows that a classifier gets wrong those on which people do not agree either (arXiv 2310.07849, section 5)?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from unflaw.data import ANNOTATIONS, NO_VERDICT, Finding, Plot, Rows, Score, Series, annotations_of, annotators_of
from unflaw.measure import agreement, bootstrap_interval, label_counts, wilson_interval
from unflaw.train import label_names

__all__ = ["accuracy_by_agreement"]

LEAST_ROWS = 30
_N_THRESHOLDS = 10


def accuracy_by_agreement(scores: Sequence[Score], rows: Rows) -> Finding | None:
    """Return how accuracy rises with agreement, a curve for each of the "labels.accuracy" scores.

    Agreement is the share of a row's commonest annotation above what chance gives, so that rows with few and many
    annotators can be held together: 1 where all agree, 0 on average by chance. A point of a curve is the accuracy over
    the rows that agree at least so much; the value is Spearman's correlation, over rows, of agreement and of how many
    of the classifiers are right. None without a column `annotations` with two labels in thirty rows, or where all rows
    agree alike.
    """
    told = [s for s in scores if s.benchmark == "labels.accuracy"]
    if ANNOTATIONS not in rows.table.column_names or not told:
        return None
    given = annotations_of(rows)
    names = {str(label) for row in given for label in row} | {*label_names(rows)}  # one that nobody gave is one, too
    counts = label_counts([[str(label) for label in row] for row in given])
    agreed = agreement(counts, n_labels=len(names))
    right = np.array([[s.items[i] == 1.0 for i in rows.ids] for s in told])
    known = ~np.isnan(agreed)
    agreed, right = agreed[known], right[:, known]
    if len(agreed) < LEAST_ROWS or np.ptp(agreed) == 0 or np.ptp(right.sum(axis=0)) == 0:
        return None
    value = float(_spearman(np.arange(len(agreed))[None], agreed, right)[0])
    low, high = bootstrap_interval(
        np.arange(len(agreed), dtype=float), statistic=lambda at: _spearman(at.astype(int), agreed, right)
    )
    panel = sorted(annotators_of(rows))
    who = f"a panel of language models ({', '.join(panel)})" if panel else "people"
    thresholds = np.unique(np.quantile(agreed, np.linspace(0, 1, _N_THRESHOLDS + 1)[:-1]))
    series = [_curve(s.model, thresholds, agreed, hits) for s, hits in zip(told, right, strict=True)]
    ends = "; ".join(f"{s.name} {s.y[0]:.0%} of all, {s.y[-1]:.0%} where they agree most" for s in series)
    plot = Plot("line", f"Accuracy where {who} agree", "agreement, at least", "accuracy", series, f"{ends}.")
    return Finding(
        check="subjectivity.accuracy",
        title=_title(who, low, high),
        value=value,
        low=min(low, value),
        high=max(high, value),
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it tells mistakes from matters of opinion",
        meaning=f"Spearman's correlation of agreement and of being told right is {value:.2f} [{low:.2f}, {high:.2f}]: "
        f"{ends}.",
        unit="Spearman's rho, over rows",
        n_rows=len(agreed),
        evidence={"panel": panel},
        plots=[plot],
    )


def _title(who: str, low: float, high: float) -> str:
    """Say which way the correlation points, if any."""
    if low > 0:
        return f"Labels are told where {who} agree"
    if high < 0:
        return f"Labels are told where {who} do not agree"
    return f"Whether labels are told is not shown to go with how {who} agree"


def _curve(
    name: str, thresholds: Float[np.ndarray, " t"], agreed: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> Series:
    """Return accuracy over the rows that agree at least so much, with Wilson's intervals."""
    points = [(right[agreed >= t].sum(), (agreed >= t).sum()) for t in thresholds]
    ends = [wilson_interval(int(hits), int(n)) for hits, n in points]
    return Series(
        name, thresholds.tolist(), [float(hits / n) for hits, n in points], [a for a, _ in ends], [b for _, b in ends]
    )


def _spearman(
    at: np.ndarray, agreed: Float[np.ndarray, " n"], right: Bool[np.ndarray, "m n"]
) -> Float[np.ndarray, " r"]:
    """Return Spearman's correlation in each resample of rows, 0 where one side does not vary."""
    from scipy.stats import rankdata

    a = rankdata(agreed[at], axis=1)
    b = rankdata(right.sum(axis=0)[at], axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    below = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(below > 0, below, 1.0))
