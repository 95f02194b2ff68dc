"""Every way a file can be broken ends in a message that says what, where and what to do; no line is lost silently."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from unflaw._errors import DataError
from unflaw.data import RowReader, read
from unflaw.data._csv import _CsvLines

GOOD = b'{"text": "a good row"}\n'


@pytest.fixture
def file(tmp_path):
    def make(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


def rejections(path, **how):
    """Rows kept, and what was rejected."""
    found = []
    return len(read(path, on_reject=found.append, **how)), found


def test_missing_file_names_its_neighbour(file):
    neighbour = file("answers.jsonl", GOOD)
    with pytest.raises(DataError, match="does not exist. Did you mean 'answers.jsonl'"):
        read(neighbour.with_name("anwsers.jsonl"))
    with pytest.raises(DataError, match="Neither does the folder"):
        read(neighbour.parent / "no" / "file.jsonl")


def test_a_folder_that_is_no_data_set_names_the_files_in_it(file):
    folder = file("a.jsonl", GOOD).parent
    file("b.csv", b"text\nhere\n")
    with pytest.raises(DataError, match=r"name one of its files: \['a.jsonl', 'b.csv'\]"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty \\(0 bytes\\)"),
        ("a.jsonl", b" \n\r\n\t", "only white space"),
        ("a.json", b"[]", "only white space or a header"),
        ("a.csv", b"question,answer\n", "only white space or a header"),
        ("a.csv", b"a,a\n1,2\n", "more than one column called"),
        ("a.jsonl", b"PK\x03\x04\x00\x00", "looks like a zip archive"),
        ("a.jsonl", b"\x00\x01\x02", "looks like binary"),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-16"), "iconv"),
        ("a.parquet", b"PAR1 and nothing else", "no whole Parquet file"),
        ("a.arrow", b"ARROW1 and nothing else", "no whole Arrow file"),
        ("a.txt", GOOD, "no suffix that says its format"),
        ("a.json", b'[{"text": "a"},\n{"text": oops}]', "broken in line 2"),
        ("a.json", b'[{"text": "a"}', "broken in line 1"),
        ("a.json", b'[{"text": "\xff"}]', "not UTF-8 near byte"),
        ("a.json.gz", gzip.compress(b'[{"text": "a"}' * 9, mtime=0)[:-9], "breaks off in line 1.*on_truncated"),
        ("a.jsonl", b"\xef\xbb\xbf\n", "only white space"),
    ],
)
def test_files_that_hold_nothing_usable(file, name, content, message):
    with pytest.raises(DataError, match=message):
        read(file(name, content))


def test_all_rows_malformed_shows_the_first(file):
    with pytest.raises(DataError, match="none of the 4 lines .*\n  line 1: not valid JSON.*\n  line 2.*\n  line 3"):
        read(file("a.jsonl", b"oops\n" * 4))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_cut_off_archive_says_where_and_keeps_rows_only_if_asked(file, pack):
    noise = random.Random(0)
    content = b"".join(b'{"text": "%s"}\n' % noise.randbytes(2000).hex().encode() for _ in range(900))
    packed = pack(content)
    path = file("a.jsonl.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"breaks off in line \d+.*on_truncated=\"keep\""):
        read(path)
    kept, found = rejections(path, on_truncated="keep")
    assert 0 < kept < 900
    assert [(r.line, r.kind) for r in found] == [(kept + 1, "file breaks off")]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_cut_off_array_keeps_the_elements_before_the_break(file, pack):
    noise = random.Random(0)
    rows = [{"text": noise.randbytes(2000).hex()} for _ in range(900)]
    packed = pack(("[" + ",\n".join(map(json.dumps, rows)) + "]").encode())
    path = file("a.json.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"breaks off in line \d+.*on_truncated=\"keep\""):
        read(path)
    found = []
    kept = read(path, on_truncated="keep", on_reject=found.append).column("text")
    assert 0 < len(kept) < 900 and kept == [r["text"] for r in rows[: len(kept)]]
    assert [(r.line, r.kind) for r in found] == [(len(kept) + 1, "file breaks off")]
    assert rows[len(kept)]["text"].startswith(found[0].excerpt.removeprefix('{"text": "')[:1000])


def test_an_array_element_that_is_too_long_is_called_that(file):
    row, long = '{"text": "a"}', json.dumps({"text": "x" * 3000})
    kept, found = rejections(file("a.json", f"[{row},\n{long},\n{row}]".encode()), max_line_bytes=2000)
    assert kept == 2
    assert [(r.line, r.reason) for r in found] == [
        (2, "line too long: 3,012 bytes, the limit is 2,000; raise `max_line_bytes`")
    ]
    endless = json.dumps({"texts": ["x" * 1000] * 3000})
    path = file("b.json", f"[{row},\n{endless}]".encode())
    with pytest.raises(DataError, match=r"from line 2 on that is too long: it exceeds `max_line_bytes` \(2,000\)"):
        read(path, max_line_bytes=2000)
    broken = file("c.json", f"[{row},\n oops {endless}]".encode())
    with pytest.raises(DataError, match="no valid JSON from line 2"):
        read(broken, max_line_bytes=2000)


def test_a_rejected_line_is_kept_whole_up_to_two_thousand_characters(file):
    lines = ["x" * 1999, "é" * 2000, "x" * 20_000_000]
    _, found = rejections(file("a.jsonl", GOOD + "\n".join(lines).encode()))
    assert [r.excerpt for r in found] == [*lines[:2], "x" * 2000]
    assert "20,000,000 bytes" in found[2].reason


def test_an_excerpt_can_be_stored_in_any_encoding(file):
    _, found = rejections(file("a.jsonl", GOOD + b'{"text": "\\ud800"}\n'))
    assert found[0].excerpt == '{"text": "\\ud800"}'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "\ud800"),
        ("completion", "\ud800"),
        ("completion", ["\ud800", "a"]),
        ("completion", [{"role": "assistant", "content": [{"text": "\ud800"}]}]),
        ("id", "\ud800"),
        ("label", "\ud800"),
    ],
)
def test_half_a_surrogate_pair_costs_its_row_alone(file, name, value):
    good = {"prompt": "p", "completion": ["a"], "id": "1", "label": "x"}
    bad = {**good, "id": "2", name: value}
    path = file("a.jsonl", "".join(json.dumps(r) + "\n" for r in (good, bad)).encode())
    kept, found = rejections(path, columns={"prompt": "prompt", "response": "completion", "label": "label"})
    assert (kept, [(r.line, r.kind) for r in found]) == (1, [(2, "not text")])


@pytest.mark.parametrize(
    ("line", "kind", "detail"),
    [
        (b'{"text": "a"', "not valid JSON", "delimiter"),
        (b"[1]", "not an object", "list"),
        (b'{"text": "a\xff"}', "not UTF-8", "byte 0xff at byte 11 of the line"),
        (b'{"text": ""}', "no text", "`text` is missing or empty"),
        (b'{"txet": "a"}', "no text", "`text` is missing or empty"),
        (b'{"text": 5}', "not text", "a number"),
        (b'{"text": "a", "weight": NaN}', "not a finite number", "nan"),
        (b'{"text": "a", "weight": -1}', "not a weight", "less than 0"),
        (b'{"text": "a", "weight": "heavy"}', "not a weight", "'heavy'"),
        (b'{"text": "a", "\\ud800": 1}', "not text", "half a surrogate pair"),
        (b'{"text": NaN}', "no text", "`text` is missing or empty"),
        (b"[" * 100_000, "not valid JSON", "recursion"),
        (b'{"text": "%s"}' % (b"x" * 3000), "line too long", "3,013 bytes, the limit is 2,000"),
        (b'{"text": "%s"}' % (b"x" * 3000), "line too long", "raise `max_line_bytes`"),
    ],
)
def test_a_bad_line_is_rejected_with_its_number_and_the_rest_is_read(file, line, kind, detail):
    path = file("a.jsonl", b"\xef\xbb\xbf" + GOOD + b"\r\n" + line + b"\r\n" + GOOD.strip())
    limit = 2000 if kind == "line too long" else 1 << 20
    kept, found = rejections(path, max_line_bytes=limit)
    assert kept == 2
    assert [(r.line, r.kind) for r in found] == [(3, kind)]
    assert detail in found[0].reason
    assert len(found[0].excerpt) <= 2000 and found[0].excerpt[:5] == line.decode("utf-8", "replace")[:5]


def test_other_schemas_in_one_file_are_rejected(file):
    other = b'{"question": "Q", "answer": "A"}\n'
    kept, found = rejections(file("a.jsonl", GOOD * 8 + other))
    assert (kept, [(r.line, r.kind) for r in found]) == (8, [(9, "no text")])


def test_nobody_listening_means_a_warning(file):
    path = file("a.jsonl", GOOD + b"oops\n")
    with pytest.warns(UserWarning, match="1 lines of .* became no row \\(1 not valid JSON\\)"):
        assert len(read(path)) == 1


def test_rejections_are_counted_beyond_those_kept(file, monkeypatch):
    monkeypatch.setattr("unflaw.data._read._REJECTIONS_HELD", 5)
    reader = RowReader(file("a.jsonl", GOOD + b"oops\n" * 9))
    assert sum(map(len, reader)) == 1
    assert (len(reader.rejected), reader.n_rejected, dict(reader.reasons)) == (5, 9, {"not valid JSON": 9})


def test_ids_that_repeat_are_listed_with_their_lines(file):
    rows = [{"text": str(i), "id": i % 4} for i in range(6)]
    path = file("a.jsonl", b"\n".join(json.dumps(r).encode() for r in rows))
    with pytest.raises(DataError, match="'0' in lines 1, 5; '1' in lines 2, 6.*--ids content"):
        read(path)
    assert len(read(path, ids="content")) == 6


def test_one_class_is_fine_for_reading(file):
    assert set(read(file("a.jsonl", b'{"text": "a", "label": 1}\n' * 3)).column("label")) == {1}


def test_labels_that_are_not_finite_are_rejected(file):
    kept, found = rejections(file("a.csv", b"text,label\na,1\nb,NaN\nc,inf\nd,2\n"))
    assert (kept, [(r.line, r.kind) for r in found]) == (2, [(3, "not a finite number"), (4, "not a finite number")])


def test_broken_csv_rows_are_rejected_with_the_line_they_began_on(file):
    content = b'text,n\n"two\nlines",1\n\nshort\n"bad"quote,2\n\xff,3\nd,4\n"never closed,5\n'
    kept, found = rejections(file("a.csv", content))
    assert kept == 2
    assert [(r.line, r.kind) for r in found] == [
        (5, "wrong number of cells"),
        (6, "not valid CSV"),
        (7, "not UTF-8"),
        (9, "not valid CSV"),
    ]


def test_a_stray_quote_costs_the_line_it_stands_in_and_no_other(file):
    path = file("a.csv", b'text,n\n"oops,1\na,2\nb,3\n')
    found = []
    assert read(path, on_reject=found.append).column("text") == ["a", "b"]
    assert [(r.line, r.kind, r.excerpt) for r in found] == [(2, "not valid CSV", '"oops,1')]


def test_rows_of_several_lines_survive_stray_quotes_around_them(file):
    rows = "".join(f'"{i}\ntwo lines",1\n{i},"stray\n' for i in range(50))
    found = []
    kept = read(file("a.csv", f"text,n\n{rows}".encode()), on_reject=found.append).column("text")
    assert kept == [f"{i}\ntwo lines" for i in range(50)]
    assert [r.line for r in found] == [4 + 3 * i for i in range(50)]


def test_quotes_that_swallow_all_the_rest_cost_no_more_than_a_few_readings(file, monkeypatch):
    taken = []
    reject = _CsvLines.reject_first
    monkeypatch.setattr(_CsvLines, "reject_first", lambda self, why: taken.extend(self.since) or reject(self, why))
    hostile = 'z",x,"\n'  # each opens a quote that the next one closes and opens again, in one endless row
    kept, found = rejections(file("a.csv", ("text,n\ngood,1\n" + hostile * 500).encode()))
    assert (kept, len(found)) == (1, 500)
    assert len(taken) <= 2 * 10 * 500, "once to recognise the columns, once to read the rows"


def test_a_csv_row_is_held_up_to_the_limit(file):
    endless = b'"never closed,1\n' + b"a,1\n" * 3000
    kept, found = rejections(file("a.csv", b"text,n\n" + endless), max_line_bytes=2000)
    assert (kept, [r.line for r in found]) == (3000, [2])
    assert "`max_line_bytes` (2,000)" in found[0].reason


def test_csv_cells_longer_than_the_standard_limit_are_read(file):
    assert len(read(file("a.csv", b"text,n\n" + b"x" * 200_000 + b",1\n")).column("text")[0]) == 200_000


def test_the_latin_byte_names_a_way_out(file):
    with pytest.raises(DataError, match="header holds other bytes"):
        read(file("a.csv", b"t\xe9xte,n\na,1\n"))


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes_is_never_held(file, memory_growth):
    small, large = file("small.jsonl", GOOD), file("a.jsonl", b"")
    with open(large, "wb") as out:
        out.write(GOOD + b'{"text": "')
        for _ in range(100):
            out.write(b"x" * (1 << 20))
        out.write(b'"}\n' + GOOD)
    kept, found = rejections(large)
    assert (kept, [r.line for r in found]) == (2, [2])
    assert "104,857,612 bytes" in found[0].reason
    n, growth = memory_growth(small, large)
    assert n == 2
    assert growth < 64e6  # the limit of 16 MiB, in the copies that joining blocks takes


def test_a_date_that_python_has_not_got_is_named(tmp_path):
    days = pa.array([0, 4_000_000], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"day": days, "x": [1.0, 2.0]}), tmp_path / "far.parquet")
    with pytest.raises(DataError, match=r"far\.parquet.*years 1 to 9999"):
        read(tmp_path / "far.parquet")
