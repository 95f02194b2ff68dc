"""The settings of a repair: their rules, all told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unflaw._errors import SettingsError
from unflaw.repair._objectives import FORGETTING
from unflaw.train import check_training

__all__ = ["PARTIAL", "check_repair"]

PARTIAL = ("template", "opening", "gained")
"""What may be forgotten that is less than the answer."""
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "what": (*PARTIAL, "response", "full"),
    "objective": tuple(FORGETTING),
    "kl": ("forward", "reverse"),
    "kl_to": ("start", "before"),
}


def check_repair(settings: Mapping[str, Any], forgets: bool) -> None:
    """Refuse settings that break their rule or each other's.

    Raises
    ------
    SettingsError
        Everything that is wrong.
    """
    problems = _problems_of_training(settings)
    problems += [
        f"`{name}` must be one of {', '.join(allowed)}, got {settings[name]!r}"
        for name, allowed in _CHOICES.items()
        if settings[name] not in allowed
    ]
    problems += [
        f"`{name}` must not be negative, got {settings[name]}"
        for name in ("w_forget", "w_replay", "w_kl")
        if settings[name] is not None and settings[name] < 0
    ]
    if settings["token_budget"] is not None and (settings["token_budget"] < 1 or forgets):
        problems.append("`token_budget` must be positive, and is for replay alone (no `forget` rows, or `w_forget` 0)")
    if settings["ceiling"] < 1:
        problems.append(f"`ceiling` must be at least 1 (the start itself), got {settings['ceiling']}")
    if settings["before"] is None and (settings["what"] == "gained" or settings["kl_to"] == "before"):
        problems.append("`before` must name the model before the damage for what='gained' and for kl_to='before'")
    problems += _problems_of_strength(settings["beta"], settings["objective"])
    if problems:
        raise SettingsError(problems)


def _problems_of_training(settings: Mapping[str, Any]) -> list[str]:
    try:
        check_training(settings)
    except SettingsError as error:
        return list(error.problems)
    return []


def _problems_of_strength(beta: float | None, objective: str) -> list[str]:
    if beta is None:
        return []
    with_beta = [name for name, forgetting in FORGETTING.items() if forgetting.beta is not None]
    problems = [] if beta > 0 else [f"`beta` must be positive, got {beta}"]
    if objective in FORGETTING and objective not in with_beta:
        problems.append(f"`beta` is for {', '.join(with_beta)}, not for {objective}")
    return problems
