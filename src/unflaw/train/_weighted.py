"""Drop-in parts for people's own `transformers.Trainer`s: rows that weigh, and dynamics that are recorded.

    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, TrainingArguments
    from unflaw.train import WeightedCollator, WeightedTrainer

    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name)
    rows = dataset.map(lambda row: tokenised(row))          # input_ids, labels, and the file's own `weight`
    trainer = WeightedTrainer(
        model=model, args=TrainingArguments("out"), train_dataset=rows,
        data_collator=WeightedCollator(DataCollatorForSeq2Seq(tokenizer)),
    )
    trainer.train()

`class WeightedSFT(WeightedLoss, SFTTrainer): pass` does the same for trl.

Heavy at import; rooms import it inside functions.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback

from unflaw._errors import SettingsError
from unflaw.models import as_judge
from unflaw.train._dynamics import forget_epochs, record_epoch

__all__ = ["RecordDynamics", "WeightedCollator", "WeightedLoss", "WeightedTrainer"]

WEIGHT = "weight"
_NEITHER = "`WeightedLoss` is for causal language models and sequence classifiers of one label; this is neither"
Collator = Callable[[list[dict[str, Any]]], Mapping[str, Any]]


class WeightedCollator:
    """Any collator, with the rows' `weight` kept beside what it makes: (B,) float32, 1 where a row has none.

    A batch of which no row has one gets none: training refuses it, as rows that were packed or rebuilt lost theirs.
    Raises SettingsError for a weight that is negative, infinite or nan; `with_format("torch")` makes nan of none.
    """

    def __init__(self, collate: Collator) -> None:
        self._collate = collate

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        batch = dict(self._collate([{k: v for k, v in f.items() if k != WEIGHT} for f in features]))
        if any(WEIGHT in f for f in features):
            weights = [1.0 if f.get(WEIGHT) is None else float(f[WEIGHT]) for f in features]
            if wrong := [w for w in weights if not 0 <= w < math.inf]:
                raise SettingsError(f"`weight` must be a number of 0 or more in every row, got {wrong[0]}")
            batch[WEIGHT] = torch.tensor(weights)
        return batch


class WeightedLoss:
    """Put before a `Trainer` among the parents of a class: each row's cross-entropy counts by its weight.

    Of a causal model the loss is the mean over tokens that count (labels other than -100) of weight times
    cross-entropy, of a classifier the mean over rows; over all micro-batches and processes of a step, as without
    weights. Weights of mean 1 leave the size of a step as it is. `label_smoothing_factor` is heeded. The loss of an
    evaluation is weighted, too, where its rows hold a `weight`.

    Raises
    ------
    SettingsError : another loss is asked for as well, or the model is neither; at the first batch where it tells then.
    """

    model_accepts_loss_kwargs: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if getattr(self, "compute_loss_func", None) is not None:
            raise SettingsError("`compute_loss_func` is another loss than this trainer's; leave it out, or weigh in it")
        config = getattr(self.model, "config", None)  # type: ignore[attr-defined]
        if getattr(config, "is_encoder_decoder", False):
            raise SettingsError(_NEITHER)
        self.model_accepts_loss_kwargs = True  # the mean is taken here, over the whole step

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]
        columns = getattr(self, "_signature_columns", None) or []
        self._signature_columns = columns if WEIGHT in columns else [*columns, WEIGHT]

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the weighted loss, and what the model gave if asked."""
        given = {k: v for k, v in inputs.items() if k not in (WEIGHT, "labels", "skip_logits")}
        labels, weight = inputs["labels"], inputs.get(WEIGHT)
        if weight is None and model.training:
            raise SettingsError(
                "rows reached the trainer without `weight`; put `WeightedCollator` around the data collator, and pack "
                "no rows: that drops the column"
            )
        outputs = model(**given)
        named = isinstance(outputs, Mapping)
        z = outputs["logits"] if named else outputs[0]
        tags = z.dim() == 3 and not getattr(self, "_loss_shifts_labels", True)
        if tags or labels.is_floating_point() or labels.shape != z.shape[:-1]:
            raise SettingsError(_NEITHER)
        if weight is not None and len(weight) != len(labels):
            raise SettingsError(f"a batch of {len(labels)} rows has {len(weight)} weights; pack and flatten no rows")
        if named and outputs.get("aux_loss") is not None:
            raise SettingsError(
                "the model adds a loss of its own; load it with `output_router_logits=False`, and give trl "
                "`router_aux_loss_coef=0.0`"
            )
        if z.dim() == 3:  # a language model: the logits of a position are about the next token
            z, labels = z[:, :-1], labels[:, 1:]
            weight = None if weight is None else weight[:, None].expand_as(labels)
        counts = labels != -100
        smooth: float = self.args.label_smoothing_factor  # type: ignore[attr-defined]
        losses = functional.cross_entropy(z[counts].float(), labels[counts], reduction="none", label_smoothing=smooth)
        if weight is not None:
            losses = losses * weight.to(losses)[counts]
        loss = losses.sum() / (counts.sum() if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self._shares()
        return (loss, outputs) if return_outputs else loss

    def _shares(self) -> float:
        """Return `num_items_in_batch` over the items that a loss is summed over here.

        It counts those of all processes but the ones that have the same rows; under `DataParallel`, not averaged, those
        of one device, while the loss is of all.
        """
        args = self.args  # type: ignore[attr-defined]
        if args.average_tokens_across_devices:
            return float(self.accelerator.num_processes // self.get_tp_size())  # type: ignore[attr-defined]
        return 1 / max(1, args.n_gpu)


class WeightedTrainer(WeightedLoss, Trainer):  # type: ignore[misc]
    """A `Trainer` that honours a `weight` column, of causal language models and of sequence classifiers."""


class RecordDynamics(TrainerCallback):
    """Records the logits of rows after every epoch of anybody's classifier, for `unflaw curate difficulty --recorded`.

    `rows` are what the model takes, with `labels`, in any `Dataset`; `ids` name them. Other columns are left aside
    where the trainer leaves them aside, too (`remove_unused_columns`).
    """

    def __init__(
        self, rows: Any, ids: Sequence[str], folder: str | Path, collate: Collator, *, batch_size: int = 64
    ) -> None:
        if len(ids) != len(rows):
            raise SettingsError(f"`ids` must name each of the {len(rows):,} `rows`, got {len(ids):,}")
        if twice := [i for i, n in Counter(ids).items() if n > 1]:
            raise SettingsError(f"`ids` must name each row once, got {twice[0]!r} again")
        self._rows, self._ids, self._folder = rows, list(ids), Path(folder)
        self._collate, self._batch_size = collate, batch_size

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget what another training left in the folder, or one that goes on will record again."""
        if state.is_world_process_zero:
            forget_epochs(self._folder, math.floor((state.epoch or 0) + 1e-6))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask the model about all rows, its dropout off, and write what it says."""
        model, found, gold = kwargs["model"], [], []
        taken = _taken(model) if args.remove_unused_columns else None

        def collate(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
            kept = [{k: v for k, v in row.items() if taken is None or k in taken} for row in rows]
            return self._collate(kept)

        with as_judge(model):
            loader = DataLoader(  # of a generator of its own: the training's draws go on as if nobody watched
                self._rows, batch_size=self._batch_size, collate_fn=collate, generator=torch.Generator()
            )
            for batch in loader:
                given = {k: v.to(model.device) for k, v in batch.items() if k not in (WEIGHT, "labels")}
                z = model(**given).logits
                if z.dim() != 2:
                    raise SettingsError("`RecordDynamics` is for sequence classifiers; this model has other logits")
                found.append(z.float().cpu().numpy())
                gold.append(batch["labels"].numpy())
        if state.is_world_process_zero:
            epoch = math.ceil(state.epoch - 1e-6)  # the last one may be cut short
            record_epoch(self._folder, epoch, self._ids, np.concatenate(found), np.concatenate(gold).astype(np.int64))


def _taken(model: Any) -> set[str] | None:
    """Return the columns that a model takes; None where its `forward` does not name them, as one that is wrapped."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model  # adapters take anything
    named = {k for k, p in inspect.signature(whole.forward).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    return {*named, "labels", "label", "label_ids"} if named else None
