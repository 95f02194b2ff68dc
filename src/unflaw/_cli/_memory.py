"""What becomes of memory that is freed: the command line owns its process and may say so; a library may not."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["freed_at_once"]

_M_MMAP_THRESHOLD = -3
"""Number of the parameter in glibc's malloc.h."""
_SMALLEST = 2**20
_AS_GLIBC_WOULD = 32 * 2**20
"""How far glibc raises the threshold by itself as blocks are freed."""


@contextmanager
def freed_at_once(wanted: bool = True) -> Iterator[None]:
    """Let blocks of a MiB and more go back to the machine as they are freed.

    glibc keeps freed blocks of up to 32 MiB for itself, where small ones between them hold them in place: of a training
    step a gigabyte that nobody uses. The price is that the machine clears what it hands out again (2 to 12 % of a step;
    LOG.md). Nothing happens where malloc is another's, or set by `MALLOC_MMAP_THRESHOLD_` or `GLIBC_TUNABLES`.
    """
    told = "MALLOC_MMAP_THRESHOLD_" in os.environ or "mmap_threshold" in os.environ.get("GLIBC_TUNABLES", "")
    mallopt = None if told or not wanted or os.name != "posix" else getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _SMALLEST)
    try:
        yield
    finally:
        mallopt(_M_MMAP_THRESHOLD, _AS_GLIBC_WOULD)
