"""Findings about shares of rows, held against those of real rows: of one thing, or of all kinds there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from unflaw.audit._template import above
from unflaw.data import NO_VERDICT, Finding, Verdict
from unflaw.measure import difference_of_shares, total_variation, wilson_interval

__all__ = ["Rule", "Share", "share_finding", "spread_finding"]


class Share(NamedTuple):
    """Rows that have something, of the rows that could."""

    had: int
    asked: int


_COMMON, _SURE = 0.02, 3.0
"""Share of real rows from which on a difference must be so many standard errors off, not 1.96: what they have, too,
comes in other numbers in any two sets, and an audit asks fifty such questions."""

_RARELY, _LEAST = 0.02, 2
"""Of few rows an interval is too narrow: one of 100 is clear of none of 2,000, and chance gives it to a set in 20. So
an exact test must agree, and one row is no habit."""
_BY_CHANCE, _LEAST_EXPECTED = 0.001, 5
"""Probability below which chance is no excuse: an audit asks six such questions. Rows to be expected of a kind."""


@dataclass(frozen=True)
class Rule:
    """From how much more than in real rows on to warn and to fail, where chance alone does not give it."""

    warn: float
    fail: float

    def __str__(self) -> str:
        return f"{self.alone} above the control, when clear of it"

    @property
    def alone(self) -> str:
        """The rule in words where there are no real rows."""
        warn, fail = (f"{100 * share:g}%" for share in (self.warn, self.fail))
        return f"warn from {warn}, fail from {fail} of the rows"

    def verdict(self, mine: Share, usual: Share | None) -> Verdict:
        """Judge a share; without real rows, as if they had none."""
        if usual is None:
            return above(mine.had / mine.asked, self.warn, self.fail)
        z = _SURE if usual.had >= _COMMON * usual.asked else 1.96
        clear = difference_of_shares(*mine, *usual, z)[0] > 0 and mine.had >= _LEAST
        clear = clear and _by_chance(mine, usual) < _RARELY
        return above(mine.had / mine.asked - usual.had / usual.asked if clear else 0.0, self.warn, self.fail)


def _by_chance(mine: Share, usual: Share) -> float:
    """Return the probability of so many rows or more where both sets have them alike (Fisher's exact test)."""
    from scipy.stats import hypergeom

    return float(hypergeom.sf(mine.had - 1, mine.asked + usual.asked, mine.had + usual.had, mine.asked))


def share_finding(
    check: str,
    title: str,
    mine: Share,
    usual: Share | None,
    rule: Rule,
    meaning: str,
    *,
    alone: bool = True,
    **more: Any,
) -> Finding:
    """Return the finding that a share of rows has something; `more` are other fields of it.

    `meaning` follows "3 of 200 rows". What many real rows have, too, has no verdict `alone`, without real rows.
    """
    if usual is None and not alone:
        more = {**more, "verdict": "ok", "threshold": f"{NO_VERDICT}there are no real rows that could be asked"}
    control = {} if usual is None else _with_interval(usual, "control", "control_low", "control_high")
    return Finding(
        check=check,
        title=title,
        **_with_interval(mine, "value", "low", "high"),
        better="lower",
        meaning=f"{mine.had:,} of {mine.asked:,} rows {meaning}.",
        unit="share of rows",
        n_rows=mine.asked,
        **{
            "verdict": rule.verdict(mine, usual), "threshold": str(rule) if usual else rule.alone,
            "n_reference": 0 if usual is None else usual.asked, **control, **more,
        },
    )  # fmt: skip


def spread_finding(
    check: str, title: str, mine: Counter[str], real: Counter[str], control: tuple[Counter[str], Counter[str]],
    rule: Rule, meaning: str, **more: Any,
) -> Finding:  # fmt: skip
    """Return the finding that rows are spread over kinds otherwise than real ones; `more` are other fields of it.

    `meaning` follows "30% of the rows". The value is `total_variation`, and a chi-squared test says whether chance
    gives it to rows that are spread alike; the control, that of two real halves, shows what it gives to half as many.
    """
    from scipy.stats import chi2_contingency

    kinds = sorted(set(mine) | set(real))
    counts, of_real, *halves = (np.array([of[kind] for kind in kinds]) for of in (mine, real, *control))
    value, usual = total_variation(counts, of_real), total_variation(*halves)
    pooled = _without_rare(np.stack([counts, of_real]))
    p = float(chi2_contingency(pooled).pvalue) if pooled.shape[1] > 1 else 1.0
    return Finding(
        check=check,
        title=title,
        value=value,
        low=None,
        high=None,
        better="lower",
        verdict=above(value if p < _BY_CHANCE else 0.0, rule.warn, rule.fail),
        threshold=f"warn from {rule.warn:.0%}, fail from {rule.fail:.0%} of the rows, where p < {_BY_CHANCE}",
        meaning=f"{value:.0%} of the rows {meaning}.",
        control=usual,
        unit="total variation distance",
        n_rows=int(counts.sum()),
        n_reference=int(of_real.sum()),
        evidence={"kinds": kinds, "counts": counts.tolist(), "reference_counts": of_real.tolist(), "p": p},
        **more,
    )


def _without_rare(counts: Int[np.ndarray, "2 K"]) -> Int[np.ndarray, "2 k"]:
    """Pool the kinds of which chance gives a set fewer than five rows: of fewer, a chi-squared test knows nothing."""
    expected = counts.sum(axis=1).min() * counts.sum(axis=0) / counts.sum()
    rare = expected < _LEAST_EXPECTED
    return np.column_stack([counts[:, ~rare], *([counts[:, rare].sum(axis=1)] if rare.any() else [])])


def _with_interval(share: Share, *names: str) -> dict[str, Any]:
    return dict(zip(names, (share.had / share.asked, *wilson_interval(*share)), strict=True))
