"""One Hugging Face `Trainer` for every objective: it owns checkpoints, resume, schedules and reporting.

Heavy at import; rooms import it inside functions.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import SCHEDULER_NAME

from unflaw.models import has_bfloat16, inside, is_split
from unflaw.train._processes import processes

__all__ = ["EpochEnd", "Plan", "StepLog", "build_trainer"]

_BESIDE = "beside.pt"
"""File of a checkpoint that holds what is learnt beside the model."""
_PARTS = "parts"
"""Folder of a checkpoint that holds split weights and their moments."""
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)
Objective = Callable[[Any, list[Any]], dict[str, Any]]
"""(model, parts that go together) → named terms, "loss" among them with a gradient; a step's add up."""


class Plan(Dataset):  # type: ignore[type-arg]
    """Every step of the run, fixed before the first, so that a resumed run sees the same ones.

    `build` gives a process its parts of a step, those together that go through the model at once: `Part`s, or anything
    with `to(device)`. With several processes each step is as many items, one per process and in their order.
    """

    def __init__(self, steps: Sequence[Any], build: Callable[[Any, int, int], list[list[Any]]], world: int = 1) -> None:
        self.steps, self._build, self.world = steps, build, world

    def __len__(self) -> int:
        return len(self.steps) * self.world

    def __getitem__(self, item: int) -> list[list[Any]]:
        return self._build(self.steps[item // self.world], item % self.world, self.world)


class ObjectiveTrainer(Trainer):
    """Takes a step through an objective part by part, and logs its terms."""

    model: Any
    objective: Objective
    beside: Any = None
    optimizer: torch.optim.Optimizer
    lr_scheduler: Any

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Go forward and backward through each part; processes exchange gradients at the last one only."""
        model.train()
        terms: dict[str, Any] = defaultdict(float)
        for parts in inputs:
            with nullcontext() if parts is inputs[-1] else self.accelerator.no_sync(model):
                with self.accelerator.autocast():
                    found = self._terms_of(model, [part.to(self.args.device) for part in parts])
                self.accelerator.backward(found["loss"])
            for name, value in found.items():
                terms[name] += value.detach().float()
        told = self.accelerator.reduce(torch.stack([terms[name] for name in sorted(terms)]), "mean")
        self._terms = dict(zip(sorted(terms), told.tolist(), strict=True))
        return terms["loss"].to(self.args.device)

    def _terms_of(self, model: Any, parts: list[Any]) -> dict[str, Any]:
        inner = self.accelerator.unwrap_model(model)
        return inside(inner, lambda: self.objective(inner, parts), caller=None if inner is model else model)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights, but where they are split: their checkpoint is that of `_save_optimizer_and_scheduler`."""
        if not is_split(self.model):
            super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.beside is not None and self.args.should_save:
            torch.save(self.beside.state_dict(), Path(output_dir, _BESIDE))
        if is_split(self.model):  # each process writes what it holds
            save(self._parts(), checkpoint_id=Path(output_dir, _PARTS))
            if self.args.should_save:
                torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))
        else:
            super()._save_optimizer_and_scheduler(output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not is_split(self.model):  # else with the optimiser, which there is not yet
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint and self.beside is not None:
            self.beside.load_state_dict(torch.load(Path(checkpoint, _BESIDE), weights_only=True))
        if checkpoint and is_split(self.model):
            parts = self._parts()
            load(parts, checkpoint_id=Path(checkpoint, _PARTS))
            set_state_dict(
                self.model, self.optimizer, model_state_dict=parts["weights"], optim_state_dict=parts["moments"],
                options=_TRAINED,
            )  # fmt: skip
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint, SCHEDULER_NAME), weights_only=True))
        else:
            super()._load_optimizer_and_scheduler(checkpoint)

    def _parts(self) -> dict[str, Any]:
        """Return what this process holds of split weights and their moments."""
        weights, moments = get_state_dict(self.model, self.optimizer, options=_TRAINED)
        return {"weights": weights, "moments": moments}

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: the formula of transformers knows nothing of parts."""
        return 0

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        terms = getattr(self, "_terms", {}) if "loss" in logs else {}
        super().log({**logs, **terms}, *args, **kwargs)

    def log_aside(self, logs: dict[str, float]) -> None:
        """Log what is no step's, and leave the step's own log to come."""
        due = self.control.should_log
        self.log(logs)
        self.control.should_log = due


class StepLog(TrainerCallback):
    """Hands every step's terms to a plain function."""

    def __init__(self, on_step: Callable[[dict[str, float]], None]) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._on_step({"step": state.global_step, **logs})


class EpochEnd(TrainerCallback):
    """Calls a function with the number of each epoch that has ended, the last one also if it was cut short."""

    def __init__(self, per_epoch: int, at_epoch: Callable[[int], None]) -> None:
        self._per_epoch, self._at_epoch = per_epoch, at_epoch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._per_epoch == 0 or state.global_step == state.max_steps:
            self._at_epoch(-(-state.global_step // self._per_epoch))


def build_trainer(
    model: Any,
    objective: Objective,
    plan: Plan,
    out: Path,
    *,
    learning_rate: float,
    seed: int,
    warmup: float = 0.0,
    schedule: str = "constant_with_warmup",
    save_every: int = 0,
    on_step: Callable[[dict[str, float]], None] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    beside: Any = None,
    report_to: str = "none",
    device: str = "cpu",
    precision: str = "float32",
) -> ObjectiveTrainer:
    """Return a trainer that takes the planned steps: AdamW, no weight decay, gradients clipped to norm 1.

    `warmup` is a share of all steps. `save_every` counts steps between resumable checkpoints, 0 for none; they hold the
    `state_dict` of what is learnt `beside` the model.
    """
    if precision == "bfloat16" and not has_bfloat16(device):
        warnings.warn("`precision` bfloat16 is slow here: the device rounds in software; take float32", stacklevel=3)
    processes(device)
    n_steps = len(plan.steps)
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=n_steps,
        per_device_train_batch_size=1,  # a planned step is one item per process
        train_sampling_strategy="sequential",
        learning_rate=learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=round(warmup * n_steps),
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 500,
        save_total_limit=1,
        save_only_model=is_split(model),  # transformers cannot save the moments of split weights; see above
        report_to=report_to,
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        ddp_broadcast_buffers=False,  # processes may have different numbers of parts, and buffers do not change
        use_cpu=device == "cpu",
        bf16=precision == "bfloat16",
        seed=seed,
        data_seed=seed,
    )
    arguments.mixed_precision = "bf16" if precision == "bfloat16" else "no"  # not what a launcher's settings say
    arguments._n_gpu = min(arguments.n_gpu, 1)  # on several cards Trainer would wrap the model in DataParallel
    steps = [StepLog(on_step)] if on_step else []
    trainer = ObjectiveTrainer(
        model=model,
        args=arguments,
        train_dataset=plan,
        data_collator=lambda items: items[0],
        callbacks=[*steps, *callbacks],
    )
    trainer.objective, trainer.beside, arguments.save_only_model = objective, beside, False
    for noisy in ("PrinterCallback", "ProgressCallback"):
        for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == noisy]:
            trainer.remove_callback(callback)
    return trainer
