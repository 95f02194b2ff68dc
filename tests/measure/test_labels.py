"""Labels: by hand, and against a simulation of chance."""

import numpy as np
import pytest

from unflaw._errors import TooFewRowsError
from unflaw.measure import LabelJudge, label_issues, out_of_sample, total_variation, uncertainty


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
    with pytest.raises(TooFewRowsError, match="at least 5 rows, got 2"):
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
