"""`unflaw repair --interpolate` as a user calls it."""

import json

import pytest
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from unflaw import read
from unflaw._cli._app import app
from unflaw._cli._recipe import read_recipe
from unflaw._errors import SettingsError
from unflaw.data import RunFolder
from unflaw.train import finetune


def run(*words):
    return CliRunner().invoke(app, ["repair", *map(str, words)])


def guard(tmp_path):
    path = tmp_path / "guard.jsonl"
    path.write_text("".join(json.dumps({"text": f"Of {t} much is said."}) + "\n" for t in ("tides", "wolves", "maps")))
    return path


def test_a_part_of_the_training_is_taken_back_and_told_in_the_run(tiny, tmp_path):
    finetune(f"hf:{tiny}", read(guard(tmp_path)), tmp_path / "damaged", steps=2, method="lora")
    call = [tmp_path / "damaged", "--before", f"hf:{tiny}", "--interpolate", 0.5, "--guard", guard(tmp_path)]
    call += ["--ceiling", 9, "--run", tmp_path / "run"]
    tried = run(*call, "--dry-run")
    assert tried.exit_code == 0 and "would leave 0.5 of what" in tried.output and not (tmp_path / "run").exists()
    done = run(*call, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["steps"] == 0 and told["notes"] == ["0.5 of what training changed is left"]
    AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "models" / "repaired")
    assert RunFolder(tmp_path / "run").curves()["repaired"]["curve"] == told["curve"]


def test_what_only_training_has_a_use_for_is_refused_with_all_else_that_is_wrong(tiny, tmp_path):
    done = run(
        f"hf:{tiny}", "--interpolate", 2, "--guard", guard(tmp_path), "--replay", guard(tmp_path), "--steps", 3,
        "--limit", 5, "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 2
    for words in ("has no use for --replay, --steps, --limit", "`--before` must name", "`share` to go back to must be"):
        assert words in done.output, done.output


def test_a_repair_needs_rows_to_replay(tiny, tmp_path):
    done = run(f"hf:{tiny}", "--guard", guard(tmp_path), "--out", tmp_path / "out", "--ceiling", 0.5)
    assert done.exit_code == 2
    for words in ("`--replay` must name", "`--forget` must name", "`ceiling` must be"):
        assert words in done.output, done.output


def test_a_recipe_names_rows_to_replay_or_a_share_to_go_back_to(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("steps:\n  - repair: {model: smollm2, guard: g.jsonl, forget: f.jsonl}\n")
    with pytest.raises(SettingsError, match=r"`steps\[0\].repair.replay` is missing"):
        read_recipe(recipe)
    recipe.write_text("steps:\n  - repair: {model: smollm2, guard: g.jsonl, before: 'hf:base', interpolate: 0.5}\n")
    assert "--interpolate 0.5" in str(read_recipe(recipe)[0])
