import numpy as np
import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure import (
    bootstrap_interval,
    difference_interval,
    paired_difference,
    ratio_interval,
    seeded_difference,
    seeded_interval,
)


def test_mean_interval_agrees_with_the_normal_theory():
    x = np.random.default_rng(1).normal(5.0, 2.0, 4000)
    low, high = bootstrap_interval(x)
    half = 1.96 * x.std() / np.sqrt(len(x))
    assert low == pytest.approx(x.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(x.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        low, high = bootstrap_interval(rng.normal(size=60), n_resamples=400, seed=trial)
        hits += low <= 0.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_level_and_seed_matter_and_the_seed_repeats():
    x = np.random.default_rng(2).normal(size=50)
    wide, narrow = bootstrap_interval(x, level=0.99), bootstrap_interval(x, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert bootstrap_interval(x, seed=3) == bootstrap_interval(x, seed=3) != bootstrap_interval(x, seed=4)


def test_block_size_does_not_change_the_draws(monkeypatch):
    x = np.random.default_rng(2).normal(size=50)
    once = bootstrap_interval(x)
    monkeypatch.setattr("unflaw.measure._bootstrap._BLOCK", 70)
    assert bootstrap_interval(x) == once


def test_other_statistics():
    x = np.random.default_rng(5).normal(size=2001)
    low, high = bootstrap_interval(x, statistic=lambda block: np.median(block, axis=-1), n_resamples=300)
    assert low < np.median(x) < high


def test_pairing_cancels_what_rows_share():
    rng = np.random.default_rng(3)
    difficulty = rng.normal(0.0, 10.0, 200)
    before, after = difficulty + rng.normal(0.0, 0.1, 200), difficulty + 0.5 + rng.normal(0.0, 0.1, 200)
    difference, low, high = paired_difference(after, before)
    assert difference == pytest.approx((after - before).mean())
    assert 0.4 < low < high < 0.6
    assert difference_interval(after, before)[1] < 0.0, "unpaired cannot tell"


def test_seeds_and_rows_are_drawn_together():
    """Rows alone vary: as wide as the difference of rows. Seeds alone vary: as wide as the difference of seeds."""
    rng = np.random.default_rng(6)
    by_row, by_seed = rng.normal(1.0, 1.0, 400), rng.normal(1.0, 1.0, 40)
    zero = np.zeros((40, 400))
    for a, one in ((np.tile(by_row, (40, 1)), by_row), (np.tile(by_seed[:, None], (1, 400)), by_seed)):
        value, low, high = seeded_difference(a, zero)
        expected, *ends = paired_difference(one, np.zeros(len(one)))
        assert value == pytest.approx(expected)
        assert (low, high) == pytest.approx(tuple(ends), abs=0.04)
    assert seeded_difference(a, a) == (0.0, 0.0, 0.0)


def test_a_statistic_is_taken_of_each_seed():
    a = np.array([[0, 1, 1, 1], [0, 0, 1, 1]])
    value, low, high = seeded_difference(a, np.zeros((2, 4), int), statistic=lambda block: block.max(axis=-1))
    assert value == 1.0 and 0.0 <= low <= high == 1.0


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_intervals_over_few_seeds_cover_the_truth_as_often_as_they_say(n_seeds):
    rng, hits = np.random.default_rng(0), 0
    for trial in range(300):
        by_seed = rng.normal(size=n_seeds)
        _, low, high = seeded_interval(lambda rows, of=by_seed: of, 8, n_resamples=400, seed=trial)
        hits += low <= 0.0 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_a_seed_without_a_value_is_left_out():
    def values(rows):
        return np.array([1.0, np.nan, 1.0]) if 0 in rows else np.full(3, np.nan)

    assert seeded_interval(values, 4) == (1.0, 1.0, 1.0)
    with pytest.raises(TooFewRowsError, match="two of them, got 1"):
        seeded_interval(lambda rows: np.array([1.0, np.nan]), 4)


@pytest.mark.parametrize(("shape", "error"), [((1, 4), TooFewRowsError), ((3, 1), TooFewRowsError)])
def test_one_seed_or_row_gives_no_interval(shape, error):
    with pytest.raises(error):
        seeded_difference(np.ones(shape), np.zeros(shape))


def test_variance_ratio_knows_the_answer():
    rng = np.random.default_rng(4)
    ratio, low, high = ratio_interval(rng.normal(0.0, 1.0, 3000), rng.normal(9.0, 2.0, 2000))
    assert low < 0.25 < high and low < ratio < high and high - low < 0.06


def test_paired_variance_ratio_of_a_scaled_copy_is_certain():
    x = np.random.default_rng(6).normal(size=40)
    assert ratio_interval(0.5 * x + 3, x, paired=True) == pytest.approx((0.25, 0.25, 0.25))


def test_mistakes_are_refused():
    x = np.arange(4.0)
    with pytest.raises(TooFewRowsError, match="at least two"):
        bootstrap_interval(x[:1])
    with pytest.raises(TooFewRowsError, match="must vary"):
        ratio_interval(x, np.ones(4))
    with pytest.raises(SettingsError, match="finite"):
        bootstrap_interval(np.array([1.0, np.nan]))
    with pytest.raises(SettingsError, match="2 problems"):
        bootstrap_interval(x, level=95.0, n_resamples=0)
    with pytest.raises(SettingsError, match="same rows"):
        paired_difference(x, x[:3])
