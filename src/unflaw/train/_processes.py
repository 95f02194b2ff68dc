"""Several processes, one training run: as `accelerate launch` or `torchrun` starts them."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["is_main_process", "processes"]


def processes(device: str) -> Any:
    """Return accelerate's state: who we are among the processes. Made before a model is put on "cuda"."""
    from accelerate import PartialState

    return PartialState(cpu=device == "cpu")


def is_main_process() -> bool:
    """Whether this process tells, and writes what is written once. Known before anything heavy is imported."""
    return os.environ.get("RANK", "0") == "0"
