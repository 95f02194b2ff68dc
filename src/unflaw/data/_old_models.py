"""Models that a step replaces: set aside while it runs, deleted when it has finished, put back where it left nothing.

An old model lies beside the new one as `.NAME.STEP.old`, STEP being the id of the step that replaces it.
The manifest says how that step ended, so that a kill at any moment leaves enough to go by.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["delete_model", "set_aside", "settle_models"]

_ASIDE = re.compile(r"\.(?P<name>.+)\.(?P<step>[0-9a-f]{16})\.old", re.DOTALL)


def set_aside(models: Path, name: str, step_id: str) -> None:
    """Move the model of this name out of the way of the one that a step will write."""
    if _is_empty(models / name):
        shutil.rmtree(models / name, ignore_errors=True)
    else:
        os.replace(models / name, models / f".{name}.{step_id}.old")


def settle_models(models: Path, steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Delete the old models of steps that have finished; put back those of steps that have not and left no new one.

    Return the latter: name, and the step that was to replace it.
    """
    back = []
    for name, step_id, aside in list(_asides(models)):
        if _is_replaced(name, step_id, steps):
            shutil.rmtree(aside, ignore_errors=True)
        elif _is_empty(models / name):
            shutil.rmtree(models / name, ignore_errors=True)
            os.replace(aside, models / name)
            back.append((name, step_id))
    return back


def _is_replaced(name: str, step_id: str, steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a step has finished the new model: the one that set the old one aside, or one that went on from there."""
    first = next((i for i, step in enumerate(steps) if step["id"] == step_id), len(steps))
    finished = [step for step in steps[first:] if step["status"] == "finished"]
    return any(name in step.get("wrote", {}).get("models", ()) for step in finished)


def delete_model(models: Path, name: str) -> None:
    """Delete the model of this name, and older ones of it."""
    shutil.rmtree(models / name, ignore_errors=True)
    for own, _, aside in list(_asides(models)):
        if own == name:
            shutil.rmtree(aside, ignore_errors=True)


def _asides(models: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield name, step and place of every model that lies aside."""
    for path in sorted(models.iterdir()) if models.is_dir() else ():
        if found := _ASIDE.fullmatch(path.name):
            yield found["name"], found["step"], path


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
