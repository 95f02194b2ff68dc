"""How far people agree about rows that several of them labelled."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from unflaw._errors import TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample
from unflaw.data import Finding, annotations_of
from unflaw.measure import MOST_LABELS, agreement, krippendorff_interval, label_counts, plurality_share

__all__ = ["agreement_finding", "agreement_scores"]

LEAST_ALPHA = 0.667
"""Krippendorff's own least for tentative conclusions."""

Alpha = tuple[float, float, float]
"""Value and interval."""


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
    several = counts[counts.sum(axis=1) > 1]  # one label agrees with nobody
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
            f"{np.mean(plurality_share(several)):.0%} of the labels of a row are its commonest one, alpha is "
            f"{value[0]:.2f}{'; synthetic rows replace real ones least where people disagree' if low else ''}.{told}"
        ),
        control=None if control is None else control[0],
        control_low=None if control is None else control[1],
        control_high=None if control is None else control[2],
        unit="Krippendorff's alpha",
        n_rows=len(several),
        n_reference=0 if reference is None else len(reference.draws),
        evidence={
            "n_labels": counts.shape[1],
            "agreement": float(np.nanmean(agreement(counts))),
            "panel": sorted(panel),
        },
    )


def agreement_scores(batch: Batch, finding: Finding) -> dict[str, RowScore]:
    """Give each row with two labels and more how far people disagree about it: 1 is as by chance."""
    agreed = agreement(label_counts(annotations_of(batch.rows)), max(finding.evidence["n_labels"], 1))
    told = zip(batch.ids, agreed.tolist(), strict=True)
    return {row_id: RowScore(1 - min(max(value, 0.0), 1.0)) for row_id, value in told if not np.isnan(value)}


def _alpha(sample: Sample | None, seed: int) -> Alpha | None:
    """Return alpha, None where too few rows have two labels."""
    if sample is None or len(sample.draws) < 2 or len({v for row in sample.values for v in row}) > MOST_LABELS:
        return None
    try:
        return krippendorff_interval(label_counts(sample.values), seed=seed)
    except TooFewRowsError:
        return None
