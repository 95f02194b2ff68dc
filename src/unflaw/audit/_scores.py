"""A score per row and finding: part by part in files, then one table, and of each finding the worst rows.

The table can be as long as the set, so it is never held: it is written part by part and mapped into memory.

    PART/scores.arrow   of each row: id, whether a finding blames it, reasons, and a score by each finding; what speaks
                        against all rows of a group but one has reasons of its own: `_best.py` may change that one
    PART/worst.pkl      of each finding: how many rows it scores, and the worst of them; written last
    scores.arrow        the whole, with the score over all findings
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from unflaw.audit._best import Swap, in_groups, swaps_of, with_best
from unflaw.audit._engine import Engine, in_one_thread
from unflaw.audit._parts import Part, RowSet
from unflaw.audit._stages import Job, findings_of
from unflaw.audit._work import finished, load, open_table, save, save_table
from unflaw.data import ID, Finding, Rows, atomic_write, mask

__all__ = ["REASON", "SCORE", "Scored", "score_rows", "worst_places"]

SCORE, REASON = "unflaw.score", "unflaw.reason"
_BLAMED = 0.5
"""Score from which a finding blames a row, where it says why."""
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
    for n_rows in engine.run(partial(in_one_thread, _score_part, job), left):
        tick(n_rows)
    told: list[_Worst] = [load(part.folder / "worst.pkl") for part in rows.parts]
    whole = [f for of in findings_of(job).values() for f in of]
    n_scored = {f.check: sum(one.n_scored[f.check] for one in told) for f in whole}
    swaps = _swaps(whole, n_scored, rows)
    worst = {f.check: _worst(told, f.check, swaps.get(f.check, [])) for f in whole}
    best = [with_best(f, swaps[f.check]) if f.check in swaps else f for f in whole]
    named = tuple(_with_rows(f, worst[f.check], n_scored[f.check]) for f in best)
    over_all = _join(job, named, rows, swaps)
    table = open_table(job.work / "scores.arrow")
    places = [row.place for rows_of in [over_all, *worst.values()] for row in rows_of[:_SHOWN]]
    return Scored(named, table, rows.take([*places, *_places_of_best(named, table)]))


def _swaps(findings: Sequence[Finding], n_scored: Mapping[str, int], rows: RowSet) -> dict[str, list[Swap]]:
    """Return by finding which rows of a group change places, so that the best stays."""
    grouped = in_groups(findings)
    checks = {f.check for f in grouped}
    others = [f.check for f in findings if f.verdict != "ok" and n_scored[f.check] and f.check not in checks]
    if not grouped:
        return {}
    parts = [open_table(part.folder / "scores.arrow").select([ID, "blamed", *others]) for part in rows.parts]
    return {f.check: swaps_of(f, pa.concat_tables(parts), others) for f in grouped}


def _worst(told: Sequence[_Worst], check: str, swaps: Sequence[Swap]) -> list[_Bad]:
    """Return the worst rows of a finding, worst first; a row that stays for another is none of them."""
    stay = {swap.best for swap in swaps}
    listed = (row for one in told for row in one.rows[check] if row.row_id not in stay)
    firsts = (_Bad(-swap.score.score, swap.first, mask(swap.score.reason), swap.first_at) for swap in swaps)
    return heapq.nsmallest(_KEPT, itertools.chain(listed, firsts))


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
    why: dict[str, list[str]] = {f.check: [""] * part.n_rows for f in in_groups(known)}
    blamed = np.zeros(part.n_rows, dtype=bool)
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
                    place = row.place - part.first
                    scores[finding.check][place] = -row.good
                    if finding.check in why:
                        why[finding.check][place] = row.reason
                    elif row.reason:
                        reasons[place].append(row.reason)
                        blamed[place] |= _blames(finding, -row.good)
                worst[finding.check] += bad
    n_scored = {check: len(rows) for check, rows in worst.items()}
    columns = {name: pa.array(of, pa.float32(), mask=np.isnan(of)) for name, of in scores.items()}
    table = {ID: ids, "blamed": blamed, REASON: ["; ".join(of) for of in reasons]}
    table |= {_why(check): of for check, of in why.items()} | columns
    save_table(part.folder / "scores.arrow", pa.table(table))
    save(part.folder / "worst.pkl", _Worst(n_scored, {c: heapq.nsmallest(_KEPT, of) for c, of in worst.items()}))
    return part.n_rows


def _blames(finding: Finding, score: float) -> bool:
    return finding.verdict != "ok" and score >= _BLAMED


def _why(check: str) -> str:
    """Name the column with the reasons of a check that speaks against all rows of a group but one."""
    return f"{REASON}.{check}"


def _said(finding: Finding, scored: Mapping[str, Any], at: Mapping[str, int]) -> Iterable[tuple[str, float, str]]:
    """Yield id, score and reason of the rows of a batch; what the finding says itself goes first."""
    for row_id in finding.row_scores.keys() & at.keys():
        yield row_id, finding.row_scores[row_id], mask(finding.row_reasons.get(row_id, ""))
    for row_id, (score, reason) in scored.items():
        if row_id not in finding.row_scores:
            yield row_id, score, mask(reason)


def _join(job: Job, findings: Sequence[Finding], rows: RowSet, swaps: Mapping[str, Sequence[Swap]]) -> list[_Bad]:
    """Write the whole table, and return the rows that are the worst over all.

    A row's score is half the mean over the findings that warn or fail (over all where none does; a row that such a
    finding does not score carries none of that flaw: 0), and half more where one of them blames the row: one flaw is
    enough to go, and in a set with ten kinds of flaws the mean over them is near 0 for every row.
    """
    scored = [f for f in findings if f.n_scored]
    counted = [f.check for f in scored if f.verdict != "ok"] or [f.check for f in scored]
    edits = {check: _edits(of) for check, of in swaps.items()}
    worst: list[_Bad] = []
    with atomic_write(job.work / "scores.arrow", "wb") as file:
        writer = None
        for part in rows.parts:
            table = open_table(part.folder / "scores.arrow")
            columns = {f.check: table[f.check] for f in scored}
            blamed, reasons = table["blamed"].to_numpy(), [table[REASON].to_pylist()]
            for f in in_groups(scored):
                scores, why = _settled(table, f.check, part.first, edits[f.check])
                columns[f.check] = pa.array(scores, pa.float32(), mask=np.isnan(scores))
                blamed = blamed | ((scores >= _BLAMED) & _blames(f, 1.0))
                reasons.append(why)
            means = sum((_filled(columns[name]) for name in counted), np.zeros(len(table))) / max(1, len(counted))
            said = ["; ".join(filter(None, of)) for of in zip(*reasons, strict=True)]
            by_name = {f"{SCORE}.{check}": of for check, of in columns.items()}
            whole = pa.table({ID: table[ID], SCORE: pa.array((means + blamed) / 2), REASON: said, **by_name})
            writer = writer or pa.ipc.new_file(file, whole.schema)
            writer.write_table(whole)
            worst = heapq.nsmallest(_KEPT, [*worst, *_worst_of(whole, part.first)])
        if writer is not None:
            writer.close()
    return worst


def _edits(swaps: Sequence[Swap]) -> list[tuple[int, float, str]]:
    """Return place, score and reason of the rows that change places, in order of place."""
    stay = [(swap.best_at, np.nan, "") for swap in swaps]
    return sorted([*stay, *((swap.first_at, swap.score.score, mask(swap.score.reason)) for swap in swaps)])


def _settled(
    table: pa.Table, check: str, first: int, edits: Sequence[tuple[int, float, str]]
) -> tuple[np.ndarray, list[str]]:
    """Return scores and reasons of the rows of a part, after some have changed places."""
    scores, why = table[check].to_numpy().copy(), table[_why(check)].to_pylist()
    low, high = (bisect.bisect_left(edits, (place,)) for place in (first, first + len(why)))
    for place, score, reason in edits[low:high]:
        scores[place - first], why[place - first] = score, reason
    return scores, why


def _filled(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return np.nan_to_num(column.to_numpy(zero_copy_only=False).astype(np.float64))


def _worst_of(table: pa.Table, first: int) -> list[_Bad]:
    """Return the rows of a part with the highest scores."""
    at = worst_places(table, _KEPT)
    names, means = table[ID].take(at).to_pylist(), table[SCORE].take(at).to_pylist()
    return [_Bad(-m, name, "", first + i) for i, name, m in zip(at.to_pylist(), names, means, strict=True)]


def worst_places(table: pa.Table, n: int) -> pa.Array:
    """Return the places of the n rows with the highest scores, worst first; of two as bad the smaller id."""
    import pyarrow.compute as pc

    return pc.select_k_unstable(table, min(n, len(table)), [(SCORE, "descending"), (ID, "ascending")])
