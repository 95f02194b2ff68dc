import numpy as np
import pytest

from unflaw._errors import SettingsError
from unflaw.measure import (
    above_commonest,
    auc,
    auc_interval,
    difference_of_shares,
    difference_within,
    mean_of_shares,
    wilson_interval,
)


def test_wilson_is_the_root_of_its_equation():
    """|k/n - t| = z sqrt(t (1 - t) / n) at both ends."""
    for end in wilson_interval(30, 100):
        assert abs(0.3 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 100), rel=1e-5)


def test_wilson_does_not_claim_certainty():
    assert wilson_interval(0, 50)[1] == pytest.approx(1.959964**2 / (50 + 1.959964**2), rel=1e-5)
    assert wilson_interval(50, 50) == pytest.approx([1 - end for end in wilson_interval(0, 50)[::-1]])


@pytest.mark.parametrize("n", [1, 7, 50, 290, 10**6])
def test_wilson_ends_exactly_at_none_and_all(n):
    assert wilson_interval(0, n)[0] == 0
    assert wilson_interval(n, n)[1] == 1


@pytest.mark.parametrize(("n_hits", "above"), [(60, False), (61, True)])
def test_above_commonest_asks_the_lower_end(n_hits, above):
    """Of 51 labels and 49: the lower end is .502 at 60 hits of 100 and .512 at 61, and only the latter is above .51."""
    y = (np.arange(100) >= 51).astype(int)
    assert above_commonest(np.arange(100) < n_hits, y) is above


def test_mean_of_shares_is_that_of_their_difference():
    """k / n - j / m = 2 mean(k / n, 1 - j / m) - 1, and Newcombe's interval is made the same way."""
    low, high = mean_of_shares([56, 80 - 48], [70, 80])
    assert (2 * low - 1, 2 * high - 1) == pytest.approx(difference_of_shares(56, 70, 48, 80))
    assert mean_of_shares([7], [9]) == pytest.approx(wilson_interval(7, 9))


def test_auc_interval_mirrors():
    assert auc_interval(0.8, 60, 90) == pytest.approx([1 - end for end in auc_interval(0.2, 60, 90)[::-1]])
    low, high = auc_interval(0.5, 100, 100)
    assert high - 0.5 == pytest.approx(0.5 - low)


def test_auc_interval_near_the_textbook_where_nothing_differs():
    """Under no difference Var A = (m + n + 1) / (12 m n); at m = n = 400 the half-width is 1.96 * 0.0204."""
    low, high = auc_interval(0.5, 400, 400)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(801 / (12 * 400 * 400)), rel=0.02)


def test_auc_interval_does_not_claim_certainty():
    low, high = auc_interval(1.0, 30, 30)
    assert 0.8 < low < 0.95
    assert high == 1.0


def test_auc_interval_covers():
    """Normal scores one sd apart: A = Phi(1 / sqrt 2) = .760; 95 % of intervals hold it, +- 3 sd of 400 trials."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        low, high = auc_interval(auc(rng.normal(1, 1, 40), rng.normal(0, 1, 40)), 40, 40)
        held += low <= 0.7602 <= high
    assert 0.917 < held / 400 < 0.99


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(SettingsError):
        wilson_interval(k, n)
    with pytest.raises(SettingsError):
        auc_interval(1.5, 5, 5)


def test_the_difference_within_one_class_is_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, 50), rng.normal(0, 1, 80)
    value, low, high, compared = difference_within(a, np.zeros(50, int), b, np.zeros(80, int))
    reach = 1.959964 * np.sqrt(a.var(ddof=1) / 50 + b.var(ddof=1) / 80)
    assert value == pytest.approx(a.mean() - b.mean())
    assert (low, high, compared) == (pytest.approx(value - reach), pytest.approx(value + reach), 1)


def test_what_differs_by_class_alone_does_not_differ_within_and_its_interval_holds():
    """Rows score 10 times their class; one set holds class 0 mostly, the other class 1."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(200):
        c, d = (rng.random(100) < 0.2).astype(int), (rng.random(100) < 0.8).astype(int)
        value, low, high, _ = difference_within(10 * c + rng.normal(size=100), c, 10 * d + rng.normal(size=100), d)
        missed += not low <= 0 <= high
        assert abs(value) < 2
    assert missed <= 20


def test_classes_of_one_side_alone_are_not_compared():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0])
    assert difference_within(a, np.array([0, 0, 1]), b, np.array([0, 0]))[3] == pytest.approx(2 / 3)
    value, *_, compared = difference_within(a, np.zeros(3, int), b, np.ones(2, int))
    assert np.isnan(value) and compared == 0
