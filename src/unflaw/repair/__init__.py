"""A damaged model in, a repaired model out: bounded unlearning under a guard."""

from unflaw.repair._objectives import FORGETTING
from unflaw.repair._own import own_answers
from unflaw.repair._sets import answers_to_forget
from unflaw.repair._settings import check_repair
from unflaw.repair._unlearn import unlearn

__all__ = ["FORGETTING", "answers_to_forget", "check_repair", "own_answers", "unlearn"]
