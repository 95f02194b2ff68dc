"""What is written can be read again; what cannot be written leaves the old file alone."""

import gzip
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unflaw._errors import DataError, SchemaError
from unflaw.data import RowReader, Rows, atomic_write, hash_path, read, write

QA = Rows.from_records(
    [
        {"question": "Why?", "answer": "So.", "context": "Once.", "tags": ["a"], "unflaw.score": 0.5},
        {"question": "Who?", "answer": "I.", "context": None, "tags": [], "unflaw.score": 0.1},
    ],
    {"prompt": "question", "response": "answer", "context": "context"},
    schema="question/answer/context",
)
TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Ho"},
    {"role": "user", "content": "Again"},
    {"role": "assistant", "content": "No"},
]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("to", "first"),
    [
        (
            "messages",
            {
                "messages": [
                    {"role": "system", "content": "Once."},
                    {"role": "user", "content": "Why?"},
                    {"role": "assistant", "content": "So."},
                ]
            },
        ),
        (
            "sharegpt",
            {
                "conversations": [
                    {"from": "system", "value": "Once."},
                    {"from": "human", "value": "Why?"},
                    {"from": "gpt", "value": "So."},
                ]
            },
        ),
        ("prompt/completion", {"prompt": "Once.\n\nWhy?", "completion": "So."}),
        ("alpaca", {"instruction": "Why?", "input": "Once.", "output": "So."}),
        ("question/answer", {"question": "Why?", "answer": "So.", "context": "Once."}),
        ("text", {"text": "Once.\nWhy?\nSo."}),
    ],
)
def test_rows_change_schema_and_keep_everything_else(tmp_path, to, first):
    write(QA, tmp_path / "a.jsonl", to=to)
    rest = {"tags": ["a"], "unflaw.score": 0.5, "unflaw.id": QA.ids[0]}
    assert lines(tmp_path / "a.jsonl")[0] == {**first, **rest}
    back = read(tmp_path / "a.jsonl")
    assert back.schema.removesuffix("/context") == to
    assert back.ids == QA.ids


def test_a_label_stays_where_the_new_schema_has_none(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "Q", "answer": "A", "topic": "birds"}) + "\n")
    write(read(tmp_path / "a.jsonl", columns={"label": "topic"}), tmp_path / "b.jsonl", to="messages")
    again = read(tmp_path / "b.jsonl", columns={"label": "topic"})
    assert (again.schema, again.pairs(), again.column("label")) == ("messages", [("Q", "A")], ["birds"])


def test_conversations_of_many_turns_stay_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": TURNS, "n": 1}) + "\n")
    write(read(path), tmp_path / "b.jsonl", to="sharegpt")
    write(read(tmp_path / "b.jsonl"), tmp_path / "c.jsonl", to="messages")
    again = lines(tmp_path / "c.jsonl")[0]
    assert (again["messages"], again["n"]) == (TURNS, 1)
    assert set(again) == {"messages", "n", "unflaw.id"}


def test_columns_of_ours_are_worked_out_again_not_written(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"instruction": "Add", "input": "1 2", "output": "3"}) + "\n")
    write(read(path), tmp_path / "b.jsonl")
    assert set(lines(tmp_path / "b.jsonl")[0]) == {"instruction", "input", "output", "unflaw.id"}
    assert read(tmp_path / "b.jsonl").pairs() == [("Add\n\n1 2", "3")]


def test_a_column_of_the_file_that_is_called_like_ours_is_written(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"unflaw.text": "theirs", "text": "hello"}\n')
    write(read(tmp_path / "rows.jsonl"), tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text())["unflaw.text"] == "theirs"


def test_a_role_that_is_missing_is_named():
    with pytest.raises(SchemaError, match="they have no prompt, response"):
        write(Rows.from_records([{"text": "a"}], {"text": "text"}, schema="text"), "a.jsonl", to="messages")
    with pytest.raises(SchemaError, match="Did you mean 'messages'"):
        write(QA, "a.jsonl", to="mesages")


def test_what_the_system_says_goes_where_the_schema_keeps_it(tmp_path):
    system = {"role": "system", "content": "S"}
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": [system, *TURNS[:2]]}) + "\n")
    rows = read(tmp_path / "a.jsonl")
    write(rows, tmp_path / "b.jsonl", to="alpaca")
    (made,) = lines(tmp_path / "b.jsonl")
    assert {k: v for k, v in made.items() if k != "unflaw.id"} == {
        "instruction": "Hi", "input": "", "output": "Ho", "system": "S",
    }  # fmt: skip
    write(read(tmp_path / "b.jsonl"), tmp_path / "c.jsonl", to="messages")
    assert lines(tmp_path / "c.jsonl")[0]["messages"] == [system, *TURNS[:2]]


def test_rows_of_that_schema_already_stay_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"instruction": "Add", "input": "1 2", "output": "3"}) + "\n")
    write(read(tmp_path / "a.jsonl"), tmp_path / "b.jsonl", to="alpaca")
    assert lines(tmp_path / "b.jsonl")[0]["input"] == "1 2"


def test_any_words_make_a_text_and_features_none(tmp_path):
    pair = Rows.from_records(
        [{"premise": "A.", "hypothesis": "B."}], {"premise": "premise", "hypothesis": "hypothesis"}
    )
    write(pair, tmp_path / "a.jsonl", to="text")
    assert lines(tmp_path / "a.jsonl")[0]["text"] == "A.\nB."
    with pytest.raises(SchemaError, match="they have no text"):
        write(Rows.from_records([{"age": 3}], {}), tmp_path / "a.jsonl", to="text")


def test_a_column_in_the_way_is_not_overwritten(tmp_path):
    rows = Rows.from_records([{"question": "Q", "answer": "A", "prompt": "mine"}],
                             {"prompt": "question", "response": "answer"}, schema="question/answer")  # fmt: skip
    with pytest.raises(DataError, match=r"needs the columns \['prompt'\]"):
        write(rows, tmp_path / "a.jsonl", to="prompt/completion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["b.jsonl.gz", "b.json", "b.csv", "b.parquet", "folder"])
def test_a_stream_is_written_batch_by_batch(tmp_path, name):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": f"row {i}", "n": i}) + "\n" for i in range(10)))
    reader = RowReader(tmp_path / "a.jsonl", batch_size=4)
    assert write(reader, tmp_path / name) == 10
    assert read(tmp_path / name).column("n") == list(range(10))


def test_columns_that_change_on_the_way_are_refused_by_formats_with_fixed_ones(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "new": 1}\n')
    reader = RowReader(tmp_path / "a.jsonl", batch_size=1)
    for name in ("b.parquet", "b.csv"):
        with pytest.raises(DataError, match=r"after row 1 the columns change \(\['new'\]\)"):
            write(reader, tmp_path / name)
    assert write(reader, tmp_path / "b.jsonl") == 2


def test_datasets_opens_our_folder_and_we_open_theirs(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    write(QA, tmp_path / "ours")
    theirs = datasets.load_from_disk(str(tmp_path / "ours"))
    assert theirs["question"][:] == ["Why?", "Who?"]
    theirs.save_to_disk(str(tmp_path / "theirs"))
    assert read(tmp_path / "theirs").ids == QA.ids


def test_mixed_values_come_back_as_they_were(tmp_path):
    mixed = [{"text": "a", "m": 1}, {"text": "b", "m": {"x": [1, "y"]}}, {"text": "c", "m": "z \ud800"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in mixed))
    for name in ("b.jsonl", "b.parquet"):
        write(read(tmp_path / "a.jsonl"), tmp_path / name)
    write(read(tmp_path / "b.parquet"), tmp_path / "c.jsonl")
    assert [r["m"] for r in lines(tmp_path / "b.jsonl")] == [r["m"] for r in mixed]
    assert [r["m"] for r in lines(tmp_path / "c.jsonl")] == [r["m"] for r in mixed]


def test_json_holds_null_for_nan_and_refuses_infinity(tmp_path):
    rows = Rows.from_records([{"text": "a", "n": float("nan")}], {"text": "text"})
    write(rows, tmp_path / "a.jsonl")
    assert lines(tmp_path / "a.jsonl")[0]["n"] is None
    with pytest.raises(DataError, match="JSON has no infinity"):
        write(rows.with_column("n", [float("inf")]), tmp_path / "a.jsonl")
    assert lines(tmp_path / "a.jsonl")[0]["n"] is None


@pytest.mark.parametrize(("name", "content"), [("a.json", "[]\n"), ("a.jsonl", ""), ("a.json.gz", "[]\n")])
def test_no_rows_make_an_empty_file_of_the_format(tmp_path, name, content):
    path = tmp_path / name
    assert write(QA.take([]), path) == 0
    assert (gzip.decompress(path.read_bytes()).decode() if name.endswith("gz") else path.read_text()) == content


def test_batches_without_rows_leave_no_trace(tmp_path):
    none = QA.take([])
    assert write([none, QA.take([0]), none, QA.take([1]), none], tmp_path / "a.json") == 2
    assert [r["question"] for r in json.loads((tmp_path / "a.json").read_text())] == ["Why?", "Who?"]
    write([none, QA, none], tmp_path / "a.jsonl")
    assert len(lines(tmp_path / "a.jsonl")) == 2


def test_the_last_suffix_of_a_format_decides(tmp_path):
    write(QA, tmp_path / "a.json.v2.jsonl")
    assert len(lines(tmp_path / "a.json.v2.jsonl")) == 2
    write(QA, tmp_path / "a.jsonl.JSON")
    assert len(json.loads((tmp_path / "a.jsonl.JSON").read_text())) == 2
    write(QA, tmp_path / "a.csv.TSV")
    assert (tmp_path / "a.csv.TSV").read_text().startswith("question\tanswer\t")
    write(QA, tmp_path / "a.tsv.csv")
    assert (tmp_path / "a.tsv.csv").read_text().startswith("question,answer,")


def test_csv_holds_values_of_mixed_types_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "m": "x"}\n{"text": "b", "m": 2}\n{"text": "c", "m": "\\ud800"}\n')
    write(read(tmp_path / "a.jsonl"), tmp_path / "b.csv")
    assert [line.split(",")[1] for line in (tmp_path / "b.csv").read_text().splitlines()] == [
        "m", "x", "2", '"""\\ud800"""',
    ]  # fmt: skip


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write(QA, tmp_path / name)
    assert hash_path(tmp_path / "a.jsonl.gz") == hash_path(tmp_path / "b.jsonl.gz")
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).count(b"\n") == 2


def test_a_folder_that_is_no_data_set_is_not_replaced(tmp_path):
    (tmp_path / "precious").mkdir()
    with pytest.raises(DataError, match="is no data set folder"):
        write(QA, tmp_path / "precious")


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as file:
        file.write("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_atomic_file_keeps_its_mode_and_its_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


FULL_DISK = """
import random, resource, sys
from unflaw._errors import WriteError
from unflaw.data import Rows, write

rng = random.Random(0)  # noise, which no format can compress below the limit
rows = Rows.from_records([{"text": rng.randbytes(500).hex()} for _ in range(1000)], {"text": "text"})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write(rows, sys.argv[1])
except WriteError as error:
    print(error, error.exit_code)
"""


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "folder"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, name):
    pytest.importorskip("resource")
    write(QA, tmp_path / name)
    before = hash_path(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path / name], capture_output=True, text=True, check=True
    )
    assert "could not be written" in done.stdout and done.stdout.endswith("1\n") and "untouched" in done.stdout, (
        done.stdout + done.stderr
    )
    assert hash_path(tmp_path / name) == before
    assert os.listdir(tmp_path) == [name]


def test_a_hash_covers_names_and_contents_of_a_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("same")
    assert hash_path(tmp_path / "one") == hash_path(tmp_path / "two")
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "b")
    assert hash_path(tmp_path / "one") != hash_path(tmp_path / "two")
    assert hash_path(tmp_path / "none") is None


def test_parquet_keeps_the_types(tmp_path):
    table = QA.table.append_column("n", pa.array([1, 2], pa.int8()))
    write(Rows(table, QA.roles, QA.schema), tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("n").type == pa.int8()


@pytest.mark.parametrize("name", ["b.parquet.gz", "b.arrow.zst"])
def test_what_is_compressed_inside_is_not_compressed_again(tmp_path, name):
    rows = Rows.from_records([{"text": "a"}], {"text": "text"})
    with pytest.raises(DataError, match="is compressed inside the file; leave .* off"):
        write(rows, tmp_path / name)
    assert not list(tmp_path.iterdir())
