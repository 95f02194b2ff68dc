"""Checks that ask of each row whether it has a trait, and compare the share of rows that do with real rows.

    TraitsCheck(name, traits)     `residue`, `hygiene`, `form` and `qa` are this, with the traits of their modules

A trait's `find` is asked of one row and answers with words, "" where the row has not got it, or None where the question
does not apply to it (no passage: no asking whether the answer stands in it). Only rows to which it applies count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._said import Said, said_by
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.data import Finding, Verdict

__all__ = ["Trait", "TraitsCheck"]


_RARE = 0.01
"""Share of real rows below which a trait is worth a word even in a set that has no more of it."""


@dataclass(frozen=True)
class Trait:
    """One thing that a row has or has not."""

    name: str
    title: str
    find: Callable[[Said], str | None]
    meaning: str
    """What the rows that have it do, e.g. "refuse"; follows "3 of 200 rows"."""
    warn: float = 0.01
    fail: float = 0.05
    """As in `Rule`."""
    always: Verdict | None = None
    """Verdict from one row on, whatever real rows do: of what must not be there at all."""
    alone: bool = True
    """Whether there is a verdict without real rows; not where many of those have it, too."""

    @property
    def rule(self) -> str:
        """The rule of the verdict in words."""
        return str(Rule(self.warn, self.fail)) if self.always is None else f"{self.always} from one row"


class Counts(NamedTuple):
    """Of each trait: rows asked, and rows that have it."""

    asked: tuple[int, ...]
    had: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TraitsCheck:
    """Share of rows with each of some traits, against real rows where there are any."""

    name: str
    traits: tuple[Trait, ...] = field(metadata={"setting": False})

    needs: frozenset[str] = field(default=frozenset(), metadata={"setting": False})

    def summarise(self, batch: Batch) -> Counts:
        """Count."""
        rows = said_by(batch)
        told = [[trait.find(said) for said in rows] for trait in self.traits]
        asked = tuple(sum(found is not None for found in row) for row in told)
        return Counts(asked, tuple(sum(bool(found) for found in row) for row in told))

    def merge(self, a: Counts, b: Counts) -> Counts:
        """Add up."""
        return Counts(*(tuple(x + y for x, y in zip(*pair, strict=True)) for pair in zip(a, b, strict=True)))

    def conclude(self, synthetic: Counts, reference: Counts | None, control: Any, holdout: Any) -> list[Finding]:
        """Compare the shares."""
        real = Counts((0,) * len(self.traits), (0,) * len(self.traits)) if reference is None else reference
        asked = zip(self.traits, synthetic.asked, synthetic.had, real.asked, real.had, strict=True)
        return [self._finding(*counts) for counts in asked if counts[1]]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give 1 to each row that has the trait, and say what was found unless real rows have it as well."""
        by_check = {f.check: f for f in findings}
        said, scores = said_by(batch), {}
        for trait in self.traits:
            finding = by_check.get(f"{self.name}.{trait.name}")
            if finding is not None and finding.value > 0:
                tells = finding.verdict != "ok" or (finding.control or 0) < _RARE
                found = zip(batch.ids, map(trait.find, said), strict=True)
                scores[finding.check] = {i: RowScore(1.0, what if tells else "") for i, what in found if what}
        return scores

    def _finding(self, trait: Trait, asked: int, had: int, real_asked: int, real_had: int) -> Finding:
        found = share_finding(
            f"{self.name}.{trait.name}", trait.title, Share(had, asked),
            Share(real_had, real_asked) if real_asked else None, Rule(trait.warn, trait.fail), trait.meaning,
            alone=trait.alone,
        )  # fmt: skip
        if trait.always is None:
            return found
        return replace(found, verdict=trait.always if had else "ok", threshold=trait.rule)
