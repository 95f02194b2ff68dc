"""Training dynamics on disk: the logits of every row after every epoch, in the JSONL format of Dataset Cartography.

`training_dynamics/dynamics_epoch_E.jsonl`, E from 0, holds one line per row:

    {"guid": "1f0c…", "logits_epoch_0": [1.2, -0.4], "gold": 0}

A file is replaced whole, so that a killed run leaves whole epochs.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
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
    rounded = np.round(logits.astype(np.float64), 6)
    with atomic_write(path) as file:
        file.writelines(
            json.dumps({"guid": i, key: z.tolist(), "gold": gold}, ensure_ascii=False) + "\n"
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
    read = _Epochs()
    for epoch in range(len(found)):
        read.add(found[epoch], epoch)
        if progress is not None:
            progress(epoch + 1, len(found))
    sizes = {z.shape[1] for z in read.logits}
    if problems := read.broken or read.apart or ([_of_many_sizes(sizes)] if len(sizes) > 1 else []):
        more = f"; and {len(problems) - _N_NAMED:,} more" if len(problems) > _N_NAMED else ""
        raise DataError(f"`{folder}` cannot be read: {'; '.join(problems[:_N_NAMED])}{more}")
    return RecordedDynamics(list(read.place), np.array(read.logits), np.array(read.y, dtype=np.int64))


class _Epochs:
    """Epochs as they are read."""

    def __init__(self) -> None:
        self.place: dict[str, int] = {}
        """Row id → its place, in the order of the first epoch."""
        self.y = array("q")
        self.logits: list[Float[np.ndarray, "n K"]] = []
        self.broken: list[str] = []
        """What is wrong with lines."""
        self.apart: list[str] = []
        """Why epochs do not go together."""

    def add(self, path: Path, epoch: int) -> None:
        """Read the file of one epoch."""
        at, values, sizes = array("q"), array("d"), set[int]()
        seen, strange, turned = bytearray(len(self.place)), list[str](), list[str]()
        for n, guid, z, gold in self._lines(path, epoch):
            if epoch == 0 and guid not in self.place:
                self.place[guid] = len(self.place)
                self.y.append(gold)
                seen.append(0)
            k = self.place.get(guid)
            if k is None:
                strange.append(guid)
            elif seen[k]:
                self.broken.append(f"{path.name} line {n}: {guid!r} comes twice")
            else:
                seen[k] = 1
                at.append(k)
                values.extend(z)
                sizes.add(len(z))
                if gold != self.y[k]:
                    turned.append(guid)
        lost = [guid for guid, k in self.place.items() if not seen[k]] if 0 in seen else []
        if not self.place:
            self.apart.append(f"{path.name} holds no row")
        elif lost or strange:
            self.apart.append(
                f"epoch {epoch} holds other rows than epoch 0: {len(lost):,} are missing and {len(strange):,} are new, "
                f"e.g. {min(lost + strange)!r}"
            )
        elif turned:
            self.apart.append(f"epoch {epoch} gives {turned[0]!r} another `gold` than epoch 0")
        elif len(sizes) > 1:
            self.apart.append(f"{path.name}: {_of_many_sizes(sizes)}")
        else:
            logits = np.empty((len(at), *sizes))
            logits[np.array(at)] = np.array(values).reshape(logits.shape)
            self.logits.append(logits)

    def _lines(self, path: Path, epoch: int) -> Iterator[tuple[int, str, list[float], int]]:
        """Return number, id, logits and label of each line that holds them."""
        with open(path, "rb") as lines:
            for n, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record: Any = json.loads(line)
                    guid, z, gold = str(record["guid"]), record[f"logits_epoch_{epoch}"], record["gold"]
                    z, gold = [float(v) for v in z], int(gold)
                except (ValueError, KeyError, TypeError, OverflowError) as error:
                    self.broken.append(f"{path.name} line {n}: {type(error).__name__}: {error}")
                    continue
                if not all(map(math.isfinite, z)):
                    self.broken.append(f"{path.name} line {n}: logits must be finite")
                elif not 0 <= gold < len(z):
                    self.broken.append(f"{path.name} line {n}: `gold` must be the place of a class, got {gold}")
                else:
                    yield n, guid, z, gold


def _of_many_sizes(sizes: set[int]) -> str:
    return f"all logits must be of as many classes, got {sorted(sizes)}"
