"""Tables: columns of every type, from files of every kind."""

import datetime
import decimal
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from small_tables import rows
from unflaw.audit import TablesCheck, audit
from unflaw.data import ID, Rows


def odd(n, seed):
    rng = np.random.default_rng(seed)
    some = rng.integers(0, 400, n).tolist()
    table = {
        "small": pa.array(rng.normal(size=n).astype(np.float32)), "flag": pa.array(rng.random(n) < 0.3),
        "day": pa.array([datetime.date(2020, 1, 1) + datetime.timedelta(i) for i in some]),
        "when": pa.array([datetime.datetime(2020, 1, 1) + datetime.timedelta(seconds=i) for i in some]),
        "time": pa.array([datetime.time(i % 24) for i in some]),
        "took": pa.array([datetime.timedelta(i) for i in some]),
        "money": pa.array([decimal.Decimal(i) / 100 for i in some], pa.decimal128(10, 2)),
        "coded": pa.array(rng.choice(list("abc"), n)).dictionary_encode(), "nothing": pa.nulls(n),
        "one": pa.array(["x"] * n), "list": pa.array([[1, i % 3] for i in some]),
        "bytes": pa.array([bytes([i % 3]) for i in some]),
        "nested": pa.array([{"a": i % 3} for i in some]), "huge": pa.array([2**60 + i for i in some]),
        "gaps": pa.array([{0: None, 1: float("nan"), 2: float("inf")}.get(i % 9, float(i)) for i in some]),
        "weight": pa.array(rng.random(n)), "unflaw.note": pa.array(["x"] * n),
        ID: pa.array([f"{seed}:{i}" for i in range(n)]),
    }  # fmt: skip
    return Rows(pa.table(table))


def test_columns_of_every_type():
    found = audit(odd(200, 1), odd(300, 2), holdout=odd(100, 3), checks=[TablesCheck()])
    shapes = found.findings[0]
    kinds = {name: column["kind"] for name, column in shapes.evidence["columns"].items()}
    assert [name for name, kind in kinds.items() if kind == "category"] == [
        "bytes",
        "coded",
        "flag",
        "list",
        "nested",
        "one",
    ]
    assert set(shapes.evidence["left_out"]) == {"nothing"} and "weight" not in kinds and "unflaw.note" not in kinds
    assert {f.check: f.verdict for f in found.findings if f.verdict != "ok"} == {}


def test_numbers_that_are_none_are_said_where_real_rows_have_some():
    rng = np.random.default_rng(0)
    mine, real = rng.normal(size=120), rng.normal(size=150)
    mine[:15], mine[15:20] = np.nan, np.inf
    found = audit(*(rows([{"v": float(v), "w": 1} for v in x]) for x in (mine, real)), checks=[TablesCheck()])
    reasons = [reason for reason in found.row_reasons().values() if reason]
    assert len(reasons) >= 15 and any("nan" in reason or "missing" in reason for reason in reasons)


def test_dates_are_told_as_dates(tmp_path):
    """Orders of 2020, of which those of spring are never returned; a row of 2031, and returns in spring."""
    rng, n = np.random.default_rng(0), 2000
    day = rng.integers(0, 366, n)
    back = np.where(day < 80, False, rng.random(n) < 0.5)
    real = {"day": [datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in day], "back": back.tolist()}
    mine = {"day": real["day"][:400], "back": [True] * 400}
    mine["day"][:40] = [datetime.date(2031, 5, 17)] * 40
    for name, of in (("mine", mine), ("real", real)):
        pq.write_table(pa.table(of), tmp_path / f"{name}.parquet")
    found = audit(tmp_path / "mine.parquet", tmp_path / "real.parquet", checks=[TablesCheck()])
    told = {f.check: f for f in found.findings}
    assert re.search(r"`day` lies between 2019-1\d-\d\d and 202\d-\d\d-\d\d", told["tables.constraints"].meaning)
    assert re.search(r"'true' with `day` below 2020-03-\d\d", told["tables.impossible"].meaning)
    outside = [of for of in found.row_reasons().values() if "2031-05-17, in real rows 2020-01-01 to 2020-12-31" in of]
    assert len(outside) == 40


def test_moments_of_a_day_and_dates_of_few_are_told_as_they_are(tmp_path):
    """The early shift never works after noon, and January never pays; the synthetic rows are JSON lines."""
    rng, n = np.random.default_rng(0), 2000
    at = [datetime.datetime(2020, 1, 1) + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 1440, n)]
    month = [datetime.date(2020, 1 + int(m), 1) for m in rng.integers(0, 12, n)]
    shift = ["late" if t.hour >= 12 or rng.random() < 0.3 else "early" for t in at]
    paid = ["no" if m.month == 1 or rng.random() < 0.5 else "yes" for m in month]
    pq.write_table(pa.table({"at": at, "month": month, "shift": shift, "paid": paid}), tmp_path / "real.parquet")
    told = [{"at": str(at[i]), "month": "2020-01-01", "shift": "early", "paid": "yes"} for i in range(300)]
    told[0]["at"] = "2020-01-09 12:00:00"
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in told))
    found = audit(tmp_path / "mine.jsonl", tmp_path / "real.parquet", checks=[TablesCheck()])
    impossible = next(f for f in found.findings if f.check == "tables.impossible").evidence["in_words"]
    assert any(
        re.search(r"`at` 2020-01-01 1[4-9]:\d\d( to|and more).* with `shift` 'early'", said) for said in impossible
    )
    assert any("`month` 2020-01-01 with `paid` 'yes'" in said for said in impossible)
    reasons = found.row_reasons().values()
    assert any("is '2020-01-09 12:00:00', in real rows 2020-01-01 to 2020-01-01 23:59" in of for of in reasons)


def test_times_to_the_nanosecond_are_times(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("mine", 100), ("real", 120)):
        times = pa.array(rng.integers(10**18, 2 * 10**18, n), pa.timestamp("ns"))
        pq.write_table(pa.table({"t": times}), tmp_path / f"{name}.parquet")
    assert audit(tmp_path / "mine.parquet", tmp_path / "real.parquet", checks=[TablesCheck()]).verdict == "ok"


def test_one_table_from_files_of_two_formats_raises_nothing(tmp_path):
    rng, n = np.random.default_rng(0), 400
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(int(d)) for d in rng.integers(0, 900, n)]
    whole = {"day": days, "ok": (rng.random(n) < 0.5).tolist(), "x": rng.normal(size=n).tolist()}
    first, second = ({k: v[at] for k, v in whole.items()} for at in (slice(0, 200), slice(200, None)))
    pq.write_table(pa.table(second), tmp_path / "real.parquet")
    lines = [",".join(map(str, row)) for row in zip(*first.values(), strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join([",".join(first), *lines]))
    records = [
        dict(zip(first, map(str, row), strict=True)) | {"x": row[2]} for row in zip(*first.values(), strict=True)
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    for mine in ("mine.csv", "mine.jsonl"):
        found = audit(tmp_path / mine, tmp_path / "real.parquet", checks=[TablesCheck()])
        assert found.verdict == "ok", [(f.check, f.meaning) for f in found.findings if f.verdict != "ok"]


def test_coarse_tables_of_one_size_and_other_shares_are_not_the_same_rows():
    rng = np.random.default_rng(0)
    sides = (
        rows([{"a": bool(rng.random() < p), "b": bool(rng.random() < 0.5)} for _ in range(500)]) for p in (0.2, 0.8)
    )
    assert audit(*sides, checks=[TablesCheck()]).verdict == "fail"


def test_dates_that_stand_as_text_on_both_sides_are_asked():
    """Twenty years off: of words that are mostly different nothing would be asked."""

    def dated(year, seed):
        some = np.random.default_rng(seed).integers(0, 600, 300).tolist()
        return rows([{"day": str(datetime.date(year, 1, 1) + datetime.timedelta(i)), "x": i % 7} for i in some])

    real, other = dated(2000, 1), dated(2020, 2)
    verdicts = {f.check: f.verdict for f in audit(other, real, checks=[TablesCheck()]).findings}
    assert verdicts["tables.shapes"] == "fail"
    assert audit(dated(2000, 3), real, checks=[TablesCheck()]).verdict == "ok"
    finding = next(f for f in audit(other, real, checks=[TablesCheck()]).findings if f.check == "tables.constraints")
    assert "lies between 1999-1" in finding.meaning


def test_whole_numbers_that_share_six_digits_are_not_equal():
    def at(seed):
        return rows([{"at": 1_700_000_000 + int(i)} for i in np.random.default_rng(seed).integers(0, 10**6, 300)])

    real = at(1)
    found = {f.check: f for f in audit(at(2), real, holdout=at(3), checks=[TablesCheck()]).findings}
    assert (found["tables.copies"].evidence["n_exact"], found["tables.holdout"].verdict) == (0, "ok")
    copied = Rows.from_records([{"at": r["at"]} for r in real.table.to_pylist()[:250]], {})
    found = {f.check: f for f in audit(copied, at(4), holdout=real, checks=[TablesCheck()]).findings}
    assert (found["tables.holdout"].evidence["n_exact"], found["tables.holdout"].verdict) == (250, "fail")


def test_nothing_but_names_is_compared_as_it_is():
    def named(seed):
        rng = np.random.default_rng(seed)
        return rows([{"id": int(rng.integers(10**9)), "name": f"Ann {rng.integers(10**9)}"} for _ in range(80)])

    assert audit(named(1), named(2), holdout=named(3), checks=[TablesCheck()]).verdict == "ok"
