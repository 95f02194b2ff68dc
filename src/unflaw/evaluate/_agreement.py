"""Are the rows that a classifier gets wrong those on which people do not agree either (arXiv 2310.07849, section 5)?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw.data import ANNOTATIONS, NO_VERDICT, Finding, Plot, Rows, Score, Series, annotations_of, annotators_of
from unflaw.measure import MOST_LABELS, agreement, bootstrap_interval, label_counts, mean_of_shares
from unflaw.train import label_ids, label_names

__all__ = ["accuracy_by_agreement"]

LEAST_ROWS = 30
_N_THRESHOLDS = 10
_DRAWN = 4
"""Curves that can be told apart on one plot: the first, and the best of the others."""


def accuracy_by_agreement(scores: Sequence[Score], rows: Rows) -> Finding | None:
    """Return how recall rises with agreement: curves of the first "labels.accuracy" score and the best three others.

    Agreement is the share of a row's commonest annotation above what chance gives, so that rows with few and many
    annotators can be held together: 1 where all agree, 0 on average by chance. A point of a curve is the mean recall of
    the labels over the rows that agree at least so much: each label counts alike, since their mix changes with the
    rows. The value is Spearman's correlation, over rows, of agreement and of how many of the classifiers are right;
    `evidence["leads"]` has that of agreement and of the lead that the first of them has over another, e.g. one that
    learnt real rows over one that learnt synthetic ones, and `evidence["recall"]` both ends of every curve. None
    without a column `annotations` with two labels in thirty rows, with more than `MOST_LABELS` different ones, or where
    all rows agree alike.
    """
    told = [s for s in scores if s.benchmark == "labels.accuracy"]
    if ANNOTATIONS not in rows.table.column_names or not told:
        return None
    given = annotations_of(rows)
    names = {str(label) for row in given for label in row} | {*label_names(rows)}  # one that nobody gave is one, too
    if len(names) > MOST_LABELS:
        return None
    counts = label_counts([[str(label) for label in row] for row in given])
    agreed = agreement(counts, n_labels=len(names))
    right = np.array([[s.items[i] == 1.0 for i in rows.ids] for s in told])
    known = ~np.isnan(agreed)
    agreed, right, y = agreed[known], right[:, known], label_ids(rows, label_names(rows))[known]
    if len(agreed) < LEAST_ROWS or np.ptp(agreed) == 0 or np.ptp(right.sum(axis=0)) == 0:
        return None
    value, low, high = _goes_with(agreed, right.sum(axis=0))
    ahead_by = {of.model: right[0].astype(int) - hits for of, hits in zip(told[1:], right[1:], strict=True)}
    leads = {name: _goes_with(agreed, by) for name, by in ahead_by.items() if np.ptp(by)}  # or there is no lead
    panel = sorted(annotators_of(rows))
    who = f"a panel of language models ({', '.join(panel)})" if panel else "people"
    thresholds = np.unique(np.quantile(agreed, np.linspace(0, 1, _N_THRESHOLDS + 1)[:-1]))
    series = [_curve(s.model, thresholds, agreed, y, hits) for s, hits in zip(told, right, strict=True)]
    drawn = [series[0], *sorted(series[1:], key=lambda s: -s.y[0])[: _DRAWN - 1]]
    ends = "of all rows and where they agree most: " + ", ".join(f"{s.name} {s.y[0]:.0%} {s.y[-1]:.0%}" for s in drawn)
    fewer = "" if len(drawn) == len(series) else f": the first of {len(series)} classifiers, and the best of the others"
    plot = Plot("line", f"Recall where {who} agree{fewer}", "agreement, at least", "mean recall", drawn, f"{ends}.")
    told_of = [(s.name, leads[s.name]) for s in drawn[1:] if s.name in leads]
    ahead = ", ".join(f"{of}: {v:.2f} [{a:.2f}, {b:.2f}]" for of, (v, a, b) in told_of)
    ahead = f" Of agreement and the lead of {told[0].model} over {ahead}." if ahead else ""
    return Finding(
        check="subjectivity.accuracy",
        title=_title(who, low, high),
        value=value,
        low=low,
        high=high,
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it tells mistakes from matters of opinion",
        meaning=f"Spearman's correlation of agreement and of being told right is {value:.2f} [{low:.2f}, {high:.2f}]: "
        f"mean recall {ends}.{ahead}",
        unit="Spearman's rho, over rows",
        n_rows=len(agreed),
        evidence={"panel": panel, "leads": leads, "recall": {s.name: (s.y[0], s.y[-1]) for s in series}},
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
    name: str, thresholds: Float[np.ndarray, " t"], agreed: Float[np.ndarray, " n"], y: Int[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
) -> Series:  # fmt: skip
    """Return the mean recall of the labels there are among the rows that agree at least so much, with intervals."""
    values, ends = [], []
    for at in (agreed >= t for t in thresholds):
        n, k = np.bincount(y[at]), np.bincount(y[at], weights=right[at]).astype(int)
        there = n > 0
        values.append(float((k[there] / n[there]).mean()))
        ends.append(mean_of_shares(k[there].tolist(), n[there].tolist()))
    return Series(name, thresholds.tolist(), values, [a for a, _ in ends], [b for _, b in ends])


def _goes_with(agreed: Float[np.ndarray, " n"], values: Int[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Return Spearman's correlation with agreement, and its interval over rows."""
    value = float(_spearman(np.arange(len(agreed))[None], agreed, values)[0])
    low, high = bootstrap_interval(
        np.arange(len(agreed), dtype=float), statistic=lambda at: _spearman(at.astype(int), agreed, values)
    )
    return value, min(low, value), max(high, value)


def _spearman(
    at: Int[np.ndarray, "r n"], agreed: Float[np.ndarray, " n"], values: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " r"]:
    """Return Spearman's correlation in each resample of rows, 0 where one side does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(agreed[at], axis=1), rankdata(values[at], axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    below = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.where(below > 0, below, 1.0))
