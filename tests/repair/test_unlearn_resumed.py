"""Repairs that were cut off, and go on."""

import shutil
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from small_sets import FORGET, REPLAY, all_rows, pairs, template, texts
from unflaw._errors import SettingsError
from unflaw.repair import unlearn

KILLED = """
import os, signal, sys
here = os.path.dirname(sys.argv[1])
sys.path[:0] = here, os.path.dirname(here)
import test_unlearn_resumed as test

def die(step):
    if step["step"] == 5 and "loss" in step:
        os.kill(os.getpid(), signal.SIGKILL)

_, _, model, out, method = sys.argv
test.unlearn(f"hf:{model}", *test.all_rows(), out, on_step=die, method=method, **test.SAVED)
"""
SAVED = dict(
    spans=template, steps=6, batch_size=2, learning_rate=5e-3, guard_every=1, ceiling=9.0, patience=9, save_every=2
)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_repair_goes_on_as_if_nothing_had_happened(tiny, tmp_path, method):
    """Weights, curve and what the guard knows; killed after a guard check that no checkpoint has seen."""
    rows, settings = all_rows(), {**SAVED, "method": method}
    whole = unlearn(f"hf:{tiny}", *rows, tmp_path / "whole", **settings)
    dead = subprocess.run([sys.executable, "-c", KILLED, __file__, tiny, tmp_path / "cut", method], check=False)
    assert dead.returncode == -signal.SIGKILL
    resumed = unlearn(f"hf:{tiny}", *rows, tmp_path / "cut", resume=True, **settings)
    assert resumed.notes == whole.notes
    terms = ("step", "loss", "guard", "forget", "replay", "kl")
    assert [[s.get(t) for t in terms] for s in resumed.curve] == [[s.get(t) for t in terms] for s in whole.curve]
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    a, b = (load_file(tmp_path / n / name) for n in ("whole", "cut"))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    again = unlearn(f"hf:{tiny}", *rows, tmp_path / "cut", resume=True, **settings)
    assert again.notes == whole.notes and torch.equal(
        load_file(tmp_path / "cut" / name)[next(iter(a))], a[next(iter(a))]
    )


def test_a_repair_that_fails_before_its_first_step_leaves_no_file_of_its_own(tiny, tmp_path, monkeypatch):
    def fails(*_):
        assert list(tmp_path.glob("reference-*"))
        raise MemoryError

    monkeypatch.setattr("unflaw.repair._balance.weight_of", fails)
    with pytest.raises(MemoryError):
        unlearn(f"hf:{tiny}", *all_rows(), tmp_path, spans=template, method="full")
    assert not list(tmp_path.glob("reference-*"))


def test_the_guards_stop_is_found_again_when_a_stopped_run_goes_on(tiny, tmp_path):
    rows = (pairs(FORGET), pairs(REPLAY), texts())
    settings = dict(
        spans=template, steps=9, batch_size=2, learning_rate=0.5, guard_every=4, save_every=2, ceiling=1.01,
        w_forget=1.0,
    )  # fmt: skip
    whole = unlearn(f"hf:{tiny}", *rows, tmp_path, **settings)
    assert "over the ceiling" in whole.notes[-1] and whole.steps < 9
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    again = unlearn(f"hf:{tiny}", *rows, tmp_path, resume=True, **settings)
    assert (again.notes, again.steps) == (whole.notes, whole.steps)


def test_going_on_without_saving_loses_nothing_of_the_guards(tiny, tmp_path):
    """Else the next one to go on would measure the ceiling from weights that may be over it."""
    settings = dict(spans=template, steps=3, batch_size=2, guard_every=1, ceiling=9.0)
    first = unlearn(f"hf:{tiny}", *all_rows(), tmp_path, save_every=2, **settings)
    unlearn(f"hf:{tiny}", *all_rows(), tmp_path, resume=True, **settings)
    again = unlearn(f"hf:{tiny}", *all_rows(), tmp_path, save_every=2, resume=True, **settings)
    assert again.notes == first.notes
    (tmp_path / "kept.safetensors").unlink()
    with pytest.raises(SettingsError, match="what the guard kept until then, is gone"):
        unlearn(f"hf:{tiny}", *all_rows(), tmp_path, save_every=2, resume=True, **settings)


def test_a_template_found_anew_is_not_gone_on_with(tiny, tmp_path):
    rows, settings = (pairs(FORGET), pairs(REPLAY), texts()), dict(steps=2, batch_size=2, save_every=1)
    unlearn(f"hf:{tiny}", *rows, tmp_path, spans=template, **settings)
    with pytest.raises(SettingsError, match="tokens to forget"):
        unlearn(f"hf:{tiny}", *rows, tmp_path, spans=lambda text: [(0, 3)], resume=True, **settings)


def test_other_weights_under_the_same_name_are_not_gone_on_with(tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "model")
    settings = dict(spans=template, steps=2, batch_size=2, save_every=1)
    unlearn(f"hf:{model}", *all_rows(), tmp_path / "out", **settings)
    again = unlearn(f"hf:{model}", *all_rows(), tmp_path / "out", resume=True, **settings)
    weights = load_file(model / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] * 2}, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SettingsError, match="weights of model"):
        unlearn(f"hf:{model}", *all_rows(), tmp_path / "out", resume=True, **settings)
    assert again.steps == 2
