"""Dates and amounts that stand as text."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from unflaw.audit import TablesCheck, audit
from unflaw.audit._tables_written import values_of as values_by
from unflaw.audit._tables_written import written_in
from unflaw.data import Rows


def since_1970(year, month, day):
    return (datetime.date(year, month, day) - datetime.date(1970, 1, 1)).days


def ways_of(**columns):
    return written_in(pa.table({name: pa.array(words, pa.string()) for name, words in columns.items()}))


def values_of(words):
    return values_by(pa.array(words, pa.string()), ways_of(x=words)["x"].value).tolist()


@pytest.mark.parametrize(
    "text",
    ["2024-12-25", "25.12.2024", "25/12/2024", "12/25/2024", "2024/12/25", "2024.12.25", "25-12-2024", "12-25-2024",
     "25 December 2024", "25 Dec 2024", "December 25, 2024", "Dec 25, 2024", "25-Dec-2024"],
)  # fmt: skip
def test_a_day_is_the_same_however_it_is_written(text):
    assert values_of([text]) == [since_1970(2024, 12, 25)]
    assert values_of([f"{text} 12:00"]) == [since_1970(2024, 12, 25) + 0.5]
    assert values_of([f"{text} 06:00:00 PM"] if "/" in text else [f"{text} 18:00:00"])[0] % 1 == 0.75


def test_a_day_above_twelve_says_which_number_is_the_month():
    assert values_of(["3/4/2024", "5/6/2024"])[0] == since_1970(2024, 3, 4)
    assert values_of(["3/4/2024", "25/6/2024"])[0] == since_1970(2024, 4, 3)
    assert values_of(["3.4.2024", "5.6.2024"])[0] == since_1970(2024, 4, 3)  # nobody puts the month first there


def test_what_one_column_leaves_open_another_one_decides():
    ways = ways_of(start=["01/03/2024", "01/04/2024"], end=["25/06/2024", "01/07/2024"], other=["1-2-2024", "3-4-2024"])
    assert [ways[name].form for name in ("start", "end", "other")] == ["%d/%m/%Y", "%d/%m/%Y", "%m-%d-%Y"]


SIXTY = [f"${i}" for i in range(10, 70)]
"""Of fewer different amounts the words themselves are asked."""


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["$1,234.50", "$ 7", "-$2", "($3.25)", "$-4", "$1,234,567"], [1234.5, 7, -2, -3.25, -4, 1234567]),
        (["1.234,50 €", "7 €", "-2,5 €", "€ 8", "1.234.567 €"], [1234.5, 7, -2.5, 8, 1234567]),
        (["12%", "3.5 %", "100%", "+1.5%", "12.345%"], [12, 3.5, 100, 1.5, 12.345]),
        (["45.000 €", "950 €", "1.200 €"], [45000, 950, 1200]),
        (["45,000 €", "950 €"], [45000, 950]),
        (["₹4,30,761", "₹500"], [430761, 500]),
        (["CHF 1'234.50", "CHF 2"], [1234.5, 2]),
        (["1 234,50 €", "2 €"], [1234.5, 2]),
        (["USD 1,234.50", "USD 5"], [1234.5, 5]),
    ],
)
def test_an_amount_is_a_number(words, values):
    sign = next(s for s in ("USD", "CHF", *"$€%₹") if s in words[0])
    rest = [w.replace("$", sign) for w in SIXTY]
    assert values_of([*words, *rest])[: len(values)] == values


@pytest.mark.parametrize(
    "words",
    [
        [f"{i:05d}" for i in range(2000, 2300)],
        [f"{i:05d}" for i in range(2000, 2300)] + ["100%"],
        [f"A{i}" for i in range(60)],
        [f"10.0.0.{i}" for i in range(100)],
        [f"192.168.{i}.200" for i in range(100, 200)],
        [f"612.345.{i}" for i in range(100, 200)],
        [f"{i}.{j}" for i in range(10) for j in range(10)],
        [f"{i},{j}" for i in range(10) for j in range(10)],
        [f"{i}:30" for i in range(24)],
        [f"5.10.{i}" for i in range(10, 93)],
        [f"${i}" for i in range(60)] + [f"{i} €" for i in range(60)],
        [f"{i}$6" for i in range(60)],
        ["0%", "7%", "19%"],
        ["red", "2024-12-25"],
        ["", "n/a"],
    ],
    ids=lambda words: words[-1],
)
def test_codes_and_words_stay_words(words):
    assert ways_of(x=words) == {}


def test_one_word_in_a_hundred_may_be_anything_and_nothing_is_no_word():
    told = values_of(["soon", *(f"${i}" for i in range(200)), "n/a", "-", "", None])
    assert told[1:201] == list(range(200)) and np.isnan([told[0], *told[201:]]).all()
    assert values_of(["soon", *["2024-12-25"] * 200])[-1] == since_1970(2024, 12, 25)
    assert ways_of(x=["soon", "later", *["2024-12-25"] * 100]) == {}


def table(day, paid):
    records = [{"day": d, "paid": p, "kind": "abc"[i % 3]} for i, (d, p) in enumerate(zip(day, paid, strict=True))]
    return Rows.from_records(records, {})


def drawn(seed, form, first=datetime.date(2020, 1, 1), scale=1000.0, n=400, sign="$"):
    rng = np.random.default_rng(seed)
    day = [(first + datetime.timedelta(int(i))).strftime(form) for i in rng.integers(0, 900, n)]
    return table(day, [f"{sign}{x:,.2f}" for x in rng.gamma(2.0, scale, n)])


def found_in(rows, real):
    return {f.check: f for f in audit(rows, real, checks=[TablesCheck()]).findings}


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%d"])
def test_a_table_is_asked_about_them_and_rows_outside_are_named(form):
    real = drawn(1, form)
    same = found_in(drawn(2, form), real)
    assert {f.verdict for f in same.values()} == {"ok"}
    found = found_in(drawn(3, form, first=datetime.date(2031, 1, 1), scale=90_000.0), real)
    assert found["tables.shapes"].verdict == found["tables.constraints"].verdict == "fail"
    reasons = " ".join(found["tables.constraints"].row_reasons.values())
    assert "in real rows 2020-01-0" in reasons  # as dates, not as days since 1970


@pytest.mark.parametrize(
    ("form", "sign", "said"),
    [("%m/%d/%Y", "$", "in real rows a date as 25.12.2024"), ("%d.%m.%Y", "€", "in real rows an amount as 1,234.5 $")],
)
def test_what_is_written_otherwise_is_told_as_such(form, sign, said):
    found = found_in(drawn(2, form, sign=sign), drawn(1, "%d.%m.%Y"))["tables.constraints"]
    assert found.verdict == "fail" and said in " ".join(found.row_reasons.values())


def test_what_cannot_be_read_is_not_missing():
    """A tenth of the real rows have no day, so that a row without one is as it should be; one with "soon" is not."""

    def some(seed, odd):
        rows = drawn(seed, "%d.%m.%Y")
        day = rows.column("day")
        day[:40] = [""] * 40
        day[40 : 40 + odd] = ["soon", "31.02.2021"] * (odd // 2)
        return rows.with_column("day", day)

    found = found_in(some(2, 40), some(1, 0))["tables.constraints"]
    assert found.verdict == "fail" and len(found.row_scores) == 40
    assert "`day` is 'soon', in real rows a date as 25.12.2024" in found.row_reasons.values()


def test_an_amount_that_no_real_row_has_is_seen_where_there_are_few():
    def priced(seed, odd):
        price = np.random.default_rng(seed).choice(["$5", "$10", "$20"], 300)
        price[:odd] = "$7"
        return Rows.from_records([{"price": str(p), "n": i % 9} for i, p in enumerate(price)], {})

    found = found_in(priced(2, 25), priced(1, 0))["tables.constraints"]
    assert found.verdict == "fail" and len(found.row_scores) == 25


def test_a_row_with_one_of_few_dates_is_named_for_what_never_goes_with_it():
    """What is known of real rows counts days, and a row to score holds text."""

    def skied(seed, n_in_summer):
        rng = np.random.default_rng(seed)
        month = rng.choice([1, 2, 7, 8], 800)
        kind = np.where(rng.random(800) < 0.5, "tea", np.where(month < 7, "ski", "swim"))
        kind[np.flatnonzero(month >= 7)[:n_in_summer]] = "ski"
        return Rows.from_records([{"day": f"1.{m}.2024", "kind": str(k)} for m, k in zip(month, kind, strict=True)], {})

    found = found_in(skied(2, 60), skied(1, 0))["tables.impossible"]
    assert found.verdict == "fail" and len(found.row_scores) == 60
    assert all("2024-0" in reason and "ski" in reason for reason in found.row_reasons.values())


def test_rows_that_equal_real_and_held_out_ones_are_found():
    real, held = drawn(1, "%d.%m.%Y"), drawn(5, "%d.%m.%Y")
    rows = table([*real.column("day")[:198], *held.column("day")[:198]],
                 [*real.column("paid")[:198], *held.column("paid")[:198]])  # fmt: skip
    found = {f.check: f for f in audit(rows, real, holdout=held, checks=[TablesCheck()]).findings}
    assert found["tables.copies"].value == found["tables.holdout"].value == 0.5
