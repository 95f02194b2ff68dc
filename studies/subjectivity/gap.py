"""Does text that a language model wrote replace people's less, the more a task rests on opinion?

    python studies/labelled/sources.py FOLDER --out sets/labelled   # real rows of seven tasks, topics to opinions
    python studies/subjectivity/gap.py sets/labelled                # hours on two cores; goes on where it stopped
    python studies/subjectivity/gap_page.py                         # the tables and claims.json

A classifier learns from as many rows that people wrote, or that SmolLM2-135M wrote zero-shot or few-shot
(studies/labelled/data), and is asked about real rows it has not seen. With three seeds or more each; one line per
classifier is added to results/gap.jsonl, with the class told for each test row.

How subjective a task is comes from three sides, each called what it is: `annotators`, 1 - agreement above chance of
the people who labelled its test rows, where several did; `classifier`, the trained score that ships with unflaw, over
its real rows; `panel`, 1 - agreement of four votes of SmolLM2 on 60 of them. Diversity is of as many rows of a kind.
Fidelity is how many labels of written rows, and of real ones not seen, a logistic regression of real rows tells.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from unflaw.audit import SubjectivityCheck, audit
from unflaw.curate import split
from unflaw.data import Rows, atomic_write, read
from unflaw.generate import read_task, vote
from unflaw.measure import agreement, chamfer, label_counts, remote_clique, top_similarity
from unflaw.models import CallCache, cached, open_classifier, open_encoder, open_generator
from unflaw.train import label_ids, label_names, texts_of, train_classifier

__all__ = ["RESULTS", "TASKS", "WAYS", "records"]

HERE = Path(__file__).parent
LABELLED = HERE.parent / "labelled"
RESULTS, TRAITS = HERE / "results" / "gap.jsonl", HERE / "results" / "traits.json"
TASKS = ("news", "intents", "plots", "films", "wares", "tweets", "editorials")
WAYS = ("real", "zero", "few")
HOW: dict[str, Any] = {
    "steps": 40, "batch_size": 32, "learning_rate": 2e-4, "max_tokens": 64, "precision": "bfloat16",
}  # fmt: skip
N_VOTED, N_VOTES = 60, 4


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--no-panel", action="store_true", help="leave out the votes of the language model")
    told = parser.parse_args()
    sys.path.append(str(LABELLED))
    from rounding import quick_bfloat16

    _units = quick_bfloat16()  # for as long as it is held
    tasks = [task for task in told.tasks.split(",") if _is_written(task)]
    done = {(r["task"], r["way"], r["seed"]) for r in records()}
    for seed in range(told.seeds):
        for task in tasks:
            for way in WAYS:
                if (task, way, seed) not in done:
                    one(told.sets, task, way, seed, told.model)
    traits = json.loads(TRAITS.read_text()) if TRAITS.exists() else {}
    for task in tasks:
        if task not in traits or ("panel" not in traits[task]["subjectivity"] and not told.no_panel):
            traits[task] = traits_of(told.sets, task, panel=not told.no_panel)
            with atomic_write(TRAITS) as file:
                json.dump(traits, file, indent=1)
            print(task, traits[task], flush=True)


def records() -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def _is_written(task: str) -> bool:
    missing = [way for way in WAYS[1:] if not (LABELLED / "data" / f"{task}-{way}.jsonl.gz").exists()]
    if missing:
        print(f"{task}: left out, as nobody has written it {' or '.join(missing)}-shot yet (studies/labelled/write.py)")
    return not missing


def rows_of(sets: Path, task: str, way: str, n: int, seed: int) -> Rows:
    """Return n rows of a kind, labels in proportion; of real ones those of the pool."""
    source = sets / task / "pool.jsonl" if way == "real" else LABELLED / "data" / f"{task}-{way}.jsonl.gz"
    rows = read(source)
    return rows.only(split(rows, {"kept": n}, seed=seed)["kept"])


def size_of(sets: Path, task: str) -> int:
    """Return the number of rows that there are of every kind."""
    return min(
        len(read(sets / task / "pool.jsonl")),
        *(len(read(LABELLED / "data" / f"{task}-{w}.jsonl.gz")) for w in WAYS[1:]),
    )


def one(sets: Path, task: str, way: str, seed: int, model: str) -> None:
    """Train and ask one classifier, and write what it told."""
    rows = rows_of(sets, task, way, size_of(sets, task), seed)
    validation, test = (read(sets / task / f"{part}.jsonl") for part in ("validation", "test"))
    labels = label_names(test)
    y = label_ids(test, labels)
    with tempfile.TemporaryDirectory() as folder:
        made = train_classifier(model, rows, folder, validation=validation, labels=labels, seed=seed, **HOW)
        asked = open_classifier(f"hf:{folder}", max_tokens=HOW["max_tokens"])
        p = asked.predict_proba(texts_of(test))
    told = np.array([labels.index(asked.labels[k]) for k in p.argmax(axis=1)])
    record = {
        "task": task, "way": way, "seed": seed, "n": len(rows), "model": model, "classes": len(labels),
        "seconds": round(made.seconds, 1), "y": "".join(map(str, y)), "told": "".join(map(str, told)),
    }  # fmt: skip
    with open(RESULTS, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(task, way, seed, f"{(told == y).mean():.3f}", f"{made.seconds:.0f} s", flush=True)


def traits_of(sets: Path, task: str, *, panel: bool) -> dict[str, Any]:
    """Return how subjective a task is, from each side, and how diverse rows of each kind are."""
    test = read(sets / task / "test.jsonl")
    found: dict[str, Any] = {"subjectivity": {}}
    by = {f.check: f for f in audit(test, checks=[SubjectivityCheck()]).findings}
    if "subjectivity.score" in by:
        found["subjectivity"]["classifier"] = by["subjectivity.score"].value
    if "annotations" in test.table.column_names:
        agreed = agreement(label_counts(test.column("annotations")))
        found["subjectivity"]["annotators"] = float(1 - np.nanmean(agreed))
        found["agreement"] = [round(float(a), 4) for a in agreed]
    if panel:
        task_file = read_task(LABELLED / "tasks" / f"{task}.yaml")
        voted = read(sets / task / "test.jsonl", limit=N_VOTED).without_column("annotations")
        with CallCache(sets / "calls.sqlite") as cache:
            generator = cached(open_generator("smollm2"), cache, name="smollm2")
            votes = vote(voted, task_file, {"smollm2": generator}, votes=N_VOTES)
        agreed = agreement(label_counts(votes.annotations), n_labels=len(task_file.labels))
        found["subjectivity"]["panel"] = float(1 - np.nanmean(agreed))
        right = [v == told for told, row in zip(voted.column("label"), votes.annotations, strict=True) for v in row]
        found["panel_right"] = float(np.mean(right))
    encoder, n = open_encoder("minilm"), size_of(sets, task)
    vectors = {way: encoder.encode(rows_of(sets, task, way, n, 0).column("text")).astype(np.float64) for way in WAYS}
    other = encoder.encode(test.column("text")).astype(np.float64)  # not those that the writer was shown
    known = [read(sets / task / f"{part}.jsonl") for part in ("checker", "pool")]
    texts, labels = ([v for rows in known for v in rows.column(name)] for name in ("text", "label"))
    judge = LogisticRegression(C=10.0, max_iter=1000).fit(encoder.encode(texts), labels)
    found["fidelity"] = {"real": float(judge.score(other, test.column("label")))}
    for way in WAYS[1:]:
        found["fidelity"][way] = float(judge.score(vectors[way], rows_of(sets, task, way, n, 0).column("label")))
    found["diversity"] = {
        way: {
            "remote_clique": remote_clique(x), "chamfer": chamfer(x),
            "similarity": float(top_similarity(other, x, 5).mean()),
        }
        for way, x in vectors.items()
    }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
