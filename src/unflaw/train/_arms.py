"""Every way to train a classifier from synthetic rows and a few real ones, beside each other on the same terms.

All arms start from the same encoder and seed, take as many optimiser steps, and are judged by the same real rows after
as many of them ("after" in each of its halves), so that a difference between two of them is what they do with the rows
and nothing else.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from unflaw._errors import SettingsError, did_you_mean
from unflaw.data import ID, Rows, atomic_write
from unflaw.train._classify import TrainedClassifier, problems_of_quality, train_classifier
from unflaw.train._finetune import weight_files
from unflaw.train._labelled import (
    DIVERSITY,
    QUALITY,
    label_names,
    labels_of,
    problems_of_kinds,
    problems_of_labelled,
    refuse_shared,
    texts_of,
)
from unflaw.train._resume import digest_of_call, digest_of_weights

__all__ = ["ARMS", "problems_of_arms", "refuse_shared_by_arms", "train_arms"]

ARMS: Mapping[str, str] = {
    "plain": "synthetic rows, all alike",
    "focal": "synthetic rows, focal loss",
    "balanced": "synthetic rows, weighed so that all labels count alike",
    "quality": "synthetic rows, weighed by quality alone",
    "imp": "synthetic rows, weighed by quality over diversity",
    "dimp": "synthetic rows, weighed by quality over the model's own probability, live",
    "filter": "synthetic rows whose quality is above a threshold",
    "hu": "synthetic rows, weights learnt beside the model on the real rows",
    "sungen": "synthetic rows, weights learnt beside the model on a held-out tenth of them",
    "real": "real rows alone",
    "mix": "synthetic and real rows together",
    "after": "synthetic rows for half of the steps, then real rows",
}
"""Name → what an arm is trained on, and how."""
_DEFAULT_EPOCHS, _DEFAULT_BATCH = 5.0, 32
_RECORD = "arm.json"
"""File of an arm's folder that says how it went."""


def train_arms(
    model: str,
    synthetic: Rows,
    real: Rows,
    validation: Rows,
    out: str | Path,
    *,
    arms: Sequence[str] = tuple(ARMS),
    threshold: float | None = None,
    resume: bool = False,
    on_arm: Callable[[str, int, int], None] | None = None,
    **training: Any,
) -> dict[str, TrainedClassifier]:
    """Train arms and write each to a folder of `out` with its name.

    Parameters
    ----------
    synthetic : rows that `curate.weigh` has weighed by "imp": with `unflaw.quality`, `unflaw.diversity` and `weight`.
    real : the rows those weights come from; the test must be others.
    validation : real rows that choose the epoch of every arm.
    threshold : of "filter", what chance gives a label unless given: 1 / number of labels.
    resume : take arms that the same call has trained before as they are.
    on_arm : called with (arm, done, total) before each.
    training : of `train_classifier`, for all arms; epochs are passes over the synthetic rows.

    Raises
    ------
    SettingsError : an unknown arm, or rows that an arm could not be trained on: all at once, before the first is.
    DataError : `validation` shares texts with `synthetic` or `real`; of "hu", these two with each other.
    """
    numbers = {"batch_size": training.get("batch_size"), "steps": training.get("steps")}
    problems = [f"`{name}` must be at least 1, got {v}" for name, v in numbers.items() if v is not None and v < 1]
    if problems := problems + problems_of_arms(arms, synthetic, real, validation, threshold):
        raise SettingsError(problems)
    refuse_shared_by_arms(arms, synthetic, real, validation)
    above = _threshold(threshold, real)
    epochs, size = training.pop("epochs", _DEFAULT_EPOCHS), training.get("batch_size", _DEFAULT_BATCH)
    per_epoch = math.ceil(len(synthetic) / size)
    steps = training.pop("steps", None) or math.ceil(epochs * per_epoch)
    labels = label_names(real)
    shared = {"validation": validation, "labels": labels, "judge_every": per_epoch, **training}
    done: dict[str, TrainedClassifier] = {}
    named = digest_of_call(model, digest_of_weights(model), synthetic, real, validation, above, steps, shared)
    for n, arm in enumerate(arms):
        if on_arm is not None:
            on_arm(arm, n, len(arms))
        folder = Path(out) / arm
        if resume and (kept := _kept(folder, named)) is not None:
            done[arm] = kept
            continue
        (folder / _RECORD).unlink(missing_ok=True)  # of a model that is about to be lost
        if arm == "after":
            half = steps // 2  # of the first, too, validation rows choose the epoch
            first = train_classifier(model, _bare(synthetic), folder / "first", steps=steps - half, **shared)
            second = train_classifier(f"hf:{first.path}", _bare(real), folder, steps=max(1, half), **shared)
            done[arm] = _joined(first, second)
        else:
            rows, how = _rows_of(arm, synthetic, real, above)
            done[arm] = train_classifier(model, rows, folder, steps=steps, **how, **shared)
        with atomic_write(folder / _RECORD) as file:
            json.dump(
                {"given": named, **{f.name: getattr(done[arm], f.name) for f in fields(done[arm])}}, file, default=str
            )
    return done


def _joined(first: TrainedClassifier, second: TrainedClassifier) -> TrainedClassifier:
    """Return the second of two trainings as the end of both."""
    more = [{**step, "step": step["step"] + first.steps} for step in second.curve]
    steps = first.steps + second.steps
    return replace(
        second, curve=[*first.curve, *more], steps=steps, seconds=first.seconds + second.seconds,
        notes=tuple(dict.fromkeys([*first.notes, *second.notes])),
        settings={**second.settings, "model": first.settings["model"], "steps": steps},
    )  # fmt: skip


def refuse_shared_by_arms(arms: Sequence[str], synthetic: Rows, real: Rows, validation: Rows) -> None:
    """Refuse rows that serve two ends: those that choose the epoch, and of "hu" those that weights are learnt on.

    Raises DataError.
    """
    refuse_shared(real=real, validation=validation)
    refuse_shared(synthetic=synthetic, validation=validation)
    if "hu" in arms:
        refuse_shared(synthetic=synthetic, real=real)


def problems_of_arms(
    arms: Sequence[str], synthetic: Rows, real: Rows, validation: Rows, threshold: float | None = None
) -> list[str]:
    """Name everything that would keep an arm from being trained, before the first one is."""
    problems = []
    if threshold is not None and not 0 <= threshold < 1:
        problems.append(f"`threshold` must be a probability below 1, got {threshold}")
    if threshold is not None and "filter" not in arms:
        problems.append("`threshold` changes nothing without the arm filter; add that, or leave it out")
    problems += [f"`arms` knows no {arm!r}. {did_you_mean(arm, ARMS)}" for arm in arms if arm not in ARMS]
    if len(set(arms)) < len(arms):
        problems.append(f"`arms` must name each arm once, got {', '.join(arms)}")
    problems += problems_of_labelled(synthetic, "synthetic", weighted="imp" in arms)
    problems += problems_of_labelled(real, "real", weighted=False)
    if not problems:
        labels = label_names(real)
        if bare := sorted(set(label_names(synthetic)) - set(labels)):
            problems.append(f"`real` must hold every label of `synthetic`, got no row of {bare}; it has {labels}")
        problems += problems_of_labelled(validation, "validation", labels, weighted=False)
    problems += problems_of_kinds(synthetic=synthetic, real=real, validation=validation)
    labelled = not problems
    if by := sorted({"quality", "dimp", "filter"} & {*arms}):
        told = problems_of_quality(synthetic)
        problems += [f"{problem} (for the arms {', '.join(by)})" for problem in told]
        if "filter" in by and labelled and not told:
            least = _threshold(threshold, real)
            kept = [v for v, q in zip(labels_of(synthetic), synthetic.column(QUALITY), strict=True) if q > least]
            if len({*kept}) < 2:
                problems.append(f"`threshold` {least:.3g} must leave rows of two labels, got {len(kept)} rows")
    if "imp" in arms and (lost := [c for c in ("weight", DIVERSITY) if c not in synthetic.table.column_names]):
        source = "`unflaw curate weigh --method imp` writes it"
        problems.append(f"`synthetic` must have the column `{lost[0]}` for the arm imp; {source}")
    return problems


def _threshold(threshold: float | None, real: Rows) -> float:
    """Return the quality above which "filter" keeps a row; below what chance gives, real rows speak against a label."""
    return 1 / len(label_names(real)) if threshold is None else threshold


def _kept(folder: Path, named: str) -> TrainedClassifier | None:
    """Return an arm that was trained before, by the same call."""
    path = folder / _RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if record.pop("given", None) != named or not weight_files(folder):
        return None
    tuples = {name: tuple(record[name]) for name in ("labels", "notes")}
    return TrainedClassifier(**{**record, **tuples, "path": folder})


def _rows_of(arm: str, synthetic: Rows, real: Rows, threshold: float) -> tuple[Rows, dict[str, Any]]:
    """Return what an arm learns from, and how."""
    plain = _bare(synthetic)
    if arm == "quality":
        return plain.with_column("weight", synthetic.column(QUALITY)), {}
    if arm == "balanced":
        counts = Counter(labels_of(plain))
        return plain.with_column("weight", [1 / counts[label] for label in labels_of(plain)]), {}
    if arm == "imp":
        return plain.with_column("weight", synthetic.column("weight")), {}
    if arm == "dimp":
        return plain.with_column(QUALITY, synthetic.column(QUALITY)), {"objective": "dimp"}
    if arm == "filter":
        return plain.take([k for k, quality in enumerate(synthetic.column(QUALITY)) if quality > threshold]), {}
    if arm == "hu":
        return plain, {"objective": "hu", "meta": _bare(real)}
    rows = _bare(real) if arm == "real" else _bare(synthetic, real) if arm == "mix" else plain
    return rows, {"objective": arm} if arm in ("focal", "sungen") else {}


def _bare(*sets: Rows) -> Rows:
    """Return the texts and labels of sets, one after the other.

    Of one set rows keep their ids; those of two may be alike, and are made anew from what the rows say.
    """
    told = [row for rows in sets for row in zip(rows.ids, texts_of(rows), labels_of(rows), strict=True)]
    sides = ("text",) if isinstance(told[0][1], str) else ("premise", "hypothesis")
    records = [
        {
            **({ID: i} if len(sets) == 1 else {}),
            **dict(zip(sides, (text,) if isinstance(text, str) else text, strict=True)), "label": label,
        }
        for i, text, label in told
    ]  # fmt: skip
    return Rows.from_records(records, {name: name for name in (*sides, "label")})
