"""That the page of studies/audit_power says what its results say, and whom it calls accused."""

import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[1] / "studies" / "audit_power"


@pytest.fixture
def page(monkeypatch):
    sys.modules.pop("page", None)
    monkeypatch.syspath_prepend(str(STUDY))
    import page

    yield page
    sys.modules.pop("page", None)


def test_the_page_says_what_the_results_say(page):
    for path, text in page.pages().items():
        assert text == path.read_text(encoding="utf-8"), f"{path}: run studies/audit_power/page.py"


def test_what_is_true_of_clean_rows_accuses_nobody(page):
    """Of four audits with two findings each, one warns of opinion, which reviews are; one of copies, one of both."""
    record = {
        "rows": "reviews", "splits": 4, "rows_a_side": 100, "reference_rows": 1000,
        "clean": {"copies.inside": [{}] * 4, "subjectivity.task": [{}] * 4},
        "alarms": [[], ["subjectivity.task"], ["copies.inside"], ["copies.inside", "subjectivity.task"]],
    }  # fmt: skip
    row = next(line for line in page.alarms_table([record]).splitlines() if line.startswith("| reviews"))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "reviews, 100 beside 1,000", "0", "4", "2", "8", "2", "7.15% to 59.07%", "`copies.inside` 2",
    ]  # fmt: skip
    others = {**record, "rows": "squad", "clean": {"copies.inside": [{}] * 4}}
    assert "| squad, 100 beside 1,000, asked by `copies` | 0 | 4 | 3 | 4 | 4 |" in page.alarms_table([others])
