"""The guard: watches held-out real rows, keeps the best or the last good weights, stops before anything is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from unflaw._errors import SettingsError
from unflaw.models import as_judge, inside, is_split, most_tokens, plain_generation, resplit
from unflaw.train import Encoded, RowSet, from_main, head_of, hidden_at, is_main_process, per_position
from unflaw.train.losses import cross_entropy

__all__ = ["Guard", "guard_over", "mean_log_perplexity", "prefixes_of", "repetition"]


def mean_log_perplexity(model: Any, encoded: Sequence[Encoded], pad_id: int, part_tokens: int = 2048) -> float:
    """Mean over rows of the row's mean negative log-probability, in nats per token.

    `part_tokens` go through the model at once, and at least one row.
    """
    import torch

    head, values = head_of(model), []
    rows = RowSet("guard", encoded, pad_id, part_tokens)
    with as_judge(model):
        for part in rows.parts(range(len(encoded))):
            batch = part.to(next(model.parameters()).device).batch
            nll, row = inside(model, partial(_losses, model, batch, head))
            n_rows = len(batch["input_ids"])
            sums = torch.zeros(n_rows, device=nll.device).index_add_(0, row, nll)
            values += (sums / torch.bincount(row, minlength=n_rows)).tolist()
    return sum(values) / len(values)


def _losses(model: Any, batch: dict[str, Any], head: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the negative log-probability of each token that counts, and the row it stands in."""
    h, y, _, row = hidden_at(model, batch)
    return per_position(lambda h, y: cross_entropy(head(h), y), h, y), row


def prefixes_of(encoded: Sequence[Encoded], n: int = 6, most: int = 48) -> list[list[int]]:
    """Return what the first n rows give a model to go on from: the prompt, or a text's first twelve tokens."""
    starts = [next(i for i, w in enumerate(e.weight) if w > 0) for e in encoded[:n]]
    return [e.ids[: at if at > 1 else 12][-most:] for e, at in zip(encoded, starts, strict=False)]


def repetition(
    model: Any, prefixes: Sequence[Sequence[int]], pad_id: int, ends: Sequence[int], n_new: int = 24
) -> float:
    """Share of three-token runs that occurred before in the same greedy answer, averaged over answers.

    Perplexity under teacher forcing does not see a model that goes in circles; this does. An answer goes up to the
    first token that `ends` it. Of a prefix that leaves no room in the model's context its last tokens are read.
    """
    import torch
    from transformers import GenerationConfig

    if room := most_tokens(model):
        prefixes = [prefix[-max(room - n_new, 1) :] for prefix in prefixes]
    width = max(map(len, prefixes))
    padded = [[pad_id] * (width - len(p)) + list(p) for p in prefixes]
    mask = [[0] * (width - len(p)) + [1] * len(p) for p in prefixes]
    device = next(model.parameters()).device
    greedy = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=n_new, do_sample=False, pad_token_id=pad_id, eos_token_id=list(ends) or None
    )
    with as_judge(model), plain_generation(model):
        out = model.generate(
            input_ids=torch.tensor(padded, device=device), attention_mask=torch.tensor(mask, device=device),
            generation_config=greedy,
        )  # fmt: skip
    resplit(model)
    return sum(_repeated(row[width:], ends) for row in out.tolist()) / len(prefixes)


def _repeated(tokens: Sequence[int], ends: Sequence[int]) -> float:
    said = list(takewhile(lambda token: token not in ends, tokens))
    runs = list(zip(said, said[1:], said[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


_MEASURED: Mapping[str, Callable[[str], Any]] = {"start": float, "kept": float, "repeated": float, "kept_step": int}
"""What stands in the file beside the weights that were kept."""


class Guard(TrainerCallback):
    """Measures the guard rows every `every` steps; `restore` puts back the weights that were kept.

    With `keep` best these have the lowest guard perplexity, the untouched ones included; with last they are the last
    that were within the ceiling. Either way what comes back is never above `ceiling` times the perplexity before
    repair, whatever the training did. Weights that make the model go in circles (`repeats`, where given) are never
    kept, and end the run.
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
        repeats: Callable[[Any], float] | None = None,
        repetition_rise: float = 0.3,
        keep: str = "best",
    ) -> None:
        self._measure, self._path, self._every = measure, path, every
        self._ceiling, self._patience, self._on_check = ceiling, patience, on_check
        self._repeats, self._rise = repeats or (lambda model: 0.0), repetition_rise
        self._last = keep == "last"
        self.spoilt = False
        """Whether the run ended with weights over the ceiling, or that go in circles."""
        self.start = self.kept = math.inf
        self.repeated = 0.0
        self.kept_step = 0
        self.stopped = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Measure the model as it came, or take up what the run that was cut off had measured.

        Raises SettingsError where that is gone: what the checkpoint holds may be over the ceiling already.
        """
        if not math.isinf(self.start):
            return
        if not state.global_step:
            self.begin(model)
        elif self._path.exists():
            self._go_on()
        else:
            raise SettingsError(
                f"`resume` goes on from step {state.global_step}, but `{self._path}`, what the guard kept until then, "
                "is gone; begin anew"
            )

    def begin(self, model: Any) -> None:
        """Measure the model as it came."""
        self.start = self.kept = self._measure(model)
        self.repeated = self._repeats(model)
        self._on_check(0, self.start)
        self._keep(model, 0)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look where it is time to, and stop the run where there is a reason."""
        if state.global_step % self._every and state.global_step != state.max_steps:
            return
        self.look(model, state.global_step)
        control.should_training_stop |= bool(self.stopped)
        control.should_save &= not self.stopped  # who goes on from an earlier step finds the reason again

    def look(self, model: Any, step: int) -> None:
        """Measure; keep the weights if they are good, and say why to stop if they are not."""
        value = self._measure(model)
        self._on_check(step, value)
        repeated = self._repeats(model)
        self._judge(value, repeated, step)
        if not self.spoilt and (self._last or value < self.kept):
            self.kept = value
            self._keep(model, step)
        if not (self._last or self.spoilt) and step - self.kept_step >= self._patience * self._every:
            self.stopped = f"guard perplexity has not improved since step {self.kept_step}"

    def _judge(self, value: float, repeated: float, step: int) -> None:
        ratio = math.exp(min(value - self.start, 700.0)) if math.isfinite(value) else math.nan
        if not ratio <= self._ceiling:  # not a number is over any ceiling
            self.stopped = f"guard perplexity reached {ratio:.2f} times its start at step {step}, over the ceiling"
        elif repeated > self.repeated + self._rise:
            self.stopped = (
                f"at step {step} the model goes in circles: {repeated:.2f} of what it writes is repetition, "
                f"{self.repeated:.2f} at the start. Forget less: lower w_forget or the learning rate"
            )
        self.spoilt = bool(self.stopped)

    def _keep(self, model: Any, step: int) -> None:
        from safetensors.torch import save_file

        self.kept_step = step
        if not (is_main_process() or is_split(model)):
            return
        trainable = {n: _held(p).contiguous() for n, p in model.named_parameters() if p.requires_grad}
        scratch = self._path.with_suffix(".tmp")
        save_file(trainable, scratch, {name: repr(getattr(self, name)) for name in _MEASURED})
        scratch.replace(self._path)

    def _go_on(self) -> None:
        from safetensors import safe_open

        with safe_open(self._path, "pt") as kept:
            for name, kind in _MEASURED.items():
                setattr(self, name, kind(kept.metadata()[name]))

    def restore(self, model: Any) -> None:
        """Put the weights that were kept back."""
        import torch
        from safetensors import safe_open

        with safe_open(self._path, "pt") as kept, torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    _held(parameter).copy_(kept.get_tensor(name))


def guard_over(
    encoded: Sequence[Encoded], pad_id: int, ends: Sequence[int], part_tokens: int, path: Path, **settings: Any
) -> Guard:
    """Return a guard that measures these rows and how a model goes on from them; of several processes for all alike."""
    return Guard(
        from_main(partial(mean_log_perplexity, encoded=encoded, pad_id=pad_id, part_tokens=part_tokens)), path,
        repeats=from_main(partial(repetition, prefixes=prefixes_of(encoded), pad_id=pad_id, ends=ends)),
        **settings,
    )  # fmt: skip


def _held(parameter: Any) -> Any:
    """Return what this process holds of a parameter: all of it, or its part."""
    held = parameter.detach()
    return held.to_local() if hasattr(held, "to_local") else held
