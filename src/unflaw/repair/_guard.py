"""The guard: watches held-out real rows, keeps the best weights, stops before anything is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from unflaw.train import Encoded, head_of, hidden_at, pad_batch
from unflaw.train.losses import cross_entropy

__all__ = ["Guard", "mean_log_perplexity"]


def mean_log_perplexity(
    model: Any, encoded: Sequence[Encoded], pad_id: int, batch_size: int = 16, chunk: int = 1024
) -> float:
    """Mean over rows of the row's mean negative log-probability, in nats per token."""
    import torch

    head, values = head_of(model), []
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for at in range(0, len(order), batch_size):
            batch = pad_batch([encoded[i] for i in order[at : at + batch_size]], pad_id)
            batch = {k: v.to(next(model.parameters()).device) for k, v in batch.items()}
            h, y, _ = hidden_at(model, batch)
            nll = torch.cat([cross_entropy(head(h[s : s + chunk]), y[s : s + chunk]) for s in range(0, len(y), chunk)])
            row = (batch["weight"][:, 1:] > 0).nonzero()[:, 0]
            n_rows = len(batch["input_ids"])
            sums = torch.zeros(n_rows, device=nll.device).index_add_(0, row, nll)
            values += (sums / torch.bincount(row, minlength=n_rows)).tolist()
    model.train(was_training)
    return sum(values) / len(values)


class Guard(TrainerCallback):
    """Measures the guard rows every `every` steps; `restore` puts the best weights back.

    The best weights are those with the lowest guard perplexity, the untouched ones included, so what
    comes back is never above `ceiling` times the perplexity before repair, whatever the training did.
    """

    def __init__(
        self,
        measure: Callable[[Any], float],
        path: Path,
        *,
        every: int,
        ceiling: float,
        patience: int,
        on_check: Callable[[int, float], None],
    ) -> None:
        self._measure, self._path, self._every = measure, path, every
        self._ceiling, self._patience, self._on_check = ceiling, patience, on_check
        self.start = self.best = math.inf
        self.best_step = 0
        self.stopped = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Measure the model as it came."""
        if math.isinf(self.start):
            self.start = self.best = self._measure(model)
            self._on_check(state.global_step, self.start)
            self._keep(model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Measure, keep, or stop."""
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        value = self._measure(model)
        self._on_check(state.global_step, value)
        if value < self.best:
            self.best = value
            self._keep(model, state.global_step)
        self._judge(value, state.global_step)
        control.should_training_stop |= bool(self.stopped)

    def _judge(self, value: float, step: int) -> None:
        ratio = math.exp(min(value - self.start, 700.0)) if math.isfinite(value) else math.inf
        if ratio > self._ceiling:
            self.stopped = f"guard perplexity reached {ratio:.2f} times its start at step {step}, over the ceiling"
        elif step - self.best_step >= self._patience * self._every:
            self.stopped = f"guard perplexity has not improved since step {self.best_step}"

    def _keep(self, model: Any, step: int) -> None:
        from safetensors.torch import save_file

        self.best_step = step
        trainable = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
        scratch = self._path.with_suffix(".tmp")
        save_file(trainable, scratch)
        scratch.replace(self._path)

    def restore(self, model: Any) -> None:
        """Put the best weights back and remove the file."""
        import torch
        from safetensors import safe_open

        with safe_open(self._path, "pt") as kept, torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(kept.get_tensor(name))
        self._path.unlink()
