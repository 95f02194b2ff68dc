"""Files of any number of rows, for the bench of how an audit grows: JSON lines and Parquet, 50,000 rows in each."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _texts import shipped_words

__all__ = ["KINDS"]

IN_A_FILE, SHARED = 50_000, 5
"""Rows of a file; questions about one passage."""
LABELS = ("animals", "history", "places", "things")
CITIES = np.array(["Bath", "Leeds", "Paris", "Lyon", "Rome", "Turin", "Oslo", "Bergen"])
COUNTRIES = np.array(["UK", "UK", "France", "France", "Italy", "Italy", "Norway", "Norway"])


def _parts(folder: Path, n: int, seed: int) -> Iterator[tuple[Path, np.random.Generator, int]]:
    folder.mkdir(parents=True)
    for start in range(0, n, IN_A_FILE):
        yield folder / f"{start:09d}", np.random.default_rng([seed, start]), min(IN_A_FILE, n - start)


def write_questions(folder: Path, n: int, seed: int) -> None:
    """Write questions and answers of 60 words in all, two in a hundred nearly a copy of another."""
    words = shipped_words()
    for path, rng, size in _parts(folder, n, seed):
        drawn = rng.integers(len(words), size=(size, 60))
        copied = np.flatnonzero(rng.random(size) < 0.02)
        drawn[copied] = drawn[rng.integers(size, size=len(copied))]
        drawn[copied, rng.integers(60, size=len(copied))] = rng.integers(len(words), size=len(copied))
        with open(path.with_suffix(".jsonl"), "w", encoding="utf-8") as file:
            for row in drawn.tolist():
                said = [words[i] for i in row]
                file.write(json.dumps({"question": " ".join(said[:12]) + "?", "answer": " ".join(said[12:])}) + "\n")


def write_labelled(folder: Path, n: int, seed: int) -> None:
    """Write questions about passages of 80 words, five about each, with an answer out of it and a label."""
    words = shipped_words()
    for path, rng, size in _parts(folder, n, seed):
        passages = rng.integers(len(words), size=(-(-size // SHARED), 80)).repeat(SHARED, axis=0)[:size]
        starts, lengths = rng.integers(60, size=size), rng.integers(3, 20, size=size)
        labels = np.where(rng.random(size) < 0.9, passages[:, 0] % len(LABELS), rng.integers(len(LABELS), size=size))
        asked = rng.integers(len(words), size=(size, 12))
        asked[:, 0] = passages[:, 0]  # one word of a question goes with its label
        with open(path.with_suffix(".jsonl"), "w", encoding="utf-8") as file:
            for about, question, start, length, label in zip(passages, asked, starts, lengths, labels, strict=True):
                file.write(json.dumps({
                    "context": " ".join(words[i] for i in about), "label": LABELS[label],
                    "question": " ".join(words[i] for i in question) + "?",
                    "answer": " ".join(words[i] for i in about[start : start + length]),
                }) + "\n")  # fmt: skip


def write_table(folder: Path, n: int, seed: int) -> None:
    """Write people in twelve columns that keep rules; one row in a hundred breaks one, two in a hundred are copies."""
    for path, rng, size in _parts(folder, n, seed):
        city, age = rng.integers(len(CITIES), size=size), rng.integers(18, 70, size=size)
        net = rng.lognormal(8, 0.5, size).round(2)
        tax = (net * rng.random(size) / 2).round(2)
        woman, broken = rng.random(size) < 0.5, rng.random(size) < 0.01
        joined = np.datetime64("2001-01-01") + rng.integers(8000, size=size)
        table = pa.table({
            "age": age, "hours": np.minimum(40, rng.integers(20, 60, size=size)), "net": net, "tax": tax,
            "gross": (net + tax + broken * 100).round(2), "seniority": (rng.random(size) * (age - 16)).astype(int),
            "city": CITIES[city], "country": COUNTRIES[city], "sex": np.where(woman, "f", "m"),
            "pregnant": np.where(woman & (rng.random(size) < 0.4), "yes", "no"),
            "licence": pa.array(np.where(age < 30, None, "A"), pa.string()), "joined": joined.astype(str),
        })  # fmt: skip
        order = np.where(rng.random(size) < 0.02, rng.integers(size, size=size), np.arange(size))
        pq.write_table(table.take(pa.array(order)), path.with_suffix(".parquet"))


KINDS: Mapping[str, Callable[[Path, int, int], Any]] = {
    "questions": write_questions, "labelled": write_labelled, "table": write_table,
}  # fmt: skip
"""(folder, rows, seed) → files of such rows in the folder."""
