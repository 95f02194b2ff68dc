"""Every mistake of a call is told in one go: values that cannot be read, and what the verb itself refuses."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from unflaw._cli._shared import DryRunOption, LimitOption, emit
from unflaw._cli._verb import Verb
from unflaw._errors import DataError, SettingsError


@pytest.fixture
def call():
    """Return a function that calls a verb and gives (what went wrong, what was printed, which runs were dry)."""
    runs = []
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command(cls=Verb)
    def verb(
        file: str,
        steps: Annotated[int, typer.Option("-s", "--steps")] = 40,
        save_every: Annotated[int, typer.Option("--save-every")] = 0,
        what: Annotated[str, typer.Option("--what")] = "rows",
        limit: LimitOption = None,
        dry_run: DryRunOption = False,
    ) -> None:
        runs.append(dry_run)
        problems = [f"`save_every` {save_every} of {steps} `steps`"] if save_every > steps else []
        problems += [f"`what` must be rows, got {what!r}"] if what != "rows" else []
        if problems:
            raise SettingsError(problems)
        if file == "gone":
            raise DataError("`gone` does not exist")
        emit({"file": file}, as_json=False, words="done")

    def invoke(*words):
        result = CliRunner().invoke(app, words)
        return getattr(result.exception, "problems", None), result.output, runs

    return invoke


def test_a_good_call_runs_once(call):
    assert call("file", "--steps", "3") == (None, "done\n", [False])


def test_all_that_cannot_be_read_is_told_with_what_the_verb_refuses(call):
    problems, printed, runs = call("gone", "-s", "abc", "--limit", "0", "--what", "cells")
    assert [told.partition(":")[0] for told in problems] == [
        "`--steps` abc",
        "`--limit` 0",
        "`what` must be rows, got 'cells'",
    ]
    assert runs == [True] and not printed


@pytest.mark.parametrize(("file", "told"), [("file", 1), ("gone", 2)])
def test_a_verb_that_finds_nothing_else_does_nothing(call, file, told):
    problems, printed, runs = call(file, "--limit", "x")
    assert len(problems) == told
    assert runs == [True] and not printed


def test_nothing_is_said_of_the_default_that_stands_in(call):
    """Of the 3x steps nobody knows whether 50 are more."""
    problems, _, _ = call("file", "--steps", "3x", "--save-every", "50")
    assert [told.partition(":")[0] for told in problems] == ["`--steps` 3x"]


def test_what_is_missing_is_told_with_the_rest(call):
    problems, _, runs = call("--steps", "abc")
    assert len(problems) == 2 and "file" in "".join(problems).lower()
    assert not runs
