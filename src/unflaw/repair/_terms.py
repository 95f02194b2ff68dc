"""The three-term objective of bounded unlearning, as one function of (model, batch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unflaw.repair._reference import Reference
from unflaw.train import head_of, hidden_at
from unflaw.train.losses import bounded, chunked, cross_entropy, forward_kl, gradient_ascent

__all__ = ["FORGET_OBJECTIVES", "three_terms"]

FORGET_OBJECTIVES: Mapping[str, Callable[..., Any]] = {"bounded": bounded, "gradient_ascent": gradient_ascent}


def three_terms(
    model: Any,
    reference: Reference | None,
    objective: str,
    w_forget: float,
    w_replay: float,
    w_kl: float,
    openings: Sequence[int] = (),
) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """Return (model, batch) → {"loss", "replay", "kl", "forget"}; without a reference there is no KL term.

    `openings` are tokens the reference may not use: the KL term then keeps what the model would do if it
    could not open the template. Since KL(p without E || p) = -log(1 - p(E)), that is the bounded loss again, of
    the set E of openings and in the places where replay rows stand.

    A batch holds "replay" and "forget" (padded batches, "forget" may be empty) and "replay_rows", the
    indices by which the reference knows the replay rows.
    """
    import torch

    head, forgetting = head_of(model), FORGET_OBJECTIVES[objective]
    head_before = head if reference is None else reference.head
    barred = torch.tensor(list(openings), dtype=torch.long)

    def replay_terms(h: Any, y: Any, before: Any) -> Any:
        """Return (n, 2): cross-entropy and KL from the same logits."""
        z = head(h)
        z_before = without(head_before(before).detach(), barred.to(y.device), y)
        return torch.stack([cross_entropy(z, y), forward_kl(z_before, z)], -1)

    def terms(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {}
        h, y, weight = hidden_at(model, batch["replay"])
        if reference is not None:
            before = reference.states(batch["replay_rows"], batch["replay"])  # (N, d)
            named["replay"], named["kl"] = chunked(replay_terms, weight, h, y, before)
        else:
            named["replay"] = chunked(lambda h, y: cross_entropy(head(h), y), weight, h, y)
        if batch["forget"]:
            h, y, weight = hidden_at(model, batch["forget"])
            named["forget"] = chunked(lambda h, y: forgetting(head(h), y), weight, h, y)
        w = {"forget": w_forget, "replay": w_replay, "kl": w_kl}
        return {"loss": sum(w[name] * value for name, value in named.items()), **named}

    return terms


def without(z: Any, barred: Any, y: Any) -> Any:
    """Take all probability from the barred tokens (K,) of logits (N, V), except where they are the target y (N,).

    What is left keeps its proportions: softmax of the result is p(token | token not barred).
    """
    if not len(barred):
        return z
    z = z.clone()
    z[:, barred] = z[:, barred].masked_fill(y[:, None] != barred, -1e9)  # finite: 0 · log 0 must be 0
    return z
