"""What a result was made with: the hour, the versions, the memory it took."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

__all__ = ["now", "peak_memory", "versions"]

_PACKAGES = (
    "accelerate", "datasets", "model2vec", "numpy", "peft", "pyarrow", "scikit-learn", "scipy", "tokenizers", "torch",
    "transformers", "trl", "xllamacpp",
)  # fmt: skip


def now() -> str:
    """Say the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Say the version of Python, of unflaw and of what it stands on, importing none of it."""
    found = {"python": sys.version.split()[0]}
    for package in ("unflaw", *_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def peak_memory() -> float | None:
    """Return the peak resident memory of this process or of its largest child, in MiB."""
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(max(peaks) / unit, 1)
