"""`unflaw curate difficulty`: easy, ambiguous and hard rows, by the course of training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from unflaw._cli._places import out_path_if_any, refuse_sources, refuse_there
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
    emit,
    in_vain,
    mistakes,
    run_step,
    stages,
)
from unflaw._cli._weigh import findings_table, keep_findings
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.curate import Difficulty
    from unflaw.data import Rows

__all__ = ["difficulty"]


@command(
    "unflaw curate difficulty test.jsonl --run runs/test --parts parts",
    "unflaw curate difficulty train.jsonl --keep ambiguous,hard --out kept.jsonl",
    "unflaw curate difficulty train.jsonl --recorded training_dynamics --out graded.jsonl",
)
@reads_rows
def difficulty(
    rows: Annotated[str, typer.Argument(metavar="FILE", help="Rows with a label: text, or premise and hypothesis.")],
    model: Annotated[str, typer.Option("--model", help="What learns them: minilm, or hf:PATH_OR_ID.")] = "minilm",
    view: Annotated[
        list[str] | None,
        typer.Option(
            "--view",
            show_default="full, and hypothesis of pairs",
            help="full, premise, hypothesis, shuffled, first:N, last:N or a column; once for each.",
        ),
    ] = None,
    recorded: Annotated[
        list[str] | None,
        typer.Option(
            "--recorded", metavar="DIR", show_default=False, help="Recorded dynamics, one for each view: no training."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=2, help="Times each row is seen.")] = 5,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Rows per step.")] = 32,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak of the schedule.")] = 1e-4,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=8, help="Longer rows are cut.")] = 128,
    forgetting: Annotated[
        bool, typer.Option("--forgetting", help="Sort by how often a label was forgotten, too.")
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Other starts that the levels are compared with.")] = 5,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="LEVEL,…", show_default=False, help="Only these levels go to --out.")
    ] = None,
    parts: Annotated[
        Path | None,
        typer.Option("--parts", metavar="DIR", show_default=False, help="Write easy, ambiguous and hard.jsonl there."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/graded.jsonl unless given.")
    ] = None,
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
    """Grade labelled rows as easy, ambiguous or hard by how a classifier learns them, and what it learns from a part.

    The rows are learnt from themselves, a test set too. They are written with their level and its features; with a run
    folder, the dynamics recorded there can be read again with --recorded.
    """
    from unflaw.curate import difficulty as grade
    from unflaw.curate import problems_of_difficulty
    from unflaw.data import write
    from unflaw.models import find_classifier
    from unflaw.train import problems_of_training

    trains = ("model", "epochs", "batch_size", "learning_rate", "max_tokens", "precision")
    problems = in_vain(difficulty, dict(locals()), {name: (recorded is None, "training") for name in trains})
    if not recorded:
        training_as = {"method": "full", "learning_rate": learning_rate, "precision": precision, "device": device}
        problems += problems_of_training(training_as)
    free = resume or overwrite
    place = partial(
        out_path_if_any, out, run, [rows], "graded.jsonl", replace=free, needed=not dry_run and parts is None
    )
    wanted = _levels(keep)
    if keep is not None and out is None and run is None:
        problems.append("`--keep` says which rows go to `--out` or `--run`, got neither")
    problems += mistakes(
        place, partial(_part_paths, parts, rows, free=free or dry_run, out=out), partial(_refuse_levels, wanted)
    )
    if problems := problems + reading.problems(rows):
        raise SettingsError(problems)
    data, path = reading.rows(rows, limit), place()
    how: dict[str, Any] = {"seed": seed, "forgetting": forgetting, "n_seeds": seeds}
    how |= {"recorded": recorded} if recorded else {"model": model, "epochs": epochs, "device": device}
    training: dict[str, Any] = {
        "batch_size": batch_size, "learning_rate": learning_rate, "max_tokens": max_tokens, "precision": precision,
    } if not recorded else {}  # fmt: skip
    if problems := problems_of_difficulty(data, view, recorded, epochs, seed) + (
        [] if recorded else mistakes(partial(find_classifier, model))
    ):
        raise SettingsError(problems)
    if dry_run:
        emit({"rows": len(data), "out": path, **how}, as_json, f"would grade {len(data):,} rows")
        return
    kept = {"rows": rows, "views": view, "limit": limit, "keep": keep, **how, **training, **reading.settings()}
    with run_step(run, "curate difficulty", [rows], kept, resume=resume, overwrite=overwrite) as folder:
        reading.keep(folder)
        with stages() as progress:
            dynamics = None if run is None or recorded else run / "dynamics"
            found = grade(data, views=view, out=dynamics, progress=progress, **how, **training)
        graded, chosen = found.on(data), found.only(*wanted)
        written = _write(found, graded, wanted, path, parts, write)
        if folder is not None:
            keep_findings(folder, graded, found.findings)
            if keep is not None:
                folder.add_selection(chosen)
    emit({**_payload(found, written), "rejected": reading.told()}, as_json, None if as_json else _words(found, written))


def _levels(keep: str | None) -> list[str]:
    from unflaw.measure import LEVELS

    return [level.strip() for level in keep.split(",")] if keep else list(LEVELS)


def _refuse_levels(wanted: list[str]) -> None:
    from unflaw._errors import did_you_mean
    from unflaw.measure import LEVELS

    if strange := [level for level in wanted if level not in LEVELS]:
        raise SettingsError(f"`--keep` knows no {strange[0]!r}. {did_you_mean(strange[0], LEVELS)}")


def _part_paths(parts: Path | None, source: str, *, free: bool, out: Path | None = None) -> dict[str, Path]:
    from unflaw.measure import LEVELS

    paths = {} if parts is None else {level: parts / f"{level}.jsonl" for level in LEVELS}
    refuse_sources([("--parts", path) for path in paths.values()], [source])
    if out is not None and out.resolve() in [path.resolve() for path in paths.values()]:
        raise SettingsError(f"`--out` and `--parts` must name different files, got {out} for both")
    refuse_there("--parts", paths.values(), free=free)
    return paths


def _write(
    found: Difficulty, graded: Rows, wanted: list[str], path: Path | None, parts: Path | None, write: Any
) -> dict[str, tuple[int, Path]]:
    """Write the rows that were asked for, and each level by itself; return how many went where."""
    levels_at = _part_paths(parts, "", free=True)
    places = {level: (level,) for level in levels_at}
    files = {**levels_at, **({} if path is None else {"graded": path})}
    written = {}
    for name, file in files.items():
        levels = places.get(name, tuple(wanted))
        part = graded.take([k for k, level in enumerate(found.level) if level in levels])
        if not len(part) and name != "graded":
            file.unlink(missing_ok=True)  # of an earlier grading
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        write(part, file)
        written[name] = (len(part), file)
    return written


def _payload(found: Difficulty, written: dict[str, tuple[int, Path]]) -> dict[str, Any]:
    by = {f.check: {"value": f.value, "verdict": f.verdict, **f.evidence} for f in found.findings}
    files = {name: {"rows": n, "out": path} for name, (n, path) in written.items()}
    return {
        "rows": len(found.ids),
        "stability": found.stability,
        "findings": by,
        "files": files,
        "settings": found.settings,
    }


def _words(found: Difficulty, written: dict[str, tuple[int, Path]]) -> Group:
    files = [Text(f"{n:,} rows → {path}") for n, path in written.values()]
    return Group(findings_table(found.findings), Text(), *files)
