"""`unflaw report`: a run folder → one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unflaw._cli._shared import JsonOption, command, console, emit

__all__ = ["report"]


@command("unflaw report runs/first", "unflaw report runs/first --out first.md", "unflaw report runs/first --open")
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that other verbs wrote to.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", show_default=False, help="Write here instead; ends in .html, .md or .json."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a run folder into one self-contained HTML page."""
    from unflaw.report import collect, render

    page = render(run, out)
    verdict = collect(run)["verdict"]
    if as_json:
        console.print(f"wrote {page}", soft_wrap=True)
        emit({"report": str(page), **collect(run)}, as_json)
    else:
        emit(None, as_json, words=" ".join(filter(None, (verdict["sentence"], verdict["repair"], f"\n{page}"))))
    if show:
        typer.launch(page.resolve().as_uri())
