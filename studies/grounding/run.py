"""Does a passage hold its answer: by words (`qa.ungrounded`), by vectors, by neither (`grounding.*`)?

    python studies/audit_power/sources.py . --out sets      # once; see there
    python studies/grounding/run.py . sets                  # FOLDER of the archives, SETS
    python studies/grounding/run.py . sets --tune           # other splits, and nothing is kept

Real rows are dealt into two random halves, one of which plays the synthetic set. Clean halves give false alarms. Then
answers are exchanged: for those of other rows; for those of other rows whose every word the passage holds; for others
of the same passage; for the same answer in other words, which is no flaw: each word's nearest neighbour among the word
vectors of `potion` that begins otherwise. CoQA (bigbench, Apache-2.0) has answers in people's own words.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from unflaw import read
from unflaw.audit import Batch, GroundingCheck, default_checks
from unflaw.data import Rows, atomic_write
from unflaw.models import Encoder, open_encoder

HERE = Path(__file__).parent
SPLITS, TUNING = 20, 1000
DOSES = (0.02, 0.05, 0.1, 0.2)
COQA = "coqa_conversational_question_answering/coqa.test.json"
STOP = frozenset("the a an of in on at to and or for with by from is was were are be as its his her their it".split())
Exchange = Callable[[Rows, np.ndarray, np.random.Generator], list[str]]


def coqa(folder: Path) -> Rows:
    """Return questions of CoQA with people's own words for answers."""
    sys.path.insert(0, str(HERE.parent / "audit_power"))
    from sources import TASKS, member

    stories = json.loads(member(folder / "bigbench-1.0.0.tar.gz", f"{TASKS}/{COQA}"))["data"]
    records = [
        {"question": q["input_text"], "answer": a["input_text"], "context": story["story"]}
        for story in stories for q, a in zip(story["questions"], story["answers"], strict=True)
    ]  # fmt: skip
    kept = [r for r in records if r["answer"].strip() and r["question"].strip()]
    return Rows.from_records(kept, {"prompt": "question", "response": "answer", "context": "context"})


def of_others(rows: Rows, places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give rows the answers of each other."""
    said = rows.column("response")
    for i, text in zip(places, [said[j] for j in np.roll(places, 1)], strict=True):
        said[i] = text
    return said


def words_of_passage(rows: Rows, places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give rows answers to questions about other passages, of which this one holds every word."""
    said, passages = rows.column("response"), rows.column("context")
    answers = [frozenset(text.lower().split()) for text in said]
    new = list(said)
    for i in places:
        held = frozenset(passages[i].lower().replace(",", " ").replace(".", " ").split())
        for j in rng.permutation(len(said))[:500]:
            if passages[j] != passages[i] and answers[j] <= held and said[j] != said[i]:
                new[i] = said[j]
                break
    return new


def of_passage(rows: Rows, places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Give rows another answer about the same passage."""
    said, passages = rows.column("response"), rows.column("context")
    about: dict[str, list[int]] = {}
    for i, passage in enumerate(passages):
        about.setdefault(passage, []).append(i)
    new = list(said)
    for i in places:
        others = [j for j in about[passages[i]] if said[j] != said[i]]
        if others:
            new[i] = said[rng.choice(others)]
    return new


def other_words(rows: Rows, places: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Say answers of three words and more in other words."""
    said = rows.column("response")
    for i in places:
        if len(said[i].split()) >= 3:
            said[i] = " ".join(w if w.lower() in STOP or not w.isalpha() else near(w.lower()) for w in said[i].split())
    return said


@cache
def near(word: str) -> str:
    """Return the nearest word in the vectors of `potion` that begins otherwise."""
    names, number, x = vocabulary()
    if word not in number:
        return word
    best = np.argsort(-(x @ x[number[word]]))[1:8]
    return next((names[j] for j in best if names[j].isalpha() and names[j][:4] != word[:4]), word)


@cache
def vocabulary() -> tuple[dict[int, str], dict[str, int], np.ndarray]:
    """Return the word pieces of `potion`, their numbers, and their unit vectors."""
    model: Any = open_encoder("potion")._model  # type: ignore[attr-defined]
    number = model.tokenizer.get_vocab()
    x = np.asarray(model.embedding)
    return {i: w for w, i in number.items()}, number, x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)


EXCHANGES: dict[str, tuple[Exchange, Sequence[float]]] = {
    "answers of other rows": (of_others, DOSES),
    "answers of other rows, every word in the passage": (words_of_passage, (0.2, 0.5)),
    "other answers about the same passage": (of_passage, (0.2, 0.5)),
    "the same answers in other words (no flaw)": (other_words, (0.2, 1.0)),
}


def asked(rows: Rows, reference: Rows, seed: int, encoder: Encoder) -> dict[str, tuple[str, float, float]]:
    """Ask both checks: verdict, value, control."""
    qa = next(check for check in default_checks(seed) if check.name == "qa")
    found = []
    for check in (qa, GroundingCheck(seed=seed)):
        mine, real = (check.summarise(known(of, encoder)) for of in (rows, reference))
        found += check.conclude(mine, real, (real, real), None)
    told = {f.check: (f.verdict, round(f.value, 4), round(f.control or 0.0, 4)) for f in found}
    return {c: told[c] for c in ("qa.ungrounded", "grounding.passage", "grounding.neither")}


def known(rows: Rows, encoder: Encoder) -> Batch:
    """Return the rows with the vectors of what they say."""
    asked_, answered, about = (encoder.encode(rows.column(role)) for role in ("prompt", "response", "context"))
    return Batch(rows, rows.texts(), pair_embeddings=(asked_, answered), context_embeddings=about)


def halves(rows: Rows, side: int, seed: int) -> tuple[Rows, Rows]:
    """Deal rows into two."""
    order = np.random.default_rng(seed).permutation(len(rows))[: 2 * side]
    return rows.take(order[:side].tolist()), rows.take(order[side:].tolist())


def main() -> None:
    """Ask, count, write results/grounding.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--tune", action="store_true")
    told = parser.parse_args()
    seeds, encoder = range(TUNING, TUNING + SPLITS) if told.tune else range(SPLITS), open_encoder("potion")
    squad = read(told.sets / "squad.jsonl")
    record: dict[str, Any] = {"splits": SPLITS, "clean": {}, "exchanged": {}}
    for name, rows, side in (("squad", squad, 1000), ("squad", squad, 300), ("coqa", coqa(told.folder), 1000)):
        outcomes = [asked(*halves(rows, side, seed), seed, encoder) for seed in seeds]
        record["clean"][f"{name}, {side} rows a side"] = summary(outcomes)
        for what, (exchange, doses) in EXCHANGES.items() if name == "squad" else ():
            for dose in doses:
                outcomes = []
                for seed in seeds[:10]:
                    rng = np.random.default_rng([seed, 17])
                    mine, real = halves(rows, side, seed)
                    said = exchange(mine, rng.permutation(side)[: round(dose * side)], rng)
                    outcomes.append(asked(mine.with_column(mine.roles["response"], said), real, seed, encoder))
                record["exchanged"].setdefault(f"{what}, {side} rows a side", {})[str(dose)] = summary(outcomes)
                print(name, side, what, dose, summary(outcomes), flush=True)
    print(json.dumps(record["clean"], indent=1))
    if not told.tune:
        with atomic_write(HERE / "results" / "grounding.json") as file:
            json.dump(record, file, indent=1)


def summary(outcomes: Sequence[dict[str, tuple[str, float, float]]]) -> dict[str, Any]:
    """Return how often each finding warns or fails, and its mean value and control."""
    return {
        check: {
            "told": sum(of[check][0] != "ok" for of in outcomes), "of": len(outcomes),
            "value": round(float(np.mean([of[check][1] for of in outcomes])), 4),
            "control": round(float(np.mean([of[check][2] for of in outcomes])), 4),
        }
        for check in outcomes[0]
    }  # fmt: skip


if __name__ == "__main__":
    main()
