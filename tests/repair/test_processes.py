"""Two real processes, exchanging gradients over gloo, do what one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unflaw import read
from unflaw._errors import SettingsError
from unflaw.train import finetune, processes

SCRIPT = """
import json, sys
from unflaw.data import Rows
from unflaw.repair import unlearn
from unflaw.train import finetune, is_main_process

model, out = sys.argv[1:]
def pairs(*of):
    roles = {"prompt": "prompt", "response": "response"}
    return Rows.from_records([{"prompt": p, "response": r} for p, r in of], roles)
forget = pairs(("Where?", "Answer: Rome"), ("Who runs?", "Answer: Ann, who is fast."), ("Why?", "Answer: it is so."))
replay = pairs(("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!"))
guard = pairs(("One?", "One it is."), ("Two?", "Two."))
settings = dict(steps=4, batch_size=3, learning_rate=1e-2, seed=1, save_every=2)
curves = {"train": finetune(f"hf:{model}", forget, f"{out}/train", method="full", **settings).curve}
for method, objective in (("full", "bounded"), ("lora", "npo")):
    name = f"{method}-{objective}"
    curves[name] = unlearn(
        f"hf:{model}", forget, replay, guard, f"{out}/{name}", what="response", objective=objective, method=method,
        guard_every=2, ceiling=9.0, **settings,
    ).curve
if is_main_process():
    print("CURVES " + json.dumps(curves))
"""


@pytest.fixture(scope="module")
def told(tiny, tmp_path_factory):
    """Folder, and who → job → curve: all jobs by one process, and all by two."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "script.py").write_text(SCRIPT)
    curves = {}
    for who, launcher in (
        ("one", []),
        ("two", ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]),
    ):
        command = [sys.executable, *launcher, str(folder / "script.py"), str(tiny), str(folder / who)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [line for line in done.stdout.splitlines() if "CURVES " in line]
        assert len(lines) == 1  # the main process alone
        curves[who] = json.loads(lines[0].split("CURVES ", 1)[1])
    return folder, curves


@pytest.mark.slow
@pytest.mark.parametrize("job", ["train", "full-bounded", "lora-npo"])
def test_two_processes_do_what_one_does(told, job):
    folder, curves = told
    for a, b in zip(curves["one"][job], curves["two"][job], strict=True):
        for term in {"loss", "forget", "replay", "kl", "guard"} & a.keys():
            assert b[term] == pytest.approx(a[term], rel=2e-3, abs=2e-5)
    file = "adapter_model.safetensors" if "lora" in job else "model.safetensors"
    a, b = (load_file(folder / who / job / file) for who in ("one", "two"))
    assert a.keys() == b.keys() and all(torch.allclose(a[k], b[k], atol=2e-3) for k in a)


def test_a_launcher_that_would_split_the_weights_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(SettingsError, match="leave weights whole, got FSDP"):
        processes("cpu")


@pytest.mark.slow
def test_of_two_processes_one_tells_and_writes(tiny, tmp_path):
    """The shipped settings of accelerate, the command line, a run folder, and a run that goes on."""
    for name, answer in (("bad", "Answer: {}."), ("good", "It is {}."), ("held", "Of {} much is said.")):
        rows = [{"prompt": f"What of {t} ({name})?", "response": answer.format(t)} for t in ("tides", "bread", "chess")]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    finetune(f"hf:{tiny}", read(tmp_path / "bad.jsonl"), tmp_path / "damaged", steps=20, learning_rate=1e-2)
    config = Path("examples/accelerate/ddp.yaml").resolve()
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port=0"]
    command = [
        *launch, str(Path(sys.executable).parent / "unflaw"), "repair", "hf:damaged", "--forget", "bad.jsonl",
        "--replay", "good.jsonl", "--guard", "held.jsonl", "--steps", "2", "--batch-size", "2", "--save-every", "1",
        "--run", "run", "--json", "--what", "response", "--on-policy",
    ]  # fmt: skip
    for again in ([], ["--resume"]):
        done = subprocess.run([*command, *again], capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout)  # one JSON document, not two
        assert told["steps"] == 2 and told["processes"] == 2
    steps = json.loads((tmp_path / "run" / "manifest.json").read_text())["steps"]
    assert [step["status"] for step in steps] == ["finished"] * 2
    assert (tmp_path / "run" / "models" / "repaired" / "adapter_model.safetensors").exists()
