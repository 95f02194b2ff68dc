"""The three-term objective of bounded unlearning, as one function of (model, batch)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unflaw.repair._reference import Reference
from unflaw.train import head_of, hidden_at
from unflaw.train.losses import bounded, chunked, cross_entropy, forward_kl, gradient_ascent

__all__ = ["FORGET_OBJECTIVES", "three_terms"]

FORGET_OBJECTIVES: Mapping[str, Callable[..., Any]] = {"bounded": bounded, "gradient_ascent": gradient_ascent}

TOKEN_CHUNK = 1024
"""Positions whose logits exist at once: 1024 × 49,152 float32 is 200 MB."""


def three_terms(
    model: Any, reference: Reference, objective: str, w_forget: float, w_replay: float, w_kl: float
) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """Return (model, batch) → {"loss", "replay", "kl", "forget"}; without `w_kl` no reference is asked.

    A batch holds "replay" and "forget" (padded batches, "forget" may be empty) and "replay_rows", the
    indices by which the reference knows the replay rows.
    """
    head, forgetting = head_of(model), FORGET_OBJECTIVES[objective]

    def replay_terms(h: Any, y: Any, before: Any) -> Any:
        """Return (n, 2): cross-entropy and KL from the same logits."""
        import torch

        z = head(h)
        return torch.stack([cross_entropy(z, y), forward_kl(reference.head(before).detach(), z)], -1)

    def terms(model: Any, batch: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {}
        h, y, weight = hidden_at(model, batch["replay"])
        if w_kl:
            before = reference(batch["replay_rows"], batch["replay"])  # (N, d)
            named["replay"], named["kl"] = chunked(replay_terms, TOKEN_CHUNK, weight, h, y, before)
        else:
            named["replay"] = chunked(lambda h, y: cross_entropy(head(h), y), TOKEN_CHUNK, weight, h, y)
        if batch["forget"]:
            h, y, weight = hidden_at(model, batch["forget"])
            named["forget"] = chunked(lambda h, y: forgetting(head(h), y), TOKEN_CHUNK, weight, h, y)
        w = {"forget": w_forget, "replay": w_replay, "kl": w_kl}
        return {"loss": sum(w[name] * value for name, value in named.items()), **named}

    return terms
