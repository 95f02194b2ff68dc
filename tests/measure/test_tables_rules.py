"""Rules of tables: planted ones are found, and random columns keep none."""

import numpy as np
import pytest

from unflaw.measure import (
    apart,
    bound,
    dependence,
    equalities,
    kept_order,
    never_together,
    unit_of,
    unseen_share,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "draw", [RNG.normal, RNG.exponential, lambda size: RNG.pareto(2, size), lambda size: RNG.random(size)]
)
def test_hardly_any_row_lies_beyond_a_bound(draw):
    """300 times 200 rows and 200 others: by the outermost number two in 200 would, here fewer than one in 200 · 1.5."""
    beyond = 0
    for _ in range(300):
        x, others = draw(size=200), draw(size=200)
        beyond += int((others > bound(x, upper=True)).sum() + (others < bound(x, upper=False)).sum())
    assert beyond < 200


def test_a_bound_on_which_rows_pile_up_is_one():
    ages = np.array([17.0] * 12 + [18] * 15 + [19] * 14 + list(range(20, 90)))
    assert bound(ages, upper=False) == 17
    assert bound(ages, upper=True) > 89, "one row lies on it"
    falling = np.repeat([3.0, 2, 1, 0], [2, 8, 32, 128])  # four times fewer at every step: at 4 there would be one half
    assert bound(falling, upper=True) > 3
    assert bound(np.full(20, 5.0), upper=True) == bound(np.full(20, 5.0), upper=False) == 5


def test_new_words_come_as_often_as_words_stand_alone():
    assert unseen_share(np.array([1, 1, 8])) == 0.2
    assert unseen_share(np.array([5, 5])) == 0


@pytest.mark.parametrize(
    ("x", "unit"),
    [([1, 2, 300], 1), ([1.5, 2], 0.1), ([np.float32(0.1), np.float32(2.3)], 0.1), ([np.pi, 1], 0.0), ([1e9, 5], 1)],
)
def test_the_last_digit(x, unit):
    assert unit_of(np.array([*x, np.nan], dtype=np.float64)) == unit


def test_an_order_counts_where_it_could_have_been_broken_and_is_not_near_it():
    x = RNG.random(500)
    assert kept_order(x, x + RNG.exponential(size=500) * (RNG.random(500) < 0.9)) > 50, "every tenth is equal"
    assert kept_order(x, x + 5) == 0, "no y lies below any x"
    assert kept_order(x, x + RNG.normal(0.5, 0.1, 500)) > 50, "five standard deviations off"
    assert kept_order(x, x + RNG.exponential(size=500) + 1e-3) == 0, "the next row might break it"
    assert kept_order(x, x[::-1]) == 0


def test_equations_are_found_and_named():
    n = 300
    a, b = RNG.integers(1, 40, n).astype(float), np.round(RNG.random(n) * 50, 2)
    price = RNG.integers(2, 9, n).astype(float)
    x = np.stack([a, b, a + b, price, a * price, 2.5 * a + 3, RNG.random(n)], axis=1)
    x[::9, 1] = np.nan
    found = {(e.kind, e.columns): e for e in equalities(x, 10.0)}
    assert set(found) == {("sum", (0, 1, 2)), ("product", (0, 3, 4)), ("linear", (0, 5))}
    assert (found["linear", (0, 5)].k, found["linear", (0, 5)].c) == (2.5, 3)
    assert all(e.by_chance > 200 for e in found.values())


def test_one_row_breaks_an_equation():
    a, b = RNG.integers(0, 9, (2, 200)).astype(float)
    c = a + b
    c[77] += 1
    assert equalities(np.stack([a, b, c], axis=1), 10.0) == []


def test_a_slip_of_the_pen_in_thousands_breaks_no_rule():
    a, b = RNG.integers(0, 90, (2, 3000)).astype(float)
    x = np.stack([a, b, a + b, 3 * a + 7], axis=1)
    x[[5, 77]], x[1234, 3] = np.array([[1, 1, 5, 10], [0, 9, 80, 7]]), 0
    assert {(e.kind, e.columns) for e in equalities(x, 10.0)} == {("sum", (0, 1, 2)), ("linear", (0, 3))}
    y = a + RNG.integers(0, 5, 3000)
    y[9] = a[9] - 4
    assert kept_order(a, y) > 100


def test_random_columns_keep_no_equation():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = np.hstack([rng.integers(0, 3, (60, 4)), rng.integers(0, 50, (60, 2)) * (rng.random((60, 2)) < 0.1)]).astype(
            float
        )
        assert equalities(x, 8.0) == []


def test_the_last_digit_is_not_held_against_an_equation():
    assert apart(np.array([10.004]), np.array([10.0]), 0.01).tolist() == [False]
    assert apart(np.array([10.006]), np.array([10.0]), 0.01).tolist() == [True]
    assert apart(np.array([np.nan]), np.array([1.0]), 1.0).tolist() == [False]


def test_dependence_by_hand():
    """Three towns of 30, 20 and 1 rows: 49 repeat theirs, and a third of all rows would be in another country."""
    broken, chance = dependence(np.array([[30, 0], [3, 17], [1, 0]]))
    assert broken == 3
    assert chance == pytest.approx(48 * (1 - 34 / 51))


def test_what_is_never_together_by_hand():
    """Of 200 rows 100 are a, 80 are b: chance gives 40 of both. One in thousands is forgiven, two in 40 are not."""
    assert never_together(np.array([[0, 100], [80, 20]]), 30) == [(0, 0, 40.0, 0)]
    assert never_together(np.array([[0, 100], [80, 20]]), 50) == []
    assert never_together(np.array([[2, 98], [78, 22]]), 30) == []
    assert [found[:2] for found in never_together(np.array([[1, 10_000], [8000, 2000]]), 30)] == [(0, 0)]
