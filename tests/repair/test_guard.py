"""The guard sees what perplexity does not: a model that goes in circles."""

import math
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw.repair._guard import Guard, _repeated, prefixes_of, repetition
from unflaw.repair._unlearn import _story
from unflaw.train import Encoded


def test_repetition_counts_runs_of_three_that_came_before():
    assert _repeated([1, 2, 3, 1, 2, 3], eos_id=0) == 1 - 3 / 4
    assert _repeated([7] * 10, eos_id=0) == 1 - 1 / 8
    assert _repeated([1, 2, 3, 0, 1, 2, 3], eos_id=0) == 0.0  # nothing counts after the end
    assert _repeated([1, 2], eos_id=0) == 0.0


def test_a_row_goes_on_from_its_prompt_and_a_text_from_its_first_words():
    pair, text = Encoded([5, 6, 7, 8], [0, 0, 1, 1]), Encoded(list(range(30)), [0, *[1] * 29])
    assert prefixes_of([pair, text]) == [[5, 6], list(range(12))]


def test_answers_of_unlike_prompts_equal_those_of_each_alone(tiny):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    prefixes = [tokenizer(text)["input_ids"] for text in ("Hi", "A much longer prompt than the other one")]
    alone = [repetition(model, [p], tokenizer.pad_token_id, tokenizer.eos_token_id) for p in prefixes]
    both = repetition(model, prefixes, tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert both == pytest.approx(sum(alone) / 2)


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
