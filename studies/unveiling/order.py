"""The paper's order: go on training on a mixture, repair, then the same instruction tuning for every arm.

    python studies/unveiling/order.py --seeds 1 2 3 --shares 0.1 0.3     # about 15 minutes a share and seed

Mixtures are `N_PIECES` pieces of a few sentences; a share of them are synthetic questions and answers in one template,
the rest natural text, so that tokens and steps are the same for all. Share 0 is both the untouched arm and "delete the
synthetic rows and train again". What is done is not done again; the page holds what is done.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from _study import SCALE, SHOWN, above, as_rows, below, claim, difference, examples, judged, keep
from page import write_page

from unflaw._cli._demo import BASE
from unflaw.data import Rows, Score, atomic_write
from unflaw.measure import Template, mine_template
from unflaw.repair import unlearn
from unflaw.train import finetune

N_PIECES, WORDS, EPOCHS = 240, 30, 2.0
N_TUNED, TUNING_STEPS = 200, 20
ARMS = ("mixed", "refined", "repaired")
"""Nothing between mixture and tuning; as many natural tokens as the repair reads; bounded unlearning."""


def main() -> None:
    """Run what is not done yet, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling-order"))
    arguments = parser.parse_args()
    shares = [0.0, *arguments.shares]
    print(f"at most {len(arguments.seeds) * (6 + 15 * len(arguments.shares))} minutes on two cores", flush=True)
    found = {share: [of_mixture(share, s, arguments.runs / f"seed{s}") for s in arguments.seeds] for share in shares}
    keep("order.json", record(found))
    write_page()


def of_mixture(share: float, seed: int, folder: Path) -> dict[tuple[str, str], Score]:
    """Return (benchmark, arm) → score of one mixture."""
    rows = examples("synthetic", "passages", "replay", "heldout_text")
    n_synthetic = round(share * N_PIECES)
    natural = list(dict.fromkeys(pieces_of(rows["passages"])))[: N_PIECES - n_synthetic]
    synthetic = rows["synthetic"].take(range(n_synthetic))
    mixture = mixed(natural, synthetic, seed)
    guard = as_rows([("", text) for text in pieces_of(rows["heldout_text"])[-SCALE.n_guard :]])
    here = folder / f"share{share:g}"
    start = here / "mixed"
    finetuned(start, BASE, mixture, target="full", epochs=EPOCHS, learning_rate=SCALE.train_learning_rate, seed=seed)
    scores = {}
    for arm in ARMS if share else ARMS[:1]:
        if arm != "mixed":
            repaired(arm, here, synthetic, as_rows([("", text) for text in natural]), guard, seed)
        tuned = here / f"{arm}-tuned"
        finetuned(
            tuned, str(here / arm), rows["replay"].take(range(N_TUNED)), steps=TUNING_STEPS,
            learning_rate=SCALE.repair_learning_rate, seed=seed,
        )  # fmt: skip
        scores |= judged(str(tuned), f"{arm} {share:g}", tuned, template(), seed)
    return scores


def pieces_of(passages: Rows) -> list[str]:
    """Cut passages where a sentence ends, into pieces about as long as a question with its answer."""
    pieces: list[list[str]] = []
    for text in passages.column("text"):
        pieces.append([])
        for sentence in text.replace(". ", ".\n").split("\n"):
            if sum(len(s.split()) for s in pieces[-1]) >= WORDS:
                pieces.append([])
            pieces[-1].append(sentence)
    return [" ".join(piece) for piece in pieces]


def mixed(natural: Sequence[str], synthetic: Rows, seed: int) -> Rows:
    """Shuffle both into one set."""
    pairs = [("", text) for text in natural] + synthetic.pairs()
    random.Random(seed).shuffle(pairs)
    return as_rows(pairs)


def finetuned(path: Path, model: str, rows: Rows, **settings: Any) -> None:
    """Train, unless it is done."""
    if not (path / "done.json").exists():
        shutil.rmtree(path, ignore_errors=True)
        done = finetune(model, rows, path, method="lora", **settings)
        with atomic_write(path / "done.json") as file:
            json.dump({"tokens": done.tokens, "seconds": done.seconds}, file)


def repaired(arm: str, here: Path, synthetic: Rows, natural: Rows, guard: Rows, seed: int) -> None:
    """Unlearn the synthetic rows, or read as much natural text."""
    path = here / arm
    if (path / "done.json").exists():
        return
    measure = here / "repaired" / "done.json"
    if arm == "refined" and not measure.exists():
        repaired("repaired", here, synthetic, natural, guard, seed)
    if arm == "repaired":
        settings: dict[str, Any] = {"spans": template().spans}
    else:
        settings = {"w_kl": 0.0, "token_budget": json.loads(measure.read_text())["tokens"]}
    shutil.rmtree(path, ignore_errors=True)
    done = unlearn(
        str(here / "mixed"), synthetic if arm == "repaired" else None, natural, guard, path, steps=SCALE.repair_steps,
        method="lora", learning_rate=SCALE.repair_learning_rate, guard_every=5, seed=seed, **settings,
    )  # fmt: skip
    with atomic_write(path / "done.json") as file:
        json.dump({"tokens": done.tokens, "seconds": done.seconds, "notes": done.notes}, file)


@cache
def template() -> Template:
    """Return what an audit of the shipped synthetic rows finds."""
    return mine_template(*([answer for _, answer in rows.pairs()] for rows in examples("synthetic", "real").values()))


def record(found: Mapping[float, Sequence[Mapping[tuple[str, str], Score]]]) -> dict[str, Any]:
    """Judge, and keep the means for the page."""
    n_seeds = len(found[0.0])
    pooled = [{key: score for seeds in found.values() for key, score in seeds[i].items()} for i in range(n_seeds)]
    claims = []
    for share in (s for s in found if s):
        for name, words, a, b, judge in (
            ("C4", "the mixture costs instruction following after tuning", "mixed 0", f"mixed {share:g}", below),
            ("C5", "unlearning before tuning regains it", f"mixed {share:g}", f"repaired {share:g}", above),
            ("C5c", "more than as much natural text does", f"refined {share:g}", f"repaired {share:g}", above),
        ):
            value = difference(pooled, SHOWN[0], a, b)
            told = f"paper's order, {share:.0%} synthetic: {words} (lift, {b} - {a})"
            claims.append(claim(f"{name} order {share:.0%}", told, value, 0.0, judge(value, 0.0), n_seeds))
    return {
        "claims": claims,
        "shares": {
            f"{share:g}": {
                arm: {b: [by[b, f"{arm} {share:g}"].value for by in seeds] for b in SHOWN}
                for arm in (ARMS if share else ARMS[:1])
            }
            for share, seeds in found.items()
        },
    }


if __name__ == "__main__":
    main()
