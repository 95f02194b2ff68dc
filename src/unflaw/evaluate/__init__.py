"""What a model can do: instruction following, question answering, natural text, and what changed."""

from unflaw.evaluate._agreement import accuracy_by_agreement
from unflaw.evaluate._compare import Comparison, compare
from unflaw.evaluate._constraints import Constraint, constraint_table
from unflaw.evaluate._evaluate import SUITE, evaluate
from unflaw.evaluate._instructions import constraint_rates, instructions, score_instructions
from unflaw.evaluate._kinds import KINDS, Kind
from unflaw.evaluate._labels import LabelledClassifier, labels
from unflaw.evaluate._load import LoadedPrompts, load_prompts
from unflaw.evaluate._prompts import InstructionItem, instruction_prompts
from unflaw.evaluate._qa import question_answering
from unflaw.evaluate._text import pattern_rate, text_perplexity

__all__ = [
    "KINDS",
    "SUITE",
    "Comparison",
    "Constraint",
    "InstructionItem",
    "Kind",
    "LabelledClassifier",
    "LoadedPrompts",
    "accuracy_by_agreement",
    "compare",
    "constraint_rates",
    "constraint_table",
    "evaluate",
    "instruction_prompts",
    "instructions",
    "labels",
    "load_prompts",
    "pattern_rate",
    "question_answering",
    "score_instructions",
    "text_perplexity",
]
