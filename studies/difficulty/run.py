"""Do levels of difficulty, found on a test set, hold for models that never saw it? And what do they train?

    pip download --no-deps --no-binary :all: bigbench==1.0.0
    python studies/labelled/sources.py FOLDER --out sets/labelled          # for `films`
    python studies/difficulty/run.py FOLDER sets/labelled                  # hours; goes on where it stopped
    python studies/difficulty/page.py

Two sets: `vitaminc`, claims with a passage that supports, refutes or does not settle them (bigbench, 54,668 pairs),
seen whole and by the claim alone; `films` (studies/labelled), whole and by three words of each.

levels    600 test rows are graded by MiniLM that learns them. Of `vitaminc` it has learnt 20,000 other pairs before,
          since 600 teach it no such task, only the labels by heart. Twelve per cent of the labels are turned round
          beforehand in a second grading of the same rows. An independent MiniLM learns other rows (20,000 that the
          grader never saw; of the others, 1,300), whole ones and the partial view, and is asked about each level; of
          `vitaminc` the same one for all seeds. So are other families: logistic regression on `potion`'s static
          vectors, and with --smollm2 SmolLM2-135M with a head, after 600 rows, too few for `vitaminc`.
subsets   1,200 other rows are graded; MiniLM learns easy, ambiguous, hard ones, unions, all, and as many drawn at
          random as each of those, for as many steps, and is asked about the test rows. Of `vitaminc` it goes on from
          the 20,000 pairs.

One line per result is added to results/levels.jsonl and results/subsets.jsonl; results/doses.jsonl says what the rows
before taught the grader. Where that is no more than the commonest label, nothing is graded.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.curate import difficulty, open_checker, view_of
from unflaw.data import ID, Rows, atomic_write, read
from unflaw.measure import LEVELS
from unflaw.models import open_classifier
from unflaw.train import label_ids, label_names, texts_of, train_classifier

__all__ = ["DOSES_FILE", "LEVELS_FILE", "SETS", "SUBSETS", "SUBSETS_FILE", "control"]

HERE = Path(__file__).parent
LEVELS_FILE, SUBSETS_FILE = HERE / "results" / "levels.jsonl", HERE / "results" / "subsets.jsonl"
DOSES_FILE = HERE / "results" / "doses.jsonl"
SETS = {"vitaminc": ("full", "hypothesis"), "films": ("full", "first:3")}
"""Set → its views."""
MODEL = "minilm"
N_TEST, N_SUBSETS, N_OTHER, NOISE = 600, 1200, 600, 0.12
N_BEFORE = {"vitaminc": 20_000, "films": 0}
N_TRAIN = {"vitaminc": 20_000, "films": 1_300}
"""Set → rows that the grader learns before it grades, and others that the independent model learns."""
N_STEPS = {"vitaminc": 1250, "films": 300}
RATE = {"vitaminc": 1e-4, "films": 2e-4}
"""Set → steps and rate at which both are learnt; results/doses.jsonl holds the ones that taught nothing, too."""
LEARN: dict[str, Any] = {"batch_size": 32, "max_tokens": 80, "precision": "bfloat16"}
GRADE = {**LEARN, "epochs": 6, "learning_rate": 2e-4}
SUBSET_STEPS, OTHER_STEPS, OTHER_RATE = 80, 40, 1e-4
SUBSETS = {
    "all": LEVELS, "easy": ("easy",), "ambiguous": ("ambiguous",), "hard": ("hard",), "easy+ambiguous": LEVELS[:2],
    "ambiguous+hard": LEVELS[1:], "easy+hard": ("easy", "hard"),
}  # fmt: skip


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where bigbench's archive is")
    parser.add_argument("sets", type=Path, help="what studies/labelled/sources.py wrote")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=("levels", "subsets"))
    parser.add_argument("--sets", default=",".join(SETS), dest="names")
    parser.add_argument("--regrade", action="store_true", help="grade again what is graded; other models stand")
    parser.add_argument("--smollm2", action="store_true", help="ask SmolLM2-135M about graded rows, minutes a seed")
    told = parser.parse_args()
    sys.path.append(str(HERE.parent / "labelled"))
    from rounding import quick_bfloat16

    _units = quick_bfloat16()  # for as long as it is held
    folder = told.folder / "difficulty"
    for seed in range(told.seeds):
        for name in told.names.split(","):
            rows = vitaminc(told.folder) if name == "vitaminc" else labelled(told.sets, name)
            if told.only != "subsets" and not _has(LEVELS_FILE, set=name, seed=seed):
                record = levels_of(name, rows, seed, folder)
                if record is not None:
                    _add(LEVELS_FILE, record)
            if told.regrade:
                amend(name, seed, partial(regrade, name, rows, seed, _grader(name, folder)))
            if told.smollm2:
                amend(name, seed, partial(ask_smollm2, name, rows, seed))
            if told.only != "levels":
                subsets_of(name, rows, seed, folder)


def vitaminc(folder: Path) -> Rows:
    """Return claims with their passages, in random order; those after the test share neither with it."""
    with tarfile.open(folder / "bigbench-1.0.0.tar.gz") as tar:
        file = next(tar.extractfile(m) for m in tar if m.name.endswith("vitaminc_fact_verification/task.json"))
        examples = json.loads(file.read())["examples"] if file is not None else []
    drawn = np.random.default_rng(0).permutation(len(examples))[
        : N_TEST + N_BEFORE["vitaminc"] + N_TRAIN["vitaminc"] + 8000
    ]
    records, seen = [], set()
    for at in drawn.tolist():
        premise, _, hypothesis = examples[at]["input"].rpartition("\nClaim: ")
        label = max(examples[at]["target_scores"], key=examples[at]["target_scores"].get)
        if premise and (premise, hypothesis) not in seen:
            seen.add((premise, hypothesis))
            records.append({"premise": premise, "hypothesis": hypothesis, "label": label})
    roles = {name: name for name in ("premise", "hypothesis", "label")}
    tested = {side for r in records[:N_TEST] for side in (r["premise"], r["hypothesis"])}
    others = [r for r in records[N_TEST:] if not {r["premise"], r["hypothesis"]} & tested]
    return Rows.from_records(records[:N_TEST] + others, roles, schema="premise/hypothesis/label")


def labelled(sets: Path, name: str) -> Rows:
    """Return texts of studies/labelled, those of the test first."""
    parts = [read(sets / name / f"{part}.jsonl") for part in ("test", "pool", "checker")]
    pairs = [pair for rows in parts for pair in zip(rows.column("text"), rows.column("label"), strict=True)]
    records = [{"text": text, "label": label} for text, label in pairs]
    return Rows.from_records(records, {"text": "text", "label": "label"}, schema="text/label")


def levels_of(name: str, rows: Rows, seed: int, folder: Path) -> dict[str, Any] | None:
    """Grade test rows, and ask models that learnt other rows about them; what is learnt once stays in `folder`.

    None where rows learnt before did not help: a grader that tells no more than the commonest label grades nothing.
    """
    labels, n_before, n_train = label_names(rows), N_BEFORE[name], N_TRAIN[name]
    ends = N_TEST, N_TEST + n_before, N_TEST + n_before + n_train
    if len(rows) < ends[-1]:
        raise SystemExit(f"{name} has {len(rows)} rows, and {ends[-1]} are wanted")
    test, before, train = (rows.take(range(a, b)) for a, b in zip((0, *ends[:-1]), ends, strict=True))
    grader, once, how = MODEL, None, {"steps": N_STEPS[name], "learning_rate": RATE[name]}
    if n_before:
        once = _once(name, folder)
        told = learnt(before, test, labels, 0, kept=once / "grader", **how)
        grader = _grader(name, folder)
        dose = {"set": name, "n": n_before, **how, "n_test": len(test), **_share_told(test, labels, told)}
        if not _has(DOSES_FILE, set=name, n=n_before, **how):
            _add(DOSES_FILE, dose)
        if dose["low"] <= dose["commonest"]:
            print(f"{name}: {n_before} rows taught no more than the commonest label: {dose}; not graded", flush=True)
            return None
    record: dict[str, Any] = {
        "set": name, "seed": seed, "n": len(test), "n_before": n_before, "n_train": len(train),
        **graded(name, test, seed, grader),
    }  # fmt: skip
    record["y"] = label_ids(test, labels).tolist()
    record["independent"] = {
        view: learnt(view_of(train, view, seed), view_of(test, view, seed), labels, 0 if once else seed,
                     kept=once and once / view.replace(":", "-"), **how)
        for view in SETS[name]
    }  # fmt: skip
    record["others"] = {"potion": probed(train, test, labels)}
    print(name, seed, record["told"], record["stability"], flush=True)
    return record


def graded(name: str, test: Rows, seed: int, grader: str) -> dict[str, Any]:
    """Grade test rows, as they are and with some labels turned round."""
    found = difficulty(test, model=grader, views=SETS[name], seed=seed, **GRADE)
    by = {f.check: f for f in found.findings}
    labels, rng = label_names(test), np.random.default_rng(seed)
    wrong = rng.random(len(test)) < NOISE
    names = [
        str(rng.choice([v for v in labels if v != label])) if bad else label
        for label, bad in zip(test.column("label"), wrong, strict=True)
    ]
    noisy = difficulty(test.with_column("label", names, "label"), model=grader, views=SETS[name], seed=seed, **GRADE)
    return {
        "level": [LEVELS.index(v) for v in found.level], "stability": found.stability,
        "repeats_labels": by["difficulty.labels"].value, "told": by["difficulty.told"].evidence["told"],
        "artefacts": by["difficulty.artefacts"].evidence["told_by"] if "difficulty.artefacts" in by else None,
        "surface": by["difficulty.surface"].evidence["easy_over_hard"] if "difficulty.surface" in by else None,
        "wrong": wrong.astype(int).tolist(), "noisy_level": [LEVELS.index(v) for v in noisy.level],
    }  # fmt: skip


def amend(name: str, seed: int, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what is told of a set and seed, where there is anything."""
    records = _read(LEVELS_FILE)
    for at, record in enumerate(records):
        if (record["set"], record["seed"]) == (name, seed):
            records[at] = {**record, **change(record)}
            with atomic_write(LEVELS_FILE) as file:
                file.writelines(json.dumps(of) + "\n" for of in records)
            print(name, seed, f"stability {records[at]['stability']:.2f}, asked {sorted(record['others'])}", flush=True)


def regrade(name: str, rows: Rows, seed: int, grader: str, _: dict[str, Any]) -> dict[str, Any]:
    """Return what the grader says now; what other models told stays."""
    return graded(name, rows.take(range(N_TEST)), seed, grader)


def ask_smollm2(name: str, rows: Rows, seed: int, record: dict[str, Any]) -> dict[str, Any]:
    """Train SmolLM2 with a head on rows the grader never saw, and return what a record says of others then."""
    if "smollm2" in record["others"]:
        return {}
    first = N_TEST + N_BEFORE[name]
    test, train = rows.take(range(N_TEST)), rows.take(range(first, first + N_OTHER))
    told = learnt(train, test, label_names(rows), seed, "smollm2", steps=OTHER_STEPS, learning_rate=OTHER_RATE)
    return {"others": {**record["others"], "smollm2": told}}


def _once(name: str, folder: Path) -> Path:
    """Return where what is learnt once of a set is kept; learnt otherwise, it is another one."""
    return folder / f"{name}-{N_STEPS[name]}-{RATE[name]:g}"


def _grader(name: str, folder: Path) -> str:
    """Return the model that grades a set: one that has learnt rows before, where it must."""
    if not N_BEFORE[name]:
        return MODEL
    if not (_once(name, folder) / "grader").exists():
        raise SystemExit(f"{_once(name, folder) / 'grader'} is not there yet; run the levels of {name} first")
    return f"hf:{_once(name, folder) / 'grader'}"


def subsets_of(name: str, rows: Rows, seed: int, folder: Path) -> None:
    """Train on rows of some levels, and on as many drawn at random; one line for each.

    Where rows were learnt before, training goes on from there, with rows that no model has learnt.
    """
    model, first = _grader(name, folder), N_TEST + (N_BEFORE[name] + N_TRAIN[name] if N_BEFORE[name] else 0)
    test, train = rows.take(range(N_TEST)), rows.take(range(first, min(len(rows), first + N_SUBSETS)))
    done = {part for part in (*SUBSETS, *map(control, SUBSETS)) if _has(SUBSETS_FILE, set=name, seed=seed, subset=part)}
    if done >= {*SUBSETS, *(control(s) for s in SUBSETS if s != "all")}:
        return
    level = difficulty(train, model=model, views=SETS[name], seed=seed, **GRADE).level
    labels, rng = label_names(rows), np.random.default_rng(seed)
    y = label_ids(test, labels).tolist()
    for subset, levels in SUBSETS.items():
        kept = [k for k, v in enumerate(level) if v in levels]
        drawn = rng.permutation(len(train))[: len(kept)].tolist()  # whatever was done before: the same rows
        for part, at in {subset: kept, **({} if subset == "all" else {control(subset): drawn})}.items():
            if part in done:
                continue
            learnable = len({train.column("label")[k] for k in at}) > 1
            how = {"steps": SUBSET_STEPS, "learning_rate": RATE[name]}
            told = learnt(train.take(at), test, labels, seed, model, **how) if learnable else None
            _add(SUBSETS_FILE, {"set": name, "seed": seed, "subset": part, "n": len(at), "y": y, "answers": told})


def control(subset: str) -> str:
    """Name the rows drawn at random beside a subset."""
    return f"random, as many as {subset}"


def learnt(
    rows: Rows, test: Rows, labels: Sequence[str], seed: int, model: str = MODEL, kept: Path | None = None, **how: Any
) -> list[int]:
    """Train on rows, unless `kept` holds what was trained; return the class told for each test row."""
    filled = [_filled(of) for of in (rows, test)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = kept or Path(scratch) / "model"
        if not folder.exists():
            new = folder.with_name(f"{folder.name}.new")
            train_classifier(model, filled[0], new, labels=labels, seed=seed, **{**LEARN, **how})
            new.rename(folder)
        asked = open_classifier(f"hf:{folder}", max_tokens=LEARN["max_tokens"])
        told = asked.predict_proba(texts_of(filled[1])).argmax(axis=1)
    return [list(labels).index(asked.labels[k]) for k in told]


def _share_told(test: Rows, labels: Sequence[str], told: Sequence[int]) -> dict[str, float]:
    """Return the share of test rows told right, its interval (normal, 95 %), and that of the commonest label."""
    y = label_ids(test, labels)
    share = float((y == np.array(told)).mean())
    reach = 1.96 * (share * (1 - share) / len(y)) ** 0.5
    return {"accuracy": share, "low": share - reach, "high": share + reach, "commonest": np.bincount(y).max() / len(y)}


def probed(rows: Rows, test: Rows, labels: Sequence[str]) -> list[int]:
    """Learn from fixed vectors; return the class told for each test row."""
    return open_checker("probe:potion", labels)(rows)(test).argmax(axis=1).tolist()


def _filled(rows: Rows) -> Rows:
    """Give rows that a view left empty a mark, and equal texts ids of their own."""
    if not rows.has("text"):
        return rows
    pairs = zip(rows.ids, rows.column("text"), rows.column("label"), strict=True)
    records = [{ID: i, "text": t if t.strip() else "…", "label": v} for i, t, v in pairs]
    return Rows.from_records(records, {"text": "text", "label": "label"})


def _has(path: Path, **wanted: Any) -> bool:
    return any(all(record[k] == v for k, v in wanted.items()) for record in _read(path))


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _add(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
