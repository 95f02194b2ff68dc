"""Where a model may run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unflaw._errors import SettingsError

__all__ = ["device_problem", "has_bfloat16", "refuse_device"]


def device_problem(device: str, *, here: bool = True) -> str:
    """Say why no model can run on a device, "" where one can; with `here` false, whether there is one is left open.

    >>> device_problem("gpu"), device_problem("cuda:1", here=False)
    ("`device` must be cpu, cuda, cuda:N or mps, got 'gpu'", '')
    """
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        return f"`device` must be cpu, cuda, cuda:N or mps, got {device!r}"
    if device == "cpu" or not here:
        return ""
    import torch

    n = int(torch.backends.mps.is_available()) if device == "mps" else torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) < n:
        return ""
    return f"`device` is {device!r}, and torch {torch.__version__} sees no such device here; take cpu"


def has_bfloat16(device: str) -> bool:
    """Say whether a device multiplies bfloat16 itself; others round in software, a processor 3 to 40 times slower.

    What is not known (older torch, other processors than x86) counts as yes.
    """
    import torch

    if device != "cpu":
        return device == "mps" or torch.cuda.is_bf16_supported(including_emulation=False)
    has: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    by = ("avx512_bf16", "amx_bf16", "avx_ne_convert")
    return has.get("architecture") != "x86_64" or any(has.get(name, True) for name in by)


def refuse_device(device: str, *, here: bool = True) -> None:
    """Raise SettingsError where no model can run on this device; see `device_problem`."""
    if problem := device_problem(device, here=here):
        raise SettingsError(problem)
