"""What weights do for a classifier, on rows that a language model wrote and on rows with known flaws.

    python studies/labelled/sources.py FOLDER --out sets/labelled        # real rows of seven tasks
    python studies/weights/run.py sets/labelled --tune                   # rates of the two bilevel arms
    python studies/weights/run.py sets/labelled --time                   # what weights cost; nothing else may run
    python studies/weights/run.py sets/labelled                          # hours on two cores; goes on where it stopped
    python studies/weights/page.py                                       # the page and claims.json

Synthetic rows of a run, by its condition:

    written         what SmolLM2-135M wrote, zero-shot and few-shot (studies/labelled/data)
    noise-R         300 real rows, a share R of the labels replaced by another
    duplicates      200 real rows, a fifth of the labels wrong, and 10 rows, half of them wrong, ten times more
    imbalance       300 real rows, one label with a tenth of its share
    shifted         300 real rows of another task with the same labels: other texts

    few-N           as written, with a checker that saw N real rows only
    potion          as written, with a checker of fixed static vectors, a twentieth of a second's work

Each is weighed by checkers that learnt from the real rows of `checker`, and arms of `unflaw.train.train_arms` learn
from it with as many steps; `validation` chooses the epoch, `test` is asked once at the end. One line per arm is added
to results/arms.jsonl: the class told for each test row, seconds, and how well the weights find rows that are known to
be wrong.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.curate import split, weigh
from unflaw.data import ID, Rows, read
from unflaw.measure import auc
from unflaw.models import open_classifier
from unflaw.train import ARMS, label_ids, label_names, texts_of, train_arms, train_classifier

__all__ = ["CONDITIONS", "RESULTS", "TASKS", "synthetic_rows"]

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "arms.jsonl"
WRITTEN = HERE.parent / "labelled" / "data"
TASKS = ("films", "tweets", "plots")
LIVE = ("plain", "imp", "dimp")
CONDITIONS = {
    "written": ("plain", "quality", "imp", "dimp", "filter", "real", "mix", "focal", "after", "hu", "sungen"),
    "noise-0.2": ("plain", "quality", "imp", "dimp", "filter", "mix", "focal", "after", "hu", "sungen"),
    "noise-0": LIVE, "noise-0.4": LIVE, "duplicates": ("plain", "quality", "imp", "dimp"),
    "imbalance": ("plain", "quality", "imp", "dimp", "balanced"),
    "shifted": ("plain", "dimp"), "few-30": ("dimp", "real"), "few-100": ("dimp", "real"),
    "potion": ("dimp",),
}  # fmt: skip
"""Condition → arms, the costly ones where they matter most; real rows alone, once for each number of them."""
WEIGHED = {"quality", "imp", "dimp", "filter"}
"""Arms that read weights."""
OTHER = {"films": "wares", "tweets": "films"}
"""Task → the one with the same labels whose texts are taken in its place."""
N_ROWS, SEEDS = 300, 5
SHARED: dict[str, Any] = {"batch_size": 32, "learning_rate": 2e-4, "max_tokens": 48, "precision": "bfloat16"}
"""One precision for all arms, on a processor without units for it as well: see studies/labelled/rounding.py."""
ARM, CHECKER = {**SHARED, "steps": 40}, {**SHARED, "epochs": 4.0}
BILEVEL = ("hu", "sungen")
RATES, TUNED = (0.01, 0.03, 0.1, 0.3, 1.0), HERE / "results" / "tuned.jsonl"
"""Rates at which `hu` and `sungen` may learn weights, and what validation rows say of each: `--tune`."""
TUNING_SEED = 100
TIMED, N_TIMED, TIMES = "films", 3, HERE / "results" / "times.jsonl"


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--checker", default="minilm")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--conditions", default=",".join(CONDITIONS))
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tune", action="store_true", help="choose the rates of hu and sungen, on other seeds")
    parser.add_argument("--time", action="store_true", help="measure what weights cost, side by side")
    told = parser.parse_args()
    sys.path.append(str(HERE.parent / "labelled"))
    from rounding import quick_bfloat16

    _units = quick_bfloat16()  # for as long as it is held
    if told.tune:
        return tune(told.sets, told.tasks.split(","), told.model)
    if told.time:
        return timed(told.sets, told.model, told.checker)
    done = {(r["task"], r["condition"], r["seed"], r["arm"]) for r in records()}
    for seed in range(told.seeds):
        for condition in told.conditions.split(","):
            for task in told.tasks.split(","):
                if condition == "shifted" and task not in OTHER:
                    continue
                arms = [a for a in CONDITIONS[condition] if a in told.arms.split(",")]
                arms = [a for a in arms if (task, condition, seed, a) not in done]
                for arm in {*arms} & {*BILEVEL}:
                    rate_of(arm)  # or stop before anything is trained
                if arms:
                    one(told.sets, task, condition, seed, arms, told.model, told.checker)


def tune(sets: Path, tasks: list[str], model: str) -> None:
    """Train hu and sungen at every rate on rows a fifth of whose labels are wrong; write what validation rows say."""
    there = [json.loads(line) for line in TUNED.read_text().splitlines()] if TUNED.exists() else []
    for task in tasks:
        rows = synthetic_rows(sets, task, "noise-0.2", TUNING_SEED)
        real, validation = (read(sets / task / f"{name}.jsonl") for name in ("checker", "validation"))
        for arm in BILEVEL:
            for rate in RATES:
                if any((r["task"], r["arm"], r["rate"]) == (task, arm, rate) for r in there):
                    continue
                how = {**ARM, "meta_rate": rate, "seed": TUNING_SEED}
                with tempfile.TemporaryDirectory() as folder:
                    made = train_arms(model, rows, real, validation, folder, arms=[arm], **how)[arm]
                best = made.epochs[(made.best_epoch or 1) - 1]
                _add(
                    TUNED, {"task": task, "arm": arm, "rate": rate, "accuracy": best["accuracy"], "loss": best["loss"]}
                )
                print(task, arm, rate, best, flush=True)


def rate_of(arm: str) -> float:
    """Return the rate that validation rows liked most, over tasks; of equals that of least loss."""
    told = [json.loads(line) for line in TUNED.read_text().splitlines()] if TUNED.exists() else []
    by = {(r["task"], r["rate"]): (r["accuracy"], -r["loss"]) for r in told if r["arm"] == arm}
    tasks = {task for task, _ in by}
    if not tasks or any((task, rate) not in by for task in tasks for rate in RATES):
        raise SystemExit(f"{TUNED} does not hold every rate of {arm} yet; run with --tune first")
    return max(RATES, key=lambda rate: tuple(np.mean([by[task, rate] for task in tasks], axis=0)))


def timed(sets: Path, model: str, checker: str) -> None:
    """Train with and without weights in turns, 300 rows and 50 real ones, as many epochs each; write the seconds."""
    rows, real = (read(sets / TIMED / f"{part}.jsonl") for part in ("pool", "checker"))
    rows, real = (of.only(split(of, {"few": n}, seed=0)["few"]) for of, n in ((rows, N_ROWS), (real, 50)))
    for n in range(N_TIMED):
        spent: dict[str, float] = {"n": len(rows), "n_real": len(real)}
        for method, name in (("dimp", "quality"), ("imp", "weighing")):
            began = time.perf_counter()
            found = weigh(rows, real, method=method, checker=checker, check=False, **_training(checker, CHECKER))
            spent[name] = time.perf_counter() - began
        weighed = found.on(rows)
        of = {"plain": (weighed.without_column("weight"), "cross_entropy"), "imp": (weighed, "cross_entropy"),
              "dimp": (weighed, "dimp")}  # fmt: skip
        for arm in (*of, *reversed(of)) if n % 2 else (*reversed(of), *of):  # twice each, the machine's drift cancels
            with tempfile.TemporaryDirectory() as folder:
                made = train_classifier(model, of[arm][0], folder, objective=of[arm][1], **CHECKER)
            spent[arm] = spent.get(arm, 0.0) + made.seconds / 2
        _add(TIMES, spent)
        print(spent, flush=True)


def records() -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def one(sets: Path, task: str, condition: str, seed: int, arms: list[str], model: str, checker: str) -> None:
    """Run the arms of one condition, and write each."""
    parts = {name: read(sets / task / f"{name}.jsonl") for name in ("checker", "validation", "test")}
    rows = synthetic_rows(sets, task, condition, seed)
    real = parts["checker"]
    if condition.startswith("few-"):
        real = real.only(split(real, {"few": int(condition.removeprefix("few-"))}, seed=seed)["few"])
    checker = "probe:potion" if condition == "potion" else checker
    shared = {
        "task": task, "condition": condition, "seed": seed, "model": model, "checker": checker, "n": len(rows),
        "n_real": len(real),
    }  # fmt: skip
    weighed = rows
    if WEIGHED & {*arms}:
        began = time.perf_counter()
        method = "imp" if "imp" in CONDITIONS[condition] else "dimp"  # quality is all that the others read
        training = _training(checker, CHECKER if method == "imp" else ARM)  # 30 rows want more epochs
        found = weigh(rows, real, method=method, checker=checker, check=False, seed=seed, **training)
        weighed = found.on(rows)
        shared |= {"weighing_s": round(time.perf_counter() - began, 1), "auc": truth(rows, found)}
    labels = label_names(parts["test"])
    y = label_ids(parts["test"], labels)
    with tempfile.TemporaryDirectory() as folder:
        for arm in arms:
            how = {**ARM, "seed": seed, **({"meta_rate": rate_of(arm)} if arm in BILEVEL else {})}
            made = train_arms(model, weighed, real, parts["validation"], folder, arms=[arm], **how)[arm]
            asked = open_classifier(f"hf:{made.path}", max_tokens=SHARED["max_tokens"])
            p = asked.predict_proba(texts_of(parts["test"]))
            told = np.array([labels.index(asked.labels[k]) for k in p.argmax(axis=1)])
            record = {
                **shared, "arm": arm, "seconds": round(made.seconds, 1), "steps": made.steps, "classes": len(labels),
                "validation": [round(e["accuracy"], 4) for e in made.epochs],
                "y": "".join(map(str, y)), "told": "".join(map(str, told)),
            }  # fmt: skip
            _add(RESULTS, record)
            print(task, condition, seed, arm, f"{(told == y).mean():.3f}", f"{made.seconds:.0f} s", flush=True)


def _training(checker: str, how: dict[str, Any]) -> dict[str, Any]:
    return {} if checker.startswith("probe:") else how


def _add(path: Path, record: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def synthetic_rows(sets: Path, task: str, condition: str, seed: int) -> Rows:
    """Return the rows to weigh, with a column `wrong` where it is known which labels are."""
    rng = np.random.default_rng(seed)
    if condition in ("written", "potion") or condition.startswith("few-"):
        return _rows([r for mode in ("zero", "few") for r in _written(task, mode)])
    source = OTHER[task] if condition == "shifted" else task
    pool = read(sets / source / "pool.jsonl")
    labels = label_names(pool)
    drawn = [
        dict(zip(("text", "label"), r, strict=True))
        for r in zip(pool.column("text"), pool.column("label"), strict=True)
    ]
    drawn = [drawn[i] for i in rng.permutation(len(drawn))]
    if condition.startswith("noise-"):
        return _rows(_spoilt(drawn[:N_ROWS], float(condition.removeprefix("noise-")), labels, rng))
    if condition == "duplicates":
        base, few = _spoilt(drawn[:200], 0.2, labels, rng), _spoilt(drawn[200:210], 0.5, labels, rng)
        return _rows([*base, *({**r, "text": said} for r in few for said in _nearly(r["text"], 10, rng))])
    if condition == "imbalance":
        rare = labels[seed % len(labels)]
        kept = [r for r in drawn if r["label"] != rare or rng.random() < 0.1]
        return _rows([{**r, "wrong": False} for r in kept[:N_ROWS]])
    return _rows([{**r, "wrong": False} for r in drawn[:N_ROWS]])


def _written(task: str, mode: str) -> Iterator[dict[str, Any]]:
    with gzip.open(WRITTEN / f"{task}-{mode}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield {"text": row["text"], "label": row["label"]}


def _spoilt(
    rows: list[dict[str, Any]], share: float, labels: list[str], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Replace the labels of a share of the rows, as near as can be, by another drawn at random."""
    wrong = set(rng.permutation(len(rows))[: round(share * len(rows))].tolist())
    spoilt = []
    for k, row in enumerate(rows):
        others = [label for label in labels if label != row["label"]]
        label = others[int(rng.integers(len(others)))] if k in wrong else row["label"]
        spoilt.append({**row, "label": label, "wrong": k in wrong})
    return spoilt


def _nearly(text: str, n: int, rng: np.random.Generator) -> list[str]:
    """Return n copies of a text, each without another of its words."""
    words = text.split()
    order = rng.permutation(len(words))
    return [" ".join(w for k, w in enumerate(words) if k != order[copy % len(words)]) for copy in range(n)]


def _rows(records: list[dict[str, Any]]) -> Rows:
    named = [{ID: f"{k:05d}", **r} for k, r in enumerate(records)]
    return Rows.from_records(named, {"text": "text", "label": "label"})


def truth(rows: Rows, found: Any) -> dict[str, float] | None:
    """Return how often a right label outranks a wrong one, by quality and by weight; None where it is not known."""
    if "wrong" not in rows.table.column_names or not any(rows.column("wrong")):
        return None
    wrong = np.array(rows.column("wrong"))
    by = {"quality": found.quality, "weight": found.weight}
    return {name: round(auc(v[~wrong], v[wrong]), 4) for name, v in by.items() if v is not None}


if __name__ == "__main__":
    main()
