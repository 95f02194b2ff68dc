"""Where a model may run."""

from __future__ import annotations

import re

from unflaw._errors import SettingsError

__all__ = ["device_problem", "refuse_device"]


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


def refuse_device(device: str, *, here: bool = True) -> None:
    """Raise SettingsError where no model can run on this device; see `device_problem`."""
    if problem := device_problem(device, here=here):
        raise SettingsError(problem)
