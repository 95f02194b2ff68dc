"""Answers against passages: a slow reference, and what must not matter."""

import numpy as np
import pytest

from unflaw.measure import passages_nearer


def drawn(seed, n, m, d=6):
    rng = np.random.default_rng(seed)
    answers, x = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.normal(size=(k, d)) for k in (n, m)))
    return answers, x, rng.integers(m, size=n)


def slow(answers, x, own):
    """Compare with every other passage."""
    told = []
    for answer, mine in zip(answers, own, strict=True):
        cosines = np.delete(x @ answer, mine)
        told.append(np.where(np.isclose(cosines, x[mine] @ answer, rtol=0, atol=1e-6), 0.5, cosines > x[mine] @ answer))
    return np.mean(told, axis=1)


@pytest.mark.parametrize(("n", "m"), [(50, 2), (50, 7), (200, 90), (3, 300)])
def test_against_all_others_it_equals_a_slow_count(n, m):
    answers, x, own = drawn(n + m, n, m)
    np.testing.assert_allclose(passages_nearer(answers, x, own, 10**6), slow(answers, x, own))


@pytest.mark.parametrize("m", [120, 500])
def test_of_a_hundred_passages_the_own_one_is_never_one(m):
    """Were it among the others it would count half."""
    answers, x, own = drawn(m, 400, m)
    assert set(np.unique(passages_nearer(x[own], x, own, 100))) == {0.0}
    assert passages_nearer(answers, x, own, 100).mean() == pytest.approx(0.5, abs=0.05)


def test_rows_in_another_order_are_told_alike():
    answers, x, own = drawn(0, 100, 30)
    order = np.random.default_rng(1).permutation(100)
    found = passages_nearer(answers, x, own, 10)
    np.testing.assert_array_equal(passages_nearer(answers[order], x, own[order], 10), found[order])


def test_with_one_passage_there_is_nothing_to_compare_with():
    assert np.isnan(passages_nearer(np.eye(3), np.eye(3)[:1], np.zeros(3, dtype=int), 5)).all()
    assert len(passages_nearer(np.eye(3)[:0], np.eye(3), np.zeros(0, dtype=int), 5)) == 0
