"""Two real processes, exchanging gradients over gloo, do what one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

from unflaw import read
from unflaw._errors import SettingsError, SpecError
from unflaw.models import open_causal
from unflaw.train import claim, finetune, problems_of_training, processes

SCRIPT = """
import json, os, sys
from unflaw.data import Rows
from unflaw.repair import unlearn
from unflaw.train import finetune, is_main_process

model, loose, out = sys.argv[1:]
def pairs(*of):
    roles = {"prompt": "prompt", "response": "response"}
    return Rows.from_records([{"prompt": p, "response": r} for p, r in of], roles)
forget = pairs(("Where?", "Answer: Rome"), ("Who runs?", "Answer: Ann, who is fast."), ("Why?", "Answer: it is so."))
replay = pairs(("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!"))
guard = pairs(("One?", "One it is."), ("Two?", "Two."))
settings = dict(steps=4, batch_size=3, learning_rate=1e-2, seed=1)
repair = dict(what="response", guard_every=2, ceiling=9.0, repetition_rise=1.0)
few = dict(batch_size=1, gradient_checkpointing=True, kl_to="before", before=f"hf:{model}")
jobs = {
    "train": (finetune, model, (forget,), dict(method="full", save_every=2)),
    "train-half": (finetune, loose, (forget,), dict(method="full", precision="bfloat16")),
    "full-bounded": (unlearn, loose, (forget, replay, guard), dict(**repair, method="full", save_every=2)),
    "lora-npo": (unlearn, model, (forget, replay, guard), dict(**repair, method="lora", objective="npo")),
    "lora-few": (unlearn, loose, (forget, replay, guard), dict(**repair, method="lora", **few)),
}
shard = dict(shard=True, save_every=0, part_tokens=16)  # an uneven number of parts
curves = {}
for end, more in (("", {}), ("-split", shard))[: int(os.environ.get("WORLD_SIZE", 1))]:
    for name, (do, start, rows, own) in jobs.items():
        curves[name + end] = do(f"hf:{start}", *rows, f"{out}/{name}{end}", **(settings | own | more)).curve

def die(step):
    if step["step"] == 3 and "loss" in step:
        raise InterruptedError

for name in ("full-bounded", "train-split", "full-bounded-split", "lora-npo-split") if len(curves) > len(jobs) else ():
    do, start, rows, own = jobs[name.removesuffix("-split")]
    again = settings | own | (shard if name.endswith("-split") else {}) | dict(save_every=2)
    try:
        do(f"hf:{start}", *rows, f"{out}/{name}-again", on_step=die, **again)
    except InterruptedError:
        curves[name + "-again"] = do(f"hf:{start}", *rows, f"{out}/{name}-again", resume=True, **again).curve
if is_main_process():
    print("CURVES " + json.dumps(curves))
"""


@pytest.fixture(scope="module")
def told(tiny, tmp_path_factory):
    """Folder, and who → job → curve: all jobs by one process, and all by two."""
    folder = tmp_path_factory.mktemp("processes")
    loose = with_a_head_of_its_own(tiny, folder / "loose")
    (folder / "script.py").write_text(SCRIPT)
    curves = {}
    for who, launcher in (
        ("one", []),
        ("two", ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]),
    ):
        command = [sys.executable, *launcher, str(folder / "script.py"), str(tiny), str(loose), str(folder / who)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [line for line in done.stdout.splitlines() if "CURVES " in line]
        assert len(lines) == 1  # the main process alone
        curves[who] = json.loads(lines[0].split("CURVES ", 1)[1])
    return folder, curves


def with_a_head_of_its_own(model, folder):
    """Whose weights are gathered by themselves when they are split."""
    torch.manual_seed(1)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    LlamaForCausalLM(AutoConfig.from_pretrained(model, tie_word_embeddings=False)).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "-split"])
@pytest.mark.parametrize("job", ["train", "train-half", "full-bounded", "lora-npo", "lora-few"])
def test_two_processes_do_what_one_does(told, job, end):
    """With the weights whole on each, and with each holding a part of them."""
    folder, curves = told
    near = 20 if job == "train-half" else 1
    for a, b in zip(curves["one"][job], curves["two"][job + end], strict=True):
        for term in {"loss", "forget", "replay", "kl", "guard"} & a.keys():
            assert b[term] == pytest.approx(a[term], rel=2e-3 * near, abs=2e-5)
    file = "adapter_model.safetensors" if "lora" in job else "model.safetensors"
    a, b = (load_file(folder / path / file) for path in (f"one/{job}", f"two/{job}{end}"))
    assert all(torch.allclose(a[k], b[k], atol=2e-3 * near) for k in a)
    assert b.keys() - a.keys() <= {"lm_head.weight"}  # of split weights transformers writes a tied head twice
    assert not list((folder / f"two/{job}{end}").glob("*-[01].*"))  # what one process kept


@pytest.mark.slow
@pytest.mark.parametrize("job", ["full-bounded", "train-split", "full-bounded-split", "lora-npo-split"])
def test_a_killed_run_of_two_processes_goes_on_as_if_nothing_had_happened(told, job):
    """Killed at the third step of four, of which a checkpoint has seen two."""
    folder, curves = told
    terms = ("step", "loss", "guard", "forget", "replay", "kl")
    again, whole = ([[s.get(t) for t in terms] for s in curves["two"][job + end]] for end in ("-again", ""))
    assert again == whole
    file = "adapter_model.safetensors" if "lora" in job else "model.safetensors"
    a, b = (load_file(folder / "two" / (job + end) / file) for end in ("-again", ""))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "this is one; start more"),
        ({"before": "peft:adapter"}, "`before` must be merged into its base"),
    ],
)
def test_weights_are_split_only_where_that_goes(settings, told):
    given = {"precision": "float32", "method": "full", "device": "cpu", "save_every": 0, "shard": True, **settings}
    assert any(told in problem for problem in problems_of_training(given))


def test_split_weights_go_on_with_as_many_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    settings = {"model": "hf:any", "shard": True, "save_every": 3}
    claim(tmp_path, settings, {}, resume=False)
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "trainer_state.json").touch()
    assert claim(tmp_path, settings, {}, resume=True) == 3
    for world, shard in (("4", True), ("2", False)):
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(SettingsError, match="processes: 2 then"):
            claim(tmp_path, {**settings, "shard": shard}, {}, resume=True)


def test_an_adapter_is_not_split():
    with pytest.raises(SpecError, match="merge it into its base"):
        open_causal("peft:somewhere", shards=2)


def test_a_launcher_that_would_split_the_weights_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(SettingsError, match="leave weights whole, got FSDP"):
        processes("cpu")
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(SettingsError, match="keeps weights on the cards"):
        processes("cpu", shard=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "own"), [("ddp.yaml", ["--on-policy"]), ("fsdp.yaml", ["--shard", "--forget", "bad.jsonl"])]
)
def test_of_two_processes_one_tells_and_writes(tiny, tmp_path, settings, own):
    """The shipped settings of accelerate, the command line, a run folder, and a run that goes on."""
    for name, answer in (("bad", "Answer: {}."), ("good", "It is {}."), ("held", "Of {} much is said.")):
        rows = [{"prompt": f"What of {t} ({name})?", "response": answer.format(t)} for t in ("tides", "bread", "chess")]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    finetune(f"hf:{tiny}", read(tmp_path / "bad.jsonl"), tmp_path / "damaged", steps=20, learning_rate=1e-2)
    config = Path("examples/accelerate", settings).resolve()
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port=0"]
    command = [
        *launch, str(Path(sys.executable).parent / "unflaw"), "repair", "hf:damaged", "--replay", "good.jsonl",
        "--guard", "held.jsonl", "--steps", "2", "--batch-size", "2", "--save-every", "1",
        "--run", "run", "--json", "--what", "response", *own,
    ]  # fmt: skip
    for again in ([], ["--resume"]):
        done = subprocess.run([*command, *again], capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout)  # one JSON document, not two
        assert told["steps"] == 2 and told["processes"] == 2
    steps = json.loads((tmp_path / "run" / "manifest.json").read_text())["steps"]
    assert [step["status"] for step in steps] == ["finished"] * 2
    assert (tmp_path / "run" / "models" / "repaired" / "adapter_model.safetensors").exists()
