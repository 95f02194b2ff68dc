"""Pure objectives: logits, targets and weights in, numbers out. Read at the call site: `losses.bounded(...)`.

Notation
    z        logits of one position, shape [V]
    y        the gold next token of that position
    p        softmax(z), so p_y is the probability of the gold token
    q        softmax of z without its gold entry, q_y = 0
    N, V     positions that count, vocabulary size

Every objective returns one value per position in nats. `token_mean` is the one reduction, so a weight
in front of a term means the same whatever the batch, its padding, or the length of its rows.

References
----------
    Chen et al. 2024, "Unveiling the Flaws" (arXiv 2406.12397): the three-term objective.
    Welleck et al. 2020, "Neural text generation with unlikelihood training": -log(1 - p_y).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor
else:
    from typing import Any as Tensor

__all__ = ["bounded", "chunked", "cross_entropy", "forward_kl", "gradient_ascent", "token_mean"]


def cross_entropy(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return -log p_y: the replay term, and ordinary fine-tuning."""
    z = z.float()
    return z.logsumexp(-1) - z.gather(-1, y[:, None])[:, 0]


def bounded(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return -log(1 - p_y): push the gold token down, and stop by itself once it is down.

    Computing 1 - p_y first is infinite in float32 as soon as the gold logit leads by about 17, which
    is exactly where a model has overfitted. With r = logsumexp of the other logits,

        -log(1 - p_y) = log(e^{z_y} + e^r) - r = softplus(z_y - r),

    exact at both ends. Its gradient in z is p - q: at most sqrt(2) in norm, and 0 as p_y goes to 0.

    >>> import torch
    >>> bounded(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # p_y = 1/2
    tensor([0.6931])
    >>> bounded(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))  # the naive form says inf
    tensor([40.])
    """
    from torch.nn.functional import softplus

    z = z.float()
    gold = z.gather(-1, y[:, None])
    rest = z.scatter(-1, y[:, None], float("-inf")).logsumexp(-1)
    return softplus(gold[:, 0] - rest)


def gradient_ascent(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return log p_y: the unbounded forgetting that `bounded` replaces. It never stops; for comparison."""
    return -cross_entropy(z, y)


def forward_kl(z_reference: Float[Tensor, "N V"], z: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Return KL(reference || current) over the vocabulary: keep what the model believed before."""
    log_o, log_p = z_reference.float().log_softmax(-1), z.float().log_softmax(-1)
    return (log_o.exp() * (log_o - log_p)).sum(-1)


def token_mean(values: Float[Tensor, " N"], weight: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """Return the mean of weight × value over the positions that count; 0 (with a gradient) when none does.

    Dividing by the sum of the weights would take back, batch by batch, what the weights say: a batch of one row
    would not notice the weight of its row at all.
    """
    return (values * weight).sum() / (weight > 0).sum().clamp_min(1)


def chunked(
    objective: Callable[..., Tensor], weight: Float[Tensor, " N"], *tensors: Tensor, chunk: int = 256
) -> Float[Tensor, ...]:
    """Return `token_mean(objective(*tensors), weight)` over chunks of positions.

    The objective of a chunk builds its logits itself and is recomputed in the backward pass, so the
    (N, V) matrix never exists, forward or backward. It returns (n,), or (n, k) for k terms that share
    their logits. What fits into one chunk is not recomputed: that would save nothing. At 256 positions and
    49,152 tokens float32 logits take 50 MB, and several such stand side by side.
    """
    from torch.utils.checkpoint import checkpoint

    def part(start: int) -> Tensor:
        slices = [t[start : start + chunk] for t in tensors]
        if len(weight) <= chunk:
            return objective(*slices)
        return checkpoint(objective, *slices, use_reentrant=False)

    total = sum(weight[s : s + chunk] @ part(s) for s in range(0, len(weight), chunk))
    return total / (weight > 0).sum().clamp_min(1)
