"""The demo's story with a tiny model, as small as it gets; what the numbers are is for the studies."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from unflaw._cli import _demo
from unflaw._cli._app import app
from unflaw.data import RunFolder

TINY = _demo.Scale(
    n_trained=60, train_steps=1, repair_steps=1, n_guard=4, n_held_out=12, n_prompts=6, n_texts=3, n_questions=3,
    max_tokens=8,
)  # fmt: skip


@pytest.mark.slow
def test_every_stage_leaves_its_part_and_a_finished_run_is_not_trained_again(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(_demo, "QUICK", TINY)
    monkeypatch.setattr(_demo, "BASE", f"hf:{tiny}")
    words = ["demo", "--quick", "--run", str(tmp_path / "run")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    folder = RunFolder(tmp_path / "run")
    assert set(folder.curves()) == {"damaged", "repaired", "replay_only"}
    assert [gone for _, gone in folder.curves()["repaired"]["forgotten"][0]][0] is True
    assert {s.model for s in folder.scores()} == {"untouched", "damaged", "repaired", "replay_only"}
    assert {(c["model_a"], c["model_b"]) for c in folder.comparisons()} == set(_demo.PAIRS)
    assert {f.check for f in folder.findings()} >= {"gap.c2st_auc", "tokens.structural", "perplexity.after_shift"}
    assert (tmp_path / "run" / "report.html").stat().st_size < 2 << 20
    again = CliRunner().invoke(app, [*words, "--resume"])
    assert again.exit_code == 0 and again.output.count("kept from before") == 2, again.output


def test_the_time_left_follows_from_the_shares_of_the_stages_done(tmp_path, monkeypatch, capsys):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_demo.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(_demo, "STAGES", {"audit": ("look", 0.2), "train": ("train", 0.3), "repair": ("mend", 0.5)})
    stage = _demo._Stages(tmp_path / "run", {}, [], resume=False, overwrite=False)

    def takes(seconds):
        def work(folder):
            clock.now += seconds

        return work

    stage("audit", takes(60))  # a fifth in one minute: four are left
    stage("train", takes(240))  # half in five minutes: five are left
    stage("repair", takes(10))
    told = capsys.readouterr().err.split("\n")
    assert [line for line in told if line.startswith("  ")] == [
        "  60 s; about 4 min left in all", "  240 s; about 5 min left in all", "  10 s",
    ]  # fmt: skip


def test_what_was_made_with_other_settings_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(_demo, "STAGES", {"train": ("train", 1.0)})
    trained = []

    def train(seed):
        def work(folder):
            trained.append(seed)
            folder.add_curve("damaged", [])

        stage = _demo._Stages(tmp_path / "run", {"seed": seed}, [], resume=True, overwrite=False)
        stage("train", work, writes="damaged")

    for seed in (1, 1, 2, 2):
        train(seed)
    assert trained == [1, 2]
