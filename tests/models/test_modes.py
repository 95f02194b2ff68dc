import copy

import pytest

from unflaw.models import HFGenerator, Sampling, as_judge, inside, is_split, plain_generation, unwrapped

HABITS = {
    "repetition_penalty": 5.0,
    "no_repeat_ngram_size": 1,
    "suppress_tokens": list(range(17, 40_000)),
    "min_new_tokens": 6,
    "num_beams": 2,
}


@pytest.fixture
def tiny_with_habits(tiny):
    from transformers import GenerationConfig

    model, tokenizer = copy.deepcopy(tiny[0]), tiny[1]
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2, **HABITS)
    return model, tokenizer


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_a_checkpoint_recommends_does_not_change_answers(tiny, tiny_with_habits, temperature):
    sampling = Sampling(max_tokens=24, temperature=temperature)
    prompts = ["hi", "hi hi hi hi", "What is 2 + 2?"]
    assert HFGenerator(*tiny_with_habits).generate(prompts, sampling) == HFGenerator(*tiny).generate(prompts, sampling)
    assert tiny_with_habits[0].generation_config.repetition_penalty == 5.0, "the caller's model stays as it was"


def test_greedy_takes_the_likeliest_token_each_time(tiny_with_habits):
    import torch

    model = tiny_with_habits[0]
    ids = torch.tensor([[20, 30, 40]])
    for _ in range(8):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
    start = ids[:, :3]
    with as_judge(model), plain_generation(model):
        out = model.generate(start, attention_mask=torch.ones_like(start), max_new_tokens=8, eos_token_id=None)
    assert out.tolist() == ids.tolist()


def test_habits_come_back_after_an_error_and_under_an_adapter(tiny_with_habits):
    from peft import LoraConfig, get_peft_model

    plain = tiny_with_habits[0]
    model = get_peft_model(plain, LoraConfig(r=2, target_modules=["q_proj"]))
    assert unwrapped(model) is plain and unwrapped(plain) is plain
    HFGenerator(model, tiny_with_habits[1]).generate(["hi"], Sampling(max_tokens=2))
    with pytest.raises(KeyError), plain_generation(model):
        assert model.generation_config.repetition_penalty in (None, 1.0)
        raise KeyError
    assert model.generation_config.repetition_penalty == 5.0


def test_every_part_of_a_model_goes_back_to_its_own_mode(tiny):
    import torch

    model = copy.deepcopy(tiny[0]).train()
    model.model.layers[0].eval()  # a part that stays frozen
    with pytest.raises(KeyError), as_judge(model):
        assert not any(part.training for part in model.modules()) and not torch.is_grad_enabled()
        raise KeyError
    assert model.training and torch.is_grad_enabled()
    assert [layer.training for layer in model.model.layers] == [False, True]


def test_what_is_computed_as_judge_may_enter_training():
    import torch

    model = torch.nn.Linear(2, 1)
    with as_judge(model):
        kept = model(torch.ones(1, 2))
    (model(torch.ones(1, 2)) * kept).sum().backward()


class Wrapper:
    """Counts calls, as what exchanges gradients would notice them."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def __call__(self, *given):
        assert given, "DDP on cards takes no call without an argument"
        self.calls += 1
        return self.model(*given)


def test_a_function_runs_inside_a_call_of_what_wraps_the_model(tiny):
    model = tiny[0]
    wrapper = Wrapper(model)
    assert inside(model, lambda: 7) == 7
    assert inside(model, lambda: 8, caller=wrapper) == 8 and wrapper.calls == 1
    with pytest.raises(ZeroDivisionError):
        inside(model, lambda: 1 / 0, caller=wrapper)
    assert "forward" not in vars(model), "the model is called as before"
    assert not is_split(model)
