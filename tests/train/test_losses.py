"""Objectives against numbers worked out by hand, a slow reference, and symmetry."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unflaw.train import losses


def test_bounded_equals_the_number_worked_out_by_hand():
    # p = softmax(ln 3, 0, 0) = (3/5, 1/5, 1/5); gold 0: -ln(1 - 3/5) = ln(5/2); gold 1: -ln(4/5) = ln(5/4)
    z = torch.tensor([[math.log(3), 0.0, 0.0]]).repeat(2, 1)
    got = losses.bounded(z, torch.tensor([0, 1]))
    assert got.tolist() == pytest.approx([math.log(2.5), math.log(1.25)], abs=1e-6)


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


def test_cross_entropy_by_hand():
    z = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    value = losses.cross_entropy(z, torch.tensor([1]))
    assert value.item() == pytest.approx(math.log(4))  # p = (3/4, 1/4)
    value.sum().backward()
    assert z.grad[0].tolist() == pytest.approx([0.75, -0.75])  # p - e_gold


def test_forward_kl_by_hand_and_zero_against_itself():
    # KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3)
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert losses.forward_kl(a, b).item() == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)
    assert losses.forward_kl(b, b).item() == 0.0


FAST = {
    "cross_entropy": lambda z, y, o, beta: losses.cross_entropy(z, y),
    "bounded": lambda z, y, o, beta: losses.bounded(z, y),
    "ce_u": lambda z, y, o, beta: losses.ce_u(z, y),
    "ga": lambda z, y, o, beta: losses.ga(z, y),
    "wga": lambda z, y, o, beta: losses.wga(z, y, beta=beta),
    "undial": lambda z, y, o, beta: losses.undial(z, y, o, beta=beta),
    "forward_kl": lambda z, y, o, beta: losses.forward_kl(o, z),
    "reverse_kl": lambda z, y, o, beta: losses.reverse_kl(o, z),
    "npo": lambda z, y, o, beta: losses.npo(*summed(y, z, o), beta=beta),
    "simnpo": lambda z, y, o, beta: losses.simnpo(*summed(y, z), torch.tensor([3, 2]), beta=beta, gamma=0.3),
    "dpo": lambda z, y, o, beta: losses.dpo(*preferring_the_second(*summed(y, z, o)), beta=beta),
}
"""Objective → its value from logits (5, V), targets, the reference's logits and a strength; positions 0 to 2 are one
row, 3 and 4 another, of a pair the answer to forget and the one to prefer."""


def summed(y, *logits):
    """log p of both rows, model by model."""
    return [losses.row_sums(-losses.cross_entropy(z, y), torch.tensor([0, 0, 0, 1, 1]), 2) for z in logits]


def preferring_the_second(s, before):
    return s[1:], s[:1], before[1:], before[:1]


def slow(name, z, y, o, beta):
    """Every objective in float64 and one position or row at a time, straight from its paper's formula."""
    z, o = z.double(), o.double()
    log_p, log_o = (torch.stack([of[i].softmax(-1)[y[i]].log() for i in range(len(y))]) for of in (z, o))
    if name in ("npo", "simnpo", "dpo"):
        (s_0, s_1), (o_0, o_1) = ((of[:3].sum(), of[3:].sum()) for of in (log_p, log_o))
        if name == "dpo":
            return -torch.sigmoid(beta * ((s_1 - o_1) - (s_0 - o_0))).log()[None]
        if name == "npo":  # in its paper: 2/β log(1 + (π/π_o)^β)
            return torch.stack(
                [2 / beta * (1 + (s - before).exp() ** beta).log() for s, before in ((s_0, o_0), (s_1, o_1))]
            )
        return torch.stack([-2 / beta * torch.sigmoid(-beta / n * s - 0.3).log() for s, n in ((s_0, 3), (s_1, 2))])
    out = []
    for i, (zi, yi, oi) in enumerate(zip(z, y, o, strict=True)):
        p, before = zi.softmax(-1), oi.softmax(-1)
        q = torch.cat([zi[:yi], zi[yi + 1 :]]).softmax(-1).detach()
        t = oi.clone()
        t[yi] -= beta
        out.append(
            {
                "cross_entropy": -log_p[i],
                "bounded": -torch.log1p(-p[yi]),
                "ce_u": -(torch.cat([q[:yi], q.new_zeros(1), q[yi:]]) * p.log()).sum(),
                "ga": log_p[i],
                "wga": p[yi].detach() ** beta * log_p[i],
                "undial": -(t.softmax(-1) * p.log()).sum(),
                "forward_kl": (before * (before / p).log()).sum(),
                "reverse_kl": (p * (p / before).log()).sum(),
            }[name]
        )
    return torch.stack(out)


def drawn(seed, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    z, o = (torch.randn(5, 11, generator=generator) * spread for _ in range(2))
    return z, torch.randint(0, 11, (5,), generator=generator), o


@pytest.mark.parametrize("name", FAST)
@given(st.integers(0, 2**31), st.floats(0.1, 3), st.floats(0.2, 4))
@settings(max_examples=20, deadline=None)
def test_every_objective_equals_the_slow_reference_and_its_gradient(name, seed, spread, beta):
    z, y, o = drawn(seed, spread)
    fast, exact = z.clone().requires_grad_(), z.double().requires_grad_()
    got, want = FAST[name](fast, y, o, beta), slow(name, exact, y, o, beta)
    exact_to = 1e-5 if name == "bounded" else 1e-4
    assert torch.allclose(got.double(), want, atol=exact_to, rtol=exact_to)
    got.sum().backward()
    want.sum().backward()
    assert torch.allclose(fast.grad.double(), exact.grad, atol=1e-4)


@pytest.mark.parametrize("name", FAST)
def test_every_objective_computes_bfloat16_logits_in_float32(name):
    z, y, o = drawn(1, 5.0)
    z, o = z.bfloat16(), o.bfloat16()
    got = FAST[name](z, y, o, 1.0)
    assert got.dtype == torch.float32
    assert torch.equal(got, FAST[name](z.float(), y, o.float(), 1.0))


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("gap", [1e4, -1e4])
@pytest.mark.parametrize("of_reference", [0.0, 1e4, -1e4])
def test_every_objective_is_finite_at_extreme_logits_with_its_gradient(name, gap, of_reference):
    y, even = torch.zeros(5, dtype=torch.long), torch.zeros(5, 3)
    z, o = (even.index_fill(1, torch.tensor([0]), far) for far in (gap, of_reference))
    z.requires_grad_()
    value = FAST[name](z, y, o, 1.0)
    value.sum().backward()
    assert value.isfinite().all() and z.grad.isfinite().all()


@pytest.mark.parametrize("name", FAST)
def test_every_objective_of_no_position_is_nothing_to_learn_from(name):
    """Tokens: no value at all. Rows in which nothing counts: what s = 0 gives, with no gradient."""
    z, y, o = (of[:0] for of in drawn(0))
    z.requires_grad_()
    none, s = torch.zeros(0, dtype=torch.long), losses.row_sums(-losses.cross_entropy(z, y), y, 2)
    value = {
        "npo": lambda: losses.npo(s, s.detach()),
        "simnpo": lambda: losses.simnpo(s, none.new_ones(2)),
        "dpo": lambda: losses.dpo(s, s, s.detach(), s.detach()),
    }.get(name, lambda: FAST[name](z, y, o, 1.0))()
    assert value.shape == ((2,) if name in ("npo", "simnpo", "dpo") else (0,)) and value.isfinite().all()
    value.sum().backward()
    assert z.grad is not None and z.grad.numel() == 0


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


def test_focal_by_hand_and_plain_where_gamma_is_zero():
    z = torch.tensor([[math.log(3), 0.0], [0.2, -0.7]])
    y = torch.tensor([0, 1])
    # p = 3/4: (1/4)^2 ln(4/3)
    assert losses.focal(z, y, gamma=2.0)[0].item() == pytest.approx(math.log(4 / 3) / 16)
    assert torch.allclose(losses.focal(z, y, gamma=0.0), losses.cross_entropy(z, y))
    sure = torch.tensor([[60.0, 0.0]], requires_grad=True)
    losses.focal(sure, torch.tensor([0])).sum().backward()
    assert torch.isfinite(sure.grad).all()
    half = torch.tensor([[60.0, 0.0]], requires_grad=True)
    losses.focal(half, torch.tensor([0]), gamma=0.5).sum().backward()
    assert torch.isfinite(half.grad).all()


def test_reverse_cross_entropy_is_bounded_and_linear_in_the_probability():
    z = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0], [-90.0, 0.0]])
    # 4 (1 - p): p = 3/4, 1/4, 0
    assert losses.reverse_cross_entropy(z, torch.tensor([0, 1, 0])).tolist() == pytest.approx([1.0, 3.0, 4.0])
