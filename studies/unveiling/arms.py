"""What to forget, and how: repairs of the same damaged models side by side.

    python studies/unveiling/arms.py --seeds 0                    # to choose: about 3 minutes an arm on two cores
    python studies/unveiling/arms.py --seeds 1 2 3 --arms replay own_opening    # to judge, on seeds that did not choose
    python studies/unveiling/arms.py --smoke                      # does it run? A few minutes, nothing is written

Each seed starts from the damaged model of one `unflaw demo`: that of `run.py` if it is there, else one is made. Every
arm takes as many steps with the same learning rate and as many replay rows; `replay` alone may read as many tokens as
`bounded` does. Names that end in `_3x` and `_10x` take so many times the steps, and so many times the tokens. What is
done is not done again, so an interrupted study goes on where it stopped; the tables hold what is done of every arm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from _study import SCALE, SHOWN, above, below, claim, difference, examples, judged, keep
from page import arms_table, write_page

from unflaw import read, write
from unflaw._cli._demo import BASE, QUICK, Scale, _audit, _damage, _Stages
from unflaw._cli._shared import open_cached
from unflaw.data import Rows, RunFolder, Score, atomic_write
from unflaw.measure import Template
from unflaw.repair import own_answers, unlearn

BEFORE = {"kl_to": "before", "w_kl": 1.0}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "replay": {"forget": None, "w_kl": 0.0},
    "replay_kl": {"forget": None, "w_kl": 0.1},
    "replay_kl_before": {"forget": None, **BEFORE},
    "barred": {"w_forget": 1e-9},
    "bounded": {"w_forget": 0.1},
    "bounded_auto": {"w_forget": "auto"},
    "bounded_strong": {"w_forget": 0.3},
    "bounded_weak": {"w_forget": 0.03},
    "bounded_held": {"w_forget": 0.1, "bar_template": False},
    "bounded_before": {"w_forget": 0.1, **BEFORE},
    "no_kl": {"w_forget": 0.1, "w_kl": 0.0},
    "no_replay": {"w_forget": 0.1, "w_replay": 0.0},
    "forget_only": {"w_forget": 0.1, "w_replay": 0.0, "w_kl": 0.0},
    "response": {"w_forget": 0.03, "what": "response"},
    "opening": {"w_forget": 0.1, "what": "opening"},
    "opening_auto": {"w_forget": "auto", "what": "opening"},
    "gained": {"w_forget": 0.1, "what": "gained"},
    "own_template": {"w_forget": 0.1, "own": True},
    "own_opening": {"w_forget": 0.1, "own": True, "what": "opening"},
    "own_opening_auto": {"w_forget": "auto", "own": True, "what": "opening"},
    "own_opening_before": {"w_forget": 0.1, "own": True, "what": "opening", **BEFORE},
    "own_gained": {"w_forget": 0.1, "own": True, "what": "gained"},
    "own_response": {"w_forget": 0.03, "own": True, "what": "response"},
    **{name: {"w_forget": 0.1, "objective": name} for name in ("ga", "grad_diff", "wga", "npo", "simnpo", "undial")},
    **{f"replay_{n}x": {"forget": None, "w_kl": 0.0, "times": n} for n in (3, 10)},
    **{f"bounded_{n}x": {"w_forget": 0.1, "times": n} for n in (3, 10)},
}
"""Arm → settings of `unlearn` beside the common ones.

"own": the forget rows are the damaged model's own answers. "times": so many times the steps, and of the guard's
patience. `barred` forgets nothing, but its KL term, as that of every bounded arm, stays close to the damaged model
without what opens the template."""
CHOSEN_ON, JUDGED_ON = "arms_chosen_on.json", "arms.json"
MINUTES = 3
"""What an arm takes on two cores."""
LIFT, TEXT = "instructions.lift", "text.log_perplexity"
CLAIMS = {
    "C6": ("more lift than replay alone with ten times the tokens", LIFT, "replay_10x", "bounded", above),
    "C8": ("dropping replay and KL makes real text less likely", TEXT, "bounded", "forget_only", above),
    "C8b": ("dropping replay alone does", TEXT, "bounded", "no_replay", above),
    "C8c": ("dropping KL alone does", TEXT, "bounded", "no_kl", above),
    "C8d": ("dropping both costs instruction following", LIFT, "bounded", "forget_only", below),
}
"""Claim → its words about bounded unlearning, score, arm, the arm compared with it, the judge."""


def main() -> None:
    """Repair, evaluate, write results/arms*.json and ARMS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--runs", type=Path, default=Path("runs/unveiling"))
    parser.add_argument("--smoke", action="store_true", help="two arms on the small story, in a folder that goes away")
    arguments = parser.parse_args()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            print(arms_table(compared(["replay", "bounded_auto"], [0], Path(folder), QUICK)))
        return
    arms = list(dict.fromkeys(["bounded", *arguments.arms]))
    record = compared(arms, arguments.seeds, arguments.runs, SCALE)
    keep(CHOSEN_ON if arguments.seeds == [0] else JUDGED_ON, record)
    write_page()


def compared(asked: Sequence[str], seeds: Sequence[int], runs: Path, scale: Scale) -> dict[str, Any]:
    """Run what is not done yet; compare each arm with the damaged model and with replay alone, paired, seeds pooled."""
    folders = {seed: runs / f"seed{seed}" for seed in seeds}
    paths = {arm: [folder / "arms" / arm for folder in folders.values()] for arm in ARMS}
    arms = [a for a in ARMS if a in asked or all((path / "scores.json").exists() for path in paths[a])]
    costs = [ARMS[arm].get("times", 1) for arm in arms for path in paths[arm] if not (path / "scores.json").exists()]
    print(f"{len(costs)} repairs to do, about {round(MINUTES / 2 * sum(c + 1 for c in costs))} minutes", flush=True)
    scores = [of_seed(seed, arms, folder, scale) for seed, folder in folders.items()]
    told = {arm: [json.loads((path / "done.json").read_text()) for path in paths[arm]] for arm in arms}
    return {
        "seeds": list(seeds),
        "claims": [
            claim(
                name,
                f"bounded unlearning: {words} ({of.split('.')[1]}, {b} - {a})",
                value := difference(scores, of, a, b),
                0.0,
                judge(value, 0.0),
                len(seeds),
            )
            for name, (words, of, a, b, judge) in CLAIMS.items()
            if {a, b} <= set(arms)
        ],  # fmt: skip
        "arms": {
            arm: {
                f"against_{peer}": {b: difference(scores, b, peer, arm) for b in SHOWN}
                for peer in ("damaged", "replay")
                if (SHOWN[0], peer) in scores[0]
            }
            | {"values": {b: [by[b, arm].value for by in scores] for b in SHOWN}}
            | ({key: [of.get(key) for of in told[arm]] for key in ("tokens", "w_forget")} if arm in told else {})
            for arm in ("untouched", "damaged", *arms)
        },
    }


def of_seed(seed: int, arms: Sequence[str], folder: Path, scale: Scale) -> dict[tuple[str, str], Score]:
    """Return (benchmark, model) → score, of one seed."""
    rows = examples("synthetic", "real", "replay", "guard")
    flawed = rows["synthetic"].take(range(scale.n_trained))
    damaged = folder / "models" / "damaged"
    if not (damaged / "adapter_config.json").exists():
        stage = _Stages(folder, {"seed": seed}, [], resume=folder.exists(), overwrite=False)
        stage("audit", lambda f: _audit(f, flawed, rows["real"], seed))
        stage("train", lambda f: _damage(f, flawed, scale, seed), writes="damaged")
    found = {f.check: f for f in RunFolder(folder).findings()}
    template = Template.from_evidence(found["tokens.structural"].evidence)
    scores: dict[tuple[str, str], Score] = {}
    for arm in ("untouched", "damaged", *sorted(arms, key=lambda arm: arm != "bounded")):
        path = folder / "arms" / arm
        if arm in ARMS and not (path / "done.json").exists():
            source = answers_of(damaged, rows["replay"]) if ARMS[arm].get("own") else flawed
            repair(arm, str(damaged), source, rows, template, path, seed, scale)
        spec = {"untouched": BASE, "damaged": str(damaged)}.get(arm, str(path))
        scores |= judged(spec, arm, path, template, seed, scale)
    return scores


def answers_of(damaged: Path, rows: Rows) -> Rows:
    """Return the damaged model's own answers; they are asked for once."""
    kept = damaged.parent / "own_answers.jsonl"
    if not kept.exists():
        with ExitStack() as stack:
            write(own_answers(open_cached(stack, str(damaged), None), rows), kept)
    return read(kept)


def repair(
    arm: str,
    damaged: str,
    flawed: Rows,
    rows: Mapping[str, Rows],
    template: Template,
    path: Path,
    seed: int,
    scale: Scale,
) -> None:
    """Run one arm."""
    settings = {k: v for k, v in ARMS[arm].items() if k != "own"}
    forget, times = settings.pop("forget", flawed), settings.pop("times", 1)
    measure = path.parent / "bounded" / "done.json"
    if forget is None and measure.exists():
        settings["token_budget"] = times * json.loads(measure.read_text())["tokens"]
    if settings.get("what") == "gained" or settings.get("kl_to") == "before":
        settings["before"] = BASE
    shutil.rmtree(path, ignore_errors=True)  # what an interrupted run left
    done = unlearn(
        damaged, forget, rows["replay"], rows["guard"].take(range(scale.n_guard)), path, spans=template.spans,
        steps=times * scale.repair_steps, patience=4 * times, method="lora", learning_rate=scale.repair_learning_rate,
        guard_every=5, seed=seed, **settings,
    )  # fmt: skip
    told = {"tokens": done.tokens, "seconds": done.seconds, "w_forget": done.settings["w_forget"]}
    with atomic_write(path / "done.json") as file:
        json.dump(told | {"notes": done.notes, "curve": done.curve}, file)


if __name__ == "__main__":
    main()
