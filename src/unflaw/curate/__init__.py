"""Rows chosen, weighed, graded and dealt out: ids and numbers out, never copies."""

from unflaw.curate._checkers import find_checker, open_checker
from unflaw.curate._difficulty import LEVEL, Difficulty, difficulty, problems_of_difficulty
from unflaw.curate._filter import filter_rows
from unflaw.curate._split import split
from unflaw.curate._views import VIEWS, view_of
from unflaw.curate._weigh import DIVERSITY, METHODS, Weights, problems_of_weighing, weigh

__all__ = [
    "DIVERSITY",
    "LEVEL",
    "METHODS",
    "VIEWS",
    "Difficulty",
    "Weights",
    "difficulty",
    "filter_rows",
    "find_checker",
    "open_checker",
    "problems_of_difficulty",
    "problems_of_weighing",
    "split",
    "view_of",
    "weigh",
]
