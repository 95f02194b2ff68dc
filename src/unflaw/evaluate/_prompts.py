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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.evaluate._constraints import Constraint
from unflaw.evaluate._tasks import Request, requests

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


Choices = Sequence[Any] | Callable[[Request], Sequence[Any]]
"""Values a parameter may take, the same for all requests or made of a request's own words."""

_OPENINGS = ("In short", "Of course", "Imagine", "Yes", "In general", "In fact", "In my view")


def _fitting(request: Request) -> list[list[str]]:
    """Words to ask for: the last one is kept apart, so that no word is both asked for and forbidden."""
    return [[word] for word in request.words[:-1]]


def _nouns(request: Request) -> list[str]:
    return [request.noun]


def _forbidden(request: Request) -> list[list[str]]:
    return [[request.words[-1]]]


SLOTS: Mapping[str, tuple[tuple[str, Mapping[str, Choices]], ...]] = {
    "least": (("words_at_least", {"n": (15, 20, 25)}), ("sentences_at_least", {"n": (2,)})),
    "most": (("words_at_most", {"n": (35, 40, 50)}), ("sentences_at_most", {"n": (2, 3)})),
    "opening": (("starts_with", {"phrase": _OPENINGS}),),
    "noun": (("keyword_at_least", {"word": _nouns, "n": (2,)}),),
    "wording": (("contains", {"phrases": _fitting}), ("has_number", {})),
    "without": (("avoids", {"phrases": _forbidden}), ("no_commas", {})),
    "shape": (
        ("question_end", {}),
        ("postscript", {"marker": ("P.S.",)}),
        ("paragraphs_exactly", {"n": (2,)}),
    ),
}
"""Slot → kinds it may hold → choices for each parameter.

Chosen by measurement on the embedded model of 135 million parameters, which meets each of them
sometimes and none of them always: what everybody or nobody meets tells no two models apart. Hence no
"write in capitals", which it never does; prompt files may ask for that and all other kinds.
"""

CLASHES: frozenset[frozenset[str]] = frozenset(frozenset(pair) for pair in (("postscript", "sentences_at_most"),))
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
    asked = requests()
    rng, shuffle = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])  # fewer prompts are a prefix
    order = [i for _ in range(-(-n // len(asked))) for i in shuffle.permutation(len(asked))]
    items = []
    for number, index in enumerate(order[: n // len(wanted)]):
        constraints = _draw(rng, asked[index], wanted[-1])
        base = f"s{seed}-{number:04d}"
        items += [_item(base, level, asked[index].text, constraints[:level]) for level in wanted]
    return items


def _item(base: str, level: int, request: str, constraints: tuple[Constraint, ...]) -> InstructionItem:
    prompt = " ".join([request, *(c.text for c in constraints)])
    return InstructionItem(f"{base}/{level}", level, prompt, constraints, base)


def _draw(rng: np.random.Generator, request: Request, count: int) -> tuple[Constraint, ...]:
    """Draw constraints from as many different slots, in random order, none at odds with another.

    A slot whose kinds all clash with what is drawn is passed over; should too few slots be left,
    the draw starts again.
    """

    def pick(choices: Choices) -> Any:
        values = choices(request) if callable(choices) else choices
        return values[int(rng.integers(len(values)))]

    while True:
        drawn: list[Constraint] = []
        for slot in rng.permutation(list(SLOTS)):
            kinds = [k for k in SLOTS[str(slot)] if not any(frozenset((k[0], d.kind)) in CLASHES for d in drawn)]
            if kinds:
                kind, params = kinds[int(rng.integers(len(kinds)))]
                drawn.append(Constraint(kind, {name: pick(choices) for name, choices in params.items()}))
            if len(drawn) == count:
                return tuple(drawn)
