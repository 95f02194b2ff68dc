"""That studies/audit_power runs, that its page says what its results say, and whom it calls accused."""

import json
import sys

import pytest


@pytest.fixture
def study(load_study):
    return load_study("audit_power", "page", "run")


@pytest.fixture
def page(study):
    return study[0]


def test_a_run_writes_its_results_and_the_page(study, monkeypatch, tmp_path):
    """Of the shipped rows dealt out once: clean rows, asked by every check, and nothing planted."""
    page, run = study
    (tmp_path / "results").mkdir()
    (tmp_path / "README.md").write_text("Head.\n\n<!-- tables -->\nOld.\n", encoding="utf-8")
    for module in study:
        monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["run.py", *f"--splits 1 --first 7 --planted 0 --runs {tmp_path / 'runs'}".split()]
    )
    run.main()
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("examples*.json")]
    assert record["splits"] == 1 and sum(map(len, record["clean"].values())) == 51
    written = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert written.startswith("Head.\n\n<!-- tables -->") and "Old." not in written
    assert "| examples, 300 beside 300 | 7 | 1 | 0 | 51 | 0 |" in written


def test_the_page_says_what_the_results_say(page):
    for path, text in page.pages().items():
        assert text == path.read_text(encoding="utf-8"), f"{path}: run studies/audit_power/page.py"


def test_no_two_claims_have_one_name(page):
    claims = json.loads((page.HERE / "results" / "claims.json").read_text())["claims"]
    assert len({claim["claim"] for claim in claims}) == len(claims)


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
