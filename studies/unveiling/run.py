"""Claims C1 to C5 of "Unveiling the Flaws" (arXiv 2406.12397) on a 135M model.

    python studies/unveiling/run.py             # three seeds, about 40 minutes on two cores
    python studies/unveiling/run.py --seeds 5

Every seed is one `unflaw demo`, a little larger: the same shipped rows; other batches, other adapters, other
instruction prompts. Seed 0 served to choose the settings and is not used here. What was trained is not
trained twice, so an interrupted study goes on where it stopped. Intervals are paired bootstraps over requests (the
levels of one request stay together), pooled over seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from unflaw._cli._demo import FULL, QUICK, tell
from unflaw.data import Finding, RunFolder, Score, atomic_write

HERE = Path(__file__).parent
SCALE = replace(FULL, n_guard=24, n_held_out=60, n_prompts=90, n_texts=30, n_questions=30)
CLAIMS = {
    "C1": "synthetic and real rows do not overlap (two-sample AUC; real against real is the control)",
    "C2": "the most over-used tokens of the synthetic rows are structural (share that is template)",
    "C3": "after training, log-perplexity on held-out synthetic rows is lower (nats per token, after - before)",
    "C3b": "after training, log-perplexity on held-out synthetic rows is narrower (variance, after / before)",
    "C4": "training on the synthetic rows costs instruction following (lift, damaged - untouched)",
    "C4s": "the same in soft satisfaction (damaged - untouched)",
    "C4p": "training on the synthetic rows puts answers into their template (pattern rate, damaged - untouched)",
    "C4b": "training on the synthetic rows gains on the synthetic task (right answer contained, damaged - untouched)",
    "C5": "bounded unlearning regains instruction following (lift, repaired - damaged)",
    "C5s": "the same in soft satisfaction (repaired - damaged)",
    "C5p": "bounded unlearning removes the template from answers (pattern rate, repaired - damaged)",
    "C5b": "the repaired model is near the untouched one (lift, repaired - untouched)",
    "C5c": "bounded unlearning regains more than replay alone with as many tokens (lift, repaired - replay_only)",
    "C5d": "bounded unlearning removes more of the template than replay alone (pattern rate, repaired - replay_only)",
    "C5e": "bounded unlearning keeps real text likelier than replay alone (log-perplexity, repaired - replay_only)",
}


def main() -> None:
    """Run the seeds, write the claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the small story: for a look, not for a claim")
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling"))
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else SCALE
    folders = []
    for seed in range(1, arguments.seeds + 1):  # seed 0 chose the settings
        tell(arguments.runs / f"seed{seed}", scale, seed=seed, resume=True)
        folders.append(RunFolder(arguments.runs / f"seed{seed}"))
    print(write(claims(folders, {"quick": arguments.quick, "model": "smollm2"})))


def write(record: Mapping[str, Any]) -> str:
    """Write `results/claims.json` and the table in the README; returns the table."""
    with atomic_write(HERE / "results" / "claims.json") as file:
        json.dump(record, file, indent=1)
    table = markdown(record)
    readme = HERE / "README.md"
    head = readme.read_text().split("<!-- claims -->")[0]
    with atomic_write(readme) as file:
        file.write(f"{head}<!-- claims -->\n\n{table}")
    return table


def claims(folders: list[RunFolder], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn run folders into claims."""
    found = [{f.check: f for f in folder.findings()} for folder in folders]
    scores = [{(s.benchmark, s.model): s for s in folder.scores()} for folder in folders]
    auc, auc_control = pooled(found, "gap.c2st_auc"), mean([f["gap.c2st_auc"].control for f in found])
    jsd, jsd_control = (mean([getattr(f["tokens.jsd"], of) for f in found]) for of in ("value", "control"))
    odd = mean([odd_tokens(f) for f in found])
    lift = {pair: difference(scores, "instructions.lift", *pair) for pair in PAIRS}
    lost, back = (difference(scores, "instructions.soft", *pair) for pair in PAIRS[:2])
    caught, pattern = (difference(scores, "pattern.rate", *pair) for pair in PAIRS[:2])
    beside, text = (difference(scores, b, "replay_only", "repaired") for b in ("pattern.rate", "text.log_perplexity"))
    task = difference(scores, "qa.contains", "untouched", "damaged")
    shift = pooled(found, "perplexity.after_shift")
    ratio = pooled(found, "perplexity.after_variance_ratio")
    rows = [
        ("C1", *auc, 0.9, "pass" if auc[1] >= 0.9 and auc_control < 0.6 else "fail"),
        ("C2", odd, None, None, 0.5, "pass" if odd >= 0.5 and jsd > 2 * jsd_control else "fail"),
        ("C3", *shift, 0.0, below(shift, 0.0)),
        ("C3b", *ratio, 1.0, below(ratio, 1.0)),
        ("C4", *lift[PAIRS[0]], 0.0, below(lift[PAIRS[0]], 0.0)),
        ("C4s", *lost, 0.0, below(lost, 0.0)),
        ("C4p", *caught, 0.0, over(caught, 0.0)),
        ("C4b", *task, 0.0, over(task, 0.0)),
        ("C5", *lift[PAIRS[1]], 0.0, over(lift[PAIRS[1]], 0.0)),
        ("C5s", *back, 0.0, over(back, 0.0)),
        ("C5p", *pattern, 0.0, below(pattern, 0.0)),
        ("C5b", *lift[PAIRS[2]], -0.05, over(lift[PAIRS[2]], -0.05)),
        ("C5c", *lift[PAIRS[3]], 0.0, over(lift[PAIRS[3]], 0.0)),
        ("C5d", *beside, 0.0, below(beside, 0.0)),
        ("C5e", *text, 0.0, below(text, 0.0)),
    ]
    return {
        "claims": [
            {
                "claim": c, "statement": CLAIMS[c], "value": v, "low": lo, "high": hi, "threshold": t,
                "verdict": verdict, "n_seeds": len(folders), "settings": dict(settings),
            }
            for c, v, lo, hi, t, verdict in rows
        ],
        "controls": {"gap.c2st_auc": auc_control, "tokens.jsd": [jsd, jsd_control]},
        "by_seed": {
            f"{s.benchmark} {s.model}": [by[s.benchmark, s.model].value for by in scores] for s in scores[0].values()
        },
    }  # fmt: skip


PAIRS = (("untouched", "damaged"), ("damaged", "repaired"), ("untouched", "repaired"), ("replay_only", "repaired"))


def odd_tokens(found: Mapping[str, Finding]) -> float:
    """Share of the most over-used tokens, as many as the template has, that are the template's."""
    template = set(t["token"] for t in found["tokens.structural"].evidence["structural_tokens"])
    odd = [t["token"] for t in found["tokens.jsd"].evidence["overused"]]
    return sum(t in template for t in odd[: len(template)]) / max(1, min(len(odd), len(template)))


def pooled(found: list[dict[str, Finding]], check: str) -> tuple[float, float, float]:
    """Mean over seeds of a finding's value and of its interval's ends: the same rows, other folds and trainings."""
    ends = np.array([[f[check].value, f[check].low, f[check].high] for f in found], dtype=float)
    value, low, high = ends.mean(0)
    return float(value), float(low), float(high)


def difference(
    scores: list[dict[tuple[str, str], Score]], benchmark: str, a: str, b: str, n_resamples: int = 4000
) -> tuple[float, float, float]:
    """Mean of b - a over items of all seeds, with a bootstrap over requests, questions or texts.

    What is asked in every seed is one group. How much trainings differ among themselves is in the interval only as
    far as requests differ by seed, too: three trainings are too few to draw from.
    """
    groups: dict[str, list[float]] = {}
    for by in scores:
        before, after = by[benchmark, a].items, by[benchmark, b].items
        for item in before:  # "s1003-0007/2": drawn requests differ by seed, questions and texts are the same in all
            groups.setdefault(item.split("/")[0], []).append(after[item] - before[item])
    sums, counts = (np.array([f(v) for v in groups.values()], dtype=float) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(0, len(sums), (n_resamples, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(sums.sum() / counts.sum()), float(low), float(high)


def over(value: tuple[float, float, float], threshold: float) -> str:
    """Pass where the whole interval lies above, fail where it lies below, else unclear."""
    return "pass" if value[1] > threshold else "fail" if value[2] < threshold else "unclear"


def below(value: tuple[float, float, float], threshold: float) -> str:
    """Pass where the whole interval lies below."""
    return over((-value[0], -value[2], -value[1]), -threshold)


def markdown(record: Mapping[str, Any]) -> str:
    """Write the claims as a table."""
    lines = ["| claim | statement | value | 95 % interval | threshold | verdict |", "|---|---|---|---|---|---|"]
    for c in record["claims"]:
        interval = "" if c["low"] is None else f"{c['low']:.3f} to {c['high']:.3f}"
        lines.append(
            f"| {c['claim']} | {c['statement']} | {c['value']:.3f} | {interval} | {c['threshold']} | {c['verdict']} |"
        )
    n_seeds = record["claims"][0]["n_seeds"]
    lines += ["", "| score | " + " | ".join(f"seed {i}" for i in range(1, n_seeds + 1)) + " |"]
    lines += ["|---|" + "---|" * n_seeds]
    lines += [
        f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |" for name, values in record["by_seed"].items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
