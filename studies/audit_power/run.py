"""Does an audit find what is planted, in which dose, and how often does it accuse clean rows?

    python studies/audit_power/run.py                                           # the shipped rows, half an hour
    python studies/audit_power/sources.py . --out sets                          # once; see there
    python studies/audit_power/run.py --rows sets/squad.jsonl --most 2000
    python studies/audit_power/run.py --rows sets/reviews.jsonl --most 2000
    python studies/audit_power/run.py --rows sets/adult.jsonl --most 3000 --splits 10
    python studies/audit_power/run.py --rows sets/human.jsonl --against sets/gpt2.jsonl --most 2000
    python studies/audit_power/run.py --against sets/alpaca.jsonl               # of no reference: without --rows
    python studies/audit_power/run.py --first 100 --splits 30 --planted 0       # others, clean: results/NAME-100.json
    python studies/audit_power/run.py --rows sets/squad.jsonl --most 2100 --few 100 --planted 0   # NAME-few.json
    python studies/audit_power/run.py --model smollm2                           # results/NAME-perplexity.json

Real rows are dealt into two random halves; one plays the synthetic set, the other its reference. Nothing is wrong with
either, so every warning is a false alarm. Then each flaw is planted in a share of the first half's rows, and the checks
that should see it are asked again. Thresholds were chosen on the splits of `--tune` (seeds from 1000 on); results/ and
the page hold others.

A table is dealt into thirds, of which one is held out, and only `tables` is asked: other checks read its rows as texts.

With `--model` only `perplexity` is asked, and what is planted are the model's own likeliest answers.

With `--against` rows are not spoilt: those of that file play the synthetic set, as they are, and without `--rows` there
are no real ones to compare with. What a split came to is kept in runs/audit_power: a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from flaws import FLAWS, Flaw, changed
from page import write_page
from table_flaws import TABLE_FLAWS, TableFlaw

from unflaw import read
from unflaw.audit import Audit, Check, PerplexityCheck, TablesCheck, audit, default_checks
from unflaw.data import Finding, Rows, atomic_write
from unflaw.measure import auc
from unflaw.models import Encoder, Sampling, Scorer, open_encoder, open_generator, open_scorer

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "data" / "real.jsonl"
DOSES = (0.01, 0.02, 0.05, 0.1, 0.2)
MODEL_DOSES = (0.1, 0.2, 0.5, 0.8)
"""Of what moves a mean and no single row."""
TUNING = 1000


@dataclass
class Remembering:
    """A scorer that is asked of no text twice."""

    scorer: Scorer
    known: dict[tuple[str, str], np.ndarray]

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[np.ndarray]:
        """Ask of what is new."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        self.known.update(zip(new, self.scorer.log_probs(new), strict=True))
        return [self.known[pair] for pair in pairs]


@dataclass(frozen=True)
class Suite:
    """What is planted in a set, and what is asked of it."""

    flaws: Mapping[str, Flaw | TableFlaw]
    checks: Callable[[int], Sequence[Check]]
    """(seed) → checks."""
    encoder: Encoder
    scorer: Scorer | None = None
    doses: Sequence[float] = DOSES
    n_sides: int = 2
    few: int | None = None
    """Rows of the first side, where it is not as large as the other."""

    @classmethod
    def of(cls, name: str, rows: Rows, model: str | None, encoder: Encoder) -> Suite:
        """Return the suite of a set."""
        if model is not None:
            return cls.of_model(rows, model, encoder)
        if any(name in flaw.sets for flaw in TABLE_FLAWS.values()):
            flaws = {flaw: of for flaw, of in TABLE_FLAWS.items() if name in of.sets}
            return cls(flaws, lambda seed: [TablesCheck(seed=seed)], encoder, n_sides=3)
        return cls({flaw: of for flaw, of in FLAWS.items() if name in of.sets}, default_checks, encoder)

    @classmethod
    def of_model(cls, rows: Rows, model: str, encoder: Encoder) -> Suite:
        """Plant what a model answers, taking the likeliest token each time."""
        prompts = [prompt for prompt, _ in rows.pairs()]  # with the passage, where there is one
        written = open_generator(model).generate(prompts, Sampling(max_tokens=32))
        answers = dict(zip(rows.column("prompt"), written, strict=True))
        own = Flaw("the model's own answers", changed(lambda prompt, _: answers[prompt]), ("perplexity.",),
                   words_of="prompt")  # fmt: skip
        scorer = Remembering(open_scorer(model), {})
        return cls({"own answers": own}, lambda seed: [PerplexityCheck(seed=seed)], encoder, scorer, MODEL_DOSES)

    def audit(self, rows: Rows, checks: Sequence[Check], seed: int, **sides: Rows | None) -> Audit:
        """Ask some checks."""
        return audit(rows, checks=checks, encoder=self.encoder, scorer=self.scorer, seed=seed, **sides)  # type: ignore[arg-type]


def main() -> None:
    """Audit, count, write results/NAME.json and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help=f"real rows; without --against {EXAMPLES.name}")
    parser.add_argument("--against", type=Path, help="rows to audit as they are")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--planted", type=int, help="splits in which flaws are planted, all unless given")
    parser.add_argument("--first", type=int, help="seed of the first split, 0 unless given, or 1000 to tune")
    parser.add_argument("--most", type=int, default=600, help="rows of each split, both halves together")
    parser.add_argument(
        "--few", type=int, help="rows of the half that plays the synthetic set, all others its reference"
    )
    parser.add_argument("--model", help="ask how likely rows are to this model, and nothing else")
    parser.add_argument("--tune", action="store_true", help="other splits, and nothing is kept")
    parser.add_argument("--runs", type=Path, default=Path("runs/audit_power"))
    told = parser.parse_args()
    if told.against is None and told.rows is None:
        told.rows = EXAMPLES
    rows, encoder = None if told.rows is None else read(told.rows), open_encoder("potion")
    name = "" if told.rows is None else "examples" if told.rows == EXAMPLES else told.rows.stem
    stem = "-".join(part for part in (name, told.against.stem if told.against else "") if part)
    if told.model is not None:
        stem += "-perplexity"
    if told.few is not None:
        stem += "-few"
    first = told.first if told.first is not None else TUNING if told.tune else 0
    seeds = range(first, first + told.splits)
    kept = None if told.tune else told.runs / f"{stem}-{told.most}.jsonl"
    stem += f"-{first}" if first and not told.tune else ""
    record: dict[str, Any] = {"rows": name, "splits": told.splits, "first": first}
    if told.against is not None:
        given = read(told.against)
        record["rows_a_side"] = min(told.most // 2, len(given), *([] if rows is None else [len(rows)]))
        found = splits(seeds, kept, lambda seed: as_it_is(rows, given, seed, told.most, encoder))
        record |= {"against": told.against.stem, "found": found}
    elif rows is not None:
        if told.most < len(rows) and told.model is not None:
            rows = rows.take(np.random.default_rng(0).permutation(len(rows))[: told.most].tolist())
        suite, spoilt = Suite.of(name, rows, told.model, encoder), seeds[: told.planted]
        if not suite.flaws:
            parser.error(f"no flaw is known that makes sense in {name!r}; flaws.py names the sets of each")
        record["rows_a_side"] = min(told.most, len(rows)) // suite.n_sides
        if told.few is not None:
            suite = replace(suite, few=told.few)
            record |= {"rows_a_side": told.few, "reference_rows": min(told.most, len(rows)) - told.few}
        record |= planted(splits(seeds, kept, lambda seed: of_split(suite, rows, seed, told.most, spoilt), spoilt))
    if told.tune:
        print(json.dumps(record, indent=1))
        return
    with atomic_write(HERE / "results" / f"{stem}.json") as file:
        json.dump(record, file, indent=1)
    write_page()


def splits(
    seeds: Sequence[int], kept: Path | None, of: Callable[[int], dict[str, Any]], spoilt: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """Return what every split came to, each done once; one that was kept without flaws is done again for them."""
    known = {} if kept is None else known_splits(kept)
    for seed in seeds:
        if seed in known and (seed not in spoilt or any(known[seed]["flaws"].values())):
            continue
        known[seed] = {"seed": seed, **of(seed)}
        alarms = [check for check, found in known[seed]["found"].items() if found["verdict"] != "ok"]
        print(f"split {seed}: {', '.join(alarms) or 'no alarm'}", flush=True)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(known[seed]))  # what was cut off before ends here
    return [known[seed] for seed in seeds]


def known_splits(kept: Path) -> dict[int, dict[str, Any]]:
    """Read the splits that were kept; a line that was cut off is none."""
    known = {}
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []:
        with suppress(ValueError):
            told = json.loads(line)
            known[told["seed"]] = told
    return known


def of_split(suite: Suite, rows: Rows, seed: int, most: int, spoilt: Sequence[int]) -> dict[str, Any]:
    """Audit clean halves, then halves with each flaw in each dose."""
    order = np.random.default_rng(seed).permutation(len(rows))
    parts = np.array_split(order[:most], suite.n_sides if suite.few is None else [suite.few])
    first, reference, *held = (rows.take(part.tolist()) for part in parts)
    clean = suite.audit(
        first, suite.checks(seed), seed, reference=reference, holdout=held[0] if held else None
    )  # fmt: skip
    held = held or [rows.take(order[most : most + len(reference)].tolist())]  # texts to leak
    sides = {"reference": reference, "holdout": held[0]}
    seen = {
        name: [[dose, asked(suite, flaw, first, sides, dose, seed)] for dose in suite.doses] if seed in spoilt else []
        for name, flaw in suite.flaws.items()
    }
    return {"found": {f.check: outcome(f) for f in clean.findings}, "flaws": seen}


def planted(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put splits together, finding by finding, and flaw by flaw, dose by dose."""
    clean: dict[str, list[Any]] = {}
    flaws: dict[str, dict[float, list[Any]]] = {}
    for split in told:
        for check, found in split["found"].items():
            clean.setdefault(check, []).append(found)
        for flaw, doses in split["flaws"].items():
            for dose, found in doses:
                flaws.setdefault(flaw, {}).setdefault(dose, []).append(found)
    alarms = [[check for check, of in split["found"].items() if of["verdict"] != "ok"] for split in told]
    return {"clean": clean, "alarms": alarms, "flaws": {flaw: list(doses.items()) for flaw, doses in flaws.items()}}


def asked(
    suite: Suite, flaw: Flaw | TableFlaw, rows: Rows, sides: Mapping[str, Rows], dose: float, seed: int
) -> dict[str, Any]:
    """Plant a flaw and ask the checks that should see it: do they warn, and which rows score high?"""
    spoilt, ids = flaw.spoil(rows, dose, seed, sides)
    holdout = sides["holdout"] if isinstance(flaw, TableFlaw) or flaw.of == "holdout" else None
    checks = [c for c in suite.checks(seed) if any(name.split(".")[0] == c.name for name in flaw.seen_by)]
    found = suite.audit(spoilt, checks, seed, reference=sides["reference"], holdout=holdout)
    mine = [f for f in found.findings if any(f.check.startswith(name) for name in flaw.seen_by)]
    return {
        "verdict": max((f.verdict for f in mine), key=("ok", "warn", "fail").index),
        "by": [f.check for f in mine if f.verdict != "ok"],
        "auc": row_auc(found, mine, ids),
    }


def row_auc(found: Audit, mine: Sequence[Finding], planted_ids: Sequence[str]) -> float:
    """Return the chance that a spoilt row scores higher than another, by the findings that should see the flaw."""
    scored = [f for f in mine if f.n_scored]
    counted = [f"unflaw.score.{f.check}" for f in [f for f in scored if f.verdict != "ok"] or scored]
    scores = sum((found.table[name].fill_null(0).to_numpy() for name in counted), np.zeros(len(found.table)))
    spoilt = np.isin(found.ids, list(planted_ids))
    return auc(scores[spoilt], scores[~spoilt])


def as_it_is(rows: Rows | None, synthetic: Rows, seed: int, most: int, encoder: Encoder) -> dict[str, Any]:
    """Audit rows of another set against real ones, or alone."""
    rng = np.random.default_rng(seed)
    half = min(most // 2, len(synthetic), *([] if rows is None else [len(rows)]))
    drawn = [None if of is None else of.take(rng.permutation(len(of))[:half].tolist()) for of in (synthetic, rows)]
    found = audit(*drawn, encoder=encoder, seed=seed).findings  # type: ignore[arg-type]
    return {"found": {f.check: outcome(f) for f in found}}


def outcome(finding: Finding) -> dict[str, Any]:
    """Return what of a finding is counted."""
    return {"verdict": finding.verdict, "value": finding.value, "control": finding.control, **_lost(finding)}


def _lost(finding: Finding) -> dict[str, Any]:
    return {"lost": finding.evidence["lost"]} if "lost" in finding.evidence else {}


if __name__ == "__main__":
    main()
