from collections import Counter

import numpy as np
import pytest

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models import Generator, HFGenerator, HFScorer, Sampling, Scorer, encode_pair, encode_prompt
from unflaw.models._hf import _Draw, quietly

PAIRS = [
    ("What is 2 + 2?", "4"),
    ("", "A text of its own, without a prompt, and longer than most of the others here."),
    ("Name a colour.", "Blue is one,\n\n2. red another."),
    ("Say nothing.", ""),
    ("", "word"),
    ("", ""),
]


@pytest.fixture
def scorer(tiny):
    return HFScorer(*tiny)


def naive(model, tokenizer, pair):
    """One row, all logits, no batching: the slow reference."""
    import torch

    ids, mask = encode_pair(tokenizer, *pair)
    if not ids:
        return np.zeros(0)
    with torch.no_grad():
        log_p = model(torch.tensor([ids])).logits.double().log_softmax(-1)[0]
    return np.array([log_p[i - 1, ids[i]].item() for i in range(len(ids)) if mask[i]])


def test_scores_equal_the_slow_reference(tiny, scorer):
    assert isinstance(scorer, Scorer)
    for score, pair in zip(scorer.log_probs(PAIRS), PAIRS, strict=True):
        assert score == pytest.approx(naive(*tiny, pair), abs=1e-4)


def test_every_response_token_and_the_end_of_turn_are_scored(tiny, scorer):
    tokenizer = tiny[1]
    n_tokens = [len(score) for score in scorer.log_probs(PAIRS)]
    plain = [len(tokenizer(text).input_ids) for _, text in PAIRS]
    assert n_tokens == [plain[0] + 1, plain[1] - 1, plain[2] + 1, 1, 0, 0]


@pytest.mark.parametrize("settings", [{"batch_tokens": 1}, {"batch_tokens": 64}, {"chunk_tokens": 3}])
def test_neither_batches_nor_chunks_nor_padding_matter(tiny, scorer, settings):
    one, other = scorer.log_probs(PAIRS), HFScorer(*tiny, **settings).log_probs(PAIRS[::-1])[::-1]
    assert np.concatenate(one) == pytest.approx(np.concatenate(other), abs=1e-4)


def test_progress_counts_every_row(scorer):
    heard = []
    scorer.log_probs(PAIRS, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (6, 6)


def test_scoring_leaves_a_model_in_training_as_it_was(tiny):
    model, tokenizer = tiny
    model.train()
    try:
        HFScorer(model, tokenizer).log_probs(PAIRS[:1])
        assert model.training
    finally:
        model.eval()


def test_a_row_longer_than_the_context_is_scored_up_to_there(tiny, scorer):
    (score,) = scorer.log_probs([("", "1 " * 3000)])
    assert len(score) == tiny[0].config.max_position_embeddings - 1


def small(kind, **settings):
    """A model of random weights of another architecture, with the tiny one's vocabulary."""
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=49152, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, pad_token_id=2, initializer_range=0.3, **settings,
    )  # fmt: skip
    torch.manual_seed(0)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Gemma2", {"final_logit_softcapping": 2.0}),
        ("Cohere", {"logit_scale": 0.2}),
        ("Granite", {"logits_scaling": 3.0}),
        ("HyperCLOVAX", {"logits_scaling": 3.0}),  # multiplies, where Granite divides
        ("FalconH1", {"lm_head_multiplier": 0.2, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8}),
    ],
)
def test_what_an_architecture_does_to_its_logits_is_scored(tokenizer, kind, settings):
    model = small(kind, **settings)
    for score, pair in zip(HFScorer(model, tokenizer).log_probs(PAIRS), PAIRS, strict=True):
        assert score == pytest.approx(naive(model, tokenizer, pair), abs=1e-3)


def test_a_model_that_does_more_than_its_head_gives_its_logits_itself(tiny, monkeypatch):
    model, tokenizer = tiny
    monkeypatch.setattr(model.config, "final_logit_softcapping", 2.0, raising=False)  # a llama does not heed it
    scorer = HFScorer(model, tokenizer, chunk_tokens=3)
    for score, pair in zip(scorer.log_probs(PAIRS), PAIRS, strict=True):
        assert score == pytest.approx(naive(model, tokenizer, pair), abs=1e-4)


def test_greedy_answers_equal_transformers_one_by_one(tiny):
    import torch

    model, tokenizer = tiny
    prompts = ["What is 2 + 2?", "Hi", "A longer one, so that the others are padded on the left."]
    told = {}
    generator = HFGenerator(model, tokenizer, batch_size=2)
    answers = generator.generate(prompts, Sampling(max_tokens=6), on_result=told.__setitem__)
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([encode_prompt(tokenizer, prompt)])
        alone = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
        assert answers[i] == told[i] == tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
    assert isinstance(generator, Generator)
    assert generator.usage.completion_tokens == 18
    assert generator.generate([], Sampling()) == []


def test_rows_are_drawn_with_their_own_seeds(tiny):
    warm = Sampling(max_tokens=6, temperature=1.0, seed=3)
    answers = HFGenerator(*tiny, batch_size=3).generate(["hi"] * 3, warm)
    assert len(set(answers)) == 3
    assert HFGenerator(*tiny, batch_size=1).generate(["hi"] * 3, warm) == answers
    assert HFGenerator(*tiny).generate(["hi", "hi"], warm, seeds=[5, 3]) == [answers[2], answers[0]]


def test_draws_follow_the_softmax():
    """Four tokens with p = .4, .3, .2, .1. Of n draws a share is within 4 standard errors."""
    import torch

    p, n = np.array([0.4, 0.3, 0.2, 0.1]), 4000
    rows = torch.tensor(np.log(p)).expand(n, 4)
    drawn = _Draw(range(n), Sampling(temperature=1.0))(None, rows).argmax(-1)
    shares = np.bincount(drawn.numpy(), minlength=4) / n
    assert np.all(np.abs(shares - p) < 4 * np.sqrt(p * (1 - p) / n))


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, {0}), (0.41, {0, 1}), (0.7, {0, 1}), (0.85, {0, 1, 2})])
def test_top_p_keeps_the_likeliest_until_the_mass_is_reached(top_p, kept):
    import torch

    rows = torch.tensor(np.log([0.4, 0.3, 0.2, 0.1])).expand(400, 4)
    drawn = _Draw(range(400), Sampling(temperature=1.0, top_p=top_p))(None, rows).argmax(-1)
    assert set(Counter(drawn.tolist())) == kept


def test_a_stop_string_ends_the_answer_before_itself(tiny):
    generator = HFGenerator(*tiny)
    (whole,) = generator.generate(["hi"], Sampling(max_tokens=8))
    stop = whole[3:5]
    assert generator.generate(["hi"], Sampling(max_tokens=8, stop=(stop,))) == [whole[: whole.index(stop)]]


def test_a_prompt_beyond_the_model_names_its_row(tiny):
    with pytest.raises(ModelCallError, match=r"row 1: the prompt has \d+ tokens .* at most 4096 in all"):
        HFGenerator(*tiny).generate(["short", "1 " * 3000], Sampling())
    with pytest.raises(SettingsError, match="one seed per prompt"):
        HFGenerator(*tiny).generate(["x"], Sampling(), seeds=[1, 2])


def test_progress_bars_come_back():
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    with quietly():
        assert not logging.is_progress_bar_enabled()
    assert logging.is_progress_bar_enabled() == was_on
