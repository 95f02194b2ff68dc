"""What to mend first: findings in the order of the harm to expect from them, as far as it was measured.

A verdict says how sure a flaw is, not what it costs: a tenth of the rows with a bracket left open fails as a tenth with
a wrong label does, and a classifier is none the worse for the one. `studies/harm` trained models on rows with each flaw
in several doses; `harm.json` holds what that cost, and how far the values of findings moved:

    dose found = the dose that moved the finding as far from its control as it stands here
    expected   = what that dose cost, as a share of what training on clean rows gave (log-loss on real rows, held out)

Between doses both are read off straight lines; beyond the largest they stay as they are. What voids a test or is a
liability comes first where it fails, whatever a model makes of it. What was not measured is not given a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from unflaw.data import Finding

__all__ = ["SPECIAL", "Harm", "asked_share", "by_harm", "excess", "harmless", "mend_first", "ranked", "worse"]

Kind = Literal["void", "liability", "harm", "unmeasured", "none", "ok"]
Interval = tuple[float, float, float]

_ORDER: tuple[Kind, ...] = ("void", "liability", "harm", "unmeasured", "none", "ok")
_VOID = "A model that was trained on its test shows nothing: its score there is void."
_LIABILITY = "No question of accuracy: what a model has read it may tell."
SPECIAL: Mapping[str, tuple[Kind, str]] = {
    "copies.holdout": ("void", _VOID),
    "copies.holdout_prompt": ("void", _VOID),
    "tables.holdout": ("void", _VOID),
    "hygiene.secrets": ("liability", _LIABILITY),
    "hygiene.contacts": ("liability", _LIABILITY),
    "tables.copies": (
        "liability",
        "No question of accuracy: a row that equals a real one tells of whom it stands for.",
    ),
    "tables.closest": ("liability", "No question of accuracy: a row next to a real one tells of whom it stands for."),
}
"""What is not about accuracy → its kind, and why."""
_VERDICTS = ("fail", "warn", "ok")
_MOSTLY = 0.5
"""Part of a finding's distance from its control that other flaws must explain to have it beside them."""
_A_SHARE = {0.1: "a tenth", 0.2: "a fifth", 0.5: "half"}
_HARDLY = 0.005
"""Share of rows below which an audit took out none worth a word."""
_ASKED = frozenset({"form", "hygiene", "languages", "mix", "qa", "residue"})
"""Checks that ask every row, but for those that their question does not apply to."""


@dataclass(frozen=True)
class Harm:
    """A finding, and what is to be expected from it."""

    finding: Finding
    kind: Kind
    """It voids a test, is a liability, did harm in our runs, was not measured, did none, or is no flaw."""
    expected: Interval | None
    """Share of what training gave, with its 95 % interval."""
    dose: float | None
    """Share of rows that moved the finding as far in our runs."""
    flaw: str
    """What was planted in our runs; findings of one flaw are one thing to mend."""
    words: str
    """The evidence."""
    moved: float = 0.0
    """How far the finding lies from its control."""
    moves: Mapping[str, float] = field(default_factory=dict)
    """Finding → how far the flaw moved it in our runs, at the dose found."""
    n_flaws: int = 1
    """Flaws that moved the finding."""


def by_harm(found: Sequence[Finding]) -> list[Finding]:
    """Return findings in the order in which to mend them, those without a flaw last."""
    first = [harm.finding for group in mend_first(found) for harm in group]
    return first + [f for f in found if f.verdict == "ok"]


def harmless(found: Sequence[Finding]) -> list[str]:
    """Name the findings that warn or fail of a flaw whose harm our runs could not tell from noise."""
    return [harm.finding.check for harm in ranked(found) if harm.kind == "none"]


def ranked(found: Sequence[Finding]) -> list[Harm]:
    """Rank findings, the most harmful first, each with its evidence; those without a flaw come last."""
    task, n_rows = task_of(found), max((f.n_rows for f in found), default=0)
    harms = [_harm(f, task, n_rows) for f in found]
    return sorted(harms, key=_place)


def mend_first(found: Sequence[Finding]) -> list[list[Harm]]:
    """Return what is flawed in the order of `ranked`; what is one thing to mend stands together.

    That is findings of one flaw, and a finding that many flaws move (runs of words come back) with those that fewer do
    (rows are copies, rows hold talk), if they alone would have moved it half as far in our runs.
    """
    flawed = [harm for harm in ranked(found) if harm.kind != "ok"]
    groups: dict[str, list[Harm]] = {}
    beside: list[tuple[Harm, Harm]] = []
    for harm in flawed:
        check = harm.finding.check
        causes = [of for of in flawed if of.n_flaws < harm.n_flaws and of.moves.get(check, 0.0) > 0]
        if causes and sum(of.moves[check] for of in causes) >= _MOSTLY * harm.moved:
            beside.append((harm, max(causes, key=lambda of: of.moves[check])))
        else:
            groups.setdefault(f"{harm.flaw} {harm.kind}", []).append(harm)
    for harm, cause in sorted(beside, key=lambda pair: pair[0].n_flaws):  # a cause of fewer flaws has its place already
        next(group for group in groups.values() if cause in group).append(harm)
    return list(groups.values())


def _place(harm: Harm) -> tuple[int, int, float]:
    kind = harm.kind
    if kind in ("void", "liability") and harm.finding.verdict == "warn":
        kind = "unmeasured"  # it may be harmless, as an address of a firm is
    expected = harm.expected[0] if harm.expected is not None and kind == "harm" else 0.0
    return _ORDER.index(kind), 0 if kind == "harm" else _VERDICTS.index(harm.finding.verdict), -expected


def task_of(found: Sequence[Finding]) -> str:
    """Tell from what was asked what the rows are for: a table, a classifier, or else a language model."""
    parts = {f.check.split(".")[0] for f in found}
    return "table" if "tables" in parts else "classifier" if "labels" in parts else "language model"


def _harm(f: Finding, task: str, n_rows: int) -> Harm:
    if f.verdict == "ok":
        return Harm(f, "ok", None, None, "", "")
    if f.check in SPECIAL:
        kind, words = SPECIAL[f.check]
        return Harm(f, kind, None, None, f.check, words)
    measured = _known().get(f.check, {})
    if not measured:
        return Harm(f, "unmeasured", None, None, f.check, "What this costs was not measured.")
    task = task if task in measured else max(measured, key=lambda name: measured[name]["tenth"][0])
    of = measured[task]
    dose = dose_of(f, of["reading"], n_rows)
    moved = (worse(f.value, f.control, f.better) or 0.0) * asked_share(f.check, f.n_rows, n_rows)
    if dose is None:
        words = f"How much of it there is cannot be told from this value. {_evidence(of, task)}"
        return Harm(f, "unmeasured", None, None, of["flaw"], words, moved, n_flaws=of["n_flaws"])
    expected = at_dose(of["doses"], of["harm"], dose)
    clear = expected[0] > 0 and expected[1] > 0
    doses = [0.0, *of["moves"]["doses"]]
    moves = {check: _on_lines(doses, [0.0, *far], dose) for check, far in of["moves"]["findings"].items()}
    kind, words = "harm" if clear else "none", _words(of, task, dose, expected, clear)
    return Harm(f, kind, expected, dose, of["flaw"], words, moved, moves, of["n_flaws"])


@cache
def _known() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return finding → task → what was measured."""
    told = json.loads(Path(__file__).with_name("harm.json").read_text(encoding="utf-8"))
    known: dict[str, dict[str, Any]] = {}
    for check, by_task in told["findings"].items():
        known[check] = {}
        for task, of in by_task.items():
            flaws = told["flaws"][task]
            moved_by = sum(check in flaw["moves"]["findings"] for flaw in flaws.values())
            known[check][task] = {**flaws[of["flaw"]], "reading": of["reading"], "n_flaws": max(1, moved_by)}
    return known


def excess(f: Finding, n_rows: int) -> float | None:
    """Return how many more rows have the flaw than of real ones, as a share of all; None where no rows are counted."""
    counted = f.unit in ("share of rows", "share", "total variation distance")
    if not counted or f.better != "lower":
        return None
    return max(0.0, f.value - (f.control or 0.0)) * asked_share(f.check, f.n_rows, n_rows)


def asked_share(check: str, n_asked: int, n_rows: int) -> float:
    """Return the share of all rows that a finding speaks of: a sum is looked for in every row, and stands in few.

    Other checks draw a sample, which speaks for all.
    """
    return n_asked / n_rows if check.split(".")[0] in _ASKED and 0 < n_asked < n_rows else 1.0


def worse(value: float, control: float | None, better: str) -> float | None:
    """Return how far a value lies on the bad side of its control.

    A difference where less is better; where more is, a share of the control, since such values end at 0.

    >>> worse(0.5, 0.25, "lower"), worse(0.75, 1.0, "higher"), worse(0.75, None, "higher")
    (0.25, 0.25, None)
    """
    if better == "lower":
        return value - (control or 0.0)
    return 1 - value / control if control is not None and control > 0 else None


def dose_of(f: Finding, reading: Mapping[str, Sequence[float]] | None, n_rows: int) -> float | None:
    """Return the dose that moved a finding as far from its control in our runs.

    Where no dose moved it, the excess stands in, if rows are counted.
    """
    moved = worse(f.value, f.control, f.better)
    if reading is None or moved is None:
        return excess(f, n_rows)
    moved *= asked_share(f.check, f.n_rows, n_rows)
    return _on_lines([0.0, *reading["moved"]], [0.0, *reading["doses"]], moved)


def at_dose(doses: Sequence[float], harm: Sequence[Sequence[float]], dose: float) -> Interval:
    """Return the harm of a dose, and its interval, between those of the doses that were measured."""
    value, low, high = (_on_lines([0.0, *doses], [0.0, *of], dose) for of in zip(*harm, strict=True))
    return value, low, high


def _on_lines(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """Return y on straight lines through increasing points; before the first and after the last it stays.

    >>> [_on_lines([0, 1, 3], [0, 4, 8], x) for x in (-1, 0.5, 2, 9)]
    [0, 2.0, 6.0, 8]
    """
    if x <= xs[0]:
        return ys[0]
    for (x0, y0), (x1, y1) in zip(zip(xs, ys, strict=True), list(zip(xs, ys, strict=True))[1:], strict=False):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return ys[-1]


def _words(of: Mapping[str, Any], task: str, dose: float, expected: Interval, clear: bool) -> str:
    most = of["doses"][-1]  # what more of it costs nobody measured
    about = f"{'at least' if dose >= most else 'about'} {100 * min(dose, most):.0f} % of the rows"
    about = "less than 1 % of the rows" if dose < 0.005 else about
    if not clear:
        said = (
            f"No harm seen in our runs at this dose, {about} ({of['flaw']}): {_points(expected)} of what training gave"
        )
        return f"{said} ({task}, log-loss){_mended(of['back'])}."
    return f"Expected to cost {_points(expected)} of what training gives, in {about}. {_evidence(of, task)}"


def _evidence(of: Mapping[str, Any], task: str) -> str:
    """Say what a tenth cost, or the least dose; by accuracy or AUC as well, which mind less how sure a model is."""
    dose = 0.1 if 0.1 in of["doses"] else of["doses"][0]
    harm = of["harm"][of["doses"].index(dose)]
    cost, clear = _points(harm), harm[1] > 0
    cost = f"cost {cost}" if clear else f"cost nothing clear of noise ({cost})"
    by = f"{task}, log-loss" + (f"; {_points(of['also'][1:])} by {of['also'][0]}" if of["also"] and clear else "")
    rows = f"{_A_SHARE.get(dose, f'{100 * dose:.0f} %')} of such rows ({of['flaw']})"
    return f"In our runs {rows} {cost} of what training gave ({by}){_mended(of['back'])}."


def _mended(back: Mapping[str, Any] | None) -> str:
    """Say what taking rows out gave back; where the flaw did no harm that costs, since rows are lost."""
    if back is None:
        return ""
    at = "" if abs(back["dose"] - 0.1) < 1e-9 else f" of {100 * back['dose']:.0f} %"
    if back["removed"] < _HARDLY:
        return f"; the audit named hardly any of them{at}"
    value, low, high = back["value"]
    said = f"; taking out the rows the audit named{at}"
    if low > 0:
        return f"{said} gave back {_points((value, low, high))}"
    if high < 0:
        return f"{said} cost {_points((-value, -high, -low))} more"
    return f"{said} changed nothing that was seen: {_points((value, low, high))}"


def _points(of: Sequence[float]) -> str:
    """Write a share with its interval in percent, with a decimal where it is small.

    >>> _points((0.041, 0.022, 0.063)), _points((0.16, 0.14, 0.19))
    ('4.1 % [2.2, 6.3]', '16 % [14, 19]')
    """
    digits = 0 if max(map(abs, of)) >= 0.1 else 1
    value, *ends = (f"{round(100 * x, digits) + 0.0:.{digits}f}".replace("-", "−") for x in of)
    return f"{value} %" + (f" [{', '.join(ends)}]" if ends else "")
