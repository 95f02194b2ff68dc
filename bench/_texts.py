"""What the bench of an audit reads: texts of 60 words, as rows and as questions with answers."""

from collections.abc import Sequence

import numpy as np

from unflaw import read
from unflaw._cli._demo import example_folder
from unflaw.data import Rows
from unflaw.measure import normalise, words_of

__all__ = ["as_questions", "as_rows", "shingles", "shipped_words", "texts"]


def shipped_words() -> list[str]:
    """Return the words of the shipped passages, one after the other."""
    return " ".join(read(example_folder() / "passages.jsonl").column("text")).split()


def shingles(text: str) -> set[str]:
    """Return the runs of three words of a text."""
    words = words_of(normalise(text))
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def texts(n: int, seed: int = 0, copies: float = 0.1, run: int = 1) -> list[str]:
    """Draw texts of 60 words, run by run, from the passages; a share are copies of another with one word changed."""
    rng = np.random.default_rng(seed)
    words = shipped_words()
    made: list[str] = []
    for i in range(n):
        if i and rng.random() < copies:
            near = made[rng.integers(i)].split()
            near[rng.integers(len(near))] = "changed"
            made.append(" ".join(near))
        else:
            starts = rng.integers(len(words) - run, size=60 // run)
            made.append(" ".join(word for start in starts for word in words[start : start + run]))
    return made


def as_rows(said: Sequence[str]) -> Rows:
    """Return texts as rows."""
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


def as_questions(said: Sequence[str]) -> Rows:
    """Return the first third of each text as a question, the rest as its answer."""
    words = [text.split() for text in said]
    records = [{"q": f"{' '.join(w[: len(w) // 3])}?", "a": f"{' '.join(w[len(w) // 3 :])}."} for w in words]
    return Rows.from_records(records, {"prompt": "q", "response": "a"})
