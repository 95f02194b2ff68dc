"""`unflaw generate`: have a model write rows. One sub-command per method."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from unflaw._cli._generate_labels import labels
from unflaw._cli._generate_text import text
from unflaw._cli._generated import keep_made, payload_of, preview, tell
from unflaw._cli._places import out_path
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
    emit,
    epilog_of,
    open_cached,
    run_step,
)
from unflaw._cli._verb import Verb

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
        emit(
            {"model": model, **asked, "prompts": prompts},
            as_json,
            preview(model, f"{number} rows about {len(found)} passages", prompts),
        )
        return
    target = out_path(out, run, [passages], "synthetic.jsonl", replace=resume or overwrite)
    with ExitStack() as stack:
        settings = {"passages": passages, "model": model, "limit": limit, **reading.settings(), **asked}
        step = run_step(run, "generate qa", [passages], settings, resume=resume, overwrite=overwrite)
        folder = stack.enter_context(step)
        reading.keep(folder)
        generator = open_cached(stack, model, folder, n_parallel=parallel, device=device)
        made = write_qa(found, generator, model=model, progress=stack.enter_context(bar("rows")), **asked)
        write(made.rows, target)
        keep_made(folder, made, f"generate qa {model}")
    emit({**payload_of(made, target), "rejected": reading.told()}, as_json, f"{len(made.rows)} rows → {target}")
    tell(made)


generate.command("qa", cls=Verb, epilog=epilog_of(qa))(qa)
generate.command("text", cls=Verb, epilog=epilog_of(text))(text)
generate.command("labels", cls=Verb, epilog=epilog_of(labels))(labels)
