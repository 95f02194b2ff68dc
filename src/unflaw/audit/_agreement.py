"""How far people agree about rows that several of them labelled."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from unflaw._errors import TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample
from unflaw.data import Finding, Rows
from unflaw.measure import agreement, krippendorff_interval, label_counts, plurality_share

__all__ = ["agreement_finding", "agreement_scores", "given_labels", "panel_of"]

LEAST_ALPHA = 0.667
"""Krippendorff's own least for tentative conclusions."""
_COLUMN = "annotations"
_ANNOTATORS = "unflaw.annotators"
"""Column that names the models which gave a row its annotations, where `unflaw generate labels` wrote them."""
_MOST = 100
"""Labels of a row, and different ones of a set: more are no votes, but spans or free text."""

Alpha = tuple[float, float, float]
"""Value and interval."""


def given_labels(rows: Rows) -> list[list[Any]]:
    """Return the labels that people gave each row; none where there is no column of lists."""
    given = rows.column(_COLUMN) if _COLUMN in rows.table.column_names else [None] * len(rows)
    told = [
        [v for v in row if isinstance(v, (str, int, float)) and v == v] if isinstance(row, list) else []  # nan != nan
        for row in given
    ]
    return [row if len(row) <= _MOST else [] for row in told]


def panel_of(rows: Rows) -> frozenset[str]:
    """Return the names of the models that gave annotations; none where people did."""
    named = rows.column(_ANNOTATORS) if _ANNOTATORS in rows.table.column_names else []
    return frozenset(str(name) for row in named for name in row or ())


def agreement_finding(
    synthetic: Sample,
    reference: Sample | None,
    half: Sample | None,
    seed: int,
    panel: Collection[str] = (),
    real_panel: Collection[str] = (),
) -> Finding | None:
    """Return how far people agree about the set's own rows or, where nobody labelled those twice, about real ones.

    The verdict is on the real rows where there are labels of those: they show what the task is like. With a `panel` of
    models that gave the labels, or the real rows' labels, it is said that no people did.
    """
    mine, real = _alpha(synthetic, seed), _alpha(reference, seed)
    if mine is not None:
        return _finding(mine, real, real or mine, synthetic, reference, panel)
    if real is not None and reference is not None:
        return _finding(real, _alpha(half, seed), real, reference, reference, real_panel)
    return None


def _finding(
    value: Alpha, control: Alpha | None, judged: Alpha, about: Sample, reference: Sample | None, panel: Collection[str]
) -> Finding:
    counts, low = label_counts(about.values), judged[0] < LEAST_ALPHA
    who = "A panel of language models agrees" if panel else "People agree"
    told = f" These are labels of models ({', '.join(sorted(panel))}), not of people." if panel else ""
    return Finding(
        check="subjectivity.agreement",
        title=f"{who} about the labels",
        value=value[0],
        low=value[1],
        high=value[2],
        better="higher",
        verdict="warn" if low else "ok",
        threshold=f"warn where it is below {LEAST_ALPHA} in the real rows, or in the set where those have no labels",
        meaning=(
            f"{np.nanmean(plurality_share(counts)):.0%} of the labels of a row are its commonest one, alpha is "
            f"{value[0]:.2f}{'; synthetic rows replace real ones least where people disagree' if low else ''}.{told}"
        ),
        control=None if control is None else control[0],
        control_low=None if control is None else control[1],
        control_high=None if control is None else control[2],
        unit="Krippendorff's alpha",
        n_rows=len(about.draws),
        n_reference=0 if reference is None else len(reference.draws),
        evidence={
            "n_labels": counts.shape[1],
            "agreement": float(np.nanmean(agreement(counts))),
            "panel": sorted(panel),
        },
    )


def agreement_scores(batch: Batch, finding: Finding) -> dict[str, RowScore]:
    """Give each row with two labels and more how far people disagree about it: 1 is as by chance."""
    agreed = agreement(label_counts(given_labels(batch.rows)), max(finding.evidence["n_labels"], 1))
    told = zip(batch.ids, agreed.tolist(), strict=True)
    return {row_id: RowScore(1 - min(max(value, 0.0), 1.0)) for row_id, value in told if not np.isnan(value)}


def _alpha(sample: Sample | None, seed: int) -> Alpha | None:
    """Return alpha, None where too few rows have two labels."""
    if sample is None or len(sample.draws) < 2 or len({v for row in sample.values for v in row}) > _MOST:
        return None
    try:
        return krippendorff_interval(label_counts(sample.values), seed=seed)
    except TooFewRowsError:
        return None
