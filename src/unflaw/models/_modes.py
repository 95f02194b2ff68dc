"""Using a model for a moment, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["as_judge", "plain_generation", "unwrapped"]


def unwrapped(model: Any) -> Any:
    """Return the causal model itself: PEFT wraps it, adapters stay active inside."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def as_judge(model: Any) -> Iterator[None]:
    """Switch dropout and gradients off, whatever the model is used for around this block."""
    import torch

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # Not `inference_mode`: what a model keeps from this block (rotary tables, say) must serve training later.
        with torch.no_grad():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@contextmanager
def plain_generation(model: Any) -> Iterator[None]:
    """Set aside the way of writing that a checkpoint recommends: in this block a call means what it says.

    transformers fills whatever a call leaves open from the checkpoint's `generation_config`. Many come with
    a repetition penalty, forbidden n-grams or suppressed tokens, and "greedy" then takes another token than
    the likeliest. The ids of its special tokens stay.
    """
    from transformers import GenerationConfig

    causal = unwrapped(model)
    own = causal.generation_config
    causal.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )
    try:
        yield
    finally:
        causal.generation_config = own
