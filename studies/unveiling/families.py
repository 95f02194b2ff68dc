"""The question the paper leaves open: does forgetting one family of synthetic rows mend what others did?

    python studies/unveiling/families.py --seeds 1 2 3       # about 20 minutes a seed on two cores

One model is damaged by three families at once: rows in the shipped template, rows in another one, and rows as the
model wrote them, without any. Repairs forget the first family alone, or both templates; replay alone reads as many
tokens as the first. What is done is not done again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from _study import (
    SCALE,
    Contrast,
    Scores,
    above,
    as_rows,
    below,
    by_model,
    examples,
    finetuned,
    judged,
    keep,
    parser,
    repaired,
    with_earlier,
)
from page import write_page

from unflaw._cli._demo import BASE
from unflaw.data import Rows, Score
from unflaw.evaluate import pattern_rate
from unflaw.measure import Template, mine_template

N_EACH, STEPS = 96, 30
OTHER = "Great question! {plain}.\nI hope this helps."
FORGOTTEN: Mapping[str, tuple[str, ...]] = {
    "forget_first": ("first",),
    "forget_both": ("first", "second"),
    "replay": (),
}
"""Repair → the families it forgets; replay alone may read as many tokens as the first."""
MODELS = ("untouched", "damaged", *FORGOTTEN)
TOLD = LIFT, FIRST, SECOND, WORDS = "instructions.lift", "pattern.rate", "pattern.second", "answer.words"
CLAIMS: Mapping[str, Contrast] = {
    "F1": Contrast("forgetting one family removes its own template", FIRST, "replay", "forget_first", below),
    "F2": Contrast("forgetting one family removes the other's template", SECOND, "replay", "forget_first", below),
    "F2w": Contrast(
        "forgetting one family lengthens what the plain one shortened", WORDS, "replay", "forget_first", above
    ),
    "F3": Contrast("forgetting both removes more of the other's", SECOND, "forget_first", "forget_both", below),
    "F4": Contrast("forgetting both regains more instruction following", LIFT, "forget_first", "forget_both", above),
}
"""Claim → its words, score, model, the model compared with it, the judge."""


def main() -> None:
    """Run what is not done yet, judge."""
    arguments = parser(__doc__, "runs/unveiling-families").parse_args()
    print(f"at most {20 * len(arguments.seeds)} minutes on two cores", flush=True)
    scores = [of_seed(seed, arguments.runs / f"seed{seed}") for seed in arguments.seeds]
    scores = with_earlier("families", arguments.seeds, scores, TOLD)
    keep("families.json", by_model(CLAIMS, scores, MODELS, TOLD))
    write_page()


def of_seed(seed: int, folder: Path) -> Scores:
    """Return (benchmark, model) → score of one seed."""
    rows = examples("replay", "guard")
    pairs = [pair for family in families().values() for pair in family.pairs()]
    random.Random(seed).shuffle(pairs)
    damaged = finetuned(
        folder / "damaged", BASE, as_rows(pairs), steps=STEPS, seed=seed, learning_rate=SCALE.train_learning_rate
    )
    budget, scores = 0, Scores()
    for model in MODELS:
        spec = {"untouched": BASE, "damaged": damaged}.get(model, str(folder / model / "model"))
        if model in FORGOTTEN:
            told = repair(model, folder / model, damaged, budget, rows, seed)
            budget = budget or told["tokens"]
        found = judged(folder / f"{model}-scores", spec, model, templates()["first"], seed)
        outputs = found["instructions.hard", model].outputs
        found[SECOND, model] = pattern_rate(outputs, templates()["second"], name=model)
        found[WORDS, model] = words_of(outputs, found[FIRST, model])
        scores |= found
        if model in FORGOTTEN:
            shutil.rmtree(folder / model / "model", ignore_errors=True)
    return scores


def repair(model: str, path: Path, damaged: str, budget: int, rows: Mapping[str, Rows], seed: int) -> dict[str, Any]:
    """Forget the families of a repair, or read as many tokens as the first did."""
    gone = [pair for name in FORGOTTEN[model] for pair in families()[name].pairs()]
    forget, settings = None, {"w_kl": 0.0, "token_budget": budget}
    if gone:
        forget, settings = as_rows(gone), {"spans": mine_template([answer for _, answer in gone], real()).spans}
    return repaired(path, damaged, forget, rows["replay"], rows["guard"], seed=seed, **settings)


@cache
def families() -> Mapping[str, Rows]:
    """Deal the shipped rows to three families."""
    rows = examples("synthetic")["synthetic"]
    told = list(zip(rows.column("prompt"), rows.column("response"), rows.column("answer_plain"), strict=True))
    parts = [told[i * N_EACH : (i + 1) * N_EACH] for i in range(3)]
    return {
        "first": as_rows([(question, answer) for question, answer, _ in parts[0]]),
        "second": as_rows([(question, OTHER.format(plain=plain.rstrip("."))) for question, _, plain in parts[1]]),
        "plain": as_rows([(question, plain) for question, _, plain in parts[2]]),
    }


@cache
def templates() -> Mapping[str, Template]:
    """Return what an audit finds in either family."""
    return {name: mine_template([a for _, a in families()[name].pairs()], real()) for name in ("first", "second")}


@cache
def real() -> list[str]:
    """Return answers people gave."""
    return [answer for _, answer in examples("real")["real"].pairs()]


def words_of(outputs: Mapping[str, str], like: Score) -> Score:
    """Count the words of answers: what a family without a template changes."""
    counts = {i: float(len(text.split())) for i, text in outputs.items()}
    return replace(like, benchmark="answer.words", value=sum(counts.values()) / len(counts), items=counts)


if __name__ == "__main__":
    main()
