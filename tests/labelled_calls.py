"""Calls of the command line on labelled rows, as the tests of several commands make them."""

from typer.testing import CliRunner

from unflaw._cli._app import app

RUN = CliRunner()


def call(*words, code=0):
    result = RUN.invoke(app, [str(w) for w in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def refused(*words):
    """Return what a call that is refused says, on one line."""
    return " ".join(call(*words, code=2).output.split())


def weighed(files, *words):
    checker, run = files / "checker.jsonl", files / "run"
    call("curate", "weigh", files / "synthetic.jsonl", "--real", checker, "--checker", "probe:potion", "--run", run,
         "--no-check", *words)  # fmt: skip
    return run
