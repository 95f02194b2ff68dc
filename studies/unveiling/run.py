"""Claims C1 to C5 and C9 of "Unveiling the Flaws" (arXiv 2406.12397) on a 135M model.

    python studies/unveiling/run.py             # three seeds, about 40 minutes on two cores
    python studies/unveiling/run.py --seeds 5

Every seed is one `unflaw demo`, a little larger: the same shipped rows; other batches, other adapters, other
instruction prompts. Seed 0 served to choose the settings and is not used here. What was trained is not
trained twice, so an interrupted study goes on where it stopped. Intervals are paired bootstraps over requests (the
levels of one request stay together), pooled over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from _study import SCALE, above, below, claim, difference, keep
from page import write_page

from unflaw._cli._demo import tell
from unflaw.data import Finding, RunFolder

CLAIMS = {
    "C1": "synthetic and real rows do not overlap (two-sample AUC; real against real stays below 0.6)",
    "C2": "the most over-used tokens are structural (share that is template; divergence over twice its control)",
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
    "C9": "bounded unlearning costs some of the synthetic task (right answer contained, repaired - damaged)",
    "C9f": "the same in F1, which also counts what stands around the answer (repaired - damaged)",
    "C9g": "it leaves some of what was gained there (answer F1, repaired - untouched)",
}


def main() -> None:
    """Run the seeds, write the claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling"))
    arguments = parser.parse_args()
    print(f"at most {14 * arguments.seeds} minutes on two cores", flush=True)
    folders = []
    for seed in range(1, arguments.seeds + 1):  # seed 0 chose the settings
        tell(arguments.runs / f"seed{seed}", SCALE, seed=seed, resume=True)
        folders.append(RunFolder(arguments.runs / f"seed{seed}"))
    keep("run.json", claims(folders))
    write_page()


def claims(folders: list[RunFolder]) -> dict[str, Any]:
    """Turn run folders into claims."""
    found = [{f.check: f for f in folder.findings()} for folder in folders]
    scores = [{(s.benchmark, s.model): s for s in folder.scores()} for folder in folders]

    def gained(benchmark: str, a: str, b: str) -> tuple[float, float, float]:
        return difference(scores, benchmark, a, b)

    auc, auc_control = pooled(found, "gap.c2st_auc"), mean([f["gap.c2st_auc"].control for f in found])
    jsd, jsd_control = (mean([getattr(f["tokens.jsd"], of) for f in found]) for of in ("value", "control"))
    odd = mean([odd_tokens(f) for f in found])
    rows = [
        ("C1", auc, 0.9, "pass" if auc[1] >= 0.9 and auc_control < 0.6 else "fail"),
        ("C2", (odd, None, None), 0.5, "pass" if odd >= 0.5 and jsd > 2 * jsd_control else "fail"),
        ("C3", pooled(found, "perplexity.after_shift"), 0.0, below),
        ("C3b", pooled(found, "perplexity.after_variance_ratio"), 1.0, below),
        ("C4", gained("instructions.lift", "untouched", "damaged"), 0.0, below),
        ("C4s", gained("instructions.soft", "untouched", "damaged"), 0.0, below),
        ("C4p", gained("pattern.rate", "untouched", "damaged"), 0.0, above),
        ("C4b", gained("qa.contains", "untouched", "damaged"), 0.0, above),
        ("C5", gained("instructions.lift", "damaged", "repaired"), 0.0, above),
        ("C5s", gained("instructions.soft", "damaged", "repaired"), 0.0, above),
        ("C5p", gained("pattern.rate", "damaged", "repaired"), 0.0, below),
        ("C5b", gained("instructions.lift", "untouched", "repaired"), -0.05, above),
        ("C5c", gained("instructions.lift", "replay_only", "repaired"), 0.0, above),
        ("C5d", gained("pattern.rate", "replay_only", "repaired"), 0.0, below),
        ("C5e", gained("text.log_perplexity", "replay_only", "repaired"), 0.0, below),
        ("C9", gained("qa.contains", "damaged", "repaired"), 0.0, below),
        ("C9f", gained("qa.f1", "damaged", "repaired"), 0.0, below),
        ("C9g", gained("qa.f1", "untouched", "repaired"), 0.0, above),
    ]
    return {
        "claims": [
            claim(c, CLAIMS[c], value, t, judge if isinstance(judge, str) else judge(value, t), len(folders))
            for c, value, t, judge in rows
        ],
        "controls": {"gap.c2st_auc": auc_control, "tokens.jsd": [jsd, jsd_control]},
        "by_seed": {
            f"{s.benchmark} {s.model}": [by[s.benchmark, s.model].value for by in scores] for s in scores[0].values()
        },
    }


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


if __name__ == "__main__":
    main()
