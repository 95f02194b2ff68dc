"""Intervals over items that come in groups.

The levels of one request share its topic and constraints, so their outcomes move together.
Resampling items one by one would treat them as independent and claim too narrow an interval;
here whole groups are resampled (Davison & Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from unflaw.measure import bootstrap_interval, confusion, macro_f1

__all__ = ["SEPARATOR", "confusion_interval", "group_of", "grouped_interval"]

_CELLS = 2**22
"""Of confusion tables, held at once: 32 MiB."""

SEPARATOR = "/"
"""Item ids of one group read GROUP/REST, where the settings of a score say so."""


def group_of(item: str, separator: str | None) -> str:
    """Return the group of an item id: what stands before the last separator, else the id itself."""
    return item.rpartition(separator)[0] or item if separator else item


def grouped_interval(items: Mapping[str, float], separator: str | None, *, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over items, resampling groups.

    Raises
    ------
    TooFewRowsError
        With fewer than two groups.
    """
    groups: dict[str, list[float]] = {}
    for item, value in items.items():
        groups.setdefault(group_of(item, separator), []).append(value)
    sums = np.array([sum(values) for values in groups.values()], dtype=float)
    sizes = np.array([len(values) for values in groups.values()], dtype=float)

    def mean_of(block: np.ndarray) -> np.ndarray:
        index = block.astype(int)  # (r, groups): which groups a resample holds
        return sums[index].sum(axis=-1) / sizes[index].sum(axis=-1)

    return bootstrap_interval(np.arange(len(groups), dtype=float), statistic=mean_of, seed=seed)


def confusion_interval(
    a: Int[np.ndarray, " n"], n_classes: int, b: Int[np.ndarray, " n"] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of macro-F1 from each row's cell of the confusion table; with `b` of that of b less a's.

    Rows are resampled, those of both together.
    """
    at_once = max(1, _CELLS // n_classes**2)  # resamples whose tables are held together

    def scored(cell: np.ndarray) -> np.ndarray:
        parts = (cell[k : k + at_once] for k in range(0, len(cell), at_once))
        return np.concatenate([macro_f1(confusion(part, n_classes)) for part in parts])

    def value_of(block: np.ndarray) -> np.ndarray:
        index = block.astype(int)  # (r, n): which rows a resample holds
        own = scored(a[index])
        return own if b is None else scored(b[index]) - own

    return bootstrap_interval(np.arange(len(a), dtype=float), statistic=value_of, seed=seed)
