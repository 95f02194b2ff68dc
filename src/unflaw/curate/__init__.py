"""Choosing rows: which stay, which go, and why."""

from unflaw.curate._filter import filter_rows

__all__ = ["filter_rows"]
