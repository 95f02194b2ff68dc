"""The work folder of an audit: files are there whole or not at all, so that a killed audit goes on where it was."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw.data import atomic_write

__all__ = ["finished", "load", "open_table", "save", "save_array", "save_table"]


def finished(path: Path) -> bool:
    """Whether a task has left this file: it is written whole, and last."""
    return path.is_file()


def save(path: Path, value: Any) -> None:
    """Write an object."""
    import cloudpickle  # a check that a user wrote may live in their script

    with atomic_write(path, "wb") as file:
        cloudpickle.dump(value, file)


def load(path: Path) -> Any:
    """Read an object."""
    with open(path, "rb") as file:
        return pickle.load(file)


def save_array(path: Path, values: np.ndarray) -> None:
    """Write an array."""
    with atomic_write(path, "wb") as file:
        np.save(file, values)


def save_table(path: Path, table: pa.Table) -> None:
    """Write a table so that it can be read without being loaded."""
    with atomic_write(path, "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def open_table(path: Path | str) -> pa.Table:
    """Map a table into memory: only what is looked at is read."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
