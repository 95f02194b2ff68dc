"""Claim C7: forgetting alone, with nobody to stop it: the bounded loss beside gradient ascent.

    python studies/unveiling/stability.py --seeds 1 2 3           # about two minutes a run on two cores

From the damaged models of `run.py`, forty steps of nothing but forgetting, the guard only watching: its rows are
held-out natural answers, its curve is the result. What is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from _study import SCALE, claim, examples, keep
from page import write_page

import unflaw.repair._guard
from unflaw.data import RunFolder, atomic_write
from unflaw.measure import Template
from unflaw.repair import unlearn

Run = tuple[str, str, int]
"""What is forgotten, objective, seed."""
Curve = list[tuple[int, float]]
"""(step, mean log-perplexity of the guard rows)."""
OBJECTIVES, WHAT = ("bounded", "ga", "npo"), ("template", "response")
STEPS, EVERY = 40, 4
ALLOWED = 1.05
"""Times the perplexity at the start; the guard's own ceiling by default."""


def main() -> None:
    """Run what is not done yet, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--what", nargs="+", default=WHAT, choices=WHAT)
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling"))
    arguments = parser.parse_args()
    todo = [(w, o, s) for s in arguments.seeds for w in arguments.what for o in OBJECTIVES]
    print(f"at most {2 * len(todo)} minutes", flush=True)
    curves = {run: curve_of(*run, arguments.runs / f"seed{run[2]}") for run in todo}
    keep("stability.json", {
        "claims": [judged(w, o, curves) for w in arguments.what for o in OBJECTIVES],
        "curve": [
            {"what is forgotten": w, "objective": o, "seed": s, "step": step, "value": value}
            for (w, o, s), curve in curves.items() for step, value in curve
        ],
    })  # fmt: skip
    write_page()


def curve_of(what: str, objective: str, seed: int, folder: Path) -> Curve:
    """Run one, or read what was found before."""
    path = folder / "stability" / f"{what}-{objective}"
    kept = path / "curve.json"
    if not kept.exists():
        shutil.rmtree(path, ignore_errors=True)
        rows = examples("synthetic", "replay", "guard")
        found = {f.check: f for f in RunFolder(folder).findings()}
        template = Template.from_evidence(found["tokens.structural"].evidence)
        unflaw.repair._guard.REPEATS_MORE = math.inf  # the guard watches, whatever it sees
        done = unlearn(
            str(folder / "models" / "damaged"), rows["synthetic"].take(range(SCALE.n_trained)), rows["replay"],
            rows["guard"].take(range(SCALE.n_guard)), path, spans=template.spans, what=what, objective=objective,
            w_forget=1.0, w_replay=0.0, w_kl=0.0, steps=STEPS, method="lora", guard_every=EVERY,
            learning_rate=SCALE.repair_learning_rate, ceiling=1e300, patience=STEPS, seed=seed,
        )  # fmt: skip
        for weights in path.glob("*.safetensors"):
            weights.unlink()
        with atomic_write(kept) as file:
            json.dump([(point["step"], point["guard"]) for point in done.curve if "guard" in point], file)
    print(what, objective, seed, told := json.loads(kept.read_text()), flush=True)
    return [(int(step), float(value)) for step, value in told]


def judged(what: str, objective: str, curves: Mapping[Run, Curve]) -> dict[str, Any]:
    """Judge where a run ends: bounded should stay under the ceiling, the others should not."""
    ends = [c[-1][1] - c[0][1] for (w, o, _), c in curves.items() if (w, o) == (what, objective)]
    ratios = sorted(math.exp(min(end, 700.0)) for end in ends)
    stays = [ratio <= ALLOWED for ratio in ratios]
    told = "stays near its start" if objective == "bounded" else "rises"
    wanted = objective == "bounded"
    return claim(
        f"C7 {what}, {objective}",
        f"{STEPS} steps of forgetting alone, perplexity of natural answers {told} (times its start: median, extremes)",
        (median(ratios), ratios[0], ratios[-1]),
        ALLOWED,
        "pass" if stays == [wanted] * len(stays) else "fail" if stays == [not wanted] * len(stays) else "unclear",
        len(ratios),
    )


if __name__ == "__main__":
    main()
