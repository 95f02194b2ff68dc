"""Does an audit find what is planted, in which dose, and how often does it accuse clean rows?

    python studies/audit_power/run.py                                           # the shipped rows, half an hour
    python studies/audit_power/sources.py . --out sets                          # once; see there
    python studies/audit_power/run.py --rows sets/squad.jsonl --most 2000
    python studies/audit_power/run.py --rows sets/reviews.jsonl --most 2000
    python studies/audit_power/run.py --rows sets/adult.jsonl --most 3000 --splits 10
    python studies/audit_power/run.py --rows sets/human.jsonl --against sets/gpt2.jsonl --most 2000

Real rows are dealt into two random halves; one plays the synthetic set, the other its reference. Nothing is wrong with
either, so every warning is a false alarm. Then each flaw is planted in a share of the first half's rows, and the checks
that should see it are asked again. Thresholds were chosen on the splits of `--tune` (seeds from 1000 on); results/ and
the page hold others.

A table is dealt into thirds, of which one is held out, and only `tables` is asked: other checks read its rows as texts.

With `--against` rows are not spoilt: those of that file play the synthetic set, as they are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flaws import FLAWS, Flaw
from page import write_page
from table_flaws import TABLE_FLAWS, TableFlaw

from unflaw import read
from unflaw.audit import Audit, TablesCheck, audit, default_checks
from unflaw.data import Finding, Rows, atomic_write
from unflaw.measure import auc
from unflaw.models import Encoder, open_encoder

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "data" / "real.jsonl"
DOSES = (0.01, 0.02, 0.05, 0.1, 0.2)
TUNING = 1000


def main() -> None:
    """Audit, count, write results/NAME.json and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=EXAMPLES, help="real rows")
    parser.add_argument("--against", type=Path, help="rows to audit as they are")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--most", type=int, default=600, help="rows of each split, both halves together")
    parser.add_argument("--tune", action="store_true", help="other splits, and nothing is kept")
    told = parser.parse_args()
    rows, encoder = read(told.rows), open_encoder("potion")
    name = "examples" if told.rows == EXAMPLES else told.rows.stem
    sides = 3 if is_table(name) else 2
    record: dict[str, Any] = {"rows": name, "splits": told.splits, "rows_a_side": min(told.most, len(rows)) // sides}
    seeds = range(TUNING, TUNING + told.splits) if told.tune else range(told.splits)
    if told.against is not None:
        record |= {"against": told.against.stem, "found": as_it_is(rows, read(told.against), seeds, told.most, encoder)}
    else:
        record |= planted(name, rows, seeds, told.most, encoder)
    if told.tune:
        print(json.dumps(record, indent=1))
        return
    stem = name if told.against is None else f"{name}-{told.against.stem}"
    with atomic_write(HERE / "results" / f"{stem}.json") as file:
        json.dump(record, file, indent=1)
    write_page()


def planted(name: str, rows: Rows, seeds: Sequence[int], most: int, encoder: Encoder) -> dict[str, Any]:
    """Audit clean halves, then halves with each flaw in each dose."""
    clean: dict[str, list[dict[str, Any]]] = {}
    flaws = {flaw: of for flaw, of in {**FLAWS, **TABLE_FLAWS}.items() if name in of.sets}
    audits, seen = [], {flaw: {dose: [] for dose in DOSES} for flaw in flaws}
    for seed in seeds:
        order, n = np.random.default_rng(seed).permutation(len(rows))[:most], 3 if is_table(name) else 2
        first, reference, *held = (rows.take(part.tolist()) for part in np.array_split(order, n))
        holdout, checks = (held[0], [TablesCheck(seed=seed)]) if held else (None, None)
        found = audit(first, reference, holdout=holdout, checks=checks, encoder=encoder, seed=seed).findings
        for finding in found:
            clean.setdefault(finding.check, []).append(outcome(finding))
        audits.append([f.check for f in found if f.verdict != "ok"])
        for flaw, doses in seen.items():
            for dose in doses:
                doses[dose].append(asked(flaws[flaw], first, reference, holdout, dose, seed, encoder))
        print(f"split {seed}: {', '.join(audits[-1]) or 'no alarm'} on clean rows", flush=True)
    return {"clean": clean, "alarms": audits, "flaws": {flaw: list(doses.items()) for flaw, doses in seen.items()}}


def is_table(name: str) -> bool:
    """Tell whether a set is a plain table."""
    return any(name in flaw.sets for flaw in TABLE_FLAWS.values())


def asked(
    flaw: Flaw | TableFlaw, rows: Rows, reference: Rows, holdout: Rows | None, dose: float, seed: int, encoder: Encoder
) -> dict[str, Any]:
    """Plant a flaw and ask the checks that should see it: do they warn, and which rows score high?"""
    if holdout is None or isinstance(flaw, Flaw):
        spoilt, ids = flaw.spoil(rows, dose, seed)
    else:
        spoilt, ids = flaw.spoil(rows, dose, seed, {"reference": reference, "holdout": holdout})
    checks = [c for c in default_checks(seed) if any(name.split(".")[0] == c.name for name in flaw.seen_by)]
    found = audit(spoilt, reference, holdout=holdout, checks=checks, encoder=encoder, seed=seed)
    mine = [f for f in found.findings if any(f.check.startswith(name) for name in flaw.seen_by)]
    return {
        "verdict": max((f.verdict for f in mine), key=("ok", "warn", "fail").index),
        "by": [f.check for f in mine if f.verdict != "ok"],
        "auc": row_auc(found, mine, ids),
    }  # fmt: skip


def row_auc(found: Audit, mine: Sequence[Finding], planted_ids: Sequence[str]) -> float:
    """Return the chance that a spoilt row scores higher than another, by the findings that should see the flaw."""
    scored = [f for f in mine if f.n_scored]
    counted = [f"unflaw.score.{f.check}" for f in [f for f in scored if f.verdict != "ok"] or scored]
    scores = sum((found.table[name].fill_null(0).to_numpy() for name in counted), np.zeros(len(found.table)))
    spoilt = np.isin(found.ids, list(planted_ids))
    return auc(scores[spoilt], scores[~spoilt])


def as_it_is(rows: Rows, synthetic: Rows, seeds: Sequence[int], most: int, encoder: Encoder) -> list[Mapping[str, Any]]:
    """Audit rows of another set against real ones, split by split."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        half = min(most // 2, len(rows), len(synthetic))
        pair = (of.take(rng.permutation(len(of))[:half].tolist()) for of in (synthetic, rows))
        found.append({f.check: outcome(f) for f in audit(*pair, encoder=encoder, seed=seed).findings})
        print(f"split {seed}: {', '.join(c for c, o in found[-1].items() if o['verdict'] != 'ok')}", flush=True)
    return found


def outcome(finding: Finding) -> dict[str, Any]:
    """Return what of a finding is counted."""
    return {"verdict": finding.verdict, "value": finding.value, "control": finding.control, **_lost(finding)}


def _lost(finding: Finding) -> dict[str, Any]:
    return {"lost": finding.evidence["lost"]} if "lost" in finding.evidence else {}


if __name__ == "__main__":
    main()
