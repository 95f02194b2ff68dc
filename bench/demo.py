"""Does the demo keep its promise: at most 12 minutes (`--quick`: 4) and 4 GiB on two cores?

    python bench/demo.py

Runs `unflaw demo --quick` and `unflaw demo` in new folders, one after the other. The peer is the promise.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _record import compare, write

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
        promise = {"peer_version": "the promise", "equal_answer": rc == 0}
        rows.append(compare(f"{job}_time", "min", [took / 60], [minutes], **promise))
        rows.append(compare(f"{job}_memory", "GiB", [memory], [MEMORY], **promise))
        print(f"{job}: {took / 60:.1f} min, {memory:.2f} GiB, exit code {rc}", flush=True)
    write("demo", rows)


def timed(command: list[str]) -> tuple[float, float, int]:
    """Run a command; return its seconds, its peak resident memory in GiB, and its exit code."""
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts bytes there, KiB elsewhere
    return time.perf_counter() - started, usage.ru_maxrss * scale / 2**30, process.returncode


if __name__ == "__main__":
    main()
