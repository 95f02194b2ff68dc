"""Find what is wrong with a set of synthetic rows, and which rows carry it."""

from unflaw.audit._audit import Audit, audit
from unflaw.audit._copies import CopiesCheck
from unflaw.audit._defaults import default_checks
from unflaw.audit._frame import NEEDS, Batch, Check, RowScore
from unflaw.audit._gap import GapCheck

__all__ = ["NEEDS", "Audit", "Batch", "Check", "CopiesCheck", "GapCheck", "RowScore", "audit", "default_checks"]
