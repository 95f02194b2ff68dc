"""Percentile bootstrap intervals: how far a number could move had we drawn other rows.

Notation
    x, y : values per row, shapes (n,) and (m,)
    R    : number of resamples
    t    : the statistic, applied along the last axis of a block (r, n) of resamples

Every interval here resamples *rows*, the unit that was drawn, never tokens or pairs of rows. Where a training was
repeated, its few seeds add what Student's t allows them; resampled, two would hold the truth half as often as they say.
Two sets of values about the same rows (a model before and after) are resampled together: the rows' own difficulty
cancels, and the interval is as narrow as the comparison deserves.

Reference: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile method).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import SettingsError, TooFewRowsError

__all__ = [
    "bootstrap_interval", "difference_interval", "paired_difference", "ratio_interval", "seeded_difference",
    "seeded_interval",
]  # fmt: skip

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps a block (r, n) to (r,), one value per resample."""

_BLOCK = 2_000_000
"""Values resampled at a time: 16 MB, whatever R and n are."""


def _mean(block: np.ndarray) -> np.ndarray:
    return block.mean(axis=-1)


def _variance(block: np.ndarray) -> np.ndarray:
    return block.var(axis=-1, ddof=1)


def bootstrap_interval(
    values: Float[np.ndarray, " n"],
    *,
    statistic: Statistic = _mean,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic, the mean unless told otherwise.

    Raises
    ------
    TooFewRowsError
        With fewer than two values every resample is the same and the interval would claim certainty.

    Examples
    --------
    >>> bootstrap_interval(np.array([3.0, 3.0, 3.0]))
    (3.0, 3.0)
    """
    _check(level, n_resamples, values=values)
    rng = np.random.default_rng(seed)
    draws = [statistic(values[i]) for i in _resamples(rng, len(values), n_resamples)]
    return _percentiles(np.concatenate(draws), level)


def paired_difference(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return mean(a - b) and its interval, for two values of each row.

    >>> paired_difference(np.array([1.0, 5.0]), np.array([0.0, 4.0]))
    (1.0, 1.0, 1.0)
    """
    _check_paired(a, b)
    difference = a - b
    low, high = bootstrap_interval(difference, level=level, n_resamples=n_resamples, seed=seed)
    return float(difference.mean()), low, high


def difference_interval(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return mean(a) - mean(b) and its interval, for two independent sets of rows."""
    _check(level, n_resamples, a=a, b=b)
    rng = np.random.default_rng(seed)
    mean_a = np.concatenate([_mean(a[i]) for i in _resamples(rng, len(a), n_resamples)])
    mean_b = np.concatenate([_mean(b[i]) for i in _resamples(rng, len(b), n_resamples)])
    return (float(a.mean() - b.mean()), *_percentiles(mean_a - mean_b, level))


def ratio_interval(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    *,
    statistic: Statistic = _variance,
    paired: bool = False,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return t(a) / t(b) and its interval; t is the unbiased variance unless told otherwise.

    With `paired=True`, `a` and `b` are two values of the same rows and are resampled together.

    Raises
    ------
    TooFewRowsError
        Fewer than two values, or t(b) is zero: nothing to divide by.
    """
    _check(level, n_resamples, a=a, b=b)
    below = float(statistic(b[None])[0])
    if below == 0.0:
        raise TooFewRowsError("`b` must vary to be divided by, got equal values only; pass more or other rows")
    rng = np.random.default_rng(seed)
    if paired:
        _check_paired(a, b)
        both = [(statistic(a[i]), statistic(b[i])) for i in _resamples(rng, len(a), n_resamples)]
        top, bottom = (np.concatenate(side) for side in zip(*both, strict=True))
    else:
        top = np.concatenate([statistic(a[i]) for i in _resamples(rng, len(a), n_resamples)])
        bottom = np.concatenate([statistic(b[i]) for i in _resamples(rng, len(b), n_resamples)])
    possible = bottom != 0.0  # with a handful of rows a resample may repeat one row n times
    return (float(statistic(a[None])[0]) / below, *_percentiles(top[possible] / bottom[possible], level))


def seeded_difference(
    a: Float[np.ndarray, "seeds n"] | Int[np.ndarray, "seeds n"],
    b: Float[np.ndarray, "seeds n"] | Int[np.ndarray, "seeds n"],
    *,
    statistic: Statistic = _mean,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean over seeds of t(a) - t(b), and its interval, for two trainings repeated with the same seeds.

    Row i of both, of all seeds, is resampled together: see `seeded_interval`.

    Raises
    ------
    TooFewRowsError
        Fewer than two seeds, or rows.

    >>> right, wrong = np.ones((3, 8)), np.zeros((3, 8))
    >>> seeded_difference(right, wrong)
    (1.0, 1.0, 1.0)
    """
    _check(level, n_resamples, a=a, b=b)
    if a.shape != b.shape:
        raise SettingsError(f"`a` and `b` must be of the same seeds and rows, got {a.shape} and {b.shape}")
    if a.shape[1] < 2:
        raise TooFewRowsError(f"`a` needs at least two rows for an interval, got {a.shape[1]}")
    return seeded_interval(
        lambda rows: statistic(a[:, rows]) - statistic(b[:, rows]), a.shape[1], level=level, n_resamples=n_resamples,
        seed=seed,
    )  # fmt: skip


def seeded_interval(
    values: Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, " seeds"]],
    n: int,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the mean over seeds of what `values` makes of n rows, and its interval over rows and seeds.

    `values` takes places of rows and returns a number for each seed, nan where it has none. The n rows are resampled;
    the mean of S seeds moves by Student's t with S - 1 degrees of freedom, times their standard error, as if they were
    normal. What seed and row do together counts twice, so that the interval is rather too wide than too narrow.

    Raises
    ------
    TooFewRowsError
        Fewer than two seeds, or rows.

    >>> seeded_interval(lambda rows: np.array([1.0, 3.0]), 8)[0]
    2.0
    """
    if n < 2:
        raise TooFewRowsError(f"an interval needs at least two rows, got {n}")
    found = values(np.arange(n))
    known = found[~np.isnan(found)]
    if len(known) < 2:
        raise TooFewRowsError(f"an interval over seeds needs at least two of them, got {len(known)}")
    rng = np.random.default_rng(seed)
    draws = rng.standard_t(len(known) - 1, n_resamples) * known.std(ddof=1) / len(known) ** 0.5
    for r in range(n_resamples):
        of = values(rng.integers(n, size=n))
        draws[r] += of[~np.isnan(of)].mean() if not np.isnan(of).all() else np.nan
    return (float(known.mean()), *_percentiles(draws[~np.isnan(draws)], level))


def _resamples(rng: np.random.Generator, n: int, n_resamples: int) -> Iterator[Int[np.ndarray, "r n"]]:
    """Row indices of the resamples, in blocks that bound memory. Same draws whatever the block size."""
    size = max(1, _BLOCK // n)
    for start in range(0, n_resamples, size):
        yield rng.integers(0, n, size=(min(size, n_resamples - start), n))


def _percentiles(draws: Float[np.ndarray, " r"], level: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check(level: float, n_resamples: int, **sets: np.ndarray) -> None:
    problems = []
    if not 0 < level < 1:
        problems.append(f"`level` must lie between 0 and 1, got {level}")
    if n_resamples < 1:
        problems.append(f"`n_resamples` must be at least 1, got {n_resamples}")
    problems += [
        f"`{name}` must be finite, got nan or inf; drop those rows first and count them"
        for name, values in sets.items()
        if not np.isfinite(values).all()
    ]
    if problems:
        raise SettingsError(problems)
    for name, values in sets.items():
        if len(values) < 2:
            raise TooFewRowsError(f"`{name}` needs at least two values for an interval, got {len(values)}")


def _check_paired(a: np.ndarray, b: np.ndarray) -> None:
    if len(a) != len(b):
        raise SettingsError(f"`a` and `b` must hold two values of the same rows, got {len(a)} and {len(b)}")
