"""Do synthetic rows use other words than real ones, open alike, and follow a template?

The summary is a sample of the texts themselves, the same whatever the batches and their order.
Exact counts over all rows would need a table that grows with the data, and the usual bounded
tables (lossy counting) depend on the order of the rows; from 4,000 rows a share is known to within
±0.016, which is finer than any threshold here. Scores are given to every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.audit._template import Mould, View, above, score_structure, structural_finding, template_finding
from unflaw.data import Finding, Plot, Series, mask
from unflaw.measure import (
    Template,
    Tokens,
    adjusted_divergence,
    count_peaks,
    frequency_density,
    log_odds,
    tokenise,
    wilson_interval,
)

__all__ = ["TokensCheck"]

MIN_ROWS = 20
"""Below this, hardly any share of the rows differs from another by four standard errors."""

JSD_WARN, JSD_FAIL = 0.25, 0.4
"""Adjusted Jensen-Shannon divergence. Halves of one source stay below 0.06, and below 0.14 where one is of 100 rows
(studies/audit_power)."""

OPENING_WARN, OPENING_FAIL = 0.1, 0.3
"""How much larger the share of the commonest opening may be than in the real rows, where it is 0.004 to
0.05 (studies/audit_power): from one row in ten on, it is the first thing that a model learns."""


@dataclass(frozen=True, kw_only=True)
class TokensCheck:
    """Divergence of the words, openings, templates, and the tokens of the template."""

    max_rows: int = 4000
    """Rows of each set that enter the statistics."""
    max_chars: int = 20_000
    """Characters of a row that are looked at; what follows is left out."""
    min_share: float = 0.05
    """Part of the rows that must share a phrase before it counts as template."""
    k: int = 3
    """Templates that `tokens.templates` counts."""
    allow_few: bool = False
    seed: int = 0

    name = "tokens"
    needs = frozenset({"text"})

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` must be at least {least}, got {getattr(self, name)}"
            for name, least in (("max_rows", MIN_ROWS), ("max_chars", 1), ("k", 1))
            if getattr(self, name) < least
        ]
        if not 0 < self.min_share <= 1:
            problems.append(f"`min_share` must lie in (0, 1], got {self.min_share}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep a sample of (row as text, response or None)."""
        responses: Sequence[str | None] = [None] * len(batch.texts)
        if batch.rows.has("response"):
            responses = [(text or "")[: self.max_chars] for text in batch.rows.column("response")]
        texts = [text[: self.max_chars] for text in batch.texts]

        def kept(i: int) -> tuple[str, str | None]:
            answer = responses[i]
            return mask(texts[i]), None if answer is None else mask(answer)

        return bottom_k(batch.ids, kept, self.max_rows, self.seed, batch.n_set)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Return the sample of both."""
        return merge_samples(a, b)

    def conclude(
        self,
        synthetic: Sample,
        reference: Sample | None,
        control: tuple[Sample, Sample] | None,
        holdout: Sample | None = None,
    ) -> list[Finding]:
        """Compare the responses, and whole rows beside them; rows without a response as they are.

        Without a reference only templates are looked for, and only such as a fifth of the rows share.
        """
        if reference is None and synthetic.n_rows < MIN_ROWS and not self.allow_few:
            return []  # what else is asked of a set alone needs no rows to compare
        self._refuse_few(synthetic, reference, control)
        if control is not None:  # of a large reference its sample holds these rows, and they are cut into words once
            control = control[0].first(self.max_rows // 2), control[1].first(self.max_rows // 2)
        has_response = synthetic.values[0][1] is not None
        settings = asdict(self)
        cut = cache(tokenise)  # the halves hold the reference's rows again
        found = []
        for unit in ("response", "row") if has_response else ("text",):
            view = _view(unit, "tokens.row_" if unit == "row" else "tokens.", synthetic, reference, control, cut)
            mould = Mould.of(view, self.min_share)
            if reference is not None:
                found.append(_divergence_finding(view, mould.template, settings))
                found += [_opening_finding(view, settings)] if unit != "row" else []
            found.append(template_finding(view, mould, self.k, settings))
            found += [structural_finding(view, mould, settings)] if unit != "row" else []
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> dict[str, dict[str, RowScore]]:
        """Score rows by the template they hold."""
        return score_structure(batch, findings)

    def _refuse_few(self, synthetic: Sample, reference: Sample | None, control: tuple[Sample, Sample] | None) -> None:
        sides = {"synthetic": synthetic.n_rows, **({} if reference is None else {"real": reference.n_rows})}
        got = " and ".join(f"{n} {side}" for side, n in sides.items())
        if min(sides.values()) < MIN_ROWS and not self.allow_few:
            raise TooFewRowsError(
                f"`tokens` needs at least {MIN_ROWS} rows on either side, got {got}: its values "
                "would be noise. Pass more rows, leave the check out, or set `allow_few` to see them all the same"
            )
        if min(len(s.draws) for s in (synthetic, *(control or ()))) < 2:
            raise TooFewRowsError(f"`tokens` needs two synthetic rows and two in each half of the real ones, got {got}")


def _view(
    unit: str,
    prefix: str,
    synthetic: Sample,
    reference: Sample | None,
    control: tuple[Sample, Sample] | None,
    cut: Callable[[str], Tokens],
) -> View:
    def texts(sample: Sample | None) -> list[Tokens]:
        alone, values = unit == "response", () if sample is None else sample.values
        return [cut(response if alone and response is not None else text) for text, response in values]

    halves = texts(control[0] if control else None), texts(control[1] if control else None)
    return View(unit, prefix, texts(synthetic), texts(reference), halves, synthetic.n_rows)


def _divergence_finding(view: View, template: Template, settings: dict[str, Any]) -> Finding:
    """How far apart the words are, beyond what chance gives."""
    vocabulary, a, b = _count(view.synthetic, view.reference)
    found = adjusted_divergence(a, b, seed=settings["seed"])
    same = adjusted_divergence(*_count(*view.halves)[1:], seed=settings["seed"])
    sums = [np.asarray(counts.sum(axis=0)).ravel() for counts in (a, b)]
    delta, z = log_odds(*sums)
    order = np.argsort(-z, kind="stable").tolist()
    top = [_said(vocabulary, i, delta, z, sums) for i in order[:20] if z[i] > 0]
    bottom = [_said(vocabulary, i, delta, z, sums) for i in order[::-1][:20] if z[i] < 0]
    structural = {token for phrase in template.phrases for token in phrase.tokens}
    only = np.array([word in structural for word in vocabulary])
    return Finding(
        check=f"{view.prefix}jsd",
        title=f"Synthetic rows use other words{' (whole rows)' if view.unit == 'row' else ''}",
        value=found.value,
        low=found.low,
        high=found.high,
        better="lower",
        verdict=above(found.value, JSD_WARN, JSD_FAIL) if found.low > same.high else "ok",
        threshold=f"warn from {JSD_WARN}, fail from {JSD_FAIL}, when clear of the control",
        meaning=(
            f"0 means the same words equally often, 1 no word in common. "
            f"Most over-used: {', '.join(repr(t['token']) for t in top[:6])}."
        ),
        control=same.value,
        control_low=same.low,
        control_high=same.high,
        unit="bits, adjusted for chance",
        n_rows=len(view.synthetic),
        n_reference=len(view.reference),
        evidence={
            "unit": view.unit,
            "jsd_bits": found.plug_in,
            "jsd_bits_by_chance": found.chance,
            "overused": top,
            "underused": bottom,
            "n_peaks": [count_peaks(frequency_density(counts)[1]) for counts in sums],
        },
        plots=[_density_plot(sums, only), _odds_plot(top[:10], bottom[:10])],
        settings={**settings, "n_rows_seen": view.n_rows},
    )


def _count(first: Sequence[Tokens], second: Sequence[Tokens]) -> tuple[list[str], Any, Any]:
    """Return the vocabulary in order and, for each set, a sparse (rows, tokens) matrix of counts."""
    from scipy.sparse import csr_array

    vocabulary = sorted({word for rows in (first, second) for tokens in rows for word in tokens.words})
    place = {word: i for i, word in enumerate(vocabulary)}
    matrices = []
    for rows in (first, second):
        ends = np.cumsum([0, *(len(tokens.words) for tokens in rows)])
        words = chain.from_iterable(tokens.words for tokens in rows)
        columns = np.fromiter(map(place.__getitem__, words), np.int64, ends[-1])
        matrix = csr_array((np.ones(ends[-1]), columns, ends), shape=(len(rows), len(vocabulary)))
        matrix.sum_duplicates()
        matrices.append(matrix)
    return vocabulary, matrices[0], matrices[1]


def _said(
    vocabulary: list[str], i: int, delta: np.ndarray, z: np.ndarray, sums: Sequence[np.ndarray]
) -> dict[str, Any]:
    return {
        "token": vocabulary[i],
        "log_odds": float(delta[i]),
        "z": float(z[i]),
        "share": float(sums[0][i] / sums[0].sum()),
        "reference_share": float(sums[1][i] / sums[1].sum()),
    }


def _opening_finding(view: View, settings: dict[str, Any]) -> Finding:
    """How many rows begin with the same two words."""
    rows, real = ([tuple(tokens.words[:4]) for tokens in texts] for texts in (view.synthetic, view.reference))
    (opening, n_open), (real_opening, n_real) = _commonest(rows), _commonest(real)
    value, control = n_open / len(rows), n_real / len(real)
    low, high = wilson_interval(n_open, len(rows))
    control_low, control_high = wilson_interval(n_real, len(real))
    return Finding(
        check=f"{view.prefix}openings",
        title="Rows open with the same words",
        value=value,
        low=low,
        high=high,
        better="lower",
        verdict=above(low - control_high, OPENING_WARN, OPENING_FAIL),
        threshold=f"warn from {OPENING_WARN}, fail from {OPENING_FAIL} above the real rows, interval to interval",
        meaning=f"{value:.0%} of the rows open with {opening!r}; the commonest opening of real rows is "
        f"{real_opening!r}, {control:.0%}.",
        control=control,
        control_low=control_low,
        control_high=control_high,
        unit="share of rows",
        n_rows=len(rows),
        n_reference=len(real),
        evidence={"unit": view.unit, "openings": {str(n): _overused_openings(rows, real, n) for n in (1, 2, 3, 4)}},
        settings={**settings, "n_rows_seen": view.n_rows},
    )


def _commonest(rows: Sequence[tuple[str, ...]], n: int = 2) -> tuple[str, int]:
    counts = Counter(row[:n] for row in rows)
    opening = min(counts, key=lambda words: (-counts[words], words))
    return " ".join(opening), counts[opening]


def _overused_openings(
    rows: Sequence[tuple[str, ...]], real: Sequence[tuple[str, ...]], n: int
) -> list[dict[str, Any]]:
    """Return the ten openings of n tokens that stand out most, by log-odds."""
    here, there = (Counter(row[:n] for row in side) for side in (rows, real))
    openings = sorted(here | there)
    sums = [np.array([float(side[words]) for words in openings]) for side in (here, there)]
    if len(openings) < 2:
        return []
    delta, z = log_odds(*sums, prior_mass=10.0)
    names = [" ".join(words) for words in openings]
    return [_said(names, i, delta, z, sums) for i in np.argsort(-z, kind="stable")[:10].tolist()]


def _density_plot(sums: Sequence[np.ndarray], only: np.ndarray) -> Plot:
    curves = [(name, frequency_density(counts)) for name, counts in zip(("synthetic", "real"), sums, strict=True)]
    if only.any():
        curves.append(("template tokens", frequency_density(sums[0], only)))
    part = float(sums[0][only].sum() / sums[0].sum())
    return Plot(
        "density",
        "How frequent the tokens are that rows are made of",
        "log10 relative frequency of a token",
        "density of token occurrences",
        [Series(name, grid.round(3).tolist(), density.round(5).tolist()) for name, (grid, density) in curves],
        "Density of token frequencies in synthetic and real rows. Tokens that a template repeats in every row are "
        f"equally frequent and stand together in narrow peaks; here they are {part:.0%} of all synthetic tokens.",
    )


def _odds_plot(top: list[dict[str, Any]], bottom: list[dict[str, Any]]) -> Plot:
    shown = [*top, *bottom[::-1]]
    names = ["⏎" if t["token"] == "\n" else t["token"] for t in shown]
    return Plot(
        "bars",
        "Tokens that synthetic rows over-use and under-use",
        "token",
        "z of the log-odds, synthetic against real",
        [Series("log-odds z", names, [t["z"] for t in shown])],
        f"Bars of log-odds: most over-used is {names[0]!r}, most under-used {names[-1]!r}.",
    )
