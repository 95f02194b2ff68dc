"""How much each synthetic row should count, by what a few real rows say (arXiv 2410.21526, IMP-Loss and DIMP-Loss).

A quality checker learns from the real rows, and says how likely each synthetic row's label is: a. A diversity checker
learns from the synthetic rows, and says how likely it is to those who have read the others: b. A row counts a / b.
Fitted on the very rows it is asked about, the second would know them by heart and b would be 1; so it is cross-fitted.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import DataError, SettingsError, SpecError, did_you_mean
from unflaw.curate._checkers import PROBE, Checker, find_checker, is_probe, open_checker, out_of_fold
from unflaw.curate._weights_told import weight_findings
from unflaw.data import Finding, Rows, atomic_write
from unflaw.measure import fitted_temperature, importance_weights, tempered
from unflaw.models import Encoder
from unflaw.train import (
    DIVERSITY,
    QUALITY,
    digest_of_call,
    digest_of_weights,
    label_ids,
    label_names,
    labels_of,
    normal_texts,
    problems_of_kinds,
    problems_of_labelled,
    refuse_shared,
)

__all__ = ["DIVERSITY", "METHODS", "Weights", "problems_of_weighing", "weigh"]

METHODS = ("imp", "quality", "dimp")
"""imp: a / b; quality: a alone; dimp: a, and no weight, since b is the model in training."""
N_FOLDS = 5
"""Of the real rows, to measure the quality checker."""
_OF_IMP = ("n_folds", "temperature", "cap")
"""Settings that only "imp" reads; where the trainer divides, it has a temperature and a cap of its own."""
_LEAST_DIVERSITY = 1e-6
_UNASKED = ("method", "temperature", "cap", "calibrate", "check", "wrong")
"""Settings that change nothing about what checkers are asked."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Weights:
    """What each row should count, and why."""

    ids: list[str]
    quality: Float[np.ndarray, " n"]
    """a: probability of the row's label to the quality checker."""
    diversity: Float[np.ndarray, " n"] | None
    """b: likewise to the cross-fitted diversity checker; None where the method needs none."""
    weight: Float[np.ndarray, " n"] | None
    """What the row counts; None for "dimp"."""
    findings: list[Finding]
    """`weights.checker`, `weights.quality`, and with weights `weights.spread`."""
    settings: dict[str, Any] = field(default_factory=dict)

    def on(self, rows: Rows) -> Rows:
        """Return the rows these weights are of with the columns `unflaw.quality`, `unflaw.diversity` and `weight`."""
        told = {QUALITY: self.quality, DIVERSITY: self.diversity, "weight": self.weight}
        for name in [name for name, v in told.items() if v is None]:  # of an earlier weighing
            rows = rows.without_column(name)
        return rows.with_columns_of(self.ids, {name: v.tolist() for name, v in told.items() if v is not None})


def weigh(
    rows: Rows,
    real: Rows,
    *,
    method: str = "imp",
    checker: str | Encoder = "minilm",
    n_folds: int = 2,
    temperature: float = 1.0,
    cap: float | None = None,
    calibrate: bool = False,
    check: bool = True,
    wrong: str | None = None,
    allow_shared: bool = False,
    seed: int = 0,
    device: str = "cpu",
    work: str | Path | None = None,
    progress: Progress | None = None,
    **training: Any,
) -> Weights:
    """Weigh synthetic rows by quality over diversity.

    Parameters
    ----------
    rows, real : labelled rows; `real` must hold every label of `rows`. Some hundreds of real rows do.
    method : "imp", "quality" or "dimp", see `METHODS`.
    checker : "probe:minilm", "probe:potion" or "probe:hf:…", logistic regression on fixed vectors; or "minilm",
        "hf:…", …, fine-tuned by `train.train_classifier`, which `training` is for; or an object with `encode`, probed.
    n_folds : of the diversity checker. With 2 it costs about as much as a training on `rows`; 1 is the paper's, which
        asks about rows learnt by heart. Rows of one text may lie in several folds: copies are to count less.
    temperature, cap : of "imp", see `measure.importance_weights`.
    calibrate : divide the quality checker's logits by the temperature that fits real rows it has not learnt from.
    check : measure the quality checker on real rows it has not learnt from, in five folds that share no text;
        `calibrate` needs it.
    wrong : column that is true where a label is known to be wrong: what the weights make of those is told.
    allow_shared : go on although rows share texts with `real`, whose labels the checker knows by heart.
    work : folder that keeps what each checker said, so that a call that was cut off does not ask it again.
    progress : called with (stage, done, total).

    Raises
    ------
    SettingsError : all settings and rows that break their rule, together; settings that would change nothing, too.
    DataError : rows share texts with `real`.
    """
    settings = {
        "method": method, "checker": checker, "n_folds": n_folds, "temperature": temperature, "cap": cap,
        "calibrate": calibrate, "check": check, "wrong": wrong, "seed": seed, "device": device, **training,
    }  # fmt: skip
    problems = problems_of_weighing(settings, rows, real)
    name = settings["checker"] = checker if isinstance(checker, str) else type(checker).__name__
    if training and is_probe(checker):
        problems.append(f"`checker` {name} is not trained step by step, and takes no {', '.join(training)}")
    if work is not None and name != checker:
        problems.append(
            f"`work` keeps what named checkers said, and cannot tell this {name} from another; leave it out"
        )
    if problems:
        raise SettingsError(problems)
    if not allow_shared:
        try:
            refuse_shared(rows=rows, real=real)
        except DataError as error:
            raise DataError(f"{error}; `allow_shared` weighs them all the same") from None
    labels = label_names(real)
    y, y_real, at = label_ids(rows, labels), label_ids(real, labels), np.arange(len(rows))

    fitted = _opener(checker, labels, seed, device, progress, training)
    how = {k: v for k, v in settings.items() if k not in _UNASKED}
    asked = _Asked(None if work is None else Path(work), name, how, rows, real)
    unseen, t = None, 1.0
    if check:
        unseen = asked(
            "unseen",
            lambda: out_of_fold(
                fitted("quality checker, on folds"), real, y_real, len(labels), N_FOLDS, seed, texts=normal_texts(real)
            ),
        )
        t = fitted_temperature(unseen, y_real) if calibrate else 1.0
    a = tempered(asked("quality", lambda: fitted("quality checker")(real)(rows)), t)[at, y]
    b = None
    if method == "imp":
        asked_of = asked(
            "diversity", lambda: _diversity(fitted("diversity checker"), rows, y, len(labels), n_folds, seed)
        )
        b = np.maximum(asked_of[at, y], _LEAST_DIVERSITY)
    weight = (
        None if method == "dimp" else a if b is None else importance_weights(a, b, temperature=temperature, cap=cap)
    )
    known = None if wrong is None else _marked(rows, wrong)
    settings |= {"n_rows": len(rows), "n_real": len(real), "labels": labels, "quality_temperature": t}
    findings = weight_findings(rows, labels, y, a, b, weight, unseen, y_real, known, settings)
    return Weights(rows.ids, a, b, weight, findings, settings)


def _opener(
    checker: str | Encoder, labels: list[str], seed: int, device: str, progress: Progress | None, training: Any
) -> Callable[[str], Checker]:
    """Return what opens the checker of a stage; a probe is the same for all, so that it encodes no text twice."""
    if is_probe(checker):
        probe = cache(lambda: open_checker(checker, labels, seed=seed, device=device))
        return lambda _: probe()

    def fitted(stage: str) -> Checker:
        tell = None if progress is None else lambda done, total: progress(stage, done, total)
        return open_checker(checker, labels, seed=seed, device=device, progress=tell, **training)

    return fitted


def _diversity(checker: Checker, rows: Rows, y: Int[np.ndarray, " n"], n_classes: int, n_folds: int, seed: int) -> Any:
    """Return what checkers say of rows; of one fold, those they learnt from."""
    return checker(rows)(rows) if n_folds == 1 else out_of_fold(checker, rows, y, n_classes, n_folds, seed)


class _Asked:
    """What checkers said, kept in a folder by what they were asked."""

    def __init__(self, work: Path | None, checker: str, *given: Any) -> None:
        self._work = work
        self._name = "" if work is None else digest_of_call(digest_of_weights(checker.removeprefix(PROBE)), *given)

    def __call__(self, stage: str, make: Callable[[], Float[np.ndarray, "n K"]]) -> Float[np.ndarray, "n K"]:
        """Return what is kept of a stage, or ask."""
        if self._work is None:
            return make()
        path = self._work / f"{stage}-{self._name}.npy"
        if path.exists():
            return np.asarray(np.load(path))
        told = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "wb") as file:
            np.save(file, told)
        return told


def problems_of_weighing(settings: Mapping[str, Any], rows: Rows, real: Rows) -> list[str]:
    """Name all settings and rows that break their rule."""
    problems = _problems_of_rows(settings, rows, real)
    if settings["method"] not in METHODS:
        problems.append(f"`method` knows no {settings['method']!r}. {did_you_mean(settings['method'], METHODS)}")
    elif settings["method"] != "imp":
        usual = inspect.signature(weigh).parameters
        idle = [name for name in _OF_IMP if settings.get(name, usual[name].default) != usual[name].default]
        problems += [f"`{name}` changes nothing under `method` {settings['method']}" for name in idle]
    if settings["n_folds"] < 1:
        problems.append(f"`n_folds` must be at least 1, got {settings['n_folds']}")
    for name in ("temperature", "cap"):
        if settings[name] is not None and not 0 < settings[name] < math.inf:
            problems.append(f"`{name}` must be a positive number, got {settings[name]}")
    if settings["calibrate"] and not settings["check"]:
        problems.append("`calibrate` reads what `check` measures; leave `check` on")
    try:
        find_checker(settings["checker"])
    except SpecError as error:
        problems.append(f"`checker`: {error}")
    return problems


def _problems_of_rows(settings: Mapping[str, Any], rows: Rows, real: Rows) -> list[str]:
    problems = problems_of_labelled(rows, "rows", weighted=False) + problems_of_labelled(real, "real", weighted=False)
    if not problems and (bare := sorted(set(label_names(rows)) - set(label_names(real)))):
        problems.append(f"`real` must hold every label of `rows`, got no row of {bare}: theirs would all weigh nothing")
    problems += problems_of_kinds(rows=rows, real=real)
    if not problems:
        problems += _problems_of_folds(settings, rows, real)
    wrong, columns = settings["wrong"], rows.table.column_names
    if wrong is not None and wrong not in columns:
        problems.append(f"`wrong` must name a column of the rows, got {wrong!r}. {did_you_mean(wrong, columns)}")
    elif wrong is not None and any(_truth(v) is None for v in rows.column(wrong)):
        problems.append(f"`wrong` must be true or false in every row, and `{wrong}` is not")
    return problems


def _problems_of_folds(settings: Mapping[str, Any], rows: Rows, real: Rows) -> list[str]:
    """Say which labels have too few rows to lie in every fold."""
    asked: list[tuple[str, list[str], Counter[str | None], int, str]] = []
    if settings["method"] == "imp" and settings["n_folds"] > 1:
        counts = Counter(labels_of(rows))
        asked.append(("`rows` must hold {} rows", label_names(rows), counts, settings["n_folds"], "take `n_folds` 1"))
    if settings["check"]:
        first: dict[str, str | None] = {}
        for text, label in zip(normal_texts(real), labels_of(real), strict=True):
            first.setdefault(text, label)
        counts = Counter(first.values())
        asked.append(("`real` must hold {} texts", label_names(real), counts, N_FOLDS, "leave `check` off"))
    return [
        f"{what.format(n)} of every label, one for each fold, got {counts[label]} of {label!r}; add some, or {way}"
        for what, labels, counts, n, way in asked
        for label in labels
        if counts[label] < n
    ]


def _marked(rows: Rows, wrong: str) -> Bool[np.ndarray, " n"]:
    return np.array([_truth(value) for value in rows.column(wrong)], dtype=bool)


def _truth(value: Any) -> bool | None:
    """Read a mark, which a CSV holds in words; None for what is none."""
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
