"""What all methods of `unflaw generate` share: where rows go, what is kept of a run, and what is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unflaw._cli._shared import console, written

if TYPE_CHECKING:
    from unflaw.data import RunFolder
    from unflaw.generate import Generated
    from unflaw.models import Prompt

__all__ = ["keep_made", "payload_of", "preview", "tell"]


def keep_made(folder: RunFolder | None, made: Generated, source: str) -> None:
    """Keep how rows were made, and the answers that became none, in the run folder, if there is one."""
    from unflaw.data import Rejection

    if folder is not None:
        told = [Rejection(r.row + 1, f"{r.reason}: attempt {r.attempt + 1}", r.output[:200]) for r in made.rejected]
        folder.add_rejected(told, source=source)
        folder.add_facts({"rows": len(made.rows), "refused": made.reasons, **made.settings})


def preview(model: str, what: str, prompts: list[Prompt]) -> str:
    """Say what would be asked, with the first prompt."""
    turns = [turn if isinstance(turn, str) else f"[{turn['role']}] {turn['content']}" for turn in prompts[0]]
    return "\n".join([f"would ask {model} for {what}; the first prompt:", "", *turns])


def payload_of(made: Generated, target: Path) -> dict[str, Any]:
    """Return what `--json` prints of written rows."""
    return {
        "rows": len(made.rows), "asked": made.n_asked, "shortfall": made.shortfall, "out": target,
        "refused": dict(made.reasons.most_common()), "usage": dict(made.usage), "settings": dict(made.settings),
    }  # fmt: skip


def tell(made: Generated) -> None:
    """Say how fast it went, what was refused and what is missing."""
    from unflaw.models import Usage

    if made.usage:
        console.print(written(Usage(**made.usage)))  # type: ignore[arg-type]
    if made.rejected:
        reasons = ", ".join(f"{reason} ({n})" for reason, n in made.reasons.most_common())
        console.print(f"{len(made.rejected)} answers were refused: {reasons}", soft_wrap=True)
    if made.shortfall:
        console.print(
            f"{made.shortfall} of {made.n_asked} rows are missing: no answer would do after all retries", soft_wrap=True
        )
