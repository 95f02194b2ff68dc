"""Copies: rows that repeat another row of the set, of the reference, or of rows held out for testing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from unflaw._errors import SettingsError
from unflaw.audit._engine import HERE, Run
from unflaw.audit._frame import Batch, RowScore, label_text
from unflaw.audit._kept import Kept, kept_texts
from unflaw.audit._search import copies_of, copies_within
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.audit._twins import groups_of, scores_of
from unflaw.data import Finding, Verdict
from unflaw.measure import chance_to_meet, wilson_interval

__all__ = ["CopiesCheck", "CopiesSummary"]

SHARE_WARN = 0.01
"""More than the control: a hand-made set of this kind has few; a row in a hundred is a habit of the generator."""
SHARE_FAIL = 0.10
"""More than the control: every tenth row adds weight instead of information, and what it says is memorised first."""
CONFLICTS = Rule(0.005, 0.02)
"""Share of rows that repeat another under another label."""
_PAIRS = 200
"""Pairs listed in the evidence; the reason of each row names its original anyway."""


@dataclass(frozen=True)
class CopiesSummary:
    """Every row's text in the form that copies share; on disk some 500 bytes and eight a word."""

    whole: Kept
    """Whole rows."""
    prompts: Kept
    """Prompts alone; empty where rows have none."""
    plain: bool
    """Whether the rows are a plain table: they share the names of their columns, and only exact copies count."""

    def keep(self, path: Path) -> CopiesSummary:
        """Put the texts on disk, below this name."""
        whole, prompts = (path.with_name(f"{path.name}-{part}") for part in ("whole", "prompts"))
        return CopiesSummary(self.whole.keep(whole), self.prompts.keep(prompts), self.plain)


@dataclass(frozen=True, kw_only=True)
class CopiesCheck:
    """Exact and near duplicates of all rows, each near one verified by its shingles."""

    threshold: float = 0.7
    """Share of word triples two texts have in common from which one is a near copy of the other."""

    name: ClassVar[str] = "copies"
    needs: ClassVar[frozenset[str]] = frozenset({"engine"})

    def __post_init__(self) -> None:
        if not 0.5 <= self.threshold <= 1:
            raise SettingsError(
                f"`threshold` must lie in [0.5, 1], got {self.threshold}; below, the search would miss copies"
            )

    def summarise(self, batch: Batch) -> CopiesSummary:
        """Normalise the texts and find their keys."""
        rows, places = batch.rows, batch.placed()
        contexts = [str(c or "") for c in rows.column("context")] if rows.has_passages else [""] * len(rows)
        labels = [label_text(v) or "" for v in rows.column("label")] if rows.has("label") else None
        prompts = [str(p or "") for p in rows.column("prompt")] if rows.has("prompt") else []
        asked = [i for i, prompt in enumerate(prompts) if prompt]
        whole = kept_texts(places, batch.ids, batch.texts, contexts, labels)
        return CopiesSummary(
            whole,
            kept_texts(
                [places[i] for i in asked], [batch.ids[i] for i in asked], [prompts[i] for i in asked],
                [contexts[i] for i in asked],
            ),
            rows.is_plain,
        )  # fmt: skip

    def merge(self, a: CopiesSummary, b: CopiesSummary) -> CopiesSummary:
        """Hold both."""
        return CopiesSummary(a.whole + b.whole, a.prompts + b.prompts, a.plain and b.plain)

    def conclude(
        self,
        synthetic: CopiesSummary,
        reference: CopiesSummary | None,
        control: tuple[CopiesSummary, CopiesSummary] | None,
        holdout: CopiesSummary | None,
        run: Run = HERE,
    ) -> list[Finding]:
        """Look for copies inside, and in whatever else is given.

        Of a plain table rows are copies that equal each other; which equal real rows, and more than chance makes, is
        the business of `tables`.
        """
        look = _Look(math.inf if synthetic.plain else self.threshold, run)
        found = look.inside("whole", synthetic, reference)
        if synthetic.plain and reference is not None:
            return found
        if len(synthetic.prompts):
            found += look.inside("prompts", synthetic, reference)
        if reference is not None and control is not None:
            found.append(look.of_reference(synthetic, reference, control))
        if holdout is not None:
            found.append(look.of_holdout("whole", synthetic, holdout, reference))
            if len(synthetic.prompts) and len(holdout.prompts):
                found.append(look.of_holdout("prompts", synthetic, holdout, reference))
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each copy its similarity to the original."""
        return {f.check: scores_of(batch, f) for f in findings}


@dataclass(frozen=True)
class _Look:
    """One search after the other."""

    threshold: float
    """Infinite: no near ones."""
    run: Run

    def inside(self, part: str, synthetic: CopiesSummary, reference: CopiesSummary | None) -> list[Finding]:
        mine: Kept = getattr(synthetic, part)
        copies = copies_within(mine, self.threshold, self.run)
        usual, conflicts, of_real = None, None, None
        if reference is not None and len(real := getattr(reference, part)):
            n = min(len(mine), len(real))  # the more rows, the more of them have a copy
            of_real = copies_within(real, self.threshold, self.run, most=n)
            usual = len(of_real) / n
            conflicts = Share(len(_contradicting(of_real)), n) if real.labelled else None
        verdict = _verdict(len(copies) / len(mine), usual)
        if synthetic.plain:  # rows of a coarse table equal each other by chance: only real rows tell how often
            shares = None if of_real is None else (Share(len(copies), len(mine)), Share(len(of_real), n))
            verdict = "ok" if shares is None else Rule(SHARE_WARN, SHARE_FAIL).verdict(*shares)
        if part == "prompts":
            return [
                self._finding(
                    "copies.inside_prompt",
                    "Questions asked more than once",
                    mine,
                    copies,
                    usual,
                    verdict="ok" if verdict == "ok" else "warn",
                    threshold=_RULE + "; never fails, for several answers to one question can be meant",
                    of="the question of row",
                )
            ]
        named = "copies.inside", "Rows that repeat another row"
        found = [self._finding(*named, mine, copies, usual, verdict, _RULE, of="row")]
        return found + ([_conflicts(mine, copies, conflicts)] if mine.labelled else [])

    def of_reference(
        self, synthetic: CopiesSummary, reference: CopiesSummary, control: tuple[CopiesSummary, CopiesSummary]
    ) -> Finding:
        copies = copies_of(synthetic.whole, reference.whole, self.threshold, self.run)
        usual = len(copies_of(control[0].whole, control[1].whole, self.threshold, self.run)) / len(control[0].whole)
        # the control searched half the reference; in twice as many rows twice as many have a copy by chance
        by_chance = usual * len(reference.whole) / len(control[1].whole)
        verdict = _verdict(len(copies) / len(synthetic.whole), by_chance)
        asked = len(copies_of(synthetic.prompts, reference.prompts, self.threshold, self.run))
        return self._finding(
            "copies.reference",
            "Rows that repeat a real row",
            synthetic.whole,
            copies,
            usual,
            verdict,
            _RULE + ", which is scaled to the whole reference",
            of="real row",
            against=len(reference.whole),
            evidence={"n_rows_with_a_real_question": asked, "share_by_chance": by_chance},
        )

    def of_holdout(
        self, part: str, synthetic: CopiesSummary, holdout: CopiesSummary, reference: CopiesSummary | None
    ) -> Finding:
        mine, held = getattr(synthetic, part), getattr(holdout, part)
        copies = copies_of(mine, held, self.threshold, self.run)
        real = None if reference is None else getattr(reference, part)
        usual = len(copies_of(real, held, self.threshold, self.run)) / len(real) if real else None
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
            verdict="fail" if len(copies) else "ok",
            threshold="fail from one row: a model trained on it has seen the answer, and its test score is void",
            of=of,
            against=len(held),
            evidence={"n_held_out_rows_leaked": len(copies["of"].unique())},
        )

    def _finding(
        self,
        check: str,
        title: str,
        mine: Kept,
        copies: pa.Table,
        usual: float | None,
        verdict: Verdict,
        threshold: str,
        *,
        of: str,
        against: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Finding:
        exact = sum(copies["exact"].to_pylist())
        low, high = (None, None) if against is None else wilson_interval(len(copies), len(mine))
        return Finding(
            check=check,
            title=title,
            value=len(copies) / max(1, len(mine)),
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
            evidence={
                "n_exact": exact,
                "n_near": len(copies) - exact,
                "pairs": _pairs(copies),
                **(groups_of(copies) if against is None else {}),
                **(evidence or {}),
                "_twins": copies,
                "_says": _reason,
                "_of": of,
            },
            settings=_settings(self.threshold),
        )


def _settings(threshold: float) -> dict[str, Any]:
    if threshold > 1:
        return {"threshold": "equal"}
    return {"threshold": threshold, "found_at_threshold": chance_to_meet(threshold)}


_RULE = f"warn from {SHARE_WARN:.0%}, fail from {SHARE_FAIL:.0%} more than the control"


def _verdict(share: float, usual: float | None) -> Verdict:
    excess = share - (usual or 0.0)
    return "fail" if excess >= SHARE_FAIL else "warn" if excess >= SHARE_WARN else "ok"


def _reason(finding: Finding, other: str, similarity: float, exact: bool) -> str:
    of = f"{finding.evidence['_of']} {other}"
    said = f"copies {of}" if exact else f"nearly copies {of} ({similarity:.2f})"
    return f"{said}, under another label" if finding.check == "copies.conflicts" else said


def _pairs(copies: pa.Table) -> list[list[Any]]:
    """Return the first pairs in order of id."""
    first = copies.sort_by("id").slice(0, _PAIRS)
    columns = first["id"].to_pylist(), first["of"].to_pylist(), first["similarity"].to_pylist()
    return [[row, of, round(similarity, 3)] for row, of, similarity in zip(*columns, strict=True)]


def _contradicting(copies: pa.Table) -> pa.Table:
    """Return the copies that have another label than their original, as far as both have one."""
    both = pc.and_(pc.not_equal(copies["label"], ""), pc.not_equal(copies["of_label"], ""))
    return copies.filter(pc.and_(both, pc.not_equal(copies["label"], copies["of_label"])))


def _conflicts(mine: Kept, copies: pa.Table, usual: Share | None) -> Finding:
    found = _contradicting(copies)
    return share_finding(
        "copies.conflicts", "Copies under another label", Share(len(found), len(mine)), usual, CONFLICTS,
        "repeat another row under another label",
        evidence={"pairs": _pairs(found), "_twins": found, "_says": _reason, "_of": "row"},
    )  # fmt: skip
