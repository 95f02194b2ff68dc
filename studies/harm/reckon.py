"""From arms to harm: what each dose of each flaw cost, what mending gave back, and how far findings moved."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from arms import CLEAN, HIGHER, lines_of, ratio, ratio_of_items
from spoil import ASKED, LABELLED
from spoil_table import TABLE

from unflaw.report._harm import asked_share, worse

__all__ = ["TASKS", "Interval", "Task", "keep", "load", "scaled"]

RESULTS = Path(__file__).parent / "results"
Interval = tuple[float, float, float]
TENTH = 0.1
JOIN = " + "
"""Between the names of flaws that stand for one finding together."""


@dataclass(frozen=True)
class Task:
    """What was trained, and how its arms are read."""

    name: str
    file: str
    flaws: Mapping[str, Any]
    sets: tuple[str, ...]
    kinds: tuple[str, ...]
    """Kinds of model; none where every item of a seed was kept."""
    mended_at: float
    """The dose whose mending is told first."""
    also: str = ""
    """Another score, the higher the better."""
    records: dict[tuple[str, str, float, str], dict[int, dict[str, Any]]] = field(default_factory=dict)
    """Set, flaw, dose and arm → seed → what it came to."""

    def of(self, group: str, flaw: str, dose: float, arm: str) -> dict[int, dict[str, Any]]:
        """Return seed → record of one arm on one set."""
        return self.records.get((group, flaw, dose, arm), {})

    def scores(self, record: Mapping[str, Any], score: str) -> np.ndarray:
        """Return the scores of a record: of each kind of model, or of each item."""
        if not self.kinds:
            return np.mean([of["items"] for of in (record, *record.get("again", ()))], axis=0)
        sign = 1 if score == "log_loss" else -1
        return np.array([sign * record[kind][score] for kind in self.kinds])

    def doses(self, flaws: str, arm: str = "flawed") -> list[float]:
        """Return the doses in which every flaw was planted."""
        every = [
            {
                dose for (group, of, dose, a), seeds in self.records.items()
                if (of, a) == (flaw, arm) and dose > 0 and set(seeds) & set(self.of(group, "", 0.0, "clean"))
            }
            for flaw in parts(flaws)
        ]  # fmt: skip
        return sorted(set.intersection(*every)) if every else []

    def share(self, flaws: str, dose: float, arm: str, than: str, score: str = "log_loss") -> Interval | None:
        """Return how much worse one arm is than another, as a share of what training on clean rows gave."""
        losses, gains = [], []
        for group in self.sets:
            found = [self._losses(group, flaw, dose, arm, than, score) for flaw in parts(flaws)]
            found = [of for of in found if of]
            seeds = sorted(set.intersection(*map(set, found))) if found else []
            if not seeds:
                continue
            losses.append([np.mean([of[seed] for of in found], axis=0) for seed in seeds])
            gains.append([self._gain(group, seed, score) for seed in seeds])
        if not losses:
            return None
        if self.kinds:
            return ratio([np.array(of) for of in losses], [np.array(of) for of in gains])
        return ratio_of_items(losses[0], gains[0])

    def _losses(
        self, group: str, flaw: str, dose: float, arm: str, than: str, score: str
    ) -> dict[int, np.ndarray]:  # fmt: skip
        one, other = (
            self.of(group, "", 0.0, a)
            if a in ("clean", "untrained")
            else self.of(group, flaw, dose, a) or (self.of(group, "", dose, a) if a == "exact" else {})
            for a in (arm, than)
        )
        return {s: self.scores(one[s], score) - self.scores(other[s], score) for s in one if s in other}

    def _gain(self, group: str, seed: int, score: str) -> np.ndarray:
        before, after = (self.of(group, "", 0.0, arm)[seed] for arm in ("untrained", "clean"))
        return self.scores(before, score) - self.scores(after, score)

    def curve(self, flaws: str, score: str = "log_loss") -> list[tuple[float, Interval]]:
        """Return (dose, harm) of every dose."""
        told = ((dose, self.share(flaws, dose, "flawed", "clean", score)) for dose in self.doses(flaws))
        return [(dose, of) for dose, of in told if of is not None]

    def tenth(self, flaws: str, score: str = "log_loss") -> Interval:
        """Return the harm of a tenth: measured, or on the line from none to the least dose."""
        curve = dict(self.curve(flaws, score))
        return curve[TENTH] if TENTH in curve else scaled(curve[min(curve)], TENTH / min(curve))

    def back(self, flaws: str, dose: float) -> dict[str, Any] | None:
        """Return what taking out the rows an audit names gave back, by itself and beside as many drawn at random."""
        value = self.share(flaws, dose, "flawed", "mended")
        taken = [(told["removed"] / n, told["right"] / n) for n, told, _ in self.audits(flaws, dose)]
        if value is None or not taken:
            return None
        removed, right = np.mean(taken, axis=0).tolist()
        return {
            "dose": dose, "value": value, "than_random": self.share(flaws, dose, "random", "mended"),
            "exact": self.share(flaws, dose, "flawed", "exact"), "removed": removed, "n": len(taken),
            "right": right / removed if removed else None,
        }  # fmt: skip

    def audits(self, flaws: str, dose: float) -> Iterator[tuple[int, dict[str, int], dict[str, list[Any]]]]:
        """Yield the number of rows, what was taken out, and what was found, in every audit of a dose."""
        for group in self.sets:
            for flaw in parts(flaws):
                for arm in ("mended", "audit"):
                    for record in self.of(group, flaw, dose, arm).values():
                        if "found" in record:
                            yield N_TRAINED[group], record["taken"], record["found"]

    def audited(self) -> list[float]:
        """Return the doses that audits were asked about."""
        return sorted({dose for _, _, dose, arm in self.records if arm in ("mended", "audit") and dose > 0})

    def moved(self, check: str, flaws: str, dose: float) -> tuple[float, float, float] | None:
        """Return how far a finding moved from its control: mean, standard error, and the share of audits that warn."""
        better = "higher" if check in HIGHER else "lower"
        told = [(n, *found[check]) for n, _, found in self.audits(flaws, dose) if check in found]
        moves = [
            move * asked_share(check, n_rows, n)
            for n, value, control, _, n_rows in told
            if (move := worse(value, control, better)) is not None
        ]
        if len(moves) < 2:
            return None
        warned = float(np.mean([verdict != "ok" for *_, verdict, _ in told]))
        return float(np.mean(moves)), float(np.std(moves, ddof=1) / np.sqrt(len(moves))), warned

    def moves(self, flaws: str) -> dict[str, list[float]]:
        """Return how far each dose moved every finding that warns in at least half of the audits of a dose."""
        told: dict[str, list[float]] = {}
        for check in sorted({check for dose in self.audited() for *_, of in self.audits(flaws, dose) for check in of}):
            at = [self.moved(check, flaws, dose) for dose in self.audited()]
            if any(of is not None and of[2] >= 0.5 for of in at):
                told[check] = [0.0 if of is None else float(f"{max(0.0, of[0]):.3g}") for of in at]
        return told

    def reading(self, check: str, flaws: str) -> dict[str, list[float]] | None:
        """Return the doses that moved a finding, each further than the one before, and how far; None where none did."""
        doses, moves = [], [0.0]
        for dose in self.audited():
            told = self.moved(check, flaws, dose)
            if told is not None and told[0] > max(moves[-1], 2 * told[1]):
                doses.append(dose)
                moves.append(told[0])
        return {"doses": doses, "moved": [round(m, 4) for m in moves[1:]]} if doses else None

    def answers(self) -> list[tuple[str, Interval, Interval | None]]:
        """Return F1 of what models answer, and how far it lies below that after clean rows."""
        told: list[tuple[str, Interval, Interval | None]] = []
        for group in self.sets:
            clean = self.of(group, "", 0.0, "clean")
            for (of, flaw, _, arm), seeds in self.records.items():
                both = [(s["f1"], clean[n]["f1"]) for n, s in seeds.items() if "f1" in s and "f1" in clean.get(n, {})]
                if of == group and both:
                    mine, theirs = (np.array(items) for items in zip(*both, strict=True))
                    ones = np.ones_like(mine)
                    lost = None if arm == "clean" else ratio_of_items(theirs - mine, ones)
                    told.append(
                        (flaw or {"untrained": "nothing"}.get(arm, "clean rows"), ratio_of_items(mine, ones), lost)
                    )
        return sorted(told, key=lambda row: -row[1][0])

    def stands_for(self) -> dict[str, str]:
        """Return finding → the flaws that stand for it."""
        told: dict[str, list[str]] = {}
        for name, flaw in self.flaws.items():
            for check in flaw.seen_by:
                if self.doses(name):
                    told.setdefault(check, []).append(name)
        return {check: JOIN.join(names) for check, names in told.items()}


N_TRAINED = {"films": 1000, "news": 400, "answers": 150, "adult": 2000}


def tasks() -> tuple[Task, ...]:
    """Return the three tasks, without records."""
    return (
        Task("classifier", "classify", LABELLED, ("films", "news"), ("words", "encoder"), 0.1, "accuracy"),
        Task("language model", "answer", ASKED, ("answers",), (), 0.2),
        Task("table", "table", TABLE, ("adult",), ("boosted", "linear"), 0.1, "auc"),
    )


TASKS = ("classifier", "language model", "table")


def parts(flaws: str) -> list[str]:
    """Return the flaws that stand for a finding together."""
    return flaws.split(JOIN)


def scaled(of: Sequence[float], by: float) -> Interval:
    """Return an interval times a number."""
    value, low, high = (float(by * x) for x in of)
    return value, low, high


def load() -> dict[str, Task]:
    """Read the arms that results/ holds."""
    told = {}
    for task in tasks():
        path = RESULTS / f"{task.file}.jsonl.gz"
        lines = gzip.decompress(path.read_bytes()).decode().splitlines() if path.exists() else []
        for record in map(json.loads, lines):
            key = record["set"], record["flaw"], record["dose"], record["arm"]
            task.records.setdefault(key, {})[record["seed"]] = record
        for arm in CLEAN[1:]:
            for group in task.sets:
                for seed, record in task.records.pop((group, "", 0.0, arm), {}).items():
                    task.of(group, "", 0.0, CLEAN[0])[seed].setdefault("again", []).append(record)
        told[task.name] = task
    return told


def keep(runs: Path) -> None:
    """Copy what the runs came to into results/: five digits are enough, and only a leak needs the rows that leak."""
    for task in tasks():
        path = runs / f"{task.file}.jsonl"
        if path.exists():
            lines = sorted(json.dumps(_slim(r, r["flaw"] in ("", "leak"))) for r in lines_of(path))
            data = gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)
            (RESULTS / f"{task.file}.jsonl.gz").write_bytes(data)


def _slim(value: Any, leaks: bool) -> Any:
    if isinstance(value, dict):
        return {k: _slim(v, leaks) for k, v in value.items() if k != "gone" and (leaks or not k.startswith("leak_"))}
    if isinstance(value, list):
        return [_slim(v, leaks) for v in value]
    return round(value, 5) if isinstance(value, float) else value
