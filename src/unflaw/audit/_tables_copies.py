"""Tables: rows that are real rows, of the reference or held out.

Equal rows are found among all rows, every column counted. In the samples they are looked for once more without names
and row numbers, in the columns that both sets have, and with numbers rounded as the reference's are: a row number of
its own and a digit more make no other row. What `copies` calls a near copy, most word triples of "age: 39" in common,
is none.

A coarse table repeats itself by nature: of a thousand patients 16 equal another. So what rows share with real ones is
held against what real rows share with each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._kept import Columns, Kept
from unflaw.audit._tables_rows import Column, TableSummary, View, hashed
from unflaw.audit._template import above
from unflaw.audit._twins import TWINS, scores_of, twins_of
from unflaw.data import Finding, Verdict
from unflaw.measure import wilson_interval

__all__ = ["copies_findings", "score_copies"]

COPIES_WARN, COPIES_FAIL = 0.01, 0.1
"""More than real rows repeat each other: as in `copies`. Of the rows that EPIC released 27 % are copies."""
_CHANCE, _CHANCE_HELD = 0.03, 0.01
"""Chance of nature below which rows are copies, and leaks. Adult holds persons twice: of its rows one
in 20,000 is in another thousand. Where real rows are as few as the others, six make a leak; ten times as many, two."""
_OFTEN = 0.05
"""Share of real rows that equal another from which on only like sets are compared: rows with many equals count once."""
_PAIRS = 200
"""Pairs listed in the evidence; the reason of each row names its original anyway."""


@dataclass(frozen=True)
class Matches:
    """Rows that equal a row of another set, or another row of their own."""

    twins: pa.Table
    """Of another set: each row with that one, as in `_twins.py`."""
    n_exact: int
    n_rows: int
    """Rows among which exact ones were looked for: all."""
    n_near: int
    n_sampled: int

    @property
    def share(self) -> float:
        """Share of rows: exact ones of all, the others of the sample."""
        return min(1.0, self.n_exact / max(1, self.n_rows) + self.n_near / max(1, self.n_sampled))

    @property
    def rows(self) -> int:
        """The share in rows."""
        return round(self.share * self.n_rows)


class Near(NamedTuple):
    """The rows of a set by their hashes, whole and as they are compared in the sample."""

    whole: Columns
    sample: Columns

    @classmethod
    def of(cls, summary: TableSummary, columns: Sequence[Column]) -> Near:
        """Round numbers as the reference's are."""
        sample, view = summary.sample, View(summary.sample.table)
        table = pa.table({column.name: _rounded(view, column) for column in columns})
        compared = hashed(sample.places, sample.ids, table) if columns else Kept()
        return cls(summary.whole.open(), compared.open())


def _rounded(view: View, column: Column) -> pa.Array:
    if column.kind != "number":
        return view.words(column.name)
    x = view.numbers(column.name)
    return pa.array(np.round(x / column.unit) * column.unit if column.unit else x, from_pandas=True)


def matches(rows: Near, others: Near) -> Matches:
    """Return the rows that equal one of the others; of several, the one with the first id."""
    exact, near = (_matched(a, b) for a, b in zip(rows, others, strict=True))
    found = {place for place, _, _ in exact}
    near = [row for row in near if row[0] not in found]
    places, ids, of = zip(*exact, *near, strict=True) if exact or near else ((), (), ())
    same = [True] * len(exact) + [False] * len(near)
    twins = twins_of({"place": places, "id": ids, "of": of, "similarity": [1.0] * len(ids), "exact": same})
    return Matches(twins, len(exact), len(rows.whole), len(near), len(rows.sample))


def matches_within(rows: Near) -> Matches:
    """Return the rows that equal another one of the set: what a real row shares with the others by nature."""
    exact, near = (_repeated(of) for of in rows)
    n_near = int((~np.isin(near, exact)).sum())
    return Matches(TWINS.empty_table(), len(exact), len(rows.whole), n_near, len(rows.sample))


def _matched(rows: Columns, others: Columns) -> list[tuple[int, str, str]]:
    """Return place and id of the rows that equal another, and the id of that."""
    mine, theirs = rows.numbers("hash"), others.numbers("hash")
    at, of = np.flatnonzero(np.isin(mine, theirs)), np.flatnonzero(np.isin(theirs, mine))
    of = of[np.lexsort((others.rank(of), theirs[of]))]  # by hash, then by id
    first = of[np.searchsorted(theirs[of], mine[at])]
    places = rows.numbers("place")[at].tolist()
    return list(zip(places, rows.strings("id", at), others.strings("id", first), strict=True))


def _repeated(rows: Columns) -> Int[np.ndarray, " r"]:
    """Return the places of the rows that equal another one."""
    _, at, counts = np.unique(rows.numbers("hash"), return_inverse=True, return_counts=True)
    return rows.numbers("place")[counts[at] > 1]


def copies_findings(
    synthetic: TableSummary, reference: TableSummary, holdout: TableSummary | None, columns: Sequence[Column],
    settings: Mapping[str, Any],
) -> list[Finding]:  # fmt: skip
    """Return which rows are rows of the reference, and which are held-out ones where there are any."""
    asked = [c for c in columns if holdout is None or c.name in holdout.sample.table.column_names]
    mine, real = Near.of(synthetic, asked), Near.of(reference, asked)
    found, within = matches(mine, real), matches_within(real)
    by_nature = _copied(found, within)
    verdict = above(found.share - within.share if by_nature < _CHANCE else 0.0, COPIES_WARN, COPIES_FAIL)
    rule = (
        f"warn from {COPIES_WARN:.0%}, fail from {COPIES_FAIL:.0%} of the rows more than real rows that equal another "
        f"real row, when clear of those (p < {_CHANCE:g})"
    )
    findings = [_finding("tables.copies", "Rows that equal a real row", found, within, verdict, rule, settings)]
    if holdout is not None:
        held = Near.of(holdout, asked)
        leaked, usual = matches(mine, held), matches(real, held)
        verdict = "fail" if _leaked(leaked, usual, within, len(held.whole)) < _CHANCE_HELD else "ok"
        rule = (
            "fail from one row, unless real rows equal held-out ones and each other often enough to explain it "
            f"(p < {_CHANCE_HELD:g})"
        )
        findings.append(
            _finding("tables.holdout", "Rows that equal a held-out row", leaked, usual, verdict, rule, settings)
        )
    return findings


def _copied(found: Matches, within: Matches) -> float:
    """Return how often nature makes so many rows equal real ones, as real ones equal each other: at least in twos."""
    m, n = found.n_rows, within.n_rows
    if within.share > _OFTEN:
        return _by_nature(found.rows / 2, m, within.rows / 2, n)
    return _by_nature(found.rows, m * n, within.rows / 2, n * (n - 1) / 2)


def _leaked(leaked: Matches, usual: Matches, within: Matches, h: int) -> float:
    """Return how often nature makes so many rows equal one of h held-out ones.

    Where hardly any rows are equal, every pair of real rows tells: n h with held-out ones, and n² / 2 among themselves.
    """
    n = usual.n_rows
    if within.share > _OFTEN:
        return _by_nature(leaked.rows, leaked.n_rows, usual.rows, n)
    return _by_nature(leaked.rows, leaked.n_rows * h, usual.rows + within.rows / 2, n * h + n * (n - 1) / 2)


def _by_nature(k: float, n_k: float, real: float, n_real: float) -> float:
    """Return how often chance deals so many of the equal rows to the synthetic side; 1.0 where there are none."""
    from scipy.stats import binom

    k, real = math.floor(k), math.ceil(real)
    return float(binom.sf(k - 1, k + real, n_k / (n_k + n_real))) if k else 1.0


def _finding(
    check: str,
    title: str,
    found: Matches,
    usual: Matches,
    verdict: Verdict,
    threshold: str,
    settings: Mapping[str, Any],
) -> Finding:
    low, high = wilson_interval(found.rows, found.n_rows)
    control_low, control_high = wilson_interval(usual.rows, usual.n_rows)
    pairs = found.twins.sort_by("id").slice(0, _PAIRS)
    return Finding(
        check=check,
        title=title,
        value=found.share,
        low=min(low, found.share),
        high=max(high, found.share),
        better="lower",
        verdict=verdict,
        threshold=threshold,
        meaning=f"{len(found.twins):,} of {found.n_rows:,} rows: {found.n_exact:,} equal one in every column, and "
        f"{found.n_near:,} of {found.n_sampled:,} but for row numbers, names, and digits that real rows lack.",
        control=usual.share,
        control_low=min(control_low, usual.share),
        control_high=max(control_high, usual.share),
        unit="share of rows",
        n_rows=found.n_rows,
        n_reference=usual.n_rows,
        evidence={
            "n_exact": found.n_exact, "n_near": found.n_near, "n_rows_searched_for_near": found.n_sampled,
            "pairs": [list(pair) for pair in zip(pairs["id"].to_pylist(), pairs["of"].to_pylist(), strict=True)],
            "_twins": found.twins,
        },
        settings=settings,
    )  # fmt: skip


def score_copies(batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
    """Give 1 to each row that is another one, and say which."""
    return {f.check: scores_of(batch, f, _reason) for f in findings if "_twins" in f.evidence}


def _reason(finding: Finding, other: str, similarity: float, exact: bool) -> str:
    of = "held-out row" if finding.check == "tables.holdout" else "real row"
    return f"equals {of} {other}{'' if exact else ' but for digits or names'}"
