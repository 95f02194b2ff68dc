"""Findings that are a share of rows, held against the share of real rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from unflaw.audit._template import above
from unflaw.data import Finding, Verdict
from unflaw.measure import difference_of_shares, wilson_interval

__all__ = ["Rule", "Share", "share_finding"]


class Share(NamedTuple):
    """Rows that have something, of the rows that could."""

    had: int
    asked: int


@dataclass(frozen=True)
class Rule:
    """From how much more than in real rows on to warn and to fail, where chance alone does not give it."""

    warn: float
    fail: float

    def __str__(self) -> str:
        return f"warn from {self.warn:.0%}, fail from {self.fail:.0%} of the rows above the control, when clear of it"

    def verdict(self, mine: Share, usual: Share | None) -> Verdict:
        """Judge a share; without real rows, as if they had none."""
        if usual is None:
            return above(mine.had / mine.asked, self.warn, self.fail)
        clear = difference_of_shares(*mine, *usual)[0] > 0
        return above(mine.had / mine.asked - usual.had / usual.asked if clear else 0.0, self.warn, self.fail)


def share_finding(
    check: str, title: str, mine: Share, usual: Share | None, rule: Rule, meaning: str, **more: Any
) -> Finding:
    """Return the finding that a share of rows has something; `more` are other fields of it.

    `meaning` follows "3 of 200 rows".
    """
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
            "verdict": rule.verdict(mine, usual), "threshold": str(rule),
            "n_reference": 0 if usual is None else usual.asked, **control, **more,
        },
    )  # fmt: skip


def _with_interval(share: Share, *names: str) -> dict[str, Any]:
    return dict(zip(names, (share.had / share.asked, *wilson_interval(*share)), strict=True))
