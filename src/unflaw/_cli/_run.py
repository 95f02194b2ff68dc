"""`unflaw run`: the steps of a recipe, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unflaw._cli._shared import DryRunOption, OverwriteOption, ResumeOption, RunOption, command, console, out

__all__ = ["run"]


@command("unflaw run recipe.yaml --dry-run")
def run(
    recipe: Annotated[Path, typer.Argument(help="YAML file with `steps`; its paths are relative to where you are.")],
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Run the steps of a recipe file; a key there is a flag here.

    The flags below are given to every step that has them. The first step that fails ends the run.
    """
    from unflaw._cli._recipe import read_recipe

    given = {"run": run, "resume": resume or None, "overwrite": overwrite or None}
    steps = read_recipe(recipe, {key: value for key, value in given.items() if value is not None})
    if dry_run:
        out.print("\n".join(map(str, steps)), soft_wrap=True)
        return
    for i, step in enumerate(steps, start=1):
        console.print(f"[{i}/{len(steps)}] {step}", soft_wrap=True)
        step.run()
