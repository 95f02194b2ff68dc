"""Rows chosen by score, by hand."""

import math

import pytest

from unflaw._errors import DataError, SchemaError, SettingsError
from unflaw.curate import filter_rows
from unflaw.data import Rows

ROWS = Rows.from_records(
    [{"unflaw.id": i, "text": i, "label": label} for i, label in zip("fedcba", "xxxxyy", strict=True)],
    {"text": "text", "label": "label"},
)
SCORES = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.5, "e": 0.0}  # f has none


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"above": 0.5}, "fedca"), ({"above": 0.05}, "fe"), ({"above": 1}, "fedcba"),
        ({"worst": 0.5}, "fea"), ({"worst": 0}, "fedcba"), ({"worst": 1}, ""),
        ({"keep": 4}, "feca"),  # c and d have the same score: c comes first
        ({"keep": 0}, ""), ({"keep": 6}, "fedcba"),
        ({"keep": 4, "balance": "label"}, "feba"), ({"keep": 5, "balance": "label"}, "fecba"),
        ({"keep": 3, "balance": "label"}, "fea"),
        ({"worst": 0.5, "balance": "label"}, "fea"),
    ],
)  # fmt: skip
def test_who_stays(rule, kept):
    chosen = filter_rows(ROWS, SCORES, **rule)
    assert "".join(chosen.kept) == kept
    assert sorted([*chosen.kept, *chosen.removed]) == list("abcdef")
    assert [i for i in ROWS.ids if i not in chosen.kept] == list(chosen.removed)
    assert set(chosen.reasons) == set(chosen.scores) == set(chosen.removed)
    assert chosen.settings == {**rule, "n_scored": 5}


def test_a_row_goes_with_the_reason_it_was_given_or_else_the_rule():
    chosen = filter_rows(ROWS, SCORES, above=0.3, reasons={"b": "shouts", "a": "stays"})
    assert chosen.reasons == {"b": "shouts", "c": "scores more than 0.3", "d": "scores more than 0.3"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({}, "got none"), ({"above": 1, "keep": 2}, "got `above` and `keep`"), ({"worst": 1.5}, "in \\[0, 1\\]"),
        ({"keep": 7}, "between 0 and the number of rows, 6"), ({"keep": -1}, "got -1"), ({"above": math.nan}, "finite"),
        ({"above": 0.5, "balance": "label"}, "goes with `worst` or `keep`"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(rule, says):
    with pytest.raises(SettingsError, match=says):
        filter_rows(ROWS, SCORES, **rule)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(SettingsError) as told:
        filter_rows(ROWS, SCORES, worst=2, keep=9)
    assert len(told.value.problems) == 3


def test_a_column_that_is_not_there_and_a_score_that_is_no_number():
    with pytest.raises(SchemaError, match="Did you mean 'label'"):
        filter_rows(ROWS, SCORES, keep=2, balance="lable")
    with pytest.raises(DataError, match="row 'a'"):
        filter_rows(ROWS, {"a": math.nan}, keep=2)


def test_small_classes_give_their_share_together():
    """A tenth of ten classes of three rows is three rows: the worst of the three worst classes."""
    records = [{"unflaw.id": f"{c}{i}", "text": "x", "label": c} for c in "abcdefghij" for i in range(3)]
    rows = Rows.from_records(records, {"text": "text", "label": "label"})
    scores = {f"{c}{i}": 0.1 * i + 0.01 * "abcdefghij".index(c) for c in "abcdefghij" for i in range(3)}
    assert set(filter_rows(rows, scores, worst=0.1, balance="label").removed) == {"j2", "i2", "h2"}
    assert len(filter_rows(rows, scores, worst=0.4, balance="label").removed) == 12  # one of each, and two more


def test_rows_whose_class_is_not_a_number_are_one_class():
    n = 12
    rows = Rows.from_records(
        [{"unflaw.id": f"{k:02d}", "text": f"t{k}", "of": float("nan") if k < 4 else float(k % 2)} for k in range(n)],
        {"text": "text"},
    )
    kept = filter_rows(rows, {f"{k:02d}": float(k) for k in range(n)}, keep=6, balance="of").kept
    assert sum(int(i) < 4 for i in kept) == 2
