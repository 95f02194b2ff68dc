"""What a bench writes: rows of ours beside a peer's, and what they were measured on."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.data import atomic_write

__all__ = ["compare", "write"]


def compare(
    job: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    peer_version: str,
    *,
    equal_answer: bool | None,
    more_is_better: bool = False,
) -> dict[str, Any]:
    """Compare round by round: a ratio below 1 says that ours costs less. NaN is what did not fit into memory.

    `equal_answer` is None where the two do not do the same work, so that their answers cannot be equal.
    """
    a, b = np.array(ours, dtype=float), np.array(peer, dtype=float)
    ratio = b / a if more_is_better else a / b
    values = {
        "ours": np.median(a), "peer": np.median(b), "ratio": np.median(ratio), "low": ratio.min(), "high": ratio.max()
    }  # fmt: skip
    told = {name: float(value) if np.isfinite(value) else None for name, value in values.items()}
    return {"job": job, "unit": unit, "peer_version": peer_version, "equal_answer": equal_answer, **told}


def write(
    name: str,
    rows: Sequence[dict[str, Any]],
    rounds: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
    *,
    keep: bool = False,
    device: str = "cpu",
) -> None:
    """Write results/<name>.json; with `keep`, jobs that were not measured this time stay as they were.

    `rounds` are an arm's own numbers, round by round: what the rows compare.
    """
    path = Path(__file__).parent / "results" / f"{name}.json"
    jobs = {row["job"] for row in rows}
    old = json.loads(path.read_text()) if keep and path.exists() else {"rows": []}
    record: dict[str, Any] = {"machine": machine(device)}
    record["rows"] = [row for row in old["rows"] if row["job"] not in jobs] + list(rows)
    if rounds:
        record["rounds"] = {**old.get("rounds", {}), **rounds}
    with atomic_write(path) as file:
        json.dump(record, file, indent=1)


def machine(device: str) -> str:
    """Name processor, cores, threads, memory, card and Python in one line."""
    import torch  # not before: a bench of memory would hold it

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    card = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return (
        f"{card}{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
