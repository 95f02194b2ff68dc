"""From outcomes per item to a `Score`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from unflaw._errors import TooFewRowsError
from unflaw.data import Score
from unflaw.evaluate._interval import group_of, grouped_interval
from unflaw.measure import wilson_interval

__all__ = ["digest", "mean_score"]


def mean_score(
    benchmark: str,
    model: str,
    items: Mapping[str, float],
    *,
    better: Literal["lower", "higher"] = "higher",
    unit: str = "share",
    seed: int = 0,
    outputs: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    separator: str | None = None,
    signed: bool = False,
) -> Score:
    """Average outcomes and put an interval around them; with `separator`, groups of items are resampled.

    Where no resample of shares could differ, since all are 0 or all are 1, it is Wilson's interval of so many groups;
    `signed` says that outcomes are differences, and no shares.

    Raises
    ------
    TooFewRowsError
        With fewer than two groups: one would leave no idea how far the value could move.
    """
    settings = {**(settings or {}), **({"separator": separator} if separator else {})}
    try:
        low, high = grouped_interval(items, separator)
        if unit == "share" and not signed and low == high in (0.0, 1.0):
            n = len({group_of(item, separator) for item in items})
            low, high = wilson_interval(n if high else 0, n)
    except TooFewRowsError:
        raise TooFewRowsError(
            f"`{benchmark}` needs at least two independent items for an interval, got {len(items)} item(s); "
            "pass more prompts or rows"
        ) from None
    value = sum(items.values()) / len(items)
    kept = {i: outputs[i] for i in items if i in outputs} if outputs else {}
    return Score(benchmark, model, value, low, high, len(items), better, unit, seed, dict(items), kept, settings)


def digest(parts: Sequence[Any]) -> str:
    """Name what was asked by its contents: 16 hex digits, equal only for equal parts."""
    text = json.dumps(parts, ensure_ascii=False, default=str, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
