"""Shares of rows, judged by hand."""

import pytest

from unflaw.audit._shares import Rule, Share, share_finding


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
