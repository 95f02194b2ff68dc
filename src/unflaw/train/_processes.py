"""Several processes, one training run: as `accelerate launch` or `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from unflaw._errors import SettingsError
from unflaw.models import is_split

__all__ = ["for_all", "from_main", "is_main_process", "largest_count", "processes"]

T = TypeVar("T")
PATIENCE = timedelta(hours=2)
"""How long processes wait for one: the main process may let the model answer for all."""


def processes(device: str) -> Any:
    """Return accelerate's state: who we are among the processes. Made before a model is put on "cuda".

    Raises
    ------
    SettingsError
        The launcher's settings would split the weights, which is `shard`'s to do.
    """
    from accelerate import PartialState

    for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() in ("1", "true"):
            raise SettingsError(
                f"the launcher must leave weights whole, got {name}; take examples/accelerate/ddp.yaml, and "
                "where memory is short --shard, which splits them, or --method lora, --gradient-checkpointing"
            )
    return PartialState(cpu=device == "cpu", timeout=PATIENCE)


def is_main_process() -> bool:
    """Whether this process tells, and writes what is written once. Known before anything heavy is imported."""
    return "LOCAL_RANK" not in os.environ or os.environ.get("RANK", "0") == "0"


def from_main(measure: Callable[[Any], float]) -> Callable[[Any], float]:
    """Let the main process measure for all, so that a last bit does not make them decide differently.

    Of split weights each holds a part, so all measure, and the main process is believed.
    """

    def told(model: Any) -> float:
        if is_split(model):
            value = measure(model)
            return float(_broadcast(lambda: value))
        return float(_broadcast(lambda: measure(model)))

    return told


def for_all(make: Callable[[], T], device: str) -> T:
    """Let the main process make something, and give it to all."""
    processes(device)
    made: T = _broadcast(make)
    return made


def largest_count(count: int) -> int:
    """Return the largest of the processes' counts."""
    from accelerate.utils import gather_object

    return max(gather_object([count]))


def _broadcast(make: Callable[[], Any]) -> Any:
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([make() if is_main_process() else None])[0]
