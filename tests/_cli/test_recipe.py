"""A recipe says the same as flags: what it runs, and every mistake it refuses."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from unflaw._cli._app import app
from unflaw._cli._recipe import read_recipe
from unflaw._cli._shared import RunOption, SeedOption, command
from unflaw._errors import DataError, SettingsError, UsageError

CALLS = []


@command("unflaw audit a.jsonl")
def audit(
    synthetic: Annotated[Path, typer.Argument(help="s")],
    reference: Annotated[Path, typer.Option(help="r")],
    checks: Annotated[list[str], typer.Option("--checks", help="c")] = [],  # noqa: B006
    level: Annotated[Literal["warn", "fail"], typer.Option("--fail-on", help="f")] = "fail",
    strict: Annotated[bool, typer.Option("--strict/--lax", help="t")] = True,
    run: RunOption = None,
    seed: SeedOption = 0,
) -> None:
    """Audit."""
    if str(synthetic) == "bad":
        raise UsageError("bad rows")
    CALLS.append(("audit", synthetic, reference, checks, level, strict, run, seed))


@command("unflaw report")
def report(run: RunOption = None) -> None:
    """Report."""
    CALLS.append(("report", run))


generate = typer.Typer()


@generate.callback()
def _generate() -> None:
    """Write rows."""


@generate.command()
def qa(rows: Annotated[int, typer.Option(help="n", min=1)] = 10) -> None:
    """Write questions."""
    CALLS.append(("generate qa", rows))


@pytest.fixture(autouse=True)
def toy_verbs(monkeypatch):
    CALLS.clear()
    for verb in (audit, report):
        monkeypatch.setitem(sys.modules, f"unflaw._cli._{verb.__name__}", SimpleNamespace(**{verb.__name__: verb}))
    monkeypatch.setitem(sys.modules, "unflaw._cli._generate", SimpleNamespace(generate=generate))


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


GOOD = """
run: runs/a
seed: 3
steps:
  - generate qa: {rows: 5}
  - audit:
      synthetic: s.jsonl
      reference: r.jsonl
      checks: [gap, copies]
      fail_on: warn
      strict: false
      seed: 4
  - report
"""


def test_a_recipe_calls_the_verbs_with_their_types(write):
    assert CliRunner().invoke(app, ["run", str(write(GOOD))]).exit_code == 0
    assert CALLS == [
        ("generate qa", 5),
        ("audit", Path("s.jsonl"), Path("r.jsonl"), ["gap", "copies"], "warn", False, Path("runs/a"), 4),
        ("report", Path("runs/a")),
    ]


def test_dry_run_prints_what_a_user_would_type_and_does_nothing(write):
    result = CliRunner().invoke(app, ["run", str(write(GOOD)), "--dry-run", "--run", "runs/b"])
    assert CALLS == []
    assert result.stdout.splitlines() == [
        "unflaw generate qa --rows 5",
        "unflaw audit --run runs/b --seed 4 --reference r.jsonl --checks gap --checks copies --fail-on warn --lax"
        " s.jsonl",
        "unflaw report --run runs/b",
    ]


def test_all_mistakes_are_reported_together_with_their_place(write):
    recipe = write(
        """
        steps:
          - generate qa: {rows: 0}
          - audit: {synthetic: s.jsonl, refrence: r.jsonl, fail-on: never, strict: maybe}
          - audti: {}
          - generate
          - run: {recipe: other.yaml}
          - report: [1]
        """
    )
    with pytest.raises(SettingsError) as caught:
        read_recipe(recipe)
    said = caught.value.problems
    for start, word in [
        ("`steps[0].generate qa.rows`", "0"),
        ("`steps[1].audit.refrence` is unknown", "Did you mean 'reference'?"),
        ("`steps[1].audit.reference` is missing", ""),
        ("`steps[1].audit.fail-on`", "never"),
        ("`steps[1].audit.strict` must be true or false", "maybe"),
        ("`steps[2]` is 'audti'", "Did you mean 'audit'?"),
        ("`steps[3]` is 'generate'", "generate qa"),
        ("`steps[4]` is 'run'", "no verb"),
        ("`steps[5].report` must be", "[1]"),
    ]:
        assert any(line.startswith(start) and word in line for line in said), (start, said)
    assert len(said) == 9


def test_a_top_level_key_that_fits_no_step_is_refused(write):
    with pytest.raises(SettingsError, match="`sead` fits no step of this recipe. Did you mean 'seed'"):
        read_recipe(write("sead: 1\nsteps:\n  - audit: {synthetic: s, reference: r}\n"))


@pytest.mark.parametrize("text", ["", "- audit", "steps:", "steps: {}", "steps: []"])
def test_a_recipe_without_steps_is_refused(write, text):
    with pytest.raises(SettingsError, match="steps"):
        read_recipe(write(text))


def test_a_file_that_is_not_yaml_is_refused(write):
    with pytest.raises(DataError, match="not YAML"):
        read_recipe(write("steps: [unclosed"))


def test_the_first_failing_step_ends_the_run(write):
    recipe = write("steps:\n  - audit: {synthetic: bad, reference: r}\n  - report\n")
    result = CliRunner().invoke(app, ["run", str(recipe)])
    assert result.exit_code == 2
    assert "bad rows" in result.stderr
    assert CALLS == []
