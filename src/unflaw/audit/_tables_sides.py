"""Tables: two tables side by side, and how a statistic of both is compared with that of two halves of the real one.

All distances between two sets grow as rows get fewer, so they are compared at equal size: ten times half of the
synthetic rows against a random half of the real ones, and that half against the other. The spread of a statistic over
random halves is its standard error on all of them (delete-half jackknife, as in `_diversity.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from unflaw.audit._shares import Rule
from unflaw.audit._tables_rows import TableSample
from unflaw.audit._tables_view import Column, View
from unflaw.audit._template import above
from unflaw.data import Verdict

__all__ = ["N_DRAWS", "Coded", "Distances", "Draw", "Sides", "Spread", "clear_of_zero", "spread_of", "worst_of"]

N_DRAWS = 10


class Draw(NamedTuple):
    """Places of rows."""

    mine: Int[np.ndarray, " n"]
    """Half of the synthetic ones."""
    half: Int[np.ndarray, " n"]
    """Half of the real ones."""
    other: Int[np.ndarray, " n"]
    """The other half."""


class Coded(NamedTuple):
    """A column of both tables, its values numbered."""

    mine: Int[np.ndarray, " m"]
    real: Int[np.ndarray, " n"]
    n_codes: int
    words: Sequence[str] = ()
    """What the first numbers stand for, where they are words."""


class Distances(NamedTuple):
    """Distances of some columns or pairs in each draw."""

    mine: Float[np.ndarray, "draws k"]
    """Of synthetic rows from real ones."""
    real: Float[np.ndarray, "draws k"]
    """Between the real halves."""

    @property
    def excess(self) -> Float[np.ndarray, " k"]:
        """How much further than the real halves, mean over the draws."""
        return (self.mine - self.real).mean(axis=0)

    def said(self, j: int) -> str:
        """Say both distances of a column or pair."""
        return f"{self.mine[:, j].mean():.2f}, real halves {self.real[:, j].mean():.2f}"


class Spread(NamedTuple):
    """A statistic with its interval, and what the real halves give."""

    value: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float


@dataclass(frozen=True)
class Sides:
    """Both tables, seen as the reference's columns say."""

    columns: Sequence[Column]
    """All of the reference's."""
    mine: TableSample
    real: TableSample
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def synthetic(self) -> View:
        """The synthetic rows of the sample."""
        return self.mine.view

    @property
    def reference(self) -> View:
        """The real rows of the sample."""
        return self.real.view

    @cached_property
    def real_ids(self) -> list[str]:
        """Ids of the real rows."""
        return list(self.real.ids.to_pylist())

    @cached_property
    def shared(self) -> list[Column]:
        """The columns that both have and that are asked."""
        return [c for c in self.columns if c.asked and self.synthetic.has(c.name)]

    @cached_property
    def lost(self) -> list[str]:
        """Columns that synthetic rows have not got."""
        return [c.name for c in self.columns if not self.synthetic.has(c.name)]

    @cached_property
    def strange(self) -> list[str]:
        """Columns that only synthetic rows have."""
        return [name for name in self.synthetic.table.column_names if not self.reference.has(name)]

    def of(self, kind: str) -> list[str]:
        """Names of the shared columns of a kind."""
        return [c.name for c in self.shared if c.kind == kind]

    @cached_property
    def draws(self) -> list[Draw]:
        """The halves that are compared."""
        rng, m, n = np.random.default_rng(self.seed), len(self.synthetic), len(self.reference)
        half, drawn = max(1, min(m, n) // 2), []
        for _ in range(N_DRAWS):
            mine, real = rng.permutation(m)[:half], rng.permutation(n)
            drawn.append(Draw(mine, real[:half], real[half : 2 * half]))
        return drawn

    def categories(self, name: str, most: int) -> Coded:
        """Give the commonest words numbers; then come any others, and missing ones."""
        counted = pc.value_counts(self.reference.words(name).drop_null()).to_pylist()
        common = [v["values"] for v in sorted(counted, key=lambda v: (-v["counts"], v["values"]))[:most]]
        known = pa.array(common, pa.string())

        def codes(view: View) -> Int[np.ndarray, " n"]:
            at = pc.fill_null(pc.index_in(view.words(name), value_set=known), len(common))
            at = at.to_numpy(zero_copy_only=False).astype(np.int64)
            return np.where(view.missing(name), len(common) + 1, at)

        return Coded(codes(self.synthetic), codes(self.reference), len(common) + 2, common)


def spread_of(value: Float[np.ndarray, " draws"], control: Float[np.ndarray, " draws"]) -> Spread:
    """Return means and intervals over the draws."""
    (v, v_error), (c, c_error) = _mean(value), _mean(control)
    return Spread(v, max(0.0, v - v_error), v + v_error, c, max(0.0, c - c_error), c + c_error)


def clear_of_zero(excess: Float[np.ndarray, " draws"]) -> float:
    """Return the mean, or 0.0 where it might be chance."""
    mean, error = _mean(excess)
    return mean if mean > error else 0.0


def _mean(values: Float[np.ndarray, " draws"]) -> tuple[float, float]:
    from scipy.stats import t

    return float(values.mean()), float(values.std(ddof=1) * t.ppf(0.975, len(values) - 1))


def worst_of(judged: Sequence[tuple[float, Rule]]) -> Verdict:
    """Return the worst verdict on some excesses."""
    verdicts = [above(excess, rule.warn, rule.fail) for excess, rule in judged]
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"
