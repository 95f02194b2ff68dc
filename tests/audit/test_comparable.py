"""Rows of two sets made comparable."""

import numpy as np
import pytest

from unflaw._errors import DataError
from unflaw.audit._comparable import RowSample, comparable, partners
from unflaw.audit._sample import bottom_k


def test_rows_of_one_rank_are_cut_to_one_length():
    x = np.zeros((2, 1))
    texts = [["a"] * 5, ["b"] * 2], [["c"] * 3, ["d"] * 3]
    a, b = (RowSample(of, [[word.upper() for word in text] for text in of], x) for of in texts)
    for half in comparable(a.longest_first([0, 1]), b.longest_first([0, 1])):
        assert half.words.lengths.tolist() == half.classes.lengths.tolist() == [3, 2] and not half.matched


def test_a_tagger_that_loses_words_is_refused():
    sample = bottom_k(["1", "2"], [("a b", np.ones(2)), ("c d e", np.ones(2))].__getitem__, 2, 0)
    assert sorted(RowSample.of(sample, 2, lambda words: ["X"] * len(words)).classes) == [["X"] * 2, ["X"] * 3]
    with pytest.raises(DataError, match="one tag per word, got 1 for the"):
        RowSample.of(sample, 2, lambda words: ["X"])


def test_partners_are_about_as_long_and_nobody_has_two():
    assert partners([100, 50, 20, 10], [80, 41, 40, 8]) == [(0, 0), (1, 1), (3, 3)]
    assert partners([9, 9, 9], [4, 4]) == partners([], [1]) == []
    assert partners([0, 0], [0]) == [(0, 0)]
