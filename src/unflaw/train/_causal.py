"""What the objectives need of a causal language model: hidden states where tokens count, and the head."""

from __future__ import annotations

from typing import Any

from unflaw.models import head_of, quietly, unwrapped

__all__ = ["add_lora", "head_of", "hidden_at"]


def hidden_at(model: Any, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return (h, y, weight) of the positions with weight: hidden states (N, d), next tokens (N,), weights (N,).

    The head is not applied: positions that do not count never get logits.
    """
    body = unwrapped(model).base_model
    h = body(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).last_hidden_state
    where = batch["weight"][:, 1:] > 0  # the next token counts
    return h[:, :-1][where], batch["input_ids"][:, 1:][where], batch["weight"][:, 1:][where]


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
