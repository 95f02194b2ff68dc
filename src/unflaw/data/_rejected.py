"""The lines that became no row, in a run folder's `rejected.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from pathlib import Path

from unflaw.data._files import atomic_write
from unflaw.data._nouns import Rejection

__all__ = ["replace_rejected"]


def replace_rejected(path: Path, gone: Container[str], new: Sequence[Rejection] = (), source: str = "") -> None:
    """Write the file anew, without the lines of the sources that are gone; without any line there is no file."""
    if not (new or path.is_file()):
        return
    with atomic_write(path) as file:
        if path.is_file():
            with open(path, encoding="utf-8") as old:
                file.writelines(line for line in old if json.loads(line)["source"] not in gone)
        for r in new:
            record = {"source": source, "line": r.line, "reason": r.reason, "text": r.excerpt}
            file.write(json.dumps(record) + "\n")  # ASCII: an excerpt may hold anything
    if path.stat().st_size == 0:
        path.unlink()
