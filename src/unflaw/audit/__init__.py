"""Find what is wrong with a set of synthetic rows, and which rows carry it."""

from unflaw.audit._frame import NEEDS, Batch, Check, RowScore

__all__ = ["NEEDS", "Batch", "Check", "RowScore"]
