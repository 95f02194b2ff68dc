"""`unflaw train` of a sequence classifier."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from unflaw._cli._reading import Reading
from unflaw._cli._shared import console, emit, mistakes
from unflaw._cli._train_arms import problems_of_call_with_arms, train_all_arms
from unflaw._cli._used import refuse_used, runs_of
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.train import TrainedClassifier

__all__ = ["DEFAULTS", "is_classifier", "train_rows"]

DEFAULTS = {"epochs": 5.0, "batch_size": 32, "learning_rate": 1e-4, "max_tokens": 128}
_OWN = (
    "objective", "gamma", "temperature", "cap", "meta_rate", "meta_step", "steps", "save_every", "seed", "precision",
)  # fmt: skip


def is_classifier(model: str, task: str) -> bool:
    """Whether a call of `unflaw train` means a classifier: it says so, or the model writes nothing."""
    if task not in ("auto", "causal", "classifier"):
        raise SettingsError(f"`--task` must be auto, causal or classifier, got {task!r}")
    from unflaw.models import writes_text

    return task == "classifier" or (task == "auto" and not writes_text(model))


def train_rows(call: Mapping[str, Any], reading: Reading) -> None:
    """Train a classifier as a call of `unflaw train` says, and tell how it went."""
    from unflaw._cli._train import model_path, training_step, watched_steps
    from unflaw.train import problems_of_classifier, refuse_shared, train_classifier

    model, source = call["model"], call["rows"]
    given = {name: call[name] if call[name] is not None else value for name, value in DEFAULTS.items()}
    settings: dict[str, Any] = {**given, **{name: call[name] for name in _OWN}}
    more = {name: call[name] for name in ("validation", "meta")}
    outer = {"model": model, "device": call["device"], "report_to": call["report_to"], "resume": call["resume"]}
    checked = {**settings, **outer, "labels": None}
    files = [source, *more.values(), *([call["real"]] if call["arms"] else [])]
    problems = problems_of_classifier(checked) + _problems_of_place(model, call) + reading.problems(*files)
    if problems:
        raise SettingsError(problems)
    if call["arms"] is not None:
        aside = ("objective", "save_every")
        train_all_arms(call, reading, {name: value for name, value in settings.items() if name not in aside})
        return
    rows = reading.rows(source, call["limit"])
    sets = {name: None if path is None else reading.rows(path) for name, path in more.items()}
    if problems := problems_of_classifier(checked, rows, sets["validation"], sets["meta"]):
        raise SettingsError(problems)
    refuse_used(runs_of(call["run"], [model], [source, *more.values()]), call["allow_shared"], rows=rows, **sets)
    refuse_shared(rows=rows, **sets)
    path = model_path(call["out"], call["run"], call["name"])
    if call["dry_run"]:
        words = f"would train {model} as a classifier on {len(rows):,} rows → {path}"
        emit({"rows": len(rows), "out": path, **settings}, call["as_json"], words)
        return
    kept = {"task": "classifier", "model": model, "rows": source, **more, **reading.settings(), **settings}
    kept |= {"limit": call["limit"], "dynamics": call["dynamics"]}
    files = [file for file in (source, *more.values()) if file is not None]
    with training_step(call["run"], f"train {call['name']}", kept, files, call["resume"], call["overwrite"]) as folder:
        reading.keep(folder)
        if folder is not None and call["out"] is None:
            folder.path_for_model(call["name"])
        with watched_steps("training steps", ("loss", "weight"), every=20) as on_step:
            done = train_classifier(
                model, rows, path, **settings, validation=sets["validation"], meta=sets["meta"],
                dynamics="rows" if call["dynamics"] else None,
                resume=call["resume"], device=call["device"], report_to=call["report_to"], on_step=on_step,
            )  # fmt: skip
        if folder is not None:
            folder.add_curve(call["name"], done.curve, done.notes)
    for note in done.notes:
        console.print(note, soft_wrap=True)
    emit({**_payload(done), "rejected": reading.told()}, call["as_json"], None if call["as_json"] else _words(done))


def _problems_of_place(model: str, call: Mapping[str, Any]) -> list[str]:
    from unflaw._cli._train import problems_of_folder
    from unflaw.models import find_classifier

    found = mistakes(partial(find_classifier, model), partial(problems_of_folder, [model], call))
    return found + ([] if call["arms"] is None else problems_of_call_with_arms(call))


def _payload(done: TrainedClassifier) -> dict[str, Any]:
    return {
        "model": str(done.path), "labels": list(done.labels), "steps": done.steps, "seconds": round(done.seconds, 1),
        "best_epoch": done.best_epoch, "epochs": done.epochs, "notes": list(done.notes), "curve": done.curve,
    }  # fmt: skip


def _words(done: TrainedClassifier) -> Group:
    told: list[Any] = [Text(f"{done.steps} steps in {done.seconds:.0f} s, {len(done.labels)} labels → {done.path}")]
    if done.epochs:
        table = Table(show_edge=False, pad_edge=False)
        for head in ("epoch", "accuracy", "macro-F1", "loss"):
            table.add_column(head)
        for of in done.epochs:
            mark = "  ← kept" if of["epoch"] == done.best_epoch else ""
            loss = "not a number; lower the learning rate" if of["loss"] is None else f"{of['loss']:.3f}"
            table.add_row(f"{of['epoch']:.0f}", f"{of['accuracy']:.3f}", f"{of['macro_f1']:.3f}", loss + mark)
        told += [Text("on the validation rows:"), table]
    else:
        told.append(Text("the last epoch was kept; --validation FILE chooses the best"))
    return Group(*told)
