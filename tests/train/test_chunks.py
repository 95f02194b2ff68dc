"""Chunks change neither values nor gradients, and no more than a chunk of logits ever exists."""

import pytest
import torch

from unflaw.train import fused_mean, losses, per_position


def token_mean(values, weight):
    return (values * weight).sum() / (weight > 0).sum()


def made(n=7, d=4, v=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    h, head = torch.randn(n, d, generator=generator), torch.randn(d, v, generator=generator)
    y, weight = torch.randint(0, v, (n,), generator=generator), torch.rand(n, generator=generator)
    return h, head, y, weight


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_the_fused_mean_equals_the_whole_in_value_and_all_gradients(chunk):
    h, head, y, weight = made()
    a, w = h.clone().requires_grad_(), head.clone().requires_grad_()
    z = a @ w
    ce, kl = losses.cross_entropy(z, y), losses.forward_kl(h @ head * 0.5, z)
    expected = [token_mean(v, weight) for v in (ce, kl)]
    (3 * (0.25 * expected[0] + 2.0 * expected[1])).backward()
    b, u = h.clone().requires_grad_(), head.clone().requires_grad_()

    def both(h, y, before):
        z = h @ u
        return torch.stack([losses.cross_entropy(z, y), losses.forward_kl(before @ head * 0.5, z)], -1)

    total, terms = fused_mean(
        both, torch.tensor([0.25, 2.0]), torch.tensor(7.0), weight, b, y, h, parameters=[u], chunk=chunk
    )
    (3 * total).backward()
    assert terms.tolist() == pytest.approx([e.item() for e in expected], rel=1e-5) and not terms.requires_grad
    assert torch.allclose(b.grad, a.grad, atol=1e-6) and torch.allclose(u.grad, w.grad, atol=1e-5)


def test_where_nothing_counts_the_mean_is_zero_with_a_zero_gradient():
    h, head, y, weight = made(n=0)
    h, head = h.requires_grad_(), head.requires_grad_()
    total, _ = fused_mean(
        lambda h, y: losses.cross_entropy(h @ head, y)[:, None], torch.ones(1), torch.tensor(1.0), weight, h, y,
        parameters=[head],
    )  # fmt: skip
    total.backward()
    assert total.item() == 0.0 and h.grad.shape == (0, 4) and not head.grad.any()


def test_nothing_is_kept_where_no_gradient_is_wanted():
    h, head, y, weight = made()
    with torch.no_grad():
        total, _ = fused_mean(
            lambda h, y: losses.cross_entropy(h @ head, y)[:, None], torch.ones(1), torch.tensor(7.0), weight, h, y
        )
    assert not total.requires_grad
    assert total.item() == pytest.approx(token_mean(losses.cross_entropy(h @ head, y), weight).item(), rel=1e-5)


def test_a_trained_head_costs_nothing_where_no_gradient_is_wanted():
    h, head, y, weight = made()
    head.requires_grad_()
    asked = []

    def objective(h, y):
        asked.append(torch.is_grad_enabled())
        return losses.cross_entropy(h @ head, y)[:, None]

    with torch.no_grad():
        fused_mean(objective, torch.ones(1), torch.tensor(7.0), weight, h, y, parameters=[head])
    assert asked == [False]


def test_under_autocast_the_products_are_rounded_and_the_sums_are_not():
    h, head, y, weight = made(n=64, d=16, v=50)
    z = (h.bfloat16() @ head.bfloat16()).float()
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = fused_mean(
            lambda h, y: losses.cross_entropy(h @ head, y)[:, None], torch.ones(1), torch.tensor(64.0), weight,
            h.requires_grad_(), y,
        )  # fmt: skip
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(token_mean(losses.cross_entropy(z, y), weight).item(), rel=1e-5)


def test_a_chunk_is_all_that_an_objective_ever_sees():
    h, _, y, weight = made(n=10)
    seen = []

    def objective(h, y):
        seen.append(len(y))
        return h.sum(-1, keepdim=True)

    fused_mean(objective, torch.ones(1), torch.tensor(1.0), weight, h.requires_grad_(), y, chunk=4)
    assert seen == [4, 4, 2]


@pytest.mark.parametrize("chunk", [2, 100])
def test_values_per_position_have_the_gradient_of_the_whole(chunk):
    h, head, y, _ = made()
    row = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    gradients = []
    for size in (chunk, 10**6):
        a, w = h.clone().requires_grad_(), head.clone().requires_grad_()
        log_p = per_position(lambda h, y, w=w: -losses.cross_entropy(h @ w, y), a, y, chunk=size)
        losses.npo(losses.row_sums(log_p, row, 3), torch.tensor([-1.0, -2.0, -3.0]), beta=0.5).sum().backward()
        gradients.append((a.grad, w.grad))
    for one, whole in zip(*gradients, strict=True):
        assert torch.allclose(one, whole, atol=1e-6)
