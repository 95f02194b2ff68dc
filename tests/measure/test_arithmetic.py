"""Sums in a text: known ones by hand, random ones against Python's own arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from unflaw.measure import equations


@pytest.mark.parametrize(
    "text",
    [
        "12 + 30 = 42", "12+30=42.", "7 × 8 = 56", "7 x 8 = 56", "10 / 4 = 2.5", "2 + 3 * 4 = 14", "5 - 8 = -3",
        "$1,200 - $200.50 = $999.50", "1/3 = 0.33", "2/3 = 0.67", "2/3 = 0.66", "100 ÷ 8 = 12.5", "6 − 4 = 2",
        "1,000 * 1,000 = 1,000,000", "3 * -2 = -6", "(1 + 2) * 3 = 9", "2 * (3 + 4) - (6 - 1) = 9",
        "20 / 3 = 6", "20 / 3 = 7",
        "12 plus 30 equals 42", "7 times 8 is equal to 56", "6 divided by 4 equals 1.5", "-7 / 2 = -3",
    ],
)  # fmt: skip
def test_a_sum_that_holds(text):
    assert [e.holds for e in equations(f"So {text}")] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "7 * 8 = 54",
        "2 + 3 * 4 = 20",
        "1/3 = 0.35",
        "10 - 4 = 7",
        "1 / 0 = 0",
        "$1,200 + $200 = $1,500",
        "2.5 + 1 = 3.6",
        "10 / 3 = 4",
        "1.1 + 1.1 = 3",
        "2.1 - 0.05 = 3",
        "(2 + 3) * 4 = 14",
        "8 / (2 - 2) = 1",
        "12 plus 30 equals 43",
    ],
)
def test_a_sum_that_does_not(text):
    assert [(e.holds, e.text) for e in equations(f"Then {text}, as we saw.")] == [(False, text)]


@pytest.mark.parametrize(
    "text",
    [
        "x + 2 = 9", "3x + 2 + 1 = 6", "2^3 + 1 = 9", "y plus 3 times 4 equals 12", "-(1 + 2) * 3 = 9",
        "4 = 4", "on 1/2/2020", "a3 + 4 = 1",
        "1 + 2 = 3x", "1/2 = 50%", "1.5.2 + 1 = 2", "y - 3 + 1 = 2", "2 + 2 = 2 * 2", "v1.2 + 3 = 4", "",
    ],
)  # fmt: skip
def test_what_is_no_plain_sum_is_passed_over(text):
    assert list(equations(text)) == []


def test_each_step_of_a_chain_is_read():
    assert [e.text for e in equations("2 + 3 = 5. 5 * 4 = 20.\n20 - 1 = 18")] == [
        "2 + 3 = 5",
        "5 * 4 = 20",
        "20 - 1 = 18",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_random_sums_equal_python(seed):
    rng = np.random.default_rng(seed)
    numbers, signs = rng.integers(1, 50, 4), rng.choice(list("+-*/"), 3)
    left = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:], strict=True))
    exact = eval("Fraction(1) * " + left.replace("/ ", "/ Fraction(1) / "), {"Fraction": Fraction})
    shown = f"{float(exact):.3f}"
    wrong = f"{float(exact) + 1:.3f}"
    assert [e.holds for e in equations(f"{left} = {shown}")] == [True]
    assert [e.holds for e in equations(f"{left} = {wrong}")] == [False]
