"""What inspect counts can be counted by hand."""

import gzip
import json
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unflaw._errors import DataError
from unflaw.data import Column, Lengths, inspect


@pytest.fixture
def look(tmp_path):
    def inspected(*records, name="a.jsonl", **how):
        path = tmp_path / name
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
        return inspect(path, **how)

    return inspected


def test_counts_by_hand(look):
    seen = look(
        {"question": "one two", "answer": "a", "n": 1, "id": 7},
        {"question": "one two", "answer": "a", "n": None, "id": 8},
        {"question": "x", "answer": "bb cc dd", "n": 2.5, "id": 8},
        "oops",
        {"question": "no answer"},
    )
    assert (seen.schema, seen.n_rows, seen.n_rejected, seen.n_copies) == ("question/answer", 3, 2, 1)
    assert seen.reasons == {"not valid JSON": 1, "no response": 1}
    assert [r.line for r in seen.rejected] == [4, 5]
    assert Column("n", "double", "", 1) in seen.columns
    assert Column("question", "string", "prompt", 0) in seen.columns
    assert seen.lengths["prompt"] == [Lengths("words", 1, 2, 2, 2), Lengths("characters", 1, 7, 7, 7)]
    assert seen.examples[0] == {"prompt": "one two", "response": "a"}


def test_the_percentiles_are_ranks(look):
    seen = look(*({"text": "w " * n} for n in range(1, 101)))
    assert seen.lengths["text"][0] == Lengths("words", 1, 50, 95, 100)


def test_repeated_ids_and_one_class_are_warned_about_not_refused(look):
    seen = look(*({"text": t, "label": "x", "id": 1} for t in "ab"))
    assert seen.labels == {"x": 2}
    assert [w.split(":")[0] for w in seen.warnings] == [
        "`id` repeats in 1 rows, so that other commands need --ids content.",
        "All rows have the same label, 'x'",
    ]


def test_targets_of_a_regression_are_not_counted_as_classes(look, monkeypatch):
    monkeypatch.setattr("unflaw.data._inspect._LABELS_COUNTED", 5)
    seen = look(*({"text": f"t{i}", "label": i / 7} for i in range(9)))
    assert seen.labels == {}
    assert "more than 5 different labels" in seen.warnings[0]


def test_the_limit_and_the_overrides_reach_the_reader(look):
    seen = look(*({"q": f"What is thing {i}?", "a": "It is this."} for i in range(9)), limit=4,
                columns={"prompt": "q", "response": "a"})  # fmt: skip
    assert (seen.n_rows, seen.schema) == (4, "prompt/completion")


def test_examples_are_ready_for_json(tmp_path):
    table = pa.table({
        "text": ["a"], "n": [float("nan")], "m": [float("-inf")], "at": [datetime(2024, 1, 2)], "d": [Decimal("1.50")],
        "raw": [b"ab"], "many": [[1.5, float("nan")]],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    (example,) = inspect(tmp_path / "a.parquet", schema="table").examples
    assert example == {
        "text": "a", "n": None, "m": "-inf", "at": "2024-01-02T00:00:00", "d": "1.50", "raw": "YWI=",
        "many": [1.5, None],
    }  # fmt: skip
    json.dumps(example, allow_nan=False)


def test_values_of_mixed_types_are_shown_as_they_are(look):
    seen = look({"n": 1}, {"n": True}, {"n": 2**70}, schema="table")
    assert seen.examples == [{"n": 1}, {"n": True}, {"n": 2**70}]


def test_a_cut_off_file_is_refused_or_kept(tmp_path):
    rows = "".join(json.dumps({"text": f"row {i * 7919}"}) + "\n" for i in range(4000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:9000])
    with pytest.raises(DataError, match="breaks off"):
        inspect(tmp_path / "a.jsonl.gz")
    seen = inspect(tmp_path / "a.jsonl.gz", on_truncated="keep")
    assert 0 < seen.n_rows < 4000 and seen.reasons == {"file breaks off": 1}


def test_an_unreadable_file_is_an_error_here_too(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        inspect(tmp_path / "a.jsonl")
