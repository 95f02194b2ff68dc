"""Questions and answers from a seeded grammar: eight topics with words of their own, like articles have."""

import numpy as np
import pytest

from unflaw.data import Rows
from unflaw.models import HashEncoder

N_TOPICS = 8
OPENERS = ["What", "Who", "When did", "Where is", "How many", "Which", "In what year did", "Why would"]
JOINTS = ["the", "of", "a", "in", "and", "to", "for", "with", "by", "from", "that", "was", "had", "is"]


def words(rng, n):
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    return ["".join(rng.choice(syllables, size=rng.integers(2, 5))) for _ in range(n)]


def sentence(rng, vocabulary, low, high):
    return " ".join(rng.choice(vocabulary if rng.random() < 0.8 else JOINTS) for _ in range(rng.integers(low, high)))


def make_records(n, seed=0, topics=range(N_TOPICS)):
    vocabularies = [words(np.random.default_rng(1000 + t), 25) for t in range(N_TOPICS)]
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(n):
        vocabulary = vocabularies[rng.choice(list(topics))]
        question = f"{rng.choice(OPENERS)} {sentence(rng, vocabulary, 5, 14)}?"
        records.append({"question": question, "answer": sentence(rng, vocabulary, 1, 9)})
    return records


def as_rows(records):
    return Rows.from_records(records, {"prompt": "question", "response": "answer"}, schema="question/answer")


@pytest.fixture
def records():
    """n question-answer records from a seed: `records(100, seed=1, topics=[0, 1])`."""
    return make_records


@pytest.fixture
def qa():
    """Rows of such records, or of the records given."""
    return lambda given, seed=0, **kw: as_rows(make_records(given, seed, **kw) if isinstance(given, int) else given)


@pytest.fixture
def encoder():
    return HashEncoder(64)
