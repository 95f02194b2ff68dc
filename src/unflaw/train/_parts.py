"""A step in parts: as many rows at once as fit into memory, and the loss of the whole step all the same.

Each part goes forward and backward by itself, and the gradients add up. What a part's sums are divided by is counted
over the whole step, on all processes, before it is cut; so the cuts change nothing but memory and time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from unflaw.train._encode import Encoded, pad_batch

__all__ = ["Part", "RowSet", "idle", "together"]

MOST_PADDING = 0.05
"""Share of what goes through the model at once that may be padding."""
PASS_IN_TOKENS = 32
"""Tokens of padding that cost less than a pass of its own for what would be padded (short rows: bench/padding.py)."""


@dataclass(frozen=True)
class Part:
    """Some rows of a step, padded."""

    name: str
    """The set they come from, e.g. "forget"."""
    rows: list[int]
    """Their places in that set."""
    batch: dict[str, Any]
    """What `pad_batch` makes of them."""
    positions: float
    """Positions that count in the whole step, divided by the number of processes, whose gradients are averaged."""
    groups: float
    """Groups of rows in the whole step, likewise: rows, or pairs."""

    def to(self, device: Any, **options: Any) -> Part:
        """Move the tensors."""
        return replace(self, batch={name: t.to(device, **options) for name, t in self.batch.items()})


@dataclass(frozen=True)
class RowSet:
    """Encoded rows that parts are cut from. A group of rows that follow each other stays together."""

    name: str
    rows: Sequence[Encoded]
    pad_id: int
    most_tokens: int
    """Tokens of a part at most, padding included; a longer group is a part of its own.

    A part also ends before more than `MOST_PADDING` of it, and more than `PASS_IN_TOKENS`, would be padding that makes
    its groups as wide as the widest.
    """
    group: int = 1
    """Rows in a group: 2 where each has a partner. A plan draws groups."""
    even: bool = False
    """Whether all processes cut a step into as many parts, as those must that hold split weights."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of the longest row of each group."""
        return [self._width(g) for g in range(len(self.rows) // self.group)]

    def parts(self, step: Sequence[int], rank: int = 0, world: int = 1) -> list[Part]:
        """Cut this process's share of the groups of a step into parts.

        A process that gets none takes one in which nothing counts, so that all processes do the same; where `even`
        asks for more, it takes more of those.
        """
        positions = sum(self.rows[i].counted for g in step for i in self.members(g))
        shared = {"positions": max(positions, 1) / world, "groups": max(len(step), 1) / world}
        parts = [self._part(groups, shared) for groups in self._cut(self.share(step, rank, world))]
        wanted = max(len(self._cut(self.share(step, r, world))) for r in range(world)) if self.even else bool(step)
        while len(parts) < wanted:
            parts.append(idle(self._part(step[:1], shared)))
        return parts

    def _cut(self, groups: Sequence[int]) -> list[list[int]]:
        cut: list[list[int]] = []
        for g in groups:  # longest first: a part is as wide as its first group
            if cut and self._goes_with([*cut[-1], g]):
                cut[-1].append(g)
            else:
                cut.append([g])
        return cut

    def _goes_with(self, groups: Sequence[int]) -> bool:
        """Whether groups, the longest first, make one part: small enough, and of like width."""
        widths = [self._width(g) for g in groups]
        size = self.group * len(groups) * widths[0]
        return size <= self.most_tokens and size - self.group * sum(widths) <= max(MOST_PADDING * size, PASS_IN_TOKENS)

    def share(self, step: Sequence[int], rank: int, world: int) -> list[int]:
        """Return this process's groups of a step, the longest first."""
        return sorted(step, key=self._width, reverse=True)[rank::world]

    def _part(self, groups: Sequence[int], shared: dict[str, float]) -> Part:
        rows = [i for g in groups for i in self.members(g)]
        return Part(self.name, rows, pad_batch([self.rows[i] for i in rows], self.pad_id), **shared)

    def _width(self, group: int) -> int:
        return max(len(self.rows[i].ids) for i in self.members(group))

    def members(self, group: int) -> range:
        """Rows of a group."""
        return range(group * self.group, (group + 1) * self.group)


def idle(part: Part) -> Part:
    """Return a part in which nothing counts."""
    return replace(part, batch={**part.batch, "weight": part.batch["weight"].new_zeros(part.batch["weight"].shape)})


def together(parts: Sequence[Part], most_tokens: int) -> list[list[Part]]:
    """Say which parts of a step go through the model at once: all if small and of like width, else each by itself.

    On small batches the time goes into moving the weights through memory, and one pass moves them once. Large
    ones gain nothing by it: their activations would only be kept side by side. Nor do parts of which more than
    `MOST_PADDING` would be padding, once they have one width.
    """
    masks = [part.batch["attention_mask"] for part in parts]
    size = sum(len(mask) for mask in masks) * max((mask.shape[1] for mask in masks), default=0)
    real = sum(int(mask.sum()) for mask in masks)
    at_once = 2 * size <= most_tokens and real >= (1 - MOST_PADDING) * size
    return [list(parts)] if at_once else [[part] for part in parts]
