"""From hidden states to logits, so that positions that do not count never get any.

Notation
    h : hidden states after the last layer, (N, d)
    W : the output embedding, (V, d)
    z : logits, (N, V); z = s W h, where s is a scale that some architectures have (Cohere, Granite, Falcon-H1).
        Gemma 2 and its kin bound them softly by c: z = c tanh(s W h / c).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from unflaw.models._modes import as_judge, inside, is_split, unwrapped

__all__ = ["head_fits", "head_of", "last_states", "output_layer"]


def head_of(model: Any, *, frozen: bool = False) -> Callable[[Any], Any]:
    """Return the map from hidden states (N, d) to logits (N, V), scale and soft cap included.

    With `frozen`, a detached copy of the weights, for a reference that must not move.
    """
    from torch.nn import functional

    causal = unwrapped(model)
    head = causal.get_output_embeddings()
    scale, cap = _scale_and_cap(causal.config)
    if frozen:
        bias = getattr(head, "bias", None)
        weight, bias = _whole_copy(head.weight), None if bias is None else _whole_copy(bias)
        head = partial(functional.linear, weight=weight, bias=bias)  # the model itself may go
    elif is_split(model):
        head = partial(_gathered, model)

    def logits(h: Any) -> Any:
        z = head(h)
        z = z if scale == 1 else z * scale
        return cap * (z / cap).tanh() if cap else z

    return logits


def _whole_copy(weight: Any) -> Any:
    whole = weight.detach()
    return whole.full_tensor() if hasattr(whole, "full_tensor") else whole.clone()


def output_layer(model: Any) -> Any:
    """Return the module whose weights the head is. Split ones are gathered, for a pass through the model."""
    head = unwrapped(model).get_output_embeddings()
    if hasattr(head, "unshard"):
        head.unshard()
    return head


def _gathered(model: Any, h: Any) -> Any:
    """Apply a head whose weights are split, and do not call it: see `_hf._split`."""
    from torch.nn import functional

    head = output_layer(model)
    return functional.linear(h, head.weight, getattr(head, "bias", None))


def _scale_and_cap(config: Any) -> tuple[float, float | None]:
    """Read s and c. Where a model reads text among other things, they are settings of its text part."""
    config = config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    return scale * (getattr(config, "lm_head_multiplier", None) or 1.0), getattr(
        config, "final_logit_softcapping", None
    )


def last_states(model: Any, ids: Any, mask: Any = None) -> Any:
    """Return the hidden states (b, t, d) that the head is applied to, or None if the model does not give them."""
    states = unwrapped(model).get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)
    return getattr(states, "last_hidden_state", None)


def head_fits(model: Any) -> bool:
    """Whether `head_of` gives the model's own logits, tried on a row of eight tokens.

    An architecture may do to its logits what no list of settings foresees.
    """
    import torch

    causal = unwrapped(model)
    if causal.get_output_embeddings() is None:
        return False
    ids = torch.arange(8, device=causal.device)[None] % causal.config.get_text_config().vocab_size

    def ours_of() -> Any:
        states = last_states(model, ids)
        return None if states is None else head_of(model)(states).float()

    with as_judge(model):
        own, ours = model(input_ids=ids, use_cache=False).logits.float(), inside(model, ours_of)
    return ours is not None and ours.shape == own.shape and torch.allclose(ours, own, rtol=1e-3, atol=1e-3)
