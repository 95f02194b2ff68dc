"""Using a model for a moment, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["as_judge", "inside", "is_split", "plain_generation", "resplit", "unwrapped"]

T = TypeVar("T")


def unwrapped(model: Any) -> Any:
    """Return the causal model itself: PEFT wraps it, adapters stay active inside."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_split(model: Any) -> bool:
    """Whether each process holds a part of the weights only (FSDP2)."""
    return bool(getattr(unwrapped(model), "is_distributed_loading_by_transformers", False))


def inside(model: Any, function: Callable[[], T], *, caller: Any = None) -> T:
    """Return function(), called by way of the model, so that what wraps or splits it does its part.

    Split weights are whole inside while they are used, and all processes must come here alike. `caller` wraps the
    model, e.g. to exchange gradients.
    """
    import torch

    if caller is None:
        if not is_split(model):
            return function()
        caller = unwrapped(model)
    inner = unwrapped(model) if is_split(model) else model
    own = inner.__dict__.get("forward")
    inner.forward = lambda function: function()
    try:
        found: T = caller(function)  # on cards DDP wants an argument
    finally:
        if own is None:
            del inner.forward
        else:
            inner.forward = own
    if is_split(model) and not torch.is_grad_enabled():
        resplit(model)
    return found


def resplit(model: Any) -> None:
    """Let go of weights gathered for a forward pass that no backward pass follows; a backward pass does so itself."""
    for module in unwrapped(model).modules():
        if hasattr(module, "reshard"):
            module.reshard()


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
