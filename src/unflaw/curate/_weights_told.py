"""Weights as findings: how good the checker is, which labels it doubts, how few rows carry the weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw.data import NO_VERDICT, Finding, Plot, Rows, Series
from unflaw.measure import above_commonest, auc, auc_interval, kernel_density, wilson_interval

__all__ = ["weight_findings"]

_WORST = 200


def weight_findings(
    rows: Rows,
    labels: Sequence[str],
    y: Int[np.ndarray, " n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"] | None,
    w: Float[np.ndarray, " n"] | None,
    unseen: Float[np.ndarray, "m K"] | None,
    y_real: Int[np.ndarray, " m"],
    wrong: Bool[np.ndarray, " n"] | None,
    settings: Mapping[str, Any],
) -> list[Finding]:
    """Describe a weighing: see `curate.weigh` for the letters."""
    found = [] if unseen is None else [_checker(unseen, y_real, settings)]
    found.append(_quality(rows, labels, y, a, wrong, settings))
    if w is not None:
        found.append(_spread(labels, y, w, settings))
    if wrong is not None and 0 < wrong.sum() < len(wrong):
        found.append(_against_truth(a, w, wrong, settings))
    return found


def _checker(unseen: Float[np.ndarray, "m K"], y_real: Int[np.ndarray, " m"], settings: Mapping[str, Any]) -> Finding:
    hits = unseen.argmax(axis=1) == y_real
    low, high = wilson_interval(int(hits.sum()), len(hits))
    chance = float(np.bincount(y_real).max() / len(y_real))
    useless = not above_commonest(hits, y_real)
    told = (
        "not shown to be better than always naming the commonest: the weights are noise. Give it more real rows or a "
        "better model"
        if useless
        else "so its doubts mean something"
    )
    return Finding(
        check="weights.checker",
        title="How well the quality checker tells labels of real rows",
        value=float(hits.mean()),
        low=low,
        high=high,
        better="higher",
        verdict="fail" if useless else "ok",
        threshold="fail where the interval reaches down to the share of the commonest label",
        meaning=f"{hits.mean():.0%} of real rows it has not learnt from get their label, and the commonest label has "
        f"{chance:.0%}: {told}.",
        unit="share of real rows",
        n_rows=len(hits),
        settings=settings,
    )


def _quality(
    rows: Rows, labels: Sequence[str], y: Int[np.ndarray, " n"], a: Float[np.ndarray, " n"],
    wrong: Bool[np.ndarray, " n"] | None, settings: Mapping[str, Any],
) -> Finding:  # fmt: skip
    doubted = a < 1 / len(labels)
    low, high = wilson_interval(int(doubted.sum()), len(a))
    worst = np.argsort(a, kind="stable")[: min(_WORST, int(doubted.sum()))]
    ids = rows.ids
    plots = [_by_class("Quality by label", "mean quality", labels, y, a)]
    groups = {"all rows": a} if wrong is None else {"label right": a[~wrong], "label wrong": a[wrong]}
    plots.insert(0, _density("Quality of rows", "probability of the label, by the quality checker", groups))
    return Finding(
        check="weights.quality",
        title="Labels that real rows speak against",
        value=float(doubted.mean()),
        low=low,
        high=high,
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}a weight says how much a row counts, and takes none out",
        meaning=f"{doubted.mean():.1%} of the rows have a label that a classifier of real rows finds less likely than "
        f"chance, which is {1 / len(labels):.0%}. Such rows count less, or can be taken out by their score.",
        unit="share of rows",
        n_rows=len(a),
        n_reference=settings["n_real"],
        row_scores={ids[i]: float(1 - a[i]) for i in worst},
        row_reasons={ids[i]: f"{labels[y[i]]!r} has probability {a[i]:.2f}" for i in worst},
        n_scored=int(doubted.sum()),
        plots=plots,
        settings=settings,
    )


def _spread(
    labels: Sequence[str], y: Int[np.ndarray, " n"], w: Float[np.ndarray, " n"], settings: Mapping[str, Any]
) -> Finding:
    effective = float(w.sum() ** 2 / (w**2).sum() / len(w)) if w.any() else 0.0
    shares = np.array([w[y == k].sum() for k in range(len(labels))]) / max(w.sum(), np.finfo(float).tiny)
    counts = np.bincount(y, minlength=len(labels)) / len(y)
    bars = [
        Series(name, list(labels), [float(v) for v in of]) for name, of in (("of rows", counts), ("of weight", shares))
    ]
    top = np.quantile(w, 0.99)
    plot = Plot("bars", "What each label has", "", "share", bars, "Share of the rows and of the weight of each label.")
    return Finding(
        check="weights.spread",
        title="Rows that carry the weight",
        value=effective,
        low=None,
        high=None,
        better="higher",
        verdict="warn" if effective < 0.1 else "ok",
        threshold="warn below .1: few rows decide, and a cap or a temperature spreads the weight",
        meaning=f"These weights teach about as steadily as {effective:.0%} of the rows would, weighted alike "
        f"(effective sample size). The heaviest hundredth counts {top:.2g} or more, the mean {w.mean():.2g}.",
        unit="share of rows",
        n_rows=len(w),
        plots=[plot, _density("Weights", "weight", {"all rows": np.minimum(w, top)})],
        settings=settings,
    )


def _against_truth(
    a: Float[np.ndarray, " n"],
    w: Float[np.ndarray, " n"] | None,
    wrong: Bool[np.ndarray, " n"],
    settings: Mapping[str, Any],
) -> Finding:
    by = {"quality": a, **({} if w is None else {"weight": w})}
    areas = {name: auc(values[~wrong], values[wrong]) for name, values in by.items()}
    main = "quality" if w is None else "weight"
    low, high = auc_interval(areas[main], int((~wrong).sum()), int(wrong.sum()))
    told = ", ".join(f"by {name} {area:.2f}" for name, area in areas.items())
    plots = []
    if w is not None:
        top = float(np.quantile(w, 0.99))
        groups = {"label right": np.minimum(w[~wrong], top), "label wrong": np.minimum(w[wrong], top)}
        plots = [_density("Weights against truth", "weight", groups)]
    return Finding(
        check="weights.truth",
        title="Wrong labels weigh less than right ones",
        value=areas[main],
        low=low,
        high=high,
        better="higher",
        verdict="ok",
        threshold=f"{NO_VERDICT}it needs rows whose labels are known to be wrong",
        meaning=f"How often a right label outranks a wrong one: {told}; .5 is chance. {wrong.sum():,} are wrong.",
        unit="AUC",
        n_rows=len(a),
        evidence={"auc": areas},
        plots=plots,
        settings=settings,
    )


def _density(title: str, x_label: str, groups: Mapping[str, Float[np.ndarray, " n"]]) -> Plot:
    high = max(1.0, *(float(values.max()) for values in groups.values() if len(values)))
    grid = np.linspace(0.0, high, 101)
    series = [
        Series(name, grid.tolist(), kernel_density(values.astype(np.float64), grid).tolist())
        for name, values in groups.items()
        if len(values) > 1
    ]
    means = ", ".join(f"{name} {values.mean():.2f}" for name, values in groups.items() if len(values))
    return Plot("density", title, x_label, "density", series, f"{title}; means: {means}.")


def _by_class(
    title: str, y_label: str, labels: Sequence[str], y: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> Plot:
    means = [float(values[y == k].mean()) if (y == k).any() else 0.0 for k in range(len(labels))]
    told = ", ".join(f"{label} {mean:.2f}" for label, mean in zip(labels, means, strict=True))
    return Plot("bars", title, "", y_label, [Series("synthetic", list(labels), means)], f"{title}: {told}.")
