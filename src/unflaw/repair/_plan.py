"""Which rows every step reads, drawn before the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unflaw._errors import SettingsError
from unflaw.train import Part, RowSet, plan_batches

__all__ = ["Step", "n_tokens", "parts_of", "plan_steps"]

Step = tuple[list[int], list[int]]
"""Groups of the forget set and of the replay set."""


def plan_steps(
    gone: RowSet | None, kept: RowSet, batch_size: int, steps: int, seed: int, token_budget: int | None = None
) -> list[Step]:
    """Draw the groups of every step; without forget rows the replay rows are the same.

    With `token_budget`, the smallest batches of replay rows that read at least as many tokens in all.
    """
    if token_budget is not None:
        return _plan_within(token_budget, kept, steps, seed)
    rng = np.random.default_rng(seed)
    replay = plan_batches(kept.lengths, batch_size, steps, rng)
    forget = plan_batches(gone.lengths, batch_size, steps, rng) if gone else [[] for _ in replay]
    return list(zip(forget, replay, strict=True))


def _plan_within(budget: int, kept: RowSet, steps: int, seed: int) -> list[Step]:
    for batch_size in range(1, len(kept.rows) + 1):
        plan = plan_steps(None, kept, batch_size, steps, seed)
        if (most := n_tokens(plan, None, kept)) >= budget:
            return plan
    raise SettingsError(
        f"`token_budget` is {budget}, but {steps} steps over all replay rows read {most}; take more steps"
    )


def parts_of(step: Step, sets: Sequence[RowSet | None], rank: int = 0, world: int = 1) -> list[Part]:
    """Cut a process's share of a step into parts, set by set."""
    pairs = zip(sets, step, strict=True)
    return [part for of, groups in pairs if of is not None for part in of.parts(groups, rank, world)]


def n_tokens(plan: Sequence[Step], gone: RowSet | None, kept: RowSet) -> int:
    """Count the tokens that a plan reads, padding not."""
    return sum(
        len(of.rows[i].ids)
        for step in plan
        for of, groups in zip((gone, kept), step, strict=True)
        if of is not None
        for g in groups
        for i in of.members(g)
    )
