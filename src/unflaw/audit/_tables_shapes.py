"""Tables: are the columns shaped as those of real rows?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw.audit._shares import Rule
from unflaw.audit._tables_sides import Coded, Distances, Sides, clear_of_zero, spread_of, worst_of
from unflaw.audit._tables_view import DEFINITION, Column
from unflaw.data import Finding, Plot, Series
from unflaw.measure import ks_distance, ks_p, total_variation

__all__ = ["shapes_finding"]

SHAPES = Rule(0.03, 0.1)
"""Of the mean over columns: a row in 33, or in ten, would need another value in every column."""
COLUMN = Rule(0.05, 0.2)
"""Of one column: as of the kinds of rows that `mix` asks."""
_SURE = 0.001
"""Chance that any column of a clean table is called another, or any category gone."""
_MOST_WORDS = 50
_NAMED, _SHOWN = 3, 15


def shapes_finding(sides: Sides) -> Finding:
    """Return how far the columns lie from those of real rows: the mean, the worst, and categories that are gone."""
    columns, lost = sides.shared, len(sides.lost)
    coded = [_coded(sides, column) for column in columns]
    found = _distances(sides, columns, coded)
    excess = np.where(_clear(sides, columns, coded), found.excess, 0.0)
    gone = _gone(sides, coded)
    value, control = _mean(found.mine, 1.0, lost), _mean(found.real, 0.0, lost)
    order = np.argsort(-excess, kind="stable").tolist()
    verdict = worst_of([
        (clear_of_zero(value - control), SHAPES), (max([*excess.tolist(), *[1.0] * lost], default=0.0), COLUMN),
        (COLUMN.warn if gone else 0.0, COLUMN),
    ])  # fmt: skip
    return Finding(
        check="tables.shapes",
        title="Columns have other shapes than real ones",
        **spread_of(value, control)._asdict(),
        better="lower",
        verdict=verdict,
        threshold=f"warn from {SHAPES.warn:g}, fail from {SHAPES.fail:g} above the control, or from {COLUMN.warn:g} "
        f"and {COLUMN.fail:g} in one column, when clear of chance; a column that is not there counts 1; warn where a "
        "category is gone",
        meaning=_meaning(sides, columns, found, order, gone),
        unit="KS or total variation distance, mean over columns",
        n_rows=len(sides.synthetic),
        n_reference=len(sides.reference),
        evidence={
            "columns": {c.name: _told(sides, c, j, found) for j, c in enumerate(columns)},
            "left_out": {c.name: f"{c.kind}: {c.why}" for c in sides.columns if not c.asked},
            "missing_columns": sides.lost, "other_columns": sides.strange, "categories_gone": gone,
            "definition": DEFINITION, "rows_a_draw": len(sides.draws[0].mine),
        },
        plots=_picture([columns[j].name for j in order[:_SHOWN]], found, order[:_SHOWN]),
        settings=sides.settings,
    )  # fmt: skip


def _coded(sides: Sides, column: Column) -> Coded:
    """Give values numbers: in their order with missing ones last, or by how common they are in real rows."""
    if column.kind == "category":
        return sides.categories(column.name, _MOST_WORDS)
    mine, real = sides.synthetic.numbers(column.name), sides.reference.numbers(column.name)
    values, codes = np.unique(np.concatenate([mine, real]), return_inverse=True)  # nan comes last, once
    return Coded(codes[: len(mine)], codes[len(mine) :], len(values))


def _apart(column: Column, a: Int[np.ndarray, " K"], b: Int[np.ndarray, " K"]) -> float:
    return ks_distance(a, b) if column.kind == "number" else total_variation(a, b)


def _distances(sides: Sides, columns: Sequence[Column], coded: Sequence[Coded]) -> Distances:
    """Return the distance of each column in each draw."""
    found = np.zeros((2, len(sides.draws), len(coded)))
    for i, draw in enumerate(sides.draws):
        for j, (column, c) in enumerate(zip(columns, coded, strict=True)):
            mine, half, other = (
                np.bincount(x, minlength=c.n_codes) for x in (c.mine[draw.mine], c.real[draw.half], c.real[draw.other])
            )
            found[0, i, j], found[1, i, j] = _apart(column, mine, half), _apart(column, other, half)
    return Distances(*found)


def _clear(sides: Sides, columns: Sequence[Column], coded: Sequence[Coded]) -> Bool[np.ndarray, " k"]:
    """Tell which columns lie apart by more than chance makes any of them."""
    p = np.ones(len(columns))
    for j, (column, c) in enumerate(zip(columns, coded, strict=True)):
        counts = [np.bincount(x, minlength=c.n_codes) for x in (c.mine, c.real)]
        numbers = column.kind == "number"
        p[j] = ks_p(_apart(column, *counts), len(c.mine), len(c.real)) if numbers else _chi2_p(np.stack(counts))
    return p < _SURE / max(1, len(columns))


def _chi2_p(counts: Int[np.ndarray, "2 K"]) -> float:
    from scipy.stats import chi2_contingency

    counts = counts[:, counts.sum(axis=0) > 0]
    return float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0


def _gone(sides: Sides, coded: Sequence[Coded]) -> list[dict[str, Any]]:
    """Return the categories that no synthetic row has, where chance would not leave them out.

    Of the c rows of both sets that hold a word, all are real ones with a chance of (n / (m + n))^c.
    """
    m, n = len(sides.synthetic), len(sides.reference)
    n_words, found = sum(len(c.words) for c in coded), []
    for column, c in zip(sides.shared, coded, strict=True):
        mine, real = (np.bincount(x, minlength=c.n_codes) for x in (c.mine, c.real))
        for i, word in enumerate(c.words):
            if not mine[i] and (n / (m + n)) ** real[i] * n_words < _SURE:
                found.append({"column": column.name, "value": word, "real_share": float(real[i] / n)})
    return found


def _mean(distances: Float[np.ndarray, "draws k"], each: float, n: int) -> Float[np.ndarray, " draws"]:
    """Return the mean over columns, n more of which lie `each` apart."""
    return (distances.sum(axis=1) + each * n) / max(1, distances.shape[1] + n)


def _told(sides: Sides, column: Column, j: int, found: Distances) -> dict[str, Any]:
    """Return what is known of a column."""
    told = {
        "kind": column.kind, "why": column.why, "distance": round(float(found.mine[:, j].mean()), 4),
        "control": round(float(found.real[:, j].mean()), 4),
        "missing": float(sides.synthetic.missing(column.name).mean()),
        "real_missing": float(sides.reference.missing(column.name).mean()),
    }  # fmt: skip
    return told | ({"spread": _spread(sides, column.name)} if column.kind == "number" else {})


def _spread(sides: Sides, name: str) -> float | None:
    """Return the standard deviation over that of real rows."""
    mine, real = (x[~np.isnan(x)] for x in (sides.synthetic.numbers(name), sides.reference.numbers(name)))
    if not len(mine) or not len(real):
        return None
    with np.errstate(all="ignore"):  # near 1e154 squares are too large
        ratio = float(np.divide(mine.std(), real.std()))
    return ratio if math.isfinite(ratio) else None


def _meaning(
    sides: Sides, columns: Sequence[Column], found: Distances, order: Sequence[int],
    gone: Sequence[Mapping[str, Any]],
) -> str:  # fmt: skip
    said = []
    if sides.lost:
        said.append(f"Columns that the synthetic rows have not got: {_names(sides.lost)}.")
    if sides.strange:
        said.append(f"Columns that real rows have not got, which were not asked: {_names(sides.strange)}.")
    if columns:
        worst = [f"`{columns[j].name}` ({found.said(j)}{_spread_said(sides, columns[j])})" for j in order[:_NAMED]]
        said.append(f"Furthest from real rows {'are' if len(worst) > 1 else 'is'} {', '.join(worst)}.")
    if gone:
        named = ", ".join(f"{g['value']!r} of `{g['column']}`" for g in gone[:_NAMED])
        said.append(f"No row has {named}" + (f", and {len(gone) - _NAMED} more." if len(gone) > _NAMED else "."))
    return " ".join(said) or "No column could be asked."


def _spread_said(sides: Sides, column: Column) -> str:
    spread = _spread(sides, column.name) if column.kind == "number" else None
    return "" if spread is None else f", spread {spread:.2f} of the real"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _picture(names: Sequence[str], found: Distances, order: Sequence[int]) -> list[Plot]:
    if not names:
        return []
    both = {"synthetic": found.mine, "real vs real": found.real}
    series = [Series(who, names, [round(float(of[:, j].mean()), 4) for j in order]) for who, of in both.items()]
    return [
        Plot(
            "bars", "Distance of columns from real ones, the worst first", "column", "KS or total variation distance",
            series, "Bars for each column, beside those of two real halves. "
            f"Furthest is {names[0]} with {series[0].y[0]:.2f}.",
        )
    ]  # fmt: skip
