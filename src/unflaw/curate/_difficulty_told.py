"""Levels of difficulty as findings: the data map, how firm it is, what gives labels away at each level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw.data import NO_VERDICT, Finding, Plot, Rows, Series
from unflaw.measure import (
    LEVELS,
    Dynamics,
    Levels,
    auc,
    pair_artefacts,
    text_artefacts,
    uncertainty,
    wilson_interval,
)
from unflaw.train import label_ids, label_names, labels_of, texts_of

__all__ = ["difficulty_findings"]

_WORST = 200
_FIRM = 0.8
_REPEATED, _ALONE, _FEW = 0.5, 0.95, 20
"""What a level may tell of the label; what share of a level one label may have, if the level has so many rows."""
_BINS = 4
_POINTS = 500
"""Points of each level in the data map."""


def difficulty_findings(
    rows: Rows, found: Levels, views: Mapping[str, Dynamics], last: Mapping[str, Bool[np.ndarray, " n"]],
    settings: Mapping[str, Any],
) -> list[Finding]:  # fmt: skip
    """Describe levels; `last` says for each view which labels the model told after the last epoch."""
    told = [_levels(rows, found, next(iter(views.values())), settings), _stability(found, settings)]
    told += [_repeated(rows, found, settings), _told(rows, found, last, settings)]
    return [*told, _artefacts(rows, found, settings)]


def _levels(rows: Rows, found: Levels, first: Dynamics, settings: Mapping[str, Any]) -> Finding:
    counts = np.bincount(found.level, minlength=3)
    shares = counts / counts.sum()
    empty = [name for name, n in zip(LEVELS, counts, strict=True) if not n]
    aside = (
        f" No row is {' or '.join(empty)}: the course of training does not tell them apart. Grade with fewer epochs"
        if empty
        else " Among the hard are rows that are difficult and rows whose label is wrong: read those listed"
    )
    hard = np.flatnonzero(found.level == 2)
    worst = hard[np.argsort(first.mu[hard], kind="stable")][:_WORST]
    ids, labels = rows.ids, labels_of(rows)
    return Finding(
        check="difficulty.levels",
        title="Rows that are hard to learn",
        value=float(shares[2]),
        low=None,
        high=None,
        better="lower",
        verdict="warn" if empty else "ok",
        threshold="warn where a level is empty",
        meaning=f"{shares[0]:.0%} of the rows are easy, {shares[1]:.0%} ambiguous, {shares[2]:.0%} hard.{aside}.",
        unit="share of rows",
        n_rows=len(rows),
        row_scores={ids[i]: float(1 - first.mu[i]) for i in worst},
        row_reasons={
            ids[i]: f"{labels[i]!r}: confidence {first.mu[i]:.2f}, variability {first.sigma[i]:.2f}" for i in worst
        },
        n_scored=len(hard),
        evidence={"shares": dict(zip(LEVELS, shares.tolist(), strict=True))},
        plots=[_map(found.level, first), _mix(rows, found.level)],
        settings=settings,
    )


def _map(level: Int[np.ndarray, " n"], of: Dynamics) -> Plot:
    series = []
    for k, name in enumerate(LEVELS):
        at = np.flatnonzero(level == k)
        at = at[np.linspace(0, len(at) - 1, min(len(at), _POINTS)).astype(int)] if len(at) else at
        series.append(Series(name, of.sigma[at].round(4).tolist(), of.mu[at].round(4).tolist()))
    means = ", ".join(f"{name} {of.mu[level == k].mean():.2f}" for k, name in enumerate(LEVELS) if (level == k).any())
    alt = f"Each row by how much the probability of its label moved and how high it was; mean confidence: {means}."
    return Plot("scatter", "Data map", "variability", "confidence", series, alt)


def _mix(rows: Rows, level: Int[np.ndarray, " n"]) -> Plot:
    names = label_names(rows)
    y = label_ids(rows, names)
    series = [
        Series(
            name, names, [float((y[level == k] == c).mean()) if (level == k).any() else 0.0 for c in range(len(names))]
        )
        for k, name in enumerate(LEVELS)
    ]
    return Plot("bars", "Labels at each level", "", "share of the level", series, "Share of each label at each level.")


def _stability(found: Levels, settings: Mapping[str, Any]) -> Finding:
    firm = found.stability >= _FIRM
    told = (
        "do not hang on the start of the mixture" if firm else "hang on the start of the mixture: take them as a sketch"
    )
    return Finding(
        check="difficulty.stability",
        title="Whether the levels are the same from other starts",
        value=found.stability,
        low=None,
        high=None,
        better="higher",
        verdict="ok" if firm else "warn",
        threshold=f"warn below {_FIRM}",
        meaning=f"The levels {told} (mean adjusted Rand index {found.stability:.2f} over {settings['n_seeds']} seeds).",
        unit="adjusted Rand index",
        n_rows=len(found.level),
        settings=settings,
    )


def _repeated(rows: Rows, found: Levels, settings: Mapping[str, Any]) -> Finding:
    """Say whether the levels are only the labels again, as of a model that has learnt which are common, or but one."""
    y = label_ids(rows, label_names(rows))
    counts = np.zeros((3, int(y.max()) + 1), dtype=np.int64)
    np.add.at(counts, (found.level, y), 1)
    share = max(0.0, uncertainty(counts[counts.sum(axis=1) > 0]))
    size, common = counts.sum(axis=1), counts.sum(axis=0).max() / len(y) >= _ALONE
    alone = [LEVELS[k] for k in range(3) if size[k] >= _FEW and counts[k].max() >= _ALONE * size[k] and not common]
    repeats = share >= _REPEATED or bool(alone)
    more = f" ({', '.join(alone)}: {_ALONE:.0%} or more have one label)" if alone else ""
    told = (
        f"so the levels mostly repeat the labels{more}: they say which of them is learnt first more than which rows "
        "are hard. Train longer, on more rows, or with another model"
        if repeats
        else "so the levels are about the rows"
    )
    return Finding(
        check="difficulty.labels",
        title="Whether the levels only repeat the labels",
        value=share,
        low=None,
        high=None,
        better="lower",
        verdict="warn" if repeats else "ok",
        threshold=f"warn from {_REPEATED}, or where {_ALONE:.0%} of a level have one label",
        meaning=f"The level tells {share:.0%} of what is to know about the label, {told}.",
        unit="share of the label's entropy",
        n_rows=len(y),
        settings=settings,
    )


def _told(
    rows: Rows, found: Levels, last: Mapping[str, Bool[np.ndarray, " n"]], settings: Mapping[str, Any]
) -> Finding:
    first = next(iter(last.values()))
    commonest = np.bincount(label_ids(rows, label_names(rows))).max() / len(first)
    learnt = wilson_interval(int(first.sum()), len(first))[0] > commonest
    by = {view: [_mean(hits[found.level == k]) for k in range(3)] for view, hits in last.items()}
    view = list(last)[-1]
    series = [Series(name, list(LEVELS), values) for name, values in by.items()]
    words = "; ".join(
        f"{name}: " + ", ".join(f"{n} {v:.0%}" for n, v in zip(LEVELS, of, strict=True)) for name, of in by.items()
    )
    partial = len(last) > 1
    aside = (
        " The levels were found with these labels, so that a low share outside easy is partly selection."
        if partial
        else ""
    )
    if not learnt:
        aside = (
            f" The model tells {first.mean():.0%} of all, and the commonest label has {commonest:.0%}: it has not "
            "learnt the task, and its levels are noise."
        )
    return Finding(
        check="difficulty.told",
        title=f"Labels told from {view} alone" if partial else "Labels told after the last epoch",
        value=float(last[view].mean()),
        low=None,
        high=None,
        better="lower" if partial else "higher",
        verdict="ok" if learnt else "warn",
        threshold="warn where the interval of all labels told reaches down to the share of the commonest",
        meaning=f"Share of labels told after the last epoch: {words}.{aside}",
        unit="share of rows",
        n_rows=len(found.level),
        evidence={"told": by},
        plots=[Plot("bars", "Labels told at each level", "", "share", series, f"Share of labels told: {words}.")],
        settings=settings,
    )


def _artefacts(rows: Rows, found: Levels, settings: Mapping[str, Any]) -> Finding:
    """Say how much surface features, which know no label, tell of it within each level."""
    texts, y = texts_of(rows), label_ids(rows, label_names(rows))
    pairs = not isinstance(texts[0], str)
    columns = pair_artefacts(texts) if pairs else text_artefacts(texts)  # type: ignore[arg-type]
    by = {name: [_tells(v[found.level == k], y[found.level == k]) for k in range(3)] for name, v in columns.items()}
    means = {name: [_mean(values[found.level == k]) for k in range(3)] for name, values in columns.items()}
    apart = {name: _more(values[found.level == 0], values[found.level == 2]) for name, values in columns.items()}
    name = max(by, key=lambda of: by[of][0] or 0.0)
    words = ", ".join(
        f"{'nothing' if told == 0 else 'nothing that could be measured' if told is None else f'{told:.1%}'} among "
        f"{level} rows"
        for level, told in zip(LEVELS, by[name], strict=True)
        if level != "ambiguous"
    )
    known = {of: share for of, share in apart.items() if share is not None}
    beside = ""
    if known:
        most = max(known, key=lambda of: abs(known[of] - 0.5))
        beside = (
            f" Whatever the labels, an easy row has more of the feature {most} than a hard one in {known[most]:.0%} of "
            "pairs, where half would be no difference."
        )
    series = [Series(level, list(by), [by[of][k] or 0.0 for of in by]) for k, level in enumerate(LEVELS)]
    alt = "; ".join(f"{of}: {', '.join(f'{v or 0.0:.3f}' for v in values)}" for of, values in by.items())
    plots = [Plot("bars", "What surface features tell at each level", "", "Theil's U", series, f"Theil's U: {alt}.")]
    if known:
        pairs_won = ", ".join(f"{of} {share:.2f}" for of, share in known.items())
        bars = [Series("easy above hard", list(known), list(known.values()))]
        plots.append(Plot("bars", "Surface features, whatever the labels", "", "share of pairs", bars, f"{pairs_won}."))
    return Finding(
        check="difficulty.artefacts",
        title="Surface features that give easy labels away",
        value=by[name][0] or 0.0,
        low=None,
        high=None,
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it describes",
        meaning=f"Of what is to know about the label, {name} alone tells {words} (Theil's U, chance taken off)."
        f"{beside}",
        unit="share of the label's entropy",
        n_rows=len(y),
        evidence={"told_by": by, "means": means, "easy_over_hard": apart},
        plots=plots,
        settings=settings,
    )


def _more(one: Float[np.ndarray, " m"], other: Float[np.ndarray, " k"]) -> float | None:
    """Return how often a value of one is above one of the other, ties as half; None where a side is empty."""
    return round(auc(one, other), 4) if len(one) and len(other) else None


def _tells(values: Float[np.ndarray, " m"], y: Int[np.ndarray, " m"]) -> float | None:
    """Return Theil's U of the label given quarters of a feature, at least 0; None of a level with one label or none."""
    if len(np.unique(y)) < 2:
        return None
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    counts = np.zeros((len(edges) + 1, int(y.max()) + 1), dtype=np.int64)
    np.add.at(counts, (bins, y), 1)
    return max(0.0, uncertainty(counts[counts.sum(axis=1) > 0]))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
