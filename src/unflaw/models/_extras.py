"""Optional libraries, asked for where they are needed."""

from __future__ import annotations

from importlib.util import find_spec

from unflaw._errors import MissingExtraError

__all__ = ["require"]


def require(*modules: str) -> None:
    """Raise MissingExtraError, which says what to install, unless all modules are there. Imports none."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(module, "models")
