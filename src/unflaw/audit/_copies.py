"""Copies: rows that repeat another row of the set, of the reference, or of rows held out for testing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unflaw._errors import SettingsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._search import Copy, Texts, copies_of, copies_within
from unflaw.data import Finding, Verdict
from unflaw.measure import wilson_interval

__all__ = ["CopiesCheck", "CopiesSummary"]

SHARE_WARN = 0.01
"""More than the control: a hand-made set of this kind has few; a row in a hundred is a habit of the generator."""
SHARE_FAIL = 0.10
"""More than the control: every tenth row adds weight instead of information, and what it says is memorised first."""
_PAIRS = 200
"""Pairs listed in the evidence; the reason of each row names its original anyway."""


@dataclass(frozen=True)
class CopiesSummary:
    """Every row's text in the form that copies share. Memory grows with the rows: their text and about 300 bytes."""

    whole: Texts
    """Whole rows."""
    prompts: Texts
    """Prompts alone; empty where rows have none."""


@dataclass(frozen=True, kw_only=True)
class CopiesCheck:
    """Exact and near duplicates, each near one verified by its shingles."""

    threshold: float = 0.7
    """Share of word triples two texts have in common from which one is a near copy of the other."""

    name: ClassVar[str] = "copies"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise SettingsError(
                f"`threshold` must lie in [0.5, 1], got {self.threshold}; below, the search would miss copies"
            )

    def summarise(self, batch: Batch) -> CopiesSummary:
        """Normalise the texts and find their keys."""
        rows = batch.rows
        contexts = [str(c or "") for c in rows.column("context")] if rows.has("context") else [""] * len(rows)
        prompts = [str(p or "") for p in rows.column("prompt")] if rows.has("prompt") else []
        asked = [i for i, prompt in enumerate(prompts) if prompt]
        return CopiesSummary(
            Texts.of(batch.ids, batch.texts, contexts),
            Texts.of([batch.ids[i] for i in asked], [prompts[i] for i in asked], [contexts[i] for i in asked]),
        )

    def merge(self, a: CopiesSummary, b: CopiesSummary) -> CopiesSummary:
        """Hold both."""
        return CopiesSummary(a.whole + b.whole, a.prompts + b.prompts)

    def conclude(
        self,
        synthetic: CopiesSummary,
        reference: CopiesSummary | None,
        control: tuple[CopiesSummary, CopiesSummary] | None,
        holdout: CopiesSummary | None,
    ) -> list[Finding]:
        """Look for copies inside, and in whatever else is given."""
        found = [self._inside("whole", synthetic, reference)]
        if len(synthetic.prompts):
            found.append(self._inside("prompts", synthetic, reference))
        if reference is not None and control is not None:
            found.append(self._of_reference(synthetic, reference, control))
        if holdout is not None:
            found.append(self._of_holdout("whole", synthetic, holdout, reference))
            if len(synthetic.prompts) and len(holdout.prompts):
                found.append(self._of_holdout("prompts", synthetic, holdout, reference))
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Nothing to add: the findings already score every row that is a copy."""
        return {}

    def _inside(self, part: str, synthetic: CopiesSummary, reference: CopiesSummary | None) -> Finding:
        mine: Texts = getattr(synthetic, part)
        copies = copies_within(mine, self.threshold)
        usual = None
        if reference is not None and len(getattr(reference, part)):
            real: Texts = getattr(reference, part)
            real = real.sample(len(mine))  # the more rows, the more of them have a copy
            usual = _share(copies_within(real, self.threshold), real)
        verdict = _verdict(_share(copies, mine), usual)
        if part == "prompts":
            return self._finding(
                "copies.inside_prompt",
                "Questions asked more than once",
                mine,
                copies,
                usual,
                verdict="ok" if verdict == "ok" else "warn",
                threshold=_RULE + "; never fails, for several answers to one question can be meant",
                of="the question of row",
            )
        return self._finding(
            "copies.inside", "Rows that repeat another row", mine, copies, usual, verdict, _RULE, of="row"
        )

    def _of_reference(
        self, synthetic: CopiesSummary, reference: CopiesSummary, control: tuple[CopiesSummary, CopiesSummary]
    ) -> Finding:
        copies = copies_of(synthetic.whole, reference.whole, self.threshold)
        usual = _share(copies_of(control[0].whole, control[1].whole, self.threshold), control[0].whole)
        # the control searched half the reference; in twice as many rows twice as many have a copy by chance
        by_chance = usual * len(reference.whole) / len(control[1].whole)
        verdict = _verdict(_share(copies, synthetic.whole), by_chance)
        finding = "copies.reference", "Rows that repeat a real row"
        asked = len(copies_of(synthetic.prompts, reference.prompts, self.threshold))
        return self._finding(
            *finding,
            synthetic.whole,
            copies,
            usual,
            verdict,
            _RULE + ", which is scaled to the whole reference",
            of="real row",
            against=len(reference.whole),
            evidence={"n_rows_with_a_real_question": asked, "share_by_chance": by_chance},
        )

    def _of_holdout(
        self, part: str, synthetic: CopiesSummary, holdout: CopiesSummary, reference: CopiesSummary | None
    ) -> Finding:
        mine, held = getattr(synthetic, part), getattr(holdout, part)
        copies = copies_of(mine, held, self.threshold)
        real = None if reference is None else getattr(reference, part)
        usual = _share(copies_of(real, held, self.threshold), real) if real is not None and len(real) else None
        name, title, of = {
            "whole": ("copies.holdout", "Rows that leak a held-out row", "held-out row"),
            "prompts": ("copies.holdout_prompt", "Rows that ask a held-out question", "the question of held-out row"),
        }[part]
        return self._finding(
            name,
            title,
            mine,
            copies,
            usual,
            verdict="fail" if copies else "ok",
            threshold="fail from one row: a model trained on it has seen the answer, and its test score is void",
            of=of,
            against=len(held),
            evidence={"n_held_out_rows_leaked": len({copy.of for copy in copies})},
        )

    def _finding(
        self,
        check: str,
        title: str,
        mine: Texts,
        copies: Sequence[Copy],
        usual: float | None,
        verdict: Verdict,
        threshold: str,
        *,
        of: str,
        against: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Finding:
        exact = sum(copy.exact for copy in copies)
        low, high = (None, None) if against is None else wilson_interval(len(copies), len(mine))
        return Finding(
            check=check,
            title=title,
            value=_share(copies, mine),
            low=low,  # inside a set one row makes the next a copy: rows are not independent, so no interval
            high=high,
            better="lower",
            verdict=verdict,
            threshold=threshold,
            meaning=f"{len(copies)} of {len(mine)} rows: {exact} exact, {len(copies) - exact} near.",
            control=usual,
            unit="share",
            n_rows=len(mine),
            n_reference=against or 0,
            row_scores={copy.row: copy.similarity for copy in copies},
            row_reasons={copy.row: _reason(copy, of) for copy in copies},
            evidence={
                "n_exact": exact,
                "n_near": len(copies) - exact,
                "pairs": [[copy.row, copy.of, round(copy.similarity, 3)] for copy in copies[:_PAIRS]],
                **(evidence or {}),
            },
            settings={"threshold": self.threshold},
        )


_RULE = f"warn from {SHARE_WARN:.0%}, fail from {SHARE_FAIL:.0%} more than the control"


def _share(copies: Sequence[Copy], texts: Texts) -> float:
    return len(copies) / max(1, len(texts))


def _verdict(share: float, usual: float | None) -> Verdict:
    excess = share - (usual or 0.0)
    return "fail" if excess >= SHARE_FAIL else "warn" if excess >= SHARE_WARN else "ok"


def _reason(copy: Copy, of: str) -> str:
    return f"copies {of} {copy.of}" if copy.exact else f"nearly copies {of} {copy.of} ({copy.similarity:.2f})"
