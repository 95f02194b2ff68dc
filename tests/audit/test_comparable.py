"""Rows of two sets made comparable."""

import numpy as np

from unflaw.audit._comparable import RowSample, comparable, partners


def test_rows_of_one_rank_are_cut_to_one_length():
    x = np.zeros((2, 1))
    a, b = RowSample([["a"] * 5, ["b"] * 2], x), RowSample([["c"] * 3, ["d"] * 3], x)
    for half in comparable(a.longest_first([0, 1]), b.longest_first([0, 1])):
        assert half.words.lengths.tolist() == [3, 2] and not half.matched


def test_partners_are_about_as_long_and_nobody_has_two():
    assert partners([100, 50, 20, 10], [80, 41, 40, 8]) == [(0, 0), (1, 1), (3, 3)]
    assert partners([9, 9, 9], [4, 4]) == partners([], [1]) == []
    assert partners([0, 0], [0]) == [(0, 0)]
