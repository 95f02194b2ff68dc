"""Do the rows follow a template, how much of them is template, and which tokens are it.

The finding `tokens.structural` carries the template in its evidence: `measure.Template.from_evidence`
gives it back to whoever wants to point at the template's tokens in a text, e.g. to unlearn them.

Every threshold below is explained where it stands and in docs/checks-thresholds.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unflaw.audit._frame import Batch, RowScore
from unflaw.data import Finding, Plot, Series, Verdict
from unflaw.measure import Reading, Template, Tokens, bootstrap_interval, mine_template, wilson_interval

__all__ = ["Mould", "View", "above", "score_structure", "structural_finding", "structural_template", "template_finding"]

TEMPLATE_WARN, TEMPLATE_FAIL = 0.05, 0.5
"""Share of rows in the three commonest templates. From a half on, a model trained on the rows sees the
mould more often than anything else; from a twentieth on, it is a habit that real rows have not."""

STRUCTURAL_WARN, STRUCTURAL_FAIL = 0.05, 0.2
"""Mean share of a row's tokens that are template, that is, of the training loss spent on layout: one
token in twenty is a label per paragraph, one in five is a form with short fields."""


ALONE_SHARE = 0.2
"""Part of the rows that must hold a phrase where no real rows say how common it is: one real question in ten starts
with "What is the", and of no real set at hand does a fifth share more than one word."""


@dataclass(frozen=True)
class View:
    """What is compared: the sampled texts of both sets and of the two halves of the reference, cut into tokens."""

    unit: str
    """"response", "text" or "row": which part of a row the texts are."""
    prefix: str
    """What the findings' names start with."""
    synthetic: Sequence[Tokens]
    reference: Sequence[Tokens]
    """Empty where there are no real rows."""
    halves: tuple[Sequence[Tokens], Sequence[Tokens]]
    n_rows: int
    """Synthetic rows seen, sampled or not."""


@dataclass(frozen=True)
class Mould:
    """The template of a view as its rows hold it, and what the same search finds between the halves."""

    template: Template
    synthetic: Sequence[Reading]
    reference: Sequence[Reading]
    control: Template
    control_readings: Sequence[Reading]

    @classmethod
    def of(cls, view: View, min_share: float) -> Mould:
        """Look for templates."""
        if view.reference:
            template = mine_template(view.synthetic, view.reference, min_share=min_share)
            control = mine_template(*view.halves, min_share=min_share)
        else:
            template, control = mine_template(view.synthetic, None, min_share=max(min_share, ALONE_SHARE)), Template()
        return cls(
            template,
            [template.read(tokens) for tokens in view.synthetic],
            [template.read(tokens) for tokens in view.reference],
            control,
            [control.read(tokens) for tokens in view.halves[0]],
        )


def structural_template(findings: Sequence[Finding]) -> Template:
    """Return the template an audit found; empty when it found none or did not look."""
    for finding in findings:
        if finding.check == "tokens.structural":
            return Template.from_evidence(finding.evidence)
    return Template()


def template_finding(view: View, mould: Mould, k: int, settings: dict[str, Any]) -> Finding:
    """How many rows follow one of the k commonest templates."""
    template, n, m = mould.template, len(mould.synthetic), len(mould.reference)
    n_follow, n_real = (
        sum(template.follows(r.skeleton, k) for r in readings) for readings in (mould.synthetic, mould.reference)
    )
    value, (low, high) = n_follow / n, wilson_interval(n_follow, n)
    control_value = sum(share for _, share in mould.control.skeletons[:k])
    beside = f" ({n_real / m:.0%} of the real ones)" if m else ""
    evidence = template.to_evidence()
    shown = evidence["skeletons"][:k]
    said = "; ".join(f"{s['text']!r} ({s['share']:.0%})" for s in shown)
    counted = "one template" if len(shown) == 1 else f"one of {len(shown)} templates"
    return Finding(
        check=f"{view.prefix}templates",
        title=f"Rows follow a template{' (whole rows)' if view.unit == 'row' else ''}",
        value=value,
        low=low,
        high=high,
        better="lower",
        verdict=above(value, TEMPLATE_WARN, TEMPLATE_FAIL) if low > control_value else "ok",
        threshold=f"warn from {TEMPLATE_WARN}, fail from {TEMPLATE_FAIL}, when clear of the control",
        meaning=(
            f"{value:.0%} of the rows follow {counted}{beside}: {said}."
            if shown
            else "No opening, label or ending is shared by a twentieth of the rows and not by the real ones."
            if m
            else "No opening, label or ending is shared by a fifth of the rows."
        ),
        control=control_value if m else None,
        unit="share of rows",
        n_rows=n,
        n_reference=m,
        evidence={"unit": view.unit, "reference_share": n_real / m if m else None, **evidence},
        plots=_template_plots(mould, [s["text"] for s in evidence["skeletons"][:5]]),
        settings={**settings, "k": k, "n_rows_seen": view.n_rows},
    )


def structural_finding(view: View, mould: Mould, settings: dict[str, Any]) -> Finding:
    """How much of a row is template; its evidence says which tokens."""
    template = mould.template
    shares, real, halves = (
        np.array([r.token_share for r in readings], dtype=float)
        for readings in (mould.synthetic, mould.reference, mould.control_readings)
    )
    value = float(shares.mean())
    low, high = bootstrap_interval(shares, seed=settings["seed"])
    usual = float(halves.mean()) if len(halves) else None
    beside = f" ({real.mean():.0%} in real rows)" if len(real) else ""
    evidence = template.to_evidence()
    tokens = list(dict.fromkeys(t["token"] for t in evidence["structural_tokens"]))
    return Finding(
        check=f"{view.prefix}structural",
        title="Tokens spent on a template",
        value=value,
        low=low,
        high=high,
        better="lower",
        verdict=above(value, STRUCTURAL_WARN, STRUCTURAL_FAIL) if low > (usual or 0) else "ok",
        threshold=f"warn from {STRUCTURAL_WARN}, fail from {STRUCTURAL_FAIL}, when clear of the control",
        meaning=(
            f"On average {value:.0%} of a row's tokens are template{beside}: "
            f"{', '.join(repr(t) for t in tokens[:12])}{', …' if len(tokens) > 12 else ''}."
            if tokens
            else f"No tokens stay the same from row to row{' more than they do in real rows' if len(real) else ''}."
        ),
        control=usual,
        unit="share of tokens",
        n_rows=len(view.synthetic),
        n_reference=len(view.reference),
        evidence={"unit": view.unit, "reference_share": float(real.mean()) if len(real) else None, **evidence},
        settings={**settings, "n_rows_seen": view.n_rows},
    )


def score_structure(batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
    """Score rows by how much of the commonest templates they hold, and by how much of them is template."""
    template = structural_template(findings)
    if not template.phrases:
        return {}
    asked = {f.check: f for f in findings}
    k = int(asked["tokens.templates"].settings["k"])
    follows: dict[str, RowScore] = {}
    spends: dict[str, RowScore] = {}
    for row_id, text in zip(batch.ids, row_texts(batch, asked["tokens.structural"].evidence["unit"]), strict=True):
        found = template.read(text)
        coverage = template.coverage(found.skeleton, k)
        written = template.render(found.skeleton)
        follows[row_id] = RowScore(coverage, f"follows the template {written!r}" if coverage == 1.0 else "")
        share = found.token_share
        spends[row_id] = RowScore(share, f"{share:.0%} of its tokens are template" if share >= STRUCTURAL_WARN else "")
    return {"tokens.templates": follows, "tokens.structural": spends}


def row_texts(batch: Batch, unit: str) -> Sequence[str]:
    """Return the responses, or the whole rows."""
    return [text or "" for text in batch.rows.column("response")] if unit == "response" else batch.texts


def _template_plots(mould: Mould, rendered: list[str]) -> list[Plot]:
    if not rendered:
        return []
    series = []
    for name, readings in (("synthetic", mould.synthetic), ("real", mould.reference)):
        held = Counter(r.skeleton for r in readings)
        if readings:
            series.append(Series(name, rendered, [held[s] / len(readings) for s, _ in mould.template.skeletons[:5]]))
    holds = " and ".join(
        f"{of.y[0]:.0%} of the {of.name} {'rows' if n == 0 else 'ones'}" for n, of in enumerate(series)
    )
    return [
        Plot(
            "bars",
            "The commonest templates",
            "template",
            "share of rows",
            series,
            f"Bars of the share of rows in each template; the commonest holds {holds}.",
        )
    ]


def above(value: float, warn: float, fail: float) -> Verdict:
    """Judge a value that is worse the larger it is."""
    return "fail" if value >= fail else "warn" if value >= warn else "ok"
