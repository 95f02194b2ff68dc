"""Weights learnt beside the model, against going backward twice."""

import pytest
import torch
from torch.func import functional_call

from unflaw.train._bilevel import BILEVEL, RowWeights
from unflaw.train._labelled import LabelledBatch
from unflaw.train.losses import cross_entropy


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Linear(4, 3).double()

    def forward(self, x):
        return type("Output", (), {"logits": self.inner(x)})()


def batch(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=g, dtype=torch.float64)
    y = torch.randint(0, 3, (n,), generator=g)
    return LabelledBatch(list(range(n)), {"x": x}, y, torch.ones(n, dtype=torch.float64), None, float(n))


def losses_of(model, of):
    return cross_entropy_double(model(**of.batch).logits, of.y)


def cross_entropy_double(z, y):
    return z.logsumexp(-1) - z.gather(-1, y[:, None])[:, 0]


@pytest.mark.parametrize("method", ["hu", "sungen"])
def test_slopes_are_those_of_going_backward_twice(method):
    model, inner, meta = Linear(), batch(5, 1), batch(6, 2)
    own, eta = dict(model.named_parameters()), 0.3
    w = torch.full((5,), 1.0, dtype=torch.float64, requires_grad=True)
    loss = (w * losses_of(model, inner)).mean()
    grads = torch.autograd.grad(loss, list(own.values()), create_graph=True)
    moved = {name: p - eta * g for (name, p), g in zip(own.items(), grads, strict=True)}
    judged = BILEVEL[method](functional_call(model, moved, kwargs=meta.batch).logits, meta.y).mean()
    slow = torch.autograd.grad(judged, w)[0]

    before = [p.detach().clone() for p in model.parameters()]
    rows = RowWeights(method, 5, step_size=eta, learning_rate=0.1)
    slopes = rows._slopes(model, list(model.parameters()), torch.ones(5, dtype=torch.float64), inner, meta, losses_of)
    # the loss of the step is a mean over the 5 rows, as that of the slow way is
    assert (-eta * slopes / 5).tolist() == pytest.approx(slow.tolist(), rel=1e-3, abs=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_rows_that_help_the_meta_set_gain_and_others_lose():
    model, inner = Linear(), batch(6, 1)
    model.inner = torch.nn.Linear(6, 3, bias=False).double()
    inner.batch["x"] = torch.eye(6, dtype=torch.float64)  # each row has weights of its own, and helps or harms itself
    # the meta set holds the first three rows as they are, the last three with other labels
    y = torch.cat([inner.y[:3], (inner.y[3:] + 1) % 3])
    meta = LabelledBatch(inner.rows, inner.batch, y, inner.weight, None, 6.0)
    rows = RowWeights("hu", 6, step_size=0.1, learning_rate=0.05)
    for _ in range(5):
        weights = rows.learn(model, inner, meta, lambda m, b: cross_entropy(m(**b.batch).logits, b.y))
    assert weights[:3].min() > 1 > weights[3:].max()
    assert weights.sum().item() == pytest.approx(6.0, rel=1e-5)


def test_weights_of_sungen_stay_between_0_and_1():
    model, inner, meta = Linear(), batch(6, 1), batch(6, 3)
    rows = RowWeights("sungen", 6, step_size=0.1, learning_rate=0.9)
    for _ in range(5):
        weights = rows.learn(model, inner, meta, lambda m, b: cross_entropy(m(**b.batch).logits, b.y))
        assert 0 <= weights.min() and weights.max() <= 1


def test_a_row_that_is_met_late_moves_as_far_as_one_met_early():
    rows = RowWeights("sungen", 3, step_size=0.1, learning_rate=0.01)
    for _ in range(200):
        rows._move_phi([0], torch.tensor([1.0]))
    rows._move_phi([1], torch.tensor([1.0]))
    assert rows.phi[1].item() == pytest.approx(0.99, abs=1e-4) and rows.phi[2] == 1


def test_a_row_that_weighs_nothing_learns_nothing():
    model, inner, meta = Linear(), batch(5, 1), batch(6, 2)
    inner.weight[2] = 0.0
    rows = RowWeights("sungen", 5, step_size=0.3, learning_rate=0.1)
    rows.learn(model, inner, meta, lambda m, b: cross_entropy(m(**b.batch).logits, b.y))
    assert rows.phi[2] == 1 and (rows.phi != 1).sum() >= 3


def test_slopes_in_bfloat16_are_those_in_float32():
    model, inner, meta = Linear().float(), batch(5, 1), batch(6, 2)
    for of in (inner, meta):
        of.batch["x"] = of.batch["x"].float()
    rows, own, found = RowWeights("hu", 5, step_size=0.3, learning_rate=0.1), list(model.parameters()), []
    losses = lambda m, b: cross_entropy(m(**b.batch).logits, b.y)  # noqa: E731
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found.append(rows._slopes(model, own, torch.ones(5), inner, meta, losses))
    assert torch.corrcoef(torch.stack(found))[0, 1] > 0.5  # of what the weights were before, it is about 0
