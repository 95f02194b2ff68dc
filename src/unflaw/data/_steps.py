"""The steps of a manifest: which of them a new one overwrites, and what of theirs is then stale.

A step that overwrites lists the ids of those it replaces as `overwrites` until it has finished. One that
goes on after it failed inherits the list, so that results of two settings never mix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unflaw._errors import RunFolderError

__all__ = ["disown", "overwritten", "refuse_other_settings", "stale_keys", "written"]

Step = Mapping[str, Any]

_MISSING = object()


def overwritten(steps: Sequence[Step], name: str, overwrite: bool) -> list[str]:
    """Return the ids of the steps that a new step of this name replaces."""
    same = [step for step in steps if step["name"] == name]
    if overwrite:
        return [step["id"] for step in same]
    return list(same[-1].get("overwrites", ())) if same and same[-1]["status"] != "finished" else []


def stale_keys(steps: Sequence[Step], step: Step, kind: str) -> list[Any]:
    """Return what of a kind a step is to take back: all that was written before and not again since."""
    gone = step.get("overwrites", ())
    wrote = [(s["id"] in gone, key) for s in steps if s["name"] == step["name"] for key in written(s, kind)]
    again = [*written(step, kind), *(key for old, key in wrote if not old)]
    return [key for old, key in wrote if old and key not in again]


def disown(steps: Sequence[dict[str, Any]], kind: str, ids: Sequence[str], keys: Sequence[Any]) -> None:
    """Strike these keys from what the steps wrote."""
    for step in steps:
        if step["id"] in ids and kind in step.get("wrote", {}):
            step["wrote"][kind] = [key for key in step["wrote"][kind] if key not in keys]


def written(step: Step, kind: str) -> Sequence[Any]:
    """Return the keys of a kind that a step wrote."""
    return step.get("wrote", {}).get(kind, ())


def refuse_other_settings(folder: Path, steps: Sequence[Step], step: Step) -> None:
    """Refuse a step whose last run had other settings or inputs. Raises RunFolderError."""
    earlier = [s for s in steps if s["name"] == step["name"]]
    if not earlier:
        return
    differing = []
    for kind in ("settings", "inputs"):
        old, new = earlier[-1][kind], step[kind]
        for key in sorted({*old, *new}):
            was, is_now = old.get(key, _MISSING), new.get(key, _MISSING)
            if was != is_now:
                differing.append(f"  {key}: {_shown(was, kind)} then, {_shown(is_now, kind)} now")
    if differing:
        raise RunFolderError(
            f"`{folder}` holds a run of {step['name']!r} with other settings:\n" + "\n".join(differing) + "\n"
            "Name another folder, or replace what that run wrote (--overwrite), or go on with the new settings, "
            "keeping what is there (--resume)"
        )


def _shown(value: Any, kind: str) -> str:
    if value is _MISSING:
        return "not given"
    return f"content {str(value)[:12]}" if kind == "inputs" else json.dumps(value, default=str)
