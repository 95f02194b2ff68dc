"""The settings of a repair: their rules."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from unflaw.repair._objectives import FORGETTING
from unflaw.train import problems_of_training

__all__ = ["can_bar", "problems_of_interpolation", "problems_of_repair", "weight_of_kl"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "what": ("template", "opening", "gained", "response", "full"),
    "objective": tuple(FORGETTING),
    "kl": ("forward", "reverse"),
    "kl_to": ("start", "before"),
    "keep": ("best", "last"),
}


def weight_of_kl(objective: str, w_kl: float | None) -> float:
    """Return the weight of the KL term, the objective's own where none is given."""
    return FORGETTING[objective].w_kl if w_kl is None else w_kl


def can_bar(settings: Mapping[str, Any]) -> bool:
    """Tell whether the reference of the KL term can be barred from a template.

    There is a reason to where it is the damaged model, which would hold on to it, and the term KL(reference || now).
    """
    held = tuple(settings[name] for name in ("what", "kl", "kl_to")) == ("template", "forward", "start")
    return held and settings["objective"] in FORGETTING and weight_of_kl(settings["objective"], settings["w_kl"]) > 0


def problems_of_repair(settings: Mapping[str, Any], forgets: bool, bars: bool = False) -> list[str]:
    """Name all settings that break their rule or each other's, where flawed rows are forgotten, or bar a template."""
    problems = problems_of_training(settings)
    problems += [
        f"`{name}` must be one of {', '.join(allowed)}, got {settings[name]!r}"
        for name, allowed in _CHOICES.items()
        if settings[name] not in allowed
    ]
    problems += [
        f"`{name}` must be a number that is not negative, got {settings[name]}"
        for name in ("w_replay", "w_kl")
        if settings[name] is not None and not 0 <= settings[name] < math.inf
    ]
    problems += _problems_of_weight(settings["w_forget"], settings["w_replay"], forgets)
    if settings["w_replay"] == 0 and not (forgets or bars or settings["kl_to"] == "before"):
        problems.append("`w_replay` is 0 and nothing is forgotten, which leaves nothing to train")
    if settings["token_budget"] is not None and (settings["token_budget"] < 1 or forgets):
        problems.append("`token_budget` must be positive, and is for replay alone (no `forget` rows, or `w_forget` 0)")
    problems += _problems_of_guard(settings)
    return problems + _problems_of_objective(settings) + _problems_of_references(settings)


def problems_of_interpolation(settings: Mapping[str, Any]) -> list[str]:
    """Name all settings of `interpolate` that break their rule."""
    problems = problems_of_training({"precision": "float32", "method": "full", **settings})
    if not 0 <= settings["share"] <= 1:
        problems.append(
            f"`share` to go back to must be from 0 (the model before) to 1 (the damaged one), got {settings['share']}"
        )
    if os.environ.get("WORLD_SIZE", "1") != "1":
        problems.append("interpolation is for one process; start it without accelerate launch")
    return problems + _problems_of_guard(settings)


def _problems_of_guard(settings: Mapping[str, Any]) -> list[str]:
    problems = []
    if not settings["repetition_rise"] >= 0:
        problems.append(f"`repetition_rise` must be a number that is not negative, got {settings['repetition_rise']}")
    if not settings["ceiling"] >= 1:
        problems.append(f"`ceiling` must be at least 1 (the start itself), got {settings['ceiling']}")
    return problems


def _problems_of_weight(weight: Any, w_replay: float, forgets: bool) -> list[str]:
    if weight == "auto":
        held = "`w_forget` auto is measured against replay, and `w_replay` is 0: give it as a number"
        return [held] if forgets and w_replay == 0 else []
    if isinstance(weight, str) or not 0 <= weight < math.inf:
        return [f"`w_forget` must be auto or a number that is not negative, got {weight!r}"]
    return []


def _problems_of_objective(settings: Mapping[str, Any]) -> list[str]:
    objective, beta, problems = settings["objective"], settings["beta"], []
    if beta is not None:
        with_beta = [name for name, forgetting in FORGETTING.items() if forgetting.beta is not None]
        problems += [] if 0 < beta < math.inf else [f"`beta` must be a positive number, got {beta}"]
        if objective in FORGETTING and objective not in with_beta:
            problems.append(f"`beta` is for {', '.join(with_beta)}, not for {objective}")
    if objective == "dpo" and settings["what"] != "response":
        problems.append(f"`what` must be response for dpo, which weighs whole answers, got {settings['what']!r}")
    return problems


def _problems_of_references(settings: Mapping[str, Any]) -> list[str]:
    before, problems = settings["before"], []
    used = settings["what"] == "gained" or settings["kl_to"] == "before"
    if before is None and used:
        problems.append("`before` must name the model before the damage for what='gained' and for kl_to='before'")
    if before is not None and not used:
        problems.append("`before` is for what='gained' and kl_to='before', and neither is set")
    stays = settings["objective"] not in FORGETTING or weight_of_kl(settings["objective"], settings["w_kl"]) != 0
    if not stays and (settings["kl"], settings["kl_to"]) != ("forward", "start"):
        problems.append("`kl` and `kl_to` need a KL term; `w_kl` is 0")
    return problems
