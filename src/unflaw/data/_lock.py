"""One process at a time in a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from unflaw._errors import RunFolderError
from unflaw.data._provenance import now

__all__ = ["is_fresh", "locked"]


def is_fresh(folder: Path) -> bool:
    """Whether a folder holds nothing, but for what a step leaves that was killed before it wrote the manifest."""
    return folder.is_dir() and all(p.name == ".lock" or p.match(".*.tmp") for p in folder.iterdir())


def locked(folder: Path) -> IO[str] | None:
    """Hold the folder for this process. The system lets go when the process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; there the user keeps two runs apart
        return None
    lock = open(folder / ".lock", "a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise RunFolderError(f"`{folder}` is in use by {holder}; wait for it or name another folder") from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"process {os.getpid()}, since {now()}")
    lock.flush()
    return lock
