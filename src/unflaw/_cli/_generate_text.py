"""`unflaw generate text`: labelled texts from a task file, zero-shot or few-shot."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._generated import keep_made, payload_of, preview, tell
from unflaw._cli._places import out_path
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    SeedOption,
    bar,
    command,
    emit,
    in_vain,
    mistakes,
    open_cached,
    run_step,
)
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.generate import Generated

__all__ = ["text"]


@command(
    "unflaw generate text task.yaml -n 400 --run runs/first",
    "unflaw generate text task.yaml -n 400 --shots 4 --examples real.jsonl --out few.jsonl "
    "--model openai:llama3@http://localhost:11434/v1",
)
@reads_rows
def text(
    task: Annotated[Path, typer.Argument(metavar="TASK", help="YAML: task, labels, words, context, examples.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="Rows to write, as many of each label.")],
    model: Annotated[str, typer.Option("--model", metavar="SPEC", help="Who writes.")] = "smollm2",
    shots: Annotated[int, typer.Option("--shots", min=0, help="Real examples shown before each text; 0: none.")] = 0,
    examples: Annotated[
        str | None,
        typer.Option("--examples", metavar="FILE", show_default="the task's", help="Real rows with text and label."),
    ] = None,
    turns: Annotated[int, typer.Option("--turns", min=1, help="Zero-shot: texts in one conversation.")] = 4,
    max_copy: Annotated[
        float, typer.Option("--max-copy", help="Likeness to a shot above which a text is refused; 1: only equal ones.")
    ] = 0.7,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/texts.jsonl unless given.")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="0 is greedy.")] = 0.9,
    max_retries: Annotated[int, typer.Option("--max-retries", help="Times a row is asked again.")] = 5,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Rows under way at once.")] = 8,
    *,
    reading: Reading,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write labelled texts, as many of each label, from a task file alone or after real examples.

    With --run every answer is kept as soon as it is there: a run that was stopped goes on without asking twice.
    """
    from unflaw.data import write
    from unflaw.generate import read_task, text_prompts
    from unflaw.generate import text as write_text
    from unflaw.models import find_writer

    of_shots = {"examples": (shots > 0, "--shots above 0"), "max_copy": (shots > 0, "--shots above 0")}
    problems = in_vain(text, dict(locals()), {**of_shots, "turns": (shots == 0, "--shots 0")})
    found = read_task(task)
    source = examples or found.examples or None
    asked: dict[str, Any] = {
        "n": number, "shots": shots, "turns": turns, "seed": seed, "max_copy": max_copy, "temperature": temperature,
        "max_retries": max_retries,
    }  # fmt: skip
    problems += mistakes(partial(find_writer, model)) + reading.problems(source if shots else None)
    place = partial(out_path, out, run, [source, task], "texts.jsonl", replace=resume or overwrite)
    if problems := problems + ([] if dry_run else mistakes(place)):
        raise SettingsError(problems)
    real = None if source is None or not shots else reading.rows(source)
    prompts = text_prompts(found, examples=real, **asked)
    if dry_run:
        words = preview(model, f"{number} texts, labels {', '.join(found.labels)}", prompts)
        emit({"model": model, **asked, "prompts": prompts}, as_json, words)
        return
    target = place()
    with ExitStack() as stack:
        settings = {"task": str(task), "examples": source, "model": model, **reading.settings(), **asked}
        step = run_step(run, "generate text", [task, source], settings, resume=resume, overwrite=overwrite)
        folder = stack.enter_context(step)
        reading.keep(folder)
        generator = open_cached(stack, model, folder, n_parallel=parallel, device=device)
        made = write_text(
            found, generator, examples=real, model=model, progress=stack.enter_context(bar("rows")), **asked
        )
        write(made.rows, target)
        keep_made(folder, made, f"generate text {model}")
    by = Counter(made.rows.column("label"))
    counts = {label: by[label] for label in found.labels}
    payload = {**payload_of(made, target), "labels": counts, "rejected": reading.told()}
    emit(payload, as_json, _words(made, counts, target))
    tell(made)


def _words(made: Generated, counts: dict[str, int], target: Path) -> str:
    """Say how many rows each label has got, and of how many where some are missing."""
    base, more = divmod(made.n_asked, len(counts))
    wanted = {label: base + (k < more) for k, label in enumerate(counts)}
    labels = ", ".join(
        f"{label} {n:,}" + (f" of {wanted[label]:,}" if n < wanted[label] else "") for label, n in counts.items()
    )
    told = f"{len(made.rows):,} rows ({labels}) → {target}"
    if made.settings["shots"]:
        told += f"\n{made.settings['near_copies']:,} of {made.settings['answers']:,} answers were near copies of a shot"
    return told
