"""How time, memory and disk of an audit grow with the rows.

    python bench/scale.py                                    # 10,000 to 1,000,000 rows, all checks: half an hour
    python bench/scale.py --rows 10000000 --checks cheap     # those that ask no encoder, of ten million
    python bench/scale.py --of labelled                      # questions about passages, with labels
    python bench/scale.py --of table                         # a table of twelve columns
    python bench/scale.py --rows 10000 --workers 2           # in two processes, where one is usual; or the other way

Each size is one call of `unflaw audit` with `--run`: files in, run folder out, on all cores. Rows are those of
`_files.py`, questions and answers of 60 words unless others are named; real rows are as many, up to 100,000. Memory is
what the process and its workers hold together that is not a file mapped from disk, five times a second; disk is the
work folder at its largest, and what it then holds by the kind of file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from _files import KINDS
from _record import compare, write

CHEAP = "copies,residue,form,mix,languages,qa,hygiene"
"""Checks that ask no encoder and keep no sample of texts."""
LABELLED = "label=label"
"""Of questions with answers no label is looked for."""
MOST_REAL = 100_000
SIZES = (10_000, 100_000, 1_000_000)
ON_DISK = {
    "rows": "rows.arrow", "copies": "copies*", "paraphrases": "paraphrases*", "scores": "scores.arrow",
    "digests": "digests*", "vectors": "*.npy", "summaries": "summary.pkl", "others": "*",
}  # fmt: skip
"""What a file of the work folder is for → its name; the first that fits."""


def main() -> None:
    """Measure and write bench/results/scale.json; what was measured of other sizes stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES)
    parser.add_argument("--checks", choices=("all", "cheap"), default="all")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--of", choices=tuple(KINDS), default="questions", help="the kind of rows")
    parser.add_argument("--workers", type=int, help="processes; as unflaw chooses unless given")
    told = parser.parse_args()
    usual = ("questions", "local")
    name = "_".join([told.checks, *(which for which in (told.of, told.engine) if which not in usual)])
    name += "" if told.workers is None else f"_--workers {told.workers}"
    path = Path(__file__).parent / "results" / "scale.json"
    rounds = json.loads(path.read_text())["rounds"] if path.exists() else {}
    for n in told.rows:
        rounds[f"{name}_{n}"] = [measured(n, told)]
        write("scale", list(comparisons(rounds)), rounds=rounds, keep=True)
        print(n, rounds[f"{name}_{n}"][0], flush=True)


def comparisons(rounds: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Compare each size with the next smaller one of the same kind: cost of a thousand rows."""
    kinds: dict[str, list[int]] = {}
    for key in rounds:
        kind, _, n = key.rpartition("_")
        kinds.setdefault(kind, []).append(int(n))
    for kind, sizes in kinds.items():
        for small, large in zip(sorted(sizes), sorted(sizes)[1:], strict=False):
            a, b = rounds[f"{kind}_{large}"][0], rounds[f"{kind}_{small}"][0]
            for what, unit in (("cpu_s", "CPU s per 1000 rows"), ("memory_mib", "MiB")):
                per = [(1000 / n if what == "cpu_s" else 1.0) for n in (a["n_rows"], b["n_rows"])]
                yield compare(
                    f"{kind}_{what}_{large}_vs_{small}", unit, [a[what] * per[0]], [b[what] * per[1]],
                    f"ours, {small:,} rows", equal_answer=None,
                )  # fmt: skip


def measured(n: int, told: argparse.Namespace) -> dict[str, Any]:
    """Audit n rows once, as the options say."""
    n_real = min(n, MOST_REAL)
    with tempfile.TemporaryDirectory(dir=os.environ.get("UNFLAW_BENCH_DIR")) as folder:
        at = Path(folder)
        KINDS[told.of](at / "rows", n, 1)
        KINDS[told.of](at / "real", n_real, 2)
        unflaw = str(Path(sys.executable).with_name("unflaw"))
        call = [unflaw, "audit", str(at / "rows"), "--reference", str(at / "real")]
        call += ["--run", str(at / "run"), "--engine", told.engine]
        call += [] if told.checks == "all" else ["--checks", CHEAP]
        call += ["--columns", LABELLED] if told.of == "labelled" else []
        call += [] if told.workers is None else ["--workers", str(told.workers)]
        started = time.monotonic()
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        watch = Watch(process.pid, at / "run")
        watch.start()
        said = process.stderr.read().decode() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
        watch.stop.set()
        watch.join()
        if status:
            raise SystemExit(f"the audit of {n} rows failed:\n{said[-2000:]}")
        wall, cpu = time.monotonic() - started, used.ru_utime + used.ru_stime
        subprocess.run([unflaw, "report", str(at / "run")], check=True, capture_output=True)
        page = (at / "run" / "report.html").stat().st_size / 2**20
        return {
            "n_rows": n + n_real, "n_synthetic": n, "wall_s": round(wall, 1), "cpu_s": round(cpu, 1),
            "rows_per_s": round((n + n_real) / wall), "memory_mib": watch.memory >> 20,
            "disk_mib": watch.disk.total() >> 20, "disk_bytes": dict(watch.disk), "report_mib": round(page, 2),
        }  # fmt: skip


class Watch(threading.Thread):
    """Looks at what a process and its descendants hold, until told to stop."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.folder, self.stop = pid, folder, threading.Event()
        self.memory, self.disk = 0, Counter[str]()

    def run(self) -> None:
        """Look five times a second, at the disk every tenth time."""
        for turn in range(10**9):
            if self.stop.wait(0.2):
                return
            self.memory = max(self.memory, sum(anonymous_bytes(pid) for pid in family(self.pid)))
            if turn % 10 == 0:
                self.disk = max(self.disk, bytes_below(self.folder), key=Counter.total)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def anonymous_bytes(pid: int) -> int:
    """Return the memory of a process that is no file mapped from disk; 0 when it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def bytes_below(folder: Path) -> Counter[str]:
    """Return the bytes of the files below a folder by what they are for, as far as they are still there."""
    found: Counter[str] = Counter()
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                kind = next(kind for kind, of in ON_DISK.items() if fnmatch(name, of))
                found[kind] += os.stat(os.path.join(where, name)).st_size
    return found


if __name__ == "__main__":
    main()
