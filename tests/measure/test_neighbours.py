import numpy as np
import pytest

from unflaw._errors import TooFewRowsError
from unflaw.measure import _neighbours as module
from unflaw.measure import neighbour_overlap, squared_distances


def slow_overlap(x, y, k):
    """The definitions, one pair at a time."""

    def distance(a, b):
        return float(((a - b) ** 2).sum())

    def radius(i, points):
        return sorted(distance(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    in_real = np.array([[distance(a, b) < radius(i, x) for b in y] for i, a in enumerate(x)])
    in_synthetic = np.array([[distance(a, b) < radius(j, y) for j, b in enumerate(y)] for a in x])
    return in_real.any(0), in_synthetic.any(1), in_real.sum(0) / k, in_real.any(1)


@pytest.mark.parametrize("block", [1, 100, 4_000_000])
def test_equals_the_slow_definitions_in_blocks_of_any_size(block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 3)), rng.normal(0.5, 1, size=(17, 3))
    for fast, slow in zip(neighbour_overlap(x, y, 3), slow_overlap(x, y, 3), strict=True):
        np.testing.assert_allclose(fast, slow)


def test_a_cloud_overlaps_itself_wholly():
    x = np.random.default_rng(1).normal(size=(60, 4))
    overlap = neighbour_overlap(x, x.copy())
    assert [values.mean() for values in overlap] == [1, 1, pytest.approx(1), 1]  # k balls hold each point on average


def test_distant_clouds_do_not_overlap():
    x = np.random.default_rng(1).normal(size=(60, 4))
    assert [values.mean() for values in neighbour_overlap(x, x + 100)] == [0, 0, 0, 0]


def test_precision_and_recall_swap_with_the_sets():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 2)), rng.normal(1, 2, size=(50, 2))
    np.testing.assert_array_equal(neighbour_overlap(x, y).precision, neighbour_overlap(y, x).recall)


def test_two_draws_of_one_cloud_cover_as_theory_says():
    """Of the k + 1 nearest points of the other set and own set mixed, P(no y nearer than the k-th x) = 2^-k."""
    rng = np.random.default_rng(3)
    coverage = neighbour_overlap(rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)), k=3).coverage.mean()
    assert coverage == pytest.approx(1 - 2**-3, abs=0.025)


def test_an_outlier_inflates_precision_and_not_density():
    """One real point far out has a huge ball; precision believes it, density hardly counts it."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(size=(100, 2)), [[60.0, 0.0]]])
    y = rng.normal([40, 0], 1, size=(50, 2))
    overlap = neighbour_overlap(x, y)
    assert overlap.precision.mean() == 1
    assert overlap.density.mean() == pytest.approx(1 / 5)


def test_distances_are_never_negative():
    x = np.full((3, 5), 1e4) + np.arange(3)[:, None] * 1e-6
    assert (squared_distances(x, x) >= 0).all()


def test_a_set_without_k_neighbours_is_refused():
    with pytest.raises(TooFewRowsError, match="more than k=5 rows, got 5 and 9"):
        neighbour_overlap(np.zeros((5, 2)), np.zeros((9, 2)))


def test_rows_that_repeat_many_times_lie_in_each_others_balls():
    """Of four points each stands ten times on both sides: the balls have no size, and hold what equals their middle."""
    points = np.random.default_rng(0).normal(size=(4, 50))
    x = np.repeat(points / np.linalg.norm(points, axis=1, keepdims=True), 10, axis=0)
    overlap = neighbour_overlap(x, x[::-1].copy(), 5)
    assert [values.mean() for values in overlap] == [1, 1, 2, 1]
