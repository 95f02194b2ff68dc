"""The tasks of an audit: each reads a part, or what parts left, and leaves its own file in the work folder.

read        a shard of a source   → parts                      (`_parts.py`)
            a part                → log_probs.npy              where a model is asked (`_inputs.py`)
summarise   a part                → summary.pkl                of every check; of a reference one for each half
conclude    the summaries         → findings/CHECK.pkl
score_rows  a part of the rows    → scores.arrow               (`_scores.py`)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import TooFewRowsError
from unflaw.audit._engine import Engine, in_one_thread
from unflaw.audit._frame import Batch, Check
from unflaw.audit._inputs import Inputs, close_scorer
from unflaw.audit._parts import Part, RowSet
from unflaw.audit._sample import draw
from unflaw.audit._work import finished, load, save, save_table
from unflaw.data import Finding

__all__ = ["Job", "conclude", "findings_of", "read_by_scorers", "summarise"]

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """What every task of one audit knows."""

    work: Path
    checks: tuple[Check, ...]
    inputs: Inputs
    seed: int

    def checks_for(self, side: str) -> tuple[Check, ...]:
        """Return the checks that look at a side: those that read text alone or ask for held-out rows see them."""
        if side != "holdout":
            return self.checks
        text = {"reference", "engine", "text"}
        return tuple(c for c in self.checks if c.needs <= text or getattr(c, "reads_holdout", False))


def read_by_scorers(job: Job, parts: Sequence[Part], engine: Engine, tick: Tick) -> None:
    """Let the models say how likely each row is, one after the other: memory need hold but one."""
    for name in job.inputs.scorers:
        try:
            for n_rows in engine.run(partial(job.inputs.read, name), parts):
                tick(n_rows)
        finally:
            close_scorer()


def summarise(job: Job, sides: Mapping[str, RowSet], engine: Engine, tick: Tick) -> dict[str, dict[str, Any]]:
    """Return side → check → summary; "half" and "other half" are sides, too, and the reference is both."""
    tasks = [(side, part) for side, rows in sides.items() for part in rows.parts]
    left = [(side, part) for side, part in tasks if not finished(_summary(part))]
    tick(sum(part.n_rows for _, part in tasks) - sum(part.n_rows for _, part in left))
    for n_rows in engine.run(partial(_summarise_part, job), left):
        tick(n_rows)
    found: dict[str, dict[str, Any]] = {}
    for side, rows in sides.items():
        folds: dict[tuple[str, str], Fold] = {}
        for part in rows.parts:
            for name, by_check in load(_summary(part)).items():
                for check in job.checks_for(side):
                    folds.setdefault((name, check.name), Fold(check)).put(by_check[check.name])
        for (name, check_name), fold in folds.items():
            found.setdefault(name, {})[check_name] = fold.result()
    if "reference" in sides:
        if not {"half", "other half"} <= set(found):
            n = sides["reference"].n_rows
            raise TooFewRowsError(f"`reference` must be large enough to split into two halves, got {n} rows")
        both = found["half"], found["other half"]
        found["reference"] = {c.name: c.merge(both[0][c.name], both[1][c.name]) for c in job.checks}
    return found


def _summarise_part(job: Job, task: tuple[str, Part]) -> int:
    side, part = task
    folds: dict[tuple[str, str], Fold] = {}
    checks = job.checks_for(side)
    needs = frozenset().union(*(check.needs for check in checks)) if side == "holdout" else None
    for batch in job.inputs.batches(part, needs=needs):
        for name, rows in _halves(batch, job.seed) if side == "reference" else ((side, batch),):
            for check in checks:
                folds.setdefault((name, check.name), Fold(check)).put(check.summarise(rows))
    summaries: dict[str, dict[str, Any]] = {}
    for (name, check_name), fold in folds.items():
        summary = fold.result()
        if hasattr(summary, "keep"):
            summary = summary.keep(part.folder / f"{check_name} {name}")
        summaries.setdefault(name, {})[check_name] = summary
    save(_summary(part), summaries)
    return part.n_rows


def _summary(part: Part) -> Path:
    return part.folder / "summary.pkl"


def _halves(batch: Batch, seed: int) -> Iterator[tuple[str, Batch]]:
    """Deal a batch into two random halves; a row's half depends on its id and the seed alone."""
    heads = [draw(f"half {row_id}", seed) & 1 for row_id in batch.ids]
    n = None if batch.n_set is None else max(1, int(batch.n_set / 2 - 3 * math.sqrt(batch.n_set)))
    for side, name in enumerate(("half", "other half")):
        if rows := [i for i, head in enumerate(heads) if head == side]:
            yield name, replace(batch.take(rows), n_set=n)


class Fold:
    """Merges summaries pairwise, small with small like a binary counter: every row is merged log2(batches) times."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.levels: list[Any] = []  # level i holds nothing, or what 2^i summaries have become

    def put(self, summary: Any) -> None:
        """Take in one more."""
        for level, resident in enumerate(self.levels):
            if resident is None:
                self.levels[level] = summary
                return
            summary, self.levels[level] = self.check.merge(resident, summary), None
        self.levels.append(summary)

    def result(self) -> Any:
        """Merge what there is."""
        first, *rest = [level for level in self.levels if level is not None]
        for summary in rest:
            first = self.check.merge(first, summary)
        return first


def conclude(
    job: Job, summaries: Mapping[str, Mapping[str, Any]], engine: Engine, tick: Tick
) -> dict[str, list[Finding] | TooFewRowsError]:
    """Return what each check found, or why it could not tell."""
    alone = [c for c in job.checks if "engine" not in c.needs and not finished(_findings(job, c.name))]
    tick(len(job.checks) - len(alone) - sum("engine" in c.needs for c in job.checks))
    tasks = [(check, *_sides(summaries, check.name)) for check in alone]
    for _ in engine.run(partial(in_one_thread, _conclude_one, job), tasks):
        tick(1)
    for check in (c for c in job.checks if "engine" in c.needs):
        if not finished(_findings(job, check.name)):
            _conclude_one(job, (check, *_sides(summaries, check.name)), run=engine.run)
        tick(1)
    return _concluded(job)


def _concluded(job: Job) -> dict[str, list[Finding] | TooFewRowsError]:
    """Return what `conclude` left; a process that asks again has it still."""
    paths = [_findings(job, check.name) for check in job.checks]
    told = _loaded(tuple((path, path.stat().st_mtime_ns) for path in paths))
    return dict(zip((check.name for check in job.checks), told, strict=True))


def findings_of(job: Job) -> dict[str, list[Finding]]:
    """Return what each check found: nothing where it had too few rows to tell."""
    return {name: [] if isinstance(of, TooFewRowsError) else of for name, of in _concluded(job).items()}


@lru_cache(maxsize=1)
def _loaded(files: tuple[tuple[Path, int], ...]) -> list[list[Finding] | TooFewRowsError]:
    return [load(path) for path, _ in files]


def _sides(summaries: Mapping[str, Mapping[str, Any]], name: str) -> tuple[Any, Any, Any, Any]:
    """Return a check's summaries in the order in which `conclude` takes them."""
    real = summaries.get("reference")
    control = None if real is None else (summaries["half"][name], summaries["other half"][name])
    held = summaries.get("holdout", {}).get(name)
    return summaries["rows"][name], None if real is None else real[name], control, held


def _conclude_one(job: Job, task: tuple[Check, Any, Any, Any, Any], **more: Any) -> None:
    check, *sides = task
    found: list[Finding] | TooFewRowsError
    try:
        found = [_tables_on_disk(f, job.work / "findings") for f in check.conclude(*sides, **more)]
    except TooFewRowsError as error:
        found = error
    save(_findings(job, check.name), found)


def _tables_on_disk(finding: Finding, folder: Path) -> Finding:
    """Put tables that scoring needs where it can look up what it needs of them."""
    tables = {name: of for name, of in finding.evidence.items() if isinstance(of, pa.Table)}
    paths = {name: folder / f"{finding.check}{name}.arrow" for name in tables}
    for name, table in tables.items():
        save_table(paths[name], table.combine_chunks())
    return replace(finding, evidence={**finding.evidence, **paths})


def _findings(job: Job, name: str) -> Path:
    return job.work / "findings" / f"{name}.pkl"
