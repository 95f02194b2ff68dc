"""Tables: how many rows break a rule or hold an impossible combination, and which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.audit._tables_impossible import Impossible
from unflaw.audit._tables_rows import plain
from unflaw.audit._tables_rules import Constraint, broken, in_words, kept_by_both, left_out, said
from unflaw.audit._tables_sides import Sides
from unflaw.audit._tables_view import View
from unflaw.audit._tables_written import Way
from unflaw.data import Finding

__all__ = ["broken_findings", "score_broken"]

RULES = Rule(0.005, 0.05)
"""Real rows break no more than the control says; a row in 200 more is a generator that does not know the rule."""
_CHANCE = 0.01
"""That so many of the broken rows are synthetic by chance. A rule that none of a thousand real rows breaks, one in a
thousand others may, and one such rule in a hundred is broken by five."""
_RULE = f"warn from {RULES.warn:.1%}, fail from {RULES.fail:.0%} of the rows above the control (p < {_CHANCE:g})"
_N_DEALS = 3
"""Times real rows are dealt into halves for the control."""
_MOST_RULES, _NAMED, _REASONS, _WRITTEN = 2000, 3, 3, 20

Halves = tuple[View, View]


def broken_findings(sides: Sides, halves: Halves) -> list[Finding]:
    """Return the rows that break rules, and those with impossible combinations.

    The controls are what real rows break of rules that were mined from others. A rule that one half does not keep is
    dropped, so the rows that dropped it cannot tell: rules are mined from two quarters and asked of the other half.
    """
    rules = kept_by_both(*halves, sides.columns)[:_MOST_RULES]
    dealt = list(_dealt(sides.reference, sides.seed))
    return [_impossible(sides, rules, dealt), _constraints(sides, rules, dealt)]


def _dealt(real: View, seed: int) -> Iterator[Halves]:
    """Deal the real rows into halves, and take turns."""
    rng, half = np.random.default_rng(seed), len(real) // 2
    for _ in range(_N_DEALS):
        order = rng.permutation(len(real))
        first, second = real.take(order[:half]), real.take(order[half:])
        yield from ((first, second), (second, first))


def _constraints(sides: Sides, rules: Sequence[Constraint], dealt: Sequence[Halves]) -> Finding:
    mine = sides.synthetic
    breaks = [(rule, rows) for rule in rules if (rows := broken(rule, mine)).any()]
    often = sorted(breaks, key=lambda told: (-int(told[1].sum()), told[0].name))[:_NAMED]
    named = "; ".join(f"{in_words(rule)} ({int(rows.sum()):,} rows do not keep it)" for rule, rows in often)
    usual = []
    for half, other in dealt:
        quarters = half.take(slice(0, None, 2)), half.take(slice(1, None, 2))
        usual.append(_any((broken(rule, other) for rule in kept_by_both(*quarters, sides.columns, 0.5)), other))
    return _finding(
        sides, "tables.constraints", "Rows break rules that real rows keep",
        _any((rows for _, rows in breaks), mine), usual,
        f"break one of {len(rules):,} rules" + (f": {named}" if named else ""),
        {
            "rules": [{**rule._asdict(), "told": _shortened(rule.told), "says": in_words(rule)} for rule in rules],
            "_rules": list(rules),
            "left_out": left_out(sides.columns),
        },
    )  # fmt: skip


def _shortened(told: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out most words of a rule that holds many: of forty columns that give each other they take megabytes."""
    return {
        key: [*of[:_WRITTEN], f"and {len(of) - _WRITTEN:,} more"] if isinstance(of, list) and len(of) > _WRITTEN else of
        for key, of in told.items()
    }


def _impossible(sides: Sides, rules: Sequence[Constraint], dealt: Sequence[Halves]) -> Finding:
    given = {frozenset(rule.columns) for rule in rules if rule.kind == "follows"}
    found, mine = Impossible.of(sides.reference, sides.columns, given), sides.synthetic
    breaks = found.broken(mine)
    often = sorted(breaks, key=lambda told: -int(told[1].sum()))[:_NAMED]
    named = "; ".join(f"{found.said(cell)} ({int(rows.sum()):,} rows)" for cell, rows in often)
    usual = []
    for half, other in dealt:
        cells = Impossible.of(half, sides.columns, given, 0.5).broken(other)
        usual.append(_any((rows for _, rows in cells), other))
    return _finding(
        sides, "tables.impossible", "Rows hold combinations that real rows never have",
        _any((rows for _, rows in breaks), mine), usual,
        f"hold one of {len(found.cells):,} pairs of values that never meet" + (f": {named}" if named else "")
        if found.cells else "hold values that never meet: none are common enough to tell",
        found.evidence,
    )  # fmt: skip


def _finding(
    sides: Sides, check: str, title: str, rows: Bool[np.ndarray, " n"], usual: Sequence[Bool[np.ndarray, " _"]],
    meaning: str, evidence: Mapping[str, Any],
) -> Finding:  # fmt: skip
    mine = Share(int(rows.sum()), len(rows))
    broken_by_real = sum(int(of.sum()) for of in usual) / _N_DEALS
    real = Share(round(broken_by_real), len(sides.reference))  # dealt three times, they are not three times as many
    verdict = RULES.verdict(mine, real) if _by_chance(mine, real) < _CHANCE else "ok"
    return share_finding(
        check, title, mine, real, RULES, meaning, verdict=verdict, threshold=_RULE,
        n_reference=len(sides.reference), evidence={**evidence, "_ways": sides.reference.ways}, settings=sides.settings,
    )  # fmt: skip


def _by_chance(mine: Share, real: Share) -> float:
    """Return how often chance deals so many of the broken rows to the synthetic side."""
    from scipy.stats import binom

    return float(binom.sf(mine.had - 1, mine.had + real.had, mine.asked / (mine.asked + real.asked)))


def _any(masks: Iterable[Bool[np.ndarray, " n"]], view: View) -> Bool[np.ndarray, " n"]:
    rows = np.zeros(len(view), dtype=bool)
    for mask in masks:
        rows |= mask
    return rows


def score_broken(batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
    """Give 1 to each row that breaks a rule or holds an impossible combination, and say which."""
    ways: Mapping[str, Way] = next((of for f in findings if (of := f.evidence.get("_ways"))), {})
    view, scores = View(plain(batch.rows), ways), {}
    for finding in findings:
        if finding.check == "tables.constraints":
            reasons = _rule_reasons(batch, view, finding.evidence["_rules"])
        elif finding.check == "tables.impossible":
            reasons = _cell_reasons(view, Impossible.from_evidence(finding.evidence))
        else:
            continue
        scores[finding.check] = {
            batch.ids[i]: RowScore(1.0, "; ".join(told[:_REASONS]) + _more(told)) for i, told in sorted(reasons.items())
        }
    return scores


def _more(told: Sequence[str]) -> str:
    return f"; and {len(told) - _REASONS} more" if len(told) > _REASONS else ""


def _rule_reasons(batch: Batch, view: View, rules: Sequence[Constraint]) -> dict[int, list[str]]:
    """Say of each row the first rules it breaks; of more, only how many."""
    breaks: dict[int, list[Constraint]] = {}
    for rule in rules:
        for i in np.flatnonzero(broken(rule, view)).tolist():
            breaks.setdefault(i, []).append(rule)
    reasons = {}
    for i, of in breaks.items():
        shown = [
            said(
                rule, [batch.rows.table[name][i].as_py() for name in rule.columns],
                [view.words(name)[i].as_py() for name in rule.columns],
            )
            for rule in of[:_REASONS]
        ]  # fmt: skip
        reasons[i] = [*shown, *[""] * (len(of) - len(shown))]
    return reasons


def _cell_reasons(view: View, found: Impossible) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = {}
    for cell, rows in found.broken(view):
        for i in np.flatnonzero(rows).tolist():
            reasons.setdefault(i, []).append(found.said(cell))
    return reasons
