from types import SimpleNamespace

import pytest

from unflaw.models import head_fits, head_of


class Config(SimpleNamespace):
    def get_text_config(self):
        return getattr(self, "text_config", self)


def head_only(**settings):
    """A model whose head is the identity, so that logits are states but for scale and cap."""
    import torch

    head = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(head.weight)
    return SimpleNamespace(config=Config(**settings), get_output_embeddings=lambda: head)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1.0, -2.0]),
        ({"logit_scale": 0.5}, [0.5, -1.0]),
        ({"logits_scaling": 4}, [0.25, -0.5]),
        ({"lm_head_multiplier": 3.0}, [3.0, -6.0]),
        ({"final_logit_softcapping": 1}, [0.76159, -0.96403]),  # tanh 1, tanh -2
        ({"text_config": Config(final_logit_softcapping=2.0, logit_scale=2.0)}, [1.52319, -1.92806]),  # twice as much
        ({"final_logit_softcapping": None, "logit_scale": None}, [1.0, -2.0]),
    ],
)
def test_scale_and_cap_are_those_of_the_text_part(settings, expected):
    import torch

    logits = head_of(head_only(**settings))(torch.tensor([[1.0, -2.0]]))
    assert logits.tolist()[0] == pytest.approx(expected, abs=1e-5)


def test_a_frozen_head_does_not_move():
    import torch

    model, h = head_only(), torch.tensor([[1.0, -2.0]])
    frozen, live = head_of(model, frozen=True), head_of(model)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(2)
    assert frozen(h).tolist() == [[1.0, -2.0]]
    assert live(h).tolist() == [[2.0, -4.0]]


def test_a_head_fits_where_the_model_does_nothing_else(tiny, monkeypatch):
    model = tiny[0]
    assert head_fits(model)
    monkeypatch.setattr(model.config, "final_logit_softcapping", 2.0, raising=False)  # a llama does not heed it
    assert not head_fits(model)
