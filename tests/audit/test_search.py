"""The search for copies against one that compares every pair."""

import numpy as np
import pytest

from unflaw.audit._search import Texts, copies_of, copies_within


def jaccard(a, b):
    a, b = ({tuple(t.split()[i : i + 3]) for i in range(len(t.split()) - 2)} for t in (a, b))
    return len(a & b) / len(a | b)


def near_texts(seed, n=60, passages=(0,)):
    """Draw texts that repeat one of six, with up to two words changed."""
    rng = np.random.default_rng(seed)
    originals = [[f"w{k}" for k in rng.integers(1000, size=40)] for _ in range(6)]
    made, about = [], []
    for _ in range(n):
        words = list(originals[rng.integers(6)])
        for place in rng.integers(40, size=rng.integers(3)):
            words[place] = f"x{rng.integers(1000)}"
        made.append(" ".join(words))
        about.append(f"passage {p}" if (p := rng.choice(passages)) else "")
    return Texts.of([f"{i:03d}" for i in range(n)], made, about)


def may(a, i, b, j):
    return a.contexts[i] == b.contexts[j] or not a.contexts[i] or not b.contexts[j]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("passages", [(0,), (1, 2), (0, 1, 2)])
def test_copies_within_equal_a_comparison_of_all_pairs(seed, passages):
    texts, kept, expected = near_texts(seed, passages=passages), [], {}
    for i in range(len(texts)):
        same = [j for j in range(i) if (texts.texts[j], texts.contexts[j]) == (texts.texts[i], texts.contexts[i])]
        alike = [(jaccard(texts.texts[i], texts.texts[j]), -j) for j in kept if may(texts, i, texts, j)]
        best, j = max(alike, default=(0.0, 0))
        if same:
            expected[texts.ids[i]] = (texts.ids[same[0]], 1.0)
        elif best >= 0.7:
            expected[texts.ids[i]] = (texts.ids[-j], best)
        else:
            kept.append(i)
    found = {copy.row: (copy.of, copy.similarity) for copy in copies_within(texts, 0.7)}
    assert found == {row: (of, pytest.approx(similarity)) for row, (of, similarity) in expected.items()}


@pytest.mark.parametrize("seed", range(3))
def test_copies_of_originals_equal_a_comparison_of_all_pairs(seed):
    texts, originals = near_texts(seed, n=40), near_texts(seed, n=25)
    texts = Texts.of([f"t{i}" for i in texts.ids], list(texts.texts), [""] * 40)
    for copy in (found := copies_of(texts, originals, 0.7)):
        i, j = texts.ids.index(copy.row), originals.ids.index(copy.of)
        best = max(jaccard(texts.texts[i], other) for other in originals.texts)
        assert copy.similarity == pytest.approx(jaccard(texts.texts[i], originals.texts[j])) == pytest.approx(best)
        assert copy.exact == (texts.texts[i] == originals.texts[j])
    nearest = {i: max(jaccard(t, o) for o in originals.texts) for i, t in zip(texts.ids, texts.texts, strict=True)}
    assert [copy.row for copy in found] == sorted(i for i, similarity in nearest.items() if similarity >= 0.7)
