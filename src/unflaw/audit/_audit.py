"""The audit: one pass over every set, shared by all checks, then conclusions, then a score per row."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError, SettingsError, TooFewRowsError, UsageError
from unflaw.audit._defaults import default_checks
from unflaw.audit._frame import NEEDS, Batch, Check
from unflaw.audit._inputs import Inputs, Spill
from unflaw.audit._sample import draw
from unflaw.data import ID, Finding, Rows, Verdict, read
from unflaw.models import Encoder, Scorer

__all__ = ["VERDICTS", "Audit", "audit"]

Progress = Callable[[int, int], None]

VERDICTS: tuple[Verdict, ...] = ("ok", "warn", "fail")
"""From good to bad."""


@dataclass(frozen=True)
class Audit:
    """What an audit found: the findings, and a score with its reasons for every row."""

    findings: Sequence[Finding]
    ids: Sequence[str]
    """Ids of the audited rows, in order."""
    skipped: Mapping[str, str]
    """Name of a check that was not run → why."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        return max((f.verdict for f in self.findings), key=VERDICTS.index)

    def row_scores(self) -> dict[str, float]:
        """Row id → mean of its scores over the findings that warn or fail, over all where none does.

        A row that such a finding does not score carries none of that flaw: 0.
        """
        scored = [f for f in self.findings if f.row_scores]
        flawed = [f for f in scored if f.verdict != "ok"] or scored
        return {i: sum(f.row_scores.get(i, 0.0) for f in flawed) / max(1, len(flawed)) for i in self.ids}

    def row_reasons(self) -> dict[str, str]:
        """Row id → everything said about it, for the rows about which something was said."""
        reasons: dict[str, list[str]] = {}
        for finding in self.findings:
            for row_id, reason in finding.row_reasons.items():
                reasons.setdefault(row_id, []).append(reason)
        return {row_id: "; ".join(said) for row_id, said in reasons.items()}

    def worst(self, n: int = 5) -> list[str]:
        """Ids of the n rows with the highest `row_scores`, worst first."""
        scores = self.row_scores()
        return sorted(scores, key=lambda i: (-scores[i], i))[:n]

    def row_columns(self) -> dict[str, dict[str, Any]]:
        """Row id → its score, its reason, and its score by each finding that scores it, under `unflaw.*` names."""
        reasons = self.row_reasons()
        columns: dict[str, dict[str, Any]] = {
            row_id: {"unflaw.score": score, "unflaw.reason": reasons.get(row_id, "")}
            for row_id, score in self.row_scores().items()
        }
        for finding in self.findings:
            for row_id, score in finding.row_scores.items():
                columns[row_id][f"unflaw.score.{finding.check}"] = score
        return columns

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with one line per row: its id and `row_columns`; nan where it was not scored."""
        names = ["unflaw.score", "unflaw.reason", *(f"unflaw.score.{f.check}" for f in self.findings if f.row_scores)]
        rows = self.row_columns()
        table = {name: [rows[i].get(name) for i in self.ids] for name in names}
        return pa.table({ID: list(self.ids), **table}).to_pandas()


def audit(
    rows: Rows | str | Path,
    reference: Rows | str | Path | None = None,
    *,
    holdout: Rows | str | Path | None = None,
    checks: Sequence[Check] | None = None,
    encoder: Encoder | str = "potion",
    scorer: Scorer | str | None = None,
    scorer_after: Scorer | str | None = None,
    batch_size: int = 512,
    seed: int = 0,
    allow_few: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Audit:
    """Say what is wrong with synthetic rows, and which rows carry it.

    Without a `reference` (real rows of the kind the synthetic ones stand for) most questions have no
    answer; with one, every value comes with its control, the same statistic between two random halves
    of the reference. The result does not depend on `batch_size` or on the order of the rows.

    Parameters
    ----------
    rows
        The synthetic rows, or a file of them.
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
    allow_few
        Answer even where so few rows would mislead.
    device
        Where models named by a spec compute.
    progress
        Called with (rows done, rows in all).

    Raises
    ------
    TooFewRowsError
        A statistic would mislead on so few rows. Where another check fails the set anyway (a thousand copies of
        one row are too few rows to compare), the check is skipped instead.
    UsageError
        The two sets hold the same rows, or no check can run with what was given.
    """
    checks = default_checks(seed, allow_few) if checks is None else tuple(checks)
    _refuse_nonsense(checks, batch_size)
    synthetic, real, held = _rows(rows, "rows"), _rows(reference, "reference"), _rows(holdout, "holdout")
    if synthetic is None:
        raise UsageError("`rows` must be rows or a path, got None")
    if real is not None:
        _refuse_same(synthetic, real)
    given = {"reference": real, "embeddings": encoder, "log_probs": scorer, "log_probs_after": scorer_after}
    there = {need for need, it in given.items() if it is not None} | _there_in(synthetic, encoder)
    runnable, skipped = _sort_out(checks, there)
    inputs = Inputs.open(runnable, encoder, scorer, scorer_after, batch_size, device)
    tick = _ticker(progress, sum(len(r) for r in (synthetic, real, held) if r is not None))

    with Spill() as spill:
        folds = {check.name: _Fold(check) for check in runnable}
        for batch in spill.keep(inputs.batches(synthetic)):
            for fold in folds.values():
                fold.add(batch)
            tick(len(batch.texts))
        halves = None if real is None else _fold_halves(runnable, inputs, real, seed, tick)
        apart = {} if held is None else _fold_holdout(runnable, inputs, held, tick)
        findings: list[Finding] = []
        too_few: dict[str, TooFewRowsError] = {}
        for check in runnable:
            control = None if halves is None else halves[check.name]
            whole = None if control is None else check.merge(*control)
            try:
                concluded = check.conclude(folds[check.name].result(), whole, control, apart.get(check.name))
            except TooFewRowsError as error:
                too_few[check.name] = error
                continue
            findings += _score_rows(check, concluded, spill.again(synthetic))
    if too_few and not any(f.verdict == "fail" for f in findings):
        raise next(iter(too_few.values()))
    skipped |= {name: str(error) for name, error in too_few.items()}
    settings = _settings(synthetic, real, held, runnable, given, seed)
    return Audit(tuple(findings), tuple(synthetic.ids), skipped, settings)


class _Fold:
    """Merges summaries pairwise, small with small like a binary counter: every row is merged log2(batches) times."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.levels: list[Any] = []  # level i holds nothing, or the summary of 2^i batches

    def add(self, batch: Batch) -> None:
        summary = self.check.summarise(batch)
        for level, resident in enumerate(self.levels):
            if resident is None:
                self.levels[level] = summary
                return
            summary, self.levels[level] = self.check.merge(resident, summary), None
        self.levels.append(summary)

    def result(self) -> Any:
        first, *rest = [level for level in self.levels if level is not None]
        for summary in rest:
            first = self.check.merge(first, summary)
        return first


def _fold_halves(
    checks: Sequence[Check], inputs: Inputs, real: Rows, seed: int, tick: Callable[[int], None]
) -> dict[str, tuple[Any, Any]]:
    """Summarise two random halves of the reference; a row's half depends on its id and the seed alone."""
    folds = {check.name: (_Fold(check), _Fold(check)) for check in checks}
    for batch in inputs.batches(real):
        heads = [draw(f"half {row_id}", seed) & 1 for row_id in batch.ids]
        for side in (0, 1):
            part = batch.take([i for i, head in enumerate(heads) if head == side])
            if part.texts:
                for pair in folds.values():
                    pair[side].add(part)
        tick(len(batch.texts))
    if any(not fold.levels for pair in folds.values() for fold in pair):
        raise TooFewRowsError(f"`reference` must be large enough to split into two halves, got {len(real)} rows")
    return {name: (a.result(), b.result()) for name, (a, b) in folds.items()}


def _fold_holdout(checks: Sequence[Check], inputs: Inputs, held: Rows, tick: Callable[[int], None]) -> dict[str, Any]:
    """Summarise held-out rows for the checks that read text alone."""
    folds = {check.name: _Fold(check) for check in checks if check.needs <= {"reference"}}
    for batch in inputs.texts_alone(held):
        for fold in folds.values():
            fold.add(batch)
        tick(len(batch.texts))
    return {name: fold.result() for name, fold in folds.items()}


def _score_rows(check: Check, findings: Sequence[Finding], batches: Iterator[Batch]) -> list[Finding]:
    """Fill in what the check can say about rows; what a finding says already stands."""
    scores: dict[str, dict[str, float]] = {f.check: {} for f in findings}
    reasons: dict[str, dict[str, str]] = {f.check: {} for f in findings}
    for batch in batches:
        for name, by_row in check.score(batch, findings).items():
            scores[name] |= {row_id: said.score for row_id, said in by_row.items()}
            reasons[name] |= {row_id: said.reason for row_id, said in by_row.items() if said.reason}
    return [
        dataclasses.replace(
            f,
            row_scores={**scores[f.check], **f.row_scores},
            row_reasons={**{i: r for i, r in reasons[f.check].items() if i not in f.row_scores}, **f.row_reasons},
        )
        for f in findings
    ]


def _rows(source: Rows | str | Path | None, name: str) -> Rows | None:
    if source is None:
        return None
    rows = source if isinstance(source, Rows) else read(source)
    if not len(rows):
        raise DataError(f"`{name}` must hold rows, got none in {rows.source or 'the rows passed'}")
    return rows


def _refuse_nonsense(checks: Sequence[Check], batch_size: int) -> None:
    problems = []
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


def _refuse_same(synthetic: Rows, real: Rows) -> None:
    if Counter(synthetic.texts()) == Counter(real.texts()):  # a coarse table may well hold the same few rows
        raise UsageError(
            f"`rows` and `reference` hold the same {len(synthetic)} rows, so nothing can differ; "
            "pass real rows that the synthetic ones were not taken from"
        )


def _there_in(rows: Rows, encoder: Encoder | str | None) -> set[str]:
    """Say which needs the rows themselves meet."""
    pairs = encoder is not None and rows.has("prompt") and rows.has("response")
    return {need for need, there in {"labels": rows.has("label"), "pair_embeddings": pairs}.items() if there}


_MISSING = {
    "reference": "needs real rows to compare with: pass `reference`",
    "embeddings": "needs an encoder: pass `encoder`",
    "pair_embeddings": "needs rows with a prompt and a response, and an encoder",
    "labels": "needs labelled rows: a column `label`",
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


def _settings(
    synthetic: Rows, real: Rows | None, held: Rows | None, checks: Sequence[Check], given: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    sets = {"rows": synthetic, "reference": real, "holdout": held}
    models = {"encoder": given["embeddings"], "scorer": given["log_probs"], "scorer_after": given["log_probs_after"]}
    return {
        **{k: None if r is None else {"source": r.source, "n_rows": len(r)} for k, r in sets.items()},
        **{k: m if m is None or isinstance(m, str) else type(m).__name__ for k, m in models.items()},
        "checks": {c.name: _settings_of(c) for c in checks},
        "seed": seed,
    }


def _settings_of(check: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(check):
        return {}
    return {f.name: getattr(check, f.name) for f in dataclasses.fields(check) if f.metadata.get("setting", True)}


def _ticker(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def tick(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done, total)

    return tick
