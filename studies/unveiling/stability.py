"""Claim C7: forgetting alone, with nobody to stop it: the bounded loss beside gradient ascent.

    python studies/unveiling/stability.py --seeds 1 2 3           # about two minutes a run on two cores

From the damaged models of `run.py`, thirty steps of nothing but forgetting, the guard only watching: its rows are
held-out natural answers, its curve is the result. What is done is not done again.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from _study import SCALE, claim, examples, keep, parser, repaired, template_of
from page import write_page

Run = tuple[str, str, int]
"""What is forgotten, objective, seed."""
Curve = list[tuple[int, float]]
"""(step, mean log-perplexity of the guard rows)."""
OBJECTIVES, WHAT = ("bounded", "ga"), ("template", "response")
STEPS = 30
LONG = replace(SCALE, repair_steps=STEPS)
MOST = 20.0
"""Nats beyond which log-perplexity is not told apart."""
ALLOWED = 1.05
"""Times the perplexity at the start; the guard's own ceiling by default."""


def main() -> None:
    """Run what is not done yet, judge."""
    told = parser(__doc__, "runs/unveiling")
    told.add_argument("--what", nargs="+", default=WHAT, choices=WHAT)
    arguments = told.parse_args()
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
    rows = examples("synthetic", "replay", "guard")
    path = folder / "stability" / f"{what}-{objective}"
    told = repaired(
        path, str(folder / "models" / "damaged"), rows["synthetic"].take(range(SCALE.n_trained)), rows["replay"],
        rows["guard"], spans=template_of(folder).spans, seed=seed, scale=LONG,
        what=what, objective=objective, w_forget=1.0, w_replay=0.0, w_kl=0.0, ceiling=1e300,
        repetition_rise=math.inf,
    )  # fmt: skip
    shutil.rmtree(path / "model", ignore_errors=True)
    curve = [(int(p["step"]), min(p["guard"] or MOST, MOST)) for p in told["curve"] if "guard" in p]
    print(what, objective, seed, [value for _, value in curve], flush=True)
    return curve


def judged(what: str, objective: str, curves: Mapping[Run, Curve]) -> dict[str, Any]:
    """Judge how high a run comes: bounded should stay under the ceiling, gradient ascent should not."""
    rises = [max(v for _, v in c) - c[0][1] for (w, o, _), c in curves.items() if (w, o) == (what, objective)]
    ratios = sorted(math.exp(rise) for rise in rises)
    stays = [ratio <= ALLOWED for ratio in ratios]
    told = "stays near its start" if objective == "bounded" else "rises"
    wanted = objective == "bounded"
    return claim(
        f"C7 {what}, {objective}",
        f"{STEPS} steps of forgetting alone: perplexity of held-out answers {told} "
        "(highest, times its start; median and extremes over seeds)",
        (median(ratios), ratios[0], ratios[-1]),
        ALLOWED,
        "pass" if stays == [wanted] * len(stays) else "fail" if stays == [not wanted] * len(stays) else "unclear",
        len(ratios),
    )


if __name__ == "__main__":
    main()
