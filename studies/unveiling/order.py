"""The paper's order: go on training on a mixture, repair, then the same instruction tuning for every arm.

    python studies/unveiling/order.py --seeds 1 2 3 --repair 0.3 0.9     # 4 minutes a share and seed on two cores, and
                                                                         # 8 more to repair it

Mixtures are `N_PIECES` pieces; a share of them are synthetic questions and answers in one template, the rest one or two
sentences of natural text, so that steps are the same for all. Share 0, natural text alone, is both the untouched arm
and "train again without the synthetic rows". What is done is not done again; the page holds every share that all
seeds of the last call have, judged now or earlier.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from _study import (
    SCALE,
    SHOWN,
    Contrast,
    Scores,
    above,
    as_rows,
    below,
    claims_from,
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
from unflaw.data import Rows
from unflaw.measure import Template, mine_template

N_PIECES, WORDS, EPOCHS = 240, 30, 2.0
N_TUNED, TUNING_STEPS, TUNING_RATE = 200, 40, 5e-4
"""Chosen on seed 0 without synthetic rows: lift .19 afterwards; 20 steps at 2e-4 come to .07, 40 at 1e-3 to .11."""
REPAIRS: Mapping[str, Mapping[str, Any]] = {
    "repaired": {},
    "refined": {"forget": None, "w_kl": 0.0},
    "refined_10x": {"forget": None, "w_kl": 0.0, "times": 10},
    "no_kl": {"w_kl": 0.0},
    "no_replay": {"w_replay": 0.0, "w_forget": 0.1},
    **{name: {"objective": name} for name in ("ga", "npo", "simnpo")},
}
"""Arm → settings of `unlearn` between mixture and tuning, beside the common ones: bounded unlearning; as many tokens of
natural text, and ten times as many; a term taken away; other objectives."""
ARMS = ("mixed", *REPAIRS)
UNTUNED = {"mixed": "untuned", "repaired": "repaired_untuned", "refined": "refined_untuned"}
"""Arm → its name before the tuning that all arms end with, of those judged there, too."""


def main() -> None:
    """Run what is not done yet, judge."""
    told = parser(__doc__, "runs/unveiling-order")
    told.add_argument("--shares", type=float, nargs="+", default=[0.02, 0.1, 0.3, 0.9], help="of synthetic pieces")
    told.add_argument("--repair", type=float, nargs="*", default=[0.3], help="shares to repair, too (default: 0.3)")
    told.add_argument("--arms", nargs="+", choices=REPAIRS, default=["repaired", "refined"], help="how (default: two)")
    arguments = told.parse_args()
    mixtures = sorted({0.0, *arguments.shares, *arguments.repair})
    named = [arm for arm in REPAIRS if arm in arguments.arms or arm == "repaired"]  # which says how many tokens it read
    arms = {share: ["mixed", *(named if share in arguments.repair else ())] for share in mixtures}
    repairs = sum(REPAIRS[arm].get("times", 1) for arm in named) * len(arguments.repair)
    minutes = len(arguments.seeds) * 4 * (len(mixtures) + repairs)
    print(f"at most {minutes} minutes on two cores", flush=True)
    scores = [of_seed(seed, arms, arguments.runs / f"seed{seed}") for seed in arguments.seeds]
    keep("order.json", record(arguments.seeds, with_earlier("order", arguments.seeds, scores, SHOWN)))
    write_page()


def of_seed(seed: int, arms: Mapping[float, Sequence[str]], folder: Path) -> Scores:
    """Return (benchmark, arm and share) → score of one seed."""
    scores: Scores = {}
    for share, of_share in arms.items():
        scores |= of_mixture(share, of_share, seed, folder)
    return scores


def of_mixture(share: float, arms: Sequence[str], seed: int, folder: Path) -> Scores:
    """Return (benchmark, arm) → score of one mixture."""
    rows = examples("synthetic", "passages", "replay")
    here, n_synthetic = folder / f"share{share:g}", round(share * N_PIECES)
    pieces = list(dict.fromkeys(pieces_of(rows["passages"])))
    pairs = [("", text) for text in pieces[: N_PIECES - n_synthetic]]
    natural, synthetic = as_rows(pairs), rows["synthetic"].take(range(n_synthetic))
    guard = as_rows([("", text) for text in pieces[N_PIECES:]])
    mixture = pairs + synthetic.pairs()
    random.Random(seed).shuffle(mixture)
    start = finetuned(
        here / "mixed", BASE, as_rows(mixture), target="full", epochs=EPOCHS, seed=seed,
        learning_rate=SCALE.train_learning_rate,
    )  # fmt: skip
    scores, budget = Scores(), 0
    for arm in arms:
        if arm in REPAIRS:
            settings: dict[str, Any] = {"keep": "last", **REPAIRS[arm]}
            if (forget := settings.pop("forget", synthetic)) is None:
                settings["token_budget"] = settings.get("times", 1) * budget
            else:
                settings["spans"] = template().spans
            done = repaired(here / arm, start, forget, natural, guard, seed=seed, **settings)
            budget = budget or done["tokens"]
        untuned = str(here / arm / "model")
        if arm in UNTUNED:
            name = UNTUNED[arm]
            scores |= judged(here / f"{name}-scores", untuned, f"{name} {share:g}", template(), seed)
        tuned = finetuned(
            here / f"{arm}-tuned", untuned, rows["replay"].take(range(N_TUNED)), steps=TUNING_STEPS,
            seed=seed, learning_rate=TUNING_RATE,
        )  # fmt: skip
        scores |= judged(here / f"{arm}-scores", tuned, f"{arm} {share:g}", template(), seed)
        shutil.rmtree(tuned, ignore_errors=True)
        if arm != "mixed":
            shutil.rmtree(untuned, ignore_errors=True)
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


@cache
def template() -> Template:
    """Return what an audit of the shipped synthetic rows finds."""
    return mine_template(*([answer for _, answer in rows.pairs()] for rows in examples("synthetic", "real").values()))


def record(seeds: Sequence[int], scores: Sequence[Scores]) -> dict[str, Any]:
    """Judge what all seeds have, and keep the means for the page."""
    models = set.intersection(*({model for _, model in by} for by in scores))
    shares = sorted({float(model.split()[1]) for model in models})
    lift, _, pattern, _ = SHOWN
    contrasts: dict[str, Contrast] = {}
    for share in (s for s in shares if s):
        for name, words, of, a, b, judge in (
            ("C4u", "the mixture costs instruction following", lift, "untuned 0", "untuned", below),
            ("C5u", "unlearning regains it before any tuning", lift, "untuned", "repaired_untuned", above),
            ("C5up", "it takes the template away", pattern, "untuned", "repaired_untuned", below),
            ("C5cu", "more than natural text, untuned", lift, "refined_untuned", "repaired_untuned", above),
            ("C4", "the mixture costs instruction following after tuning", lift, "mixed 0", "mixed", below),
            ("C5", "unlearning before tuning regains it", lift, "mixed", "repaired", above),
            ("C5c", "more than as much natural text does", lift, "refined", "repaired", above),
            ("C6", "more than ten times the natural text does", lift, "refined_10x", "repaired", above),
            *(
                (f"C5 {arm}", f"{arm} before tuning regains it", lift, "mixed", arm, above)
                for arm in REPAIRS
                if arm != "repaired"
            ),
        ):
            a, b = (arm if " " in arm else f"{arm} {share:g}" for arm in (a, b))
            contrasts[f"{name} order {share:.0%}"] = Contrast(f"paper's order: {words}", of, a, b, judge)
    return {
        "seeds": list(seeds),
        "claims": claims_from(contrasts, scores),
        "shares": {
            f"{share:g}": {
                arm: {b: [by[b, f"{arm} {share:g}"].value for by in scores] for b in SHOWN}
                for arm in (*UNTUNED.values(), *ARMS)
                if f"{arm} {share:g}" in models
            }
            for share in shares
        },
    }


if __name__ == "__main__":
    main()
