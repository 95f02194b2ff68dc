"""A damaged model in, a repaired model out: bounded unlearning under a guard."""

from unflaw.repair._terms import FORGET_OBJECTIVES
from unflaw.repair._unlearn import unlearn

__all__ = ["FORGET_OBJECTIVES", "unlearn"]
