"""No row serves two ends: a file is held against those that earlier steps of a run learnt from or chose by."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unflaw._cli._reading import Reading
from unflaw._cli._shared import console
from unflaw._errors import DataError, UnflawError

if TYPE_CHECKING:
    from unflaw.data import Rows

__all__ = ["AllowSharedOption", "refuse_used"]

AllowSharedOption = Annotated[
    bool, typer.Option("--allow-shared", help="Go on although rows served another end in this run: it flatters.")
]
_LEARNT = {"rows", "real", "meta"}
_AGAINST = {"labels": {*_LEARNT, "validation"}, "validation": _LEARNT, "rows": {"validation"}}
"""End of rows now → ends of earlier steps that they must not have served."""


def refuse_used(run: Path | None, reading: Reading, allow: bool, **now: Rows | None) -> None:
    """Hold rows against the files that earlier steps of the run used, e.g. `labels=rows`.

    A file that has changed since cannot be held against, which is said.

    Raises
    ------
    DataError
        Texts are shared and `allow` is not set: all such files are named.
    """
    from unflaw.train import refuse_shared

    told: list[str] = []
    read: dict[str, Rows] = {}
    sets = {name: rows for name, rows in now.items() if rows is not None}
    against: set[str] = set().union(*(_AGAINST[name] for name in sets))
    for step, end, path in _earlier(run, against) if run is not None and not allow else ():
        for name, rows in sets.items():
            if end not in _AGAINST[name]:
                continue
            try:
                if path not in read:
                    read[path] = reading.rows(path)
                refuse_shared(**{f"{end} of unflaw {step}": read[path], name: rows})
            except DataError as error:
                told.append(str(error))
    if told:
        raise DataError(f"{'; '.join(told)}. A row that serves two ends flatters; --allow-shared goes on all the same")


def _earlier(run: Path, ends: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (step, end, file) of what served these ends when classifiers and weights were made in this run."""
    from unflaw.data import RunFolder, hash_path

    try:
        steps = RunFolder(run).manifest["steps"]
    except UnflawError:  # no run folder yet
        return
    for step in steps:
        weighs = step["name"] == "curate weigh"
        if step["status"] != "finished" or not (weighs or step["settings"].get("task") == "classifier"):
            continue
        for end in ("real",) if weighs else ("rows", "validation", "meta"):
            if end not in ends or (path := step["settings"].get(end)) is None:
                continue
            if Path(path).exists() and step["inputs"].get(path) in (None, hash_path(path)):
                yield str(step["name"]), end, str(path)
            else:
                told = f"{path}, the {end} of `unflaw {step['name']}`, has changed or gone: shared rows go unseen"
                console.print(told, soft_wrap=True)
