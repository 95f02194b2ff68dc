"""What a training run keeps in its folder, so that a killed one goes on as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Rows, atomic_write
from unflaw.models import weight_paths
from unflaw.train._labelled import QUALITY
from unflaw.train._processes import is_main_process

__all__ = ["Curve", "claim", "digest_of_call", "digest_of_weights", "refuse_own_folder"]

_FREE = ("resume", "save_every", "device", "report_to", "part_tokens", "gradient_checkpointing", "shard")
"""Settings that may change when a run goes on."""
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def claim(out: Path, settings: Mapping[str, Any], rows: Mapping[str, Rows | None], *, resume: bool) -> int:
    """Take a folder for a run; return the step of the checkpoint to go on from, 0 to begin anew.

    A run that splits the weights goes on with as many processes.

    Without `resume`, checkpoints of an earlier run are removed: nobody may go on from them by mistake.

    Raises
    ------
    SettingsError
        The checkpoint in the folder comes from other settings or rows, or the folder holds the weights that the
        run starts from: they would be lost.
    """
    refuse_own_folder(out, [settings["model"], settings.get("before")])
    out.mkdir(parents=True, exist_ok=True)
    record = out / "training.json"
    given = {name: value for name, value in settings.items() if name not in _FREE}
    given |= {f"rows of {name}": _digest(of) for name, of in rows.items() if of is not None}
    if settings.get("save_every") or resume:
        models = {"model": settings["model"], "before": settings.get("before")}
        given |= {f"weights of {name}": digest_of_weights(spec) for name, spec in models.items() if spec}
    given |= {"processes": os.environ["WORLD_SIZE"]} if settings.get("shard") else {}
    given = json.loads(json.dumps(given, default=str))
    checkpoints = [path for path in out.glob("checkpoint-*") if path.name[11:].isdigit()]
    if not is_main_process():  # the main process was here first
        if json.loads(record.read_text(encoding="utf-8")) != given:
            raise SettingsError("the processes of this run hold different settings or rows; start them alike")
        return max((int(path.name[11:]) for path in checkpoints), default=0)
    for path in [path for path in checkpoints if not (path / "trainer_state.json").exists()]:
        shutil.rmtree(path)  # cut off while it was written, of which this file is the last
        checkpoints.remove(path)
    if resume and checkpoints:
        began = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        if differing := [n for n in sorted({*began, *given}) if began.get(n) != given.get(n)]:
            told = "; ".join(f"{n}: {began.get(n)} then, {given.get(n)} now" for n in differing)
            raise SettingsError(
                f"`{out}` holds a checkpoint of another run ({told}); name another folder or begin anew"
            )
        return max(int(path.name[11:]) for path in checkpoints)
    if resume and record.exists():
        warnings.warn(f"`{out}` holds no checkpoint (`save_every` makes them): from the start", stacklevel=3)
    for path in checkpoints:
        shutil.rmtree(path)
    with atomic_write(record) as file:
        json.dump(given, file, indent=1)
    return 0


def refuse_own_folder(out: Path, specs: Sequence[str | None]) -> None:
    """Refuse a folder with weights that a run starts from: they would be lost. Raises SettingsError."""
    if out.is_dir() and out.resolve() in {path.resolve() for spec in specs if spec for path in weight_paths(spec)}:
        raise SettingsError(f"`out` must be another folder than that of the weights the run starts from, got {out}")


def digest_of_weights(spec: str) -> str:
    """Tell weights on this machine from others: what is kept of a run goes on from the very same."""
    found = hashlib.sha256()
    for folder in weight_paths(spec):
        for path in sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
            with open(path, "rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]


def digest_of_call(*given: Any) -> str:
    """Tell a call from others by its settings and rows (16 hex digits): what one left serves the very same only."""
    said = json.dumps(given, default=lambda v: _digest(v) if isinstance(v, Rows) else str(v), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _digest(rows: Rows) -> str:
    """Tell rows from others by what is trained on; ids may come from the file and outlive an edit."""
    more = ("text",) if rows.has("response") else ()  # a classifier reads it, and a pair is made without
    roles = [role for role in ("chosen", "rejected", "label", *more) if rows.has(role)]
    columns = [*roles, *(name for name in (QUALITY,) if name in rows.table.column_names)]
    said = [rows.pairs(), rows.weights(), [rows.column(name) for name in columns]]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]


class Curve:
    """The steps of a run: told as they come and, where `path` is given, kept for a run that goes on from `done`."""

    def __init__(self, path: Path | None, done: int, tell: Callable[[dict[str, float]], None]) -> None:
        self.steps: list[dict[str, Any]] = []
        """One dict per step; a value that is not finite is None, as JSON wants it."""
        path = path if is_main_process() else None
        self._path, self._tell = path, tell
        if path is not None:
            kept = path.read_text(encoding="utf-8").split("\n")[:-1] if done and path.exists() else []
            self.steps = [step for step in map(json.loads, kept) if step["step"] <= done]
            with atomic_write(path) as file:
                file.writelines(json.dumps(step) + "\n" for step in self.steps)

    def add(self, step: dict[str, float]) -> None:
        """Take what a step logged."""
        clean = {name: value if math.isfinite(value) else None for name, value in step.items()}
        self.steps.append(clean)
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(clean) + "\n")
        self._tell(step)
