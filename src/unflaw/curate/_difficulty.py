"""How hard each labelled row is, by the course of training (arXiv 2410.03429): easy, ambiguous or hard.

A classifier learns the very rows that are to be described, and after each epoch says how likely each label is to it.
A second one sees only a part of each row that should not give the label away, such as the hypothesis: what it learns
all the same is an artefact. A mixture of three Gaussians over both courses names the levels. They describe rows as this
model learnt them; they are no list of wrong labels, although wrong labels mostly end up among the hard.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import DataError, SettingsError
from unflaw.curate._difficulty_told import difficulty_findings
from unflaw.curate._views import FULL, view_of
from unflaw.data import Finding, Rows, Selection
from unflaw.measure import LEAST_GRADED, LEVELS, Dynamics, dynamics, levels
from unflaw.train import (
    RecordedDynamics,
    digest_of_call,
    digest_of_weights,
    labels_of,
    problems_of_labelled,
    read_dynamics,
    train_classifier,
)

__all__ = ["LEVEL", "Difficulty", "difficulty", "problems_of_difficulty"]

_GIVEN = "given.txt"
"""File of a folder of dynamics that tells the call they are of."""
LEVEL = "unflaw.difficulty"
"""Column of a row's level."""
_NAMES = {
    "mu": "confidence",
    "sigma": "variability",
    "correctness": "correctness",
    "aum": "aum",
    "forgotten": "forgotten",
}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Difficulty:
    """Rows in three levels."""

    ids: list[str]
    level: list[str]
    """easy, ambiguous or hard, for each row."""
    p: Float[np.ndarray, "n 3"]
    """How likely each level is for each row, under the mixture."""
    views: Mapping[str, Dynamics]
    """View → features of each row; the first is of whole rows unless asked otherwise."""
    stability: float
    """Mean adjusted Rand index between these levels and those from other starts of the mixture."""
    findings: list[Finding]
    settings: dict[str, Any] = field(default_factory=dict)

    def on(self, rows: Rows) -> Rows:
        """Return the rows these are of with a column `unflaw.difficulty`, and one for each feature of each view."""
        told: dict[str, Sequence[Any]] = {LEVEL: self.level}
        for n, (view, of) in enumerate(self.views.items()):
            for feature, name in _NAMES.items():
                values = getattr(of, feature).tolist()
                told[f"unflaw.{name}" if n == 0 else f"unflaw.{name}.{view}"] = [v if v == v else None for v in values]
        return rows.with_columns_of(self.ids, told)

    def only(self, *keep: str) -> Selection:
        """Return which rows are of these levels and which are not, e.g. `only("ambiguous", "hard")`."""
        if strange := sorted(set(keep) - set(LEVELS)) or (not keep and ["none"]):
            raise SettingsError(f"`keep` must name levels, of {', '.join(LEVELS)}, got {strange[0]!r}")
        mu = next(iter(self.views.values())).mu
        removed = [k for k, level in enumerate(self.level) if level not in keep]
        gone = set(removed)
        return Selection(
            kept=tuple(i for k, i in enumerate(self.ids) if k not in gone),
            removed=tuple(self.ids[k] for k in removed),
            reasons={self.ids[k]: f"{self.level[k]} to learn" for k in removed},
            scores={self.ids[k]: float(1 - mu[k]) for k in removed},
            settings={"keep": ", ".join(keep)},
        )


def difficulty(
    rows: Rows,
    *,
    model: str = "minilm",
    views: str | Sequence[str] | None = None,
    recorded: str | Path | Sequence[str | Path] | None = None,
    forgetting: bool = False,
    n_seeds: int = 5,
    out: str | Path | None = None,
    epochs: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
    **training: Any,
) -> Difficulty:
    """Grade labelled rows by how they are learnt.

    Parameters
    ----------
    rows : with a text, or premise and hypothesis, and a label. They are learnt from themselves, a test set too.
    model : what `train.train_classifier` starts from, once for each view.
    views : see `curate.VIEWS`; columns, too. Whole rows and the hypothesis of pairs, or whole rows of texts.
    recorded : folders with the dynamics of earlier trainings, one for each view, in place of training; of any tool that
        writes the files of Dataset Cartography.
    forgetting : cluster by forgotten counts as well.
    n_seeds : other starts of the mixture that `stability` compares with.
    out : keep what was recorded in folders of this one.
    epochs, seed, training : of `train.train_classifier`. Stop while the model is still learning: with too many epochs
        every label is certain, and levels are noise.

    Raises
    ------
    SettingsError : all settings and rows that break their rule, together.
    DataError : what was recorded is of other rows or labels.
    """
    views = [views] if isinstance(views, str) else views
    recorded = [recorded] if isinstance(recorded, (str, Path)) else recorded
    problems = problems_of_difficulty(rows, views, recorded, epochs, seed)
    if n_seeds < 1:
        problems.append(f"`n_seeds` must be at least 1, got {n_seeds}: nothing would be compared")
    if recorded is not None and training:
        problems.append(f"`recorded` was trained before, and takes no {', '.join(training)}")
    if problems:
        raise SettingsError(problems)
    chosen = _chosen(rows, views)
    seen = [view_of(rows, view, seed) for view in chosen]
    features: dict[str, Dynamics] = {}
    last: dict[str, Bool[np.ndarray, " n"]] = {}
    n_epochs = 0
    for n, (view, part) in enumerate(zip(chosen, seen, strict=True)):
        if recorded is not None:
            course = _ordered(read_dynamics(recorded[n]), rows, str(recorded[n]))
        else:
            tell = None if progress is None else _telling(progress, view)
            course = _course(part, model, view, out, epochs=epochs, seed=seed, tell=tell, **training)
        features[view], last[view] = dynamics(course.logits, course.y), course.logits[-1].argmax(axis=1) == course.y
        n_epochs = n_epochs or len(course.logits)
    found = levels(list(features.values()), forgetting=forgetting, n_seeds=n_seeds, seed=seed)
    settings = {
        "model": model if recorded is None else "recorded", "views": chosen, "forgetting": forgetting,
        "epochs": n_epochs, "n_seeds": n_seeds, "seed": seed, **training,
    }  # fmt: skip
    findings = difficulty_findings(rows, found, features, last, settings)
    named = [LEVELS[k] for k in found.level.tolist()]
    return Difficulty(rows.ids, named, found.p, features, found.stability, findings, settings)


def problems_of_difficulty(
    rows: Rows, views: Sequence[str] | None, recorded: Sequence[str | Path] | None, epochs: int, seed: int = 0
) -> list[str]:
    """Name all settings and rows that break their rule."""
    chosen = _chosen(rows, views)
    problems = problems_of_labelled(rows, "rows", weighted=False)
    if len(rows) < LEAST_GRADED:
        problems.append(f"`rows` must be {LEAST_GRADED} at least for three levels of difficulty, got {len(rows)}")
    if len(set(chosen)) < len(chosen):
        problems.append(f"`views` must name each view once, got {chosen}")
    if recorded is not None and len(recorded) != len(chosen):
        problems.append(f"`recorded` must name one folder for each of the views {chosen}, got {len(recorded)}")
    problems += [f"`recorded` must name folders, and {of} is none" for of in recorded or () if not Path(of).is_dir()]
    if epochs < 2:
        problems.append(f"`epochs` must be at least 2, got {epochs}: one shows no course")
    for view in () if problems else chosen:
        try:
            view_of(rows, view, seed)
        except SettingsError as error:
            problems += error.problems
    return problems


def _chosen(rows: Rows, views: Sequence[str] | None) -> list[str]:
    return list(views or ([FULL, "hypothesis"] if rows.has("premise") and rows.has("hypothesis") else [FULL]))


def _telling(progress: Progress, view: str) -> Callable[[dict[str, float]], None]:
    return lambda step: progress(f"learning the view {view}", int(step["step"]), int(step["total"]))


def _course(
    rows: Rows,
    model: str,
    view: str,
    out: str | Path | None,
    *,
    tell: Callable[[dict[str, float]], None] | None,
    **how: Any,
) -> RecordedDynamics:
    """Train on a view and return what was recorded; rows left empty by the view are learnt as empty texts.

    What is kept in a folder by the same call is read again. It comes there whole, when the training is over.
    """
    filled = _filled(rows)
    given = digest_of_call(model, digest_of_weights(model), view, how, filled)
    kept = None if out is None else Path(out) / view.replace(":", "-").replace("/", "-")
    if kept is not None and (kept / _GIVEN).exists() and (kept / _GIVEN).read_text(encoding="utf-8") == given:
        return read_dynamics(kept)
    with tempfile.TemporaryDirectory(dir=None if kept is None else _made(kept.parent)) as folder:
        work = Path(folder)
        train_classifier(model, filled, work / "model", dynamics="rows", on_step=tell, **how)
        course = read_dynamics(work / "model")
        if kept is not None:
            done = work / "model" / "training_dynamics"
            (done / _GIVEN).write_text(given, encoding="utf-8")
            if kept.exists():
                kept.rename(work / "old")
            done.rename(kept)
    return course


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _filled(rows: Rows) -> Rows:
    """Give rows without a text a mark, and leave weights aside: the rows are described as they are."""
    rows = rows.without_column("weight")
    if rows.has("text"):
        rows = rows.with_column(rows.roles["text"], [t if t and t.strip() else "…" for t in rows.column("text")])
    return rows


def _ordered(course: RecordedDynamics, rows: Rows, folder: str) -> RecordedDynamics:
    """Put what was recorded into the order of the rows, which it names by id or by their places from 0."""
    by_id = set(course.ids) == set(rows.ids)
    by_place = not by_id and set(course.ids) == {str(k) for k in range(len(rows))}
    if not (by_id or by_place):
        raise DataError(
            f"`recorded` {folder} must be of these {len(rows):,} rows, by id or place; it holds {len(course.ids):,}, "
            f"{len(set(course.ids) & set(rows.ids)):,} of them by id; the rows' column `id` must hold the `guid`"
        )
    at = {i: k for k, i in enumerate(course.ids)}
    order = [at[i] for i in (rows.ids if by_id else map(str, range(len(rows))))]
    y: Int[np.ndarray, " n"] = course.y[order]
    pairs = set(zip(labels_of(rows), y.tolist(), strict=True))
    if len(pairs) != len({label for label, _ in pairs}) or len(pairs) != len({k for _, k in pairs}):
        raise DataError(
            f"`recorded` {folder} gives rows of one label several `gold`, or labels one; are its rows these?"
        )
    return RecordedDynamics(rows.ids, course.logits[:, order], y)
