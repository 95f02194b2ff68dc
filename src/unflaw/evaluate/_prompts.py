"""Instruction prompts with one to five constraints, drawn from a seed.

A request ("Describe a night market.") is asked once per level; level n carries the first n of
its constraints, so every level adds one to the level below, as in FollowBench (Jiang et al. 2024,
arXiv:2310.20410), and one can say up to which level an answer holds out. No answer is wrong by
taste: each constraint is a rule a program checks.

The constraints of one request can all be met together. Each belongs to a slot (length, style,
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
    request: str = ""
    """The request without its constraints: level 0. Empty where it is not known."""


Choices = Sequence[Any] | Callable[[Request], Sequence[Any]]
"""Values a parameter may take, the same for all requests or made of a request's own words."""

_OPENINGS = ("In short", "Of course", "Imagine", "In general", "In fact", "Sure", "Let me think", "Well")
_FIRST_WORDS = (["Yes", "No"], ["The", "A"], ["If", "When"], ["First", "Once"])
_PRONOUNS = (["we", "us", "our"], ["you", "your"], ["I", "my", "me"])


def _fitting(request: Request) -> list[list[str]]:
    return [[word] for word in request.words]


def _all_fitting(request: Request) -> list[list[str]]:
    return [list(request.words)]


SLOTS: Mapping[str, tuple[tuple[str, Mapping[str, Choices]], ...]] = {
    "length": (
        ("words_between", {"low": (10, 15), "high": (40, 50)}),
        ("words_at_most", {"n": (30, 40, 50)}),
        ("characters_at_most", {"n": (200, 250)}),
        ("sentences_at_most", {"n": (2, 3)}),
        ("sentences_exactly", {"n": (1,)}),
    ),
    "style": (
        ("sentence_words_at_most", {"n": (15, 20)}),
        ("word_length_at_most", {"n": (10, 12)}),
    ),
    "opening": (("starts_with", {"phrase": _OPENINGS}), ("first_word_in", {"options": _FIRST_WORDS})),
    "wording": (("contains", {"phrases": _fitting}), ("contains_any", {"phrases": _all_fitting})),
    "count": (
        ("total_of_at_least", {"options": _PRONOUNS, "n": (2,)}),
        ("distinct_of_at_least", {"options": _all_fitting, "n": (2,)}),
    ),
    "manner": (("no_commas", {}), ("has_number", {}), ("question_end", {})),
    "shape": (
        ("lines_exactly", {"n": (1,)}),
        ("paragraphs_exactly", {"n": (1,)}),
        ("numbered_list", {"n": (2, 3)}),
        ("highlights_at_least", {"n": (1, 2)}),
        ("titled", {}),
        ("postscript", {"marker": ("P.S.",)}),
        ("sections_at_least", {"n": (2,), "marker": ("PART", "SECTION")}),
        ("placeholders_at_least", {"n": (1, 2)}),
        ("json_with_keys", {"keys": (["name", "reason"], ["title", "text"])}),
    ),
}
"""Slot → kinds it may hold → choices for each parameter.

Chosen by measurement (`studies/constraints`, twelve requests a kind): the untouched embedded model met each of
them more often when asked to than when not, and not always. A kind that is met as often without being asked
measures what a model happens to write, not whether it listens: "do not use digits" is met by most answers
to most requests. Prompt files may ask for all other kinds.
"""

_CLASHING = {
    "json_with_keys": ("starts_with", "first_word_in", "question_end", "no_commas", "sentences_exactly"),
    "numbered_list": ("sentences_at_most", "sentences_exactly"),
    "sections_at_least": ("sentences_at_most", "sentences_exactly"),
    "postscript": ("sentences_at_most", "sentences_exactly", "question_end"),
    "titled": ("sentences_exactly",),
}
CLASHES = frozenset(frozenset((kind, other)) for kind, others in _CLASHING.items() for other in others)
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
    return InstructionItem(f"{base}/{level}", level, prompt, constraints, base, request)


def _draw(rng: np.random.Generator, request: Request, count: int) -> tuple[Constraint, ...]:
    """Draw constraints of as many slots, every kind as likely, none at odds with another.

    Should too few kinds be left, the draw starts again.
    """

    def pick(choices: Choices) -> Any:
        values = choices(request) if callable(choices) else choices
        return values[int(rng.integers(len(values)))]

    while True:
        drawn: dict[str, Constraint] = {}
        while len(drawn) < count:
            free = [
                (slot, kind, params)
                for slot, kinds in SLOTS.items()
                for kind, params in kinds
                if slot not in drawn and not any(frozenset((kind, d.kind)) in CLASHES for d in drawn.values())
            ]
            if not free:
                break
            slot, kind, params = free[int(rng.integers(len(free)))]
            drawn[slot] = Constraint(kind, {name: pick(choices) for name, choices in params.items()})
        else:
            return tuple(drawn.values())
