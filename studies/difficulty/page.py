"""Claims D1 to D6 about levels of difficulty, from what `run.py` measured: claims.json, and the tables of README.md.

Accuracy is of models that never saw the graded rows, and a mean over seeds; intervals resample rows and allow for the
seeds (`unflaw.measure.seeded_interval`), but for stability and surface features, whose least and greatest value over
seeds are told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from run import DOSES_FILE, LEVELS_FILE, SETS, SUBSETS, SUBSETS_FILE, control

from unflaw.data import atomic_write, hash_path
from unflaw.measure import LEVELS, seeded_difference, seeded_interval

HERE = Path(__file__).parent
MADE_OF = (LEVELS_FILE, SUBSETS_FILE, DOSES_FILE, Path(__file__))
"""Files that decide what the page says."""
OTHERS = {"potion": "potion's vectors", "smollm2": "SmolLM2-135M"}
"""Another family → what it is called."""
Record = dict[str, Any]
Interval = tuple[float, float, float]


def main() -> None:
    """Write claims.json and the page."""
    claims, page = built()
    with atomic_write(HERE / "results" / "claims.json") as file:
        made_of = {os.path.relpath(path, HERE): hash_path(path) for path in MADE_OF}
        json.dump({"claims": claims, "made_of": made_of}, file, indent=1)
    with atomic_write(HERE / "README.md") as file:
        file.write(page)


def built() -> tuple[list[Record], str]:
    """Return the claims and the text of the page."""
    levels, subsets = _read(LEVELS_FILE), _read(SUBSETS_FILE)
    makers = (accuracy_claims, partial_claims, surface_claims, noise_claims, transfer_claims, firm_claims)
    graded = {name: of for name in SETS if (of := [r for r in levels if r["set"] == name])}
    claims = [c for name, of in graded.items() for make in makers for c in make(name, of)]
    claims += [c for name in SETS for c in subset_claims(name, [r for r in subsets if r["set"] == name])]
    head = (HERE / "README.md").read_text(encoding="utf-8").partition("<!-- tables -->")[0]
    tables = "\n".join([*_claims(claims), *_levels(levels), *_doses(_read(DOSES_FILE)), *_subsets(subsets)])
    return claims, f"{head}<!-- tables -->\n\n{tables}\n"


def _read(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def right(record: Record, told: Sequence[int]) -> np.ndarray:
    """Return which test rows were told right."""
    return np.array(record["y"]) == np.array(told)


def gap(of: list[Record], values: Sequence[np.ndarray], level: str, a: int, b: int) -> Interval | None:
    """Return how far a value of test rows lies apart between two levels; see `resampled`."""
    return resampled(of, values, level, lambda x, at: _mean_at(x, at, a) - _mean_at(x, at, b))


def _mean_at(x: np.ndarray, at: np.ndarray, level: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(at == level, x, 0.0).sum(axis=1) / (at == level).sum(axis=1)


def _commonest_at(y: np.ndarray, at: np.ndarray, level: int) -> np.ndarray:
    return np.max([_mean_at(y == k, at, level) for k in np.unique(y)], axis=0)


def resampled(
    of: list[Record], values: Sequence[np.ndarray], level: str, apart: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Interval | None:
    """Return what `apart` makes of values and levels, each (seeds, rows), as a mean over seeds, and its interval.

    `values` holds one number per row for each record, `level` names where its levels stand. Rows are resampled, those
    of all seeds together, since every seed asks about the same ones. None where a level is empty for some seed, and for
    one seed.
    """
    levels, known = np.stack([np.array(r[level]) for r in of]), np.stack(values).astype(float)
    if len(of) < 2 or np.isnan(apart(known, levels)).any():
        return None
    return seeded_interval(lambda rows: apart(known[:, rows], levels[:, rows]), known.shape[1])


def claim(name: str, statement: str, found: Interval | None, threshold: str, n: int, least: float = 0.0) -> Record:
    """Return a claim as claims.json holds it: a pass where all of the interval is above, of two seeds or more."""
    told = found or (None,) * 3
    verdict = "unclear"  # one seed judges nothing
    if found is not None and n > 1:
        verdict = "pass" if found[1] > least else "fail" if found[2] < least else "unclear"
    numbers = {k: None if v is None else round(v, 4) for k, v in zip(("value", "low", "high"), told, strict=True)}
    return {"claim": name, "statement": statement, **numbers, "threshold": threshold, "verdict": verdict, "n_seeds": n,
            "settings": {}}  # fmt: skip


def accuracy_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether a model that never saw the rows tells easy ones better than ambiguous, and those than hard ones."""
    made = []
    for a, b in ((0, 1), (1, 2), (0, 2)):
        found = gap(of, [right(r, r["independent"]["full"]) for r in of], "level", a, b)
        statement = f"accuracy of an independent model, {LEVELS[a]} − {LEVELS[b]} ({name})"
        made.append(claim("D1", statement, found, "above 0", len(of)))
    told = [right(r, r["independent"]["full"]) for r in of]
    found = resampled(of, told, "level", lambda x, at: x.mean(axis=1) - _mean_at(x, at, 2))
    made.append(claim("D1", f"accuracy of an independent model, all rows − hard ({name})", found, "above 0", len(of)))
    found = resampled(of, told, "level", lambda _, at: _share(at, 0) - np.maximum(_share(at, 1), _share(at, 2)))
    made.append(claim("D1", f"share of rows, easy − the larger of the others ({name})", found, "above 0", len(of)))
    return made


def _share(at: np.ndarray, level: int) -> np.ndarray:
    return (at == level).mean(axis=1)


def partial_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether artefacts, as an independent model of the partial view finds them, gather among easy rows.

    And whether among hard ones they tell next to nothing, which is no more than the commonest label has there, and .05.
    """
    view = SETS[name][1]
    told = [right(r, r["independent"][view]) for r in of]
    statement = f"accuracy of an independent model of {view} alone, easy − hard ({name})"
    made = [claim("D2", statement, gap(of, told, "level", 0, 2), "above 0", len(of))]
    both = [2 * np.array(r["y"]) + hits for r, hits in zip(of, told, strict=True)]  # label and hit, resampled as one
    found = resampled(of, both, "level", lambda x, at: _commonest_at(x // 2, at, 2) - _mean_at(x % 2, at, 2))
    statement = f"share of the commonest label − accuracy of {view} alone, both of hard rows ({name})"
    return [*made, claim("D2", statement, found, "above −.05", len(of), -0.05)]


def surface_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether surface features give more labels away among easy rows, and whether easy rows differ in them at all.

    The second does not look at labels, with which the levels were found: .5 is no difference.
    """
    made = []
    artefacts = [a for r in of if (a := r["artefacts"]) and all(None not in (told[0], told[2]) for told in a.values())]
    for feature in artefacts[0] if artefacts else ():
        told = [a[feature][0] - a[feature][2] for a in artefacts]
        statement = f"what {feature} alone tells of the label (Theil's U), easy − hard ({name})"
        made.append(claim("D2", statement, _over_seeds(told), "above 0", len(told)))
    surfaces = [r["surface"] for r in of if r["surface"]]
    for feature in surfaces[0] if surfaces else ():
        shares = [surface[feature] for surface in surfaces]
        statement = f"share of pairs where the easy row has more {feature} than the hard one ({name})"
        made.append({**claim("D2", statement, _over_seeds(shares), "describes", len(shares)), "verdict": "none"})
    return made


def _over_seeds(values: Sequence[float]) -> Interval:
    """Return the mean, the least and the greatest."""
    return float(np.mean(values)), float(np.min(values)), float(np.max(values))


def noise_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether labels that were turned round end up hard."""
    found = gap(of, [np.array(r["wrong"]) for r in of], "noisy_level", 2, 0)
    there = [float((np.array(r["noisy_level"])[np.array(r["wrong"]) == 1] == 2).mean()) for r in of]
    told = claim("D3", f"share of all wrong labels that are among hard rows ({name})", _over_seeds(there), "describes",
                 len(of))  # fmt: skip
    first = claim("D3", f"share of wrong labels, hard − easy, 12 % wrong ({name})", found, "above 0", len(of))
    return [first, {**told, "verdict": "none"}]


def transfer_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether levels hold for other families of models."""
    made = []
    for other, said in OTHERS.items():
        asked = [r for r in of if other in r["others"]]
        if asked:
            found = gap(asked, [right(r, r["others"][other]) for r in asked], "level", 0, 2)
            made.append(claim("D4", f"accuracy of {said}, easy − hard ({name})", found, "above 0", len(asked)))
    return made


def firm_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether other starts of the mixture find the same levels."""
    values = np.array([r["stability"] for r in of])
    if not len(values):
        return []
    found = _over_seeds(values)
    return [claim("D5", f"adjusted Rand index over starts of the mixture ({name})", found, "above .8", len(of), 0.8)]


def subset_claims(name: str, of: list[Record]) -> list[Record]:
    """Ask whether rows of some levels teach more than as many at random, and as much as all to within two points."""
    made, of = [], [r for r in of if r["answers"] is not None]  # rows of one label teach no classifier
    for subset in SUBSETS:
        for other, threshold, least in ((control(subset), "above 0", 0.0), ("all", "above −.02", -0.02)):
            pairs = [
                (right(a, a["answers"]).astype(float), right(b, b["answers"]).astype(float))
                for a in of for b in of
                if a["subset"] == subset and b["subset"] == other and a["seed"] == b["seed"]
            ]  # fmt: skip
            if pairs and subset != "all":
                found = seeded_difference(*map(np.stack, zip(*pairs, strict=True))) if len(pairs) > 1 else None
                made.append(claim("D6", f"accuracy, {subset} − {other} ({name})", found, threshold, len(pairs), least))
    return made


def _claims(claims: list[Record]) -> list[str]:
    lines = ["## Claims", "", "| claim | statement | value | threshold | verdict | seeds |", "|---" * 6 + "|"]
    for c in claims:
        told = "" if c["value"] is None else f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]"
        lines.append(
            f"| {c['claim']} | {c['statement']} | {told} | {c['threshold']} | {c['verdict']} | {c['n_seeds']} |"
        )
    return [*lines, ""]


def _levels(levels: list[Record]) -> list[str]:
    others = {name: said for name, said in OTHERS.items() if any(name in r["others"] for r in levels)}
    lines = [
        "## Levels of the test rows, mean over seeds", "",
        f"| set | level | share | independent model | partial view | {' | '.join(others.values())} | wrong labels, "
        "12 % turned round |",
        "|---" * (6 + len(others)) + "|",
    ]  # fmt: skip
    for name in SETS:
        of = [r for r in levels if r["set"] == name]
        for k, level in enumerate((*LEVELS, "all")):
            if of:
                at, noisy = (
                    [np.isin(r[graded], [k] if k < len(LEVELS) else range(k)) for r in of]
                    for graded in ("level", "noisy_level")
                )
                cells = [np.mean([a.mean() for a in at])]
                for view in SETS[name]:
                    cells.append(
                        np.mean([right(r, r["independent"][view])[a].mean() for r, a in zip(of, at, strict=True)])
                    )
                for other in others:
                    pairs = [(r, a) for r, a in zip(of, at, strict=True) if other in r["others"]]
                    cells.append(
                        np.mean([right(r, r["others"][other])[a].mean() for r, a in pairs]) if pairs else np.nan
                    )
                cells.append(np.mean([np.array(r["wrong"])[a].mean() for r, a in zip(of, noisy, strict=True)]))
                told = " | ".join("" if c != c else f"{c:.2f}" for c in cells)
                lines.append(f"| {name} | {level} | {told} |")
    return [*lines, ""]


def _doses(doses: list[Record]) -> list[str]:
    if not doses:
        return []
    head = [
        "## What the rows before taught the grader",
        "",
        "| set | rows | steps | rate | accuracy | commonest label |",
    ]
    return [*head, "|---" * 6 + "|", *(
        f"| {d['set']} | {d['n']:,} | {d['steps']} | {d['learning_rate']:g} | {d['accuracy']:.3f} "
        f"[{d['low']:.3f}, {d['high']:.3f}] | {d['commonest']:.3f} |"
        for d in doses
    ), ""]  # fmt: skip


def _subsets(subsets: list[Record]) -> list[str]:
    lines = [
        "## Trained on rows of some levels, as many steps each",
        "",
        "| set | rows | n | accuracy |",
        "|---" * 4 + "|",
    ]
    for name in SETS:
        parts = dict.fromkeys(r["subset"] for r in subsets if r["set"] == name)
        for part in parts:
            of = [r for r in subsets if r["set"] == name and r["subset"] == part]
            told = [right(r, r["answers"]).mean() for r in of if r["answers"] is not None]
            mean = f"{np.mean(told):.3f} ({len(told)})" if told else "one label only"
            lines.append(f"| {name} | {part} | {np.mean([r['n'] for r in of]):.0f} | {mean} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
