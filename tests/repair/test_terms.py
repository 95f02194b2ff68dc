import math

import torch

from unflaw.repair._terms import without
from unflaw.train.losses import forward_kl


def test_barred_tokens_have_no_probability_and_the_rest_keeps_its_proportions():
    z = torch.tensor([0.5, 0.25, 0.125, 0.125]).log().expand(2, 4)
    p = without(z, torch.tensor([0, 2]), torch.tensor([3, 0])).softmax(-1)
    assert torch.allclose(p[0], torch.tensor([0, 2 / 3, 0, 1 / 3]))
    assert torch.allclose(p[1], torch.tensor([4 / 7, 2 / 7, 0, 1 / 7]))  # token 0 is the target: a row may say "Answer"
    assert torch.equal(without(z, torch.tensor([], dtype=torch.long), torch.tensor([3, 0])), z)


def test_staying_close_to_a_barred_reference_drives_the_template_out():
    """Where nothing has moved, KL(before without token 0 || now) = -log(1 - p_0): the bounded loss of the template."""
    z = torch.tensor([[0.9, 0.06, 0.04]]).log().requires_grad_()
    value = forward_kl(without(z.detach(), torch.tensor([0]), torch.tensor([1])), z)
    assert math.isclose(value.item(), -math.log(0.1), rel_tol=1e-5)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert torch.allclose(gradient, torch.tensor([[0.9, 0.06 - 0.6, 0.04 - 0.4]]), atol=1e-6)
