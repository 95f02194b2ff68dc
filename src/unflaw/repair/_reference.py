"""What the model believed before repair, without a second model in memory.

With LoRA the reference is the same weights with the adapter off. With full weights it is the final hidden
states of the replay rows, computed once and kept in a memory-mapped file, under a frozen copy of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.models import as_judge
from unflaw.train import Encoded, head_of, hidden_at, pad_batch

__all__ = ["Reference", "adapter_off", "cached_states"]


@dataclass(frozen=True)
class Reference:
    """The model before repair, as hidden states and the head they belong to."""

    states: Callable[[Sequence[int], dict[str, Any]], Any]
    """(replay row indices, their padded batch) → hidden states (N, d) of the positions that count.

    Apply `head` to a chunk of them at a time.
    """
    head: Callable[[Any], Any]
    """Hidden states (N, d) → logits (N, V)."""


def adapter_off(model: Any) -> Reference:
    """Make the reference of a LoRA model: one more forward pass without gradient, adapter switched off."""

    def states(indices: Sequence[int], batch: dict[str, Any]) -> Any:
        with as_judge(model), model.disable_adapter():  # with dropout it would be another reference each time
            return hidden_at(model, batch)[0]

    return Reference(states, head_of(model))  # LoRA leaves the head alone


def cached_states(
    model: Any, encoded: Sequence[Encoded], asked: Collection[int], pad_id: int, path: Path, batch_size: int = 16
) -> Reference:
    """Make the reference of fully trained weights: hidden states (float32) of what counts in the rows asked, on disk.

    Rows are stored end to end; row i owns positions `starts[i]:starts[i + 1]`. Positions inside a padded
    batch come in row order too, so a batch's reference is the concatenation of its rows'.
    """
    import torch

    counts = [sum(w > 0 for w in e.weight[1:]) if i in asked else 0 for i, e in enumerate(encoded)]
    starts = np.concatenate([[0], np.cumsum(counts)])
    width = model.get_output_embeddings().weight.shape[1]
    device = next(model.parameters()).device
    kept = np.memmap(path, np.float32, "w+", shape=(int(starts[-1]), width))
    order = sorted(asked, key=lambda i: len(encoded[i].ids))
    with as_judge(model):
        for at in range(0, len(order), batch_size):
            rows = order[at : at + batch_size]
            batch = {k: v.to(device) for k, v in pad_batch([encoded[i] for i in rows], pad_id).items()}
            h = hidden_at(model, batch)[0].float().cpu().numpy()
            done = 0
            for i in rows:
                kept[starts[i] : starts[i + 1]] = h[done : done + counts[i]]
                done += counts[i]
    kept.flush()

    def states(indices: Sequence[int], batch: dict[str, Any]) -> Any:
        return torch.from_numpy(np.concatenate([kept[starts[i] : starts[i + 1]] for i in indices])).to(device)

    return Reference(states, head_of(model, frozen=True))
