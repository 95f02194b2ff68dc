"""`unflaw train --arms`: every way to train from synthetic rows and a few real ones, on the same terms."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from unflaw._cli._reading import Reading
from unflaw._cli._shared import bar, console, emit
from unflaw._cli._used import refuse_used, runs_of
from unflaw._errors import SettingsError

__all__ = ["named_arms", "problems_of_call_with_arms", "train_all_arms"]

_FILES = ("rows", "real", "validation")


def named_arms(given: str) -> list[str]:
    """Read "all" or "NAME,NAME", known or not."""
    from unflaw.train import ARMS

    return list(ARMS) if given == "all" else [name.strip() for name in given.split(",")]


def arm_names(given: str) -> list[str]:
    """Read "all" or "NAME,NAME". Raises SettingsError for one that is unknown."""
    from unflaw._errors import did_you_mean
    from unflaw.train import ARMS

    names = named_arms(given)
    if strange := [name for name in names if name not in ARMS]:
        raise SettingsError(f"`--arms` knows no {strange[0]!r}. {did_you_mean(strange[0], [*ARMS, 'all'])}")
    return names


def problems_of_call_with_arms(call: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a call that asks for arms, before any file is read."""
    from unflaw.train import weight_files

    try:
        arms = arm_names(call["arms"])
    except SettingsError as error:
        return error.problems
    problems = [f"`--arms` needs `--{name}` FILE, got none" for name in ("real", "validation") if call[name] is None]
    if call["out"] is None and call["run"] is None:
        return problems
    there = [str(path) for arm in arms if weight_files(path := _place(call) / arm)]
    if there and not (call["overwrite"] or call["resume"] or call["dry_run"]):
        problems.append(
            f"`--arms` would replace the models {', '.join(there)}; name another --run or --out, go on with --resume, "
            "or begin anew with --overwrite"
        )
    return problems


def _place(call: Mapping[str, Any]) -> Path:
    return Path(call["out"]) if call["out"] is not None else Path(call["run"]) / "models"


def train_all_arms(call: Mapping[str, Any], reading: Reading, settings: dict[str, Any]) -> None:
    """Train each arm into a model of the run folder, or a folder of `--out`, and tell how they went."""
    from unflaw._cli._train import training_step
    from unflaw.train import ARMS, problems_of_arms, refuse_shared_by_arms, train_arms

    arms = arm_names(call["arms"])
    rows, real, checked = (reading.rows(call[n], call["limit"] if n == "rows" else None) for n in _FILES)
    if problems := problems_of_arms(arms, rows, real, checked, call["threshold"]):
        raise SettingsError(problems)
    files = [call[name] for name in _FILES]
    runs = runs_of(call["run"], [call["model"]], files)
    refuse_used(runs, call["allow_shared"], rows=rows, validation=checked, real=real)
    refuse_shared_by_arms(arms, rows, real, checked)
    place = _place(call)
    if call["dry_run"]:
        emit({"arms": arms, "out": place}, call["as_json"], f"would train {', '.join(arms)} → {place}")
        return
    kept = {
        "task": "classifier", "model": call["model"], "arms": arms, "limit": call["limit"], **reading.settings(),
        "threshold": call["threshold"], **settings, **{name: call[name] for name in _FILES},
    }  # fmt: skip
    with training_step(call["run"], "train arms", kept, files, call["resume"], call["overwrite"]) as folder:
        reading.keep(folder)
        for arm in arms:
            if folder is not None and call["out"] is None:
                folder.path_for_model(arm)
        with bar("arms") as progress:
            done = train_arms(
                call["model"], rows, real, checked, place, arms=arms, threshold=call["threshold"],
                device=call["device"], resume=call["resume"], on_arm=lambda arm, k, n: progress(k, n), **settings,
            )  # fmt: skip
            progress(len(arms), len(arms))
        for arm, made in done.items():
            if folder is not None:
                folder.add_curve(arm, made.curve, made.notes)
    told = {
        arm: {"model": str(m.path), "seconds": round(m.seconds, 1), "best_epoch": m.best_epoch, "epochs": m.epochs}
        for arm, m in done.items()
    }
    table = Table(show_edge=False, pad_edge=False)
    for head in ("arm", "trained on", "seconds", "validation accuracy"):
        table.add_column(head, overflow="fold")
    for arm, made in done.items():
        best = made.epochs[(made.best_epoch or 1) - 1]
        table.add_row(Text(arm), Text(ARMS[arm]), f"{made.seconds:.0f}", f"{best['accuracy']:.3f}")
    emit({"arms": told, "rejected": reading.told()}, call["as_json"], None if call["as_json"] else table)
    models = " ".join(shlex.quote(str(place / arm)) for arm in arms)
    inside = "" if call["run"] is None else f" --run {shlex.quote(str(call['run']))}"
    console.print(f"next: unflaw evaluate {models} --labels TEST{inside}", soft_wrap=True)
