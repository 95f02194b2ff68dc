"""Shares of rows, judged by hand."""

from collections import Counter

import pytest

from unflaw.audit._shares import Rule, Share, share_finding, spread_finding


@pytest.mark.parametrize(
    ("mine", "usual", "verdict"),
    [
        ((9, 100), (0, 100), "ok"), ((15, 100), (0, 100), "warn"), ((50, 100), (0, 100), "fail"),
        ((50, 100), (45, 100), "ok"), ((15, 100), None, "warn"), ((0, 100), None, "ok"),
        ((2, 10), (1, 10), "ok"),  # a tenth more, and well within chance
    ],
)  # fmt: skip
def test_the_verdict_is_on_what_real_rows_do_not_have(mine, usual, verdict):
    assert Rule(0.1, 0.4).verdict(Share(*mine), None if usual is None else Share(*usual)) == verdict


def test_a_finding_says_both_shares_and_takes_other_fields():
    mine, usual = Share(15, 100), Share(40, 1000)
    found = share_finding("a.b", "Rows that shout", mine, usual, Rule(0.1, 0.4), "shout", n_reference=99)
    assert (found.value, found.control, found.verdict, found.n_rows, found.n_reference) == (0.15, 0.04, "warn", 100, 99)
    assert found.low < 0.15 < found.high and found.control_low < 0.04 < found.control_high
    assert found.meaning == "15 of 100 rows shout."
    assert found.threshold == "warn from 10%, fail from 40% of the rows above the control, when clear of it"
    assert share_finding("a.b", "t", Share(1, 2), None, Rule(0.1, 0.4), "x").control is None


@pytest.mark.parametrize(
    ("mine", "usual", "verdict"),
    [((1, 100), (0, 2000), "ok"), ((2, 100), (0, 2000), "warn"), ((1, 50), (0, 4950), "ok"), ((5, 50), (0, 50), "ok")],
)
def test_of_few_rows_an_exact_test_decides(mine, usual, verdict):
    """By hand: one of 100 is among the 100 of 2,100 with probability .048; both of two with .0023."""
    assert Rule(0.01, 0.05).verdict(Share(*mine), Share(*usual)) == verdict


def test_rare_kinds_are_pooled_before_a_test():
    """20 kinds of which chance puts one row into 50: each is a cell of its own no longer, and nothing is clear."""
    real = Counter({f"kind {i}": 40 for i in range(20)} | {"usual": 3200})
    mine = Counter({f"kind {i}": 3 for i in range(4)} | {"usual": 38})
    halves = (real, real)
    finding = spread_finding("a.b", "t", mine, real, halves, Rule(0.05, 0.2), "x")
    assert finding.verdict == "ok" and finding.evidence["p"] == pytest.approx(0.6, abs=0.3)
