"""Instruction prompts with one to five constraints, drawn from a seed.

A request ("Describe a night market.") is asked once per level; level n carries the first n of
its constraints, so every level adds one to the level below, as in FollowBench (Jiang et al. 2024,
arXiv:2310.20410), and one can say up to which level an answer holds out. No answer is wrong by
taste: each constraint is a rule a program checks.

The constraints of one request can all be met together. Each belongs to a slot (length, case,
opening, …); a request draws at most one per slot, and `CLASHES` lists the pairs of kinds from
different slots that contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.evaluate._constraints import Constraint
from unflaw.evaluate._tasks import requests

__all__ = ["CLASHES", "SLOTS", "InstructionItem", "instruction_prompts"]


@dataclass(frozen=True)
class InstructionItem:
    """A prompt and the constraints its answer should meet."""

    id: str
    """Unique; "BASE/LEVEL" where the item is one level of a base request."""
    level: int
    """Number of constraints."""
    prompt: str
    constraints: tuple[Constraint, ...]
    base: str = ""
    """Names the request all levels share; empty for an item that stands alone."""


_WORDS = (
    "water", "light", "friend", "simple", "small", "quiet", "morning", "green", "people", "time", "good", "together",
    "old", "home", "never", "sometimes", "slowly", "warm", "important", "enjoy", "learn", "careful", "world", "open",
)  # fmt: skip
_OPENINGS = ("Well", "In short", "Here is", "To begin", "Yes", "First", "Imagine", "Of course")
_ENDINGS = ("and that is all", "thank you", "the end", "good luck", "I hope this helps", "so it goes")

SLOTS: Mapping[str, tuple[tuple[str, Mapping[str, Sequence[Any]]], ...]] = {
    "length": (
        ("words_at_most", {"n": (30, 40, 50, 60)}),
        ("words_at_least", {"n": (20, 30, 40)}),
        ("sentences_exactly", {"n": (2, 3)}),
        ("sentences_at_most", {"n": (2, 3, 4)}),
        ("paragraphs_exactly", {"n": (2,)}),
    ),
    "case": (("all_lowercase", {}), ("all_uppercase", {}), ("capital_words", {"low": (1,), "high": (5, 10)})),
    "opening": (("starts_with", {"phrase": _OPENINGS}),),
    "ending": (
        ("ends_with", {"phrase": _ENDINGS}),
        ("question_end", {}),
        ("postscript", {"marker": ("P.S.",)}),
    ),
    "wording": (("contains", {"phrases": [[w] for w in _WORDS]}), ("keyword_at_least", {"word": _WORDS, "n": (2,)})),
    "avoided": (
        ("avoids", {"phrases": [["the"], ["is"], ["and"], ["very"], ["you"], ["I"], ["it"]]}),
        ("letter_at_most", {"letter": ("e", "o", "t"), "n": (20, 30)}),
        ("no_exclamation", {}),
    ),
    "commas": (("no_commas", {}),),
    "numbers": (("no_digits", {}), ("has_number", {})),
    "form": (
        ("bullets_exactly", {"n": (2, 3, 4)}),
        ("numbered_list", {"n": (3, 4)}),
        ("titled", {}),
        ("heading", {}),
        ("highlights_at_least", {"n": (2,)}),
        ("quoted", {}),
        ("placeholders_at_least", {"n": (2,)}),
    ),
}
"""Slot → kinds it may hold → values each parameter may take."""

CLASHES: frozenset[frozenset[str]] = frozenset(
    frozenset(pair)
    for pair in (
        ("numbered_list", "no_digits"),
        ("numbered_list", "sentences_exactly"),
        ("numbered_list", "sentences_at_most"),
        ("numbered_list", "paragraphs_exactly"),
        ("bullets_exactly", "sentences_exactly"),
        ("bullets_exactly", "sentences_at_most"),
        ("bullets_exactly", "paragraphs_exactly"),
        ("titled", "starts_with"),
        ("titled", "sentences_exactly"),
        ("titled", "paragraphs_exactly"),
        ("heading", "starts_with"),
        ("heading", "sentences_exactly"),
        ("heading", "paragraphs_exactly"),
        ("numbered_list", "starts_with"),
        ("quoted", "postscript"),
        ("postscript", "sentences_exactly"),
        ("postscript", "paragraphs_exactly"),
    )
)
"""Pairs of kinds that no answer, or no natural one, can meet together."""


def instruction_prompts(n: int, seed: int = 0, *, levels: Sequence[int] = (1, 2, 3, 4, 5)) -> list[InstructionItem]:
    """Draw n prompts: n / len(levels) requests, each asked at every level.

    The same seed gives the same prompts; another seed gives fresh ones. After all requests are
    used (96), they come again with other constraints.

    Raises
    ------
    SettingsError
        Where n is no multiple of the number of levels, or a level is asked that no request can fill.
    """
    wanted = sorted(set(levels))
    problems = []
    if not wanted or wanted[0] < 1 or wanted[-1] > len(SLOTS):
        problems.append(f"`levels` must lie between 1 and {len(SLOTS)}, got {list(levels)}")
    elif n < 1 or n % len(wanted):
        near = max(1, round(n / len(wanted))) * len(wanted)
        problems.append(f"`n` must be a multiple of the {len(wanted)} levels, got {n}; take {near}")
    if problems:
        raise SettingsError(problems)
    rng = np.random.default_rng(seed)
    asked = requests()
    order = [i for _ in range(-(-n // len(asked))) for i in rng.permutation(len(asked))]
    items = []
    for number, index in enumerate(order[: n // len(wanted)]):
        constraints = _draw(rng, wanted[-1])
        base = f"s{seed}-{number:04d}"
        items += [_item(base, level, asked[index], constraints[:level]) for level in wanted]
    return items


def _item(base: str, level: int, request: str, constraints: tuple[Constraint, ...]) -> InstructionItem:
    prompt = " ".join([request, *(c.text for c in constraints)])
    return InstructionItem(f"{base}/{level}", level, prompt, constraints, base)


def _draw(rng: np.random.Generator, count: int) -> tuple[Constraint, ...]:
    """Draw constraints from as many different slots, in random order, none at odds with another.

    A slot whose kinds all clash with what is drawn is passed over; should too few slots be left,
    the draw starts again.
    """
    while True:
        drawn: list[Constraint] = []
        for slot in rng.permutation(list(SLOTS)):
            kinds = [k for k in SLOTS[str(slot)] if not any(frozenset((k[0], d.kind)) in CLASHES for d in drawn)]
            if kinds:
                kind, choices = kinds[int(rng.integers(len(kinds)))]
                drawn.append(Constraint(kind, {name: v[int(rng.integers(len(v)))] for name, v in choices.items()}))
            if len(drawn) == count:
                return tuple(drawn)
