"""The front door: one file per verb, imported only when that verb is called."""

from unflaw._cli._app import main

__all__ = ["main"]
