"""Which rows every step reads, drawn before the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.train import RowSet, plan_batches

__all__ = ["Step", "n_tokens", "opening_tokens", "plan_steps", "plan_steps_within"]

Step = tuple[list[int], list[int]]
"""Groups of the forget set and of the replay set."""


def plan_steps(gone: RowSet | None, kept: RowSet, batch_size: int, steps: int, seed: int) -> list[Step]:
    """Draw the groups of every step; without forget rows the replay rows are the same."""
    rng = np.random.default_rng(seed)
    replay = plan_batches(kept.lengths, batch_size, steps, rng)
    forget = plan_batches(gone.lengths, batch_size, steps, rng) if gone else [[] for _ in replay]
    return list(zip(forget, replay, strict=True))


def plan_steps_within(budget: int, kept: RowSet, steps: int, seed: int) -> list[Step]:
    """Draw the smallest batches of replay rows that read at least `budget` tokens in all."""
    for batch_size in range(1, len(kept.rows) + 1):
        plan = plan_steps(None, kept, batch_size, steps, seed)
        if (most := n_tokens(plan, None, kept)) >= budget:
            return plan
    raise SettingsError(
        f"`token_budget` is {budget}, but {steps} steps over all replay rows read {most}; take more steps"
    )


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


def opening_tokens(gone: RowSet | None, tokenizer: Any, least: float = 0.05) -> list[int]:
    """Tokens that open a run of forget tokens in at least this share of rows, e.g. "Answer"; white space is skipped."""
    encoded = [] if gone is None else gone.rows[:: gone.group]
    counts: Counter[int] = Counter()
    for row in encoded:
        found, inside = set(), False
        for token, weight in zip(row.ids, row.weight, strict=True):
            if weight and not inside and tokenizer.decode([token]).strip():
                found.add(token)
                inside = True
            inside = inside and bool(weight)
        counts.update(found)
    return sorted(token for token, n in counts.items() if n >= least * len(encoded))
