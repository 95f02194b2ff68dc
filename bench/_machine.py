"""What the figures were measured on."""

import os
import platform

import torch


def machine() -> str:
    """Name processor, cores, threads, memory and Python in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
