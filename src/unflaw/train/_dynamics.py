"""Training dynamics on disk: the logits of every row after every epoch, in the JSONL format of Dataset Cartography.

`training_dynamics/dynamics_epoch_E.jsonl`, E from 0, holds one line per row:

    {"guid": "1f0c…", "logits_epoch_0": [1.2, -0.4], "gold": 0}

A file is replaced whole, so that a killed run leaves whole epochs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import DataError
from unflaw.data import atomic_write

__all__ = ["RecordedDynamics", "forget_epochs", "read_dynamics", "record_epoch"]

_FILE = re.compile(r"dynamics_epoch_(\d+)\.jsonl")
_N_NAMED = 5


@dataclass(frozen=True)
class RecordedDynamics:
    """What was recorded of a training run."""

    ids: list[str]
    logits: Float[np.ndarray, "E n K"]
    y: Int[np.ndarray, " n"]
    """Place of each row's label among the logits."""


def record_epoch(
    folder: str | Path, epoch: int, ids: Sequence[str], logits: Float[np.ndarray, "n K"], y: Int[np.ndarray, " n"]
) -> Path:
    """Write the logits of all rows after an epoch, counted from 1; the file is named from 0, as others read it."""
    folder, key = Path(folder), f"logits_epoch_{epoch - 1}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"dynamics_epoch_{epoch - 1}.jsonl"
    rounded = np.round(logits.astype(np.float64), 6).tolist()
    with atomic_write(path) as file:
        file.writelines(
            json.dumps({"guid": i, key: z, "gold": gold}, ensure_ascii=False) + "\n"
            for i, z, gold in zip(ids, rounded, y.tolist(), strict=True)
        )
    return path


def forget_epochs(folder: str | Path, kept: int) -> None:
    """Delete what was recorded after so many epochs: another run's, or one that comes again."""
    for path in Path(folder).glob("dynamics_epoch_*.jsonl"):
        if (match := _FILE.fullmatch(path.name)) and int(match[1]) >= kept:
            path.unlink()


def read_dynamics(folder: str | Path, *, progress: Callable[[int, int], None] | None = None) -> RecordedDynamics:
    """Read what `record_epoch`, or another tool, wrote: all epochs, rows in the order of the first.

    Raises
    ------
    DataError
        There is no epoch, one between is missing, a line is broken, or epochs hold other rows or labels: every
        mistake is named.
    """
    folder = Path(folder)
    nested = folder / "training_dynamics"
    folder = nested if nested.is_dir() else folder
    found = {int(m[1]): path for path in folder.glob("*.jsonl") if (m := _FILE.fullmatch(path.name))}
    if not found:
        raise DataError(f"`{folder}` must hold dynamics_epoch_0.jsonl and more, got none")
    if missing := sorted(set(range(max(found) + 1)) - set(found)):
        raise DataError(f"`{folder}` lacks the epochs {missing} of 0 to {max(found)}")
    if len(found) < 2:
        raise DataError(f"`{folder}` must hold two epochs at least, got one, which shows no course")
    problems: list[str] = []
    epochs = []
    for epoch in range(len(found)):
        epochs.append(_read_epoch(found[epoch], epoch, problems))
        if progress is not None:
            progress(epoch + 1, len(found))
    first = epochs[0]
    if problems := problems or _apart(epochs):
        more = f"; and {len(problems) - _N_NAMED:,} more" if len(problems) > _N_NAMED else ""
        raise DataError(f"`{folder}` cannot be read: {'; '.join(problems[:_N_NAMED])}{more}")
    ids = list(first)
    logits = np.array([[rows[i][0] for i in ids] for rows in epochs], dtype=np.float64)
    return RecordedDynamics(ids, logits, np.array([first[i][1] for i in ids], dtype=np.int64))


def _apart(epochs: list[dict[str, tuple[list[float], int]]]) -> list[str]:
    """Say where epochs do not go together."""
    first, problems = epochs[0], []
    for epoch, rows in enumerate(epochs):
        if strange := sorted(first.keys() ^ rows.keys()):
            lost = len(first.keys() - rows.keys())
            problems.append(
                f"epoch {epoch} holds other rows than epoch 0: {lost:,} are missing and {len(strange) - lost:,} are "
                f"new, e.g. {strange[0]!r}"
            )
        elif turned := [i for i in first if rows[i][1] != first[i][1]]:
            problems.append(f"epoch {epoch} gives {turned[0]!r} another `gold` than epoch 0")
    sizes = {len(z) for rows in epochs for z, _ in rows.values()}
    if len(sizes) > 1:
        problems.append(f"all logits must be of as many classes, got {sorted(sizes)}")
    elif wrong := [i for i, (z, gold) in first.items() if not 0 <= gold < len(z)]:
        problems.append(f"`gold` must be the place of a class, got {first[wrong[0]][1]} for {wrong[0]!r}")
    return problems


def _read_epoch(path: Path, epoch: int, problems: list[str]) -> dict[str, tuple[list[float], int]]:
    """Return row id → (logits, gold); what is wrong with a line is added to `problems`."""
    rows: dict[str, tuple[list[float], int]] = {}
    for n, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record: Any = json.loads(line)
            guid, z, gold = str(record["guid"]), record[f"logits_epoch_{epoch}"], record["gold"]
            z, gold = [float(v) for v in z], int(gold)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            problems.append(f"{path.name} line {n}: {type(error).__name__}: {error}")
            continue
        if not np.isfinite(z).all():
            problems.append(f"{path.name} line {n}: logits must be finite")
        elif guid in rows:
            problems.append(f"{path.name} line {n}: {guid!r} comes twice")
        else:
            rows[guid] = (z, gold)
    return rows
