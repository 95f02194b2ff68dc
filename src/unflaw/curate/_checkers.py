"""Checkers: classifiers that say how likely a row's label is. Trained in place, asked at once, not kept.

A checker is named "probe:ENCODER", logistic regression on an encoder's fixed vectors, or as a model to fine-tune, e.g.
"minilm"; anybody's own encoder is probed. On a few hundred rows a probe takes seconds and is surer of what it knows
than of what it guesses.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import DataError, SpecError
from unflaw.data import Rows
from unflaw.measure import stratified_folds
from unflaw.models import Encoder, Text, find_classifier, open_classifier, open_encoder
from unflaw.train import label_ids, texts_of, train_classifier

__all__ = ["PROBE", "Ask", "Checker", "find_checker", "is_probe", "open_checker", "out_of_fold"]

PROBE = "probe:"
"""What the name of a probe begins with."""
_INVERSE_PENALTY = 10.0

Ask = Callable[[Rows], Float[np.ndarray, "n K"]]
"""Rows → probabilities of the classes, in the order of the labels given at fitting."""
Checker = Callable[[Rows], Ask]
"""Rows to learn from → what answers about others."""
Progress = Callable[[int, int], None]


def is_probe(checker: str | Encoder) -> bool:
    """Whether a checker learns nothing but a regression on vectors."""
    return not isinstance(checker, str) or checker.startswith(PROBE)


def find_checker(checker: str | Encoder) -> None:
    """Look for what a spec names. Raises SpecError."""
    if isinstance(checker, str):
        name = checker.removeprefix(PROBE)
        open_encoder(name) if is_probe(checker) else find_classifier(name)
    elif not callable(getattr(checker, "encode", None)):
        raise SpecError(f"a checker must be named, or have `encode`, got {checker!r}")


def open_checker(
    checker: str | Encoder, labels: Sequence[str], *, seed: int = 0, device: str = "cpu",
    progress: Progress | None = None, **training: Any,
) -> Checker:  # fmt: skip
    """Return what fits a checker of these labels; `training` goes to `train.train_classifier`."""
    if isinstance(checker, str) and not is_probe(checker):
        return _FineTuned(checker, labels, device, seed, progress, training)
    encoder = open_encoder(checker.removeprefix(PROBE), device) if isinstance(checker, str) else checker
    return _Probe(encoder, labels, seed)


class _Probe:
    """Logistic regression on vectors that stay as they are; each text is encoded once."""

    def __init__(self, encoder: Encoder, labels: Sequence[str], seed: int) -> None:
        self._encoder, self._labels, self._seed = encoder, labels, seed
        self._known: dict[Text, Float[np.ndarray, " d"]] = {}

    def __call__(self, rows: Rows) -> Ask:
        from sklearn.linear_model import LogisticRegression

        y = label_ids(rows, self._labels)
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000, random_state=self._seed)
        model.fit(self._vectors(texts_of(rows)), y)

        def ask(of: Rows) -> Float[np.ndarray, "n K"]:
            p = np.zeros((len(of), len(self._labels)))
            p[:, model.classes_] = model.predict_proba(self._vectors(texts_of(of)))
            return p

        return ask

    def _vectors(self, texts: Sequence[Text]) -> Float[np.ndarray, "n d"]:
        if new := list(dict.fromkeys(text for text in texts if text not in self._known)):
            self._known |= dict(zip(new, self._encoded(new), strict=True))
        return np.array([self._known[text] for text in texts])

    def _encoded(self, texts: Sequence[Text]) -> Float[np.ndarray, "n d"]:
        """Encode texts; of a pair both sides, their difference and their product."""
        sides: list[Any] = [texts] if isinstance(texts[0], str) else list(zip(*texts, strict=True))
        vectors = [np.asarray(self._encoder.encode(list(side))) for side in sides]
        if not all(np.isfinite(of).all() for of in vectors):
            raise DataError(f"the encoder {type(self._encoder).__name__} must give finite numbers, and does not")
        if len(vectors) == 1:
            return vectors[0]
        u, v = vectors
        return np.hstack([u, v, np.abs(u - v), u * v])


class _FineTuned:
    """A sequence classifier trained in a folder that goes away."""

    def __init__(
        self, spec: str, labels: Sequence[str], device: str, seed: int, progress: Progress | None, training: Any
    ) -> None:
        self._spec, self._labels, self._progress = spec, list(labels), progress
        self._how = {"seed": seed, "device": device, **training}

    def __call__(self, rows: Rows) -> Ask:
        with tempfile.TemporaryDirectory() as folder:
            plain = rows.without_column("weight")
            trained = train_classifier(
                self._spec, plain, Path(folder), labels=self._labels, on_step=self._told, **self._how
            )
            model = open_classifier(f"hf:{folder}", self._how["device"], max_tokens=trained.settings["max_tokens"])
        columns = [model.labels.index(label) for label in self._labels]
        return lambda of: model.predict_proba(texts_of(of))[:, columns].astype(np.float64)

    def _told(self, step: dict[str, float]) -> None:
        if self._progress is not None:
            self._progress(int(step["step"]), int(step["total"]))


def out_of_fold(
    checker: Checker, rows: Rows, y: Int[np.ndarray, " n"], n_classes: int, n_folds: int, seed: int,
    *, texts: Sequence[str] | None = None,
) -> Float[np.ndarray, "n K"]:  # fmt: skip
    """Return what checkers say of rows they have not learnt from: each fold is asked of the one that learnt the rest.

    Rows of equal `texts` lie in one fold, by the label of the first of them.

    Raises
    ------
    TooFewRowsError
        A label has fewer rows, or texts, than there are folds.
    """
    of, p = stratified_folds(y, n_folds, seed, texts), np.zeros((len(y), n_classes))
    for n in range(n_folds):
        learnt, asked = (np.flatnonzero(part).tolist() for part in (of != n, of == n))
        p[asked] = checker(rows.take(learnt))(rows.take(asked))
    return p
