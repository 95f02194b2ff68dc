"""Tables: do columns and pairs of columns lie as in real rows, do rows keep their rules, and are any of them real rows?

For rows of plain tables; rows that say something are asked by the other checks. `tables.copies` and `tables.holdout`
find equal rows value by value, row numbers and last digits aside; `copies` reads rows as texts, and alone sees that a
set repeats itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._tables_broken import broken_findings, score_broken
from unflaw.audit._tables_copies import copies_findings, score_copies
from unflaw.audit._tables_nearest import closest_finding, score_closest
from unflaw.audit._tables_pairs import correlation_finding, pairs_finding
from unflaw.audit._tables_rows import TablesSummary, TableSummary, is_table
from unflaw.audit._tables_shapes import shapes_finding
from unflaw.audit._tables_sides import Sides
from unflaw.audit._tables_written import written_in
from unflaw.data import Finding

__all__ = ["TablesCheck"]

MIN_ROWS = 50
_LEAST_ROWS = 8
"""A quarter of them, in which a rule is looked for, must hold a row."""


@dataclass(frozen=True, kw_only=True)
class TablesCheck:
    """Shapes, trends, rules, and rows that are real ones."""

    max_rows: int = 10_000
    """Rows of each set that are kept with their values."""
    seed: int = 0
    allow_few: bool = False

    name: ClassVar[str] = "tables"
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __post_init__(self) -> None:
        if self.max_rows < MIN_ROWS:
            raise SettingsError(f"`max_rows` must be at least {MIN_ROWS}, got {self.max_rows}")

    def summarise(self, batch: Batch) -> TablesSummary:
        """Keep a sample of the rows and a hash of each; of rows that are no table, nothing."""
        return TablesSummary(TableSummary.of(batch, self.max_rows, self.seed) if is_table(batch.rows) else None)

    def merge(self, a: TablesSummary, b: TablesSummary) -> TablesSummary:
        """Sample both."""
        return a + b

    def conclude(
        self, synthetic: TablesSummary, reference: TablesSummary, control: tuple[TablesSummary, TablesSummary],
        holdout: TablesSummary | None,
    ) -> list[Finding]:  # fmt: skip
        """Ask of tables; of other rows, nothing."""
        mine, real, a, b = (of.table for of in (synthetic, reference, *control))
        if mine is None or real is None or a is None or b is None:
            return []
        return self._of_tables(mine, real, (a, b), None if holdout is None else holdout.table)

    def _of_tables(
        self, synthetic: TableSummary, reference: TableSummary, control: tuple[TableSummary, TableSummary],
        holdout: TableSummary | None,
    ) -> list[Finding]:  # fmt: skip
        self._refuse_few(synthetic, reference, control)
        ways = written_in(reference.sample.table)
        synthetic, reference, *halved = (of.read_as(ways) for of in (synthetic, reference, *control))
        control, holdout = (halved[0], halved[1]), None if holdout is None else holdout.read_as(ways)
        columns = reference.sample.view.kinds()
        sides = Sides(columns, synthetic.sample, reference.sample, self.seed, asdict(self))
        halves = control[0].sample.view, control[1].sample.view
        found = [
            shapes_finding(sides), pairs_finding(sides), correlation_finding(sides),
            *broken_findings(sides, halves),
            closest_finding(sides, control, holdout),
            *copies_findings(synthetic, reference, holdout, sides.shared, sides.settings),
        ]  # fmt: skip
        return [finding for finding in found if finding is not None]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score every row that breaks a rule, is a real one, or lies too near to one."""
        if not is_table(batch.rows):
            return {}
        return score_broken(batch, findings) | score_copies(batch, findings) | score_closest(batch, findings)

    def _refuse_few(
        self, synthetic: TableSummary, reference: TableSummary, halves: tuple[TableSummary, TableSummary]
    ) -> None:
        n, m = len(synthetic.whole), len(reference.whole)
        least = _LEAST_ROWS if self.allow_few else MIN_ROWS
        if min(n, m) < least or min(len(half.whole) for half in halves) < 2:
            hint = "" if self.allow_few else ", or set `allow_few` to see them all the same"
            raise TooFewRowsError(
                f"`tables` needs at least {least} rows on either side, of real ones two in either half, got {n} "
                f"synthetic and {m} real: its values "
                f"would be noise. Pass more rows, leave the check out{hint}"
            )
