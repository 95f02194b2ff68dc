"""Dates and amounts that stand as text."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from unflaw.audit import TablesCheck, audit
from unflaw.audit._tables_written import read_as, written_in
from unflaw.data import Rows

CHRISTMAS_2024 = (datetime.date(2024, 12, 25) - datetime.date(1970, 1, 1)).days


def way_of(*words):
    return written_in(pa.table({"x": pa.array(words, pa.string())})).get("x")


def values_of(*words, way=None):
    table = pa.table({"x": pa.array(words, pa.string())})
    return read_as(table, {"x": way or written_in(table)["x"]})["x"].to_pylist()


@pytest.mark.parametrize(
    "text",
    ["2024-12-25", "25.12.2024", "25/12/2024", "12/25/2024", "2024/12/25", "25-12-2024", "12/25/24", "25.12.24",
     "25 December 2024", "25 Dec 2024", "December 25, 2024", "25-Dec-24"],
)  # fmt: skip
def test_a_day_is_the_same_however_it_is_written(text):
    assert values_of(text) == [CHRISTMAS_2024]
    assert values_of(f"{text} 12:00") == [CHRISTMAS_2024 + 0.5]


def test_a_day_above_twelve_says_which_number_is_the_month():
    assert values_of("3/4/2024", "5/6/2024")[0] == (datetime.date(2024, 3, 4) - datetime.date(1970, 1, 1)).days
    assert values_of("3/4/2024", "25/6/2024")[0] == (datetime.date(2024, 4, 3) - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["$1,234.50", "$ 7", "-$2", "($3.25)"], [1234.5, 7, -2, -3.25]),
        (["1.234,50 €", "7 €", "-2,5 €"], [1234.5, 7, -2.5]),
        (["12%", "3.5 %", "100%"], [12, 3.5, 100]),
        (["1,234", "12", "1,234,567"], [1234, 12, 1234567]),
        (["0,5", "12,25"], [0.5, 12.25]),
    ],
)
def test_an_amount_is_a_number(words, values):
    assert values_of(*words) == values


@pytest.mark.parametrize(
    "words",
    [["02139", "10115"], ["A1", "B2"], ["10.0.0.1", "10.0.0.2"], ["12-3", "4-56"], ["1,23,4", "5,6"], ["red", "$5"],
     ["2024-12-25", "soon"], ["12:30", "13:45"]],
)  # fmt: skip
def test_codes_and_words_stay_words(words):
    assert way_of(*words) is None


def test_one_word_in_a_hundred_may_be_anything_and_is_missing():
    told = values_of(*["$5"] * 100, "n/a", None)
    assert told == [5.0] * 100 + [None, None]


def table(day, paid):
    records = [{"day": d, "paid": p, "kind": "abc"[i % 3]} for i, (d, p) in enumerate(zip(day, paid, strict=True))]
    return Rows.from_records(records, {})


def drawn(seed, form, first=datetime.date(2020, 1, 1), scale=1000.0, n=400):
    rng = np.random.default_rng(seed)
    day = [(first + datetime.timedelta(int(i))).strftime(form) for i in rng.integers(0, 900, n)]
    return table(day, [f"${x:,.2f}" for x in rng.gamma(2.0, scale, n)])


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y"])
def test_a_table_is_asked_about_them_and_rows_outside_are_named(form):
    real = drawn(1, form)
    same = audit(drawn(2, form), real, checks=[TablesCheck()])
    assert {f.verdict for f in same.findings if f.check in ("tables.shapes", "tables.constraints")} == {"ok"}
    other = audit(drawn(3, form, first=datetime.date(2031, 1, 1), scale=90_000.0), real, checks=[TablesCheck()])
    found = {f.check: f for f in other.findings}
    assert found["tables.shapes"].verdict == found["tables.constraints"].verdict == "fail"
    reasons = " ".join(found["tables.constraints"].row_reasons.values())
    assert "in real rows 2020-01-0" in reasons  # as dates, not as days since 1970


def test_a_row_with_one_of_few_dates_is_named_for_what_never_goes_with_it():
    """What is known of real rows counts days, and a row to score holds text."""

    def skied(seed, n_in_summer):
        rng = np.random.default_rng(seed)
        month = rng.choice([1, 2, 7, 8], 800)
        kind = np.where(rng.random(800) < 0.5, "tea", np.where(month < 7, "ski", "swim"))
        kind[np.flatnonzero(month >= 7)[:n_in_summer]] = "ski"
        return Rows.from_records([{"day": f"1.{m}.2024", "kind": str(k)} for m, k in zip(month, kind, strict=True)], {})

    real = skied(1, 0)
    assert written_in(real.table)["day"] == "%d.%m.%Y"
    found = {f.check: f for f in audit(skied(2, 60), real, checks=[TablesCheck()]).findings}["tables.impossible"]
    assert found.verdict == "fail" and len(found.row_scores) == 60
    assert all("2024-0" in reason and "ski" in reason for reason in found.row_reasons.values())
