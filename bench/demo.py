"""Does the demo keep its promise: at most 12 minutes (`--quick`: 4) and 4 GiB on two cores?

    python bench/demo.py

Runs `unflaw demo --quick` and `unflaw demo` in new folders, one after the other. The peer is the promise.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _machine import machine

from unflaw.data import atomic_write

PROMISES = {"demo_quick": (["--quick"], 4.0), "demo": ([], 12.0)}
"""Job → options, minutes."""
MEMORY = 4.0
UNFLAW = Path(sys.executable).parent / "unflaw"


def main() -> None:
    """Measure and write bench/results/demo.json."""
    rows = []
    for job, (options, minutes) in PROMISES.items():
        with tempfile.TemporaryDirectory() as folder:
            took, memory, rc = timed([str(UNFLAW), "demo", *options, "--run", f"{folder}/run"])
        rows += [row(f"{job}_time", "min", took / 60, minutes, rc == 0)]
        rows += [row(f"{job}_memory", "GiB", memory, MEMORY, rc == 0)]
        print(f"{job}: {took / 60:.1f} min, {memory:.2f} GiB, exit code {rc}", flush=True)
    with atomic_write(Path(__file__).parent / "results" / "demo.json") as file:
        json.dump({"machine": machine(), "rows": rows}, file, indent=1)


def timed(command: list[str]) -> tuple[float, float, int]:
    """Run a command; return its seconds, its peak resident memory in GiB, and its exit code."""
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts bytes there, KiB elsewhere
    return time.perf_counter() - started, usage.ru_maxrss * scale / 2**30, process.returncode


def row(job: str, unit: str, value: float, promise: float, finished: bool) -> dict[str, object]:
    """One run against one promise."""
    ratio = value / promise
    return {
        "job": job, "ours": value, "peer": promise, "peer_version": "the promise", "unit": unit, "ratio": ratio,
        "low": ratio, "high": ratio, "equal_answer": finished,
    }  # fmt: skip


if __name__ == "__main__":
    main()
