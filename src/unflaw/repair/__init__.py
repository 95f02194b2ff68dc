"""A damaged model in, a repaired model out: bounded unlearning under a guard, or a part of the training taken back."""

from unflaw.repair._interpolate import interpolate
from unflaw.repair._objectives import FORGETTING
from unflaw.repair._own import own_answers
from unflaw.repair._sets import answers_to_forget, refuse_shared
from unflaw.repair._settings import can_bar, problems_of_interpolation, problems_of_repair
from unflaw.repair._unlearn import unlearn

__all__ = [
    "FORGETTING", "answers_to_forget", "can_bar", "interpolate", "own_answers", "problems_of_interpolation",
    "problems_of_repair", "refuse_shared", "unlearn",
]  # fmt: skip
