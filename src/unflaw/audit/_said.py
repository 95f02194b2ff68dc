"""What a row says, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unflaw.audit._frame import Batch

__all__ = ["Said", "said_by"]


class Said(NamedTuple):
    """What one row says."""

    text: str
    """All of it."""
    prompt: str
    answer: str
    """The response, or all of it where a row has none."""
    context: str
    """The passage it is about."""
    system: str = ""
    """What the system says before a conversation."""


def said_by(batch: Batch) -> list[Said]:
    """Return what each row says."""
    rows, nothing = batch.rows, [""] * len(batch.texts)

    def column(role: str, without: Sequence[str]) -> Sequence[str]:
        return [str(v or "") for v in rows.column(role)] if rows.has(role) else without

    context = column("context", nothing)
    passages, system = (context, nothing) if rows.has_passages else (nothing, context)
    parts = column("prompt", nothing), column("response", batch.texts), passages, system
    return [Said(*row) for row in zip(batch.texts, *parts, strict=True)]
