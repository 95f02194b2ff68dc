"""What is said when something goes wrong."""

import errno

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app
from unflaw._cli._leave import leave, printable
from unflaw._errors import DataError, WriteError

RUN = CliRunner()


def test_errors_are_said_without_commands_to_the_terminal(tmp_path, capsys):
    assert printable("a\x1b[31mb\tc\nd\ud800") == "a\ufffd[31mb c d\ufffd"
    result = RUN.invoke(app, ["inspect", str(tmp_path / "no\x1b[31m.jsonl")])
    assert result.exit_code == 2 and "\x1b" not in result.output and "does not exist" in result.stderr
    leave(DataError("two\nlines\x1b"), can_resume=False)
    assert capsys.readouterr().err == "Error: two\nlines\ufffd\n"


@pytest.mark.parametrize(
    ("can_resume", "line"), [(True, "Go on with: unflaw audit a --resume"), (False, "Start again")]
)
def test_a_full_disk_ends_in_the_line_to_go_on_with(capsys, monkeypatch, can_resume, line):
    monkeypatch.setattr("sys.argv", ["unflaw", "audit", "a", "--overwrite"])
    for error in (WriteError("`x` could not be written"), OSError(errno.ENOSPC, "no space", "x")):
        assert leave(error, can_resume).exit_code == 1
        assert line in capsys.readouterr().err
