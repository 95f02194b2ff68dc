"""Moulds of sentences: against another implementation (see diversity_references.py), by a count, and by hand."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from unflaw.measure import Words, template_rate, word_classes

THEIRS = json.loads((Path(__file__).parent / "diversity_references.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("k", [4, 5, 6, 8])
def test_by_the_hundred_commonest_it_is_the_template_rate_of_diversity(k):
    tags = Words.of([[word[-1] for word in text.split()] for text in THEIRS["texts"]])
    assert template_rate(tags, k, most=100) == pytest.approx(THEIRS["template_rate"][str(k)])


@pytest.mark.parametrize("least", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_rate_equals_a_count(seed, least):
    rng = np.random.default_rng(seed)
    texts = [[f"c{i}" for i in rng.integers(3, size=rng.integers(9))] for _ in range(15)]
    patterns = [{tuple(text[i : i + 4]) for i in range(len(text) - 3)} for text in texts]
    holders = Counter(pattern for of in patterns for pattern in of)
    expected = sum(any(holders[p] >= least for p in of) for of in patterns) / len(texts)
    assert template_rate(Words.of(texts), 4, least=least) == pytest.approx(expected)


def test_what_is_said_changes_nothing_and_how_it_is_said_does():
    said = ["the painter of guernica is picasso", "the author of hamlet is shakespeare", "oslo lies in the south"]
    classes = Words.of([word_classes(text.split()) for text in said])
    assert template_rate(classes, 6, least=2) == pytest.approx(2 / 3)
    other = Words.of([word_classes(text.split()) for text in ("picasso made guernica", *said[1:])])
    assert template_rate(other, 4, least=2) == 0


def test_a_few_moulds_that_hold_long_texts_lower_the_usual_number_but_not_ours():
    """A text of 60 words holds 53 patterns of eight, so two moulds take the hundred for themselves."""
    rng = np.random.default_rng(0)
    others = [[*rng.choice(list("abc"), size=60)] for _ in range(100)]
    moulds = [[*rng.choice(list("abc"), size=60)] for _ in range(2)]
    cast = [*others[:60], *(moulds[i % 2] for i in range(40))]
    usual = [template_rate(Words.of(texts), 8, most=100) for texts in (others, cast)]
    ours = [template_rate(Words.of(texts), 8, least=15) for texts in (others, cast)]
    assert usual[1] < usual[0] - 0.2 and ours[0] == 0 and ours[1] > 0.4


def test_texts_too_short_hold_nothing_and_order_changes_nothing():
    assert template_rate(Words.of([["a"], []]), 4) == 0
    rng = np.random.default_rng(0)
    words = Words.of([[*rng.choice(list("ab"), size=8)] for _ in range(20)])
    shuffled = words.take(rng.permutation(20).tolist())
    assert template_rate(shuffled, 4, least=3) == template_rate(words, 4, least=3)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("the", "the"), ("running", "-ing"), ("ring", "-"), ("being", "being"), ("walked", "-ed"), ("red", "-"),
        ("cats", "-s"), ("glass", "-"), ("bus", "-"), ("quickly", "-ly"), ("1815", "0"), ("3rd", "0"), ("paris", "-"),
        ("station", "-"), ("fluss", "-"), ("東", "-"), ("", "-"),
    ],
)  # fmt: skip
def test_kinds_of_words(word, kind):
    assert word_classes([word]) == [kind]
