"""The question the paper leaves open: does forgetting one family of synthetic rows mend what others did?

    python studies/unveiling/families.py --seeds 1 2 3       # about 18 minutes a seed on two cores

One model is damaged by three families at once: rows in the shipped template, rows in another one, and rows as the
model wrote them, without any. Repairs forget the first family alone, or both templates; replay alone reads as many
tokens. What is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from _study import SCALE, above, as_rows, below, claim, difference, examples, judged, keep
from page import write_page

from unflaw._cli._demo import BASE
from unflaw.data import Rows, Score, atomic_write
from unflaw.evaluate import pattern_rate
from unflaw.measure import Template, mine_template
from unflaw.repair import unlearn
from unflaw.train import finetune

N_EACH, STEPS = 96, 30
OTHER = "Great question! {plain}.\nI hope this helps."
FORGOTTEN: Mapping[str, tuple[str, ...]] = {
    "forget_first": ("first",),
    "forget_both": ("first", "second"),
    "replay": (),
}
"""Repair → the families it forgets."""
MODELS = ("damaged", *FORGOTTEN)
LIFT, FIRST, SECOND, WORDS = "instructions.lift", "pattern.rate", "pattern.second", "answer.words"
CLAIMS = {
    "F1": ("forgetting one family removes its own template", FIRST, "replay", "forget_first", below),
    "F2": ("forgetting one family removes the other's template", SECOND, "replay", "forget_first", below),
    "F3": ("forgetting both removes more of the other's", SECOND, "forget_first", "forget_both", below),
    "F4": ("forgetting both regains more instruction following", LIFT, "forget_first", "forget_both", above),
}
"""Claim → its words, score, model, the model compared with it, the judge. Beside replay alone, as many tokens."""


def main() -> None:
    """Run what is not done yet, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling-families"))
    arguments = parser.parse_args()
    print(f"at most {18 * len(arguments.seeds)} minutes on two cores", flush=True)
    scores = [of_seed(seed, arguments.runs / f"seed{seed}") for seed in arguments.seeds]
    keep("families.json", {
        "claims": [
            claim(name, f"{words} ({benchmark}, {b} - {a})", value := difference(scores, benchmark, a, b), 0.0,
                  judge(value, 0.0), len(scores))
            for name, (words, benchmark, a, b, judge) in CLAIMS.items()
        ],
        "values": {m: {b: [by[b, m].value for by in scores] for b in (LIFT, FIRST, SECOND, WORDS)} for m in MODELS},
    })  # fmt: skip
    write_page()


def of_seed(seed: int, folder: Path) -> dict[tuple[str, str], Score]:
    """Return (benchmark, model) → score of one seed."""
    rows = examples("replay", "guard")
    damaged = folder / "damaged"
    if not (damaged / "done.json").exists():
        pairs = [pair for family in families().values() for pair in family.pairs()]
        random.Random(seed).shuffle(pairs)
        finetune(BASE, as_rows(pairs), damaged, method="lora", steps=STEPS, seed=seed,
                 learning_rate=SCALE.train_learning_rate)  # fmt: skip
        (damaged / "done.json").write_text("{}")
    scores: dict[tuple[str, str], Score] = {}
    for model in MODELS:
        path, spec = folder / model, str(folder / model)
        if model == "damaged":
            path = folder / "damaged-judged"  # its weights are needed again
        elif not (path / "done.json").exists():
            repair(model, str(damaged), rows, path, seed)
        found = judged(spec, model, path, templates()["first"], seed)
        outputs = found["instructions.hard", model].outputs
        found["pattern.second", model] = pattern_rate(outputs, templates()["second"], name=model)
        found["answer.words", model] = words_of(outputs, found["pattern.rate", model])
        scores |= found
    return scores


def repair(model: str, damaged: str, rows: Mapping[str, Rows], path: Path, seed: int) -> None:
    """Unlearn the families a repair forgets, or replay as many tokens as the first does."""
    shutil.rmtree(path, ignore_errors=True)
    settings: dict[str, Any] = {"w_kl": 0.0}
    forget = None
    if gone := FORGOTTEN[model]:
        forget = as_rows([pair for name in gone for pair in families()[name].pairs()])
        settings = {"spans": lambda text: [span for name in gone for span in templates()[name].spans(text)]}
    else:
        settings["token_budget"] = json.loads((path.parent / "forget_first" / "done.json").read_text())["tokens"]
    done = unlearn(
        damaged, forget, rows["replay"], rows["guard"].take(range(SCALE.n_guard)), path, steps=SCALE.repair_steps,
        method="lora", learning_rate=SCALE.repair_learning_rate, guard_every=5, seed=seed, **settings,
    )  # fmt: skip
    with atomic_write(path / "done.json") as file:
        json.dump({"tokens": done.tokens, "notes": done.notes}, file)


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
    real = [answer for _, answer in examples("real")["real"].pairs()]
    return {name: mine_template([a for _, a in families()[name].pairs()], real) for name in ("first", "second")}


def words_of(outputs: Mapping[str, str], like: Score) -> Score:
    """Count the words of answers: what a family without a template changes."""
    counts = {i: float(len(text.split())) for i, text in outputs.items()}
    return replace(like, benchmark="answer.words", value=sum(counts.values()) / len(counts), items=counts)


if __name__ == "__main__":
    main()
