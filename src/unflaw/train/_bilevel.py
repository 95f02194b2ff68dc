"""Weights that are learnt beside the model: each step asks which rows of the batch make it better on other rows.

Notation
    theta    weights of the model; theta' after a step of size eta on the weighted batch
    phi      one number per row, from which its weight comes
    l_i      loss of row i of the batch
    L        loss of a batch of the other rows, the meta set

As theta' = theta - eta sum_i w_i grad l_i, dL(theta')/dw_i = -eta grad L(theta') . grad l_i(theta): a row whose
gradient points where that of the meta set does deserves more. The product with v = grad L(theta') is the slope of l_i
along v, found from two more passes forward, (l_i(theta + h v) - l_i(theta - h v)) / 2h, not by going backward twice.

Both methods here are our variants, of one loop: in the papers the loops differ in ways we could not read.

References
----------
    Hu et al. 2019, "Learning Data Manipulation for Augmentation and Weighting" (arXiv 1910.12795): w is the softmax of
        phi over the batch, and the meta set real.
    Gao et al. 2023, "Self-Guided Noise-Free Data Generation" (arXiv 2205.12679), SunGen: w is phi, in [0, 1], and the
        meta set synthetic, so that L must bear wrong labels (`losses.reverse_cross_entropy`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unflaw.models import as_judge
from unflaw.train._labelled import LabelledBatch
from unflaw.train.losses import cross_entropy, reverse_cross_entropy

__all__ = ["BILEVEL", "RowWeights"]

BILEVEL = {"hu": cross_entropy, "sungen": reverse_cross_entropy}
"""Method → loss of the meta set."""
_KEPT = 0.999
"""Of the mean of a row's squared gradients, what is kept at each step."""
_REACH = 0.01
"""How far the weights are moved along v to find a slope, as a norm."""


class RowWeights:
    """One weight per row, learnt as the model learns.

    Each row has a step of its own, by how large its gradients were when its batches came (Adam without momentum, row by
    row): with one for all, a row that is met late would jump.
    """

    def __init__(self, method: str, n_rows: int, *, step_size: float, learning_rate: float) -> None:
        """Begin with equal weights. `step_size` is eta, `learning_rate` that of phi."""
        import torch

        self.method, self.step_size, self.learning_rate = method, step_size, learning_rate
        self.phi = torch.full((n_rows,), 0.0 if method == "hu" else 1.0)
        self._squares, self._met = torch.zeros(n_rows), torch.zeros(n_rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on."""
        return {"phi": self.phi, "squares": self._squares, "met": self._met}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.phi, self._squares, self._met = state["phi"], state["squares"], state["met"]

    def weights(self, rows: list[int]) -> Any:
        """Return the weights of the rows of a batch, of mean 1 for "hu"."""
        return self._of(self.phi[rows])

    def _of(self, phi: Any) -> Any:
        return phi.softmax(0) * len(phi) if self.method == "hu" else phi

    def learn(self, model: Any, batch: LabelledBatch, meta: LabelledBatch, losses: Callable[[Any, Any], Any]) -> Any:
        """Move phi by what the rows do for the meta set; return the new weights of the batch, without a gradient.

        `losses(model, batch)` gives l_i. The model is as it was afterwards, its dropout off meanwhile.
        """
        import torch

        own = [p for p in model.parameters() if p.requires_grad]
        fixed = batch.weight.cpu()
        phi = self.phi[batch.rows].requires_grad_()
        w = self._of(phi)
        with as_judge(model), torch.enable_grad():
            slopes = self._slopes(model, own, w.detach() * fixed, batch, meta, losses)
        (-self.step_size * slopes * fixed * w).mean().backward()
        self._move_phi(batch.rows, phi.grad)
        return self.weights(batch.rows).to(batch.weight.device)

    def _move_phi(self, rows: list[int], gradient: Any) -> None:
        self._met[rows] += 1
        self._squares[rows] = _KEPT * self._squares[rows] + (1 - _KEPT) * gradient**2
        size = (self._squares[rows] / (1 - _KEPT ** self._met[rows])).sqrt()
        self.phi[rows] -= self.learning_rate * gradient / (size + 1e-12)
        if self.method == "sungen":
            self.phi.clamp_(0.0, 1.0)

    def _slopes(
        self, model: Any, own: list[Any], w: Any, batch: LabelledBatch, meta: LabelledBatch,
        losses: Callable[[Any, Any], Any],
    ) -> Any:  # fmt: skip
        """Return grad L(theta') . grad l_i(theta) for each row of the batch."""
        import torch

        before = [p.detach().clone() for p in own]
        loss = (w.to(batch.weight.device) * losses(model, batch)).mean()
        steps = torch.autograd.grad(loss, own, allow_unused=True)
        _move(own, before, steps, -self.step_size)
        judged = BILEVEL[self.method](type(model).forward(model, **meta.batch).logits, meta.y).mean()
        v = torch.autograd.grad(judged, own, allow_unused=True)
        norm = float(torch.stack([g.norm() for g in v if g is not None]).norm()) or 1.0
        with torch.no_grad():
            ends = []
            for h in (_REACH / norm, -_REACH / norm):
                _move(own, before, v, h)
                ends.append(losses(model, batch).float().cpu())
            _move(own, before, v, 0.0)
        return (ends[0] - ends[1]) / (2 * _REACH / norm)


def _move(own: list[Any], before: list[Any], direction: Any, size: float) -> None:
    """Put the weights at before + size * direction."""
    import torch

    with torch.no_grad():
        for p, start, step in zip(own, before, direction, strict=True):
            p.copy_(start if step is None or not size else start + size * step)
    torch.clear_autocast_cache()  # or a pass in bfloat16 would go on with the weights as they were before
