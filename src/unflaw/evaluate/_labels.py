"""How well a classifier tells the labels of rows it has not learnt from: accuracy and macro-F1.

Macro-F1 is no mean over rows, so an item of it is the row's cell of the confusion table: 0 … K² - 1, where K are the
classes, row by row of the right class. Value and intervals follow from those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError, SettingsError
from unflaw.data import Rows, Score
from unflaw.evaluate._interval import confusion_interval
from unflaw.evaluate._score import digest, mean_score
from unflaw.measure import cells, confusion, macro_f1, mean_of_shares
from unflaw.models import HFClassifier, Text, open_classifier
from unflaw.train import label_ids, problems_of_labelled, texts_of

__all__ = ["LabelledClassifier", "labels"]


@runtime_checkable
class LabelledClassifier(Protocol):
    """A classifier that names its classes; `models.open_classifier` gives one."""

    @property
    def labels(self) -> Sequence[str]:
        """Names of the columns of `predict_proba`."""
        ...

    def predict_proba(self, texts: Sequence[Text]) -> Float[np.ndarray, "n classes"]:
        """Return rows that sum to 1."""
        ...


def labels(
    model: str | LabelledClassifier,
    rows: Rows,
    *,
    name: str | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Measure a classifier as "labels.accuracy" and "labels.macro_f1", with 95 % intervals over rows.

    Scores of two classifiers on the same rows compare paired, see `compare`.

    Raises
    ------
    DataError
        The classifier gives other numbers of probabilities, or no numbers.
    SettingsError
        Rows without a text or a label, or with a label that the classifier does not know: all are named.
    TooFewRowsError
        Fewer than two rows.
    """
    name = (model if isinstance(model, str) else type(model).__name__) if name is None else name
    asked = open_classifier(model, device) if isinstance(model, str) else model
    classes = sorted(asked.labels)
    if problems := problems_of_labelled(rows, "rows", classes, weighted=False, least=1):
        raise SettingsError(problems)
    texts = texts_of(rows)
    own = isinstance(asked, HFClassifier) and progress is not None
    p = asked.predict_proba(texts, progress=progress) if own else asked.predict_proba(texts)  # type: ignore[call-arg]
    _refuse_no_probabilities(name, p, len(rows), len(classes))
    p = p[:, [list(asked.labels).index(c) for c in classes]]  # two classifiers may order their classes otherwise
    y, told = label_ids(rows, classes), p.argmax(axis=1)
    outputs = {i: classes[k] for i, k in zip(rows.ids, told.tolist(), strict=True)}
    said = {i: text if isinstance(text, str) else " → ".join(text) for i, text in zip(rows.ids, texts, strict=True)}
    settings = {"prompts_hash": digest([texts, y.tolist()]), "labels": classes}
    right = {i: float(hit) for i, hit in zip(rows.ids, (told == y).tolist(), strict=True)}
    cell = cells(y, told, len(classes))
    value = float(macro_f1(confusion(cell, len(classes))))
    first = mean_score("labels.accuracy", name, right, outputs=outputs, settings={**settings, "prompts": said})
    low, high = confusion_interval(cell, len(classes))
    if low == high in (0.0, 1.0):  # every resample is all right, or all wrong, too: as far as the mean recall may be
        n = np.unique(y, return_counts=True)[1].tolist()
        low, high = mean_of_shares([int(k * low) for k in n], n)
    items = dict(zip(rows.ids, cell.astype(float).tolist(), strict=True))
    second = Score(
        "labels.macro_f1", name, value, low, high, len(rows), "higher", "F1", 0, items, {},
        {**settings, "cells": len(classes)},
    )  # fmt: skip
    return [first, second]


def _refuse_no_probabilities(name: str, p: Float[np.ndarray, "n K"], n: int, n_classes: int) -> None:
    if np.shape(p) != (n, n_classes):
        got = " × ".join(map(str, np.shape(p)))
        raise DataError(f"{name} must give {n:,} × {n_classes} probabilities, rows by labels, got {got}")
    if broken := int((~np.isfinite(p).all(axis=1)).sum()):
        raise DataError(f"{name} must give finite probabilities, got others in {broken:,} of {n:,} rows")
