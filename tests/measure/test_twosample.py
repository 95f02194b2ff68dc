import numpy as np
import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure import _twosample as module
from unflaw.measure import auc, classifier_test, kernel_test, linear_probability


def clouds(n, shift, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d)) + shift * np.eye(d)[0]


def test_auc_counts_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30).astype(float), rng.integers(0, 5, 20).astype(float)
    pairs = [(x > y) + (x == y) / 2 for x in a for y in b]
    assert auc(a, b) == pytest.approx(np.mean(pairs))
    assert auc(b, a) == pytest.approx(1 - np.mean(pairs))


def test_a_classifier_finds_a_shift_as_far_as_it_goes():
    """Along the shift the scores are normal, one sd apart: A = Phi(1 / sqrt 2) = .760."""
    test = classifier_test(*clouds(500, 1.0))
    assert test.auc == pytest.approx(0.760, abs=0.035)
    assert test.low < 0.760 < test.high


def test_a_classifier_finds_nothing_where_there_is_nothing():
    """More features than rows: on seen rows it would be perfect."""
    test = classifier_test(*clouds(40, 0.0, d=100))
    assert test.low < 0.5 < test.high


def test_the_interval_covers_although_pairs_play_twice():
    held = sum(t.low <= 0.5 <= t.high for t in (classifier_test(*clouds(60, 0, seed=s), seed=s) for s in range(60)))
    assert held >= 52  # 57 expected, sd 1.7


def test_swapping_the_sets_mirrors_the_probabilities():
    x, y = clouds(80, 0.7)
    assert classifier_test(x, y).auc > 0.55
    assert classifier_test(y, x).auc == pytest.approx(classifier_test(x, y).auc, abs=0.05)


def test_copies_share_a_fold():
    names = ["a", "b", "a", "c", "d", "e", "f", "b", "g", "h", "i", "a"]
    is_y = np.arange(12) >= 6
    fold = module._folds(names, is_y, 3, np.random.default_rng(0))
    for name in set(names):
        assert len({fold[i] for i, other in enumerate(names) if other == name}) == 1
    assert np.bincount(fold).tolist() == [4, 4, 4]


def test_copies_under_random_labels_are_not_learnt():
    """Each point five times on its own side, in 60 dimensions: without groups the classifier knows the twins."""
    x, y = clouds(60, 0.0, d=60)
    doubled = np.repeat(x, 5, axis=0), np.repeat(y, 5, axis=0)
    names = np.repeat(np.arange(120), 5).tolist()
    assert classifier_test(*doubled).auc > 0.8
    assert classifier_test(*doubled, groups=names).auc < 0.65


def test_the_weights_give_the_probability_of_new_rows():
    x, y = clouds(300, 2.0)
    test = classifier_test(x, y)
    far = linear_probability(np.eye(5)[:1] * [[5.0], [-5.0]], test.weights, test.bias)
    assert far[0] > 0.99 and far[1] < 0.01
    assert linear_probability(np.array([[1e6, 0, 0, 0, 0]]), test.weights, test.bias)[0] == 1


def test_constant_features_do_no_harm():
    x, y = clouds(60, 2.0)
    x[:, 3] = y[:, 3] = 7
    assert np.isfinite(classifier_test(x, y).p_x).all()


def slow_mmd2(x, y):
    points = np.concatenate([x, y])
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    s2 = np.median(squared[np.triu_indices(len(points), 1)])
    k = np.exp(-squared / (2 * s2))
    n = len(x)
    within = sum(k[i, j] + k[n + i, n + j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * k[:n, n:].mean()


def test_kernel_distance_equals_the_slow_definition():
    x, y = clouds(25, 0.5)
    assert kernel_test(x, y, n_permutations=9).mmd2 == pytest.approx(slow_mmd2(x, y))


def test_kernel_p_values_are_least_where_the_sets_differ_and_even_where_not():
    assert kernel_test(*clouds(60, 2.0), n_permutations=199).p_value == 1 / 200
    p = [kernel_test(*clouds(20, 0.0, seed=s), n_permutations=19, seed=s).p_value for s in range(100)]
    assert 0.4 < np.mean(p) < 0.65  # even on {1/20, ..., 1}: mean .525, sd of the mean .029
    assert sum(v <= 0.05 for v in p) <= 13  # 5 expected, sd 2.2


def test_unbiased_distance_is_zero_on_average():
    values = [kernel_test(*clouds(20, 0.0, seed=s), n_permutations=1).mmd2 for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


def test_equal_points_have_no_scale_and_no_distance():
    same = np.ones((10, 2))
    result = kernel_test(same, same, n_permutations=19)
    assert result.mmd2 == pytest.approx(0)
    assert result.p_value == 1


def test_impossible_calls_are_refused():
    x, y = clouds(20, 0)
    with pytest.raises(TooFewRowsError, match="`y` must hold at least 5 different rows, got 1"):
        classifier_test(x, y, groups=[*range(20), *["same"] * 20])
    with pytest.raises(SettingsError, match="must name 40 rows"):
        classifier_test(x, y, groups=["a"])
    with pytest.raises(SettingsError, match="equally many rows"):
        kernel_test(x, y[:7])
    with pytest.raises(TooFewRowsError):
        kernel_test(x[:1], y[:1])
