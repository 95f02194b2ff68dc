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


def processes(device: str, *, shard: bool = False) -> Any:
    """Return accelerate's state: who we are among the processes. Made before a model is put on "cuda".

    Raises
    ------
    SettingsError
        The launcher's settings would split the weights, and `shard` does not ask for it, or not so.
    """
    from accelerate import PartialState

    if problems := _problems_of_launcher(shard):
        raise SettingsError(problems)
    if shard:
        os.environ.pop("ACCELERATE_USE_FSDP", None)  # transformers splits; accelerate must not do so again
    return PartialState(cpu=device == "cpu", timeout=PATIENCE)


def _problems_of_launcher(shard: bool) -> list[str]:
    def says(name: str) -> bool:
        return os.environ.get(name, "false").lower() in ("1", "true")

    problems = [
        f"the launcher must leave weights whole, got {name}; take examples/accelerate/ddp.yaml, and "
        "where memory is short fsdp.yaml with --shard, which splits them, or --method lora, --gradient-checkpointing"
        for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM")
        if says(f"ACCELERATE_USE_{name}") and not (shard and name == "FSDP")
    ]
    if shard and says("ACCELERATE_USE_FSDP") and says("FSDP_OFFLOAD_PARAMS"):
        problems.append(
            "--shard keeps weights on the cards; set fsdp_offload_params to false in the launcher's settings"
        )
    return problems


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
