"""What the objectives need of a causal language model: hidden states where tokens count, and the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unflaw.models import quietly

__all__ = ["add_lora", "head_of", "hidden_at"]


def hidden_at(model: Any, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return (h, y, weight) of the positions with weight: hidden states (N, d), next tokens (N,), weights (N,).

    The head is not applied: positions that do not count never get logits.
    """
    body = _plain(model).base_model
    h = body(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).last_hidden_state
    where = batch["weight"][:, 1:] > 0  # the next token counts
    return h[:, :-1][where], batch["input_ids"][:, 1:][where], batch["weight"][:, 1:][where]


def head_of(model: Any, *, frozen: bool = False) -> Callable[[Any], Any]:
    """Return the map from hidden states (N, d) to logits (N, V), final soft-capping included.

    With `frozen`, a detached copy of the weights, for a reference that must not move.
    """
    from torch.nn import functional

    causal = _plain(model)
    head = causal.get_output_embeddings()
    config = causal.config.get_text_config()
    cap = getattr(config, "final_logit_softcapping", None)
    scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    frozen_weight: Any = head.weight.detach().clone() if frozen else None
    bias = getattr(head, "bias", None)
    frozen_bias = bias.detach().clone() if frozen and bias is not None else None

    def logits(h: Any) -> Any:
        z = functional.linear(h, frozen_weight, frozen_bias) if frozen else head(h)
        z = z * scale
        return cap * (z / cap).tanh() if cap else z

    return logits


def add_lora(model: Any, rank: int, seed: int) -> Any:
    """Wrap the model with LoRA on all linear layers but the head (alpha = 2 rank, no dropout)."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(), quietly():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def _plain(model: Any) -> Any:
    """Return the causal model itself: PEFT wraps it, adapters stay active inside."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
