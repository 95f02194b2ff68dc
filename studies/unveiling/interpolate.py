"""The cheapest remedy there is: take a part of the training back, without any more of it.

    python studies/unveiling/interpolate.py --seeds 1 2 3      # about 10 minutes a seed on two cores

The damage is an adapter, so scaling it walks the straight line from the untouched weights (share 0) to the damaged ones
(share 1), as Wortsman et al. do (2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903). Beside it repairs
of the damaged model, and the same repair of the one half way. At share 0 all that was learnt is gone by construction,
so read lift together with F1 on held-out questions of the kind trained on. What is done is not done again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _study import (
    SCALE,
    SHOWN,
    Contrast,
    Scores,
    above,
    asked,
    below,
    by_model,
    examples,
    identity,
    judged,
    keep,
    once,
    parser,
    repaired,
    template_of,
    with_earlier,
)
from page import write_page
from safetensors.torch import load_file, save_file

from unflaw._cli._demo import BASE
from unflaw.data import hash_path

SHARES = (0.25, 0.5, 0.75)
HALF, AFTER = "share 0.5", "repaired half"
REPAIRS: Mapping[str, str] = {"repaired": "damaged", "replay": "damaged", AFTER: HALF}
"""Repair → what it starts from: bounded unlearning as `unflaw repair` does it, and replay alone with as many tokens."""
MODELS = ("untouched", *(f"share {share:g}" for share in SHARES), "damaged", *REPAIRS)
LIFT, SOFT, PATTERN, _ = SHOWN
F1, CONTAINED = "qa.f1", "qa.contains"
TOLD = (LIFT, SOFT, PATTERN, F1, CONTAINED)
CLAIMS: Mapping[str, Contrast] = {
    "I1": Contrast("half way back there is more lift", LIFT, "damaged", HALF, above),
    "I1p": Contrast("half way back fewer answers are in the template", PATTERN, "damaged", HALF, below),
    "I1f": Contrast("half way back F1 on the synthetic task is lower", F1, "damaged", HALF, below),
    "I1c": Contrast("half way back fewer right answers are contained", CONTAINED, "damaged", HALF, below),
    "I2": Contrast("half way back there is more lift than repair brings", LIFT, "repaired", HALF, above),
    "I2p": Contrast(
        "half way back fewer answers are in the template than after repair", PATTERN, "repaired", HALF, below
    ),
    "I2f": Contrast("half way back F1 on the synthetic task is higher than after repair", F1, "repaired", HALF, above),
    "I2b": Contrast("repair from half way back has more lift than from the damage", LIFT, "repaired", AFTER, above),
    "I2q": Contrast("repair from half way back has more lift than a quarter left", LIFT, "share 0.25", AFTER, above),
    "I2u": Contrast("repair from half way back is near the untouched model", LIFT, "untouched", AFTER, above, -0.05),
    "I3": Contrast("repair adds lift to half way back", LIFT, HALF, AFTER, above),
    "I3p": Contrast("repair half way back takes more of the template", PATTERN, HALF, AFTER, below),
    "I3f": Contrast("repair half way back lowers F1 on the synthetic task", F1, HALF, AFTER, below),
}


def main() -> None:
    """Run what is not done yet, judge."""
    arguments = parser(__doc__, "runs/unveiling").parse_args()
    print(f"at most {10 * len(arguments.seeds)} minutes on two cores", flush=True)
    scores = [of_seed(seed, arguments.runs / f"seed{seed}") for seed in arguments.seeds]
    scores = with_earlier("interpolate", arguments.seeds, scores, TOLD)
    keep("interpolate.json", by_model(CLAIMS, scores, MODELS, TOLD))
    write_page()


def of_seed(seed: int, folder: Path) -> Scores:
    """Return (benchmark, model) → score of one seed, whose damaged model `run.py` left."""
    rows = examples("synthetic", "replay", "guard")
    flawed = rows["synthetic"].take(range(SCALE.n_trained))
    template = template_of(folder)
    here, damaged = folder / "interpolate", folder / "models" / "damaged"
    specs = {"untouched": BASE, "damaged": str(damaged)}
    specs |= {f"share {share:g}": scaled(here / f"share{share:g}", damaged, share) for share in SHARES}
    scores, budget = Scores(), 0
    for model in MODELS:
        path = here / model.replace(" ", "")
        if model in REPAIRS:
            forget = None if model == "replay" else flawed
            settings: dict[str, Any] = {"w_kl": 0.0, "token_budget": budget} if forget is None else {}
            told = repaired(
                path, specs[REPAIRS[model]], forget, rows["replay"], rows["guard"], seed=seed,
                spans=template.spans, **settings,
            )  # fmt: skip
            budget = budget or told["tokens"]
            specs[model] = str(path / "model")
        scores |= judged(path.with_name(f"{path.name}-scores"), specs[model], model, template, seed)
        scores |= asked(path.with_name(f"{path.name}-qa"), specs[model], model)
        if model in REPAIRS:
            shutil.rmtree(path / "model", ignore_errors=True)
    return scores


def scaled(path: Path, adapter: Path, share: float) -> str:
    """Write an adapter that adds so much of what the given one does, unless it is done; return the spec."""

    def work() -> dict[str, Any]:
        shutil.copytree(adapter, path / "model")
        weights = path / "model" / "adapter_model.safetensors"
        parts = {name: part * (share if "lora_B" in name else 1) for name, part in load_file(weights).items()}
        save_file(parts, weights, {"format": "pt"})
        return {"weights": hash_path(path / "model")}

    once(path, {"model": identity(str(adapter)), "share": share}, work)
    return str(path / "model")


if __name__ == "__main__":
    main()
