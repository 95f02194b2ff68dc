"""One Hugging Face `Trainer` for every objective: it owns checkpoints, resume, schedules and reporting.

Heavy at import; rooms import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

__all__ = ["Plan", "StepLog", "build_trainer"]

Objective = Callable[[Any, Any], dict[str, Any]]
"""(model, batch) → named terms, "loss" among them; each a scalar tensor."""


class Plan(Dataset):  # type: ignore[type-arg]
    """Every batch of the run, fixed before the first step, so that a resumed run sees the same ones."""

    def __init__(self, batches: Sequence[Any], build: Callable[[Any], Any]) -> None:
        self._batches, self._build = batches, build

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Any:
        return self._build(self._batches[step])


class ObjectiveTrainer(Trainer):
    """Calls an objective with the whole batch, and logs its terms each step."""

    objective: Objective

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        terms = self.objective(model, inputs)
        if model.training:
            self._terms = {name: float(value.detach()) for name, value in terms.items()}
        return (terms["loss"], None) if return_outputs else terms["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        terms = getattr(self, "_terms", {}) if "loss" in logs else {}
        super().log({**logs, **terms}, *args, **kwargs)


class StepLog(TrainerCallback):
    """Hands every step's terms to a plain function."""

    def __init__(self, on_step: Callable[[dict[str, float]], None]) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._on_step({"step": state.global_step, **logs})


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
    report_to: str = "none",
    device: str = "cpu",
) -> ObjectiveTrainer:
    """Return a trainer that takes one step per planned batch.

    `warmup` is a share of all steps. `save_every` counts steps between resumable checkpoints, 0 for none.
    """
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=len(plan),
        per_device_train_batch_size=1,  # a planned batch is one item
        train_sampling_strategy="sequential",
        learning_rate=learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=round(warmup * len(plan)),
        weight_decay=0.0,
        logging_steps=1,
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 500,
        save_total_limit=1,
        report_to=report_to,
        remove_unused_columns=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=device == "cpu",
        seed=seed,
        data_seed=seed,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # on several cards Trainer would wrap the model in DataParallel
    steps = [StepLog(on_step)] if on_step else []
    trainer = ObjectiveTrainer(
        model=model,
        args=arguments,
        train_dataset=plan,
        data_collator=lambda items: items[0],
        callbacks=[*steps, *callbacks],
    )
    trainer.objective = objective
    for noisy in ("PrinterCallback", "ProgressCallback"):
        for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == noisy]:
            trainer.remove_callback(callback)
    return trainer
