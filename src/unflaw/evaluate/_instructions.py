"""Instruction following as FollowBench measures it, with programs as the only judges.

Notation (FollowBench, section 3.3)
    s_ij : 1 where the answer to item i meets its constraint j, else 0
    HSR  : hard satisfaction rate, the share of items with every s_ij = 1
    SSR  : soft satisfaction rate, the mean over items of the mean over j of s_ij
    CSL  : consistent satisfaction level, the mean over base requests of the highest level L such
           that the items of levels 1 to L are all fully met

HSR and SSR are means over levels there; with as many items on every level that is the mean over
items, and so it is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Score
from unflaw.evaluate._interval import SEPARATOR, grouped_interval
from unflaw.evaluate._prompts import InstructionItem
from unflaw.models import Generator, Sampling

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
    "instructions.level_1", … where the items have levels of base requests. `name` says which model it was.
    """
    prompts = {item.id: item.prompt for item in items}
    outputs = generate_outputs(generator, prompts, Sampling(max_tokens=max_tokens, seed=seed), progress)
    return score_instructions(items, outputs, name=name, seed=seed, settings={"max_tokens": max_tokens})


def generate_outputs(
    generator: Generator, prompts: Mapping[str, str], sampling: Sampling, progress: Progress | None = None
) -> dict[str, str]:
    """Return one answer per prompt, by the prompt's id."""
    from dataclasses import replace

    ids, done = list(prompts), 0
    outputs: dict[str, str] = {}
    step = len(ids) if progress is None else _STEP
    while done < len(ids):
        part = ids[done : done + step]
        # row i is drawn with seed + i, so a later part goes on where the one before stopped
        answers = generator.generate([prompts[i] for i in part], replace(sampling, seed=sampling.seed + done))
        outputs.update(zip(part, answers, strict=True))
        done += len(part)
        if progress is not None:
            progress(done, len(ids))
    return outputs


_STEP = 64
"""Prompts per call where someone watches: enough to fill a batch, little enough to show progress."""


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
    soft = {i.id: sum(c.met(outputs[i.id]) for c in i.constraints) / len(i.constraints) for i in items}
    hard = {id_: float(share == 1.0) for id_, share in soft.items()}
    leveled = all(item.base for item in items)
    shared: dict[str, Any] = {"prompts": _digest(items), **(settings or {})}
    separator = SEPARATOR if leveled else None

    def score(benchmark: str, outcomes: dict[str, float], unit: str = "share", split: str | None = separator) -> Score:
        low, high = grouped_interval(outcomes, split)
        return Score(
            f"instructions.{benchmark}", name, sum(outcomes.values()) / len(outcomes), low, high, len(outcomes),
            unit=unit, seed=seed, items=outcomes, outputs={i: outputs[i] for i in outcomes if i in outputs},
            settings={**shared, **({"separator": split} if split else {})},
        )  # fmt: skip

    scores = [score("hard", hard), score("soft", soft)]
    if leveled:
        scores.append(score("consistent_level", _consistent_levels(items, hard), "levels", None))
        for level in sorted({item.level for item in items}):
            scores.append(score(f"level_{level}", {i.id: hard[i.id] for i in items if i.level == level}))
    return scores


def constraint_rates(items: Sequence[InstructionItem], outputs: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """How often each kind was met and asked: kind → (met, asked), most often asked first."""
    counts: dict[str, tuple[int, int]] = {}
    for item in items:
        for constraint in item.constraints:
            met, asked = counts.get(constraint.kind, (0, 0))
            counts[constraint.kind] = (met + constraint.met(outputs[item.id]), asked + 1)
    return dict(sorted(counts.items(), key=lambda kv: -kv[1][1]))


def _consistent_levels(items: Sequence[InstructionItem], hard: Mapping[str, float]) -> dict[str, float]:
    """Base → highest level up to which every level asked was fully met, 0 if the lowest was not."""
    reached: dict[str, float] = {}
    broken: set[str] = set()
    for item in sorted(items, key=lambda i: i.level):
        reached.setdefault(item.base, 0.0)
        if not hard[item.id]:
            broken.add(item.base)
        elif item.base not in broken:
            reached[item.base] = float(item.level)
    return reached


def _digest(items: Sequence[InstructionItem]) -> str:
    """Name the prompts by what they ask, so that scores on other prompts are not compared."""
    text = "\n".join(
        f"{i.id}\t{i.prompt}\t{[(c.kind, sorted(c.params.items())) for c in i.constraints]}" for i in items
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
