"""`unflaw generate`: have a model write rows. One sub-command per method."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    SeedOption,
    bar,
    command,
    console,
    emit,
    epilog_of,
    open_cached,
    written,
)
from unflaw._cli._verb import Verb
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.data import RunFolder
    from unflaw.generate import Generated
    from unflaw.models import Prompt

__all__ = ["generate"]

generate = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@generate.callback(epilog="\b\nExample:\n  unflaw generate qa passages.jsonl -n 200 --out rows.jsonl")
def _group() -> None:
    """Write synthetic rows with a model; the sub-command is the method."""


@command(
    "unflaw generate qa passages.jsonl -n 200 --model smollm2 --out rows.jsonl --run runs/first",
    "unflaw generate qa passages.jsonl -n 200 --template 'Answer: {answer}\\nTopic: {topic}' --dry-run",
)
@reads_rows
def qa(
    passages: Annotated[str, typer.Argument(metavar="FILE", help="Rows with a text or a context.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Rows to write, spread over the passages.")],
    model: Annotated[str, typer.Option("--model", metavar="SPEC", help="Who writes.")] = "smollm2",
    template: Annotated[
        str, typer.Option("--template", help="How a response is written: {answer}, {explanation}, {topic}, \\n.")
    ] = "{answer}",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/synthetic.jsonl unless given.")
    ] = None,
    whole_passage: Annotated[
        bool, typer.Option("--whole-passage", help="Show the passage, too, not only a sentence of it.")
    ] = False,
    grounding: Annotated[
        float, typer.Option("--grounding", help="Share of words that must occur in the passage; 0 for off.")
    ] = 0.5,
    temperature: Annotated[float, typer.Option("--temperature", help="0 is greedy.")] = 0.7,
    max_retries: Annotated[int, typer.Option("--max-retries", help="Times a row is asked again.")] = 3,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Rows under way at once.")] = 8,
    *,
    reading: Reading,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write questions and answers about passages.

    With --run every answer is kept as soon as it is there: a run that was stopped goes on without
    asking twice.
    """
    from unflaw.data import write
    from unflaw.generate import qa as write_qa
    from unflaw.generate import qa_prompts

    asked: dict[str, Any] = {
        "n": number, "template": template.replace("\\n", "\n"), "whole_passage": whole_passage, "grounding": grounding,
        "temperature": temperature, "max_retries": max_retries, "seed": seed,
    }  # fmt: skip
    found = reading.rows(passages, limit)
    prompts = qa_prompts(found, n=min(number, 2), template=asked["template"], seed=seed, whole_passage=whole_passage)
    if dry_run:
        emit({"model": model, **asked, "prompts": prompts}, as_json, _preview(model, number, len(found), prompts))
        return
    target = _target(out, run, passages, replace=resume or overwrite)
    with ExitStack() as stack:
        folder = _open_folder(
            stack, run, passages, {"model": model, "limit": limit, **reading.settings(), **asked}, resume, overwrite
        )
        reading.keep(folder)
        generator = open_cached(stack, model, folder, n_parallel=parallel, device=device)
        made = write_qa(found, generator, model=model, progress=stack.enter_context(bar("rows")), **asked)
        write(made.rows, target)
        if folder is not None:
            folder.add_rejected(_rejections(made), source=f"generate qa {model}")
    emit(_payload(made, target), as_json, f"{len(made.rows)} rows → {target}")
    _tell(made)


generate.command("qa", cls=Verb, epilog=epilog_of(qa))(qa)


def _target(out: Path | None, run: Path | None, passages: str, *, replace: bool) -> Path:
    """Return where the rows go; refuse what could not be written before anything is paid for."""
    from unflaw.data import format_of

    if out is None and run is None:
        raise SettingsError("`--out` or `--run` must say where the rows go, got neither")
    if out is None:
        return Path(run or ".") / "synthetic.jsonl"
    if out.suffix:
        format_of(out)
    if out.exists() and Path(passages).exists() and out.samefile(passages):
        raise SettingsError(f"`--out` must not be the file that is read, got {out}")
    if out.exists() and not replace:
        raise SettingsError(f"`--out` names {out}, which exists; name another file, or replace it with --overwrite")
    return out


def _open_folder(
    stack: ExitStack, run: Path | None, passages: str, settings: dict[str, Any], resume: bool, overwrite: bool
) -> RunFolder | None:
    from unflaw.data import open_run

    if run is None:
        return None
    inputs = [passages] if Path(passages).exists() else []
    settings = {"passages": passages, **settings}
    return stack.enter_context(
        open_run(run, settings=settings, command="generate qa", inputs=inputs, resume=resume, overwrite=overwrite)
    )


def _rejections(made: Generated) -> list[Any]:
    from unflaw.data import Rejection

    return [Rejection(r.row + 1, f"{r.reason}: attempt {r.attempt + 1}", r.output[:200]) for r in made.rejected]


def _preview(model: str, number: int, n_passages: int, prompts: list[Prompt]) -> str:
    turns = [turn if isinstance(turn, str) else f"[{turn['role']}] {turn['content']}" for turn in prompts[0]]
    return "\n".join(
        [f"would ask {model} for {number} rows about {n_passages} passages; the first prompt:", "", *turns]
    )


def _payload(made: Generated, target: Path) -> dict[str, Any]:
    return {
        "rows": len(made.rows), "asked": made.n_asked, "shortfall": made.shortfall, "out": target,
        "refused": dict(made.reasons.most_common()), "usage": dict(made.usage), "settings": dict(made.settings),
    }  # fmt: skip


def _tell(made: Generated) -> None:
    """Say how fast it went, what was refused and what is missing."""
    from unflaw.models import Usage

    if made.usage:
        console.print(written(Usage(**made.usage)))  # type: ignore[arg-type]
    if made.rejected:
        reasons = ", ".join(f"{reason} ({n})" for reason, n in made.reasons.most_common())
        console.print(f"{len(made.rejected)} answers were refused and asked again: {reasons}", soft_wrap=True)
    if made.shortfall:
        console.print(
            f"{made.shortfall} of {made.n_asked} rows are missing: no answer would do after all retries", soft_wrap=True
        )
