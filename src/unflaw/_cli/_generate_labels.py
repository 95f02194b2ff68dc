"""`unflaw generate labels`: votes of a panel of language models, for rows that nobody annotated."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from unflaw._cli._places import out_path_if_any
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
    mistakes,
    open_cached,
    run_step,
)
from unflaw._errors import ModelCallError, SettingsError

__all__ = ["labels"]


@command(
    "unflaw generate labels rows.jsonl task.yaml --votes 5 --run runs/first",
    "unflaw generate labels rows.jsonl task.yaml --panel smollm2 --panel hf:other-model --out labelled.jsonl",
)
@reads_rows
def labels(
    rows: Annotated[str, typer.Argument(metavar="FILE", help="Rows with a text.")],
    task: Annotated[Path, typer.Argument(metavar="TASK", help="YAML: task and labels, as for `generate text`.")],
    panel: Annotated[
        list[str] | None,
        typer.Option("--panel", metavar="SPEC", show_default="smollm2", help="Who votes."),
    ] = None,
    votes: Annotated[int, typer.Option("--votes", min=1, help="Votes of each model.")] = 3,
    temperature: Annotated[
        float, typer.Option("--temperature", help="At 0 votes differ by the order of labels alone.")
    ] = 1.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/annotated.jsonl unless given.")
    ] = None,
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
    """Let language models vote on each row's label; `unflaw audit` then says how far they agree.

    The rows get a column `annotations`, and one that says that models gave them: it is no measure of what people think.
    """
    from unflaw.data import Rejection, write
    from unflaw.generate import problems_of_votes, read_task, vote
    from unflaw.models import Sampling, find_writer

    specs = panel or ["smollm2"]
    place = partial(
        out_path_if_any, out, run, [rows, task], "annotated.jsonl", replace=resume or overwrite, needed=not dry_run
    )
    problems = mistakes(place, partial(read_task, task), *(partial(find_writer, spec) for spec in specs))
    problems += mistakes(partial(Sampling, temperature=temperature))
    problems += reading.problems(rows)
    if out is not None and ".csv" in out.suffixes + [s.replace(".tsv", ".csv") for s in out.suffixes]:
        problems.append(f"`--out` must be a file that can hold lists, e.g. JSONL or Parquet, got {out}")
    if len(set(specs)) < len(specs):
        problems.append(f"`--panel` must name each model once, got {specs}")
    if votes * len(specs) < 2:
        problems.append(f"`--votes` must give each row two labels at least, got {votes} of {len(specs)} model")
    if problems:
        raise SettingsError(problems)
    found, path, given = read_task(task), place(), reading.rows(rows, limit)
    if problems := problems_of_votes(given, found):
        raise SettingsError(problems)
    asked: dict[str, Any] = {"votes": votes, "temperature": temperature, "seed": seed}
    if dry_run or path is None:
        words = f"would ask {len(specs)} models {votes} times for the labels of {len(given):,} rows"
        emit({"rows": len(given), "panel": specs, **asked}, as_json, words)
        return
    with ExitStack() as stack:
        settings = {"rows": rows, "task": str(task), "panel": specs, "limit": limit, **reading.settings(), **asked}
        step = run_step(run, "generate labels", [rows, task], settings, resume=resume, overwrite=overwrite)
        folder = stack.enter_context(step)
        reading.keep(folder)
        opened = {s: open_cached(stack, s, folder, n_parallel=parallel, device=device) for s in specs}
        made = vote(given, found, opened, progress=stack.enter_context(bar("votes")), **asked)
        if not any(made.annotations):
            raise ModelCallError(f"none of the {made.unread:,} votes named a label; try another model for `--panel`")
        write(made.on(given), path)
        if folder is not None:
            lines = [Rejection(k + 1, f"no label: {name}", answer[:200]) for k, name, answer in made.unreadable]
            folder.add_rejected(lines, source=f"generate labels {rows}")
    counts = Counter(label for row in made.annotations for label in row)
    payload = {
        "rows": len(given), "out": path, "votes": dict(counts), "unread": made.unread, "panel": specs,
        "rejected": reading.told(),
    }  # fmt: skip
    told = ", ".join(f"{label} {n:,}" for label, n in counts.most_common())
    emit(payload, as_json, f"{len(given):,} rows → {path}; votes: {told}; {made.unread:,} named no label")
