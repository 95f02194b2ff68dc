"""A classifier trained by two processes takes the same steps as by one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModel, AutoTokenizer

from labelled import labelled_rows
from unflaw.data import write
from unflaw.train import QUALITY

UNFLAW = str(Path(sys.executable).parent / "unflaw")


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny_encoder, tmp_path):
    still = AutoModel.from_pretrained(tiny_encoder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    still.save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "model")
    weights = [1.0 + k % 3 for k in range(33)]  # an odd number: the last step has a row too few
    write(labelled_rows(33, weight=weights).with_column(QUALITY, [0.8] * 33), tmp_path / "rows.jsonl")
    write(labelled_rows(12, seed=1), tmp_path / "validation.jsonl")
    config = Path("examples/accelerate/ddp.yaml").resolve()
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port=0"]
    told = {}
    for name, before in (("one", []), ("two", launch)):
        command = [
            *before, UNFLAW, "train", "hf:model", "rows.jsonl", "--validation", "validation.jsonl", "--epochs", "2",
            "--batch-size", "16", "--learning-rate", "3e-3", "--objective", "dimp", "--out", name, "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        told[name] = json.loads(done.stdout)
    for a, b in zip(told["one"]["curve"], told["two"]["curve"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)
    assert told["one"]["best_epoch"] == told["two"]["best_epoch"]
