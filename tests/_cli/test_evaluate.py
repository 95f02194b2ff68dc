"""`unflaw evaluate`: scores in words, several models paired, and what stays in the run folder."""

import importlib
import json
import re

import pytest
from typer.testing import CliRunner

from unflaw import models
from unflaw._cli._app import app
from unflaw.data import Finding, RunFolder, open_run
from unflaw.measure import Phrase, Template
from unflaw.models import ScriptedGenerator, UnigramScorer

RUN = CliRunner()


def answer_of(spec):
    """Model "good" listens to one constraint, model "bad" has nothing but a template."""
    return (
        (lambda p: "Answer: 7")
        if "bad" in spec
        else (lambda p: "In short 3 fish swim in the wide and warm sea near the old town. Is it not so?")
    )


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Weights are files, models are scripts; returns specs and the generators as they are opened."""
    made = []

    def open_generator(spec, device="cpu"):
        made.append(ScriptedGenerator(answer_of(spec)))
        return made[-1]

    monkeypatch.setattr(models, "open_generator", open_generator)
    room = importlib.import_module("unflaw.evaluate._evaluate")
    monkeypatch.setattr(room, "open_scorer", lambda spec, device: UnigramScorer(["a b"]))
    for name in ("good", "bad", "third"):
        (tmp_path / f"{name}.gguf").write_text(name)
    return [f"gguf:{tmp_path}/{name}.gguf" for name in ("good", "bad", "third")], made


def call(*words):
    result = RUN.invoke(app, ["evaluate", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result


def test_one_model_gives_a_table(opened):
    [good, *_], _ = opened
    out = call(good, "--n", 10).stdout
    assert re.search(r"instructions\.hard .*\n↑ n=10 ", out) and re.search(r"consistent_level .*\n↑ n=2 ", out)
    assert "paired" not in out


def test_two_models_are_compared_on_every_benchmark(opened, tmp_path):
    [good, bad, _], _ = opened
    (tmp_path / "qa.jsonl").write_text('{"question": "1?", "answer": "7"}\n{"question": "2?", "answer": "8"}\n')
    (tmp_path / "text.jsonl").write_text('{"text": "a b a"}\n{"text": "b a b"}\n')
    out = call(
        good, bad, "--n", 20, "--qa", tmp_path / "qa.jsonl", "--text", tmp_path / "text.jsonl",
        "--pattern", "^Answer", "--json",
    ).stdout  # fmt: skip
    found = json.loads(out)
    pairs = {p["benchmark"]: p for p in found["comparisons"]}
    assert set(pairs) == {s["benchmark"] for s in found["scores"]}
    assert (pairs["pattern.rate"]["difference"], pairs["pattern.rate"]["verdict"]) == (1.0, "worse")
    assert pairs["instructions.soft"]["verdict"] == "worse"
    assert pairs["qa.contains"]["gained"] and not pairs["qa.contains"]["lost"]
    assert pairs["text.log_perplexity"]["verdict"] == "within noise"


def test_words_name_the_items_that_changed(opened):
    [good, bad, _], _ = opened
    out = call(good, bad, "--n", 20).stdout
    assert "paired by item" in out and "worse" in out
    assert "No longer: s0-" in out


def test_three_models_are_compared_with_the_first_and_with_the_one_before(opened):
    specs, _ = opened
    found = json.loads(call(*specs, "--n", 10, "--json").stdout)["comparisons"]
    assert {(p["model_a"], p["model_b"]) for p in found} == {
        (specs[0], specs[1]), (specs[0], specs[2]), (specs[1], specs[2]),
    }  # fmt: skip


def test_a_run_folder_keeps_everything_and_no_answer_is_asked_twice(opened, tmp_path):
    [good, bad, _], made = opened
    words = (good, bad, "--n", 10, "--run", tmp_path / "run")
    call(*words)
    folder = RunFolder(tmp_path / "run")
    assert {s.model for s in folder.scores()} == {good, bad}
    assert {(c["model_a"], c["model_b"]) for c in folder.comparisons()} == {(good, bad)}
    call(*words)
    assert [len(model.calls) for model in made] == [12, 12, 0, 0]  # 10 prompts, 2 requests alone


def test_the_template_of_an_audit_in_the_run_folder_is_looked_for(opened, tmp_path):
    [_, bad, _], _ = opened
    phrase = Phrase(("Answer", ":"), "line", "Answer:", "row start", share=0.9, reference_share=0.0, z=9.0)
    evidence = Template((phrase,), (((0,), 0.9),)).to_evidence()
    finding = Finding("tokens.structural", "t", 1.0, None, None, "lower", "fail", "", "", evidence=evidence)
    with open_run(tmp_path / "run", settings={}, command="audit") as folder:
        folder.add_findings([finding])
    scores = json.loads(call(bad, "--n", 10, "--run", tmp_path / "run", "--json").stdout)["scores"]
    assert [s["value"] for s in scores if s["benchmark"] == "pattern.rate"] == [1.0]


def test_prompt_files_and_limit(opened, tmp_path):
    [good, *_], _ = opened
    path = tmp_path / "prompts.jsonl"
    ids = ["punctuation:no_comma", "detectable_format:title", "words:start_verb"]
    records = [{"key": i, "prompt": "p", "instruction_id_list": [id_], "kwargs": [{}]} for i, id_ in enumerate(ids)]
    path.write_text("\n".join(json.dumps(r) for r in records))
    refused = RUN.invoke(app, ["evaluate", good, "--prompts", str(path)])
    assert refused.exit_code == 2 and "words:start_verb" in refused.stderr
    result = call(good, "--prompts", path, "--allow-unknown", "--limit", 2)
    assert "1 prompts left out" in result.stderr and "↑ n=2 " in result.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["m", "m"], "once"),
        (["m", "--pattern", "("], "`--pattern` must be a regular expression"),
        (["smollm2", "--n", "12"], "take 10"),
        (["smollm2", "--prompts", "none.jsonl"], "cannot be read"),
        (["m", "--n", "10"], "names no model"),
    ],
)
def test_mistakes_are_refused_before_a_model_is_opened(words, says):
    result = RUN.invoke(app, ["evaluate", *words])
    assert result.exit_code == 2 and says in " ".join(result.stderr.split())
