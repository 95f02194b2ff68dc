"""`unflaw inspect` shows what `unflaw.data.inspect` found, to people and to programs."""

import gzip
import json

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app

RUN = CliRunner()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "What [red]is[/red] that thing?", "a": "So \\u001b[31m."}\noops\n')
    return path


def test_people_see_tables_in_which_rows_are_plain_text(file):
    result = RUN.invoke(app, ["inspect", str(file), "--columns", "prompt=q,response=a"], terminal_width=120)
    assert result.exit_code == 0, result.output
    assert "prompt/completion, 1 rows" in result.stdout
    assert "1 of 2 lines became no row." in result.stdout
    assert "[red]is[/red]" in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_programs_see_json(file):
    result = RUN.invoke(app, ["inspect", str(file), "--columns", "prompt=q,response=a", "--json"])
    seen = json.loads(result.stdout)
    assert (seen["n_rows"], seen["n_rejected"], seen["roles"]) == (1, 1, {"prompt": "q", "response": "a"})


def test_programs_see_json_whatever_the_cells_hold(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,nan\n2,inf\n")
    result = RUN.invoke(app, ["inspect", str(tmp_path / "a.csv"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["examples"] == [{"a": 1, "b": None}, {"a": 2, "b": "inf"}]


def test_one_class_is_warned_about(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "good", "label": "yes"}\n{"text": "fine", "label": "yes"}\n')
    result = RUN.invoke(app, ["inspect", str(tmp_path / "x.jsonl")])
    assert result.exit_code == 0 and "All rows have the same label, 'yes'" in result.stdout


def test_a_cut_off_file_can_be_looked_at(tmp_path):
    rows = "".join(json.dumps({"text": f"row {i * 7919}"}) + "\n" for i in range(4000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:9000])
    refused = RUN.invoke(app, ["inspect", str(tmp_path / "a.jsonl.gz")])
    assert refused.exit_code == 2 and "--on-truncated keep" in refused.output
    kept = RUN.invoke(app, ["inspect", str(tmp_path / "a.jsonl.gz"), "--on-truncated", "keep", "--json"])
    assert 0 < json.loads(kept.stdout)["n_rows"] < 4000


def test_nothing_a_file_holds_reaches_the_terminal_as_a_command(tmp_path):
    path = tmp_path / "a\x1b[2J.jsonl"
    rows = [{"text": f"t{i}", "label": "l\x1b[31m", "c\x1b[32m": "v\x9b1m"} for i in range(9)]
    rows += [{"text": "t", "label": {"x": 1}}, {"text": ["\x1b[33m"], "label": "x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = RUN.invoke(app, ["inspect", str(path)], terminal_width=120)
    assert result.exit_code == 0, result.output
    assert "l\ufffd[31m" in result.stdout and "c\ufffd[32m" in result.stdout
    assert not {"\x1b", "\x9b"} & set(result.output)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "fit no known schema"),
        (["--columns", "prompt"], "`--columns` must read ROLE=COLUMN"),
        (["--schema", "mesages"], "Did you mean 'messages'?"),
    ],
)
def test_a_wrong_call_ends_in_words_and_exit_code_two(file, words, message):
    result = RUN.invoke(app, ["inspect", str(file), *words])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_missing_file_ends_in_words_and_exit_code_two(file):
    result = RUN.invoke(app, ["inspect", str(file.with_name("b.jsonl"))])
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
