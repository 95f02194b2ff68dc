"""The front door: every verb answers `--help` with an example, and whatever goes wrong ends in words."""

import errno
import io
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

import unflaw
from unflaw import _errors
from unflaw._cli import _app, _shared
from unflaw._cli._app import VERBS, app, load_verb
from unflaw._cli._leave import show_warnings_as_notes
from unflaw._cli._shared import ResumeOption, bar, command, emit

RUN = CliRunner()


def leaves(verb):
    """Return the commands of one verb, each with the words a user types."""
    loaded = load_verb(verb)
    if not hasattr(loaded, "commands"):
        return [((verb,), loaded)]
    return [((verb, name), inner) for name, inner in loaded.commands.items()]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_ends_with_an_example(verb):
    for words, leaf in leaves(verb):
        result = RUN.invoke(app, [*words, "--help"])
        assert result.exit_code == 0, result.output
        last = result.output.rstrip().splitlines()[-1]
        assert last.strip().startswith(f"unflaw {' '.join(words)}"), last
        assert [parameter.name for parameter in leaf.params if not parameter.help] == [], "options without help"


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_use_flags_that_exist(verb):
    for words, leaf in leaves(verb):
        known = {flag for p in leaf.params for flag in [*p.opts, *p.secondary_opts]}
        used = {word for word in leaf.epilog.split() if word.startswith("--")}
        assert used <= known | {"--help"}, f"{words}: {used - known}"


def test_no_verb_insists_that_a_file_exists_before_it_runs():
    """`exists=True` would refuse a recipe whose first step writes what its second step reads."""
    sources = Path(_app.__file__).parent.glob("*.py")
    assert [path.name for path in sources if "exists=True" in path.read_text()] == []


def test_help_answers_within_a_second():
    """Processor time, which a busy machine does not stretch; on an idle one it is what passes."""
    before = os.times()
    subprocess.run([sys.executable, "-c", "from unflaw._cli import main; main()", "--help"], check=True, stdout=-3)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert 0 < spent < 1.0


def test_version_and_no_arguments():
    assert RUN.invoke(app, ["--version"]).output.split() == ["unflaw", unflaw.__version__]
    assert "Commands:" in RUN.invoke(app, []).output


def test_a_mistyped_verb_is_met_with_the_nearest():
    result = RUN.invoke(app, ["audti"])
    assert result.exit_code == 2
    assert "Did you mean 'audit'" in result.output


@pytest.fixture
def fail(monkeypatch):
    """Return a function that runs a verb which raises the given exception."""

    def invoke(error, *flags):
        @command("unflaw report")
        def report(resume: ResumeOption = False) -> None:
            """Fail."""
            raise error

        monkeypatch.setitem(sys.modules, "unflaw._cli._report", SimpleNamespace(report=report))
        monkeypatch.setattr(sys, "argv", ["unflaw", "report", "--overwrite"])
        return RUN.invoke(app, [*flags, "report"])

    return invoke


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (_errors.UsageError("`seed` [bold]no[/bold]"), 2, "Error: `seed` [bold]no[/bold]"),
        (_errors.ModelCallError("the server is gone"), 1, "the server is gone"),
        (_errors.GateError("2 findings fail"), 3, "2 findings fail"),
        (FileNotFoundError(errno.ENOENT, "No such file", "rows.jsonl"), 2, "`rows.jsonl` does not exist"),
        (PermissionError(errno.EACCES, "no", "rows.jsonl"), 1, "`rows.jsonl` cannot be opened: permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "out.jsonl"), 1, "no space left while writing `out.jsonl`"),
        (KeyboardInterrupt(), 130, "Go on with: unflaw report --resume"),
    ],
)
def test_errors_become_one_message_and_an_exit_code(fail, error, code, says):
    result = fail(error)
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output and result.stdout == ""


def test_debug_shows_the_traceback(fail):
    error = _errors.UsageError("x")
    assert fail(error, "--debug").exception is error


def test_an_unforeseen_exception_is_called_a_bug_without_a_traceback():
    code = "import unflaw._cli._app as a; a.app = None; a.main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "This is a bug in unflaw" in result.stderr and "Traceback" not in result.stderr


def test_a_command_needs_an_example():
    with pytest.raises(TypeError, match="example"):
        command()


def test_emit_puts_json_on_stdout_and_refuses_nan(capsys):
    emit({"a": 1}, False, "words")
    assert capsys.readouterr().out == "words\n"
    emit({"a": [1, 2], "b": "é"}, True, "words")
    assert json.loads(capsys.readouterr().out) == {"a": [1, 2], "b": "é"}
    with pytest.raises(ValueError, match="JSON compliant"):
        emit({"a": float("nan")}, True)


def test_a_bar_without_a_terminal_is_quiet_for_short_work_and_plain_for_long(monkeypatch, capsys):
    with bar("rows") as progress:
        progress(1, 2)
    assert capsys.readouterr().err == ""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with bar("rows") as progress:
        for clock.now, done in [(30.0, 10), (50.0, 50), (51.0, 55), (70.0, 90)]:
            progress(done, 100)
    # 30 s of loading do not count: 40 rows in 20 s leave 50 rows, 25 s; 51.0 is too soon; 80 in 40 s leave 10.
    assert capsys.readouterr().err == "rows: 50/100, 2.0/s, 25 s left\nrows: 90/100, 2.0/s, 5 s left\n"


def test_a_bar_tells_failures(monkeypatch, capsys):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with bar("rows") as progress:
        for clock.now, done, refused in [(0.0, 0, 0), (20.0, 10, 1200)]:
            progress(done, 20, refused)
    assert capsys.readouterr().err == "rows: 10/20, 30.0/min, 1,200 refused, 20 s left\n"


def test_a_bar_whose_count_falls_measures_the_new_work_alone(monkeypatch, capsys):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with bar("rows") as progress:
        for clock.now, done in [(0.0, 1), (100.0, 101), (110.0, 1), (130.0, 2)]:
            progress(done, 201 if clock.now <= 100 else 5)
    # 100 rows in 100 s, then 1 row of other work in 20 s: 3 are left
    assert capsys.readouterr().err == "rows: 101/201, 1.0/s, 100 s left\nrows: 2/5, 3.0/min, 60 s left\n"


def test_a_bar_at_a_terminal_shows_count_and_rate(monkeypatch):
    monkeypatch.setattr(_shared, "console", Console(file=io.StringIO(), force_terminal=True, width=100, markup=False))
    with bar("[rows]") as progress:
        progress(0, 4)
        time.sleep(0.01)
        progress(4, 4)
    drawn = _shared.console.file.getvalue()
    assert "[rows]" in drawn and "4/4" in drawn and "/s" in drawn
    with bar("rows"):
        pass
    unknown = _shared.console.file.getvalue()[len(drawn) :]
    assert "0/?" in unknown and "gone" in unknown and "left" not in unknown


def test_warnings_of_ours_are_notes_and_those_of_libraries_stay_silent(capsys):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        show_warnings_as_notes()
        warnings.warn_explicit("3 lines became no row", UserWarning, _app.__file__, 1)
        warnings.warn_explicit("old API", UserWarning, "/elsewhere/library.py", 1)
    assert capsys.readouterr().err == "Note: 3 lines became no row\n"


def test_options_have_one_meaning():
    """A flag means the same everywhere: same help text wherever it appears."""
    texts: dict[str, set[str]] = {}
    for _, leaf in itertools.chain.from_iterable(map(leaves, VERBS)):
        for p in leaf.params:
            for flag in ("--seed", "--json", "--dry-run", "--resume", "--overwrite", "--device", "--limit"):
                if flag in p.opts:
                    texts.setdefault(flag, set()).add(p.help)
    assert {flag: len(seen) for flag, seen in texts.items() if len(seen) > 1} == {}
