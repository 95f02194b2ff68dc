"""Repeated vectors, against loops over all pairs."""

import numpy as np
import pytest

from unflaw.measure import _alike, nearest_original, repeats_of_earlier, share_nearer


@pytest.fixture(params=[3, 7, 2048])
def block(request, monkeypatch):
    monkeypatch.setattr(_alike, "_BLOCK", request.param)


def clusters(seed, n=40, d=4, spread=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, d))[rng.integers(6, size=n)] + spread * rng.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("t", [0.8, 0.95, 0.99])
def test_repeats_equal_a_loop_over_all_pairs(block, seed, t):
    x, of, similarity = clusters(seed), [], []
    for i in range(len(x)):
        originals = [(x[i] @ x[j], -j) for j in range(i) if of[j] < 0]
        best, j = max(originals, default=(-1.0, 0))
        of.append(-j if best >= t else -1)
        similarity.append(best if best >= t else 0.0)
    found, cosines = repeats_of_earlier(x, t)
    assert found.tolist() == of and 0 < sum(o >= 0 for o in of) < len(x)
    np.testing.assert_allclose(cosines, similarity, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_original_equals_one_product(block, seed):
    x, y = clusters(seed), clusters(seed + 10, n=23)
    at, cosines = nearest_original(x, y)
    assert at.tolist() == (x @ y.T).argmax(axis=1).tolist()
    np.testing.assert_allclose(cosines, (x @ y.T).max(axis=1))


def test_the_first_of_a_group_is_kept_and_a_chain_is_not_one_group():
    angles = np.radians([0, 0, 20, 40, 0])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    of, _ = repeats_of_earlier(x, 0.9)  # cos 20 = .94, cos 40 = .77
    assert of.tolist() == [-1, 0, 0, -1, 0]


def test_no_rows_are_no_error():
    of, similarity = repeats_of_earlier(np.empty((0, 3)), 0.9)
    assert len(of) == len(similarity) == 0


@pytest.mark.parametrize(("n", "k"), [(5, 4), (300, 7), (700, 100), (2, 1)])
def test_strangers_are_those_that_count(n, k):
    """Every answer is equally near to all questions but those of its own row, which it is nearest to."""
    asked = np.eye(n + 1, dtype=np.float32)[:n]
    others, counts = asked[:k], ~np.eye(n, k, dtype=bool)
    assert share_nearer(asked, asked, others, counts).tolist() == [0.0] * n
    away = np.zeros_like(asked)
    away[:, n] = 1.0
    assert share_nearer(asked, away, others, counts)[k:].tolist() == [0.5] * (n - k)  # all are as far as the own one
    assert share_nearer(asked, -asked, others, counts)[k:].tolist() == [1.0] * (n - k)  # or nearer
