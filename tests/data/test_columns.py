"""Types are settled once, widened where that loses nothing, and given up for JSON where it would."""

import pyarrow as pa
import pytest

from unflaw.data._columns import Cells, Columns, concatenate, unpacked
from unflaw.data._values import Unfit


def test_later_batches_widen_a_column():
    typing = Columns()
    first = typing.table([{"n": 1, "t": None}])
    second = typing.table([{"n": 2.5, "t": ["a"]}])
    both = concatenate([first, second])
    assert both.schema.field("n").type == pa.float64()
    assert both.to_pylist() == [{"n": 1.0, "t": None}, {"n": 2.5, "t": ["a"]}]


def test_a_later_key_of_an_object_is_kept():
    typing = Columns()
    tables = [typing.table([{"m": {"a": 1}}]), typing.table([{"m": {"b": "x"}}])]
    assert concatenate(tables)["m"].to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_values_without_a_common_type_come_back_as_they_were(cut):
    records = [{"m": v} for v in (1, {"a": 1}, "text", None)]
    typing = Columns()
    tables = [typing.table(some) for some in (records[:cut], records[cut:]) if some]
    assert unpacked(concatenate(tables)) == records


def test_what_arrow_cannot_hold_is_kept_as_json():
    records = [{"big": 2**70, "half": "\ud800", "flag": True}, {"big": 1, "half": "x", "flag": 2}]
    assert unpacked(Columns().table(records)) == records


def test_a_column_a_batch_lacks_is_null_there():
    typing = Columns()
    typing.table([{"a": 1, "b": "x"}])
    assert typing.table([{"a": 2}]).to_pylist() == [{"a": 2, "b": None}]


@pytest.mark.parametrize("values", [(2**60 + 1, 0.5), (0.5, 2**60 + 1), (2**60 + 1, 0.5, 2**70), (1, 2**70)])
def test_integers_that_floats_would_round_are_kept_as_they_are(values):
    typing = Columns()
    tables = [typing.table([{"n": n}]) for n in values]
    assert unpacked(concatenate(tables)) == [{"n": n} for n in values]


def test_integers_keep_all_their_digits():
    cells = ["1234567890123456789", "-98765432109876543210987", "+7", "9" * 4000]
    parsed = [Cells([{"n": c}], []).parse({"n": c})["n"] for c in cells]
    assert parsed == [1234567890123456789, -98765432109876543210987, 7, 10**4000 - 1]
    assert Cells([{"n": "9" * 5000}], []).parse({"n": "9" * 5000}) == {"n": "9" * 5000}


def test_a_text_among_numbers_is_a_mistake_only_where_it_matters():
    cells = Cells([{"n": "1", "m": "2"}], [], strict=["n"])
    assert cells.parse({"n": "1", "m": "many"}) == {"n": 1, "m": "many"}
    assert cells.parse({"n": "01", "m": "01"}) == {"n": 1, "m": "01"}
    with pytest.raises(Unfit, match="`n` holds 'many'"):
        cells.parse({"n": "many", "m": "2"})


def test_cells_are_numbers_where_all_first_ones_are():
    first = [{"n": "1", "x": "-2.5e3", "zip": "0123", "t": "42", "m": "NA"}, {"n": None, "x": "7", "zip": "1", "t": "a", "m": "3"}]  # fmt: skip # noqa: E501
    cells = Cells(first, texts=["t"])
    assert cells.numbers == ["n", "x", "m"]
    assert cells.parse(first[0]) == {"n": 1, "x": -2500.0, "zip": "0123", "t": "42", "m": None}
    with pytest.raises(Unfit, match="not a number: `n` holds 'many', the first 2 rows hold numbers"):
        cells.parse({**first[0], "n": "many"})
