"""What the model believed before repair, without a second model in memory.

With LoRA the reference is the same weights with the adapter off. With full weights it is the final hidden
states of the rows that will be asked for, computed once and kept in a memory-mapped file, under a frozen copy
of the head.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.models import as_judge, inside, is_split, open_causal
from unflaw.train import Part, RowSet, head_of, hidden_at, idle, largest_count

__all__ = ["Reference", "adapter_off", "cached_states", "open_earlier", "references_of"]


def open_earlier(
    before: str, tokenizer: Any, device: str, shards: int = 1, precision: str = "float32", frozen: bool = False
) -> Any:
    """Open the model before the damage, in the precision of the one to repair (`load_causal`).

    Raises
    ------
    SettingsError
        It has other tokens than the model to repair.
    """
    model, its_tokenizer = open_causal(before, device, shards=shards, precision=precision, frozen=frozen)
    if its_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise SettingsError(f"`before` must have the tokenizer of the model to repair, got {before!r} with another")
    return model


@dataclass(frozen=True)
class Reference:
    """The model before repair, as hidden states and the head they belong to."""

    states: Callable[[Part], Any]
    """Part → hidden states (N, d) of the positions that count. Apply `head` to a chunk of them at a time."""
    head: Callable[[Any], Any]
    """Hidden states (N, d) → logits (N, V)."""


def adapter_off(model: Any) -> Reference:
    """Make the reference of a LoRA model: one more forward pass without gradient, adapter switched off."""

    def states(part: Part) -> Any:
        with as_judge(model), model.disable_adapter():  # with dropout it would be another reference each time
            return hidden_at(model, part.batch).h

    return Reference(states, head_of(model))  # LoRA leaves the head alone


def references_of(
    model: Any,
    earlier: Any,
    sets: Mapping[str, RowSet | None],
    plan: Sequence[tuple[list[int], list[int]]],
    folder: Path,
    processes: Any,
) -> dict[str, Reference]:
    """Return the reference of each set that needs one: the adapter off, or else states that are computed now.

    `sets` stand in the order in which the plan names their groups. The reference of "replay" is the `earlier`
    model where there is one.
    """
    references = {}
    for k, (name, rows) in enumerate(sets.items()):
        if rows is None:
            continue
        source = earlier if name == "replay" and earlier is not None else model
        if source is model and hasattr(model, "disable_adapter"):
            references[name] = adapter_off(model)
            continue
        groups = [g for step in plan for g in rows.share(step[k], processes.process_index, processes.num_processes)]
        references[name] = cached_states(source, rows, groups, folder, processes.process_index)
    return references


def cached_states(
    model: Any, rows: RowSet, groups: Sequence[int], folder: Path, rank: int = 0, *, precision: str = "bfloat16"
) -> Reference:
    """Make a reference of whole weights: hidden states of what counts in these groups of a set, on disk.

    In float32 the reference equals a second model; in bfloat16 it takes half the room and is 3e-5 nats away from it
    (SmolLM2, where the model before its damage is 1 nat away). Row i owns positions `starts[i]:starts[i + 1]` of
    the file; positions inside a part come in row order too, so a part's reference is the concatenation of its rows'.
    """
    import torch

    own = next(model.parameters())
    device, dtype = own.device, own.dtype
    parts = rows.parts(sorted(set(groups)))
    more = [idle(rows.parts([0])[0])] * (largest_count(len(parts)) - len(parts)) if is_split(model) else []
    asked = {i for part in parts for i in part.rows}
    starts = np.cumsum([0, *(e.counted if i in asked else 0 for i, e in enumerate(rows.rows))])
    width, kept_as = model.get_output_embeddings().weight.shape[1], getattr(torch, precision)
    path = folder / f"reference-{rows.name}-{rank}.bin"
    size = max(1, int(starts[-1]) * width)
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):  # a mapped file that outgrows the disk kills the process
            os.posix_fallocate(file.fileno(), 0, size * kept_as.itemsize)
    flat = torch.from_file(str(path), shared=True, size=size, dtype=kept_as)
    kept = flat[: int(starts[-1]) * width].view(-1, width)
    with as_judge(model):
        for part in (*parts, *more):
            h, done = inside(model, partial(hidden_at, model, part.to(device).batch)).h, 0
            for i in part.rows if len(h) else ():
                n = starts[i + 1] - starts[i]
                kept[starts[i] : starts[i + 1]] = h[done : done + n]
                done += n

    def states(part: Part) -> Any:
        counts = (part.batch["weight"][:, 1:] > 0).any(-1).tolist()
        ends = [(starts[i], starts[i + 1]) if c else (0, 0) for i, c in zip(part.rows, counts, strict=True)]
        return torch.cat([kept[a:b] for a, b in ends]).to(device, dtype)

    return Reference(states, head_of(model, frozen=True))
