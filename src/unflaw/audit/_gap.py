"""Distribution gap: do synthetic and real rows lie in the same places, seen through an encoder?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._overlap import overlap_plots
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.data import Finding, Verdict
from unflaw.measure import (
    ClassifierTest,
    bootstrap_interval,
    classifier_test,
    kernel_test,
    linear_probability,
    neighbour_overlap,
    normalise,
    text_hash,
    wilson_interval,
)

__all__ = ["GapCheck"]

MIN_ROWS = 50
"""Rows a side below which the interval of the AUC spans a quarter of [0, 1] even where nothing differs."""
AUC_WARN = 0.70
"""Of a synthetic and a real row, the classifier picks the synthetic one 7 times in 10: a tendency one can act on."""
AUC_FAIL = 0.90
"""9 times in 10: a model trained on the set learns the difference as readily as the classifier did."""
NEIGHBOUR_WARN = 0.75
"""Of the control: a quarter is missing. In few rows chance takes as much, so the interval decides as well."""
NEIGHBOUR_FAIL = 0.50
"""Of the control: half of what real rows reach."""
MMD_P = 0.001
"""The least that 999 permutations can give: one clean set in a thousand is accused."""
_MMD_ROWS = 1000
"""Rows a side for the kernel test: its matrix is (2 * 1000)^2 doubles, 32 MB."""
_SURE = 0.9
"""Rows at least this likely to be synthetic get a reason."""


@dataclass(frozen=True, kw_only=True)
class GapCheck:
    """Classifier two-sample test, neighbour overlap, kernel test and a picture, on a sample of rows."""

    max_rows: int = 2000
    """Rows of each set that enter the statistics: time grows with its square."""
    n_folds: int = 5
    k: int = 5
    """Neighbours: Naeem et al. (2020)."""
    n_permutations: int = 999
    picture: str = "tsne"
    """"tsne" draws t-SNE beside the principal components, "pca" leaves it out."""
    allow_few: bool = False
    seed: int = 0

    name: ClassVar[str] = "gap"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "embeddings", "text"})

    def __post_init__(self) -> None:
        problems = []
        if self.max_rows < MIN_ROWS:
            problems.append(f"`max_rows` must be at least {MIN_ROWS}, got {self.max_rows}")
        if self.n_folds < 2:
            problems.append(f"`n_folds` must be at least 2, got {self.n_folds}")
        if self.picture not in ("pca", "tsne"):
            problems.append(f"`picture` must be 'pca' or 'tsne', got {self.picture!r}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep vector, length and text hash of the sampled rows."""
        if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
        vectors, texts = batch.embeddings, batch.texts

        def kept(i: int) -> tuple[Float[np.ndarray, " d"], int, int, int]:
            return vectors[i].copy(), len(texts[i]), len(texts[i].split()), text_hash(normalise(texts[i]))

        return bottom_k(batch.ids, kept, self.max_rows, self.seed, batch.n_set)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(
        self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample], holdout: None = None
    ) -> list[Finding]:
        """Compare the samples, and the two halves of the reference in the same way."""
        self._refuse_few(synthetic, reference, control)
        return [
            self._classifier(synthetic, reference, control),
            *self._neighbours(synthetic, reference, control),
            self._kernel(synthetic, reference, control),
        ]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row the classifier's probability that it is synthetic."""
        finding = next(f for f in findings if f.check == "gap.c2st_auc")
        classifier = finding.evidence["classifier"]
        p = linear_probability(_array(batch.embeddings), np.array(classifier["weights"]), classifier["bias"])
        reasons = _reasons(batch.ids, p, finding.verdict)
        scores = {i: RowScore(float(v), reasons.get(i, "")) for i, v in zip(batch.ids, p, strict=True)}
        return {finding.check: scores}

    def _refuse_few(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> None:
        sizes = f"{synthetic.n_rows} synthetic and {reference.n_rows} real"
        if min(synthetic.n_rows, reference.n_rows) < MIN_ROWS and not self.allow_few:
            raise TooFewRowsError(
                f"`gap` needs at least {MIN_ROWS} rows on either side, got {sizes}: its values would be noise. "
                "Pass more rows, leave the check out, or set `allow_few` to see them all the same"
            )
        least = max(self.k, self.n_folds) + 1
        if min(len(s.draws) for s in (synthetic, *control)) < least:
            raise TooFewRowsError(
                f"`gap` needs {least} synthetic rows and {least} real ones in each half of the reference "
                f"to have a value at all, got {sizes}"
            )

    def _test(self, real: Sample, other: Sample) -> tuple[ClassifierTest, float]:
        """Classify on the vectors; and on length alone, to say how much of it that explains."""
        n = min(len(real.draws), len(other.draws))
        groups = [v[3] for s in (real, other) for v in s.values[:n]]
        x, y = _vectors(real, n), _vectors(other, n)
        test = classifier_test(x, y, groups=groups, n_folds=self.n_folds, seed=self.seed)
        by_length = classifier_test(
            _lengths(real, n), _lengths(other, n), groups=groups, n_folds=self.n_folds, seed=self.seed
        )
        return test, max(by_length.auc, 1 - by_length.auc)

    def _classifier(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> Finding:
        test, by_length = self._test(reference, synthetic)
        null, _ = self._test(*control)
        n = len(test.p_y)
        beyond = test.low > max(0.5, null.high)
        verdict = _verdict(beyond and test.auc >= AUC_WARN, beyond and test.auc >= AUC_FAIL)
        ids = synthetic.ids[:n]
        meaning = {
            "ok": "A linear classifier hardly tells synthetic from real rows.",
            "warn": "Synthetic rows differ from real ones in ways a linear classifier sees.",
            "fail": "Almost every synthetic row can be told from a real one by a linear classifier.",
        }[verdict]
        if verdict != "ok" and by_length >= AUC_WARN:
            meaning += f" Length alone gives {by_length:.2f}: compare rows of equal length before blaming the words."
        return Finding(
            check="gap.c2st_auc",
            title="A classifier tells synthetic from real",
            value=test.auc,
            low=test.low,
            high=test.high,
            better="lower",
            verdict=verdict,
            threshold=f"warn from {AUC_WARN}, fail from {AUC_FAIL}, if the interval lies above the control's",
            meaning=meaning,
            control=null.auc,
            control_low=null.low,
            control_high=null.high,
            unit="AUC",
            n_rows=n,
            n_reference=len(test.p_x),
            row_scores=dict(zip(ids, test.p_y.tolist(), strict=True)),
            row_reasons=_reasons(ids, test.p_y, verdict),
            evidence={
                "length_auc": by_length,
                "classifier": {"weights": test.weights.tolist(), "bias": test.bias},
            },
            plots=overlap_plots(_vectors(reference, n), _vectors(synthetic, n), self.picture, self.seed),
            settings={"n_folds": self.n_folds, "seed": self.seed},
        )

    def _neighbours(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> list[Finding]:
        n = min(len(s.draws) for s in (synthetic, *control))  # the values depend on n: use one for both
        values = neighbour_overlap(_vectors(reference, n), _vectors(synthetic, n), self.k)
        null = neighbour_overlap(_vectors(control[0], n), _vectors(control[1], n), self.k)
        return [self._neighbour(name, getattr(values, name), getattr(null, name), n) for name in values._fields]

    def _neighbour(self, name: str, rows: Float[np.ndarray, " n"], null: Float[np.ndarray, " n"], n: int) -> Finding:
        value, usual = float(rows.mean()), float(null.mean())
        (low, high), (null_low, null_high) = _mean_interval(rows, self.seed), _mean_interval(null, self.seed)
        beyond = high < null_low
        title, lacking = _NEIGHBOUR_WORDS[name]
        verdict = _verdict(beyond and value <= NEIGHBOUR_WARN * usual, beyond and value <= NEIGHBOUR_FAIL * usual)
        return Finding(
            check=f"gap.{name}",
            title=title,
            value=value,
            low=low,
            high=high,
            better="higher",
            verdict=verdict,
            threshold=f"warn up to {NEIGHBOUR_WARN} of the control, fail up to {NEIGHBOUR_FAIL}, "
            "if the interval lies below the control's",
            meaning="As between two halves of the real rows." if verdict == "ok" else lacking,
            control=usual,
            control_low=null_low,
            control_high=null_high,
            unit="share" if name != "density" else "",
            n_rows=n,
            n_reference=n,
            settings={"k": self.k, "seed": self.seed},
        )

    def _kernel(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> Finding:
        def test(real: Sample, other: Sample) -> tuple[float, float, float, int]:
            n = min(len(real.draws), len(other.draws), _MMD_ROWS)
            result = kernel_test(
                _vectors(real, n), _vectors(other, n), n_permutations=self.n_permutations, seed=self.seed
            )
            return *result, n

        value, p, null_high, n = test(reference, synthetic)
        usual, usual_p, usual_high, _ = test(*control)
        verdict = _verdict(p <= MMD_P and value > usual_high, False)
        return Finding(
            check="gap.mmd2",
            title="Kernel distance between synthetic and real",
            value=value,
            low=None,
            high=None,
            better="lower",
            verdict=verdict,
            threshold=f"warn if p is at most {MMD_P} and the value above the control's upper end; never fails alone",
            meaning=f"Shuffled labels give as large a distance with p = {p:.3g}.",
            control=usual,
            control_high=usual_high,
            unit="MMD squared",
            n_rows=n,
            n_reference=n,
            evidence={"p_value": p, "null_high": null_high, "control_p_value": usual_p},
            settings={"n_permutations": self.n_permutations, "seed": self.seed},
        )


_NEIGHBOUR_WORDS = {
    "precision": (
        "Synthetic rows that lie among real ones",
        "Many synthetic rows resemble no real row.",
    ),
    "recall": (
        "Real rows that lie among synthetic ones",
        "The synthetic rows miss much of what the real ones are about.",
    ),
    "density": (
        "How densely real rows surround synthetic ones",
        "Synthetic rows lie at the edge of where real rows are.",
    ),
    "coverage": (
        "Real rows with a synthetic row as near as their own neighbours",
        "The synthetic rows leave out kinds of rows that are common among the real ones.",
    ),
}


def _verdict(warn: bool, fail: bool) -> Verdict:
    return "fail" if fail else "warn" if warn else "ok"


def _array(embeddings: Float[np.ndarray, "n d"] | None) -> Float[np.ndarray, "n d"]:
    if embeddings is None:
        raise DataError("`gap` scores rows by their embeddings, got none")
    return embeddings.astype(np.float64)


def _vectors(sample: Sample, n: int) -> Float[np.ndarray, "n d"]:
    return np.stack([v[0] for v in sample.values[:n]]).astype(np.float64)


def _lengths(sample: Sample, n: int) -> Float[np.ndarray, "n 4"]:
    """Signs and words on a log scale, with their squares so that "neither short nor long" can be told too."""
    logs = np.log1p(np.array([v[1:3] for v in sample.values[:n]], dtype=np.float64))
    return np.concatenate([logs, logs**2], axis=1)


def _mean_interval(values: Float[np.ndarray, " n"], seed: int) -> tuple[float, float]:
    """Interval over rows, the other set held as it is."""
    if np.isin(values, (0.0, 1.0)).all():
        return wilson_interval(int(values.sum()), len(values))
    return bootstrap_interval(values, seed=seed)


def _reasons(ids: Sequence[str], p: Float[np.ndarray, " n"], verdict: Verdict) -> dict[str, str]:
    if verdict == "ok":
        return {}
    return {i: f"told from real rows with probability {v:.2f}" for i, v in zip(ids, p, strict=True) if v >= _SURE}
