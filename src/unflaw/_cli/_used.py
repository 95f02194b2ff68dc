"""No row serves two ends: a file is held against those that earlier steps of a run used for another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._reading import Ids, OnTruncated, Reading
from unflaw._cli._shared import console
from unflaw._errors import DataError, UnflawError

if TYPE_CHECKING:
    from unflaw.data import Rows

__all__ = ["AllowSharedOption", "refuse_used", "runs_of"]

AllowSharedOption = Annotated[
    bool,
    typer.Option("--allow-shared", help="Go on although earlier steps used rows for another end: it flatters."),
]
_LEARNT = {"rows", "real", "meta"}
_AGAINST = {
    "labels": {*_LEARNT, "validation", "examples"}, "validation": {*_LEARNT, "examples", "labels"},
    **{name: {"validation", "labels"} for name in _LEARNT},
}  # fmt: skip
"""End of rows now → ends of earlier steps that they must not have served."""


def refuse_used(runs: Collection[Path], allow: bool, **now: Rows | None) -> None:
    """Hold rows against the files that earlier steps of runs used, e.g. `labels=rows`; see `runs_of`.

    Steps count however they ended: one that was stopped has left a model as well. Files are read as they were then. One
    that has changed since, or cannot be read, cannot be held against, which is said.

    Raises
    ------
    DataError
        Texts are shared and `allow` is not set: all such files are named.
    """
    from unflaw.train import refuse_shared

    told: list[str] = []
    read: dict[tuple[str, str], Rows | None] = {}
    sets = {name: rows for name, rows in now.items() if rows is not None}
    against: set[str] = set().union(*(_AGAINST[name] for name in sets))
    for step, end, path, settings in (of for run in runs if not allow for of in _earlier(run, against)):
        key = (path, str(settings.get("columns")))
        if key not in read:
            read[key] = _rows(step, end, path, settings)
        for name, rows in sets.items():
            earlier = read[key]
            if end not in _AGAINST[name] or earlier is None:
                continue
            try:
                refuse_shared(**{f"{end} of unflaw {step}": earlier, name: rows})
            except DataError as error:
                told.append(str(error))
    if told:
        raise DataError(f"{'; '.join(told)}. A row that serves two ends flatters; --allow-shared goes on all the same")


def runs_of(run: Path | None, models: Collection[str], files: Collection[str | None] = ()) -> list[Path]:
    """Return the run, where there is one, and those that models and files lie in: what made them is written there."""
    homes = (Path(model.removeprefix("hf:")).expanduser().absolute().parents for model in models)
    found = [of[1] for of in homes if len(of) > 1 and of[0].name == "models"]
    found += [Path(file).expanduser().absolute().parent for file in files if file is not None]
    there = [of for of in found if (of / "manifest.json").is_file()]
    return list({of.resolve(): of for of in [*([] if run is None else [run]), *there]}.values())


def _earlier(run: Path, ends: Collection[str]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Yield (step, end, file, settings) of what served these ends when rows and models were made here."""
    from unflaw.data import RunFolder, hash_path

    try:
        steps = RunFolder(run).manifest["steps"]
    except UnflawError:  # no run folder yet
        return
    for step in steps:
        settings = step["settings"]
        for end in _ends_of(step["name"], settings):
            if end not in ends or (path := settings.get(end)) is None:
                continue
            places = (Path(step.get("cwd", "."), path), Path(path))  # where it was, or the project has moved as a whole
            there = (p for p in places if p.exists() and step["inputs"].get(path) in (None, hash_path(p)))
            if (found := next(there, None)) is not None:
                yield str(step["name"]), end, str(found), settings
            else:
                _say(f"{path}, the {end} of `unflaw {step['name']}`, has changed or gone")


def _ends_of(step: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings of a step that name rows which it showed, learnt from, chose by or tested with."""
    if step == "generate text":
        return ("examples",) if settings.get("shots") else ()
    own = {"curate weigh": ("real",), "evaluate": ("labels",)}
    if step in own:
        return own[step]
    return ("rows", "validation", "meta", "real") if settings.get("task") == "classifier" else ()


def _rows(step: str, end: str, path: str, settings: Mapping[str, Any]) -> Rows | None:
    """Read a file as the step did; None where it cannot be read any more."""
    reading = Reading(
        settings.get("schema"), settings.get("columns"), Ids(settings.get("ids", "auto")),
        OnTruncated(settings.get("on_truncated", "error")),
    )  # fmt: skip
    try:
        return reading.rows(path)
    except UnflawError as error:
        _say(f"{path}, the {end} of `unflaw {step}`, cannot be read ({error})")
        return None


def _say(what: str) -> None:
    console.print(f"{what}: rows shared with it go unseen", soft_wrap=True)
