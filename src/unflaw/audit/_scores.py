"""A score per row and finding: part by part in files, then one table, and of each finding the worst rows.

The table can be as long as the set, so it is never held: it is written part by part and mapped into memory.

    PART/scores.arrow   id, reason, and one column per finding
    PART/worst.pkl      of each finding: how many rows it scores, and the worst of them; written last
    scores.arrow        the whole, with the score over all findings
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from unflaw.audit._engine import Engine
from unflaw.audit._parts import Part, RowSet
from unflaw.audit._stages import Job, findings_of
from unflaw.audit._twins import with_best
from unflaw.audit._work import finished, load, open_table, save, save_table
from unflaw.data import ID, Finding, Rows, atomic_write
from unflaw.measure import mask

__all__ = ["REASON", "SCORE", "Scored", "score_rows", "worst_places"]

SCORE, REASON = "unflaw.score", "unflaw.reason"
_KEPT = 1000
"""Worst rows that a finding lists."""
_SHOWN = 200
"""Worst rows, over all and of each finding, that are kept themselves for whoever wants to read them."""


class _Bad(NamedTuple):
    """A row a finding speaks against. The worst come first; of two as bad the one with the smaller id."""

    good: float
    """The score, negative."""
    row_id: str
    reason: str
    place: int
    """In the whole set."""


@dataclass(frozen=True)
class Scored:
    """What an audit says of rows."""

    findings: tuple[Finding, ...]
    """With the worst rows of each."""
    table: pa.Table
    """One line per row, in order: id, score, reason, and its score by each finding that scores any; mapped."""
    worst_rows: Rows
    """The worst rows themselves, over all and of each finding."""


@dataclass(frozen=True)
class _Worst:
    """What scoring a part leaves beside the scores."""

    n_scored: dict[str, int]
    rows: dict[str, list[_Bad]]


def score_rows(job: Job, rows: RowSet, engine: Engine, tick: Callable[[int], None]) -> Scored:
    """Score every row, and say which are the worst."""
    left = [part for part in rows.parts if not finished(part.folder / "worst.pkl")]
    tick(rows.n_rows - sum(part.n_rows for part in left))
    for n_rows in engine.run(partial(_score_part, job), left):
        tick(n_rows)
    told: list[_Worst] = [load(part.folder / "worst.pkl") for part in rows.parts]
    whole = [f for of in findings_of(job).values() for f in of]
    worst = {f.check: heapq.nsmallest(_KEPT, (row for one in told for row in one.rows[f.check])) for f in whole}
    n_scored = {f.check: sum(one.n_scored[f.check] for one in told) for f in whole}
    named = tuple(_with_rows(f, worst[f.check], n_scored[f.check]) for f in whole)
    over_all = _join(job, named, rows)
    table = open_table(job.work / "scores.arrow")
    named = tuple(with_best(named, table, SCORE))
    places = [row.place for rows_of in [over_all, *worst.values()] for row in rows_of[:_SHOWN]]
    return Scored(named, table, rows.take([*places, *_places_of_best(named, table)]))


def _places_of_best(findings: Sequence[Finding], table: pa.Table) -> list[int]:
    """Return the places of the best rows of groups, so that they can be read beside their copies."""
    import pyarrow.compute as pc

    best = [group["best"] for f in findings for group in f.evidence.get("groups", [])]
    at: list[int] = np.flatnonzero(pc.is_in(table[ID], pa.array(best, pa.string())).to_numpy()).tolist()
    return at


def _with_rows(finding: Finding, worst: Sequence[_Bad], n_scored: int) -> Finding:
    read = {name: of for name, of in finding.evidence.items() if not name.startswith("_")}
    return replace(
        finding,
        evidence=read,
        row_scores={row.row_id: -row.good for row in worst},
        row_reasons={row.row_id: row.reason for row in worst if row.reason},
        n_scored=n_scored,
    )


def _score_part(job: Job, part: Part) -> int:
    """Write what each finding says of each row of a part.

    Findings are read from disk, not sent: what they know of other rows can be megabytes.
    """
    findings = findings_of(job)
    known = [f for of in findings.values() for f in of]
    scores = {f.check: np.full(part.n_rows, np.nan, dtype=np.float32) for f in known}
    worst: dict[str, list[_Bad]] = {f.check: [] for f in known}
    reasons: list[list[str]] = [[] for _ in range(part.n_rows)]
    ids: list[str] = []
    for batch in job.inputs.batches(part):
        at = {row_id: len(ids) + i for i, row_id in enumerate(batch.ids)}
        ids += batch.ids
        for check in job.checks:
            said = check.score(batch, findings[check.name]) if findings[check.name] else {}
            for finding in findings[check.name]:
                bad = [
                    _Bad(-score, row_id, reason, part.first + at[row_id])
                    for row_id, score, reason in _said(finding, said.get(finding.check, {}), at)
                ]
                for row in bad:
                    scores[finding.check][row.place - part.first] = -row.good
                    if row.reason:
                        reasons[row.place - part.first].append(row.reason)
                worst[finding.check] += bad
    n_scored = {check: len(rows) for check, rows in worst.items()}
    columns = {name: pa.array(of, pa.float32(), mask=np.isnan(of)) for name, of in scores.items()}
    table = {ID: ids, REASON: ["; ".join(said) for said in reasons]}
    save_table(part.folder / "scores.arrow", pa.table({**table, **columns}))
    save(part.folder / "worst.pkl", _Worst(n_scored, {c: heapq.nsmallest(_KEPT, of) for c, of in worst.items()}))
    return part.n_rows


def _said(finding: Finding, scored: Mapping[str, Any], at: Mapping[str, int]) -> Iterable[tuple[str, float, str]]:
    """Yield id, score and reason of the rows of a batch; what the finding says itself goes first."""
    for row_id in finding.row_scores.keys() & at.keys():
        yield row_id, finding.row_scores[row_id], mask(finding.row_reasons.get(row_id, ""))
    for row_id, (score, reason) in scored.items():
        if row_id not in finding.row_scores:
            yield row_id, score, mask(reason)


def _join(job: Job, findings: Sequence[Finding], rows: RowSet) -> list[_Bad]:
    """Write the whole table, and return the rows that are the worst over all.

    A row's score is the mean over the findings that warn or fail, over all where none does; a row that such a finding
    does not score carries none of that flaw: 0.
    """
    scored = [f for f in findings if f.n_scored]
    counted = [f.check for f in scored if f.verdict != "ok"] or [f.check for f in scored]
    worst: list[_Bad] = []
    with atomic_write(job.work / "scores.arrow", "wb") as file:
        writer = None
        for part in rows.parts:
            table = open_table(part.folder / "scores.arrow")
            means = sum((_filled(table[name]) for name in counted), np.zeros(len(table))) / max(1, len(counted))
            by_name = {f"{SCORE}.{f.check}": table[f.check] for f in scored}
            whole = pa.table({ID: table[ID], SCORE: pa.array(means), REASON: table[REASON], **by_name})
            writer = writer or pa.ipc.new_file(file, whole.schema)
            writer.write_table(whole)
            worst = heapq.nsmallest(_KEPT, [*worst, *_worst_of(whole, part.first)])
        if writer is not None:
            writer.close()
    return worst


def _filled(column: pa.ChunkedArray) -> np.ndarray:
    return np.nan_to_num(column.to_numpy().astype(np.float64))


def _worst_of(table: pa.Table, first: int) -> list[_Bad]:
    """Return the rows of a part with the highest scores."""
    at = worst_places(table, _KEPT)
    names, means = table[ID].take(at).to_pylist(), table[SCORE].take(at).to_pylist()
    return [_Bad(-m, name, "", first + i) for i, name, m in zip(at.to_pylist(), names, means, strict=True)]


def worst_places(table: pa.Table, n: int) -> pa.Array:
    """Return the places of the n rows with the highest scores, worst first; of two as bad the smaller id."""
    import pyarrow.compute as pc

    return pc.select_k_unstable(table, min(n, len(table)), [(SCORE, "descending"), (ID, "ascending")])
