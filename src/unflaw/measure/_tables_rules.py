"""Rules that the rows of a table keep: bounds, orders, equations, dependencies, and values that never meet.

Notation
    n          rows
    x, y, z    numbers of a column, nan where there is none, (n,)
    counts     rows with each pair of values of two columns, (A, B)
    λ          rows that would break a rule if one column were dealt out at random, as many as there are

That no row breaks a rule says little where none could be expected to: a column that is "yes" in five of a thousand rows
keeps rules with many another by chance, which gives a rule to e^-λ of the pairs that are looked at. So λ must be large
for all of them together; and where a bound is soft, the tail of the numbers must end well before it.

References
----------
    Hanley & Lippman-Hand (1983), "If Nothing Goes Wrong, Is Everything All Right?", JAMA 249: the rule of three.
    Pickands (1975), Annals of Statistics 3: beyond a high threshold a tail is known by its mean excess (`bound`).
    Good (1953), Biometrika 40: other rows hold new values as often as these hold one that is alone (`unseen_share`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = [
    "RARE",
    "Equality",
    "apart",
    "bound",
    "dependence",
    "equalities",
    "kept_order",
    "never_together",
    "unit_of",
    "unseen_share",
]

_DIFFERENT = 5
"""Different numbers from which on an equation between columns means something."""
_PILED = 7.0
"""Rows that would lie beyond the outermost number if they went on falling; that none does has a chance of e^-7."""
_BEYOND = 5.0
"""Mean excesses beyond the outermost number at which a soft bound is set: an exponential tail has e^-5 / n there, one
as heavy as 1 / x^2 a third of 1 / n."""
_SHIFTS = (1, 7, 29)
"""A column is dealt out anew by shifting it against the other; rows come in random order."""
_DECIMALS = 6
_PROBES = 40
"""Rows on which every equation is tried, a few first, before those that hold there are tried on all."""
_FIRST = 6
RARE = 1e-3
"""Share of rows that may break a rule all the same: real rows hold slips of the pen."""


class Equality(NamedTuple):
    """An equation between columns, by their places."""

    kind: str
    """"linear": y = k x + c. "sum": x + y = z. "product": x y = z."""
    columns: tuple[int, ...]
    k: float
    c: float
    by_chance: float
    """λ."""


def bound(x: Float[np.ndarray, " n"], *, upper: bool) -> float:
    """Return the number beyond which hardly any other of the source lies: with n of them, under one in 3 n.

    The outermost number itself is no bound, one in n lies beyond it, on either side of every column; it is one where
    rows pile up on it. Else the bound stands five times the mean excess of the outermost √n numbers further out.

    >>> bound(np.array([0.0] * 90 + list(range(10))), upper=False)
    0.0
    """
    sign = 1.0 if upper else -1.0
    z = np.sort(sign * x[~np.isnan(x)])
    _, counts = np.unique(z, return_counts=True)
    last, before = int(counts[-1]), int(counts[-2]) if len(counts) > 1 else 1
    if last * min(1.0, last / before) >= _PILED:
        return float(sign * z[-1])
    k = min(math.ceil(math.sqrt(len(z))), len(z) - 1)
    excess = float((z[len(z) - k :] - z[len(z) - k - 1]).mean()) if k else 0.0
    return float(sign * (z[-1] + _BEYOND * excess))


def unseen_share(counts: Int[np.ndarray, " K"]) -> float:
    """Return the share of other rows that would have a value not among these, by Good and Turing."""
    return float((counts == 1).sum() / max(1, counts.sum()))


def unit_of(x: Float[np.ndarray, " n"]) -> float:
    """Return the largest of 1, 0.1, … 0.000001 of which all numbers are multiples; 0.0 where none is.

    >>> unit_of(np.array([1.5, 2.25, np.nan])), unit_of(np.array([3.0, 4.0])), unit_of(np.array([1 / 3]))
    (0.01, 1.0, 0.0)
    """
    there = x[~np.isnan(x)]
    for decimals in range(_DECIMALS + 1):
        scaled = there * 10.0**decimals
        slack = np.minimum(1e-2, 1e-6 * np.abs(scaled) + 1e-9)  # what is stored in 32 bits is off by 1e-7 of itself
        if (np.abs(scaled - np.round(scaled)) <= slack).all():
            return float(10.0**-decimals)
    return 0.0


def kept_order(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Return λ of the rule x ≤ y, or 0.0 where a row breaks it or another one might.

    Where rows do not pile up on x = y, the differences must end well before 0, as `bound` has it.
    """
    gap = y - x
    gap = gap[~np.isnan(gap)]
    kept = gap[gap >= 0]
    if not len(kept) or len(gap) - len(kept) > RARE * len(gap) or bound(kept, upper=False) < 0:
        return 0.0
    return _dealt(lambda z: x > z, y)


def apart(x: Float[np.ndarray, " n"], z: Float[np.ndarray, " n"], unit: float) -> Bool[np.ndarray, " n"]:
    """Tell which of two numbers are not equal: by more than half the last digit of z, or a millionth of it."""
    with np.errstate(invalid="ignore"):
        return np.abs(x - z) > np.maximum(0.5 * unit, 1e-6 * np.abs(z)) * (1 + 1e-9) + 1e-12


def equalities(x: Float[np.ndarray, "n d"], least: float) -> list[Equality]:
    """Return the equations of two and three columns that rows keep which have them, with a λ of `least` or more.

    A column that another one gives by y = k x + c is left out of the equations of three.
    """
    units = [unit_of(x[:, j]) for j in range(x.shape[1])]
    found: list[Equality] = []
    plain: list[int] = []
    for j in range(x.shape[1]):
        given = next((e for i in plain if (e := _linear(x, i, j, units[j], least)) is not None), None)
        if given is not None:
            found.append(given)
        elif _varies(x[:, j]):
            plain.append(j)
    return found + list(_of_three(x, plain, units, least))


def _linear(x: Float[np.ndarray, "n d"], i: int, j: int, unit: float, least: float) -> Equality | None:
    a, b = x[:, i], x[:, j]
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    if not _varies(a) or b.min() == b.max():
        return None
    order = np.argsort(a, kind="stable")
    low, high = int(order[len(a) // 10]), int(order[-1 - len(a) // 10])  # not the ends, where slips of the pen lie
    if a[low] == a[high]:
        low, high = int(order[0]), int(order[-1])
    k = float((b[high] - b[low]) / (a[high] - a[low]))
    c = float(b[low] - k * a[low])
    k, c = (round(v, 9) + 0.0 for v in (k, c))
    if k == 0 or _breaks(k * a + c, b, unit):
        return None
    chance = _dealt(lambda z: apart(k * a + c, z, unit), b)
    return Equality("linear", (i, j), k, c, chance) if chance >= least else None


def _of_three(x: Float[np.ndarray, "n d"], plain: list[int], units: list[float], least: float) -> Iterator[Equality]:
    probes = x[:_PROBES][:, plain]
    slack = _slack(probes, np.array([units[j] for j in plain]))
    slips = int(RARE * len(x) >= 1)
    for at, i in enumerate(plain):
        for kind, joined in (("sum", probes[:, at, None] + probes), ("product", probes[:, at, None] * probes)):
            off = np.abs(joined[:_FIRST, :, None] - probes[:_FIRST, None, :]) > slack[:_FIRST, None, :]  # nan: not off
            b, c = np.nonzero(off.sum(axis=0) <= slips)
            kept = (np.abs(joined[:, b] - probes[:, c]) > slack[:, c]).sum(axis=0) <= slips
            kept &= (b >= at) & (c != at) & (b != c)
            for j, k in zip(b[kept].tolist(), c[kept].tolist(), strict=True):
                told = _holds(kind, x, (i, plain[j], plain[k]), units[plain[k]], least)
                if told is not None:
                    yield told


def _slack(z: Float[np.ndarray, "n d"], units: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n d"]:
    return np.maximum(0.5 * units, 1e-6 * np.abs(z)) * (1 + 1e-9) + 1e-12


def _holds(
    kind: str, x: Float[np.ndarray, "n d"], columns: tuple[int, int, int], unit: float, least: float
) -> Equality | None:
    """Ask all rows in which neither part is 0, nor 1 in a product: in the others there is nothing to add up."""
    a, b, c = (x[:, j] for j in columns)
    joined = a + b if kind == "sum" else a * b
    told = ~np.isnan(joined) & ~np.isnan(c)
    if _breaks(joined[told], c[told], unit):
        return None
    both = told & (a != 0) & (b != 0)
    if kind == "product":
        both &= (a != 1) & (b != 1)
    if not (_varies(a[both]) and _varies(b[both])):
        return None
    chance = _dealt(lambda z: apart(joined[both], z, unit), c[both])
    return Equality(kind, columns, 1.0, 0.0, chance) if chance >= least else None


def _breaks(x: Float[np.ndarray, " n"], z: Float[np.ndarray, " n"], unit: float) -> bool:
    """Tell whether more rows break an equation than by slips of the pen."""
    return bool(apart(x, z, unit).sum() > RARE * len(x))


def _varies(x: Float[np.ndarray, " n"]) -> bool:
    """Tell whether there are enough different numbers for an equation to mean something."""
    return len(np.unique(x[~np.isnan(x)])) >= _DIFFERENT


def _dealt(broken: Callable[[Float[np.ndarray, " n"]], Bool[np.ndarray, " n"]], z: Float[np.ndarray, " n"]) -> float:
    """Return how many rows break a rule, on average, when z is shifted against the others."""
    with np.errstate(invalid="ignore"):
        return float(np.mean([np.count_nonzero(broken(np.roll(z, shift))) for shift in _SHIFTS]))


def dependence(counts: Int[np.ndarray, "A B"]) -> tuple[int, float]:
    """Return the rows that break "the first value gives the second", and λ.

    The first value gives the one it mostly comes with. Of rows that are alone with their first value nothing can be
    expected, so one row of each does not count in λ.

    >>> dependence(np.array([[40, 0], [0, 60], [3, 0]]))[0]
    0
    """
    of_first, of_second = counts.sum(axis=1), counts.sum(axis=0)
    broken = int((of_first - counts.max(axis=1)).sum())
    repeats = int(np.maximum(of_first - 1, 0).sum())
    return broken, repeats * (1 - float(of_second.max()) / max(1, int(of_second.sum())))


def never_together(counts: Int[np.ndarray, "A B"], least: float) -> list[tuple[int, int, float, int]]:
    """Return the pairs of values with next to no rows where independence gives `least` or more: (a, b, λ, rows).

    Next to none is a thousandth of what independence gives, so that a slip of the pen in thousands of rows does not
    make a combination possible.

    >>> never_together(np.array([[50, 0], [20, 30]]), 10)
    [(0, 1, 15.0, 0)]
    """
    n = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / max(1, n)
    found = np.argwhere((expected >= least) & (counts <= RARE * expected))
    return [(int(a), int(b), float(expected[a, b]), int(counts[a, b])) for a, b in found]
