"""The audit: every set is read and summarised part by part, then come conclusions, then a score per row."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw._errors import SchemaError, SettingsError, TooFewRowsError, UsageError
from unflaw.audit._defaults import default_checks
from unflaw.audit._engine import Engine, LocalEngine, open_engine
from unflaw.audit._frame import NEEDS, Check, has_texts
from unflaw.audit._inputs import Inputs
from unflaw.audit._parts import RowSet, read_set
from unflaw.audit._plan import hold_to_plan, identity_of, settings_of
from unflaw.audit._scores import REASON, SCORE, Scored, score_rows, worst_places
from unflaw.audit._stages import Job, conclude, findings_of, read_by_scorers, summarise
from unflaw.data import ID, Finding, RowReader, Rows, Verdict
from unflaw.models import Encoder, Scorer, device_problem

__all__ = ["VERDICTS", "Audit", "audit"]

Progress = Callable[[str, int, int], None]
Source = Rows | RowReader | str | Path

VERDICTS: tuple[Verdict, ...] = ("ok", "warn", "fail")
"""From good to bad."""

_PART_ROWS, _ASKED_ROWS = 16_384, 512
"""Rows of a part; where a model reads them, which is slow, a kill costs less with fewer."""


@dataclass(frozen=True)
class Audit:
    """What an audit found: the findings, and a score with its reasons for every row."""

    findings: Sequence[Finding]
    table: pa.Table
    """One line per audited row, in order: `unflaw.id`, `unflaw.score`, `unflaw.reason`, and `unflaw.score.CHECK` for
    each finding that scores rows, null where it does not score this one. The score over all is above .5 where a finding
    that warns or fails blames the row, and below where none does; within both by the mean over these findings. Of many
    rows the table is mapped, not held."""
    skipped: Mapping[str, str]
    """Name of a check that was not run → why."""
    worst_rows: Rows
    """The worst rows themselves: 200 over all and 200 of each finding."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        return max((f.verdict for f in self.findings), key=VERDICTS.index)

    @property
    def ids(self) -> list[str]:
        """Ids of the audited rows, in order."""
        return self.table[ID].to_pylist()

    def row_scores(self) -> dict[str, float]:
        """Row id → mean of its scores over the findings that warn or fail, over all where none does.

        A row that such a finding does not score carries none of that flaw: 0.
        """
        return dict(zip(self.ids, self.table[SCORE].to_pylist(), strict=True))

    def row_reasons(self) -> dict[str, str]:
        """Row id → everything said about it, for the rows about which something was said."""
        told = zip(self.ids, self.table[REASON].to_pylist(), strict=True)
        return {row_id: reason for row_id, reason in told if reason}

    def worst(self, n: int = 5) -> list[str]:
        """Ids of the n rows with the highest `row_scores`, worst first."""
        return self.table[ID].take(worst_places(self.table, n)).to_pylist()

    def worst_lines(self, n: int = 5) -> list[dict[str, Any]]:
        """Return id, score and reason of these rows."""
        columns = self.table.select([ID, SCORE, REASON]).take(worst_places(self.table, n))
        return columns.rename_columns(["id", "score", "reason"]).to_pylist()

    def to_pandas(self) -> Any:
        """Return `table` as a pandas DataFrame."""
        return self.table.to_pandas()


def audit(
    rows: Source,
    reference: Source | None = None,
    *,
    holdout: Source | None = None,
    checks: Sequence[Check] | None = None,
    encoder: Encoder | str = "potion",
    scorer: Scorer | str | None = None,
    scorer_after: Scorer | str | None = None,
    engine: Engine | str = "local",
    work: str | Path | None = None,
    batch_size: int = 512,
    seed: int = 0,
    allow_few: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Audit:
    """Say what is wrong with synthetic rows, and which rows carry it.

    Without a `reference` (real rows of the kind the synthetic ones stand for) most questions have no
    answer; with one, every value comes with its control, the same statistic between two random halves
    of the reference. The result does not depend on `batch_size`, the engine, or the order of the rows.

    Memory grows by some hundred bytes a row: rows are read in parts, and what must be known of every row lies on disk,
    three to five kilobytes each.

    Parameters
    ----------
    rows
        The synthetic rows, or a file of them, or a `RowReader`, which knows how to read one.
    reference
        Real rows.
    holdout
        Rows that must never be trained on, e.g. a test set: any copy of them is a `fail`.
    checks
        What to ask; `default_checks(seed, allow_few)` unless given. Given checks carry their own settings.
    encoder
        Turns texts into vectors.
    scorer
        The model under which perplexity is measured; without one that check is skipped.
    scorer_after
        The same model after training on the synthetic rows.
    engine
        Where it is computed: "local" (all cores, but one process for a few rows), "ray", or an `Engine`.
    work
        A folder for what is known of the rows. An audit that was killed goes on from there when it is asked the same
        again; without one it is a temporary folder. It must be reached by all machines of a cluster.
    allow_few
        Answer even where so few rows would mislead.
    device
        Where models named by a spec compute.
    progress
        Called with (stage, done, total); stages are counted in rows, once for each model that is asked; conclusions in
        checks.

    Raises
    ------
    TooFewRowsError
        A statistic would mislead on so few rows. Where another check fails the set anyway (a thousand copies of
        one row are too few rows to compare), the check is skipped instead.
    UsageError
        The two sets hold the same rows, no check can run with what was given, or `work` belongs to another audit.
    EngineError
        The engine cannot be reached, or its workers die again and again.
    """
    checks = default_checks(seed, allow_few) if checks is None else tuple(checks)
    _refuse_nonsense(checks, batch_size, device)
    sources = {side: _source(of) for side, of in _given(rows, reference, holdout).items()}
    models = {"embeddings": encoder, "log_probs": scorer, "log_probs_after": scorer_after}
    with ExitStack() as stack:
        folder = Path(work or stack.enter_context(tempfile.TemporaryDirectory(prefix="unflaw-")))
        if work is not None:
            known = {name: identity_of(model) for name, model in _named(models).items()}
            hold_to_plan(folder, sources, {"checks": settings_of(checks), "seed": seed, **known})
        stages = _Stages(progress)
        part_rows = _PART_ROWS if scorer is None else _ASKED_ROWS
        sides = _read(sources, folder, engine, part_rows, stages)
        there = {need for need, model in models.items() if model is not None} | _there_in(sides, encoder)
        runnable, skipped = _sort_out(checks, there | {"engine"})
        inputs = Inputs.of(runnable, encoder, scorer, scorer_after, batch_size, device)
        job = Job(folder, tuple(runnable), inputs, seed)
        scored, unasked = _ask(job, sides, open_engine(engine, _n_rows(sides)), stages)
        if os.name == "nt" and work is None:  # there a mapped file cannot be removed
            scored = Scored(scored.findings, pa.Table.from_batches(scored.table.to_batches()), scored.worst_rows)
    settings = {**_sizes(sides), **_called(models), "checks": settings_of(runnable), "seed": seed}
    return Audit(scored.findings, scored.table, skipped | unasked, scored.worst_rows, settings)


def _ask(job: Job, sides: Mapping[str, RowSet], engine: Engine, stages: _Stages) -> tuple[Scored, dict[str, str]]:
    """Go through the stages; return what was found, and which checks had too few rows to tell."""
    if scorers := job.inputs.scorers:
        parts = [part for side in ("rows", "reference") if side in sides for part in sides[side].parts]
        alone = LocalEngine(1) if isinstance(engine, LocalEngine) else engine  # a model takes all cores by itself
        total = len(scorers) * sum(part.n_rows for part in parts)
        read_by_scorers(job, parts, alone, stages.begin("asking the model", total))
    summaries = summarise(job, sides, engine, stages.begin("looking at rows", _n_rows(sides)))
    concluded = conclude(job, summaries, engine, stages.begin("concluding", len(job.checks)))
    too_few = {name: of for name, of in concluded.items() if isinstance(of, TooFewRowsError)}
    findings = findings_of(job)
    if too_few and not any(f.verdict == "fail" for of in findings.values() for f in of):
        raise next(iter(too_few.values()))
    skipped = {name: _NOTHING for name, of in findings.items() if not of} | {n: str(e) for n, e in too_few.items()}
    if not any(findings.values()):
        raise UsageError(
            f"no check had anything to ask: {', '.join(findings)}; docs/checks.md says what each needs, e.g. `tables` "
            "rows of plain columns, `relevance` twenty rows with a question and an answer"
        )
    tick = stages.begin("scoring rows", sides["rows"].n_rows)
    return score_rows(job, sides["rows"], engine, tick), skipped


class _Stages:
    """Tells the caller how far each stage is."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress

    def begin(self, stage: str, total: int) -> Callable[[int], None]:
        """Return what to call with the number of things just done."""
        done = 0

        def tick(n: int) -> None:
            nonlocal done
            done += n
            if self.progress is not None:
                self.progress(stage, done, total)

        return tick


def _given(rows: Source | None, reference: Source | None, holdout: Source | None) -> dict[str, Source]:
    if rows is None:
        raise UsageError("`rows` must be rows or a path, got None")
    return {k: v for k, v in {"rows": rows, "reference": reference, "holdout": holdout}.items() if v is not None}


def _source(of: Source) -> Rows | RowReader:
    if not isinstance(of, (Rows, RowReader, str, os.PathLike)):
        raise SettingsError(
            f"rows must be a path, `Rows` or a `RowReader`, got a {type(of).__name__}; see `Rows.from_records`"
        )
    return of if isinstance(of, (Rows, RowReader)) else RowReader(of)


def _read(
    sources: Mapping[str, Rows | RowReader], folder: Path, engine: Engine | str, part_rows: int, stages: _Stages
) -> dict[str, RowSet]:
    """Put all sets into parts; a set that was given as a path warns of lines that are no rows."""
    reads = LocalEngine() if engine == "local" else open_engine(engine, 0)  # of one shard it stays in this process
    sides = {}
    for side, source in sources.items():
        tick = stages.begin(f"reading {source.source or side}", 1)
        sides[side] = read_set(source, folder / side, reads.run, part_rows)
        tick(1)
        if isinstance(source, RowReader):
            source.warn()
    _refuse_other_kinds(sides)
    mine, real = sides["rows"], sides.get("reference")
    # in a coarse table a few kinds of rows are all there is, so that they are as many must be asked as well
    if real is not None and mine.n_rows == real.n_rows and np.array_equal(mine.contents, real.contents):
        raise UsageError(
            f"`rows` and `reference` hold the same {mine.n_rows} rows, so nothing can differ; "
            "pass real rows that the synthetic ones were not taken from"
        )
    return sides


def _n_rows(sides: Mapping[str, RowSet]) -> int:
    return sum(side.n_rows for side in sides.values())


def _sizes(sides: Mapping[str, RowSet]) -> dict[str, Any]:
    named = {name: sides.get(name) for name in ("rows", "reference", "holdout")}
    return {k: None if of is None else {"source": of.source, "n_rows": of.n_rows} for k, of in named.items()}


def _named(models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the models by the names of their arguments."""
    names = {"embeddings": "encoder", "log_probs": "scorer", "log_probs_after": "scorer_after"}
    return {names[need]: model for need, model in models.items()}


def _called(models: Mapping[str, Any]) -> dict[str, str | None]:
    """Return how the models are called in the settings, by their specs or their classes."""
    known = _named(models).items()
    return {name: m if m is None or isinstance(m, str) else type(m).__name__ for name, m in known}


def _refuse_nonsense(checks: Sequence[Check], batch_size: int, device: str) -> None:
    problems = [problem] if (problem := device_problem(device, here=False)) else []  # an engine's machines may have one
    names = [check.name for check in checks if isinstance(check, Check)]
    if len(names) < len(checks) or not checks:
        problems.append(f"`checks` must be a list of checks such as `GapCheck()`, got {checks!r}")
    if len(set(names)) < len(names):
        problems.append(f"`checks` must have different names, got {names}")
    problems += [
        f"`needs` of check {check.name!r} may name {sorted(NEEDS)}, got {sorted(check.needs - NEEDS)}"
        for check in checks
        if isinstance(check, Check) and check.needs - NEEDS
    ]
    if batch_size < 1:
        problems.append(f"`batch_size` must be at least 1, got {batch_size}")
    if problems:
        raise SettingsError(problems)


def _refuse_other_kinds(sides: Mapping[str, RowSet]) -> None:
    """Refuse texts beside a plain table: nothing in the one answers to anything in the other."""
    plain = {side: of.take([0]).is_plain for side, of in sides.items() if of.n_rows}
    kinds = {True: "a plain table", False: "texts"}
    for side, of in plain.items():
        if of != plain.get("rows", of):
            raise SchemaError(
                f"`{side}` must hold the same kind of rows as the set, got {kinds[of]} beside {kinds[plain['rows']]}: "
                "name the columns that are text (--columns text=…), or another file"
            )


def _there_in(sides: Mapping[str, RowSet], encoder: Encoder | str | None) -> set[str]:
    """Say which needs the rows themselves meet."""
    rows = sides["rows"]
    there = {
        "text": has_texts(rows.take(list(range(min(_LOOKED_AT, rows.n_rows))))),
        "reference": "reference" in sides,
        "labels": rows.has("label"),
        "pair_embeddings": encoder is not None and rows.has("prompt") and rows.has("response"),
        "context_embeddings": encoder is not None and rows.has_passages,
    }
    return {need for need, met in there.items() if met}


_LOOKED_AT = 1000
"""Rows that tell whether a table has a column of texts."""
_NOTHING = "finds nothing to ask in such rows"
_MISSING = {
    "reference": "needs real rows to compare with: pass `reference`",
    "text": "needs texts: of plain columns the check `tables` asks",
    "embeddings": "needs an encoder: pass `encoder`",
    "pair_embeddings": "needs rows with a prompt and a response, and an encoder",
    "context_embeddings": "needs rows with a passage (a column `context`), and an encoder",
    "labels": "needs labelled rows: columns `text` and `label`, filled in four of five rows, or a label named as such, "
    "e.g. --columns label=topic",
    "log_probs": "needs a model that knows how likely a text is: pass `scorer`",
    "log_probs_after": "needs the model after training: pass `scorer_after`",
}


def _sort_out(checks: Sequence[Check], given: set[str]) -> tuple[list[Check], dict[str, str]]:
    """Part the checks that can run from those that cannot, with the reason."""
    lacks = {check.name: sorted(check.needs - given) for check in checks}
    skipped = {name: "; ".join(_MISSING[need] for need in needs) for name, needs in lacks.items() if needs}
    runnable = [check for check in checks if check.name not in skipped]
    if not runnable:
        raise UsageError("no check can run: " + ". ".join(f"{name} {why}" for name, why in skipped.items()))
    return runnable, skipped
