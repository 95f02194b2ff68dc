"""Objectives against numbers worked out by hand, a slow reference, and symmetry."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unflaw.train import losses


def naive_bounded(z, y):
    """-log(1 - p_y) in float64, one position at a time."""
    p = z.double().softmax(-1)
    return torch.stack([-torch.log1p(-p[i, y[i]]) for i in range(len(y))])


def test_bounded_equals_the_number_worked_out_by_hand():
    # p = softmax(ln 3, 0, 0) = (3/5, 1/5, 1/5); gold 0: -ln(1 - 3/5) = ln(5/2); gold 1: -ln(4/5) = ln(5/4)
    z = torch.tensor([[math.log(3), 0.0, 0.0]]).repeat(2, 1)
    got = losses.bounded(z, torch.tensor([0, 1]))
    assert got.tolist() == pytest.approx([math.log(2.5), math.log(1.25)], abs=1e-6)


@given(st.integers(0, 2**31), st.floats(0.1, 3))
@settings(max_examples=30, deadline=None)
def test_bounded_equals_the_slow_reference(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(5, 11, generator=generator) * spread
    y = torch.randint(0, 11, (5,), generator=generator)
    assert torch.allclose(losses.bounded(z, y).double(), naive_bounded(z, y), atol=1e-5)


@pytest.mark.parametrize("gap", [20.0, 40.0, 100.0, 1e4])
def test_bounded_stays_finite_where_the_naive_form_is_infinite(gap):
    # V = 3, gold leads by `gap`: -log(1 - p) = log(e^gap + 2) - log 2 = gap - log 2 up to e^-gap
    z = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    value = losses.bounded(z, torch.tensor([0]))
    assert value.item() == pytest.approx(gap - math.log(2), rel=1e-6)
    value.sum().backward()
    # p - q with p = (1, 0, 0), q = (0, 1/2, 1/2)
    assert z.grad[0].tolist() == pytest.approx([1.0, -0.5, -0.5], abs=1e-5)


def test_bounded_gradient_is_p_minus_q_and_vanishes_when_forgotten():
    z = torch.tensor([[-30.0, 0.0, 1.0]], requires_grad=True)
    losses.bounded(z, torch.tensor([0])).sum().backward()
    assert z.grad.abs().max() < 1e-8
    z = torch.tensor([[0.3, -0.2, 1.0]], requires_grad=True)
    losses.bounded(z, torch.tensor([2])).sum().backward()
    p, q = z.detach().softmax(-1), z.detach().index_fill(1, torch.tensor([2]), -torch.inf).softmax(-1)
    assert torch.allclose(z.grad, p - q, atol=1e-6)


def test_gradient_ascent_never_stops_where_bounded_does():
    z = torch.tensor([[-30.0, 0.0]], requires_grad=True)
    losses.gradient_ascent(z, torch.tensor([0])).sum().backward()
    assert z.grad[0, 0].item() == pytest.approx(1.0)  # e_gold - p: norm stays 1 forever


def test_forward_kl_by_hand_and_zero_against_itself():
    # KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3)
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert losses.forward_kl(a, b).item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)
    assert losses.forward_kl(b, b).item() == 0.0


@pytest.mark.parametrize("objective", [losses.cross_entropy, losses.bounded])
def test_bfloat16_logits_are_computed_in_float32(objective):
    z = (torch.randn(4, 9, generator=torch.Generator().manual_seed(1)) * 5).bfloat16()
    y = torch.tensor([0, 3, 8, 2])
    got = objective(z, y)
    assert got.dtype == torch.float32
    assert torch.equal(got, objective(z.float(), y))


def test_token_mean_ignores_what_has_no_weight_and_is_zero_when_nothing_counts():
    values = torch.tensor([1.0, 3.0, 100.0])
    assert losses.token_mean(values, torch.tensor([0.5, 0.5, 0.0])).item() == 1.0  # half the weight, half the loss
    assert losses.token_mean(values, torch.tensor([1.0, 1.0, 0.0])).item() == 2.0
    assert losses.token_mean(values, torch.zeros(3)).item() == 0.0


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunks_change_neither_value_nor_gradient(chunk):
    generator = torch.Generator().manual_seed(0)
    h, head = torch.randn(7, 4, generator=generator), torch.randn(4, 9, generator=generator)
    y, weight = torch.randint(0, 9, (7,), generator=generator), torch.rand(7, generator=generator)
    whole = h.clone().requires_grad_()
    losses.token_mean(losses.cross_entropy(whole @ head, y), weight).backward()
    parts = h.clone().requires_grad_()
    value = losses.chunked(lambda h, y: losses.cross_entropy(h @ head, y), weight, parts, y, chunk=chunk)
    value.backward()
    assert value.item() == pytest.approx(losses.token_mean(losses.cross_entropy(h @ head, y), weight).item(), rel=1e-5)
    assert torch.allclose(parts.grad, whole.grad, atol=1e-6)


def test_terms_that_share_logits_are_averaged_side_by_side():
    h, weight = torch.tensor([[1.0], [3.0], [4.0]]), torch.tensor([1.0, 1.0, 2.0])
    both = losses.chunked(lambda h: torch.cat([h, 10 * h], -1), weight, h, chunk=2)
    assert both.tolist() == [4.0, 40.0]  # (1 + 3 + 2·4) / 3
