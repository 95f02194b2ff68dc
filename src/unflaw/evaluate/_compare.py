"""Two models on the same items: what changed, and is it more than noise.

Two separate intervals that overlap say little: the items' own difficulty widens both. Here every
item is its own control (b minus a), and the interval is of the mean of those differences. Groups of
items, such as the levels of one request, are resampled together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Score
from unflaw.evaluate._interval import confusion_interval, grouped_interval
from unflaw.measure import confusion, macro_f1

__all__ = ["Comparison", "compare"]

_OF_ONE_RUN = ("prompts", "rows_skipped")
"""Settings that may differ: texts for a reader (their hash must not), and counts."""


@dataclass(frozen=True)
class Comparison:
    """One benchmark, two models, paired by item."""

    benchmark: str
    model_a: str
    """Before."""
    model_b: str
    """After."""
    value_a: float
    value_b: float
    difference: float
    """value_b - value_a, over the common items."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    verdict: Literal["better", "worse", "within noise"]
    """Within noise where the interval holds 0."""
    n: int
    """Common items."""
    better: Literal["lower", "higher"]
    unit: str
    gained: tuple[str, ...]
    """Ids of items where b is better, the greatest change first."""
    lost: tuple[str, ...]
    """Ids of items where b is worse, the greatest change first."""
    unpaired: int = 0
    """Items that only one of the two has; they do not enter."""


def compare(before: Sequence[Score], after: Sequence[Score], *, seed: int = 0) -> list[Comparison]:
    """Compare two models benchmark by benchmark.

    Raises
    ------
    SettingsError
        The two hold other benchmarks, or one benchmark was run with another seed, other settings or
        other prompts: the difference would not be the model's. All mismatches are listed.
    TooFewRowsError
        Fewer than two common items or groups.
    """
    a, b = _by_benchmark("before", before), _by_benchmark("after", after)
    problems = [f"`{side}` lacks {name!r}" for side, has, other in (("before", a, b), ("after", b, a))
                for name in other if name not in has]  # fmt: skip
    if not a and not b:
        problems.append("`before` and `after` must hold scores, got none")
    for name in a.keys() & b.keys():
        problems += [f"{name}: {p}" for p in _mismatches(a[name], b[name])]
    if problems:
        raise SettingsError(sorted(problems))
    return [_pair(a[name], b[name], seed) for name in a]


def _by_benchmark(side: str, scores: Sequence[Score]) -> dict[str, Score]:
    found = {s.benchmark: s for s in scores}
    if len(found) < len(scores):
        raise SettingsError(f"`{side}` must hold each benchmark once (one model), got {[s.benchmark for s in scores]}")
    return found


def _mismatches(a: Score, b: Score) -> list[str]:
    problems = []
    if a.seed != b.seed:
        problems.append(f"`seed` must be the same, got {a.seed} and {b.seed}")
    if a.better != b.better:
        problems.append(f"`better` must be the same, got {a.better!r} and {b.better!r}")
    for key in sorted((a.settings.keys() | b.settings.keys()) - set(_OF_ONE_RUN)):
        one, other = a.settings.get(key), b.settings.get(key)
        if one != other:
            what = "were asked other prompts" if key == "prompts_hash" else f"`settings[{key!r}]` must be the same"
            problems.append(f"{what}, got {one!r} and {other!r}; measure both with the same call")
    if not a.items or not b.items:
        problems.append("both need `items` to be paired")
    return problems


def _pair(a: Score, b: Score, seed: int) -> Comparison:
    common = [i for i in a.items if i in b.items]
    if not common:
        raise TooFewRowsError(f"`{a.benchmark}` of {a.model!r} and {b.model!r} have no item in common")
    change = {i: _outcome(b, i) - _outcome(a, i) for i in common}
    (value_a, value_b), (low, high) = _measured(a, b, common, change, seed)
    sign = 1 if a.better == "higher" else -1
    ranked = sorted((i for i in common if change[i]), key=lambda i: -abs(change[i]))
    verdict: Literal["better", "worse", "within noise"] = "within noise"
    if not low <= 0 <= high:
        verdict = "better" if sign * low > 0 else "worse"
    return Comparison(
        a.benchmark, a.model, b.model,
        value_a=value_a, value_b=value_b, difference=value_b - value_a,
        low=low, high=high, verdict=verdict, n=len(common), better=a.better, unit=a.unit,
        gained=tuple(i for i in ranked if sign * change[i] > 0),
        lost=tuple(i for i in ranked if sign * change[i] < 0),
        unpaired=len(a.items) + len(b.items) - 2 * len(common),
    )  # fmt: skip


def _outcome(score: Score, item: str) -> float:
    """Return what became of an item; of a cell of the confusion table, whether it is on the diagonal."""
    size = score.settings.get("cells")
    return score.items[item] if size is None else float(score.items[item] % (size + 1) == 0)


def _measured(
    a: Score, b: Score, common: Sequence[str], change: Mapping[str, float], seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return both values over the common items, and the interval of their difference."""
    if (size := a.settings.get("cells")) is None:
        values = [sum(score.items[i] for i in common) / len(common) for score in (a, b)]
        return (values[0], values[1]), grouped_interval(change, a.settings.get("separator"), seed=seed)
    one, two = (np.array([score.items[i] for i in common], dtype=np.int64) for score in (a, b))
    values = [float(macro_f1(confusion(of, size))) for of in (one, two)]
    return (values[0], values[1]), confusion_interval(one, size, two, seed=seed)
