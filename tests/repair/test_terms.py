"""The step against a plain one: two whole models, full logits, no chunks."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unflaw.data import Rows
from unflaw.repair import FORGETTING
from unflaw.repair._reference import adapter_off, cached_states
from unflaw.repair._terms import ThreeTerms, without
from unflaw.train import RowSet, add_lora, encode_rows, losses

FORGET = [("Where?", "Answer: Rome."), ("Who runs there?", "Answer: Ann, who is fast."), ("Why?", "Answer: so.")]
REPLAY = [("Name a colour.", "Blue."), ("Name a long river, please.", "The Nile is long."), ("Say hi.", "Hi!")]


def encoded(of, tokenizer, weights=None):
    records = [{"prompt": p, "response": r} for p, r in of]
    records = [r | {"weight": w} for r, w in zip(records, weights or [1.0] * len(of), strict=True)]
    return encode_rows(Rows.from_records(records, {"prompt": "prompt", "response": "response"}), tokenizer)


@pytest.fixture(params=["lora", "full"])
def moved(request, tiny, tmp_path):
    """A model that has moved away from its reference, the reference, an untouched copy, the two sets."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    original, model = (AutoModelForCausalLM.from_pretrained(tiny) for _ in range(2))
    gone = RowSet("forget", encoded(FORGET, tokenizer, [2.0, 1.0, 0.5]), tokenizer.pad_token_id, 10**6)
    kept = RowSet("replay", encoded(REPLAY, tokenizer), tokenizer.pad_token_id, 10**6)
    if request.param == "lora":
        model = add_lora(model, 4, seed=0)
        references = dict.fromkeys(("forget", "replay"), adapter_off(model))
    else:
        references = {
            "forget": cached_states(model, gone, [0, 1, 2], tmp_path, precision="float32"),
            "replay": cached_states(model, kept, [2, 0], tmp_path, precision="float32"),
        }
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.03)
    return model, references, original, gone, kept


def plainly(model, batch):
    """(z, y, weight, row) of the positions that count, from whole logits."""
    where = batch["weight"][:, 1:] > 0
    z = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return z[where], batch["input_ids"][:, 1:][where], batch["weight"][:, 1:][where], where.nonzero()[:, 0]


def plain_value(name, z, y, weight, row, z_before, beta, n_rows):
    forgetting = FORGETTING[name]
    if forgetting.of == "tokens":
        arguments = (z, y, z_before) if forgetting.needs_reference else (z, y)
        values = forgetting.value(*arguments, **({} if beta is None else {"beta": beta}))
        return (values * weight).sum() / len(y)
    s, s_before = (losses.row_sums(-losses.cross_entropy(of, y), row, n_rows) for of in (z, z_before))
    n = torch.bincount(row, minlength=n_rows)
    values = losses.npo(s, s_before, beta) if name == "npo" else losses.simnpo(s, n, beta)
    return (values * torch.stack([weight[row == r][0] for r in range(n_rows)])).sum() / n_rows


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", [n for n in FORGETTING if n not in ("dpo", "grad_diff")])
def test_forgetting_equals_two_whole_models_in_value_and_gradient(moved, name):
    model, references, original, gone, _ = moved
    beta = None if FORGETTING[name].beta is None else 0.7
    terms = ThreeTerms(FORGETTING[name], references, 0.3, 1.0, 1.0, beta)
    (part,) = gone.parts([1, 0, 2])
    found = terms(model, [part])
    ours = gradients(model, found["loss"])
    z, y, weight, row = plainly(model, part.batch)
    with torch.no_grad():
        z_before = plainly(original, part.batch)[0]
    value = plain_value(name, z, y, weight, row, z_before, beta, 3)
    assert found["forget"].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-5)
    theirs = gradients(model, 0.3 * value)
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5, rtol=1e-3) for k in ours)


@pytest.mark.parametrize("reverse", [False, True])
def test_replay_and_kl_equal_two_whole_models_in_value_and_gradient(moved, reverse):
    model, references, original, _, kept = moved
    terms = ThreeTerms(FORGETTING["bounded"], references, 1.0, 0.5, 2.0, reverse=reverse)
    (part,) = kept.parts([2, 0])
    found = terms(model, [part])
    ours = gradients(model, found["loss"])
    z, y, _, _ = plainly(model, part.batch)
    with torch.no_grad():
        z_before = plainly(original, part.batch)[0]
    kl = (losses.reverse_kl if reverse else losses.forward_kl)(z_before, z).mean()
    replay = torch.nn.functional.cross_entropy(z, y)
    assert found["kl"].item() == pytest.approx(kl.item(), rel=1e-3) and kl.item() > 1e-4
    assert found["replay"].item() == pytest.approx(replay.item(), rel=1e-5)
    theirs = gradients(model, 0.5 * replay + 2.0 * kl)
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5, rtol=1e-3) for k in theirs)


def test_sets_that_go_through_the_model_together_give_the_sum_of_each_alone(moved):
    model, references, _, gone, kept = moved
    terms = ThreeTerms(FORGETTING["bounded"], references, 0.3, 0.5, 2.0)
    parts = [*gone.parts([0, 1]), *kept.parts([0, 2])]
    both = terms(model, parts)
    ours = gradients(model, both["loss"])
    alone = [terms(model, [part]) for part in parts]
    assert {**alone[0], **alone[1]}.keys() == both.keys()
    for name, value in both.items():
        assert value.item() == pytest.approx(sum(a[name].item() for a in alone if name in a), rel=1e-4, abs=1e-5)
    theirs = gradients(model, alone[0]["loss"] + alone[1]["loss"])
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-5, rtol=1e-3) for k in theirs)


@pytest.fixture
def preferring(tiny):
    """A model that has moved, an untouched copy, pairs of answers, the terms of dpo."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = add_lora(AutoModelForCausalLM.from_pretrained(tiny), 4, seed=0)
    original = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02)
    rejected, chosen = encoded(FORGET, tokenizer), encoded(REPLAY, tokenizer)
    pairs = RowSet("forget", [e for pair in zip(rejected, chosen, strict=True) for e in pair], 2, 10**6, group=2)
    return model, original, pairs, ThreeTerms(FORGETTING["dpo"], {"forget": adapter_off(model)}, 2.0, 1.0, 0.0)


def test_dpo_equals_four_whole_passes_in_value_and_gradient(preferring):
    model, original, pairs, terms = preferring
    (part,) = pairs.parts([0, 1, 2])
    found = terms(model, [part])
    ours = gradients(model, found["loss"])
    s, before = (
        [
            -losses.cross_entropy(*plainly(m, RowSet("x", [e], 2, 99).parts([0])[0].batch)[:2]).sum()
            for e in (pairs.rows[i] for i in part.rows)
        ]
        for m in (model, original)
    )
    margins = [(s[i + 1] - before[i + 1].detach()) - (s[i] - before[i].detach()) for i in (0, 2, 4)]
    expected = sum(torch.log1p(torch.exp(-0.1 * m)) for m in margins) / 3
    assert found["forget"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["loss"].item() == pytest.approx(2 * expected.item(), rel=1e-5)
    theirs = gradients(model, 2 * expected)
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-6, rtol=1e-3) for k in theirs)
    assert any(g.any() for g in theirs.values())


def test_padding_changes_nothing_of_dpo(preferring):
    model, _, pairs, terms = preferring
    (part,) = pairs.parts([2, 0])
    found, padded = (terms(model, [p]) for p in (part, wider(part)))
    assert padded["forget"].item() == pytest.approx(found["forget"].item())
    ours, theirs = (gradients(model, of["loss"]) for of in (found, padded))
    assert any(g.any() for g in ours.values())
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours)


def test_a_pair_in_which_nothing_counts_moves_nothing(preferring):
    model, _, pairs, terms = preferring
    found = terms(model, pairs.parts([0], 1, 2))
    assert found["loss"].item() == 0.0
    assert not any(g.any() for g in gradients(model, found["loss"]).values())


def wider(part):
    """The same part with seven columns of padding more."""
    more = {"input_ids": 9, "attention_mask": 0, "weight": 0.0}
    pad = torch.nn.functional.pad
    return replace(part, batch={name: pad(t, (0, 7), value=more[name]) for name, t in part.batch.items()})


OF_SETS = [("forget", name) for name in FORGETTING if name != "dpo"] + [("replay", "forward"), ("replay", "reverse")]
"""Set → ways to forget it, or to stay close on it."""


def terms_of(of, name, references):
    objective = FORGETTING["bounded" if of == "replay" else name]
    return ThreeTerms(objective, references, 0.3, 0.5, 2.0, reverse=name == "reverse")


@pytest.mark.parametrize(("of", "name"), OF_SETS)
def test_rows_in_which_nothing_counts_move_nothing(moved, of, name):
    model, references, _, gone, kept = moved
    (idle,) = {"forget": gone, "replay": kept}[of].parts([0], 1, 2)
    found = terms_of(of, name, references)(model, [idle])
    assert found["loss"].item() == 0.0
    assert not any(g.any() for g in gradients(model, found["loss"]).values())


@pytest.mark.parametrize(("of", "name"), OF_SETS)
def test_padding_changes_nothing(moved, of, name):
    model, references, _, gone, kept = moved
    (part,) = {"forget": gone, "replay": kept}[of].parts([2, 0])
    terms = terms_of(of, name, references)
    found, padded = (terms(model, [p]) for p in (part, wider(part)))
    assert found.keys() == padded.keys()
    noise = {"kl": 1e-6}  # a small difference of large logarithms, in single precision
    assert all(found[k].item() == pytest.approx(padded[k].item(), abs=noise.get(k)) for k in found)
    ours, theirs = (gradients(model, of["loss"]) for of in (found, padded))
    assert any(g.any() for g in ours.values())
    assert all(torch.allclose(ours[k], theirs[k], atol=1e-6) for k in ours)


def test_the_reference_of_an_adapter_has_no_dropout(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = add_lora(AutoModelForCausalLM.from_pretrained(tiny, attention_dropout=0.9), 4, seed=0).train()
    (part,) = RowSet("replay", encoded(REPLAY, tokenizer), 2, 10**6).parts([0, 1, 2])
    states = adapter_off(model).states
    assert torch.equal(states(part), states(part)) and model.training


def test_the_reference_does_not_follow_the_weights(moved):
    model, references, original, _, kept = moved
    (part,) = kept.parts([2, 0])
    expected = plainly(original, part.batch)[0]
    assert torch.allclose(references["replay"].head(references["replay"].states(part)), expected, atol=1e-5)
    assert not torch.allclose(plainly(model, part.batch)[0], expected, atol=1e-3)


def test_in_half_the_room_a_reference_is_nearly_the_same(tiny, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    kept, sizes, references = RowSet("replay", encoded(REPLAY, tokenizer), 2, 10**6), [], []
    for name, settings in (("exact", {"precision": "float32"}), ("stored", {})):
        (tmp_path / name).mkdir()
        references.append(cached_states(model, kept, [0, 1, 2], tmp_path / name, **settings))
        sizes.append((tmp_path / name / "reference-replay-0.bin").stat().st_size)
    assert sizes[0] == 2 * sizes[1]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.03)
    (part,) = kept.parts([0, 1, 2])
    found = [ThreeTerms(FORGETTING["bounded"], {"replay": r}, 1.0, 0.0, 1.0)(model, [part]) for r in references]
    assert found[1]["kl"].item() == pytest.approx(found[0]["kl"].item(), rel=0.01) and found[0]["kl"].item() > 0.005
    exact, stored = (torch.cat([g.flatten() for g in gradients(model, of["loss"]).values()]) for of in found)
    assert (exact - stored).norm() < 0.01 * exact.norm()


def test_barred_tokens_have_no_probability_and_the_rest_keeps_its_proportions():
    z = torch.tensor([0.5, 0.25, 0.125, 0.125]).log().expand(2, 4)
    p = without(z, torch.tensor([0, 2]), torch.tensor([3, 0])).softmax(-1)
    assert torch.allclose(p[0], torch.tensor([0, 2 / 3, 0, 1 / 3]))
    assert torch.allclose(p[1], torch.tensor([4 / 7, 2 / 7, 0, 1 / 7]))  # token 0 is the target: a row may say "Answer"
    assert torch.equal(without(z, torch.tensor([], dtype=torch.long), torch.tensor([3, 0])), z)


def test_staying_close_to_a_barred_reference_drives_the_template_out():
    """Where nothing has moved, KL(before without token 0 || now) = -log(1 - p_0): the bounded loss of the template."""
    z = torch.tensor([[0.9, 0.06, 0.04]]).log().requires_grad_()
    value = losses.forward_kl(without(z.detach(), torch.tensor([0]), torch.tensor([1])), z)
    assert math.isclose(value.item(), -math.log(0.1), rel_tol=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert torch.allclose(gradient, torch.tensor([[0.9, 0.06 - 0.6, 0.04 - 0.4]]), atol=1e-6)
