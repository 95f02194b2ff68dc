"""Every way a file can be broken ends in a message that says what, where and what to do; no line is lost silently."""

import gzip
import json
import random

import pytest
import zstandard

from unflaw._errors import DataError
from unflaw.data import RowReader, read

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
    with pytest.raises(DataError, match=r"name one of its files: \['a.jsonl'\]"):
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
        (b"[" * 100_000, "not valid JSON", "recursion"),
        (b'{"text": "%s"}' % (b"x" * 3000), "line too long", "3,013 bytes, the limit is 2,000"),
    ],
)
def test_a_bad_line_is_rejected_with_its_number_and_the_rest_is_read(file, line, kind, detail):
    path = file("a.jsonl", b"\xef\xbb\xbf" + GOOD + b"\r\n" + line + b"\r\n" + GOOD.strip())
    limit = 2000 if kind == "line too long" else 1 << 20
    kept, found = rejections(path, max_line_bytes=limit)
    assert kept == 2
    assert [(r.line, r.kind) for r in found] == [(3, kind)]
    assert detail in found[0].reason
    assert len(found[0].excerpt) <= 200 and found[0].excerpt[:5] == line.decode("utf-8", "replace")[:5]


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
