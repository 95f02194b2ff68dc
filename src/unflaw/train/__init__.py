"""Loops and pure objectives: fine-tuning on rows, and the losses that training and repair share."""

from typing import Any

from unflaw.train._causal import add_lora, head_of, hidden_at
from unflaw.train._encode import Encoded, encode_rows, pad_batch, plan_batches
from unflaw.train._finetune import (
    Trained,
    check_training,
    finetune,
    left_out,
    open_trainable,
    pad_id_of,
    run_trainer,
    save_model,
    usable,
)
from unflaw.train._resume import Curve, claim

__all__ = [
    "Curve",
    "Encoded",
    "Plan",
    "Trained",
    "add_lora",
    "build_trainer",
    "check_training",
    "claim",
    "encode_rows",
    "finetune",
    "head_of",
    "hidden_at",
    "left_out",
    "open_trainable",
    "pad_batch",
    "pad_id_of",
    "plan_batches",
    "run_trainer",
    "save_model",
    "usable",
]


def __getattr__(name: str) -> Any:
    if name in ("Plan", "build_trainer"):  # transformers is imported when a trainer is built, not before
        from unflaw.train import _trainer

        return getattr(_trainer, name)
    raise AttributeError(f"module 'unflaw.train' has no attribute {name!r}")
