import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.models import open_causal
from unflaw.repair import unlearn
from unflaw.repair._guard import mean_log_perplexity
from unflaw.repair._reference import adapter_off, cached_states
from unflaw.repair._unlearn import opening_tokens
from unflaw.train import add_lora, encode_rows, finetune, head_of, hidden_at, pad_batch

FORGET = [("Where?", "Answer: Rome\nWhy: it is."), ("Who runs?", "Answer: Ann\nWhy: she runs fast.")]
REPLAY = [("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!")]
TEXT = ["The sky was clear over the old town.", "She walked home and read until dark.", "Rain fell on the hills."]


def pairs(of):
    return Rows.from_records(
        [{"prompt": p, "response": r} for p, r in of], {"prompt": "prompt", "response": "response"}
    )


def texts():
    return Rows.from_records([{"text": t} for t in TEXT], {"text": "text"})


def template(text):
    return [(0, 7), (text.index("\nWhy"), text.index("\nWhy") + 5)]


def guard_value(path, model=None):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = model or AutoModelForCausalLM.from_pretrained(path)
    return mean_log_perplexity(model, encode_rows(texts(), tokenizer), tokenizer.pad_token_id)


def test_guard_value_equals_one_row_at_a_time(tiny):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    slow = []
    for text in TEXT:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        slow.append(model(input_ids=ids, labels=ids).loss.item())
    assert guard_value(tiny) == pytest.approx(sum(slow) / len(slow), rel=1e-5)


@pytest.mark.parametrize("kind", ["adapter_off", "cached_states"])
def test_the_reference_equals_a_second_model(tiny, tmp_path, kind):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    original = AutoModelForCausalLM.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    encoded = encode_rows(pairs(REPLAY), tokenizer)
    if kind == "adapter_off":
        model = add_lora(model, 4, seed=0)
        reference = adapter_off(model)
    else:
        reference = cached_states(model, encoded, {0, 1, 2}, tokenizer.pad_token_id, tmp_path / "states")
    with torch.no_grad():  # training moves the weights; the reference must not follow
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    rows = [2, 0]
    batch = pad_batch([encoded[i] for i in rows], tokenizer.pad_token_id)
    h, _, _ = hidden_at(original, batch)
    expected = head_of(original)(h)
    got = reference.head(reference.states(rows, batch))
    assert torch.allclose(got, expected, atol=1e-5)
    assert not torch.allclose(head_of(model)(hidden_at(model, batch)[0]), expected, atol=1e-3)


@pytest.fixture(scope="module")
def damaged(tiny, tmp_path_factory):
    """The tiny model after it has learnt the forget rows by heart."""
    out = tmp_path_factory.mktemp("damaged")
    finetune(f"hf:{tiny}", pairs(FORGET), out, steps=60, batch_size=2, learning_rate=1e-2)
    return out


@pytest.mark.parametrize("method", ["full", "lora"])
def test_template_tokens_become_unlikely_and_the_terms_are_logged(damaged, tmp_path, method):
    done = unlearn(
        f"hf:{damaged}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, w_forget=1.0, steps=10,
        batch_size=2, learning_rate=2e-2, method=method, ceiling=1e9, patience=100, guard_every=10,
        bar_template=False,
    )  # fmt: skip
    terms = [s for s in done.curve if "loss" in s]
    assert {"forget", "replay", "kl", "loss"} <= set(terms[0])
    assert terms[0]["kl"] == pytest.approx(0.0, abs=1e-5)  # nothing has moved before the first step
    assert terms[-1]["forget"] < 0.5 * terms[0]["forget"]
    assert terms[-1]["replay"] < terms[0]["replay"]
    assert not (tmp_path / "reference.f32").exists()
    assert done.forgotten[0][:2] == [("Answer:", True), (" Rome", False)]
    assert ["".join(piece for piece, _ in row) for row in done.forgotten] == [a + "<|im_end|>" for _, a in FORGET]


@pytest.mark.parametrize(
    "wreck",
    [dict(objective="gradient_ascent", w_forget=10.0, learning_rate=0.05), dict(learning_rate=1e3)],
    ids=["gradient ascent", "absurd learning rate"],
)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_under_the_guard_nothing_worse_than_the_ceiling_comes_back(tiny, tmp_path, wreck, seed, method):
    done = unlearn(
        f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, steps=20, batch_size=2,
        guard_every=2, ceiling=1.01, seed=seed, method=method, **wreck,
    )  # fmt: skip
    before = guard_value(tiny)
    if method == "lora":
        after = guard_value(tmp_path, open_causal(f"peft:{tmp_path}")[0])
    else:
        after = guard_value(tmp_path)
    assert math.exp(after - before) <= 1.01 + 1e-6
    assert done.steps < 20
    assert "over the ceiling" in done.notes[-1] or "not improved" in done.notes[-1]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_repaired_adapter_loads_as_a_whole_model(tiny, tmp_path, method):
    finetune(f"hf:{tiny}", pairs(FORGET), tmp_path / "adapter", steps=2, method="lora")
    adapter = f"peft:{tmp_path / 'adapter'}"
    unlearn(adapter, None, pairs(REPLAY), texts(), tmp_path / "out", steps=1, guard_every=1, method=method)
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert math.isfinite(guard_value(tmp_path / "out"))


def test_replay_only_is_the_same_loop_without_forgetting(tiny, tmp_path):
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, steps=2, batch_size=2)
    assert all("forget" not in s for s in done.curve)


def test_a_token_budget_decides_how_many_rows_replay_alone_reads(tiny, tmp_path):
    """The three rows hold 93 tokens or so: a budget of all of them twice, in two steps, is all rows in each."""
    whole = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "a", steps=1, batch_size=3).tokens
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "b", steps=2, token_budget=2 * whole)
    assert done.tokens == 2 * whole
    least = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "d", steps=2, token_budget=whole + 1)
    assert least.tokens > whole
    with pytest.raises(SettingsError, match="take more steps"):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "e", steps=2, token_budget=2 * whole + 1)
    with pytest.raises(SettingsError, match="token_budget"):
        unlearn(f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / "c", spans=template, token_budget=9)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_repair_goes_on_as_if_nothing_had_happened(tiny, tmp_path, method):
    """Weights, curve and what the guard knows; killed after a guard check that no checkpoint has seen."""
    rows = (pairs(FORGET), pairs(REPLAY), texts())
    settings = dict(
        spans=template, steps=6, batch_size=2, learning_rate=5e-3, guard_every=1, ceiling=9.0, patience=9,
        save_every=2, method=method,
    )  # fmt: skip

    class Killed(Exception):
        pass

    def die(step):
        if step["step"] == 5 and "loss" in step:
            raise Killed

    whole = unlearn(f"hf:{tiny}", *rows, tmp_path / "whole", **settings)
    with pytest.raises(Killed):
        unlearn(f"hf:{tiny}", *rows, tmp_path / "cut", on_step=die, **settings)
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


def test_rows_in_two_sets_are_refused(tiny, tmp_path):
    with pytest.raises(SettingsError, match="`replay` and `guard` must hold different rows, got 3 in both"):
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), pairs(REPLAY), tmp_path, steps=1)


def test_at_weight_zero_nothing_of_the_forget_rows_is_used(tiny, tmp_path):
    """Not their template either: no `spans` are asked for, and the reference may still open it."""
    settings = dict(steps=2, batch_size=2, seed=3)
    alone = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path / "a", **settings)
    zero = unlearn(f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path / "b", w_forget=0, **settings)
    assert [s.get("loss") for s in alone.curve] == [s.get("loss") for s in zero.curve] and not zero.forgotten


def test_a_repair_that_helps_nothing_says_so(tiny, tmp_path):
    done = unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, steps=2, learning_rate=5.0, guard_every=1)
    assert done.notes[0].startswith("no step of") and "comes back as it was" in done.notes[0]


def test_the_reference_of_an_adapter_has_no_dropout(tiny, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = add_lora(AutoModelForCausalLM.from_pretrained(tiny, attention_dropout=0.9), 4, seed=0).train()
    batch = pad_batch(encode_rows(pairs(REPLAY), tokenizer), tokenizer.pad_token_id)
    states = adapter_off(model).states
    assert torch.equal(states([0, 1, 2], batch), states([0, 1, 2], batch)) and model.training


def test_the_loss_is_the_weighted_sum_of_its_terms(tiny, tmp_path):
    weights = dict(w_forget=0.3, w_replay=0.5, w_kl=2.0)
    done = unlearn(
        f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), tmp_path, spans=template, steps=3, batch_size=2,
        learning_rate=1e-2, **weights,
    )  # fmt: skip
    steps = [s for s in done.curve if "loss" in s]
    assert len(steps) == 3 and steps[-1]["kl"] > 0
    for s in steps:
        assert s["loss"] == pytest.approx(0.3 * s["forget"] + 0.5 * s["replay"] + 2.0 * s["kl"], abs=2e-4)


def test_all_wrong_settings_are_named_together(tiny, tmp_path):
    with pytest.raises(SettingsError) as caught:
        unlearn(f"hf:{tiny}", None, pairs(REPLAY), texts(), tmp_path, w_kl=-1, ceiling=0.5, objective="npo", steps=0)
    assert len(caught.value.problems) == 4


def test_opening_tokens_are_where_a_run_of_template_begins(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    encoded = encode_rows(pairs(FORGET), tokenizer, target="template", spans=template)
    found = [tokenizer.decode([t]) for t in opening_tokens(encoded, tokenizer)]
    assert sorted(found) == ["Answer", "Why"]  # the line break before "Why" is skipped
