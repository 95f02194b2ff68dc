"""Words that judge, by eye; agreement by hand, by all ways there are, and against another implementation."""

import itertools

import numpy as np
import pytest

from unflaw._errors import TooFewRowsError
from unflaw.measure import (
    agreement,
    chance_plurality,
    krippendorff_alpha,
    krippendorff_interval,
    label_counts,
    plurality_share,
    tone,
)

# Krippendorff 2004, "Content Analysis": three people, fifteen rows, some labels missing.
PEOPLE = (
    "* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)  # fmt: skip
LABELLED = [[None if label == "*" else label for label in row] for row in zip(*map(str.split, PEOPLE), strict=True)]


@pytest.mark.parametrize(
    ("text", "judging"),
    [
        ("A truly wonderful film, and far too long.", 4), ("The film is 90 minutes long.", 0), ("", 0),
        ("I think it’s AWFUL; you should not go.", 3), ("The bridge was built in 1815 by John Good.", 1),
    ],
)  # fmt: skip
def test_words_that_judge(text, judging):
    assert tone(text).n_judging == judging


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("Who wrote the book?\nAda", True), ("Ada wrote", False), ("", False),
        ("ada grace alan kurt emmy sofia", False),
        ("Der Fluss fließt von den Hügeln hinab ins Meer, und niemand weiß warum.", False),
        ("La rivière coule des collines jusqu'à la mer et personne ne la traverse.", False),
        ("x = [f(y) for y in rows]; print(sum(x) / len(x), end='')", False),
    ],
)  # fmt: skip
def test_only_english_sentences_are_prose(text, prose):
    assert tone(text).is_prose is prose


def test_alpha_equals_the_package_krippendorff():
    """Version 0.9.0 gives 0.691358024691358 for these, level "nominal"."""
    assert krippendorff_alpha(label_counts(LABELLED)) == pytest.approx(0.691358024691358, abs=1e-15)


def test_alpha_by_hand():
    """Rows aa, bb, ab: of 2 · 1 ordered pairs a row, in the last both differ, so 2 of 6 observed.

    Of the 6 · 5 ordered pairs of three a and three b 2 · 3 · 3 = 18 differ: expected 18 / 5 = 3.6 of 6.
    """
    assert krippendorff_alpha(label_counts(["aa", "bb", "ab"])) == pytest.approx(1 - 2 / 3.6)


def test_a_row_with_one_label_changes_nothing():
    counts = label_counts(["aa", "bb", "ab"])
    assert krippendorff_alpha(np.vstack([counts, [[1, 0], [0, 0]]])) == krippendorff_alpha(counts)


def test_all_agree_or_nobody_could_disagree():
    assert krippendorff_alpha(label_counts(["aa", "bb"])) == 1
    assert np.isnan(krippendorff_alpha(label_counts(["aa", "aa"])))
    with pytest.raises(TooFewRowsError, match="two different labels"):
        krippendorff_interval(label_counts(["aa", "aa"]))
    with pytest.raises(TooFewRowsError, match="got 1 rows"):
        krippendorff_interval(label_counts(["ab"]))


def test_the_interval_holds_the_value_and_narrows_with_rows():
    rng = np.random.default_rng(0)
    drawn = [["ab"[int(rng.random() < p)] for _ in range(5)] for p in rng.choice([0.1, 0.9], 400)]
    (value, low, high), (few, few_low, few_high) = (krippendorff_interval(label_counts(drawn[:n])) for n in (400, 40))
    assert low < value < high and few_low < few < few_high
    assert 2 < (few_high - few_low) / (high - low) < 5  # about sqrt(10)
    assert krippendorff_interval(label_counts(drawn)) == (value, low, high)


@pytest.mark.parametrize(("n_given", "n_labels"), [(1, 3), (2, 2), (3, 2), (4, 3), (5, 4), (6, 2), (7, 1)])
def test_chance_plurality_equals_the_mean_over_all_ways_to_label(n_given, n_labels):
    ways = itertools.product(range(n_labels), repeat=n_given)
    mean = np.mean([max(map(way.count, way)) / n_given for way in ways])
    assert chance_plurality(n_given, n_labels) == pytest.approx(mean, abs=1e-9)


def test_chance_plurality_of_many_labels_equals_draws():
    rng = np.random.default_rng(0)
    drawn = [np.bincount(rng.integers(28, size=100)).max() / 100 for _ in range(4000)]
    assert chance_plurality(100, 28) == pytest.approx(np.mean(drawn), abs=1e-3)


def test_labels_at_random_agree_by_nothing_and_equal_ones_wholly():
    rng = np.random.default_rng(0)
    drawn = label_counts([rng.integers(3, size=5).tolist() for _ in range(4000)])
    assert plurality_share(drawn).mean() > 0.5
    assert agreement(drawn).mean() == pytest.approx(0, abs=0.02)
    assert agreement(label_counts(["aaa", "bb", "c"]))[:2].tolist() == [1, 1]


def test_agreement_by_hand():
    """Three people, two labels: 3/4 by chance; two of three give (2/3 - 3/4) / (1/4). One agrees with nobody."""
    found = agreement(label_counts([["a", "a", "b"], ["a", None], []]))
    assert found[0] == pytest.approx(-1 / 3) and np.isnan(found[1:]).all()


def test_labels_may_be_of_any_kind_and_order_changes_nothing():
    mixed = label_counts([[1, "1", True], [None, 1]])
    assert mixed.sum() == 4 and mixed.shape == (2, 2)  # True is 1
    rows = [list(row) for row in LABELLED]
    back = label_counts([row[::-1] for row in rows])
    np.testing.assert_array_equal(agreement(back), agreement(label_counts(rows)))
