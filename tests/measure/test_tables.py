"""Tables: by hand, by slow reference, and as SDMetrics has them (see tables_references.py)."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp, spearmanr

from unflaw.measure import (
    bin_edges,
    binned,
    contingency,
    correlation_p,
    correlations,
    ks_distance,
    ks_p,
    nearest_row,
    positions,
    ranked,
    told_by,
    total_variation,
)

RECORD = json.loads(Path(__file__).with_name("tables_references.json").read_text())
NUMBERS, WORDS = ["age", "hours", "gain"], ["work", "home"]


def counts(real, synthetic):
    _, codes = np.unique(np.concatenate([real, synthetic]), return_inverse=True)
    return [np.bincount(c, minlength=codes.max() + 1) for c in (codes[: len(real)], codes[len(real) :])]


def column(name):
    return [np.array(RECORD[side][name]) for side in ("real", "synthetic")]


@pytest.mark.parametrize("name", NUMBERS + WORDS)
def test_shapes_are_those_of_sdmetrics(name):
    distance = ks_distance if name in NUMBERS else total_variation
    assert 1 - distance(*counts(*column(name))) == pytest.approx(RECORD["shapes"][name], abs=1e-12)


@pytest.mark.parametrize("pair", list(combinations(NUMBERS, 2)))
@pytest.mark.parametrize("ranks", [False, True])
def test_trends_of_numbers_are_those_of_sdmetrics(pair, ranks):
    sides = (np.stack(both, axis=1).astype(float) for both in zip(*map(column, pair), strict=True))
    r = [correlations(ranked(x) if ranks else x)[0, 1] for x in sides]
    told = RECORD["spearman" if ranks else "pairs"][" ".join(pair)]
    assert 1 - abs(r[0] - r[1]) / 2 == pytest.approx(told, abs=1e-12)


@pytest.mark.parametrize("pair", [pair for pair in combinations(NUMBERS + WORDS, 2) if pair[1] in WORDS])
def test_trends_of_words_are_those_of_sdmetrics(pair):
    codes = []
    for name in pair:
        real, synthetic = column(name)
        if name in NUMBERS:
            codes.append([binned(x.astype(float), bin_edges(real.astype(float))) for x in (real, synthetic)])
        else:
            known = {word: i for i, word in enumerate(sorted(set(real) | set(synthetic)))}
            codes.append([np.array([known[word] for word in x]) for x in (real, synthetic)])
    both = [contingency(codes[0][side], codes[1][side], 12, 12).ravel() for side in (0, 1)]
    assert 1 - total_variation(*both) == pytest.approx(RECORD["pairs"][" ".join(pair)], abs=1e-12)


def test_a_missing_number_is_larger_than_all_others():
    """Of 4 rows 2 are emptied: no number is as often below 3 as before, and the distance is one half."""
    assert ks_distance(np.array([1, 1, 1, 1, 0]), np.array([1, 1, 0, 0, 2])) == 0.5


def test_distances_do_not_ask_for_equal_sizes_nor_for_order():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 9, 50), rng.integers(2, 12, 80)
        a, b = counts(x, y)
        assert ks_distance(a, b) == pytest.approx(ks_2samp(x, y).statistic)
        assert ks_distance(a, a * 3) == total_variation(a, a * 3) == 0
        order = rng.permutation(len(a))
        assert total_variation(a[order], b[order]) == pytest.approx(total_variation(a, b))
        assert ks_distance(a, b) <= total_variation(a, b) + 1e-12


def test_chance_gives_small_distances_often_and_large_ones_never():
    assert ks_p(0.01, 500, 500) == pytest.approx(1)
    assert ks_p(0.5, 500, 500) < 1e-20
    assert ks_p(0.08, 500, 400) == pytest.approx(
        ks_2samp(range(500), np.arange(400) * 1.25 + 40, method="asymp").pvalue, rel=0.2
    )


def test_correlations_with_gaps_are_those_of_the_rows_that_have_both():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) * 1e3 + 1e6
    x[rng.random(x.shape) < 0.2] = np.nan
    r = correlations(x)
    for i, j in combinations(range(4), 2):
        both = ~np.isnan(x[:, i]) & ~np.isnan(x[:, j])
        assert r[i, j] == r[j, i] == pytest.approx(np.corrcoef(x[both, i], x[both, j])[0, 1], abs=1e-9)
    np.testing.assert_allclose(np.diag(r), 1)


def test_a_column_twice_correlates_wholly_and_a_constant_not_at_all():
    x = np.random.default_rng(2).normal(size=(30, 1))
    r = correlations(np.hstack([x, x, -3 * x, np.full((30, 1), 7.0), np.full((30, 1), np.nan)]))
    np.testing.assert_allclose(r[:3, :3], [[1, 1, -1], [1, 1, -1], [-1, -1, 1]])
    assert np.isnan(r[3:]).all()


def test_correlations_of_ranks_are_spearmans():
    x = np.random.default_rng(3).integers(0, 6, size=(50, 3)).astype(float)
    np.testing.assert_allclose(correlations(ranked(x)), spearmanr(x).statistic, atol=1e-12)


def test_a_correlation_rests_on_the_rows_that_are_not_all_alike():
    x = np.zeros((100, 3))
    x[:, 0], x[:10, 1] = np.arange(100), np.arange(1, 11)
    x[50:, 2] = np.nan
    assert told_by(x)[0, 1] == pytest.approx(20)
    assert told_by(x)[0, 2] == 0, "what is there is constant"


def test_correlations_of_one_source_differ_by_chance():
    """p is uniform: of 400 pairs of draws about one in ten has p < .1."""
    rng, n = np.random.default_rng(4), 80.0
    told = []
    for _ in range(400):
        r, s = (spearmanr(rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]], 80)).statistic for _ in range(2))
        told.append(correlation_p(*(np.array([v]) for v in (r, s, n, n)))[0])
    assert 0.06 < np.mean(np.array(told) < 0.1) < 0.14


def test_bins_are_of_one_width_and_open_at_both_ends():
    edges = bin_edges(np.array([0.0, 10.0, np.nan]), 5)
    assert edges.tolist() == [2, 4, 6, 8]
    assert binned(np.array([-99.0, 2.0, 99.0, np.nan]), edges).tolist() == [0, 1, 4, 5]
    assert len(bin_edges(np.array([np.nan]))) == 0
    assert binned(np.array([3.0, 3.0]), bin_edges(np.array([3.0, 3.0]))).tolist() == [5, 5], "a constant has a middle"


def test_places_are_shares_of_numbers_below():
    among = np.array([[1.0], [2.0], [2.0], [1000.0], [np.nan]])
    assert positions(np.array([[0.0], [2.0], [5.0], [9999.0], [np.nan]]), among).ravel().tolist() == [
        0,
        0.5,
        0.75,
        1,
        0.5,
    ]


def test_the_nearest_row_by_hand_and_by_force():
    """Two numbers and one word: |.1 - .2| + |.5 - .5| + 1 = 1.1 of 3 columns, and the other .9 + 0 + 0 = .9."""
    at, distance = nearest_row(
        np.array([[0.1, 0.5]]), np.array([[7]]), np.array([[0.2, 0.5], [1.0, 0.5]]), np.array([[8], [7]])
    )
    assert at.tolist() == [1] and distance[0] == pytest.approx(0.3)
    rng = np.random.default_rng(5)
    x, y = rng.random((40, 3)), rng.random((30, 3))
    words, theirs = rng.integers(0, 3, (40, 2)), rng.integers(0, 3, (30, 2))
    at, distance = nearest_row(x, words, y, theirs)
    apart = (np.abs(x[:, None] - y).sum(axis=2) + (words[:, None] != theirs).sum(axis=2)) / 5
    np.testing.assert_allclose(distance, apart.min(axis=1), atol=1e-9)
    assert at.tolist() == apart.argmin(axis=1).tolist()
    _, own = nearest_row(x, words, x, words)
    _, other = nearest_row(x, words, x, words, but_own=True)
    assert not own.any() and (other > 0).all()


def test_rows_of_words_alone_have_neighbours_too():
    at, distance = nearest_row(np.empty((1, 0)), np.array([[1, 2]]), np.empty((2, 0)), np.array([[2, 2], [1, 2]]))
    assert at.tolist() == [1] and distance.tolist() == [0]
