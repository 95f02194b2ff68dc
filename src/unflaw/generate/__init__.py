"""New rows: written by a model, checked one by one, with what each cost and why others were refused; and labels."""

from unflaw.generate._generated import Generated, Rejected
from unflaw.generate._labels import Votes, problems_of_votes, vote
from unflaw.generate._qa import qa, qa_prompts
from unflaw.generate._task import TextTask, read_task
from unflaw.generate._text import text, text_prompts

__all__ = [
    "Generated", "Rejected", "TextTask", "Votes", "problems_of_votes", "qa", "qa_prompts", "read_task", "text",
    "text_prompts", "vote",
]  # fmt: skip
