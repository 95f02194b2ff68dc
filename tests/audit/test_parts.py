"""Rows in parts on disk: the same rows, under the same names, however they are cut."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unflaw._errors import DataError
from unflaw.audit import _parts
from unflaw.audit._parts import read_set
from unflaw.data import RowReader, Rows, read


def rows_of(rows):
    return [(row_id, text) for part in rows.parts for _, batch in part.batches(3) for row_id, text in zip(
        batch.ids, batch.texts(), strict=True)]  # fmt: skip


@pytest.fixture
def in_small_shards(monkeypatch):
    monkeypatch.setattr(_parts, "_SMALLEST_SHARD", 100)


def written(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_repeated_contents_are_counted_on_from_shard_to_shard(tmp_path, in_small_shards):
    path = written(tmp_path / "x.jsonl", ["one", "two", "one", "three"] * 12)
    found = read_set(RowReader(path), tmp_path / "rows", map, 4)
    assert len({part.folder.name.partition("-")[0] for part in found.parts}) > 3
    whole = read(path)
    assert rows_of(found) == list(zip(whole.ids, whole.texts(), strict=True))
    assert [part.first for part in found.parts] == [sum(p.n_rows for p in found.parts[:i]) for i in range(
        len(found.parts))]  # fmt: skip
    assert found.n_rows == found.parts[0].n_set == len(found.contents) == 48 and len(set(found.contents.tolist())) == 3


def test_ids_of_the_file_that_repeat_in_another_shard_are_refused_with_their_lines(tmp_path, in_small_shards):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{i % 30}", "text": f"text {i}"}) + "\n" for i in range(31)))
    with pytest.raises(DataError, match="'r0' in lines 1, 31"):
        read_set(RowReader(path), tmp_path / "rows", map, 4)


def test_lines_that_are_no_rows_are_told_with_their_lines(tmp_path, in_small_shards):
    lines = [json.dumps({"text": f"text {i}"}) if i % 10 else "broken" for i in range(1, 41)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    heard = []
    reader = RowReader(tmp_path / "x.jsonl", on_reject=heard.append)
    assert read_set(reader, tmp_path / "rows", map, 4).n_rows == 36
    assert [one.line for one in heard] == [10, 20, 30, 40] == [one.line for one in reader.rejected]
    assert (reader.n_rows, reader.n_rejected, dict(reader.reasons)) == (36, 4, {"not valid JSON": 4})


def test_columns_have_one_type_in_all_parts(tmp_path):
    (tmp_path / "data").mkdir()
    for name, values in (("a", [1, 2]), ("b", [0.5, None]), ("c", None)):
        columns = {"x": ["u", "v"], **({} if values is None else {"n": values})}
        pq.write_table(pa.table(columns), tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "data").rename(tmp_path / "set")
    found = read_set(RowReader(tmp_path / "set"), tmp_path / "rows", map, 2)
    types = {str(batch.table.schema.field("n").type) for part in found.parts for _, batch in part.batches(9)}
    assert types == {"double"}
    assert [text for _, text in rows_of(found)][0] == "x: u\nn: 1.0"


def test_rows_in_memory_lie_in_parts_too_and_are_found_by_place(tmp_path):
    rows = Rows.from_records([{"text": f"text {i}"} for i in range(10)], {"text": "text"}, source="mine")
    found = read_set(rows, tmp_path / "rows", map, 4)
    assert [part.n_rows for part in found.parts] == [4, 4, 2] and found.source == "mine"
    assert found.take([9, 0, 5, 5]).texts() == ["text 0", "text 5", "text 9"]


def test_what_lies_there_is_not_read_again(tmp_path):
    path = written(tmp_path / "x.jsonl", ["one", "two"])
    read_set(RowReader(path), tmp_path / "rows", map, 4)

    def never(task, things):
        assert not list(things)
        return iter(())

    assert read_set(RowReader(path), tmp_path / "rows", never, 4).n_rows == 2


def test_a_set_without_rows_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "one"}\nbroken\n')
    reader = RowReader(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text("broken\nbroken\n")
    with pytest.raises(DataError, match=r"(?s)`rows` must hold rows.*line 1: not valid JSON"):
        read_set(reader, tmp_path / "rows", map, 4)
