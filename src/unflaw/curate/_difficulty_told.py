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
    above_commonest,
    auc,
    pair_artefacts,
    text_artefacts,
    uncertainty,
)
from unflaw.train import label_ids, label_names, labels_of, texts_of

__all__ = ["difficulty_findings"]

_WORST = 200
_FIRM, _KNOWN = 0.8, 0.9
"""Adjusted Rand index of firm levels; share of the epochs after which hard rows are told, where nothing is hard."""
_REPEATED, _ALONE, _FEW = 0.5, 0.95, 20
"""What a level may tell of the label; what share of a level one label may have, if the level has so many rows."""
_BINS = 4
_POINTS = 500
"""Points of each level in the data map."""
Columns = Mapping[str, Float[np.ndarray, " n"]]
"""Surface feature → its value in each row."""


def difficulty_findings(
    rows: Rows, found: Levels, views: Mapping[str, Dynamics], last: Mapping[str, Bool[np.ndarray, " n"]],
    settings: Mapping[str, Any],
) -> list[Finding]:  # fmt: skip
    """Describe levels; `last` says for each view which labels the model told after the last epoch."""
    learnt = above_commonest(next(iter(last.values())), label_ids(rows, label_names(rows)))
    texts = texts_of(rows)
    pairs = not isinstance(texts[0], str)
    columns = pair_artefacts(texts) if pairs else text_artefacts(texts)  # type: ignore[arg-type]
    told = [
        _levels(rows, found, next(iter(views.values())), learnt, settings), _stability(found, settings),
        _repeated(rows, found, settings), _told(rows, found, last, learnt, settings),
        _artefacts(rows, found, columns, settings), _surface(found, columns, settings),
    ]  # fmt: skip
    return [of for of in told if of is not None]


def _levels(rows: Rows, found: Levels, first: Dynamics, learnt: bool, settings: Mapping[str, Any]) -> Finding:
    counts = np.bincount(found.level, minlength=3)
    shares = counts / counts.sum()
    empty = [name for name, n in zip(LEVELS, counts, strict=True) if not n]
    hard = np.flatnonzero(found.level == 2)
    known = float(first.correctness[hard].mean()) if len(hard) else 0.0
    if empty:
        aside = f" No row is {' or '.join(empty)}: the course of training does not tell them apart"
        aside += ". Grade with fewer epochs" if learnt else ""
    elif known >= _KNOWN:
        aside = f" Even hard rows are told after {known:.0%} of the epochs: the model soon knew them by heart, and the "
        aside += "levels part what it is sure of from what it is surer of. Grade with fewer epochs, or a lower rate"
    else:
        aside = " Among the hard are rows that are difficult and rows whose label is wrong: read those listed"
    worst = hard[np.argsort(first.mu[hard], kind="stable")][:_WORST]
    ids, labels = rows.ids, labels_of(rows)
    return Finding(
        check="difficulty.levels",
        title="Rows that are hard to learn",
        value=float(shares[2]),
        low=None,
        high=None,
        better="lower",
        verdict="warn" if empty or known >= _KNOWN else "ok",
        threshold=f"warn where a level is empty, or hard rows are told after {_KNOWN:.0%} of the epochs",
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
    rows: Rows, found: Levels, last: Mapping[str, Bool[np.ndarray, " n"]], learnt: bool, settings: Mapping[str, Any]
) -> Finding:
    first = next(iter(last.values()))
    there = [k for k in range(3) if (found.level == k).any()]
    by = {view: {LEVELS[k]: float(hits[found.level == k].mean()) for k in there} for view, hits in last.items()}
    view = list(last)[-1]
    series = [Series(name, list(of), list(of.values())) for name, of in by.items()]
    words = "; ".join(f"{name}: " + ", ".join(f"{n} {v:.0%}" for n, v in of.items()) for name, of in by.items())
    partial = len(last) > 1
    aside = (
        " The levels were found with these labels, so that a low share outside easy is partly selection."
        if partial
        else ""
    )
    if not learnt:
        aside = (
            f" The model tells {first.mean():.0%} of all, which is not shown to be more than always naming the "
            "commonest label: its levels may be noise."
        )
    return Finding(
        check="difficulty.told",
        title=f"Labels learnt from {view} alone" if partial else "Labels told after the last epoch",
        value=float(last[view].mean()),
        low=None,
        high=None,
        better="lower" if partial else "higher",
        verdict="ok" if learnt else "warn",
        threshold="warn where the interval of all labels told reaches down to the share of the commonest",
        meaning=f"Share of labels told after the last epoch, of the very rows that were learnt: {words}.{aside}",
        unit="share of rows",
        n_rows=len(found.level),
        evidence={"told": by},
        plots=[Plot("bars", "Labels told at each level", "", "share", series, f"Share of labels told: {words}.")],
        settings=settings,
    )


def _artefacts(rows: Rows, found: Levels, columns: Columns, settings: Mapping[str, Any]) -> Finding | None:
    """Say how much surface features tell of the label within each level; None where easy rows have one label."""
    y = label_ids(rows, label_names(rows))
    by = {name: [_tells(v[found.level == k], y[found.level == k]) for k in range(3)] for name, v in columns.items()}
    known = {level: [v for of in by.values() if (v := of[k]) is not None] for k, level in enumerate(LEVELS)}
    known = {level: told for level, told in known.items() if told}  # a level has two labels, for all features, or none
    if "easy" not in known:
        return None
    names, most = list(by), max(known["easy"])
    at = known["easy"].index(most)
    words = ", ".join(f"{told[at]:.1%} among {level} rows" for level, told in known.items())
    alt = "; ".join(f"{level}: {', '.join(f'{of} {v:.3f}' for of, v in zip(names, told, strict=True))}"
                    for level, told in known.items())  # fmt: skip
    series = [Series(level, names, told) for level, told in known.items()]
    return Finding(
        check="difficulty.artefacts",
        title="Surface features that give easy labels away",
        value=most,
        low=None,
        high=None,
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it describes",
        meaning=f"Of what is to know about the label, {names[at]} alone tells {words} (Theil's U, chance taken off).",
        unit="share of the label's entropy",
        n_rows=len(y),
        evidence={"told_by": by},
        plots=[Plot("bars", "What surface features tell at each level", "", "Theil's U", series, f"Theil's U: {alt}.")],
        settings=settings,
    )


def _surface(found: Levels, columns: Columns, settings: Mapping[str, Any]) -> Finding | None:
    """Say how easy rows differ from hard ones in surface features, no label looked at; None without both levels."""
    sides = {of: (values[found.level == 0], values[found.level == 2]) for of, values in columns.items()}
    if not all(len(side) for pair in sides.values() for side in pair):
        return None
    more = {of: round(auc(easy, hard), 4) for of, (easy, hard) in sides.items()}
    name = max(more, key=lambda of: abs(more[of] - 0.5))
    series = [Series("easy above hard", list(more), list(more.values()))]
    alt = ", ".join(f"{of} {share:.2f}" for of, share in more.items())
    return Finding(
        check="difficulty.surface",
        title="Surface features of easy rows, whatever their labels",
        value=more[name],
        low=None,
        high=None,
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it describes",
        meaning=f"An easy row has more of the feature {name} than a hard one in {more[name]:.0%} of pairs; half would "
        "be no difference. Levels are found with the labels, this is not.",
        unit="share of pairs",
        n_rows=len(found.level),
        evidence={"easy_over_hard": more},
        plots=[Plot("bars", "Surface features of easy against hard rows", "", "share of pairs", series, f"{alt}.")],
        settings=settings,
    )


def _tells(values: Float[np.ndarray, " m"], y: Int[np.ndarray, " m"]) -> float | None:
    """Return Theil's U of the label given quarters of a feature, at least 0; None of a level with one label or none.

    A value that bounds a quarter has a bin of its own: of a feature that most rows lack, the others stand apart.
    """
    if len(np.unique(y)) < 2:
        return None
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
    counts = np.zeros((2 * len(edges) + 1, int(y.max()) + 1), dtype=np.int64)
    np.add.at(counts, (bins, y), 1)
    return max(0.0, uncertainty(counts[counts.sum(axis=1) > 0]))
