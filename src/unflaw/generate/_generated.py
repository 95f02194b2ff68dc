"""What every way of generating hands back: rows, refusals with reasons, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unflaw.data import Rows

__all__ = ["Generated", "Rejected"]


@dataclass(frozen=True)
class Rejected:
    """One answer that did not become a row."""

    row: int
    """Which of the rows asked for, from 0."""
    about: str
    """Id of the passage it was to be about, or the label it was to have."""
    attempt: int
    """0 for the first time this row was asked for."""
    seed: int
    reason: str
    """E.g. "empty answer", "duplicate question"."""
    output: str
    """What the model wrote, untouched."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Rows written by a model, and everything needed to judge and repeat them."""

    rows: Rows
    rejected: Sequence[Rejected]
    """Every refused answer, those that were asked again with success included."""
    n_asked: int
    """Rows the caller wanted."""
    usage: Mapping[str, float] = field(default_factory=dict)
    """Calls and tokens this job spent, as far as the generator counts them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Prompt text, template, seed and sampling as resolved."""

    @property
    def shortfall(self) -> int:
        """Rows asked for that could not be delivered."""
        return self.n_asked - len(self.rows)

    @property
    def reasons(self) -> Counter[str]:
        """Refused answers per reason."""
        return Counter(r.reason for r in self.rejected)
