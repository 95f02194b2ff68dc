"""Tables: do columns go together as those of real rows do?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from unflaw.audit._sample import draw
from unflaw.audit._shares import Rule
from unflaw.audit._tables_sides import Coded, Distances, Sides, clear_of_zero, spread_of, worst_of
from unflaw.audit._template import above
from unflaw.data import Finding
from unflaw.measure import (
    bin_edges,
    binned,
    contingency,
    correlation_p,
    correlations,
    ranked,
    told_by,
    total_variation,
)

__all__ = ["correlation_finding", "pairs_finding"]

PAIRS = Rule(0.03, 0.1)
"""Of the mean over pairs."""
PAIR = Rule(0.1, 0.3)
"""Of one pair with a category in it."""
CORRELATION = Rule(0.15, 0.4)
"""Change of one correlation by ranks."""
_SURE = 0.001
"""Chance that any correlation of a clean table is called another."""
_CLEAR = 3.0
"""Standard errors that the worst of many pairs must be off."""
_MOST_WORDS = 20
"""Words of a column that make cells of their own, or most cells would be empty."""
_MOST_PAIRS = 1000
"""Pairs with a category in them; those of numbers are one matrix product."""
_LEAST_TOLD = 20
"""Rows that a correlation must rest on, in either set."""
_NAMED, _LISTED = 3, 50


def pairs_finding(sides: Sides) -> Finding | None:
    """Return how far pairs of columns lie from those of real rows, mean over pairs; None where there is no pair.

    As SDMetrics has it: of two numbers, half the difference of their correlations; of others, the total variation
    distance of both values at once, numbers in ten bins of one width.
    """
    numbers, words = sides.of("number"), sides.of("category")
    mixed = [pair for pair in combinations(sorted([*numbers, *words]), 2) if not set(pair) <= set(numbers)]
    asked = sorted(sorted(mixed, key=lambda pair: draw("\0".join(pair), sides.seed))[:_MOST_PAIRS])
    names = [*combinations(numbers, 2), *asked]
    if not names:
        return None
    by_number, by_word = _of_numbers(sides, numbers, ranks=False), _of_words(sides, asked)
    found = Distances(*(np.concatenate(both, axis=1) for both in zip(by_number, by_word, strict=True)))
    value, control = found.mine.mean(axis=1), found.real.mean(axis=1)
    error = (by_word.mine - by_word.real).std(axis=0, ddof=1)
    worst = np.where(by_word.excess > _CLEAR * error, by_word.excess, 0.0).max(initial=0.0)
    order = np.argsort(-found.excess, kind="stable").tolist()
    named = "; ".join(f"`{names[j][0]}` with `{names[j][1]}` ({found.said(j)})" for j in order[:_NAMED])
    left = len(mixed) - len(asked)
    return Finding(
        check="tables.pairs",
        title="Pairs of columns go together otherwise than real ones",
        **spread_of(value, control)._asdict(),
        better="lower",
        verdict=worst_of([(clear_of_zero(value - control), PAIRS), (float(worst), PAIR)]),
        threshold=f"warn from {PAIRS.warn:g}, fail from {PAIRS.fail:g} above the control, or from {PAIR.warn:g} and "
        f"{PAIR.fail:g} in one pair with a category, when clear of it",
        meaning=f"Furthest from real rows are {named}." + (f" {left:,} pairs were not asked." if left else ""),
        unit="half the change of a correlation, or total variation of two values at once, mean over pairs",
        n_rows=len(sides.synthetic),
        n_reference=len(sides.reference),
        evidence={
            "pairs": [
                {"columns": list(names[j]), "distance": round(float(found.mine[:, j].mean()), 4),
                 "control": round(float(found.real[:, j].mean()), 4)} for j in order[:_LISTED]
            ],
            "n_pairs": len(names), "n_left_out": left, "rows_a_draw": len(sides.draws[0].mine),
        },
        settings=sides.settings,
    )  # fmt: skip


def correlation_finding(sides: Sides) -> Finding | None:
    """Return the largest change of a correlation by ranks; None where there are no two columns of numbers to ask."""
    numbers = sides.of("number")
    x, y = sides.synthetic.matrix(numbers), sides.reference.matrix(numbers)
    m, n = _upper(told_by(x)), _upper(told_by(y))
    asked = np.flatnonzero(np.minimum(m, n) >= _LEAST_TOLD)
    if not len(asked):
        return None
    names = list(np.array(list(combinations(numbers, 2)))[asked])
    halved = _of_numbers(sides, numbers, ranks=True)
    found = Distances(2 * halved.mine[:, asked], 2 * halved.real[:, asked])
    r, s = (_upper(correlations(ranked(of)))[asked] for of in (x, y))
    clear = correlation_p(r, s, m[asked], n[asked]) * len(names) < _SURE
    order = np.argsort(-np.where(clear, found.excess, found.excess - 2), kind="stable").tolist()  # clear ones first
    worst = order[0]
    return Finding(
        check="tables.correlation",
        title="Numbers rise and fall together otherwise than real ones",
        **spread_of(found.mine[:, worst], found.real[:, worst])._asdict(),
        better="lower",
        verdict=above(float(found.excess[worst]) if clear[worst] else 0.0, CORRELATION.warn, CORRELATION.fail),
        threshold=f"warn from {CORRELATION.warn:g}, fail from {CORRELATION.fail:g} above the control, where chance "
        f"gives it to any pair with p < {_SURE:g}",
        meaning=f"`{names[worst][0]}` and `{names[worst][1]}` have a correlation of {r[worst]:.2f}, in real rows of "
        f"{s[worst]:.2f}; of {len(names):,} pairs the mean change is {found.mine.mean():.3f}, between real halves "
        f"{found.real.mean():.3f}.",
        unit="change of Spearman's correlation, the largest over pairs",
        n_rows=len(sides.synthetic),
        n_reference=len(sides.reference),
        evidence={
            "pairs": [
                {"columns": names[j].tolist(), "correlation": round(float(r[j]), 4), "real": round(float(s[j]), 4)}
                for j in order[:_LISTED]
            ],
            "n_pairs": len(names), "n_left_out": len(m) - len(names), "mean_change": float(found.mine.mean()),
            "mean_change_of_halves": float(found.real.mean()),
        },
        settings=sides.settings,
    )  # fmt: skip


def _of_numbers(sides: Sides, numbers: Sequence[str], *, ranks: bool) -> Distances:
    """Return half the change of each correlation in each draw; a correlation with a constant is none."""
    x, y = sides.synthetic.matrix(numbers), sides.reference.matrix(numbers)
    x, y = (ranked(x), ranked(y)) if ranks else (x, y)
    found = np.zeros((2, len(sides.draws), len(numbers) * (len(numbers) - 1) // 2))
    for i, places in enumerate(sides.draws if len(numbers) > 1 else ()):
        mine, half, other = (
            _upper(correlations(of)) for of in (x[places.mine], y[places.half], y[places.other])
        )  # fmt: skip
        found[0, i], found[1, i] = np.abs(mine - half) / 2, np.abs(other - half) / 2
    return Distances(*found)


def _upper(r: Float[np.ndarray, "d d"]) -> Float[np.ndarray, " p"]:
    return np.nan_to_num(r[np.triu_indices(len(r), 1)])


def _of_words(sides: Sides, pairs: Sequence[tuple[str, str]]) -> Distances:
    """Return the total variation distance of each pair of columns in each draw."""
    numbers = set(sides.of("number"))
    coded = {name: _coded(sides, name, name in numbers) for name in {name for pair in pairs for name in pair}}
    found = np.zeros((2, len(sides.draws), len(pairs)))
    for i, places in enumerate(sides.draws):
        for j, pair in enumerate(pairs):
            a, b = (coded[name] for name in pair)
            mine, half, other = (
                contingency(first[at], second[at], a.n_codes, b.n_codes).ravel()
                for first, second, at in (
                    (a.mine, b.mine, places.mine), (a.real, b.real, places.half), (a.real, b.real, places.other)
                )
            )  # fmt: skip
            found[0, i, j], found[1, i, j] = total_variation(mine, half), total_variation(other, half)
    return Distances(*found)


def _coded(sides: Sides, name: str, is_number: bool) -> Coded:
    if not is_number:
        return sides.categories(name, _MOST_WORDS)
    edges = bin_edges(sides.reference.numbers(name))
    mine, real = (binned(of.numbers(name), edges) for of in (sides.synthetic, sides.reference))
    return Coded(mine, real, len(edges) + 2)
