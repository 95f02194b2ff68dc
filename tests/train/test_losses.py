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


def test_ga_never_stops_where_bounded_does():
    z = torch.tensor([[-30.0, 0.0]], requires_grad=True)
    losses.ga(z, torch.tensor([0])).sum().backward()
    assert z.grad[0, 0].item() == pytest.approx(1.0)  # e_gold - p: norm stays 1 forever


def test_forward_kl_by_hand_and_zero_against_itself():
    # KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3)
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert losses.forward_kl(a, b).item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)
    assert losses.forward_kl(b, b).item() == 0.0


def slow(name, z, y, o, beta):
    """Every objective in float64 and one position at a time, straight from its paper's formula."""
    out = []
    for zi, yi, oi in zip(z.double(), y, o.double(), strict=True):
        p = zi.softmax(-1)
        rest = torch.cat([zi[:yi], zi[yi + 1 :]]).softmax(-1)
        if name == "ga":
            out.append(p[yi].log())
        elif name == "wga":
            out.append(p[yi].detach() ** beta * p[yi].log())
        elif name == "ce_u":
            q = torch.cat([rest[:yi], rest.new_zeros(1), rest[yi:]]).detach()
            out.append(-(q * p.log()).sum())
        elif name == "undial":
            t = oi.clone()
            t[yi] -= beta
            out.append(-(t.softmax(-1) * p.log()).sum())
        elif name == "reverse_kl":
            out.append((p * (p.log() - oi.log_softmax(-1))).sum())
    return torch.stack(out)


def of_tokens(name, z, y, o, beta):
    if name == "reverse_kl":
        return losses.reverse_kl(o, z)
    if name == "undial":
        return losses.undial(z, y, o, beta=beta)
    return losses.wga(z, y, beta=beta) if name == "wga" else getattr(losses, name)(z, y)


@pytest.mark.parametrize("name", ["ga", "wga", "ce_u", "undial", "reverse_kl"])
@given(st.integers(0, 2**31), st.floats(0.1, 3), st.floats(0.2, 4))
@settings(max_examples=20, deadline=None)
def test_objectives_of_tokens_equal_the_slow_reference_and_its_gradient(name, seed, spread, beta):
    generator = torch.Generator().manual_seed(seed)
    z, o = (torch.randn(5, 11, generator=generator) * spread for _ in range(2))
    y = torch.randint(0, 11, (5,), generator=generator)
    fast, exact = z.clone().requires_grad_(), z.double().requires_grad_()
    got, want = of_tokens(name, fast, y, o, beta), slow(name, exact, y, o, beta)
    assert torch.allclose(got.double(), want, atol=1e-4, rtol=1e-4)
    got.sum().backward()
    want.sum().backward()
    assert torch.allclose(fast.grad.double(), exact.grad, atol=1e-4)


def test_objectives_of_tokens_by_hand():
    # p = (3/5, 1/5, 1/5), gold 0: q = (0, 1/2, 1/2)
    z, y = torch.tensor([[math.log(3), 0.0, 0.0]]), torch.tensor([0])
    assert losses.ga(z, y).item() == pytest.approx(math.log(3 / 5))
    assert losses.wga(z, y, beta=2).item() == pytest.approx((3 / 5) ** 2 * math.log(3 / 5))
    assert losses.ce_u(z, y).item() == pytest.approx(math.log(5))
    # lowered by ln 3 the reference is uniform: -(log 3/5 + 2 log 1/5) / 3
    expected = -(math.log(3 / 5) + 2 * math.log(1 / 5)) / 3
    assert losses.undial(z, y, z, beta=math.log(3)).item() == pytest.approx(expected)
    # KL((3/4, 1/4) || (1/2, 1/2)) = 3/4 ln(3/2) + 1/4 ln(1/2)
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert losses.reverse_kl(a, b).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)


def test_ce_u_has_the_gradient_of_bounded():
    z = torch.randn(6, 13, generator=torch.Generator().manual_seed(3)) * 4
    y = torch.tensor([0, 12, 5, 5, 1, 7])
    gradients = []
    for objective in (losses.bounded, losses.ce_u):
        free = z.clone().requires_grad_()
        objective(free, y).sum().backward()
        gradients.append(free.grad)
    assert torch.allclose(*gradients, atol=1e-6)


def test_wga_without_strength_is_ga_and_slows_down_with_it():
    z, y = torch.tensor([[-5.0, 0.0, 0.0]]), torch.tensor([0])
    assert torch.equal(losses.wga(z, y, beta=0.0), losses.ga(z, y))
    free = z.clone().requires_grad_()
    losses.wga(free, y).sum().backward()
    assert free.grad.abs().max() < 0.01  # p_y is .003; of `ga` it is 1


def test_objectives_of_rows_by_hand():
    s, before = torch.tensor([-2.0, -50.0]), torch.tensor([-2.0, -2.0])
    assert losses.npo(s, before, beta=0.5).tolist() == pytest.approx([4 * math.log(2), 4 * math.log1p(math.exp(-24))])
    # mean log p = -1: 2/2 log(1 + e^(2 · -1 + 1))
    got = losses.simnpo(torch.tensor([-3.0]), torch.tensor([3]), beta=2.0, gamma=1.0)
    assert got.item() == pytest.approx(math.log1p(math.exp(-1)))
    # the preferred answer gained 3, the other lost 1: -log sigmoid(.5 · 4)
    got = losses.dpo(*(torch.tensor([v]) for v in (-4.0, -6.0, -7.0, -5.0)), beta=0.5)
    assert got.item() == pytest.approx(math.log1p(math.exp(-2)))


def test_npo_begins_as_gradient_ascent_and_ends_with_none():
    s = torch.tensor([-2.0, -200.0], requires_grad=True)
    losses.npo(s, torch.tensor([-2.0, -2.0]), beta=0.1).sum().backward()
    assert s.grad[0].item() == pytest.approx(1.0) and 0 <= s.grad[1].item() < 1e-7


@pytest.mark.parametrize("name", ["bounded", "ce_u", "ga", "wga", "undial", "cross_entropy"])
@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_extreme_logits_give_finite_values_and_gradients(name, gap):
    z = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    value = of_tokens(name, z, torch.tensor([0]), torch.zeros(1, 3), 1.0)
    value.sum().backward()
    assert value.isfinite().all() and z.grad.isfinite().all()


def test_extreme_rows_give_finite_values_and_gradients():
    for gap in (1e5, -1e5):
        s = torch.tensor([gap], requires_grad=True)
        zero, one = torch.zeros(1), torch.ones(1)
        total = losses.npo(s, zero) + losses.simnpo(s, one.long()) + losses.dpo(s, zero, zero, zero)
        total.backward()
        assert total.isfinite().all() and s.grad.isfinite().all()


def test_row_sums_leave_rows_without_a_position_at_zero():
    got = losses.row_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), 4)
    assert got.tolist() == [1.0, 0.0, 6.0, 0.0]


@pytest.mark.parametrize("objective", [losses.cross_entropy, losses.bounded, losses.ce_u, losses.ga, losses.wga])
def test_bfloat16_logits_are_computed_in_float32(objective):
    z = (torch.randn(4, 9, generator=torch.Generator().manual_seed(1)) * 5).bfloat16()
    y = torch.tensor([0, 3, 8, 2])
    got = objective(z, y)
    assert got.dtype == torch.float32
    assert torch.equal(got, objective(z.float(), y))
