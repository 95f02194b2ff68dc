"""Instruction following as FollowBench measures it, with programs as the only judges.

Notation (FollowBench, section 3.3)
    s_ij : 1 where the answer to item i meets its constraint j, else 0
    HSR  : hard satisfaction rate, the share of items with every s_ij = 1
    SSR  : soft satisfaction rate, the mean over items of the mean over j of s_ij
    CSL  : consistent satisfaction level, the mean over base requests of the highest level L such
           that the items of levels 1 to L are all fully met
    lift : the mean over items of the mean over j of s_ij - b_ij, where b_ij is 1 where the same model's
           answer to the request alone (level 0) meets constraint j anyway. Ours, not FollowBench's: a model
           that gives every request the same short answer meets "no commas" without having listened.

HSR and SSR are means over levels there; with as many items on every level that is the mean over
items, and so it is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Score
from unflaw.evaluate._interval import SEPARATOR
from unflaw.evaluate._prompts import InstructionItem
from unflaw.evaluate._score import digest, mean_score
from unflaw.models import Generator, Sampling, call

__all__ = ["constraint_rates", "generate_outputs", "instructions", "score_instructions"]

Progress = Callable[[int, int], None]


def instructions(
    generator: Generator,
    items: Sequence[InstructionItem],
    *,
    max_tokens: int = 96,
    seed: int = 0,
    name: str = "",
    progress: Progress | None = None,
) -> list[Score]:
    """Let the model answer every item, greedily, and score the answers.

    Returns "instructions.hard", "instructions.soft", then "instructions.consistent_level" and
    "instructions.level_1", … where the items have levels of base requests, and "instructions.lift" where the
    requests are known without their constraints. `name` says which model it was.
    """
    prompts = {item.id: item.prompt for item in items}
    prompts |= {_bare(item): item.request for item in items if item.request}
    outputs = generate_outputs(generator, prompts, Sampling(max_tokens=max_tokens, seed=seed), progress)
    return score_instructions(items, outputs, name=name, seed=seed, settings={"max_tokens": max_tokens})


def generate_outputs(
    generator: Generator, prompts: Mapping[str, str], sampling: Sampling, progress: Progress | None = None
) -> dict[str, str]:
    """Return one answer per prompt, by the prompt's id."""
    done = 0

    def tell(i: int, answer: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(prompts))

    answers = call(generator, list(prompts.values()), sampling, on_result=tell)
    return dict(zip(prompts, answers, strict=True))


def score_instructions(
    items: Sequence[InstructionItem],
    outputs: Mapping[str, str],
    *,
    name: str = "",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> list[Score]:
    """Score answers that are already there, by item id.

    Raises
    ------
    SettingsError
        Where there are no items, or an item has no answer.
    """
    missing = [item.id for item in items if item.id not in outputs]
    if missing or not items:
        raise SettingsError(f"`outputs` must answer every item of a non-empty list, none for {missing[:3]}")
    soft = {i.id: _satisfaction(i, outputs[i.id]) for i in items}
    hard = {id_: float(share == 1.0) for id_, share in soft.items()}
    leveled = all(item.base for item in items)
    asked = [[i.id, i.prompt, [[c.kind, c.params] for c in i.constraints]] for i in items]
    shared = {"prompts_hash": digest(asked), **(settings or {})}

    def score(benchmark: str, outcomes: Mapping[str, float], unit: str = "share", **more: Any) -> Score:
        given: dict[str, Any] = {"settings": shared, "separator": SEPARATOR if leveled else None, **more}
        return mean_score(f"instructions.{benchmark}", name, outcomes, unit=unit, seed=seed, **given)

    # what was asked and answered is kept once, with the first score
    texts: dict[str, Any] = {"outputs": outputs, "settings": {**shared, "prompts": {i.id: i.prompt for i in items}}}
    scores = [score("hard", hard, **texts), score("soft", soft)]
    if all(item.request and _bare(item) in outputs for item in items):
        lift = {i.id: soft[i.id] - _satisfaction(i, outputs[_bare(i)]) for i in items}
        scores.append(score("lift", lift, signed=True))
    if leveled:
        scores.append(score("consistent_level", _consistent_levels(items, hard), "levels", separator=None))
        for level in sorted({item.level for item in items}):
            scores.append(score(f"level_{level}", {i.id: hard[i.id] for i in items if i.level == level}))
    return scores


def _bare(item: InstructionItem) -> str:
    """Id of the answer to the request alone."""
    return f"{item.base}/0"


def _satisfaction(item: InstructionItem, answer: str) -> float:
    """Share of the item's constraints that the answer meets."""
    return sum(c.met(answer) for c in item.constraints) / len(item.constraints)


def constraint_rates(items: Sequence[InstructionItem], outputs: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """How often each kind was met and asked: kind → (met, asked), most often asked first."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        for constraint in item.constraints:
            met, asked = counts.get(constraint.kind, (0, 0))
            counts[constraint.kind] = (met + constraint.met(outputs[item.id]), asked + 1)
    return dict(sorted(counts.items(), key=lambda kv: -kv[1][1]))


def _consistent_levels(items: Sequence[InstructionItem], hard: Mapping[str, float]) -> dict[str, float]:
    """Map base → highest level up to which every level asked was fully met, 0 if the lowest was not."""
    reached: dict[str, float] = {}
    broken: set[str] = set()
    for item in sorted(items, key=lambda i: i.level):
        reached.setdefault(item.base, 0.0)
        if not hard[item.id]:
            broken.add(item.base)
        elif item.base not in broken:
            reached[item.base] = float(item.level)
    return reached
