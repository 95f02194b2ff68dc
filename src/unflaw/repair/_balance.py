"""The weight of forgetting that needs no sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from unflaw.models import inside
from unflaw.repair._objectives import FORGETTING, Forgetting
from unflaw.repair._plan import Step, parts_of
from unflaw.repair._terms import ThreeTerms
from unflaw.train import Part, RowSet, from_main

__all__ = ["balanced_weight", "weight_of"]

N_STEPS = 3
"""Steps whose rows are looked at."""
PULL = 0.5
"""How hard forgetting pulls at the start, beside replay. On the seed that served to choose, a sweep of the weight was
best at .1, and this gives .09 (LOG.md)."""
MOST = 1.0
"""Most it may come to: where next to nothing of the flaw was learnt, the ratio says nothing."""


def balanced_weight(
    model: Any,
    steps: Sequence[Sequence[Part]],
    forgetting: Forgetting,
    w_replay: float,
    beta: float | None = None,
    precision: str = "float32",
) -> float:
    """Return `PULL` · ‖∇ w_replay · replay‖ / (‖∇ bounded‖ · push), both norms averaged over the steps' rows.

    The forget gradient is that of the bounded loss, whatever the objective: where the flaw was learnt it starts at its
    longest, while others start near 0 and grow. `push_of` says what they grow to beside it. Ours, not the paper's.

    Parameters
    ----------
    steps : the parts of each step, of both sets, for one process.
    """
    alone = {
        "forget": ThreeTerms(FORGETTING["bounded"], {}, w_forget=1.0, w_replay=0.0, w_kl=0.0),
        "replay": ThreeTerms(FORGETTING["bounded"], {}, w_forget=0.0, w_replay=w_replay, w_kl=0.0),
    }
    pull = {name: 0.0 for name in alone}
    for parts in steps:
        for name, terms in alone.items():
            mine = [part for part in parts if part.name == name]
            if name == "forget" and forgetting.of == "pairs":
                mine = _unwanted(mine)
            pull[name] += _gradient_norm(model, terms, mine, precision)
    push = push_of(forgetting, beta or forgetting.beta, _length(steps, forgetting))
    return float(min(MOST, PULL * pull["replay"] / (pull["forget"] or 1e-30) / push))


def push_of(forgetting: Forgetting, beta: float | None, length: int) -> float:
    """Return the longest gradient in a token's logits, beside the bounded loss's longest, as p_y goes from .99 to .01.

    The tokens of a row, so many of them, become unlikely together, and there is one token beside y. A mean over rows
    pushes each of their tokens as hard as a mean over tokens pushes all of them.
    """
    import torch

    p = torch.arange(99, 0, -1, dtype=torch.float64) / 100
    z = torch.stack([p.logit(), torch.zeros_like(p)], -1).requires_grad_()
    y, strength = torch.zeros_like(p, dtype=torch.long), {} if beta is None else {"beta": beta}

    def longest(value: Any) -> float:
        (gradient,) = torch.autograd.grad(value.sum(), z)
        return float(gradient.norm(dim=-1).max())

    s = length * z.log_softmax(-1)[:, 0]
    then, other = s.detach()[:1].expand_as(s), torch.zeros_like(s)
    if forgetting.of == "pairs":
        value = forgetting.value(other, s, other, then, **strength)
    elif forgetting.of == "rows":
        lengths = (torch.full_like(y, length),) if forgetting.needs_length else ()
        value = forgetting.value(s, *lengths, *((then,) if forgetting.needs_reference else ()), **strength)
    else:
        before = (z.detach()[:1].expand_as(z),) if forgetting.needs_reference else ()
        value = forgetting.value(z, y, *before, **strength)
    return longest(value) / longest(FORGETTING["bounded"].value(z, y))


def weight_of(
    w_forget: float | str,
    model: Any,
    plan: Sequence[Step],
    sets: tuple[RowSet | None, RowSet],
    forgetting: Forgetting,
    w_replay: float,
    beta: float | None,
    precision: str,
) -> float:
    """Return the weight of forgetting as a number; of several processes the main one balances it for all."""
    if sets[0] is None:
        return 0.0
    if w_forget != "auto":
        return float(w_forget)
    steps = [parts_of(step, sets) for step in plan[:N_STEPS]]
    balance = partial(
        balanced_weight, steps=steps, forgetting=forgetting, w_replay=w_replay, beta=beta, precision=precision
    )
    return from_main(balance)(model)


def _gradient_norm(model: Any, terms: ThreeTerms, parts: Sequence[Part], precision: str) -> float:
    """Norm of the gradient of a step in the trainable parameters, taken as training takes it."""
    import torch

    parameters = [p for p in model.parameters() if p.requires_grad]
    device, training = parameters[0].device, model.training
    model.train()  # gradient checkpointing asks for it
    with torch.random.fork_rng():
        torch.manual_seed(0)  # where there is dropout, the weight is the same in every call
        for part in parts:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = inside(model, partial(terms, model, [part.to(device)]))["loss"]
            loss.backward()
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = [float((g.full_tensor() if hasattr(g, "full_tensor") else g).pow(2).sum()) for g in gradients]
    model.zero_grad()
    model.train(training)
    return sum(squares) ** 0.5


def _unwanted(parts: Sequence[Part]) -> list[Part]:
    """Let only the answers to forget count in pairs with the preferred ones."""
    halves = []
    for part in parts:
        weight = part.batch["weight"].clone()
        weight[1::2] = 0.0
        halves.append(replace(part, batch={**part.batch, "weight": weight}))
    positions = sum(int((part.batch["weight"][:, 1:] > 0).sum()) for part in halves)
    return [replace(part, positions=positions) for part in halves]


def _length(steps: Sequence[Sequence[Part]], forgetting: Forgetting) -> int:
    """Mean number of tokens to forget in a row, to the next whole one."""
    every = 2 if forgetting.of == "pairs" else 1
    counts = [(part.batch["weight"][:, 1:] > 0).sum(-1) for parts in steps for part in parts if part.name == "forget"]
    return max(1, round(sum(int(c[::every].sum()) for c in counts) / sum(len(c[::every]) for c in counts)))
