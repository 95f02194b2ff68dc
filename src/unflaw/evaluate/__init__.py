"""What a model can do: instruction following, question answering, natural text, and what changed."""

from unflaw.evaluate._constraints import KINDS, Constraint, Kind, constraint_table
from unflaw.evaluate._instructions import constraint_rates, instructions, score_instructions
from unflaw.evaluate._prompts import InstructionItem, instruction_prompts

__all__ = [
    "KINDS",
    "Constraint",
    "InstructionItem",
    "Kind",
    "constraint_rates",
    "constraint_table",
    "instruction_prompts",
    "instructions",
    "score_instructions",
]
