"""Diversity, against other implementations (see diversity_references.py), slow references, and by hand."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from unflaw.measure import (
    Words,
    chamfer,
    compression_ratio,
    distinct,
    remote_clique,
    rouge_l,
    self_bleu,
    self_repetition,
    top_similarity,
    vendi_score,
)

THEIRS = json.loads((Path(__file__).parent / "diversity_references.json").read_text(encoding="utf-8"))
TEXTS = Words.of([text.split() for text in THEIRS["texts"]])
VECTORS = np.array(THEIRS["vectors"])


def random_texts(seed, n=12, vocabulary=6, most=15):
    rng = np.random.default_rng(seed)
    return [[f"w{i}" for i in rng.integers(vocabulary, size=rng.integers(most))] for _ in range(n)]


def test_rouge_l_equals_rouge_score():
    np.testing.assert_allclose(rouge_l(TEXTS)[0], THEIRS["rouge_l_of_the_first"], atol=1e-15)


def test_homogenisation_equals_diversity_which_rounds():
    pairs = rouge_l(TEXTS)
    n = len(pairs)
    assert (pairs.sum() - np.trace(pairs)) / (n * (n - 1)) == pytest.approx(THEIRS["homogenisation"], abs=5e-4)


def test_self_bleu_equals_nltk():
    np.testing.assert_allclose(self_bleu(TEXTS), THEIRS["self_bleu"], atol=1e-12)


def test_self_repetition_and_distinct_equal_diversity():
    assert self_repetition(TEXTS).mean() == pytest.approx(THEIRS["self_repetition"])
    first = TEXTS.take([0])  # `diversity` joins texts, so that some of its grams reach from one to the next
    mine = sum(distinct(first, k) for k in (1, 2, 3, 4))
    assert mine == pytest.approx(THEIRS["distinct_1_to_4_of_the_first"], abs=5e-4)


def test_vendi_score_equals_its_authors():
    assert vendi_score(VECTORS) == pytest.approx(THEIRS["vendi"], rel=1e-6)


def test_remote_clique_and_chamfer_equal_diversity_which_counts_a_text_as_its_own_neighbour():
    n = len(VECTORS)
    assert remote_clique(VECTORS) * (n - 1) / n == pytest.approx(THEIRS["remote_clique"], abs=5e-4)
    assert chamfer(VECTORS) == pytest.approx(THEIRS["chamfer"], abs=5e-4)


def slow_grams(text, k):
    return [tuple(text[i : i + k]) for i in range(len(text) - k + 1)]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_equal_grams_have_equal_numbers_without_gaps(k, seed):
    texts = random_texts(seed)
    numbers, at = Words.of(texts).grams(k)
    slow = [(i, gram) for i, text in enumerate(texts) for gram in slow_grams(text, k)]
    assert at.tolist() == [i for i, _ in slow]
    named = {}
    assert all(
        named.setdefault(gram, number) == number for (_, gram), number in zip(slow, numbers.tolist(), strict=True)
    )
    assert sorted(set(named.values())) == list(range(len(named)))


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_distinct_and_self_repetition_equal_a_count(k, seed):
    texts = random_texts(seed)
    words, grams = Words.of(texts), [slow_grams(text, k) for text in texts]
    everything = [gram for of in grams for gram in of]
    assert distinct(words, k) == pytest.approx(len(set(everything)) / len(everything))
    holders = Counter(gram for of in grams for gram in set(of))
    expected = [math.log(1 + sum(holders[gram] - 1 for gram in set(of))) for of in grams]
    np.testing.assert_allclose(self_repetition(words, k), expected)


def slow_lcs(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


def test_rouge_l_equals_dynamic_programming_beyond_the_surrogates():
    """Words 55,296 to 57,343 have code points that no string may hold alone."""
    many = [f"x{i}" for i in range(70_000)]
    texts = [many, many[55_290:55_300], many[57_340:57_350], *random_texts(3)]
    found = rouge_l(Words.of(texts))
    for i, a in list(enumerate(texts))[1:]:
        for j, b in list(enumerate(texts))[1:]:
            assert found[i, j] == pytest.approx(2 * slow_lcs(a, b) / max(1, len(a) + len(b)))
    assert found[0, 1] == found[0, 2] == pytest.approx(20 / 70_010)


def test_self_bleu_by_hand():
    """Of "a b c" 2/3 of the words stand in "a b", 1/2 of the pairs; a triple and a run of four count 0.1 each."""
    found = self_bleu(Words.of([["a", "b", "c"], ["a", "b"]]))
    assert found[0] == pytest.approx((2 / 3 * 1 / 2 * 0.1 * 0.1) ** 0.25)
    assert found[1] == pytest.approx(math.exp(1 - 3 / 2) * (1 * 1 * 0.1 * 0.1) ** 0.25)


def test_what_all_texts_share_and_what_none_do():
    same, apart = Words.of([list("abcde")] * 3), Words.of([list("abcd"), list("efgh"), list("ijkl")])
    assert self_bleu(same).tolist() == pytest.approx([1.0] * 3) and self_bleu(apart).tolist() == [0.0] * 3
    assert rouge_l(same).min() == 1 and rouge_l(apart).sum() == 3
    assert distinct(same, 4) == pytest.approx(1 / 3) and distinct(apart, 4) == 1
    assert self_repetition(apart).tolist() == [0.0] * 3
    alike, across = np.ones((4, 1)), np.eye(4)
    assert vendi_score(alike) == pytest.approx(1) and vendi_score(across) == pytest.approx(4)
    assert remote_clique(alike) == pytest.approx(0) and remote_clique(across) == chamfer(across) == 1


def test_texts_without_words_are_neither_an_error_nor_alike():
    nothing = Words.of([[], []])
    assert self_bleu(nothing).tolist() == self_repetition(nothing).tolist() == [0.0, 0.0]
    assert rouge_l(nothing).sum() == 0 and distinct(nothing, 1) == 1


def test_the_compression_ratio_is_that_of_gzip():
    texts = ["to be or not to be"] * 50
    raw = " ".join(texts).encode()
    assert compression_ratio(texts) == pytest.approx(len(raw) / len(gzip.compress(raw)))
    assert compression_ratio(texts) > 10 > 1 > compression_ratio(["x"])


def test_order_changes_nothing():
    words, order = Words.of(random_texts(1)), np.random.default_rng(0).permutation(12)
    shuffled = words.take(order.tolist())
    np.testing.assert_allclose(self_bleu(shuffled), self_bleu(words)[order])
    np.testing.assert_allclose(self_repetition(shuffled, 2), self_repetition(words, 2)[order])
    np.testing.assert_allclose(rouge_l(shuffled), rouge_l(words)[np.ix_(order, order)])


def test_cut_keeps_the_beginning_of_each_text():
    cut = Words.of([["a", "b", "c"], ["d"], ["e", "f"]]).cut([1, 5, 0])
    assert cut.words.tolist() == [0, 3] and cut.starts.tolist() == [0, 1, 2, 2]


def test_top_similarity_is_the_mean_of_the_nearest_by_a_slow_reference():
    rng = np.random.default_rng(0)
    x, others = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.normal(size=(7, 4)), rng.normal(size=(9, 4)))
    )
    slow = [np.mean(sorted((float(a @ b) for b in others), reverse=True)[:3]) for a in x]
    assert top_similarity(x, others, 3).tolist() == pytest.approx(slow)
    assert top_similarity(x, others[:2], 5).tolist() == pytest.approx((x @ others[:2].T).mean(axis=1).tolist())
