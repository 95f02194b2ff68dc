"""Whatever the format, the same rows with the same ids come out, in bounded memory."""

import gzip
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unflaw._errors import DataError, MissingExtraError, SchemaError, SettingsError
from unflaw.data import ID, RowReader, Rows, read, write

QA = [
    {"question": "What is osmosis?", "answer": "Water passing a membrane.", "source": "a", "n": 1},
    {"question": "Who wrote «Faust»?", "answer": 'Goethe,\nin "two" parts', "source": "b", "n": 2},
    {"question": "What is 6 times 7?", "answer": "42", "source": "c", "n": 3},
]
IDS = Rows.from_records(QA, {"prompt": "question", "response": "answer"}).ids
FORMATS = ["a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz", "a.jsonl.zst", "a.json.bz2", "a.csv", "a.csv.gz", "a.tsv",
           "a.parquet", "a.arrow", "a.feather", "folder"]  # fmt: skip


def lines(*records):
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)


@pytest.fixture
def file(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.mark.parametrize("name", FORMATS)
def test_a_round_trip_keeps_ids_columns_and_words(tmp_path, name):
    rows = Rows.from_records(QA, {"prompt": "question", "response": "answer"}, schema="question/answer")
    assert write(rows, tmp_path / name) == 3
    back = read(tmp_path / name)
    assert back.schema == "question/answer"
    assert [{k: r[k] for k in QA[0]} for r in back.table.to_pylist()] == QA
    assert back.ids == read(tmp_path / name, ids="content").ids == IDS


def test_a_row_has_the_same_id_in_every_schema(file):
    said = [("Hi", "Ho"), ("Hi", "Ho"), ("Why?", "So.")]
    records = {
        "alpaca": [{"instruction": p, "input": "", "output": r} for p, r in said],
        "messages": [
            {"messages": [{"role": "user", "content": p}, {"role": "assistant", "content": r}]} for p, r in said
        ],
        "prompt/completion": [{"prompt": p, "completion": r, "note": 1} for p, r in said],
    }
    found = {name: read(file("a.jsonl", lines(*rows))) for name, rows in records.items()}
    assert {name: rows.schema for name, rows in found.items()} == {name: name for name in records}
    ids = {name: rows.ids for name, rows in found.items()}
    assert ids["alpaca"] == ids["messages"] == ids["prompt/completion"]
    assert ids["alpaca"][1] == ids["alpaca"][0] + "-2"


def test_batches_add_up_to_the_whole_whatever_their_size(file):
    records = [{"text": f"row {i % 7}", "n": i if i < 6 else i / 2, "m": i if i < 9 else "x"} for i in range(13)]
    path = file("a.jsonl", lines(*records))
    whole = read(path)
    for size in (1, 4, 13):
        batches = list(RowReader(path, batch_size=size))
        assert [i for b in batches for i in b.ids] == whole.ids
        assert max(len(b) for b in batches) == size


def test_a_reader_can_be_read_again_and_counts_each_pass(file):
    reader = RowReader(file("a.jsonl", lines({"text": "a"}, "oops", {"text": "b"})))
    assert [list(b.ids) for b in reader] == [list(b.ids) for b in reader]
    assert (reader.n_rows, reader.n_rejected, reader.schema, reader.roles) == (2, 1, "text", {"text": "text"})


def test_the_limit_is_on_rows(file):
    reader = RowReader(file("a.jsonl", lines("oops", *({"text": str(i)} for i in range(9)))), limit=5, batch_size=2)
    assert [t for b in reader for t in b.texts()] == list("01234")


@pytest.mark.parametrize(("name", "ids"), [("unflaw.id", ["7", "8"]), ("id", ["7", "8"]), ("_id", ["7", "8"])])
def test_the_files_own_ids_are_used(file, name, ids):
    path = file("a.jsonl", lines({"text": "a", name: 7}, {"text": "b", name: 8}))
    assert read(path).ids == ids
    assert read(path, ids="content").ids == Rows.from_records([{"text": "a"}, {"text": "b"}], {"text": "text"}).ids


def test_ids_that_are_asked_for_must_be_there(file):
    with pytest.raises(SchemaError, match="ids='content'"):
        read(file("a.jsonl", lines({"text": "a"})), ids="file")


def test_typed_sources_keep_their_types(tmp_path):
    table = pa.table({"text": pa.array(["a", None, "b"]).dictionary_encode(), "n": pa.array([1, 2, 3], pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet")
    rejected = []
    rows = read(tmp_path / "a.parquet", on_reject=rejected.append)
    assert rows.table.schema.field("n").type == pa.int8()
    assert (rows.column("text"), [r.line for r in rejected]) == (["a", "b"], [2])


def test_csv_cells_are_numbers_only_outside_text(file):
    rows = read(file("a.csv", "question;answer;zip;n;weight\nQ1?;42;007;1;0.5\nQ2?;43;010;2.5;1\n"))
    assert rows.column("response") == ["42", "43"]
    assert (rows.column("zip"), rows.column("n"), rows.weights()) == (["007", "010"], [1.0, 2.5], [0.5, 1.0])


def test_csv_ids_are_texts(file):
    assert read(file("a.csv", "id,text\n1.0,a\n10,b\n")).ids == ["1.0", "10"]
    assert read(file("b.csv", "_id,n\n7,1\n8,2\n")).column("_id") == ["7", "8"]


def test_a_text_among_the_numbers_of_a_csv_column_nobody_recognises_is_kept(file, tmp_path):
    path = file("a.csv", "text,n,label\na,1,0\nb,many,1\nc,12345678901234567890,1\nd,2,x\n")
    found = []
    assert write(RowReader(path, batch_size=1, on_reject=found.append), tmp_path / "b.csv") == 3
    assert [(r.line, r.kind) for r in found] == [(5, "not a number")]
    written = [line.split(",")[1] for line in (tmp_path / "b.csv").read_text().splitlines()]
    assert written == ["n", "1", "many", "12345678901234567890"]


def test_a_text_among_the_numbers_of_a_plain_table_costs_its_row(file):
    reader = RowReader(file("a.csv", "a,b\n1,2\nmany,3\n"), batch_size=1)
    assert (sum(map(len, reader)), [r.line for r in reader.rejected]) == (1, [3])


def test_digits_of_a_csv_column_survive_the_way_to_csv(file, tmp_path):
    path = file("a.csv", "text,n\na,1234567890123456789\nb,98765432109876543210987\n")
    rows = read(path)
    write(rows, tmp_path / "b.csv")
    write(rows, tmp_path / "b.jsonl")
    assert "1234567890123456789" in (tmp_path / "b.csv").read_text()
    big = [json.loads(line)["n"] for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert big == [1234567890123456789, 98765432109876543210987]
    assert read(tmp_path / "b.csv").column("n") == rows.column("n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines({"text": "a"}, {"text": "b", "weight": None}, {"text": "c", "weight": 2})),
        ("a.csv", "text,weight\na,\nb,NA\nc,2\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_a_row_without_a_weight_weighs_one(file, name, content, size):
    path = file(name, content)
    assert read(path).weights() == [1.0, 1.0, 2.0]
    batches = list(RowReader(path, batch_size=size))
    assert [w for b in batches for w in b.weights() or [1.0]] == [1.0, 1.0, 2.0]


@pytest.mark.parametrize("weight", ["nan", "-1", "inf", "heavy", "9" * 400])
def test_a_csv_weight_that_is_none_costs_its_row(file, weight):
    found = []
    rows = read(file("a.csv", f"text,weight\na,{weight}\nb,2\n"), on_reject=found.append)
    assert (rows.weights(), [r.line for r in found]) == ([2.0], [2])


def test_nan_in_place_of_a_text_leaves_a_column_of_texts(tmp_path, file):
    records = [{"question": "q", "answer": "a", "context": "c"}, {"question": "r", "answer": "b", "context": None}]
    nan = [records[0], {**records[1], "context": float("nan")}]
    assert read(file("a.jsonl", lines(*nan))).column("context") == ["c", None]
    empty = pa.table({"question": ["q"], "answer": ["a"], "context": pa.array([float("nan")])})
    pq.write_table(empty, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert (rows.column("context"), rows.pairs()) == ([None], [("q", "a")])


def test_progress_ends_at_the_whole_file(file):
    path, seen = file("a.jsonl", lines(*QA)), []
    read(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size,) * 2


def test_a_splits_folder_asks_which(tmp_path):
    rows = Rows.from_records(QA, {"prompt": "question", "response": "answer"})
    for split in ("train", "test"):
        write(rows, tmp_path / "both" / split)
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=r"splits \['train', 'test'\]"):
        read(tmp_path / "both")
    assert read(tmp_path / "both" / "test").ids == IDS


def test_hub_rows_are_streamed(monkeypatch):
    served = SimpleNamespace(load_dataset=lambda name, streaming: {"train": QA, "test": QA[:1]})
    monkeypatch.setitem(__import__("sys").modules, "datasets", served)
    assert read("hub:someone/questions").ids == IDS
    assert read("hub:someone/questions:test").ids == IDS[:1]
    with pytest.raises(DataError, match="Did you mean 'train'"):
        read("hub:someone/questions:trian")


def test_without_the_internet_the_hub_says_so(monkeypatch):
    def offline(name, streaming):
        raise ConnectionError("no route")

    monkeypatch.setitem(__import__("sys").modules, "datasets", SimpleNamespace(load_dataset=offline))
    with pytest.raises(DataError, match="needs the internet"):
        read("hub:someone/questions")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="unflaw\\[models\\]"):
        read("hub:someone/questions")


def test_all_wrong_settings_are_told_at_once(file):
    with pytest.raises(SettingsError) as caught:
        RowReader(file("a.jsonl", lines({"text": "a"})), limit=0, batch_size=0)
    assert len(caught.value.problems) == 2


def test_rows_of_a_plain_table_are_named_by_all_their_columns(file):
    rows = read(file("a.csv", "a,b\n1,\n,1\n1,\n"))
    assert rows.schema == "table"
    assert len({i[:16] for i in rows.ids}) == 2
    assert ID in rows.table.column_names


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, memory_growth, suffix):
    small, large = written(tmp_path / f"small{suffix}", 6_000), written(tmp_path / f"large{suffix}", 60_000)
    n, growth = memory_growth(small, large)  # 6 MB, then 60
    assert n == 60_000
    assert growth < 8e6


def written(path, n):
    """Write n rows of about a kilobyte, without unflaw: type-checking each of its calls here would take minutes."""
    body = "lorem ipsum dolor sit amet " * 36
    if path.suffix == ".parquet":
        table = pa.table({"question": [f"Q{i}" for i in range(n)], "answer": [f"{body}{i}" for i in range(n)]})
        pq.write_table(table, path, row_group_size=5000)
        return path
    row = "Q{0},{1}{0}\n" if path.suffix == ".csv" else '{{"question": "Q{0}", "answer": "{1}{0}"}}\n'
    with gzip.open(path, "wt", 1) if path.suffix == ".gz" else open(path, "w") as file:
        file.write("question,answer\n" if path.suffix == ".csv" else "")
        file.writelines(row.format(i, body) for i in range(n))
    return path


def test_gzip_is_known_by_its_bytes_not_its_name(file):
    assert len(read(file("a.jsonl", gzip.compress(lines(*QA).encode())))) == 3


def test_rows_may_come_after_a_batch_of_lines_that_are_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    bad = '{"text": "", "label": "x"}\n' * 3
    path.write_text(bad + '{"text": "a", "label": "x"}\n')
    reader = RowReader(path, batch_size=2)
    assert [rows.column("text") for rows in reader] == [["a"]] and reader.n_rejected == 3
    path.write_text(bad)
    with pytest.raises(DataError, match="none of the 3 lines of .* is a row:\n  line 1: .*text"):
        read(path)
