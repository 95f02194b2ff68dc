"""What the objectives need of a causal language model: hidden states where tokens count, and the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from unflaw.models import head_of, last_states, output_layer, quietly

__all__ = ["Counted", "add_lora", "head_of", "head_parameters", "hidden_at", "hidden_at_each"]


class Counted(NamedTuple):
    """The positions of a padded batch that count, row after row."""

    h: Any
    """Hidden states (N, d)."""
    y: Any
    """Next tokens (N,)."""
    weight: Any
    """Weights (N,), positive."""
    row: Any
    """Row of the batch each position stands in, (N,)."""


def hidden_at(model: Any, batch: dict[str, Any]) -> Counted:
    """Run the body of the model, and return its states where the next token counts.

    The head is not applied: positions that do not count never get logits.
    """
    h = last_states(model, batch["input_ids"], batch["attention_mask"])
    where = batch["weight"][:, 1:] > 0
    return Counted(
        h[:, :-1][where], batch["input_ids"][:, 1:][where], batch["weight"][:, 1:][where], where.nonzero()[:, 0]
    )


def hidden_at_each(model: Any, batches: Sequence[dict[str, Any]]) -> list[Counted]:
    """Run the body once over several padded batches; return what `hidden_at` does of each."""
    if len(batches) == 1:
        return [hidden_at(model, batches[0])]
    from torch import cat
    from torch.nn.functional import pad

    width = max(batch["input_ids"].shape[1] for batch in batches)
    whole = {
        name: cat([pad(batch[name], (0, width - batch[name].shape[1])) for batch in batches]) for name in batches[0]
    }
    h, y, weight, row = hidden_at(model, whole)
    found, first = [], 0
    for batch in batches:
        mine = (row >= first) & (row < first + len(batch["input_ids"]))
        found.append(Counted(h[mine], y[mine], weight[mine], row[mine] - first))
        first += len(batch["input_ids"])
    return found


def head_parameters(model: Any) -> list[Any]:
    """Return what is trained of the head: nothing under LoRA."""
    return [p for p in output_layer(model).parameters() if p.requires_grad]


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
