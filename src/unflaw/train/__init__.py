"""Loops and pure objectives: fine-tuning on rows, and the losses that training and repair share."""

import importlib
from typing import Any

from unflaw.train._arms import ARMS, problems_of_arms, refuse_shared_by_arms, train_arms
from unflaw.train._causal import Counted, add_lora, head_of, head_parameters, hidden_at, hidden_at_each
from unflaw.train._classify import OBJECTIVES, TrainedClassifier, problems_of_classifier, train_classifier
from unflaw.train._dynamics import RecordedDynamics, read_dynamics, record_epoch
from unflaw.train._encode import Encoded, chats_for, encode_rows, pad_batch, plan_batches
from unflaw.train._finetune import (
    Trained,
    finetune,
    left_out,
    open_trainable,
    pad_id_of,
    problems_of_precision,
    problems_of_training,
    run_trainer,
    save_model,
    usable,
    weight_files,
)
from unflaw.train._labelled import (
    DIVERSITY,
    QUALITY,
    label_ids,
    label_names,
    labels_of,
    normal_texts,
    problems_of_kinds,
    problems_of_labelled,
    problems_of_texts,
    refuse_shared,
    texts_of,
)
from unflaw.train._parts import Part, RowSet, idle, together
from unflaw.train._processes import for_all, from_main, is_main_process, largest_count, processes
from unflaw.train._resume import Curve, claim, digest_of_call, digest_of_weights, refuse_own_folder

__all__ = [
    "ARMS",
    "DIVERSITY",
    "OBJECTIVES",
    "QUALITY",
    "Counted",
    "Curve",
    "Encoded",
    "Part",
    "Plan",
    "RecordDynamics",
    "RecordedDynamics",
    "RowSet",
    "Trained",
    "TrainedClassifier",
    "WeightedCollator",
    "WeightedLoss",
    "WeightedTrainer",
    "add_lora",
    "build_trainer",
    "chats_for",
    "claim",
    "digest_of_call",
    "digest_of_weights",
    "encode_rows",
    "finetune",
    "for_all",
    "from_main",
    "fused_mean",
    "head_of",
    "head_parameters",
    "hidden_at",
    "hidden_at_each",
    "idle",
    "is_main_process",
    "label_ids",
    "label_names",
    "labels_of",
    "largest_count",
    "left_out",
    "normal_texts",
    "open_trainable",
    "pad_batch",
    "pad_id_of",
    "per_position",
    "plan_batches",
    "problems_of_arms",
    "problems_of_classifier",
    "problems_of_kinds",
    "problems_of_labelled",
    "problems_of_precision",
    "problems_of_texts",
    "problems_of_training",
    "processes",
    "read_dynamics",
    "record_epoch",
    "refuse_own_folder",
    "refuse_shared",
    "refuse_shared_by_arms",
    "run_trainer",
    "save_model",
    "texts_of",
    "together",
    "train_arms",
    "train_classifier",
    "usable",
    "weight_files",
]


_LATER = {
    "Plan": "_trainer", "build_trainer": "_trainer", "fused_mean": "_chunks", "per_position": "_chunks",
    "RecordDynamics": "_weighted", "WeightedCollator": "_weighted", "WeightedLoss": "_weighted",
    "WeightedTrainer": "_weighted",
}  # fmt: skip
"""What needs torch or transformers, which are imported when it is asked for and not before."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"unflaw.train.{_LATER[name]}"), name)
    raise AttributeError(f"module 'unflaw.train' has no attribute {name!r}")
