import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure import adjusted_divergence, count_peaks, frequency_density, jensen_shannon_bits, log_odds


def rows_of(rng, n, v, tokens=40, p=None):
    """n rows of `tokens` tokens each from one distribution over v tokens."""
    return rng.multinomial(tokens, np.full(v, 1 / v) if p is None else p, size=n)


def test_jsd_by_hand():
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4): (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2
    by_hand = (math.log2(4 / 3) + (math.log2(2 / 3) + 1) / 2) / 2
    assert jensen_shannon_bits(np.array([5, 0]), np.array([1, 1])) == pytest.approx(by_hand)


def test_jsd_is_symmetric_and_ignores_scale_and_unused_tokens():
    a, b = np.array([4, 1, 0, 0]), np.array([1, 2, 3, 0])
    assert jensen_shannon_bits(a, b) == pytest.approx(jensen_shannon_bits(b, 10 * a))
    assert jensen_shannon_bits(a, b) == pytest.approx(jensen_shannon_bits(a[:3], b[:3]))
    with pytest.raises(TooFewRowsError):
        jensen_shannon_bits(a, 0 * b)


def test_adjustment_removes_what_chance_gives():
    rng = np.random.default_rng(0)
    one_source = adjusted_divergence(rows_of(rng, 50, 2000), rows_of(rng, 80, 2000))
    assert one_source.plug_in > 0.2, "the plain divergence of two equal sources is far from zero"
    assert one_source.low < 0 < one_source.high and abs(one_source.value) < 0.01
    disjoint = adjusted_divergence(np.repeat([[3, 0]], 9, axis=0), np.repeat([[0, 3]], 5, axis=0))
    assert disjoint.value == pytest.approx(1.0)


def test_adjustment_shuffles_rows_not_tokens():
    """Every row talks about one topic only. Shuffled tokens would hide that two such sets must differ by luck."""
    rng = np.random.default_rng(1)
    topics = np.eye(100, dtype=int) * 40
    found = adjusted_divergence(topics[rng.integers(0, 100, 200)], topics[rng.integers(0, 100, 200)])
    assert found.plug_in > 0.15 and found.low < 0 < found.high


def test_adjusted_divergence_approaches_the_true_one_and_covers_it():
    rng = np.random.default_rng(2)
    p, q = rng.dirichlet(np.ones(200)), rng.dirichlet(np.ones(200))
    truth, hits = jensen_shannon_bits(p, q), 0
    for seed in range(40):
        found = adjusted_divergence(rows_of(rng, 200, 200, p=p), rows_of(rng, 200, 200, p=q), seed=seed)
        hits += found.low <= truth <= found.high
        assert found.value == pytest.approx(truth, abs=0.03)
    assert hits >= 33


def test_sparse_and_dense_counts_agree():
    rng = np.random.default_rng(3)
    a, b = rows_of(rng, 20, 30), rows_of(rng, 25, 30)
    assert adjusted_divergence(csr_array(a), csr_array(b)) == pytest.approx(adjusted_divergence(a, b))
    with pytest.raises(TooFewRowsError, match="two rows"):
        adjusted_divergence(a[:1], b)


def test_log_odds_by_hand():
    # α = (1, 2, 3): y_a = (4, 3, 3) of 10, y_b = (2, 5, 8) of 15
    delta, z = log_odds(np.array([3, 1, 0]), np.array([1, 3, 5]), prior=np.array([1.0, 2.0, 3.0]))
    assert delta[0] == pytest.approx(math.log((4 / 6) / (2 / 13)))
    assert z[0] == pytest.approx(delta[0] / math.sqrt(1 / 4 + 1 / 2))
    assert delta[2] == pytest.approx(math.log((3 / 7) / (8 / 7)))


def test_log_odds_prior_is_pooled_and_of_the_mass_asked_for():
    a, b = np.array([30, 10, 0]), np.array([10, 10, 40])
    given = log_odds(a, b, prior=50.0 * (a + b) / 100)
    assert np.allclose(log_odds(a, b, prior_mass=50.0), given)


def test_log_odds_swap_changes_the_sign_and_rare_words_stay_humble():
    a, b = np.array([500, 1, 9499]), np.array([250, 0, 9750])
    delta, z = log_odds(a, b)
    assert np.allclose(log_odds(b, a), (-delta, -z))
    assert z[0] > 7 and abs(z[1]) < 1, "a word seen once is no evidence, whatever its ratio"
    with pytest.raises(SettingsError, match="positive"):
        log_odds(np.array([1, 0]), np.array([1, 0]))


def test_density_integrates_to_one_and_a_template_is_a_peak():
    zipf = np.round(1e6 / np.arange(1, 20001) ** 1.05).astype(int)
    grid, smooth = frequency_density(zipf)
    assert np.trapezoid(smooth, grid) == pytest.approx(1.0, abs=0.02)
    mould = np.concatenate([zipf, np.full(12, 150_000)])  # twelve tokens, each once in every row
    _, peaked = frequency_density(mould)
    _, part = frequency_density(mould, np.arange(len(mould)) >= len(zipf))
    assert np.trapezoid(part, grid) == pytest.approx(12 * 150_000 / mould.sum(), abs=0.01)
    place = math.log10(150_000 / mould.sum())
    assert abs(grid[peaked.argmax()] - place) < 0.05
    assert peaked.max() > 2 * smooth[np.abs(grid - place) < 0.3].max()


def test_peaks_are_counted_with_those_at_the_border():
    assert count_peaks(np.array([1.0, 0.0, 0.0, 1.0])) == 2
    assert count_peaks(np.array([0.0, 1.0, 0.9, 0.95, 0.0])) == 1
