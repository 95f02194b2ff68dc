"""Pure objectives: logits, targets and weights in, numbers out. Read at the call site: `losses.bounded(...)`.

Notation
    z        logits of one position, shape [V]
    y        the gold next token of that position
    p        softmax(z), so p_y is the probability of the gold token
    q        softmax of z without its gold entry, q_y = 0
    e_y      the unit vector of the gold token
    s        log p of all counted tokens of one row, shape [B]; n their number
    o, s_o   p and s under the reference: the model before training
    N, V, B  positions that count, vocabulary size, rows

Objectives of tokens return one value per position, those of rows one value per row, both in nats and to be
minimised. Of a classifier, V are classes and a position is a row.
Tokens are averaged over the tokens that count, so that a weight in front of a term means the same whatever
the batch, its padding, or the length of its rows; rows over rows, where `npo` and `dpo` push a long row as often as it
has tokens.

References
----------
    Chen et al. 2024, "Unveiling the Flaws" (arXiv 2406.12397): the three-term objective, `bounded`.
    Welleck et al. 2020, "Neural text generation with unlikelihood training": -log(1 - p_y).
    Yao et al. 2023, "Large Language Model Unlearning" (arXiv 2310.10683): `ga`.
    Maini et al. 2024, "TOFU" (arXiv 2401.06121): `ga` with replay (gradient difference), and with `forward_kl`.
    Gu et al. 2023, "MiniLLM" (arXiv 2306.08543): `reverse_kl`.
    Zhang et al. 2024, "Negative Preference Optimization" (arXiv 2404.05868): `npo`.
    Fan et al. 2024, "Simplicity Prevails" (arXiv 2410.07163): `simnpo`.
    Wang et al. 2025, "Rethinking LLM Unlearning Objectives" (arXiv 2502.19301): `wga`.
    Dong et al. 2024, "UNDIAL" (arXiv 2402.10052): `undial`.
    Yang 2025, "CE-U: Cross Entropy Unlearning" (arXiv 2503.01224): `ce_u`.
    Rafailov et al. 2023, "Direct Preference Optimization" (arXiv 2305.18290): `dpo`.
    Lin et al. 2017, "Focal Loss for Dense Object Detection" (arXiv 1708.02002): `focal`.
    Wang et al. 2019, "Symmetric Cross Entropy for Robust Learning with Noisy Labels" (arXiv 1908.06112):
        `reverse_cross_entropy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor
else:
    from typing import Any as Tensor

__all__ = [
    "bounded", "ce_u", "cross_entropy", "dpo", "focal", "forward_kl", "ga", "npo", "reverse_cross_entropy",
    "reverse_kl", "row_sums", "simnpo", "undial", "wga",
]  # fmt: skip


def cross_entropy(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return -log p_y: the replay term, and ordinary fine-tuning.

    As log p_y = z_y - logsumexp(z) and the gradient of logsumexp is p, its gradient in z is p - e_y.
    """
    z = z.float()
    return z.logsumexp(-1) - z.gather(-1, y[:, None])[:, 0]


def focal(z: Float[Tensor, "N V"], y: Int[Tensor, " N"], gamma: float = 1.0) -> Float[Tensor, " N"]:
    """Return -(1 - p_y)^gamma log p_y: what is known already counts less. With gamma = 0 it is `cross_entropy`.

    >>> import torch
    >>> focal(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # half of log 2
    tensor([0.3466])
    """
    value = cross_entropy(z, y)
    return (-(-value).expm1()).clamp(min=1e-12) ** gamma * value


def reverse_cross_entropy(z: Float[Tensor, "N V"], y: Int[Tensor, " N"], log_zero: float = -4.0) -> Float[Tensor, " N"]:
    """Return -sum p log t, t being 1 at the label and 0 elsewhere, with `log_zero` for log 0: -log_zero (1 - p_y).

    Bounded, so that a wrong label can pull only so hard: what a set is judged by whose labels may be wrong.
    """
    return log_zero * (-cross_entropy(z, y)).expm1()


def bounded(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return -log(1 - p_y): push the gold token down, and stop by itself once it is down.

    Computing 1 - p_y first is infinite in float32 as soon as the gold logit leads by about 17, which
    is exactly where a model has overfitted. With r = logsumexp of the other logits,

        -log(1 - p_y) = log(e^{z_y} + e^r) - r = softplus(z_y - r),

    exact at both ends. Its gradient: with v = z_y - r, d softplus(v)/dv = sigmoid(v) = p_y, dv/dz = e_y - q, so
    p_y (e_y - q) = p - q, as p = p_y e_y + (1 - p_y) q. At most sqrt(2) in norm, and 0 as p_y goes to 0.

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


def ce_u(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return -sum q log p, q held fixed: agree with what the model would say without the gold token.

    As q sums to 1, the value is logsumexp(z) - sum q z, so its gradient in z is p - q, the same as that of `bounded`;
    only the value differs, and stays above the entropy of q.
    """
    z = z.float()
    q = z.detach().scatter(-1, y[:, None], float("-inf")).softmax(-1)
    return -(q * z.log_softmax(-1)).sum(-1)


def ga(z: Float[Tensor, "N V"], y: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return log p_y: gradient ascent, the unbounded forgetting that `bounded` replaces. It never stops.

    Its gradient in z is that of `cross_entropy` turned round, e_y - p, whose norm goes to 1 and more as p_y goes to 0.
    """
    return -cross_entropy(z, y)


def wga(z: Float[Tensor, "N V"], y: Int[Tensor, " N"], beta: float = 1.0) -> Float[Tensor, " N"]:
    """Return p_y^beta log p_y, the weight held fixed: gradient ascent that slows down where the token is unlikely.

    Its gradient in z is the fixed weight times that of `ga`, p_y^beta (e_y - p). With beta = 0 it is `ga`.
    """
    log_p = -cross_entropy(z, y)
    return (beta * log_p.detach()).exp() * log_p


def undial(
    z: Float[Tensor, "N V"], y: Int[Tensor, " N"], z_reference: Float[Tensor, "N V"], beta: float = 10.0
) -> Float[Tensor, " N"]:
    """Return -sum t log p, t = softmax(z_reference - beta e_y): learn from the reference with its gold logit lowered.

    Its gradient in z is p - t, as that of `ce_u` with t in place of q: it ends where the model agrees with t.
    """
    z_reference = z_reference.float()
    lowered = z_reference.scatter_add(-1, y[:, None], z_reference.new_full((len(y), 1), -beta))
    return -(lowered.softmax(-1) * z.float().log_softmax(-1)).sum(-1)


def npo(s: Float[Tensor, " B"], s_reference: Float[Tensor, " B"], beta: float = 0.1) -> Float[Tensor, " B"]:
    """Return -(2 / beta) log sigmoid(-beta (s - s_o)): dispreferred against the reference, row by row.

    With v = beta (s - s_o) the value is (2 / beta) softplus(v), and d softplus(v)/dv = sigmoid(v), dv/ds = beta: its
    gradient in s is 2 sigmoid(v), 1 at the start, where it is gradient ascent on the row's sum, and 0 once the row is
    far less likely than it was.

    >>> import torch
    >>> npo(torch.tensor([-3.0]), torch.tensor([-3.0]), beta=0.1)  # 20 log 2
    tensor([13.8629])
    """
    from torch.nn.functional import softplus

    return 2 / beta * softplus(beta * (s.float() - s_reference.float()))


def simnpo(s: Float[Tensor, " B"], n: Int[Tensor, " B"], beta: float = 4.5, gamma: float = 0.0) -> Float[Tensor, " B"]:
    """Return -(2 / beta) log sigmoid(-(beta / n) s - gamma): `npo` without a reference, by the mean of the tokens.

    Its gradient in s, likewise with v = beta s / n + gamma, is (2 / n) sigmoid(v).
    """
    from torch.nn.functional import softplus

    return 2 / beta * softplus(beta * s.float() / n + gamma)


def dpo(
    s_chosen: Float[Tensor, " B"],
    s_rejected: Float[Tensor, " B"],
    s_chosen_reference: Float[Tensor, " B"],
    s_rejected_reference: Float[Tensor, " B"],
    beta: float = 0.1,
) -> Float[Tensor, " B"]:
    """Return -log sigmoid(beta m), m = (s_c - s_co) - (s_r - s_ro): prefer another answer to the one to forget.

    The value is softplus(-beta m), so its gradient in m is -beta sigmoid(-beta m): in s_c that, in s_r the opposite.
    """
    from torch.nn.functional import softplus

    gained = s_chosen.float() - s_chosen_reference.float()
    lost = s_rejected.float() - s_rejected_reference.float()
    return softplus(-beta * (gained - lost))


def forward_kl(z_reference: Float[Tensor, "N V"], z: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Return KL(o || p) over the vocabulary: keep all that the model believed before.

    The value is logsumexp(z) - sum o z and what does not depend on z, so its gradient in z is p - o.
    """
    log_o, log_p = z_reference.float().log_softmax(-1), z.float().log_softmax(-1)
    return (log_o.exp() * (log_o - log_p)).sum(-1)


def reverse_kl(z_reference: Float[Tensor, "N V"], z: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Return KL(p || o): believe nothing that the model did not believe before; it may believe less.

    With dp_j/dz_i = p_j ([i = j] - p_i), its gradient in z_i is sum_j dp_j/dz_i (log p_j - log o_j + 1)
    = p_i (log p_i - log o_i - KL).
    """
    return forward_kl(z, z_reference)


def row_sums(values: Float[Tensor, " N"], row: Int[Tensor, " N"], n_rows: int) -> Float[Tensor, " B"]:
    """Add up the values of each row's positions: s from log p. A row without a position gets 0."""
    return values.new_zeros(n_rows).index_add(0, row, values)
