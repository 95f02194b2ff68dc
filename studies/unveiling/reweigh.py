"""Before any damage: the same flawed rows, beside good ones, with less weight in the loss.

    python studies/unveiling/reweigh.py --seeds 1 2 3      # about 15 minutes a seed on two cores

The untouched model is trained on the synthetic rows that `run.py` damages it with, and on as many everyday answers,
twice as many steps in all. Models read the same rows in the same order; only the `weight` of the synthetic ones
differs, from 1 (mixing) to 0 (leaving them out, and reading the others twice as often). F1 on held-out questions of
their kind tells what is still learnt from them. What is done is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from _study import (
    F1,
    SCALE,
    SHOWN,
    Contrast,
    Scores,
    above,
    asked,
    below,
    by_model,
    examples,
    finetuned,
    judged,
    keep,
    parser,
    template_of,
    with_earlier,
)
from page import write_page

from unflaw._cli._demo import BASE
from unflaw.data import Rows

WEIGHTS = (1.0, 0.3, 0.1, 0.0)
REPAIR = "bounded_auto_3x"
"""The arm of arms.py that judges the damaged model after a repair by the defaults, of 36 steps."""
MODELS = ("untouched", "damaged", REPAIR, *(f"weight {weight:g}" for weight in WEIGHTS))
LIFT, _, PATTERN, _ = SHOWN
TOLD = (*SHOWN, F1)
CLAIMS: Mapping[str, Contrast] = {
    "W1": Contrast("as many everyday answers beside them regain lift", LIFT, "damaged", "weight 1", above),
    "W1p": Contrast("they leave fewer answers in the template", PATTERN, "damaged", "weight 1", below),
    "W1f": Contrast("they cost F1 on the synthetic task", F1, "damaged", "weight 1", below),
    "W2": Contrast("a tenth of the weight leaves more lift than full weight", LIFT, "weight 1", "weight 0.1", above),
    "W2p": Contrast("it leaves fewer answers in the template", PATTERN, "weight 1", "weight 0.1", below),
    "W2f": Contrast("it costs F1 on the synthetic task", F1, "weight 1", "weight 0.1", below),
    "W3": Contrast("a tenth of the weight leaves lift near untouched", LIFT, "untouched", "weight 0.1", above, -0.05),
    "W3f": Contrast("with a tenth of the weight the synthetic task is learnt", F1, "untouched", "weight 0.1", above),
    "W5": Contrast("a tenth leaves more lift than a repair in 36 steps", LIFT, REPAIR, "weight 0.1", above),
    "W5f": Contrast("it leaves more F1 on the synthetic task", F1, REPAIR, "weight 0.1", above),
    "W5p": Contrast("it leaves fewer answers in the template", PATTERN, REPAIR, "weight 0.1", below),
    "W6": Contrast("a tenth leaves more lift than three tenths", LIFT, "weight 0.3", "weight 0.1", above),
    "W6p": Contrast("it leaves fewer answers in the template", PATTERN, "weight 0.3", "weight 0.1", below),
    "W6f": Contrast("it costs F1 on the synthetic task", F1, "weight 0.3", "weight 0.1", below),
    "W4": Contrast("leaving them out leaves more lift than a tenth", LIFT, "weight 0.1", "weight 0", above),
    "W4f": Contrast("leaving them out costs F1 on the synthetic task", F1, "weight 0.1", "weight 0", below),
}


def main() -> None:
    """Run what is not done yet, judge."""
    told = parser(__doc__, "runs/unveiling")
    told.add_argument(
        "--weights", type=float, nargs="+", default=WEIGHTS, choices=WEIGHTS, help="of the synthetic rows"
    )
    arguments = told.parse_args()
    asked_before = [arguments.runs / f"seed{seed}" / "arms" / f"{REPAIR}-qa" for seed in arguments.seeds]
    if missing := [str(path) for path in asked_before if not path.exists()]:
        raise SystemExit(
            f"{', '.join(missing)} is not there yet: run `arms.py --more --arms {REPAIR}` on these seeds first"
        )
    print(f"at most {4 * len(arguments.seeds) * (1 + len(arguments.weights))} minutes on two cores", flush=True)
    scores = [of_seed(seed, arguments.weights, arguments.runs / f"seed{seed}") for seed in arguments.seeds]
    scores = with_earlier("reweigh", arguments.seeds, scores, TOLD)
    models = [model for model in MODELS if all((LIFT, model) in by for by in scores)]
    keep("reweigh.json", by_model(CLAIMS, scores, models, TOLD))
    write_page()


def of_seed(seed: int, weights: Sequence[float], folder: Path) -> Scores:
    """Return (benchmark, model) → score of one seed, whose damaged model `run.py` left, and `arms.py` its repair."""
    rows = examples("synthetic", "replay")
    flawed, good = (rows[name].take(range(SCALE.n_trained)) for name in ("synthetic", "replay"))
    template = template_of(folder)
    specs = {"untouched": BASE, "damaged": str(folder / "models" / "damaged")}
    specs[REPAIR] = str(folder / "arms" / REPAIR / "model")
    here, scores = folder / "reweigh", Scores()
    for model in (*specs, *(f"weight {weight:g}" for weight in weights)):
        path = (folder / "arms" if model in specs else here) / model.replace(" ", "")  # where arms.py judges them, too
        if model not in specs:
            specs[model] = finetuned(
                path, BASE, weighed(flawed, good, float(model.split()[1])), steps=2 * SCALE.train_steps, seed=seed,
                learning_rate=SCALE.train_learning_rate,
            )  # fmt: skip
        scores |= judged(path.with_name(f"{path.name}-scores"), specs[model], model, template, seed)
        scores |= asked(path.with_name(f"{path.name}-qa"), specs[model], model)
    return scores


def weighed(flawed: Rows, good: Rows, weight: float) -> Rows:
    """Return both sets as one, the flawed rows with this weight and the good ones with 1."""
    records = [
        {"prompt": prompt, "response": response, "weight": w}
        for of, w in ((flawed, weight), (good, 1.0))
        for prompt, response in of.pairs()
    ]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


if __name__ == "__main__":
    main()
