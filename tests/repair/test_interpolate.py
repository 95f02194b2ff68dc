"""A part of the training taken back: the weights are known beforehand, and the guard has its say."""

import json

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.repair import interpolate
from unflaw.repair._guard import mean_log_perplexity
from unflaw.train import encode_rows, finetune

TEXT = ["The sky was clear over the old town.", "She walked home and read until dark.", "Rain fell on the hills."]


def texts(of=TEXT):
    return Rows.from_records([{"text": t} for t in of], {"text": "text"})


def rows():
    return Rows.from_records([{"prompt": "Where?", "response": "Rome."}], {"prompt": "prompt", "response": "response"})


def weights(path):
    return dict(AutoModelForCausalLM.from_pretrained(path).named_parameters())


def guard_value(path):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path)
    return mean_log_perplexity(model, encode_rows(texts(), tokenizer), tokenizer.pad_token_id)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The tiny model after full training on one row: worse on the guard's texts."""
    path = tmp_path_factory.mktemp("trained")
    finetune(f"hf:{tiny}", rows(), path, steps=8, learning_rate=3e-3)
    assert guard_value(path) > guard_value(tiny) + 0.02
    return path


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_stands_where_the_share_says(tiny, trained, tmp_path, share):
    done = interpolate(f"hf:{trained}", f"hf:{tiny}", texts(), tmp_path, share=share)
    before, after, found = weights(tiny), weights(trained), weights(tmp_path)
    assert before.keys() == found.keys()
    for name, weight in found.items():
        torch.testing.assert_close(weight, before[name] + share * (after[name] - before[name]))
    assert done.steps == done.tokens == 0 and done.notes == (f"{share:g} of what training changed is left",)
    assert [point["guard"] for point in done.curve] == pytest.approx([guard_value(trained), guard_value(tmp_path)])
    assert not list(tmp_path.glob("kept*"))


def test_an_adapter_is_taken_back_as_its_weights_are(tiny, tmp_path):
    finetune(f"hf:{tiny}", rows(), tmp_path / "adapter", steps=4, method="lora", learning_rate=1e-2)
    for name, share in (("whole", 1.0), ("half", 0.5)):
        interpolate(f"peft:{tmp_path / 'adapter'}", f"hf:{tiny}", texts(), tmp_path / name, share=share, ceiling=9)
    before, whole, half = weights(tiny), weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert any(not torch.equal(whole[name], before[name]) for name in before)
    for name in before:
        torch.testing.assert_close(half[name], (before[name] + whole[name]) / 2)


@pytest.mark.parametrize("as_adapter", [False, True])
def test_where_the_guard_minds_the_model_comes_back_as_it_was(tiny, trained, tmp_path, as_adapter):
    model = f"hf:{tiny}"
    if as_adapter:  # one that hardly changes anything
        finetune(model, rows(), tmp_path / "adapter", steps=1, method="lora", learning_rate=1e-9)
        model = f"peft:{tmp_path / 'adapter'}"
    done = interpolate(model, f"hf:{trained}", texts(), tmp_path / "out", share=0.0, ceiling=1.01)
    assert done.notes[0] == "the model comes back as it was" and "over the ceiling" in done.notes[1]
    before, found = weights(tiny), weights(tmp_path / "out")
    for name in before:
        torch.testing.assert_close(found[name], before[name])


def test_the_model_before_may_be_an_adapter(tiny, trained, tmp_path):
    finetune(f"hf:{tiny}", rows(), tmp_path / "adapter", steps=4, method="lora", learning_rate=1e-2)
    interpolate(f"hf:{trained}", f"peft:{tmp_path / 'adapter'}", texts(), tmp_path / "out", share=0.0, ceiling=9)
    whole = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter").merge_and_unload()
    before, found = dict(whole.named_parameters()), weights(tmp_path / "out")
    for name in found:
        torch.testing.assert_close(found[name], before[name])


def test_all_that_is_wrong_is_said_at_once(tiny, tmp_path):
    with pytest.raises(SettingsError) as error:
        interpolate(
            f"hf:{tiny}", f"hf:{tiny}", texts(), tmp_path, share=1.5, ceiling=0.5, repetition_rise=-1, max_tokens=0,
            device="tpu",
        )  # fmt: skip
    for word in ("`share`", "`ceiling`", "`repetition_rise`", "`max_tokens`", "`device`"):
        assert word in str(error.value)
    with pytest.raises(TooFewRowsError, match="guard"):
        interpolate(f"hf:{tiny}", f"hf:{tiny}", texts([""]), tmp_path / "out")


def test_a_model_of_another_shape_is_no_model_before(tiny, tmp_path):
    config = json.loads((tiny / "config.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(tiny)
    smaller = type(model)(type(model.config)(**{**config, "num_hidden_layers": config["num_hidden_layers"] - 1}))
    smaller.save_pretrained(tmp_path / "smaller")
    AutoTokenizer.from_pretrained(tiny).save_pretrained(tmp_path / "smaller")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "training.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"`model\.layers\.\d\.\S+` is none there, \(\d+,"):
        interpolate(f"hf:{tiny}", f"hf:{tmp_path / 'smaller'}", texts(), tmp_path / "out")
    assert (tmp_path / "out" / "training.json").read_text() == "{}"  # what stands there is not touched
