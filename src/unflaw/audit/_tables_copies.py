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
from unflaw.audit._pairs import Pairs
from unflaw.audit._tables_rows import TableSummary, hashed
from unflaw.audit._tables_view import Column, View
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
class Search:
    """How many rows were found, of how many, among how many others."""

    n_found: int
    n_rows: int
    n_others: int


@dataclass(frozen=True)
class Matches:
    """Rows that equal a row of another set, or another row of their own."""

    twins: pa.Table
    """Of another set: each row with that one, as in `_twins.py`."""
    exact: Search
    """Equal in every column: all rows among all others."""
    near: Search
    """Equal but for names, row numbers and digits, and not exact: the sampled rows among the others' sample."""

    @property
    def share(self) -> float:
        """Share of rows that were found: exact ones of all, the others of the sample."""
        return min(1.0, self._exact_share + self.near.n_found / max(1, self.near.n_rows))

    @property
    def share_of_all(self) -> float:
        """The share there would be, had the sample been looked for among all others: one row finds one at most."""
        return min(1.0, self._exact_share + self._scale * self.near.n_found / max(1, self.near.n_rows))

    def interval(self, scaled: bool) -> tuple[float, float]:
        """Return the 95 % interval of either share."""
        if self.searched == 1:
            both = self.exact.n_found + self.near.n_found
            return wilson_interval(both, self.exact.n_rows)
        scale = self._scale if scaled else 1.0
        ends = wilson_interval(self.near.n_found, self.near.n_rows) if self.near.n_rows else (0.0, 0.0)
        return min(1.0, self._exact_share + scale * ends[0]), min(1.0, self._exact_share + scale * ends[1])

    @property
    def searched(self) -> int:
        """Searches there were: one where the samples are all rows, or no column is left to compare."""
        sizes = self.exact.n_rows, self.exact.n_others
        return 1 if (self.near.n_rows, self.near.n_others) in (sizes, (0, 0)) else 2

    def counts(self, searched: int) -> list[Search]:
        """Return what was found as one search, or as two."""
        exact, near = self.exact, self.near
        if searched == 2:
            return [exact, near]
        return [Search(exact.n_found + near.n_found, exact.n_rows, exact.n_others)]

    @property
    def _exact_share(self) -> float:
        return self.exact.n_found / max(1, self.exact.n_rows)

    @property
    def _scale(self) -> float:
        return self.near.n_others and self.exact.n_others / self.near.n_others


class Near(NamedTuple):
    """The rows of a set by their hashes, whole and as they are compared in the sample."""

    whole: Columns
    sample: Columns

    @classmethod
    def of(cls, summary: TableSummary, columns: Sequence[Column]) -> Near:
        """Round numbers as the reference's are."""
        sample, view = summary.sample, summary.sample.view
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
    searches = (Search(len(f), len(a), len(b)) for f, a, b in zip((exact, near), rows, others, strict=True))
    return Matches(twins, *searches)


def matches_within(rows: Near) -> Matches:
    """Return the rows that equal another one of the set: what a real row shares with the others by nature."""
    exact, near = (_repeated(of) for of in rows)
    near = near[~np.isin(near, exact)]
    searches = (Search(len(f), len(of), len(of)) for f, of in zip((exact, near), rows, strict=True))
    return Matches(TWINS.empty_table(), *searches)


def _matched(rows: Columns, others: Columns) -> list[tuple[int, str, str]]:
    """Return place and id of the rows that equal another, and the id of that."""
    equal = Pairs.equal(rows.numbers("hash"), others.numbers("hash"), others)
    places = rows.numbers("place")[equal.rows].tolist()
    return list(zip(places, rows.strings("id", equal.rows), others.strings("id", equal.of), strict=True))


def _repeated(rows: Columns) -> Int[np.ndarray, " r"]:
    """Return the places of the rows that equal another one."""
    _, at, counts = np.unique(rows.numbers("hash"), return_inverse=True, return_counts=True)
    return rows.numbers("place")[counts[at] > 1]


def copies_findings(
    synthetic: TableSummary, reference: TableSummary, holdout: TableSummary | None, columns: Sequence[Column],
    settings: Mapping[str, Any],
) -> list[Finding]:  # fmt: skip
    """Return which rows are rows of the reference, and which are held-out ones where there are any."""
    mine, real = Near.of(synthetic, columns), Near.of(reference, columns)
    found, within = matches(mine, real), matches_within(real)
    rule = (
        f"warn from {COPIES_WARN:.0%}, fail from {COPIES_FAIL:.0%} of the rows more than real rows that equal another "
        f"real row, when clear of those (p < {_CHANCE:g})"
    )
    scaled = within.share <= _OFTEN  # rows with many equals find one in any sample
    excess = (found.share_of_all - within.share_of_all) if scaled else (found.share - within.share)
    verdict = above(excess if _copied(found, within) < _CHANCE else 0.0, COPIES_WARN, COPIES_FAIL)
    findings = [_finding("tables.copies", "Rows that equal a real row", found, within, scaled, verdict, rule, settings)]
    asked = [] if holdout is None else [c for c in columns if c.name in holdout.sample.table.column_names]
    if holdout is not None and asked:
        mine, real, held = (Near.of(of, asked) for of in (synthetic, reference, holdout))
        leaked, usual, within = matches(mine, held), matches(real, held), matches_within(real)
        verdict = "fail" if _leaked(leaked, usual, within) < _CHANCE_HELD else "ok"
        rule = (
            "fail from one row, unless real rows equal held-out ones and each other often enough to explain it "
            f"(p < {_CHANCE_HELD:g})"
        )
        scaled = within.share <= _OFTEN
        findings.append(
            _finding("tables.holdout", "Rows that equal a held-out row", leaked, usual, scaled, verdict, rule, settings)
        )
    return findings


def _copied(found: Matches, within: Matches) -> float:
    """Return how often nature makes so many rows equal real ones, as real ones equal each other: at least in twos."""
    p, searched = [], found.searched
    for mine, real in zip(found.counts(searched), within.counts(searched), strict=True):
        n = real.n_rows
        if within.share > _OFTEN:
            p.append(_by_nature(mine.n_found / 2, mine.n_rows, real.n_found / 2, n))
        else:
            p.append(_by_nature(mine.n_found, mine.n_rows * mine.n_others, real.n_found / 2, n * (n - 1) / 2))
    return min(1.0, searched * min(p))


def _leaked(leaked: Matches, usual: Matches, within: Matches) -> float:
    """Return how often nature makes so many rows equal held-out ones.

    Where hardly any rows are equal, every pair of real rows tells: n h with h held-out ones, n² / 2 among themselves.
    """
    p, searched = [], leaked.searched
    for mine, real, other in zip(*(of.counts(searched) for of in (leaked, usual, within)), strict=True):
        n, h = real.n_rows, mine.n_others
        if within.share > _OFTEN:
            p.append(_by_nature(mine.n_found, mine.n_rows, real.n_found, n))
        else:
            among = n * h + n * (n - 1) / 2
            p.append(_by_nature(mine.n_found, mine.n_rows * h, real.n_found + other.n_found / 2, among))
    return min(1.0, searched * min(p))


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
    scaled: bool,
    verdict: Verdict,
    threshold: str,
    settings: Mapping[str, Any],
) -> Finding:
    value, control = (of.share_of_all if scaled else of.share for of in (found, usual))
    (low, high), (control_low, control_high) = (of.interval(scaled) for of in (found, usual))
    pairs, near = found.twins.sort_by("id").slice(0, _PAIRS), found.near
    few, all_of_them = near.n_others, found.exact.n_others
    part = "" if few == all_of_them else f" (looked for among {few:,} of {all_of_them:,})"
    return Finding(
        check=check,
        title=title,
        value=value,
        low=min(low, value),
        high=max(high, value),
        better="lower",
        verdict=verdict,
        threshold=threshold,
        meaning=f"{len(found.twins):,} of {found.exact.n_rows:,} rows: {found.exact.n_found:,} equal one in every "
        f"column, and {near.n_found:,} of {near.n_rows:,} but for row numbers, names, and digits that real rows "
        f"lack{part}.",
        control=control,
        control_low=min(control_low, control),
        control_high=max(control_high, control),
        unit="share of rows",
        n_rows=found.exact.n_rows,
        n_reference=usual.exact.n_rows,
        evidence={
            "n_exact": found.exact.n_found, "n_near": near.n_found, "n_rows_searched_for_near": near.n_rows,
            "n_others_searched_for_near": near.n_others,
            "pairs": [list(pair) for pair in zip(pairs["id"].to_pylist(), pairs["of"].to_pylist(), strict=True)],
            "_twins": found.twins,
            "_says": _reason,
        },
        settings=settings,
    )  # fmt: skip


def score_copies(batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
    """Give 1 to each row that is another one, and say which."""
    return {f.check: scores_of(batch, f) for f in findings if "_twins" in f.evidence}


def _reason(finding: Finding, other: str, similarity: float, exact: bool) -> str:
    of = "held-out row" if finding.check == "tables.holdout" else "real row"
    return f"equals {of} {other}{'' if exact else ' but for digits or names'}"
