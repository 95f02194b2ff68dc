"""`unflaw inspect` shows what `unflaw.data.inspect` found, to people and to programs."""

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
