"""The guard sees what perplexity does not: a model that goes in circles."""

import math
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from small_sets import FORGET, REPLAY, TEXT, choices, guard_value, pairs, template, texts
from unflaw.models import open_causal
from unflaw.repair import FORGETTING, unlearn
from unflaw.repair._guard import Guard, _repeated, prefixes_of, repetition
from unflaw.repair._unlearn import _story
from unflaw.train import Encoded


def test_repetition_counts_runs_of_three_that_came_before():
    assert _repeated([1, 2, 3, 1, 2, 3], ends=[0]) == 1 - 3 / 4
    assert _repeated([7] * 10, ends=[0]) == 1 - 1 / 8
    assert _repeated([1, 2, 3, 0, 1, 2, 3], ends=[0]) == 0.0  # nothing counts after the end
    assert _repeated([1, 2, 3, 9, 1, 2, 3], ends=[0, 9]) == 0.0  # and a model may have several
    assert _repeated([1, 2], ends=[0]) == 0.0


def test_a_row_goes_on_from_its_prompt_and_a_text_from_its_first_words():
    pair, text = Encoded([5, 6, 7, 8], [0, 0, 1, 1]), Encoded(list(range(30)), [0, *[1] * 29])
    assert prefixes_of([pair, text]) == [[5, 6], list(range(12))]


def test_answers_of_unlike_prompts_equal_those_of_each_alone(tiny):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    prefixes = [tokenizer(text)["input_ids"] for text in ("Hi", "A much longer prompt than the other one")]
    alone = [repetition(model, [p], tokenizer.pad_token_id, [tokenizer.eos_token_id]) for p in prefixes]
    both = repetition(model, prefixes, tokenizer.pad_token_id, [tokenizer.eos_token_id])
    assert both == pytest.approx(sum(alone) / 2)


@pytest.fixture(scope="module")
def short_sighted(tiny, tmp_path_factory):
    """A GPT-2 that reads 40 tokens and has no place for more."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder, tokenizer = tmp_path_factory.mktemp("gpt2"), AutoTokenizer.from_pretrained(tiny)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=40, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_rows_are_cut_where_the_models_context_ends(short_sighted, tmp_path):
    long = [("Tell me all of it, please.", "Answer: " + "this and that, " * 30 + "\nWhy: so.")]
    done = unlearn(
        f"hf:{short_sighted}", pairs(long), pairs(REPLAY), pairs([("And?", "So it is. " * 40)]), tmp_path,
        what="response", steps=1, batch_size=1, guard_every=1, ceiling=9.0,
    )  # fmt: skip
    assert "1 of 1 `forget` were cut at 40 tokens" in done.notes
    assert done.tokens <= 2 * 40


def watched(tmp_path, losses, repeats, **settings):
    """Take steps that set a weight to their number; return the guard, the weight it puts back, whether it stopped."""
    model, seen, repeated = torch.nn.Linear(1, 1), iter(losses), iter(repeats)
    guard = Guard(
        lambda m: next(seen), tmp_path / "kept", every=1, on_check=lambda *a: None, repeats=lambda m: next(repeated),
        **settings,
    )  # fmt: skip
    control = SimpleNamespace(should_training_stop=False, should_save=True)
    with torch.no_grad():
        model.weight.fill_(0)
    guard.on_train_begin(None, SimpleNamespace(global_step=0), control, model=model)
    for step in range(1, len(losses)):
        with torch.no_grad():
            model.weight.fill_(step)
        guard.on_step_end(None, SimpleNamespace(global_step=step, max_steps=99), control, model=model)
    guard.restore(model)
    assert guard.kept_step == model.weight.item()
    return guard, model.weight.item(), control.should_training_stop


@pytest.mark.parametrize("keep", ["best", "last"])
def test_weights_that_go_in_circles_are_never_kept_however_low_their_perplexity(tmp_path, keep):
    guard, back, stopped = watched(tmp_path, [3.0, 2.0, 1.0], [0.1, 0.3, 0.9], ceiling=2, patience=9, keep=keep)
    assert back == 1 and stopped and "in circles: 0.90" in guard.stopped


@pytest.mark.parametrize(("keep", "expected"), [("best", 1), ("last", 4)])
def test_the_last_within_the_ceiling_comes_back_where_the_best_is_not_asked_for(tmp_path, keep, expected):
    losses = [1.0, 0.99, 1.01, 1.02, 1.04, 1.06]  # at most exp(.05) = 1.051 times the start
    guard, back, stopped = watched(tmp_path, losses, [0.0] * 6, ceiling=math.exp(0.05), patience=9, keep=keep)
    assert back == expected and stopped and "over the ceiling" in guard.stopped


@pytest.mark.parametrize("losses", [[1.0, math.nan], [math.nan, 1.0], [1.0, math.inf]])
@pytest.mark.parametrize("ceiling", [2, math.inf])
def test_what_is_no_number_is_over_any_ceiling(tmp_path, losses, ceiling):
    guard, back, stopped = watched(tmp_path, losses, [0.0] * 2, ceiling=ceiling, patience=9, keep="last")
    assert back == 0 and stopped and guard.spoilt


@pytest.mark.parametrize(
    ("keep", "spoilt", "kept", "words"),
    [
        ("best", False, 0, "`keep` last would"),
        ("best", True, 0, "no step of 9 was good enough"),
        ("last", True, 0, "no step of 9 was good enough"),
        ("last", True, 4, "kept the weights of step 4 of 9"),
    ],
)
def test_the_story_names_the_other_way_only_where_it_helps(keep, spoilt, kept, words):
    told = _story(SimpleNamespace(spoilt=spoilt, kept_step=kept, stopped="why"), 9, 0.1, keep)
    assert words in told[0] and told[1:] == ["forgetting had weight 0.1", "why"]


@pytest.mark.parametrize(("keep", "stops"), [("best", True), ("last", False)])
def test_only_who_waits_for_the_best_loses_patience(tmp_path, keep, stops):
    _, back, stopped = watched(tmp_path, [1.0, 1.01, 1.01, 1.01], [0.0] * 4, ceiling=2, patience=3, keep=keep)
    assert stopped is stops and back == (0 if stops else 3)


def test_guard_value_equals_one_row_at_a_time(tiny):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    slow = []
    for text in TEXT:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        slow.append(model(input_ids=ids, labels=ids).loss.item())
    assert guard_value(tiny) == pytest.approx(sum(slow) / len(slow), rel=1e-5)


METHODS, KEEPS = ("full", "lora"), ("best", "last")
WRECKS = (
    [dict(learning_rate=1e3, method=method, keep=keep) for method in METHODS for keep in KEEPS]
    + [
        dict(objective=name, w_forget=10.0, learning_rate=0.05, method=METHODS[i % 2], keep=KEEPS[i // 2 % 2])
        for i, name in enumerate(FORGETTING)
    ]
    + [
        dict(objective="bounded", learning_rate=rate, method=method, keep="last", precision="bfloat16")
        for method in METHODS
        for rate in (1e-3, 1e3)
    ]
)


@pytest.mark.parametrize("wreck", WRECKS, ids=lambda wreck: "-".join(map(str, wreck.values())))
def test_under_the_guard_nothing_worse_than_the_ceiling_comes_back(tiny, tmp_path, wreck):
    of_pairs = wreck.get("objective") == "dpo"
    forget, what = (choices(), "response") if of_pairs else (pairs(FORGET), "template")
    done = unlearn(
        f"hf:{tiny}", forget, pairs(REPLAY), texts(), tmp_path, spans=template, what=what, steps=20, batch_size=2,
        guard_every=2, ceiling=1.01, **wreck,
    )  # fmt: skip
    before = guard_value(tiny)
    if wreck["method"] == "lora" and "precision" in wreck:  # the ceiling holds for the model as it is trained
        base = open_causal(f"hf:{tiny}", precision="bfloat16", frozen=True)[0]
        before, after = guard_value(tiny, base), guard_value(tmp_path, PeftModel.from_pretrained(base, tmp_path))
    else:
        after = guard_value(tmp_path, open_causal(f"peft:{tmp_path}")[0] if wreck["method"] == "lora" else None)
    assert math.exp(after - before) <= 1.01 + 1e-6
    if wreck["keep"] == "best":
        assert done.steps < 20 and ("over the ceiling" in done.notes[-1] or "not improved" in done.notes[-1])
    else:
        assert done.steps == 20 or "over the ceiling" in done.notes[-1] or "in circles" in done.notes[-1]


@pytest.mark.slow
@given(
    ceiling=st.floats(1.0, 1.5), magnitude=st.floats(-3, 3), objective=st.sampled_from(["ga", "bounded", "npo"]),
    method=st.sampled_from(METHODS), keep=st.sampled_from(KEEPS), every=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_ceiling_is_set_nothing_above_it_comes_back(
    tiny, ceiling, magnitude, objective, method, keep, every, seed
):
    with TemporaryDirectory() as out:
        unlearn(
            f"hf:{tiny}", pairs(FORGET), pairs(REPLAY), texts(), out, spans=template, objective=objective, w_forget=1.0,
            learning_rate=10**magnitude, method=method, keep=keep, guard_every=every, ceiling=ceiling, seed=seed,
            steps=4, batch_size=2,
        )  # fmt: skip
        model = open_causal(f"peft:{out}")[0] if method == "lora" else None
        assert math.exp(guard_value(out, model) - guard_value(tiny)) <= ceiling + 1e-6
