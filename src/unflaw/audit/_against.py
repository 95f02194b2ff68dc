"""Two versions of a set, audited alike: what became better, and what worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unflaw.audit._audit import VERDICTS, Audit
from unflaw.data import Finding

__all__ = ["Change", "changes"]

Turn = Literal["better", "worse", "same", "new", "gone"]


@dataclass(frozen=True)
class Change:
    """One finding in both versions."""

    check: str
    turn: Turn
    """`new` and `gone` where only one version was asked."""
    now: Finding | None
    before: Finding | None


def changes(now: Audit, before: Audit) -> list[Change]:
    """Compare two audits finding by finding, worse ones first.

    A finding is better or worse where its verdict is or, of a flaw that both have, where the 95 % intervals of both
    values do not meet: stricter than a test at that level. Audits should have the same settings and reference, or the
    values mean different things.
    """
    by_check = {f.check: f for f in before.findings}
    found = [_change(f, by_check.pop(f.check, None)) for f in now.findings]
    found += [Change(f.check, "gone", None, f) for f in by_check.values()]
    order: tuple[Turn, ...] = ("worse", "better", "new", "gone", "same")
    return sorted(found, key=lambda change: order.index(change.turn))


def _change(now: Finding, before: Finding | None) -> Change:
    if before is None:
        return Change(now.check, "new", now, None)
    turn: Turn = "same"
    if now.verdict != before.verdict:
        turn = "worse" if VERDICTS.index(now.verdict) > VERDICTS.index(before.verdict) else "better"
    elif now.verdict != "ok" and _apart(now, before):
        turn = "better" if (now.value < before.value) == (now.better == "lower") else "worse"
    return Change(now.check, turn, now, before)


def _apart(a: Finding, b: Finding) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low
