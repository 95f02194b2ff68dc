"""Have the embedded model write every task, zero-shot and few-shot; what it wrote is committed, as it takes hours.

    python studies/labelled/write.py sets/labelled --n 160

The folder is the one of `sources.py`. Each file holds the rows of `unflaw generate text`, `data/TASK-zero.jsonl.gz` and
`data/TASK-few.jsonl.gz`; `data/written.json` says what was refused and why. A set that is there is not written again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from unflaw.data import atomic_write, read, write
from unflaw.generate import read_task, text, text_prompts
from unflaw.models import CallCache, cached, open_generator

HERE = Path(__file__).parent
DATA = HERE / "data"
MODES = {"zero": 0, "few": 4}
"""Mode → real examples shown before each text."""


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--n", type=int, default=160)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tasks", default=",".join(sorted(p.stem for p in (HERE / "tasks").glob("*.yaml"))))
    told = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    record = DATA / "written.json"
    for name in told.tasks.split(","):  # what cannot be asked is told before hours are spent
        task, real = read_task(HERE / "tasks" / f"{name}.yaml"), read(told.sets / name / "checker.jsonl")
        text_prompts(task, n=told.n, shots=max(MODES.values()), examples=real)
    generator = open_generator(told.model)
    with CallCache(told.sets / "calls.sqlite") as cache:
        for name in told.tasks.split(","):
            task, real = read_task(HERE / "tasks" / f"{name}.yaml"), read(told.sets / name / "checker.jsonl")
            for mode, shots in MODES.items():
                path = DATA / f"{name}-{mode}.jsonl.gz"
                if path.exists():
                    continue
                began = time.perf_counter()
                asked = cached(generator, cache, name=told.model)
                made = text(task, asked, n=told.n, shots=shots, examples=real if shots else None, model=told.model)
                write(made.rows, path)
                said = json.loads(record.read_text()) if record.exists() else {}
                said[f"{name}-{mode}"] = {
                    "rows": len(made.rows), "asked": made.n_asked, "refused": dict(made.reasons.most_common()),
                    "near_copies": made.settings["near_copies"], "answers": made.settings["answers"],
                    "model": told.model, "seconds": round(time.perf_counter() - began),
                }  # fmt: skip
                with atomic_write(record) as file:
                    json.dump(said, file, indent=1)
                print(name, mode, said[f"{name}-{mode}"], flush=True)


if __name__ == "__main__":
    main()
