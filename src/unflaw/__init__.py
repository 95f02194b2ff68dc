"""Find what is wrong with synthetic training data, mend it, and repair models it damaged."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOME = {  # public name → the room it lives in; resolved on first use, so importing costs nothing
    "Finding": "data",
    "Rows": "data",
    "Score": "data",
    "Selection": "data",
    "audit": "audit",
    "compare": "evaluate",
    "difficulty": "curate",
    "evaluate": "evaluate",
    "filter_rows": "curate",
    "finetune": "train",
    "read": "data",
    "render": "report",
    "train_classifier": "train",
    "unlearn": "repair",
    "weigh": "curate",
    "write": "data",
}

__all__ = sorted(_HOME, key=str.casefold)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unflaw' has no attribute {name!r}")
    return getattr(importlib.import_module(f"unflaw.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Front(ModuleType):
    """Keeps `unflaw.audit` the function, although Python puts the room `unflaw.audit` there on import."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            ModuleType.__setattr__(self, name, value)


sys.modules[__name__].__class__ = _Front
