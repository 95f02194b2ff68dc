"""Labels: by hand, and against a simulation of chance."""

import numpy as np
import pytest

from unflaw._errors import TooFewRowsError
from unflaw.measure import (
    LabelJudge,
    label_issues,
    out_of_sample,
    stratified_folds,
    total_variation,
    uncertainty,
)


def test_total_variation_is_the_share_that_would_move():
    assert total_variation(np.array([1, 1, 2]), np.array([25, 25, 50])) == 0
    assert total_variation(np.array([10, 0]), np.array([0, 3])) == 1


def test_uncertainty_by_hand():
    """Two bins of 100, of which 80 and 20 are of the first class: I = log 2 - H(.8), less 1 / 400."""
    h = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    found = uncertainty(np.array([[80, 20], [20, 80]]))
    assert found == pytest.approx((np.log(2) - h - 1 / 400) / np.log(2))
    assert uncertainty(np.array([[30, 0], [20, 0]])) == 0, "one class leaves nothing to know"


def test_uncertainty_is_nothing_on_average_where_rows_are_dealt_at_random():
    rng = np.random.default_rng(0)
    bins = rng.integers(10, size=(400, 200))
    found = [
        uncertainty(np.array([np.bincount(b[:100], minlength=10), np.bincount(b[100:], minlength=10)]).T) for b in bins
    ]
    assert abs(np.mean(found)) < 0.005


def test_a_label_that_the_features_speak_against_is_an_issue():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    x = rng.normal(size=(200, 3)) + 6 * labels[:, None]
    labels[:5] = 1
    wrong, quality = label_issues(labels, out_of_sample(x, labels))
    assert wrong.any() and not wrong[5:].any()
    assert quality[:5].max() < quality[5:].min()


def test_a_class_rarer_than_the_folds_is_refused():
    with pytest.raises(TooFewRowsError, match="at least 5 rows that are no copies, one per fold, got 2"):
        out_of_sample(np.zeros((12, 1)), np.repeat([0, 1], [10, 2]))


def test_wrong_labels_of_further_rows_are_found_as_in_those_learnt_from():
    """Three classes at corners of a triangle; in the first a fifth of the labels is wrong, elsewhere none."""
    rng = np.random.default_rng(0)
    corners = 4 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])

    def drawn(n):
        classes = rng.integers(3, size=n)
        flipped = (classes == 1) & (rng.random(n) < 0.2)
        return rng.normal(size=(n, 3)) + corners[classes], np.where(flipped, 0, classes), flipped

    x, labels, flipped = drawn(1000)
    p = out_of_sample(x, labels)
    wrong, _ = label_issues(labels, p)
    judge = LabelJudge.of(x, labels, p, wrong)
    further, given, really = drawn(2000)
    found, quality = judge.issues(further, given)
    assert wrong[flipped].mean() - 0.1 < found[really].mean() < wrong[flipped].mean() + 0.1  # two thirds
    assert found[~really].mean() < 0.005 and not wrong[~flipped].any()
    assert quality[found].max() < 0.5 < np.median(quality)


def test_where_no_label_was_wrong_none_is_found_in_further_rows():
    x, labels = np.repeat([[0.0], [9.0]], 20, axis=0), np.repeat([0, 1], 20)
    judge = LabelJudge.of(x, labels, np.eye(2)[labels], np.zeros(40, dtype=bool))
    assert not judge.issues(x, labels[::-1])[0].any()


def test_copies_lie_in_one_fold_and_labels_are_dealt_alike():
    labels, groups = np.tile([0, 1], 30), np.repeat(np.arange(20), 3)  # of each group the first decides
    fold = stratified_folds(labels, 5, 0, groups.tolist())
    assert all(len(set(fold[groups == g])) == 1 for g in range(20))
    led = labels[::3]
    for n in range(5):
        assert np.bincount(led[fold[::3] == n]).tolist() == [2, 2]
    with pytest.raises(TooFewRowsError, match="got 4 of the rarest"):
        stratified_folds(np.repeat([0, 1], [12, 12]), 5, 0, [*range(12), *np.repeat(range(12, 16), 3)])


def test_wrong_labels_of_copies_are_found_as_those_of_others():
    """A row that is there three times, wrong each time, is not known by heart from its copies."""
    rng = np.random.default_rng(0)
    truth = np.tile([0, 1], 60)
    x = rng.normal(size=(120, 4)) + 3 * truth[:, None]
    wrong = np.zeros(120, dtype=bool)
    wrong[rng.choice(120, 18, replace=False)] = True
    y, again = np.where(wrong, 1 - truth, truth), np.repeat(np.arange(120), 3)
    found, _ = label_issues(y[again], out_of_sample(x[again], y[again], groups=again.tolist()))
    assert found[wrong[again]].mean() > 0.8 and found[~wrong[again]].mean() < 0.05
