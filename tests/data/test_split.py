"""A file read in parts is the file read whole: the same rows, the same rejections, the same lines."""

import gzip
import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unflaw._errors import DataError
from unflaw.data import RowReader


def texts_of(reader):
    return [text for rows in reader for text in rows.texts()]


def rejections_of(reader):
    list(reader)
    return [(r.line + reader.line_before(), r.reason) for r in reader.rejected]


LONG = '{"text": "two ' + "long " * 30 + '"}'
LINES = ["", '{"text": "one"}', "no JSON", LONG, "  ", '{"text": "drei ä"}', "[1]"] * 7


@pytest.mark.parametrize("n_bytes", [1, 2, 7, 64, 150, 1000, 10**6])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_cut_of_a_text_file_gives_every_line_once(tmp_path, n_bytes, end):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(("\r\n" if end == "\r\n" else "\n").join(LINES).encode() + end.encode())
    whole = RowReader(path)
    parts = whole.split(n_bytes)
    assert len(parts) == max(1, -(-path.stat().st_size // n_bytes))
    found, lines = [], []
    for part in parts:
        found += texts_of(part)
        lines += [(r.line + part.line_before(), r.reason) for r in part.rejected]
    assert found == texts_of(whole)
    assert lines == rejections_of(whole)


def test_parts_travel(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": f"q{i}?", "answer": "a"}) + "\n" for i in range(50)))
    parts = pickle.loads(pickle.dumps(RowReader(path, on_reject=lambda _: None).split(200)))
    assert len(parts) > 3 and [text for part in parts for text in texts_of(part)] == texts_of(RowReader(path))


def test_row_groups_of_parquet_are_parts(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [f"row {i}" for i in range(1000)]}), path, row_group_size=100)
    parts = RowReader(path).split(1)
    assert len(parts) == 10 and [len(texts_of(part)) for part in parts] == [100] * 10
    assert [text for part in parts for text in texts_of(part)] == texts_of(RowReader(path))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl.gz", "rows.json"])
def test_what_can_only_be_read_from_the_beginning_is_one_part(tmp_path, name):
    said = {
        "rows.csv": b"text\none\ntwo\n",
        "rows.jsonl.gz": gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'),
        "rows.json": b'[{"text": "one"},\n{"text": "two"}]',
    }
    (tmp_path / name).write_bytes(said[name])
    parts = RowReader(tmp_path / name).split(1)
    assert [texts_of(part) for part in parts] == [["one", "two"]]


def test_a_limit_counts_from_the_beginning(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"text": "row {i}"}}\n' for i in range(50)))
    parts = RowReader(path, limit=7).split(1)
    assert [len(texts_of(part)) for part in parts] == [7]


def test_a_folder_of_files_is_read_file_by_file(tmp_path):
    for k in (2, 0, 1):
        (tmp_path / f"part-{k}.jsonl").write_text("".join(f'{{"text": "{k} {i}"}}\n' for i in range(3)))
    with (tmp_path / "part-1.jsonl").open("a") as file:
        file.write("broken\n")
    (tmp_path / "README.md").write_text("not a row")
    reader = RowReader(tmp_path)
    assert texts_of(reader) == [f"{k} {i}" for k in range(3) for i in range(3)]
    assert [(r.line, r.reason.endswith("(part-1.jsonl)")) for r in reader.rejected] == [(4, True)]
    assert [texts_of(part) for part in reader.split(1)] == [[f"{k} {i}" for i in range(3)] for k in range(3)]


def test_a_folder_of_several_formats_is_refused_by_name(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n')
    (tmp_path / "b.csv").write_text("text\none\n")
    with pytest.raises(DataError, match="name one of its files"):
        RowReader(tmp_path)


def test_a_changed_file_has_another_fingerprint(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n')
    before = RowReader(path).fingerprint()
    assert RowReader(path).fingerprint() == before
    path.write_text('{"text": "two"}\n{"text": "three"}\n')
    assert RowReader(path).fingerprint() != before
