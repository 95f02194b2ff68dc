"""Objectives over many positions without their logits: at no time is there more than a chunk of them.

Notation
    h : hidden states of the positions that count, (N, d)
    W : the head's parameters that are trained, none where it is frozen
    k : terms that share their logits, e.g. replay and KL

The chunk's logits, values and gradients are computed in one go in the forward pass, and only the gradients in h and W
stay: the backward pass scales them. So nothing is computed twice, as checkpointing would, and (N, V) never exists.
At 128 positions and 49,152 tokens float32 logits take 25 MB, and several such stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["CHUNK", "fused_mean", "per_position"]

CHUNK = 128


def fused_mean(
    objective: Callable[..., Tensor],
    mix: Tensor,
    count: Tensor,
    weight: Tensor,
    h: Tensor,
    *fixed: Tensor,
    parameters: Sequence[Tensor] = (),
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """Return (mix @ terms, terms): terms (k,) are sums of weight × objective over positions, divided by `count`.

    Only the first has a gradient.

    Parameters
    ----------
    objective : (h, *fixed), a chunk of each → (n, k). It may use `parameters`, which get their gradient.
    mix : (k,) weights of the terms.
    count : what the sums are divided by, normally the number of positions that count.
    weight, h, fixed : (N,), (N, d), (N, …).
    """
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (h, *parameters))
    given = (objective, mix, count, weight, chunk, wanted, len(fixed), h, *fixed, *parameters)
    return _Fused.apply(*given)  # type: ignore[no-untyped-call]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        objective: Callable[..., Tensor],
        mix: Tensor,
        count: Tensor,
        weight: Tensor,
        chunk: int,
        wanted: bool,
        n_fixed: int,
        h: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, Tensor]:
        fixed, parameters = others[:n_fixed], others[n_fixed:]
        gradients: list[Tensor] = []
        terms = torch.zeros_like(mix)
        for start in range(0, len(h), chunk):
            at = slice(start, start + chunk)
            part = h[at].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                # Sums, not matrix products: autocast would round those.
                values = (weight[at, None] * objective(part, *(t[at] for t in fixed))).sum(0) / count
                total = (values * mix).sum()
            terms += values.detach()
            if wanted:
                first, *rest = torch.autograd.grad(total, (part, *parameters))
                if not gradients:
                    gradients = [torch.empty_like(h), *(g.float() for g in rest)]  # their sum, too, where W is bf16
                else:
                    for kept, new in zip(gradients[1:], rest, strict=True):
                        kept += new
                gradients[0][at] = first
        if wanted and not gradients:
            gradients = [torch.zeros_like(t) for t in (h, *parameters)]
        ctx.save_for_backward(*gradients)
        ctx.n_fixed = n_fixed
        ctx.mark_non_differentiable(terms)
        return (terms * mix).sum(), terms

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        first, *rest = ctx.saved_tensors if upstream.item() == 1 else [upstream * g for g in ctx.saved_tensors]
        return (None,) * 7 + (first,) + (None,) * ctx.n_fixed + tuple(rest)


def per_position(objective: Callable[..., Tensor], *tensors: Tensor, chunk: int = CHUNK) -> Tensor:
    """Return objective(*tensors), (N,), chunk by chunk, for what is added up per row before it is weighed.

    The gradient of a position then depends on the others, so logits are computed again in the backward pass. What
    fits into one chunk is not: that would save nothing.
    """
    if len(tensors[0]) <= chunk:
        return objective(*tensors)
    parts = [[t[s : s + chunk] for t in tensors] for s in range(0, len(tensors[0]), chunk)]
    if not torch.is_grad_enabled():
        return torch.cat([objective(*part) for part in parts])
    return torch.cat([checkpoint(objective, *part, use_reentrant=False) for part in parts])
