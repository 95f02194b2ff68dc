"""New rows: written by a model, checked one by one, with what each cost and why others were refused."""

from unflaw.generate._generated import Generated, Rejected
from unflaw.generate._qa import qa, qa_prompts

__all__ = ["Generated", "Rejected", "qa", "qa_prompts"]
