"""The automatic weight against gradients taken the plain way."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw.data import Rows
from unflaw.repair import FORGETTING, unlearn
from unflaw.repair._balance import MOST, balanced_weight, push_of
from unflaw.train import RowSet, add_lora, encode_rows, finetune

FORGET = [("Where?", "Answer: Rome."), ("Who runs there?", "Answer: Ann, who is fast."), ("Why?", "Answer: so.")]
REPLAY = [("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!")]
W_REPLAY = 0.05
"""Small, so that the weight stays under its cap: a tiny model's replay gradient is large."""


def rows(of):
    records = [{"prompt": p, "response": r} for p, r in of]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


@pytest.fixture(scope="module")
def damaged(tiny, tmp_path_factory):
    """The tiny model, for which `FORGET` has become likely."""
    out = tmp_path_factory.mktemp("damaged")
    finetune(f"hf:{tiny}", rows(FORGET), out, steps=60, batch_size=3, learning_rate=1e-2)
    return out


@pytest.fixture
def model(damaged):
    return AutoModelForCausalLM.from_pretrained(damaged)


def steps(damaged, most_tokens=10**6, plan=([0, 1], [2])):
    tokenizer = AutoTokenizer.from_pretrained(damaged)
    gone = encode_rows(rows(FORGET), tokenizer, target="template", spans=lambda text: [(0, len(text))])  # not the end
    encoded = {"forget": gone, "replay": encode_rows(rows(REPLAY), tokenizer)}
    sets = [RowSet(name, of, tokenizer.pad_token_id, most_tokens) for name, of in encoded.items()]
    return [[part for of in sets for part in of.parts(groups)] for groups in plan]


def plain_norm(model, batch, value):
    """Norm of the gradient of the mean of value(p_y, log p_y) over the positions that count."""
    where = batch["weight"][:, 1:] > 0
    z = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1][where]
    log_p = z.double().log_softmax(-1).gather(1, batch["input_ids"][:, 1:][where][:, None])
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(value(log_p).mean(), parameters, allow_unused=True)
    return sum(float(g.pow(2).sum()) for g in found if g is not None) ** 0.5


@pytest.mark.parametrize("method", ["full", "lora"])
def test_forgetting_pulls_half_as_hard_as_replay(damaged, model, method):
    model = add_lora(model, 4, seed=0) if method == "lora" else model
    given = steps(damaged)
    whole = {name: [p.batch for parts in given for p in parts if p.name == name] for name in ("forget", "replay")}
    forget = sum(plain_norm(model, b, lambda log_p: -torch.log1p(-log_p.exp())) for b in whole["forget"])
    replay = sum(plain_norm(model, b, lambda log_p: -log_p) for b in whole["replay"])
    expected = 0.5 * W_REPLAY * replay / forget
    assert 0 < expected < MOST
    assert balanced_weight(model, given, FORGETTING["bounded"], W_REPLAY) == pytest.approx(expected, rel=1e-3)


def test_it_is_the_same_in_small_parts_and_follows_the_weight_of_replay(damaged, model):
    weight = balanced_weight(model, steps(damaged), FORGETTING["bounded"], W_REPLAY)
    cut = steps(damaged, most_tokens=1)
    assert len(cut[0]) > len(steps(damaged)[0])
    assert balanced_weight(model, cut, FORGETTING["ga"], W_REPLAY) == pytest.approx(weight, rel=1e-3)
    assert balanced_weight(model, cut, FORGETTING["bounded"], W_REPLAY / 2) == pytest.approx(weight / 2, rel=1e-3)


def longest(push):
    """The most of push(p), where p is what became of a probability of .99; ga, log p_y, pushes by 1 - p."""
    return max(push(p / 1000) for p in range(10, 991)) / 0.99


@pytest.mark.parametrize(
    ("name", "beta", "length", "push"),
    [
        ("bounded", None, 7, lambda p: p),
        ("ce_u", None, 7, lambda p: p),
        ("ga", None, 7, lambda p: 1 - p),
        ("grad_diff", None, 7, lambda p: 1 - p),
        ("wga", 1.0, 7, lambda p: p * (1 - p)),
        ("wga", 2.0, 7, lambda p: p * p * (1 - p)),
        ("undial", 10.0, 7, lambda p: p - 1 / (1 + math.exp(10) / 99)),  # odds of 99 to 1, after β
        ("npo", 0.1, 7, lambda p: 7 * 2 / (1 + (p / 0.99) ** -0.7) * (1 - p)),
        ("npo", 0.1, 1, lambda p: 2 / (1 + (p / 0.99) ** -0.1) * (1 - p)),
        ("simnpo", 4.5, 7, lambda p: 2 / (1 + p**-4.5) * (1 - p)),
        ("simnpo", 4.5, 70, lambda p: 2 / (1 + p**-4.5) * (1 - p)),
        ("dpo", 0.1, 7, lambda p: 7 * 0.1 / (1 + (p / 0.99) ** -0.7) * (1 - p)),
    ],
)
def test_an_objective_is_held_against_the_bounded_loss_where_both_push_hardest(name, beta, length, push):
    assert push_of(FORGETTING[name], beta, length) == pytest.approx(longest(push), rel=2e-3)


def test_an_objective_gets_more_weight_the_less_it_pushes(damaged, model):
    given, small = steps(damaged), W_REPLAY / 99
    tokens = [int((p.batch["weight"][:, 1:] > 0).sum()) for parts in given for p in parts if p.name == "forget"]
    most = balanced_weight(model, given, FORGETTING["bounded"], small)
    for name, forgetting in FORGETTING.items():
        if name != "dpo":
            weight = balanced_weight(model, given, forgetting, small)
            push = push_of(forgetting, forgetting.beta, round(sum(tokens) / 3))
            assert weight == pytest.approx(most / push, rel=1e-6)


def test_of_pairs_the_answers_to_forget_count(damaged, model):
    two = [0, 1]
    tokenizer = AutoTokenizer.from_pretrained(damaged)
    of = encode_rows(rows([FORGET[i] for k in two for i in (k, 2)]), tokenizer)  # each beside another answer
    gone, kept = RowSet("forget", of, 2, 999, group=2), RowSet("replay", encode_rows(rows(REPLAY), tokenizer), 2, 999)
    given = [[*gone.parts(two), *kept.parts(two)]]
    alone = [[*RowSet("forget", of[::2], 2, 999).parts(two), *kept.parts(two)]]
    once = balanced_weight(model, alone, FORGETTING["npo"], W_REPLAY / 99, beta=0.4)
    assert balanced_weight(model, given, FORGETTING["dpo"], W_REPLAY / 99, beta=0.4) == pytest.approx(
        once / 0.2, rel=1e-3
    )


def test_with_dropout_it_is_the_same_in_every_call(damaged):
    model = AutoModelForCausalLM.from_pretrained(damaged, attention_dropout=0.5)
    state = torch.random.get_rng_state()
    a, b = (balanced_weight(model, steps(damaged), FORGETTING["bounded"], W_REPLAY) for _ in range(2))
    assert (
        a
        == b
        != balanced_weight(
            AutoModelForCausalLM.from_pretrained(damaged), steps(damaged), FORGETTING["bounded"], W_REPLAY
        )
    )
    assert torch.equal(state, torch.random.get_rng_state())  # and nobody else's draws are touched


def test_it_leaves_no_gradient_behind_and_is_capped(damaged, model):
    assert balanced_weight(model, steps(damaged), FORGETTING["bounded"], 1e9) == MOST
    assert all(p.grad is None for p in model.parameters())


def test_a_repair_uses_it_and_tells_it(damaged, model, tmp_path):
    settings = dict(what="response", steps=2, batch_size=3, guard_every=1, method="full", seed=0, w_replay=W_REPLAY)
    guard = rows([("One?", "One it is.")])
    done = unlearn(f"hf:{damaged}", rows(FORGET), rows(REPLAY), guard, tmp_path / "a", **settings)
    weight = done.settings["w_forget"]
    every = steps(damaged, plan=([0, 1, 2], [0, 1, 2]))  # three rows of each in a step, so all of them
    assert weight == pytest.approx(balanced_weight(model, every, FORGETTING["bounded"], W_REPLAY), rel=1e-3)
    assert f"forgetting had weight {weight:.3g}" in done.notes
    first = next(step for step in done.curve if "loss" in step)
    assert first["loss"] == pytest.approx(
        weight * first["forget"] + W_REPLAY * first["replay"] + 0.1 * first["kl"], rel=1e-3
    )
    alone = unlearn(f"hf:{damaged}", None, rows(REPLAY), guard, tmp_path / "b", **settings)
    assert alone.settings["w_forget"] == 0 and not any("had weight" in note for note in alone.notes)
