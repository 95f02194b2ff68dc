"""Paraphrases: rows that say in other words what another row of the set, or a real one, says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from unflaw._errors import DataError, SettingsError
from unflaw.audit._engine import HERE, Run
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._kept import Kept, kept_vectors
from unflaw.audit._neighbours import Neighbours, neighbours_of, neighbours_within
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.audit._twins import groups_of, scores_of
from unflaw.data import Finding
from unflaw.measure import wilson_interval

__all__ = ["ParaphrasesCheck"]

_NOT_LATIN = re.compile(r"[^\x00-\u024f]")
RULE = Rule(0.03, 0.10)
"""More than the control, where 0 to 3 % of the rows of hand-made sets have a paraphrase."""


@dataclass(frozen=True, kw_only=True)
class ParaphrasesCheck:
    """Rows whose embedding lies next to another's, of all rows; equal texts are the business of `copies`."""

    threshold: float = 0.85
    """Cosine from which on a row repeats another. It belongs to the default encoder; another needs its own."""
    latin_only: bool = True
    """Leave out rows mostly in other letters: the default encoder knows hardly a word of them, and finds all alike."""
    exact_rows: int = 100_000
    """Rows of each set up to which all are compared with all: time grows with its square. Above, rows are looked for
    in cells, and the finding says how many are found so."""

    name: ClassVar[str] = "paraphrases"
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings", "engine", "text"})
    reads_holdout: ClassVar[bool] = True

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.threshold <= 1:
            problems.append(f"`threshold` must lie in (0, 1], got {self.threshold}")
        if self.exact_rows < 1:
            problems.append(f"`exact_rows` must be at least 1, got {self.exact_rows}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Kept:
        """Keep vector and text hash of every row that has a vector, in a script that the encoder reads."""
        if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
        known = np.flatnonzero(batch.embeddings.any(axis=1)).tolist()  # of others the encoder knows no word
        known = [i for i in known if not self.latin_only or _is_latin(batch.texts[i])]
        places, x = batch.placed(), batch.embeddings[known]
        return kept_vectors(
            [places[i] for i in known], [batch.ids[i] for i in known], [batch.texts[i] for i in known], x
        )

    def merge(self, a: Kept, b: Kept) -> Kept:
        """Hold both."""
        return a + b

    def conclude(
        self,
        synthetic: Kept,
        reference: Kept | None,
        control: tuple[Kept, Kept] | None,
        holdout: Kept | None = None,
        run: Run = HERE,
    ) -> list[Finding]:
        """Look for rows alike inside the set, among real rows, and among held-out ones."""
        if not len(synthetic):
            return []
        held = [self._leaks(synthetic, reference, holdout, run)] if holdout else []
        mine = neighbours_within(synthetic, self.threshold, self.exact_rows, run)
        inside = "paraphrases.inside", "Rows that say what another row says"
        if not reference or not control or not all(control):
            return [self._finding(*inside, mine, None, len(synthetic), 0), *held]
        # the more rows, the more of them have a neighbour
        real = neighbours_within(reference, self.threshold, self.exact_rows, run, most=mine.n_rows)
        halves = neighbours_of(*control, self.threshold, self.exact_rows, run)
        by_chance = min(1.0, len(halves.twins) / halves.n_rows * len(reference) / len(control[1]))
        usual = Share(round(by_chance * halves.n_rows), halves.n_rows)
        of_real = neighbours_of(synthetic, reference, self.threshold, self.exact_rows, run)
        among = "paraphrases.reference", "Rows that say what a real row says"
        return [
            self._finding(*inside, mine, Share(len(real.twins), real.n_rows), len(synthetic), 0),
            self._finding(*among, of_real, usual, len(synthetic), len(reference)),
            *held,
        ]

    def _leaks(self, synthetic: Kept, reference: Kept | None, holdout: Kept, run: Run) -> Finding:
        """Look among held-out rows; the control is what real rows have there."""
        of_held = neighbours_of(synthetic, holdout, self.threshold, self.exact_rows, run)
        real = neighbours_of(reference, holdout, self.threshold, self.exact_rows, run) if reference else None
        usual = None if real is None else Share(len(real.twins), real.n_rows)
        named = "paraphrases.holdout", "Rows that say what a held-out row says"
        return self._finding(*named, of_held, usual, len(synthetic), len(holdout))

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row that repeats another the cosine."""
        return {f.check: scores_of(batch, f) for f in findings}

    def _finding(
        self, check: str, title: str, alike: Neighbours, usual: Share | None, n_seen: int, n_reference: int
    ) -> Finding:
        other = {"inside": "row", "reference": "real row", "holdout": "held-out row"}[check.partition(".")[2]]
        meaning, missed = f"repeat {'another' if other == 'row' else f'a {other}'} in other words", {}
        if alike.found is not None:
            low, high = wilson_interval(*alike.found) if alike.found[1] else (0.0, 1.0)
            missed = {"n_judged": alike.found[1], "n_found": alike.found[0], "found": [low, high]}
            meaning += f"; {low:.0%} to {high:.0%} of such rows are found"
        return share_finding(
            check, title, Share(len(alike.twins), alike.n_rows), usual, RULE, meaning, alone=False,
            n_reference=n_reference,
            evidence={
                **missed, **({} if n_reference else groups_of(alike.twins)), "_twins": alike.twins, "_says": _reason,
                "_of": other,
            },
            settings={**asdict(self), "n_rows_seen": n_seen},
        )  # fmt: skip


def _is_latin(text: str) -> bool:
    """Tell whether most letters are Latin ones."""
    others = [] if text.isascii() else [c for c in _NOT_LATIN.findall(text) if c.isalpha()]
    return not others or 2 * len(others) <= sum(map(str.isalpha, text))


def _reason(finding: Finding, other: str, cosine: float, exact: bool) -> str:
    return f"says what {finding.evidence['_of']} {other} says ({cosine:.2f})"
