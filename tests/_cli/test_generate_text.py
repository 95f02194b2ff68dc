"""`unflaw generate text`: balanced rows, few-shot, resume, bad tasks."""

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

import unflaw.models
from labelled import labelled_rows
from unflaw._cli._app import app
from unflaw.data import RunFolder, read, write

RUN = CliRunner()


class Writer:
    """Writes a text per seed; can be interrupted."""

    def __init__(self):
        self.asked, self.stops_after = 0, 10**9

    def generate(self, prompts, sampling, *, seeds=None, on_result=None):
        answers = []
        for i in range(len(prompts)):
            if self.asked == self.stops_after:
                raise KeyboardInterrupt
            self.asked += 1
            answers.append(json.dumps({"text": f"Text number {seeds[i]} of its kind"}))
            on_result(i, answers[-1])
        return answers


@pytest.fixture
def model(monkeypatch):
    model = Writer()
    monkeypatch.setattr(unflaw.models, "open_generator", lambda spec, **settings: model)
    return model


@pytest.fixture
def task(tmp_path):
    write(labelled_rows(20), tmp_path / "real.jsonl")
    path = tmp_path / "task.yaml"
    path.write_text("task: a sentence\nlabels:\n  good: it praises\n  bad: it blames\nexamples: real.jsonl\n")
    return path


def text(*words):
    return RUN.invoke(app, ["generate", "text", *map(str, words)])


def test_labels_are_balanced_and_told(model, task, tmp_path):
    told = text(task, "-n", 7, "--out", tmp_path / "rows.jsonl")
    assert told.exit_code == 0, told.output
    rows = read(tmp_path / "rows.jsonl")
    assert Counter(rows.column("label")) == {"good": 4, "bad": 3} and rows.schema == "text/label"
    assert "good 4, bad 3" in told.output


def test_labels_that_came_short_are_told(model, task, tmp_path, monkeypatch):
    """A writer that says the same thing of every odd row, which are those of one label."""
    answer = json.dumps({"text": "Always the very same six words"})
    monkeypatch.setattr(model, "generate", lambda prompts, sampling, *, seeds, on_result, of=model.generate: [
        answer if seed % 2 else own
        for seed, own in zip(seeds, of(prompts, sampling, seeds=seeds, on_result=on_result), strict=True)
    ])  # fmt: skip
    told = text(task, "-n", 8, "--max-retries", 0, "--run", tmp_path / "run")
    assert "5 rows (good 4, bad 1 of 4)" in told.output
    facts = RunFolder(tmp_path / "run").manifest["steps"][0]["facts"]
    assert (
        facts["rows"] == 5
        and facts["refused"] == {"duplicate text": 3}
        and "praises" in facts["prompt"]["asked"]["good"]
    )


def test_few_shot_takes_the_examples_of_the_task(model, task, tmp_path):
    told = text(task, "-n", 4, "--shots", 2, "--out", tmp_path / "rows.jsonl", "--json")
    payload = json.loads(told.stdout)
    assert payload["labels"] == {"bad": 2, "good": 2} and payload["settings"]["near_copies"] == 0
    ids = set(read(tmp_path / "real.jsonl").ids)
    assert all(set(shots) < ids for shots in read(tmp_path / "rows.jsonl").column("unflaw.shots"))


def test_a_stopped_run_asks_nobody_twice(model, task, tmp_path):
    run = tmp_path / "run"
    model.stops_after = 5
    assert text(task, "-n", 8, "--turns", 2, "--run", run).exit_code == 130
    model.stops_after = 10**9
    assert text(task, "-n", 8, "--turns", 2, "--run", run, "--resume").exit_code == 0
    assert model.asked == 8 and len(read(run / "texts.jsonl")) == 8
    assert RunFolder(run).manifest["steps"][-1]["name"] == "generate text"


def test_a_dry_run_shows_the_prompt_and_asks_nothing(model, task):
    told = text(task, "-n", 4, "--dry-run")
    assert told.exit_code == 0 and "which means: it praises" in told.stdout and model.asked == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--shots", 21], "must not exceed the 20 `examples`"), (["--max-copy", 3, "--shots", 1], "`max_copy` must be in"),
     (["--max-copy", 0.5], "of use only with --shots above 0"), (["--model", "nonsense"], "names no model"),
     ([], "`--out` or `--run`")],
)  # fmt: skip
def test_what_will_not_do_is_told_before_a_model_is_opened(model, task, tmp_path, words, told):
    where = ["--out", tmp_path / "rows.jsonl"] if words else []
    result = text(task, "-n", 4, *words, *where)
    assert told in " ".join(result.output.split()) and result.exit_code == 2 and model.asked == 0


def test_examples_of_other_labels_are_named(model, task, tmp_path):
    write(labelled_rows(20, labels=("good", "year")), tmp_path / "real.jsonl")
    result = text(task, "-n", 4, "--shots", 1, "--out", tmp_path / "rows.jsonl")
    told = " ".join(result.output.split())
    assert "'year', which is no label of the task" in told and "got none of bad" in told
