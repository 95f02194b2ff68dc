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
    """Return `PULL` · ‖∇ w_replay · replay‖ / ‖∇ forget‖, both norms averaged over the steps' rows.

    The forget gradient is that of the bounded loss, whatever the objective. In the logits of a token no token
    objective has a longer one than √2, which is where the bounded loss starts if the flaw was learnt (|p - q| with p_y
    near 1), so that one weight is safe for all. Objectives that sum over a row's tokens push each as hard as a mean
    pushes all together; theirs is divided by the mean number of tokens in a row. Of dpo the push starts at β/2 of
    that, by which its weight is divided. Ours, not the paper's.

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
    weight = PULL * pull["replay"] / (pull["forget"] or 1e-30) / _push(steps, forgetting, beta or forgetting.beta)
    return float(min(MOST, weight))


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


def _push(steps: Sequence[Sequence[Part]], forgetting: Forgetting, beta: float | None) -> float:
    """How hard the objective pushes each token at the start, in pushes of one that takes the mean of all tokens."""
    if forgetting.of == "tokens" or forgetting.needs_length:
        return 1.0
    strength = beta / 2 if forgetting.of == "pairs" and beta else 1.0
    counts = [(part.batch["weight"][:, 1:] > 0).sum(-1) for parts in steps for part in parts if part.name == "forget"]
    return strength * float(sum(int(c.sum()) for c in counts) / sum(len(c) for c in counts))
