import json
import warnings

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.train import (
    encode_rows,
    finetune,
    fused_mean,
    head_of,
    head_parameters,
    hidden_at,
    losses,
    open_trainable,
    pad_batch,
)

PAIRS = [("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!")]


def rows(pairs=PAIRS, weights=None):
    records = [{"prompt": p, "response": r} for p, r in pairs]
    if weights:
        records = [{**r, "weight": w} for r, w in zip(records, weights, strict=True)]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


def tokenizer_of(path):
    return AutoTokenizer.from_pretrained(path)


def state(path):
    return AutoModelForCausalLM.from_pretrained(path).state_dict()


def test_the_chunked_loss_equals_the_whole_model_loss(tiny):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    batch = pad_batch(encode_rows(rows(), tokenizer), tokenizer.pad_token_id)
    h, y, weight, row = hidden_at(model, batch)
    assert row.tolist() == sorted(row.tolist()) and row[-1] == len(batch["input_ids"]) - 1
    ours, _ = fused_mean(
        lambda h, y: losses.cross_entropy(head_of(model)(h), y)[:, None], torch.ones(1), torch.tensor(len(y)), weight,
        h, y, parameters=head_parameters(model), chunk=4,
    )  # fmt: skip
    labels = batch["input_ids"].masked_fill(batch["weight"] == 0, -100)
    theirs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize(("method", "learning_rate"), [("full", 2e-2), ("lora", 2.0)])
def test_training_lowers_the_loss_and_writes_a_loadable_model(tiny, tmp_path, method, learning_rate):
    trained = finetune(
        f"hf:{tiny}", rows(), tmp_path, steps=12, batch_size=3, learning_rate=learning_rate, method=method
    )
    steps = [s["loss"] for s in trained.curve]
    assert len(steps) == 12
    assert steps[-1] < steps[0] - 0.1
    assert (tmp_path / ("adapter_model.safetensors" if method == "lora" else "model.safetensors")).exists()
    assert trained.tokens > 0


def test_a_step_in_parts_is_the_same_step(tiny, tmp_path):
    weights = [3.0, *[1.0] * (len(PAIRS) - 1)]
    apart, together = (
        finetune(
            f"hf:{tiny}", rows(PAIRS, weights), tmp_path / str(part_tokens), steps=3, batch_size=3,
            part_tokens=part_tokens, learning_rate=1e-3,
        ).curve
        for part_tokens in (1, 10**6)
    )  # fmt: skip
    for a, b in zip(apart, together, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4) and a["grad_norm"] == pytest.approx(
            b["grad_norm"], rel=1e-3
        )


def test_a_row_of_weight_zero_trains_nothing(tiny, tmp_path):
    finetune(f"hf:{tiny}", rows(PAIRS[:2], [1.0, 0.0]), tmp_path / "a", steps=2, batch_size=2)
    finetune(f"hf:{tiny}", rows(PAIRS[:1], [1.0]), tmp_path / "b", steps=2, batch_size=1)
    a, b = state(tmp_path / "a"), state(tmp_path / "b")
    assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


def test_a_row_weight_scales_the_step_of_its_batch(tiny, tmp_path):
    """At one row a batch a weight must be felt; dividing by the batch's weights would take it back."""
    for name, weights in {"even": [1.0, 1.0], "odd": [0.1, 1.9]}.items():
        finetune(f"hf:{tiny}", rows(PAIRS[:2], weights), tmp_path / name, steps=2, batch_size=1, learning_rate=1e-2)
    a, b = state(tmp_path / "even"), state(tmp_path / "odd")
    assert any(not torch.allclose(a[k], b[k], atol=1e-4) for k in a)


def test_an_epoch_shows_every_row_once(tiny, tmp_path):
    seen = finetune(f"hf:{tiny}", rows(), tmp_path / "a", epochs=1, batch_size=2)
    assert seen.steps == 2 and seen.tokens == sum(len(e.ids) for e in encode_rows(rows(), tokenizer_of(tiny)))


def test_rows_that_were_cut_are_told(tiny, tmp_path):
    long = [*PAIRS, ("Count.", "one two " * 60)]
    done = finetune(f"hf:{tiny}", rows(long), tmp_path, steps=1, max_tokens=60)
    assert done.notes == ("1 of 4 `rows` were cut at 60 tokens",)


def test_an_adapter_of_an_earlier_run_does_not_shadow_whole_weights(tiny, tmp_path):
    for method in ("lora", "full"):
        finetune(f"hf:{tiny}", rows(), tmp_path, steps=1, method=method)
    assert not (tmp_path / "adapter_config.json").exists() and (tmp_path / "model.safetensors").exists()


def test_the_base_of_an_adapter_takes_half_the_room_in_bfloat16(tiny, tmp_path):
    half, whole = (
        open_trainable(f"hf:{tiny}", "cpu", precision="bfloat16", frozen=frozen)[0] for frozen in (True, False)
    )
    assert half.dtype == torch.bfloat16 and whole.dtype == torch.float32
    settings = dict(steps=3, batch_size=3, method="lora", learning_rate=1e-2)
    exact, rounded = (
        finetune(f"hf:{tiny}", rows(), tmp_path / precision, precision=precision, **settings)
        for precision in ("float32", "bfloat16")
    )
    losses = [[step["loss"] for step in done.curve] for done in (exact, rounded)]
    assert losses[1] == pytest.approx(losses[0], rel=0.03) and losses[1][-1] < losses[1][0]
    adapter = load_file(tmp_path / "bfloat16" / "adapter_model.safetensors")
    assert {part.dtype for part in adapter.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("precision", "has", "warned"), [("bfloat16", False, 1), ("bfloat16", True, 0), ("float32", False, 0)]
)
def test_a_device_that_rounds_in_software_is_warned_of(tiny, tmp_path, monkeypatch, recwarn, precision, has, warned):
    monkeypatch.setattr("unflaw.train._trainer.has_bfloat16", lambda device: has)
    warnings.simplefilter("always")
    finetune(f"hf:{tiny}", rows(), tmp_path, steps=1, precision=precision)
    assert sum("rounds in software" in str(w.message) for w in recwarn) == warned


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_weights_a_run_starts_from_are_never_its_own_folder(tiny, tmp_path, method):
    """An adapter written there would take away the very base it needs."""
    finetune(f"hf:{tiny}", rows(), tmp_path, steps=1)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(SettingsError, match="`out` must be another folder"):
        finetune(f"hf:{tmp_path}", rows(), tmp_path, steps=1, method=method)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tiny, tmp_path):
    settings = dict(steps=2, batch_size=2, save_every=1)
    finetune(f"hf:{tiny}", rows(), tmp_path, **settings)
    with pytest.raises(SettingsError, match="learning_rate: 0.0002 then, 0.1 now"):
        finetune(f"hf:{tiny}", rows(), tmp_path, learning_rate=0.1, resume=True, **settings)
    with pytest.raises(SettingsError, match="rows of rows"):
        finetune(f"hf:{tiny}", rows(PAIRS[:2]), tmp_path, resume=True, **settings)
    finetune(f"hf:{tiny}", rows(), tmp_path, steps=1, batch_size=2)
    assert not list(tmp_path.glob("checkpoint-*")), "without resume, nothing is left to go on from by mistake"


def test_a_checkpoint_cut_off_while_it_was_written_is_passed_over(tiny, tmp_path):
    settings = dict(steps=4, batch_size=2, save_every=1, learning_rate=1e-2)
    finetune(f"hf:{tiny}", rows(), tmp_path / "whole", **settings)
    finetune(f"hf:{tiny}", rows(), tmp_path / "cut", **{**settings, "steps": 4})
    (last,) = (tmp_path / "cut").glob("checkpoint-*")
    last.rename(last.with_name("checkpoint-2"))  # stands for an older one; its own state says 4
    broken = last.with_name("checkpoint-3")
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"half")
    finetune(f"hf:{tiny}", rows(), tmp_path / "cut", resume=True, **settings)
    a, b = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert all(torch.equal(a[k], b[k]) for k in a) and not broken.exists()


def test_text_that_was_edited_under_its_id_is_noticed(tiny, tmp_path):
    def named(answer):
        roles = {"prompt": "p", "response": "r"}
        return Rows.from_records([{"unflaw.id": "1", "p": "Where?", "r": answer}], roles)

    settings = dict(steps=1, batch_size=1, save_every=1)
    finetune(f"hf:{tiny}", named("Rome."), tmp_path, **settings)
    with pytest.raises(SettingsError, match="rows of rows"):
        finetune(f"hf:{tiny}", named("Oslo."), tmp_path, resume=True, **settings)


def test_a_run_without_checkpoints_says_that_it_begins_anew(tiny, tmp_path):
    finetune(f"hf:{tiny}", rows(), tmp_path, steps=1, batch_size=2)
    with pytest.warns(UserWarning, match="holds no checkpoint"):
        finetune(f"hf:{tiny}", rows(), tmp_path, steps=1, batch_size=2, resume=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"save_every": -1}, "`save_every` must not be negative"),
        ({"target": "answer"}, "`target` must be response or full"),
        ({"device": "gpu"}, "`device` must be cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:2"}, "CUDA_VISIBLE_DEVICES=2"),
    ],
)
def test_settings_that_break_their_rule_are_named(tiny, tmp_path, settings, told):
    with pytest.raises(SettingsError, match=told):
        finetune(f"hf:{tiny}", rows(), tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_same_seed_same_weights(tiny, tmp_path):
    for name in "ab":
        finetune(f"hf:{tiny}", rows(), tmp_path / name, steps=3, batch_size=2, seed=4)
    a, b = state(tmp_path / "a"), state(tmp_path / "b")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tiny, tmp_path):
    settings = dict(steps=6, batch_size=2, learning_rate=1e-2, save_every=2)
    whole = finetune(f"hf:{tiny}", rows(), tmp_path / "whole", **settings)

    class Killed(Exception):
        pass

    def die(step):
        if step["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        finetune(f"hf:{tiny}", rows(), tmp_path / "cut", on_step=die, **settings)
    resumed = finetune(f"hf:{tiny}", rows(), tmp_path / "cut", resume=True, **settings)
    assert [(s["step"], s["loss"]) for s in resumed.curve] == [(s["step"], s["loss"]) for s in whole.curve]
    a, b = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_all_wrong_settings_are_named_together(tiny, tmp_path):
    with pytest.raises(SettingsError) as caught:
        finetune(f"hf:{tiny}", rows(), tmp_path, batch_size=0, learning_rate=-1.0, method="qlora")
    assert len(caught.value.problems) == 3
    assert all(word in str(caught.value) for word in ("batch_size", "learning_rate", "qlora"))


def test_rows_that_train_nothing_are_refused(tiny, tmp_path):
    with pytest.raises(TooFewRowsError, match="none of 1"):
        finetune(f"hf:{tiny}", rows(PAIRS[:1], [0.0]), tmp_path, steps=1)


def test_settings_are_json_ready(tiny, tmp_path):
    trained = finetune(f"hf:{tiny}", rows(), tmp_path, steps=1)
    assert json.loads(json.dumps(trained.settings))["learning_rate"] == 2e-4
