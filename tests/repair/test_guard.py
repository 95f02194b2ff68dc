"""The guard sees what perplexity does not: a model that goes in circles."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw.repair._guard import Guard, _repeated, prefixes_of, repetition
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


def test_weights_that_go_in_circles_are_never_kept_however_low_their_perplexity(tmp_path):
    model = torch.nn.Linear(1, 1)
    perplexity, repeats = iter([3.0, 2.0, 1.0]), iter([0.1, 0.3, 0.9])
    guard = Guard(
        lambda m: next(perplexity), tmp_path / "best", every=1, ceiling=2, patience=9, on_check=lambda *a: None,
        repeats=lambda m: next(repeats),
    )  # fmt: skip
    control = SimpleNamespace(should_training_stop=False, should_save=True)
    guard.on_train_begin(None, SimpleNamespace(global_step=0), control, model=model)
    for step in (1, 2):
        with torch.no_grad():
            model.weight.fill_(step)
        guard.on_step_end(None, SimpleNamespace(global_step=step, max_steps=9), control, model=model)
    assert control.should_training_stop and "in circles: 0.90" in guard.stopped
    guard.restore(model)
    assert model.weight.item() == 1.0 and guard.best_step == 1
