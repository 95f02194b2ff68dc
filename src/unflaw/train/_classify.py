"""A sequence classifier trained on labelled rows, each counting as much as it deserves."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SettingsError, did_you_mean
from unflaw.data import Rows
from unflaw.measure import accuracy, cells, confusion, importance_weights, macro_f1
from unflaw.models import class_logits, most_read, open_trainable_classifier
from unflaw.train._bilevel import BILEVEL, RowWeights
from unflaw.train._dynamics import forget_epochs, record_epoch
from unflaw.train._encode import plan_batches
from unflaw.train._finetune import problems_of_training, run_trainer, save_model
from unflaw.train._labelled import (
    QUALITY,
    LabelledBatch,
    LabelledSet,
    label_names,
    normal_texts,
    problems_of_kinds,
    problems_of_labelled,
    refuse_shared,
)
from unflaw.train._processes import is_main_process, processes
from unflaw.train._resume import Curve, claim
from unflaw.train.losses import cross_entropy, focal

__all__ = ["OBJECTIVES", "TrainedClassifier", "problems_of_classifier", "problems_of_quality", "train_classifier"]

OBJECTIVES = ("cross_entropy", "focal", "dimp", *BILEVEL)
"""What a classifier can be trained by; "cross_entropy" on rows whose `weight` is a / b is IMP-Loss."""


_LEAST_TOKENS = 8
_LEAST = 1e-30
"""Least probability that is divided by; the weight has a bound, although a distant one."""


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier that training wrote, and how it went."""

    path: Path
    """Loads with `from_pretrained`, and with `models.open_classifier`."""
    labels: tuple[str, ...]
    """Names of the classes, in the order of its logits."""
    curve: list[dict[str, float]]
    """One dict per step: step, loss, learning_rate, grad_norm, and the mean weight where weights are live."""
    epochs: list[dict[str, float]]
    """One dict per epoch: what the validation rows say: epoch, accuracy, macro_f1, loss. Empty without any."""
    best_epoch: int | None
    """The epoch whose weights were kept: the most accurate, of equals the one of least loss; None for the last."""
    steps: int
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    """Row id → weight that "hu" and "sungen" ended with."""


def train_classifier(
    model: str,
    rows: Rows,
    out: str | Path,
    *,
    labels: Sequence[str] | None = None,
    validation: Rows | None = None,
    objective: str = "cross_entropy",
    meta: Rows | None = None,
    gamma: float = 1.0,
    temperature: float = 1.0,
    cap: float | None = None,
    meta_step: float = 0.1,
    meta_rate: float = 0.1,
    dynamics: Rows | str | None = None,
    judge_every: int | None = None,
    epochs: float = 5.0,
    steps: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-4,
    max_tokens: int = 128,
    seed: int = 0,
    save_every: int = 0,
    resume: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    report_to: str = "none",
    on_step: Callable[[dict[str, float]], None] | None = None,
) -> TrainedClassifier:
    """Train a sequence classifier and write a checkpoint to `out`.

    The loss of a step is the mean over its rows of weight times cross-entropy (arXiv 2410.21526, IMP-Loss). The
    `weight` column of the rows is honoured, scaled to mean 1, which the paper leaves out: steps of Adam and clipped
    gradients hardly see the scale of a loss.

    Parameters
    ----------
    model : "minilm", "hf:…" with any encoder, language model or classifier, or "smollm2".
    labels : the classes; those of `rows` unless given. A classifier of the same classes goes on with its head.
    validation : rows to choose the best epoch by; the last is kept without. They are not learnt from.
    objective : "cross_entropy"; "focal"; "dimp": weights are `unflaw.quality` (see `curate.weigh`) over the model's own
        probability of the label, held fixed, new at every step and not scaled; "hu", "sungen": weights learnt beside
        the model on `meta` rows.
    meta : of "hu" real rows; of "sungen" synthetic ones, a tenth of `rows` held out unless given.
    gamma : of "focal".
    temperature, cap : of "dimp": see `measure.importance_weights`.
    meta_step, meta_rate : of "hu" and "sungen": size of the step looked ahead, and rate at which weights are learnt.
    dynamics : record the logits of these rows after every epoch, "rows" for those trained on: `train.read_dynamics`.
    judge_every : steps that count as an epoch to `validation` and `dynamics`; those of a pass over the rows unless
        given.
    epochs : times every row is seen.
    steps : optimiser steps; overrides `epochs`.
    learning_rate : at the first step; it falls to 0 along a line.
    max_tokens : longer texts are cut.
    save_every, resume, device, precision, report_to : as in `finetune`.

    Raises
    ------
    SettingsError : all settings and rows that break their rule, together.
    DataError : `validation` or `meta` share texts with the rows, or with each other.
    """
    labels = None if labels is None else [str(label) for label in labels]
    settings = {
        k: v for k, v in locals().items() if k not in ("rows", "out", "on_step", "validation", "meta", "dynamics")
    }
    watched = rows if isinstance(dynamics, str) else dynamics
    _refuse(settings, rows, validation, meta, dynamics)
    from unflaw.train._trainer import EpochEnd, Plan, build_trainer

    out, state = Path(out), processes(device)
    names = list(labels or label_names(rows))
    net, tokenizer, goes_on = open_trainable_classifier(model, names, device, seed=seed)
    names = [str(net.config.id2label[k]) for k in range(len(names))]
    tokenizer.model_max_length = max_tokens = min(max_tokens, most_read(net, tokenizer))

    def encoded(of: Rows, **how: Any) -> LabelledSet:
        return LabelledSet.of(of, names, net, tokenizer, max_tokens, **how)

    learnt, outer = encoded(rows, weighted=objective != "dimp"), None if meta is None else encoded(meta, weighted=False)
    if objective == "sungen" and outer is None:
        learnt, outer = _apart(learnt, normal_texts(rows), seed)
    judged = None if validation is None else encoded(validation, weighted=False)
    recorded = None if watched is None else encoded(watched, weighted=False)
    with state.main_process_first():
        asked = {"validation": validation, "meta": meta, "dynamics": watched}  # whose weights nobody reads
        sets = {"rows": rows, **{n: None if of is None else of.without_column("weight") for n, of in asked.items()}}
        done = claim(out, settings, sets, resume=resume)
    per_epoch = math.ceil(len(learnt) / batch_size)
    n_steps, per_epoch = steps or math.ceil(epochs * per_epoch), judge_every or per_epoch
    rng = np.random.default_rng(seed)
    batches = plan_batches(learnt.lengths, batch_size, n_steps, rng)
    others = plan_batches(outer.lengths, batch_size, n_steps, rng) if outer else [[]] * n_steps
    curve = Curve(
        out / "curve.jsonl" if save_every else None, done, lambda step: on_step and on_step({**step, "total": n_steps})
    )
    kept = _Kept(out, _epochs_done(done, per_epoch, n_steps), dynamics=watched is not None)

    def built(step: tuple[list[int], list[int]], rank: int, world: int) -> list[list[Any]]:
        return [[learnt.batch(step[0], rank, world), *([outer.batch(step[1])] if outer else [])]]

    def at_epoch(epoch: int) -> None:
        if recorded is not None:
            z = class_logits(net, recorded.features)
            if is_main_process():
                record_epoch(out / "training_dynamics", epoch, recorded.ids, z, recorded.y)
        if judged is not None and kept.judge(epoch, judged.y, class_logits(net, judged.features)):
            save_model(net, tokenizer, out, whole=False)

    rule = _Rule(objective, gamma, temperature, cap, len(learnt), meta_step, meta_rate)
    plan = Plan(list(zip(batches, others, strict=True)), built, state.num_processes)
    trainer = build_trainer(
        net, rule.terms, plan, out, learning_rate=learning_rate, seed=seed, schedule="linear", save_every=save_every,
        on_step=curve.add, device=device, precision=precision, report_to=report_to,
        callbacks=[EpochEnd(per_epoch, at_epoch)], beside=rule.rows,
    )  # fmt: skip
    seconds = run_trainer(trainer, resume=done > 0)
    if judged is None:
        save_model(net, tokenizer, out, whole=False)
    settings |= {"labels": names, "max_tokens": max_tokens, "processes": state.num_processes}
    notes = _notes(learnt, rows, objective, max_tokens, goes_on, curve)
    return TrainedClassifier(
        out, tuple(names), curve.steps, kept.epochs, kept.best, n_steps, seconds, settings, notes,
        rule.learnt(learnt.ids),
    )  # fmt: skip


class _Rule:
    """The objective: what a batch costs under the model."""

    def __init__(
        self, objective: str, gamma: float, temperature: float, cap: float | None, n_rows: int, meta_step: float,
        meta_rate: float,
    ) -> None:  # fmt: skip
        self.objective, self.gamma, self.temperature, self.cap = objective, gamma, temperature, cap
        bilevel = objective in BILEVEL
        self.rows = RowWeights(objective, n_rows, step_size=meta_step, learning_rate=meta_rate) if bilevel else None

    def terms(self, model: Any, parts: list[LabelledBatch]) -> dict[str, Any]:
        """Return the loss of a step, and the mean weight where weights are live."""
        batch, told = parts[0], {}
        weight = batch.weight
        if self.rows is not None:
            weight = weight * self.rows.learn(model, batch, parts[1], self._values)
        loss = self._values(model, batch)
        if self.objective == "dimp":
            own = (-loss.detach()).exp().clamp(min=_LEAST)  # of the label, with dropout on as in the paper
            weight = weight * importance_weights(batch.quality, own, temperature=self.temperature, cap=self.cap)
        if weight is not batch.weight:
            told["weight"] = weight.sum().detach() / batch.count
        return {"loss": (weight * loss).sum() / batch.count, **told}

    def _values(self, model: Any, batch: LabelledBatch) -> Any:
        z = type(model).forward(model, **batch.batch).logits  # not by calling it, which under DDP would come back here
        return focal(z, batch.y, self.gamma) if self.objective == "focal" else cross_entropy(z, batch.y)

    def learnt(self, ids: Sequence[str]) -> dict[str, float]:
        """Return the weights that were learnt, by row id."""
        if self.rows is None:
            return {}
        return dict(zip(ids, self.rows.weights(list(range(len(ids)))).tolist(), strict=True))


class _Kept:
    """What the validation rows said after each epoch, and the best of the epochs; kept in the folder as they come."""

    def __init__(self, out: Path, done: int, *, dynamics: bool) -> None:
        self._curve = Curve(out / "epochs.jsonl", done, lambda _: None)
        if is_main_process():
            forget_epochs(out / "training_dynamics", done if dynamics else 0)

    @property
    def epochs(self) -> list[dict[str, float]]:
        """One dict per epoch."""
        return [{"epoch": e["step"], **{k: v for k, v in e.items() if k != "step"}} for e in self._curve.steps]

    @property
    def best(self) -> int | None:
        """The best epoch so far, by accuracy, then by loss, then the earlier."""
        lost = {e["step"]: e["loss"] is None for e in self._curve.steps}  # not a number: the model fell apart
        ranked = sorted(self._curve.steps, key=lambda e: (lost[e["step"]], -e["accuracy"], e["loss"] or 0.0, e["step"]))
        return int(ranked[0]["step"]) if ranked else None

    def judge(self, epoch: int, y: Any, z: Any) -> bool:
        """Note how the model does after an epoch; return whether it has not done better before."""
        table = confusion(cells(y, z.argmax(axis=1), z.shape[1]), z.shape[1])
        top = z.max(axis=1, keepdims=True)
        loss = float((np.log(np.exp(z - top).sum(axis=1)) + top[:, 0] - z[np.arange(len(y)), y]).mean())
        self._curve.add(
            {"step": epoch, "accuracy": float(accuracy(table)), "macro_f1": float(macro_f1(table)), "loss": loss}
        )
        return self.best == epoch


def _refuse(
    settings: dict[str, Any], rows: Rows, validation: Rows | None, meta: Rows | None, dynamics: Rows | str | None
) -> None:
    problems = problems_of_classifier(settings, rows, validation, meta)
    if isinstance(dynamics, str):
        told = f"`dynamics` must be rows to record, or 'rows' for those trained on, got {dynamics!r}"
        problems += [] if dynamics == "rows" else [told]
    elif dynamics is not None and dynamics is not rows:
        names = settings["labels"] or (label_names(rows) if rows.has("label") else [])
        problems += problems_of_labelled(dynamics, "dynamics", names, weighted=False, least=1)
        problems += problems_of_kinds(rows=rows, dynamics=dynamics)
    if problems:
        raise SettingsError(problems)
    refuse_shared(rows=rows, validation=validation, meta=meta)


def _epochs_done(done: int, per_epoch: int, n_steps: int) -> int:
    """Return how many epochs lie behind a run that goes on after so many steps; one that is over may end within one."""
    return -(-done // per_epoch) if done >= n_steps else done // per_epoch


def _apart(learnt: LabelledSet, texts: Sequence[str], seed: int) -> tuple[LabelledSet, LabelledSet]:
    """Hold a tenth of the texts out as the meta set, all rows of each."""
    places: dict[str, int] = {}
    at = np.array([places.setdefault(text, len(places)) for text in texts])
    out = np.random.default_rng(seed).permutation(len(places))[: max(1, len(places) // 10)]
    held = np.isin(at, out)
    return learnt.take(np.flatnonzero(~held)), learnt.take(np.flatnonzero(held))


def _notes(
    learnt: LabelledSet, rows: Rows, objective: str, max_tokens: int, goes_on: bool, curve: Curve
) -> tuple[str, ...]:
    told = []
    if lost := [step["step"] for step in curve.steps if step["loss"] is None]:
        told.append(f"the loss is not a number from step {lost[0]} on: the model fell apart; lower the learning rate")
    if learnt.cut:
        told.append(
            f"{learnt.cut:,} of {len(rows):,} `rows` fill {max_tokens} tokens, and were cut where they have more"
        )
    if goes_on:
        told.append("the model was a classifier of these labels, and went on from its head")
    if objective == "dimp" and rows.weights() is not None:
        told.append("`objective` dimp weighs by `unflaw.quality` alone; the `weight` column was left aside")
    return tuple(told)


def problems_of_classifier(
    settings: dict[str, Any], rows: Rows | None = None, validation: Rows | None = None, meta: Rows | None = None
) -> list[str]:
    """Name all settings, and rows as far as they are given, that break their rule."""
    problems = problems_of_training({**settings, "method": "full"})
    objective, every = settings["objective"], settings.get("judge_every")
    if every is not None and every < 1:
        problems.append(f"`judge_every` must be at least 1, got {every}")
    if settings["max_tokens"] < _LEAST_TOKENS:
        problems.append(f"`max_tokens` must be at least {_LEAST_TOKENS} for a classifier, got {settings['max_tokens']}")
    if objective not in OBJECTIVES:
        problems.append(f"`objective` knows no {objective!r}. {did_you_mean(objective, OBJECTIVES)}")
    for name in ("temperature", "cap", "meta_step", "meta_rate"):
        if settings[name] is not None and not 0 < settings[name] < math.inf:
            problems.append(f"`{name}` must be a positive number, got {settings[name]}")
    if not 0 <= settings["gamma"] < math.inf:
        problems.append(f"`gamma` must not be negative, got {settings['gamma']}")
    if objective in BILEVEL and os.environ.get("WORLD_SIZE", "1") != "1":
        problems.append(f"`objective` {objective} learns a weight for each row in one process; start one")
    labels = settings["labels"]
    if labels is not None and len(set(labels)) < max(2, len(labels)):
        problems.append(f"`labels` must name two classes at least, each once, got {list(labels)}")
        labels = None
    return problems if rows is None else problems + _problems_of_rows(objective, labels, rows, validation, meta)


def _problems_of_rows(
    objective: str, labels: Sequence[str] | None, rows: Rows, validation: Rows | None, meta: Rows | None
) -> list[str]:
    least = 1 if labels else 2  # a classifier of the same labels may go on with rows of one
    problems = problems_of_labelled(rows, "rows", labels, weighted=objective != "dimp", least=least)
    if labels is None and rows.has("label"):
        labels = label_names(rows)
    for name, more in (("validation", validation), ("meta", meta)):
        problems += [] if more is None or not labels else problems_of_labelled(more, name, labels, weighted=False)
    problems += problems_of_kinds(rows=rows, validation=validation, meta=meta)
    if meta is not None and objective not in BILEVEL:
        problems.append(f"`meta` is what {' and '.join(BILEVEL)} learn weights on; `objective` {objective} reads none")
    if objective == "hu" and meta is None:
        problems.append("`objective` hu learns weights on `meta`, a few real rows; got none")
    if objective == "sungen" and meta is None and not problems and len(set(normal_texts(rows))) < 2:
        problems.append("`objective` sungen holds out a tenth of the texts of `rows`, got one text; give `meta` rows")
    return problems + (problems_of_quality(rows) if objective == "dimp" else [])


def problems_of_quality(rows: Rows) -> list[str]:
    if QUALITY not in rows.table.column_names:
        return [
            f"`objective` dimp reads the column `{QUALITY}`, which `unflaw curate weigh` writes; the rows have none"
        ]
    wrong = [q for q in rows.column(QUALITY) if not isinstance(q, (int, float)) or not 0 <= q <= 1]
    return [f"`{QUALITY}` must be a probability in every row, got {wrong[0]!r}"] if wrong else []
