"""Two audits compared, finding by finding, by hand."""

import pytest

from unflaw.audit import Audit, changes
from unflaw.data import Finding, Rows


def finding(value, verdict="ok", half=0.1, better="lower", check="a.b"):
    low, high = (None, None) if half is None else (value - half, value + half)
    return Finding(check, "t", value, low, high, better, verdict, "rule", "means")


def audit(*findings):
    rows = Rows.from_records([{"text": "r"}], {"text": "text"})
    return Audit(findings, rows.table, {}, rows)


@pytest.mark.parametrize(
    ("before", "now", "turn"),
    [
        (finding(0.5), finding(0.5), "same"), (finding(0.5), finding(0.6), "same"),
        (finding(0.5, "warn"), finding(0.71, "warn"), "worse"), (finding(0.5, "fail"), finding(0.29, "fail"), "better"),
        (finding(0.5, "warn", better="higher"), finding(0.71, "warn", better="higher"), "better"),
        (finding(0.5, "warn", better="higher"), finding(0.29, "warn", better="higher"), "worse"),
        (finding(0.5), finding(0.9), "same"),  # neither has the flaw
        (finding(0.5, half=None), finding(0.9, half=None), "same"),  # without intervals only verdicts count
        (finding(0.5, "warn"), finding(0.49, "ok"), "better"), (finding(0.5, "warn"), finding(0.51, "fail"), "worse"),
    ],
)  # fmt: skip
def test_a_finding_turns(before, now, turn):
    (change,) = changes(audit(now), audit(before))
    assert (change.check, change.turn, change.now, change.before) == ("a.b", turn, now, before)


def test_what_only_one_version_was_asked_and_the_order():
    now = audit(finding(0.5, check="same"), finding(0.5, check="new"), finding(0.9, "warn", check="worse"))
    before = audit(finding(0.5, check="same"), finding(0.5, check="gone"), finding(0.1, "warn", check="worse"))
    assert [(c.check, c.turn) for c in changes(now, before)] == [(n, n) for n in ("worse", "new", "gone", "same")]


def test_against_itself_nothing_changes():
    one = audit(finding(0.3, "warn"), finding(0.4, "fail", check="c.d"))
    assert {c.turn for c in changes(one, one)} == {"same"}
