"""Rows from dicts: what no column can hold is refused by name."""

import pytest

from unflaw._errors import DataError, SchemaError
from unflaw.data import ID, Rows, read


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "must hold at least one row"),
        ([{"text": "a"}, {"text": float("nan")}], "'text': "),
        ([{"text": "a", "n": 10**30}], "'n': "),
        ([{"text": "a", "x": 1, "y": 1}, {"text": "b", "x": "one", "y": []}], "'x': .*; 'y': "),
        ([{"unflaw.id": 1, "text": "a"}], "ids must be strings"),
        ([{"unflaw.id": None, "text": "a"}], "ids must be strings"),
        ([{"text": "\ud800"}], "'text': "),
    ],
)
def test_records_that_are_no_columns_are_refused_by_name(records, told):
    with pytest.raises(DataError, match=told):
        Rows.from_records(records, {"text": "text"})


def test_a_role_that_there_is_not_is_refused():
    with pytest.raises(SchemaError, match="knows no 'txt'. Did you mean 'text'"):
        Rows.from_records([{"text": "a"}], {"txt": "text"})


def test_records_may_come_one_by_one():
    assert len(Rows.from_records(({"text": str(i)} for i in range(3)), {"text": "text"})) == 3


def test_a_row_of_a_table_keeps_its_id_where_columns_move(tmp_path):
    rows = [{"b": 1, "a": 2.5}, {"b": 2, "a": 1.5}]
    moved = [{"a": row["a"], "b": row["b"]} for row in rows]
    ids = Rows.from_records(rows, {}).ids
    assert Rows.from_records(moved, {}).ids == ids == Rows.from_records([*moved, rows[0]], {}).ids[:2]
    (tmp_path / "moved.csv").write_text("a,b\n2.5,1\n1.5,2\n")
    assert read(tmp_path / "moved.csv").ids == ids


def test_rows_of_some_ids_stay_in_their_order():
    rows = Rows.from_records([{ID: i, "text": i.upper()} for i in "abcd"], {"text": "text"})
    assert rows.only(["d", "b", "not here"]).column("text") == ["B", "D"] and len(rows.only([])) == 0


def test_a_column_is_left_out_and_ids_roles_and_others_stay():
    rows = Rows.from_records([{"text": "a", "weight": 2.0}, {"text": "b", "weight": 0.5}], {"text": "text"})
    bare = rows.without_column("weight")
    assert bare.weights() is None
    assert (bare.ids, bare.roles, bare.column("text")) == (rows.ids, rows.roles, ["a", "b"])
    assert bare.without_column("weight") is bare


def test_columns_that_stand_in_another_order_find_their_rows():
    rows = Rows.from_records([{ID: i, "text": i} for i in "abc"], {"text": "text"})
    told = rows.with_columns_of(["c", "x", "b", "a"], {"n": [3, 0, 2, 1], "s": ["C", "X", "B", None]})
    assert told.column("n") == [1, 2, 3] and told.column("s") == [None, "B", "C"]
    with pytest.raises(SchemaError, match="1 of 3 rows have no value of n, first 'c'"):
        rows.with_columns_of(["a", "b"], {"n": [1, 2]})
