"""What to forget, and how: repairs of the same damaged models side by side.

    python studies/unveiling/arms.py --seeds 0                    # to choose: about 3 minutes an arm on two cores
    python studies/unveiling/arms.py --seeds 1 2 3 --arms replay own_opening    # to judge, on seeds that did not choose
    python studies/unveiling/arms.py --more --seeds 1 2 3         # longer ones, other masks: an hour a seed
    python studies/unveiling/arms.py --smoke                      # does it run? A few minutes, nothing is written

Each seed starts from the damaged model of one `unflaw demo`: that of `run.py` if it is there, else one is made. Every
arm may take as many steps with the same learning rate; those that forget nothing may read as many tokens in them as
`bounded` did. Names that end in `_3x` and `_10x` may take so many times the steps and the tokens. What comes back is
what the guard kept. What is done is not done again, so an interrupted study goes on where it stopped; the table holds
every arm that all its seeds have, now or in `results/`.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _study import (
    F1,
    RESULTS,
    SCALE,
    SHOWN,
    Contrast,
    Scores,
    above,
    as_rows,
    asked,
    below,
    claim,
    claims_from,
    difference,
    examples,
    finetuned,
    judged,
    keep,
    over_use,
    parser,
    repaired,
    template_of,
    with_earlier,
    word_counts,
)
from page import arms_table, write_page

from unflaw import read, write
from unflaw._cli._demo import BASE, QUICK, Scale, _audit, _damage, _Stages
from unflaw._cli._shared import open_cached
from unflaw.data import Rows
from unflaw.measure import Template, tokenise
from unflaw.repair import own_answers
from unflaw.train._encode import Spans

BEFORE = {"kl_to": "before", "w_kl": 1.0}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "retrained": {"instead": "real"},
    "retrained_plain": {"instead": "plain"},
    "retrained_replay": {"instead": "replay"},
    "retrained_cut": {"instead": "cut"},
    "replay": {"forget": None, "w_kl": 0.0},
    "replay_real": {"forget": None, "w_kl": 0.0, "replay": "real"},
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
    "log_odds": {"w_forget": 0.1, "bar_template": False, "words": True},
    "response": {"w_forget": 0.03, "what": "response"},
    "response_auto": {"w_forget": "auto", "what": "response"},
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
    "replay_real_10x": {"forget": None, "w_kl": 0.0, "replay": "real", "times": 10},
    **{f"bounded_{n}x": {"w_forget": 0.1, "times": n} for n in (3, 10)},
    "bounded_auto_3x": {"w_forget": "auto", "times": 3},
    "barred_3x": {"w_forget": 1e-9, "times": 3},
    **{f"{name}_auto": {"w_forget": "auto", "objective": name} for name in ("npo", "simnpo", "wga", "undial")},
}
"""Arm → settings of `unlearn` beside the common ones.

"instead": no repair, but the untouched model trained as the damaged one was, on as many rows of this set; plain are the
synthetic rows as the model wrote them, without the template; cut are the rows to replay, each answer's first sentence
alone. "replay": the set to replay. "own": the forget rows are the damaged model's own answers. "words": forgotten are,
wherever they stand, the words most over-used by log-odds, as many as the template has. "times": so many times the
steps, and of the guard's patience.
`barred` forgets nothing, but its KL term, as that of every bounded arm, stays close to the damaged model without what
opens the template."""
MORE = (
    "bounded", "replay", "bounded_3x", "replay_3x", "bounded_10x", "replay_10x", "barred_3x", "replay_real_10x",
    "replay_kl", "bounded_before", "gained", "response", "opening", "own_template", "own_opening", "own_gained",
    "retrained_replay", "retrained_cut", "bounded_auto_3x", "npo_auto", "simnpo_auto", "wga_auto", "undial_auto",
    "bounded_held", "log_odds", "opening_auto", "response_auto",
)  # fmt: skip
"""Arms of the second table: when they were run, those of the first were on another machine, and not item by item."""
ASKED = ("damaged", "bounded_auto_3x", "barred_3x", "replay_3x")
"""Arms that are also asked what the synthetic rows ask."""
CHOSEN_ON, JUDGED_ON, JUDGED_LATER = "arms_chosen_on.json", "arms.json", "arms_more.json"
MINUTES = 3
"""What an arm takes on two cores."""
TOLD = ("tokens", "w_forget", "notes", "end")
"""What a record keeps of a repair; the end is the guard's log-perplexity at the last step."""
LIFT, SOFT, PATTERN, TEXT = SHOWN
FORGET_3X, NOT_3X = "bounded_3x + bounded_auto_3x", "replay_3x + barred_3x"
FORGET_LONG, NOT_LONG = f"{FORGET_3X} + bounded_10x", f"{NOT_3X} + replay_10x"
"""Repairs of three times the tokens, and long ones, that forget and that do not: each taken together."""
CLAIMS: Mapping[str, Contrast] = {
    "C6": Contrast("more lift than replay alone with ten times the tokens", LIFT, "replay_10x", "bounded", above),
    "R0": Contrast("as many real rows instead cost lift, too", LIFT, "untouched", "retrained", below),
    "R0s": Contrast("as many real rows cost soft satisfaction, too", SOFT, "untouched", "retrained", below),
    "R1": Contrast("real rows cost less lift than the synthetic ones", LIFT, "damaged", "retrained", above),
    "R1s": Contrast("real rows cost less soft satisfaction", SOFT, "damaged", "retrained", above),
    "R2": Contrast("real rows leave more lift than repair brings", LIFT, "bounded_auto", "retrained", above),
    "R3": Contrast("synthetic rows without their template cost less lift", LIFT, "damaged", "retrained_plain", above),
    "R3s": Contrast("without it they cost less soft satisfaction", SOFT, "damaged", "retrained_plain", above),
    "R4": Contrast(
        "everyday answers cost less lift than the synthetic rows", LIFT, "damaged", "retrained_replay", above
    ),
    "R4b": Contrast("as many everyday answers cost lift, too", LIFT, "untouched", "retrained_replay", below),
    "C8d": Contrast("under the guard, dropping replay and KL costs lift", LIFT, "bounded", "forget_only", below),
    "C8e": Contrast("under the guard, dropping replay alone does", LIFT, "bounded", "no_replay", below),
    "C8f": Contrast("under the guard, dropping KL alone does", LIFT, "bounded", "no_kl", below),
}
MORE_CLAIMS: Mapping[str, Contrast] = {
    "D1": Contrast("three times the tokens regain more", LIFT, "bounded", "bounded_3x", above),
    "D1p": Contrast("three times the tokens remove more of the template", PATTERN, "bounded", "bounded_3x", below),
    "D1s": Contrast("three times the tokens satisfy more", SOFT, "bounded", "bounded_3x", above),
    "D2": Contrast("ten times the tokens regain more", LIFT, "bounded", "bounded_10x", above),
    "D2p": Contrast("ten times the tokens remove more of the template", PATTERN, "bounded", "bounded_10x", below),
    "D2t": Contrast("ten times the tokens make real text less likely", TEXT, "bounded", "bounded_10x", above),
    "D3": Contrast("three times the tokens regain more than of replay alone", LIFT, "replay_3x", "bounded_3x", above),
    "D3p": Contrast("they remove more of the template than of replay", PATTERN, "replay_3x", "bounded_3x", below),
    "D9a": Contrast("with the weight chosen by itself, too", SOFT, "untouched", "bounded_auto_3x", above, -0.05),
    "A1": Contrast("the weight chosen by itself regains more than .1", LIFT, "bounded_3x", "bounded_auto_3x", above),
    "A1t": Contrast("it keeps real text likelier", TEXT, "bounded_3x", "bounded_auto_3x", below),
    "A3": Contrast("it regains more than as many tokens of replay", LIFT, "replay_3x", "bounded_auto_3x", above),
    "A3b": Contrast("it regains more than replay with KL, barred", LIFT, "barred_3x", "bounded_auto_3x", above),
    "P1": Contrast("long repairs that forget regain more, taken together", LIFT, NOT_LONG, FORGET_LONG, above),
    "P1s": Contrast("they satisfy more", SOFT, NOT_LONG, FORGET_LONG, above),
    "P1t": Contrast("they keep real text likelier", TEXT, NOT_LONG, FORGET_LONG, below),
    "P2": Contrast("those of three times the tokens regain more", LIFT, NOT_3X, FORGET_3X, above),
    "A2": Contrast("npo, its weight chosen by itself, regains more", LIFT, "bounded", "npo_auto", above),
    "A2p": Contrast("it removes more of the template", PATTERN, "bounded", "npo_auto", below),
    "A4": Contrast("simnpo, its weight chosen by itself, regains more", LIFT, "bounded", "simnpo_auto", above),
    "A4p": Contrast("it removes more of the template", PATTERN, "bounded", "simnpo_auto", below),
    "A5": Contrast("wga, its weight chosen by itself, regains more", LIFT, "bounded", "wga_auto", above),
    "A5p": Contrast("it removes more of the template", PATTERN, "bounded", "wga_auto", below),
    "A1f": Contrast("it costs F1 on the synthetic task", F1, "damaged", "bounded_auto_3x", below),
    "A1fb": Contrast("replay with KL, barred, as long costs it, too", F1, "damaged", "barred_3x", below),
    "A1fr": Contrast("replay alone, as long, does, too", F1, "damaged", "replay_3x", below),
    "A3f": Contrast("forgetting costs F1 beside replay with KL, barred", F1, "barred_3x", "bounded_auto_3x", below),
    "D4": Contrast("ten times the tokens regain more than of replay alone", LIFT, "replay_10x", "bounded_10x", above),
    "D4t": Contrast("they keep real text likelier than of replay", TEXT, "replay_10x", "bounded_10x", below),
    "D3t": Contrast("they keep real text likelier than of replay", TEXT, "replay_3x", "bounded_3x", below),
    "D3s": Contrast("they satisfy more than of replay", SOFT, "replay_3x", "bounded_3x", above),
    "D3c": Contrast("replay with KL keeps real text likelier than without", TEXT, "replay_3x", "barred_3x", below),
    "D7": Contrast("ten times the tokens regain more than three", LIFT, "bounded_3x", "bounded_10x", above),
    "D7r": Contrast("of replay, too", LIFT, "replay_3x", "replay_10x", above),
    "D8": Contrast("three times the tokens of replay regain more", LIFT, "replay", "replay_3x", above),
    "D9": Contrast("three times the tokens satisfy as untouched", SOFT, "untouched", "bounded_3x", above, -0.05),
    "D9b": Contrast("replay with KL does, too", SOFT, "untouched", "barred_3x", above, -0.05),
    "D9r": Contrast("replay alone does, too", SOFT, "untouched", "replay_3x", above, -0.05),
    "K1": Contrast("KL to the damaged model costs replay lift", LIFT, "replay", "replay_kl", below),
    "K1p": Contrast("KL to the damaged model holds the template", PATTERN, "replay", "replay_kl", above),
    "D3b": Contrast("forgetting adds lift to three times of replay and KL", LIFT, "barred_3x", "bounded_3x", above),
    "D3bt": Contrast(
        "forgetting keeps real text likelier than staying close alone", TEXT, "barred_3x", "bounded_3x", below
    ),
    "D5": Contrast("more lift than three times the tokens of replay", LIFT, "replay_3x", "bounded", above),
    "D5p": Contrast("less template than three times the tokens of replay", PATTERN, "replay_3x", "bounded", below),
    "L1": Contrast("everyday answers cost lift, too", LIFT, "untouched", "retrained_replay", below),
    "L2": Contrast("cut to their first sentence they cost lift", LIFT, "untouched", "retrained_cut", below),
    "L2s": Contrast("cut, they cost soft satisfaction", SOFT, "untouched", "retrained_cut", below),
    "L3": Contrast("cut, they leave less lift than whole", LIFT, "retrained_replay", "retrained_cut", below),
    "L3s": Contrast("cut, they leave less soft satisfaction", SOFT, "retrained_replay", "retrained_cut", below),
    "L4": Contrast("cut, they cost less lift than the synthetic rows", LIFT, "damaged", "retrained_cut", above),
    "D6": Contrast(
        "real rows to replay, allowed ten times the tokens, regain lift", LIFT, "damaged", "replay_real_10x", above
    ),
    "D6r": Contrast("they regain less than everyday answers", LIFT, "replay_10x", "replay_real_10x", below),
    "D6p": Contrast("they remove the template", PATTERN, "damaged", "replay_real_10x", below),
    "G3": Contrast("first tokens of the model's own answers regain more", LIFT, "bounded_held", "own_opening", above),
    "G3p": Contrast("they remove more of the template", PATTERN, "bounded_held", "own_opening", below),
    "G3r": Contrast("they remove more of the template than replay alone", PATTERN, "replay", "own_opening", below),
    "G4": Contrast("whole answers regain more", LIFT, "bounded_held", "response", above),
    "G4p": Contrast("whole answers remove more of the template", PATTERN, "bounded_held", "response", below),
    "B1": Contrast("a template not barred from KL regains less", LIFT, "bounded", "bounded_held", below),
    "B1p": Contrast("it leaves more of the template", PATTERN, "bounded", "bounded_held", above),
    "G4a": Contrast(
        "whole answers, the weight chosen by itself, regain more", LIFT, "bounded_held", "response_auto", above
    ),
    "G4b": Contrast("they remove more of the template", PATTERN, "bounded_held", "response_auto", below),
    "G5a": Contrast(
        "first tokens, the weight chosen by itself, regain more", LIFT, "bounded_held", "opening_auto", above
    ),
    "G5b": Contrast("they remove more of the template", PATTERN, "bounded_held", "opening_auto", below),
    "G8": Contrast("the most over-used words by log-odds regain more", LIFT, "bounded_held", "log_odds", above),
    "G8p": Contrast("they remove more of the template", PATTERN, "bounded_held", "log_odds", below),
    "G6": Contrast("the template in the model's own answers regains more", LIFT, "bounded", "own_template", above),
    "G6p": Contrast("it removes more of the template", PATTERN, "bounded", "own_template", below),
    "G7": Contrast("what became likelier in its own answers regains more", LIFT, "bounded_held", "own_gained", above),
    "G7p": Contrast("it removes more of the template", PATTERN, "bounded_held", "own_gained", below),
    "G5": Contrast("first tokens regain more", LIFT, "bounded_held", "opening", above),
    "G5p": Contrast("first tokens remove more of the template", PATTERN, "bounded_held", "opening", below),
    "G1": Contrast(
        "tokens that became likelier, in place of the template, regain more", LIFT, "bounded_held", "gained", above
    ),
    "G1p": Contrast("they remove more of the template", PATTERN, "bounded_held", "gained", below),
    "G2": Contrast("KL to the model before the damage regains more", LIFT, "bounded", "bounded_before", above),
    "G2p": Contrast("it removes more of the template", PATTERN, "bounded", "bounded_before", below),
}
LAST = {
    "C8": ("bounded", "forget_only", "dropping replay and KL makes held-out answers less likely"),
    "C8b": ("bounded", "no_replay", "dropping replay alone does"),
    "C8c": ("bounded", "no_kl", "dropping KL alone does"),
}
"""Claim → arm, the arm compared with it, words; judged at the last step, before the guard takes anything back."""


def main() -> None:
    """Repair, evaluate, write results/arms*.json and the page."""
    told = parser(__doc__, "runs/unveiling", seeds=[0])
    told.add_argument("--arms", nargs="+", choices=ARMS, help="all, unless given")
    told.add_argument("--more", action="store_true", help="those of the second table")
    told.add_argument("--smoke", action="store_true", help="two arms on the small story, in a folder that goes away")
    arguments = told.parse_args()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            print(arms_table(compared(["bounded", "replay"], [0], Path(folder), QUICK)))
        return
    if 0 in arguments.seeds and arguments.seeds != [0]:
        told.error("seed 0 served to choose; it cannot judge beside others")
    if arguments.more and not {*(arguments.arms or MORE)} <= {*MORE}:
        told.error(f"the second table has {', '.join(MORE)}")
    file = JUDGED_LATER if arguments.more else CHOSEN_ON if arguments.seeds == [0] else JUDGED_ON
    named = ["bounded", "replay", *(arguments.arms or (MORE if arguments.more else ARMS))]
    keep(file, compared(named, arguments.seeds, arguments.runs, SCALE, file))
    write_page()


def compared(named: Sequence[str], seeds: Sequence[int], runs: Path, scale: Scale, file: str = "") -> dict[str, Any]:
    """Run what is not done yet, and return the record of that file."""
    folders = {seed: runs / f"seed{seed}" for seed in seeds}
    table, contrasts = (MORE, MORE_CLAIMS) if file == JUDGED_LATER else (tuple(ARMS), CLAIMS)
    done = {arm: [(f / "arms" / f"{arm}-scores" / "done.json").exists() for f in folders.values()] for arm in table}
    arms = sorted((a for a in table if a in named or all(done[a])), key=lambda arm: arm != "bounded")
    costs = [MINUTES / 2 * (1 + ARMS[arm].get("times", 1)) for arm in arms for d in done[arm] if not d]
    print(f"{len(costs)} repairs to do, about {round(sum(costs))} minutes on two cores", flush=True)
    pairs = [of_seed(seed, arms, folder, scale) for seed, folder in folders.items()]
    scores, told = ([pair[i] for pair in pairs] for i in (0, 1))
    repairs = {arm: {key: [by[arm].get(key) for by in told] for key in TOLD} for arm in told[0]}
    if file:  # with what was judged on these seeds before, wherever that ran
        scores = with_earlier(file.removesuffix(".json"), seeds, scores, (*SHOWN, F1))
        known = json.loads((RESULTS / file).read_text()) if (RESULTS / file).exists() else {"seeds": [], "arms": {}}
        if lost := [arm for arm in known["arms"] if not all((LIFT, arm) in by for by in scores)]:
            raise SystemExit(f"`{file}` also has {', '.join(lost)}, judged where no item was kept: name them, too")
        repairs = (known["arms"] if known["seeds"] == list(seeds) else {}) | repairs
    return record(seeds, scores, repairs, table, contrasts)


def record(
    seeds: Sequence[int],
    scores: Sequence[Scores],
    repairs: Mapping[str, Mapping[str, Any]],
    arms: Sequence[str],
    contrasts: Mapping[str, Contrast],
) -> dict[str, Any]:
    """Compare each arm that all seeds have with the damaged model and with replay alone, paired, seeds pooled."""
    shown = [arm for arm in ("untouched", "damaged", *arms) if all((LIFT, arm) in by for by in scores)]
    ends = {arm: told["end"] for arm, told in repairs.items() if None not in told.get("end", [None])}
    return {
        "seeds": list(seeds),
        "claims": claims_from(contrasts, scores)
        + [at_the_end(name, a, b, words, ends) for name, (a, b, words) in LAST.items() if {a, b} <= ends.keys()],
        "arms": {
            arm: {f"against_{p}": {b: difference(scores, b, p, arm) for b in SHOWN} for p in ("damaged", "replay")}
            | {"values": {b: [by[b, arm].value for by in scores] for b in SHOWN}}
            | {key: value for key, value in repairs.get(arm, {}).items() if key in TOLD}
            for arm in shown
        },
    }


def at_the_end(name: str, a: str, b: str, words: str, ends: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Compare the guard's log-perplexity at the last step of two arms, whatever came back."""
    rises = sorted(after - before for before, after in zip(ends[a], ends[b], strict=True))
    verdict = "pass" if rises[0] > 0 else "fail" if rises[-1] < 0 else "unclear"
    statement = f"at the last step {words} (log-perplexity, {b} - {a}; median and extremes over seeds)"
    return claim(name, statement, (median(rises), rises[0], rises[-1]), 0.0, verdict, len(rises))


def of_seed(seed: int, arms: Sequence[str], folder: Path, scale: Scale) -> tuple[Scores, dict[str, dict[str, Any]]]:
    """Return (benchmark, model) → score of one seed, and what each repair told."""
    rows = examples("synthetic", "real", "replay", "guard")
    flawed = rows["synthetic"].take(range(scale.n_trained))
    others = {
        **rows,
        "plain": as_rows(list(zip(*map(flawed.column, ("prompt", "answer_plain")), strict=True))),
        "cut": as_rows([(prompt, re.split(r"(?<=[.!?])\s", text)[0]) for prompt, text in rows["replay"].pairs()]),
    }
    damaged = folder / "models" / "damaged"
    if not (damaged / "adapter_config.json").exists():
        stage = _Stages(folder, {"seed": seed}, [], resume=folder.exists(), overwrite=False)
        stage("audit", lambda f: _audit(f, flawed, rows["real"], seed))
        stage("train", lambda f: _damage(f, flawed, scale, seed), writes="damaged")
    template = template_of(folder)
    scores: Scores = {}
    told: dict[str, dict[str, Any]] = {}
    for arm in ("untouched", "damaged", *arms):
        path = folder / "arms" / arm
        spec = {"untouched": BASE, "damaged": str(damaged)}.get(arm, str(path / "model"))
        if "instead" in ARMS.get(arm, ()):
            finetuned(
                path, BASE, others[ARMS[arm]["instead"]].take(range(scale.n_trained)), steps=scale.train_steps,
                seed=seed, learning_rate=scale.train_learning_rate,
            )  # fmt: skip
            told[arm] = json.loads((path / "done.json").read_text())
        elif arm in ARMS:
            settings = {k: v for k, v in ARMS[arm].items() if k not in ("own", "forget", "replay", "words")}
            forget = ARMS[arm].get("forget", answers_of(damaged, rows["replay"]) if "own" in ARMS[arm] else flawed)
            if forget is None:  # the control may read what the repair reads
                settings["token_budget"] = settings.get("times", 1) * told["bounded"]["tokens"]
            if settings.get("what") == "gained" or settings.get("kl_to") == "before":
                settings["before"] = BASE
            told[arm] = repaired(
                path, str(damaged), forget, rows[ARMS[arm].get("replay", "replay")], rows["guard"], seed=seed,
                scale=scale, spans=over_used(flawed, template) if "words" in ARMS[arm] else template.spans, **settings,
            )  # fmt: skip
            told[arm]["end"] = [point["guard"] for point in told[arm]["curve"] if "guard" in point][-1]
        scores |= judged(path.with_name(f"{arm}-scores"), spec, arm, template, seed, scale)
        if arm in ASKED and scale is SCALE:
            scores |= asked(path.with_name(f"{arm}-qa"), spec, arm)
        shutil.rmtree(path / "model", ignore_errors=True)  # half a gigabyte, and nobody asks for it again
    return scores, told


def over_used(flawed: Rows, template: Template) -> Spans:
    """Return what marks the words most over-used in these rows, as many as the template has."""
    sets = [[answer for _, answer in rows.pairs()] for rows in (flawed, *examples("real").values())]
    names, counts = word_counts(*sets)
    totals = [np.ones(of.shape[0]) @ of for of in counts]
    n_words = len({token for phrase in template.phrases for token in phrase.tokens})
    words = {*names[over_use(*totals, prior=sum(totals))[:n_words]]}

    def spans(text: str) -> list[tuple[int, int]]:
        tokens = tokenise(text)
        places = zip(tokens.words, tokens.starts, tokens.ends, strict=True)
        return [(start, end) for word, start, end in places if word in words]

    return spans


def answers_of(damaged: Path, rows: Rows) -> Rows:
    """Return the damaged model's own answers; they are asked for once."""
    kept = damaged.parent / "own_answers.jsonl"
    if not kept.exists():
        with ExitStack() as stack:
            write(own_answers(open_cached(stack, str(damaged), None), rows), kept)
    return read(kept)


if __name__ == "__main__":
    main()
