"""What docs tell a user to run, runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from unflaw._cli._app import app
from unflaw._cli._recipe import _command_of

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()
WORKFLOW = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])
COMMANDS = [line.strip() for line in PAGE.splitlines() if re.match(r"\s*(run: )?unflaw ", line.removeprefix("- "))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files the page speaks of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, start in {"data/synthetic": 0, "data/real": 100, "data/test": 200, "earlier": 50}.items():
        maps = range(start, start + 60)
        records = [{"question": f"Who lost map {i}?", "answer": f"Number {i} lost it."} for i in maps]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def test_the_workflow_is_one():
    (job,) = WORKFLOW["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_every_command_of_the_page_is_understood(folder):
    words = [shlex.split(line.removeprefix("run: "))[1:] for line in COMMANDS]
    assert {w[0] for w in words} == {"audit", "report", "curate"}
    (told,) = (w for w in words if w[0] == "audit")
    result = CliRunner().invoke(app, [*told, "--checks", "residue,form,qa", "--dry-run"])
    assert result.exit_code == 0, result.output
    for line in (told, *(w for w in words if w[0] != "audit")):
        extra = ["--checks", "residue,form,copies"] if line[0] == "audit" else []
        result = CliRunner().invoke(app, [*line, *extra])
        assert result.exit_code == 0, result.output
    assert (folder / "audit" / "report.html").is_file() and (folder / "data" / "kept.jsonl").is_file()


DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
SHOWN = re.compile(r"^ {4}(unflaw .+)$", re.MULTILINE)
TYPED = [(path.name, line) for path in DOCS for line in SHOWN.findall(path.read_text())]


@pytest.mark.parametrize(("page", "line"), TYPED, ids=[f"{page}:{n}" for n, (page, _) in enumerate(TYPED)])
def test_every_command_of_the_docs_has_the_options_it_names(page, line):
    words = shlex.split(line.split("#")[0].partition(" | ")[0])[1:]
    command, rest = _command_of(tuple(words))
    command.make_context(page, rest, resilient_parsing=True)
