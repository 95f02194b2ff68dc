"""`unflaw curate weigh`: what each synthetic row should count, by what a few real rows say."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from unflaw._cli._places import out_path_if_any
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    PrecisionOption,
    ResumeOption,
    RunOption,
    SeedOption,
    command,
    console,
    emit,
    in_vain,
    mistakes,
    run_step,
    stages,
)
from unflaw._cli._used import refuse_used, runs_of
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.curate import Weights
    from unflaw.data import Finding, Rows, RunFolder

__all__ = ["findings_table", "keep_findings", "weigh"]


@command(
    "unflaw curate weigh synthetic.jsonl --real real.jsonl --run runs/first",
    "unflaw curate weigh synthetic.jsonl --real real.jsonl --method dimp --checker probe:minilm --out weighed.jsonl",
)
@reads_rows
def weigh(
    synthetic: Annotated[str, typer.Argument(metavar="FILE", help="Rows with a text and a label.")],
    real: Annotated[str, typer.Option("--real", metavar="FILE", help="Some hundreds of real rows with labels.")],
    method: Annotated[
        str, typer.Option("--method", help="imp: quality over diversity; quality alone; dimp: for `train` to divide.")
    ] = "imp",
    checker: Annotated[
        str, typer.Option("--checker", help="A model to fine-tune, or probe:ENCODER, which takes seconds.")
    ] = "minilm",
    folds: Annotated[int, typer.Option("--folds", min=1, help="Parts of the rows for the diversity checker.")] = 2,
    temperature: Annotated[float, typer.Option("--temperature", help="Above 1 weights are more alike.")] = 1.0,
    cap: Annotated[
        float | None, typer.Option("--cap", show_default=False, help="The most a row may count; no limit unless given.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Make the quality checker as sure as it is right, on folds.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Measure the quality checker on folds of the real rows.")
    ] = True,
    wrong: Annotated[
        str | None,
        typer.Option("--wrong", metavar="COLUMN", show_default=False, help="True where a label is known to be wrong."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/weighed.jsonl unless given.")
    ] = None,
    allow_shared: Annotated[
        bool,
        typer.Option(
            "--allow-shared",
            help="Go on although rows are among the real ones, or earlier steps used those: it flatters.",
        ),
    ] = False,
    *,
    reading: Reading,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "float32",
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Weigh synthetic rows by quality over diversity (IMP-Loss; DIMP-Loss for `unflaw train --objective dimp`).

    A classifier of the real rows says how likely each label is, one of the other synthetic rows how much it still
    teaches. The rows are written with a `weight` that `unflaw train` honours. The real rows must serve nothing else:
    neither to choose an epoch nor as a test.
    """
    from unflaw.curate import problems_of_weighing
    from unflaw.curate import weigh as weigh_rows
    from unflaw.data import write
    from unflaw.train import problems_of_precision, refuse_shared

    sources = (synthetic, real)
    place = partial(
        out_path_if_any, out, run, sources, "weighed.jsonl", replace=resume or overwrite, needed=not dry_run
    )
    tunes = not checker.startswith("probe:")
    problems = in_vain(weigh, dict(locals()), {
        "precision": (tunes, "a checker that is fine-tuned"),
        **{name: (method not in ("quality", "dimp"), "--method imp") for name in ("folds", "temperature", "cap")},
    })  # fmt: skip
    problems += (problems_of_precision(precision, device) if tunes else []) + mistakes(place)
    if problems := problems + reading.problems(*sources):
        raise SettingsError(problems)
    rows, few, path = reading.rows(synthetic, limit), reading.rows(real), place()
    rule: dict[str, Any] = {
        "method": method, "checker": checker, "n_folds": folds, "temperature": temperature, "cap": cap,
        "calibrate": calibrate, "check": check, "wrong": wrong, "seed": seed,
    }  # fmt: skip
    rule |= {"precision": precision} if tunes else {}
    if problems := problems_of_weighing(rule, rows, few):
        raise SettingsError(problems)
    refuse_used(runs_of(run, [], sources), allow_shared, real=few)
    if dry_run and not allow_shared:
        refuse_shared(rows=rows, real=few)
    if dry_run or path is None:
        words = f"would weigh {len(rows):,} rows by {len(few):,} real ones"
        emit({"rows": len(rows), "real": len(few), "out": path, **rule}, as_json, words)
        return
    settings = {"rows": synthetic, "real": real, "limit": limit, **rule, **reading.settings()}
    with run_step(run, "curate weigh", sources, settings, resume=resume, overwrite=overwrite) as folder:
        reading.keep(folder)
        with stages() as progress:
            work = None if run is None else run / "checkers"
            found = weigh_rows(
                rows, few, **rule, allow_shared=allow_shared, device=device, work=work, progress=progress
            )
        weighed = found.on(rows)
        write(weighed, path)
        if folder is not None:
            keep_findings(folder, weighed, found.findings)
    emit(
        {**_payload(found, path), "rejected": reading.told()},
        as_json,
        None if as_json else _words(found, len(rows), path),
    )
    if failed := [f.meaning for f in found.findings if f.verdict == "fail"]:
        console.print(f"do not train with these weights: {failed[0]}", soft_wrap=True)
        return
    live = " --objective dimp" if found.weight is None else ""
    live += "" if run is None else f" --run {shlex.quote(str(run))}"
    console.print(
        f"next: unflaw train minilm {shlex.quote(str(path))}{reading.flags()} --validation VALIDATION{live}",
        soft_wrap=True,
    )


def keep_findings(folder: RunFolder, rows: Rows, findings: list[Finding]) -> None:
    """Keep findings, what our columns say of every row, and the rows that the report is to show."""
    from unflaw.data import ID

    ours = [c for c in rows.table.column_names if c == ID or c == "weight" or c.startswith("unflaw.")]
    worst = {i for finding in findings for i in finding.row_scores}
    shown = rows.only(worst)
    folder.add_findings(findings)
    folder.add_row_table(rows.table.select(ours), shown)


def findings_table(findings: list[Finding]) -> Table:
    """Draw findings: what was asked, what it came to, and what that means."""
    table = Table(show_edge=False, pad_edge=False)
    for head in ("finding", "value", "verdict", "meaning"):
        table.add_column(head, overflow="fold")
    styles = {"fail": "red", "warn": "yellow", "ok": ""}
    for f in findings:
        verdict = Text(f.verdict if f.judges else "", style=styles[f.verdict])
        table.add_row(Text(f.check, style=styles[f.verdict]), f"{f.value:.3g}", verdict, Text(f.meaning))
    return table


def _payload(found: Weights, path: Path) -> dict[str, Any]:
    by = {f.check: {"value": f.value, "low": f.low, "high": f.high, "verdict": f.verdict} for f in found.findings}
    return {"rows": len(found.ids), "out": path, "findings": by, "settings": found.settings}


def _words(found: Weights, n: int, path: Path) -> Group:
    return Group(findings_table(found.findings), Text(), Text(f"{n:,} rows → {path}"))
