import json

import pytest
from typer.testing import CliRunner

from unflaw._cli._app import app
from unflaw.data import Finding, open_run


@pytest.fixture
def folder(tmp_path):
    finding = Finding(
        "gap.c2st_auc", "Told apart [bold]", 0.9, 0.8, 0.95, "lower", "fail", "fail from 0.8", "All of it."
    )
    with open_run(tmp_path / "first", command="audit", settings={"seed": 0}) as run:
        run.add_findings([finding])
    return tmp_path / "first"


def call(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


def test_the_page_is_written_and_the_verdict_said(folder):
    result = call(folder)
    assert result.exit_code == 0, result.output
    assert "1 of 1 check fails" in result.stdout
    assert str(folder / "report.html") in result.stdout.replace("\n", "")
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_json_goes_to_stdout_alone(folder, tmp_path):
    result = call(folder, "--json", "--out", tmp_path / "r.md")
    told = json.loads(result.stdout)
    assert told["verdict"]["level"] == "fail"
    assert told["report"] == str(tmp_path / "r.md")
    assert (tmp_path / "r.md").exists()
    assert not (folder / "report.html").exists()


def test_open_hands_the_page_to_the_browser(folder, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    assert call(folder, "--open").exit_code == 0
    assert opened == [(folder / "report.html").resolve().as_uri()]


@pytest.mark.parametrize(("words", "says"), [(["nowhere"], "no run folder"), ([".", "--out", "x.pdf"], ".html, .md")])
def test_a_wrong_call_is_explained_with_exit_code_2(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2
    assert says in result.stderr
