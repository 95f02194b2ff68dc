"""Tables: what is planted is found, row by row where rows can be named, and two draws of one source raise nothing."""

import numpy as np
import pyarrow as pa
import pytest

from small_tables import people, rows, tables
from unflaw._errors import SettingsError, TooFewRowsError, UsageError
from unflaw.audit import Batch, CopiesCheck, TablesCheck, audit
from unflaw.data import Rows


def test_two_draws_of_one_source_raise_nothing():
    found = tables(people(400, 1), holdout=people(300, 3))
    names = ["shapes", "pairs", "correlation", "impossible", "constraints", "closest", "copies", "holdout"]
    assert list(found) == names
    assert {f.verdict for f in found.values()} == {"ok"}
    assert set(tables(people(400, 1))) == set(names) - {"holdout"}


def test_rows_that_say_something_are_no_table():
    told = Rows.from_records([{"text": f"so it is {i}", "age": i} for i in range(60)], {"text": "text"})
    real = Rows.from_records([{"text": f"it was so {i}", "age": i} for i in range(60)], {"text": "text"})
    check = TablesCheck()
    nothing = check.summarise(Batch(told, told.texts()))
    assert nothing.table is None and check.merge(nothing, nothing) == nothing
    with pytest.raises(UsageError, match="no check had anything to ask: tables"):
        audit(told, real, checks=[check])
    assert "nothing to ask" in audit(told, real, checks=[check, CopiesCheck()]).skipped["tables"]


def test_a_label_is_a_column_like_others():
    records = [{"x": float(v), "label": int(v > 0)} for v in np.random.default_rng(0).normal(size=120)]
    table = Rows.from_records(records, {"label": "label"})
    shapes = audit(table.take(range(60)), table.take(range(60, 120)), checks=[TablesCheck()]).findings[0]
    assert set(shapes.evidence["columns"]) == {"x", "label"}


def test_nothing_is_said_without_real_rows():
    found = audit(rows(people(60)), checks=[TablesCheck(), CopiesCheck()])
    assert "pass `reference`" in found.skipped["tables"]


def test_a_column_of_another_shape_is_named():
    told = people(400, 1)
    for record in told:
        record["age"] = 18 + (record["age"] - 18) // 3
    shapes = tables(told)["shapes"]
    assert shapes.verdict == "fail" and "`age`" in shapes.meaning
    column = shapes.evidence["columns"]["age"]
    assert column["distance"] > 0.5 > 0.1 > column["control"] and column["spread"] == pytest.approx(1 / 3, abs=0.03)
    bars = {series.name: dict(zip(series.x, series.y, strict=True)) for series in shapes.plots[0].series}
    assert bars["synthetic"]["age"] == column["distance"] and list(bars["synthetic"])[0] == "age"


def test_a_category_that_is_gone_is_named_although_it_was_rare():
    real, told = people(400, 2), people(400, 1)
    for i, record in enumerate(real):
        record["hobby"] = "chess" if i % 25 == 0 else "none"
    for record in told:
        record["hobby"] = "none"
    shapes = tables(told, real)["shapes"]
    assert shapes.verdict == "warn" and "'chess' of `hobby`" in shapes.meaning
    assert shapes.evidence["categories_gone"] == [
        {"column": "hobby", "value": "chess", "real_share": pytest.approx(0.04)}
    ]


def test_columns_of_one_side_only_are_named_and_a_missing_one_counts():
    told = [{k: v for k, v in record.items() if k != "hours"} | {"colour": "red"} for record in people(400, 1)]
    found = tables(told)
    assert found["shapes"].verdict == "fail" and found["shapes"].value > 0.1
    assert "have not got: `hours`" in found["shapes"].meaning and "not asked: `colour`" in found["shapes"].meaning
    assert {f.verdict for name, f in found.items() if name != "shapes"} == {"ok"}


def test_names_numbers_of_rows_and_empty_columns_are_left_out_and_it_is_said():
    told, real = people(200, 1), people(300, 2)
    for records in (told, real):
        for i, record in enumerate(records):
            record |= {"row": i + 1, "void": None}
    left = tables(told, real)["shapes"].evidence["left_out"]
    assert {name: why.split(":")[0] for name, why in left.items()} == {
        "name": "name",
        "row": "counter",
        "void": "empty",
    }


def test_a_column_dealt_out_anew_is_seen_in_its_pairs():
    told = people(400, 1)
    cities = np.random.default_rng(0).permutation([record["city"] for record in told])
    ages = np.random.default_rng(1).permutation([record["age"] for record in told])
    for record, city, age in zip(told, cities, ages, strict=True):
        record |= {"city": str(city), "age": int(age)}
    found = tables(told)
    assert found["shapes"].verdict == "ok"
    assert found["pairs"].verdict == "fail" and "`city` with `country`" in found["pairs"].meaning
    assert found["correlation"].verdict != "ok" and "`age` and `seniority`" in found["correlation"].meaning


def test_a_column_twice_is_as_far_off_twice_and_a_rule():
    twice = tables(*([r | {"age2": r["age"]} for r in people(n, seed)] for n, seed in ((300, 1), (400, 2))))
    columns = twice["shapes"].evidence["columns"]
    assert columns["age2"]["distance"] == columns["age"]["distance"]
    says = [rule["says"] for rule in twice["constraints"].evidence["rules"]]
    assert "`age2` is `age` times 1 plus 0" in says
    assert {f.verdict for f in twice.values()} == {"ok"}


def test_a_combination_that_real_rows_never_have():
    told = people(400, 1)
    for record in told[:30]:
        record |= {"sex": "m", "pregnant": "yes"}
    impossible = tables(told)["impossible"]
    assert impossible.verdict == "fail" and set(impossible.row_scores) == set(rows(told).ids[:30])
    reason = impossible.row_reasons[rows(told).ids[0]]
    assert "`pregnant` 'yes' with `sex` 'm': in real rows never, where chance would give" in reason
    assert impossible.value == 0.075 and impossible.control == 0


BREAKS = {
    "range": ({"age": 130}, "`age` is 130, in real rows 18 to 69"),
    "piled": ({"hours": 41}, "`hours` is 41, in real rows 20 to 40"),
    "known": ({"sex": "x"}, "`sex` is 'x', which no real row has"),
    "given": ({"age": None}, "`age` is missing, in real rows there is something"),
    "whole": ({"age": 33.5}, "`age` is 33.5, in real rows whole"),
    "order": ({"seniority": 60, "age": 20}, "`seniority` (60) is more than `age` (20), in real rows it is not"),
    "sum": ({"tax": 1.0, "net": 1.0}, "`net` (1) plus `tax` (1) is not `gross`"),
    "follows": (
        {"city": "Rome", "country": "France"},
        "`country` is 'France' where `city` is 'Rome', in real rows 'Italy'",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_rule_that_real_rows_keep(kind):
    values, reason = BREAKS[kind]
    told = people(400, 1)
    for record in told[:40]:
        record |= values
    constraints = tables(told)["constraints"]
    assert constraints.verdict == "fail" and constraints.control == 0
    assert set(constraints.row_scores) == set(rows(told).ids[:40])
    assert reason in constraints.row_reasons[rows(told).ids[0]]


def test_rules_are_told_with_the_rows_that_keep_them():
    rules = {r["says"]: r for r in tables(people(400, 1))["constraints"].evidence["rules"]}
    assert rules["`net` plus `tax` is `gross`"]["rows"] == 400
    assert rules["`city` gives `country`"]["by_chance"] > 200
    assert rules["`hours` lies between 20 and 40"] and "`seniority` is at most `age`" in rules
    assert "`licence` is given" not in rules and "`licence` is a word that real rows have, of 1" in rules
    assert "`tax` is whole" not in rules


def test_a_gap_that_another_column_explains():
    """A licence is there from 30 on; whether a permit is there, the licence tells."""
    real, told = people(400, 2), people(400, 1)
    for record in (*real, *told):
        record["permit"] = None if record["licence"] is None else float(record["age"])
    for record in told[:40]:
        record |= {"licence": "A", "permit": None}
    constraints = tables(told, real)["constraints"]
    assert constraints.verdict == "fail"
    assert (
        "`permit` is missing where `licence` is 'A', in real rows given" in constraints.row_reasons[rows(told).ids[0]]
    )


def test_text_among_numbers():
    told = [record | {"age": str(record["age"])} for record in people(400, 1)]
    for record in told[:40]:
        record["age"] = "about forty"
    found = tables(told)
    assert "`age` is 'about forty', in real rows a number" in found["constraints"].row_reasons[rows(told).ids[0]]
    assert set(found["constraints"].row_scores) == set(rows(told).ids[:40])
    assert found["shapes"].evidence["columns"]["age"]["distance"] == pytest.approx(0.1, abs=0.07), (
        "the others are numbers"
    )


def test_rows_that_remember_lie_nearer_to_what_they_remember():
    real, held = people(400, 2), people(400, 3)
    told = people(400, 1)
    for i in range(300):
        told[i] = real[i] | {"net": told[i]["net"], "name": told[i]["name"]}
    with_held, without = tables(told, real, held)["closest"], tables(told, real)["closest"]
    assert with_held.verdict == "fail" and with_held.value > 0.7
    assert without.verdict != "ok" and "Held-out rows would tell" in without.meaning
    few = audit(rows(told), rows(real), checks=[TablesCheck(max_rows=300)]).findings
    for finding in (without, next(f for f in few if f.check == "tables.closest")):  # all rows are named, or most are
        flagged, remember = set(finding.row_scores), set(rows(told).ids[:300])
        assert len(flagged & remember) > 5 * len(flagged - remember) and len(flagged) > 100
        assert all("lies nearer to real row" in reason for reason in finding.row_reasons.values())


def test_large_whole_numbers_are_whole():
    rng = np.random.default_rng(0)
    real = [{"income": float(v)} for v in rng.integers(600_000, 2_000_000, 400)]
    mine = [{"income": r["income"] + rng.random() / 2 + 0.25} for r in real[:200]]
    assert tables(mine, real)["constraints"].verdict == "fail"


def test_a_number_that_is_mostly_its_least_has_combinations_too():
    rng = np.random.default_rng(0)

    def of(n, odd):
        kinds = rng.choice(["child", "adult"], n, p=[0.3, 0.7])
        gain = np.where((kinds == "adult") & (rng.random(n) < 0.25), rng.integers(100, 9000, n), 0)
        gain = np.where((kinds == "child") & (rng.random(n) < odd), 500, gain)
        return [{"kind": str(k), "gain": int(g)} for k, g in zip(kinds, gain, strict=True)]

    assert tables(of(2000, 0.3), of(2000, 0))["impossible"].verdict == "fail"


def test_columns_that_are_equal_leave_out_no_order():
    rng = np.random.default_rng(0)

    def of(n):
        p = rng.integers(0, 4, n)
        return [{"p": int(a), "q": int(a), "z": int(a + b)} for a, b in zip(p, rng.integers(0, 4, n), strict=True)]

    rules = {rule["says"] for rule in tables(of(400), of(400))["constraints"].evidence["rules"]}
    assert {"`p` is at most `z`", "`q` is at most `z`"} <= rules


def test_a_single_column_has_no_pairs():
    told = [[{"x": float(v)} for v in np.random.default_rng(seed).normal(size=100)] for seed in (1, 2)]
    assert set(tables(*told)) == {"shapes", "impossible", "constraints", "closest", "copies"}


def test_numbers_count_to_six_digits_and_columns_in_any_order():
    from unflaw.audit._tables_rows import hashed, plain

    def keys(record):
        table = rows([record])
        return hashed(np.zeros(1, dtype=np.int64), pa.array(table.ids), plain(table)).open().numbers("hash")[0]

    first = keys({"a": 1, "b": "x", "c": 0.1})
    assert first == keys({"c": float(np.float32(0.1)), "b": "x", "a": 1.0}) == keys({"a": 1, "b": "x", "c": 0.10000001})
    others = [{"a": 1, "b": "x", "c": 0.1001}, {"a": 0.1, "b": "x", "c": 1}, {"a": 1, "b": None, "c": 0.1}]
    assert len({first, *map(keys, others)}) == 4


def test_a_sample_is_enough_and_does_not_depend_on_the_batches():
    told, real = rows(people(400, 1)), rows(people(500, 2))
    found = [audit(told, real, checks=[TablesCheck(max_rows=80)], batch_size=size).findings for size in (7, 400)]
    assert [f.value for f in found[0]] == [f.value for f in found[1]]
    assert found[0][0].n_rows == 80 and found[0][-1].n_rows == 400, "equal rows are looked for among all"


def test_too_few_rows_are_refused_unless_asked():
    with pytest.raises(TooFewRowsError, match="at least 50 rows on either side, .*got 30 synthetic and 400 real"):
        tables(people(30, 1))
    assert tables(people(30, 1), allow_few=True)["shapes"].n_rows == 30
    with pytest.raises(TooFewRowsError, match="at least 8 rows"):
        tables(people(5, 1), allow_few=True)
    with pytest.raises(SettingsError, match="`max_rows` must be at least 50, got 3"):
        TablesCheck(max_rows=3)
