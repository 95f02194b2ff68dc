"""How predictable are synthetic rows to a language model, beside real ones?

Notation
    s_i : log-perplexity of row i, the mean negative log-probability of its tokens, nats per token
    d   : mean of s over synthetic rows minus mean over real rows; after training: mean of (s_after - s)
    r   : variance of s over synthetic rows over that of real rows; after training: Var(s_after) / Var(s)

Averaging over tokens first and rows then keeps long rows from deciding; exponentiating first would
let the few hardest rows decide. Rows are compared under one model, one tokenizer, the same cut-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.data import Finding, Plot, Series, Verdict
from unflaw.measure import difference_interval, kernel_density, paired_difference, ratio_interval

__all__ = ["PerplexityCheck"]

MIN_ROWS = 30
"""Rows a side below which the interval of a variance ratio spans a factor of four."""
SHIFT_WARN = 0.5
"""Standard deviations of the real rows: the typical synthetic row is easier than 69 % of the real ones."""
SHIFT_FAIL = 1.0
"""Easier than 84 %."""
VARIANCE_WARN = 0.5
"""The spread of the synthetic rows is 70 % of the real rows'."""
VARIANCE_FAIL = 0.25
"""Half the spread: the rows are alike in a way real rows are not."""
AFTER_WARN = 0.25
"""Nats per token that synthetic rows became easier by, beyond real ones: their tokens 1.3 times likelier."""
AFTER_FAIL = 1.0
"""2.7 times likelier: the model learnt these rows, not the language."""
AFTER_VARIANCE_WARN, AFTER_VARIANCE_FAIL = 0.67, 0.33
"""Of the same ratio on real rows: the model makes all synthetic rows alike."""
_SURE = 0.95
"""Rows easier than this part of the real rows get a reason."""


@dataclass(frozen=True, kw_only=True)
class PerplexityCheck:
    """Shift and spread of log-perplexity against real rows; with a second model also before against after."""

    max_rows: int = 5000
    """Rows of each set that enter the statistics."""
    allow_few: bool = False
    seed: int = 0

    name = "perplexity"
    needs = frozenset({"reference", "log_probs"})

    def __post_init__(self) -> None:
        if self.max_rows < MIN_ROWS:
            raise SettingsError(f"`max_rows` must be at least {MIN_ROWS}, got {self.max_rows}")

    def summarise(self, batch: Batch) -> Sample:
        """Keep (s, s after training or nan) of the sampled rows; nan where a row has no token to score."""
        before, after = _log_perplexity(batch.log_probs), _log_perplexity(batch.log_probs_after)
        if before is None:
            raise DataError("`log_probs` must be given to the check 'perplexity'; pass a `scorer`")
        values = list(zip(before, [float("nan")] * len(before) if after is None else after, strict=True))
        return bottom_k(batch.ids, values.__getitem__, self.max_rows, self.seed, batch.n_set)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(
        self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample], holdout: None = None
    ) -> list[Finding]:
        """Compare the samples, and the two halves of the reference in the same way."""
        sets = [_scored(sample) for sample in (synthetic, reference, *control)]
        self._refuse_few(sets)
        synth, real, half, other_half = (s[:, 0] for s in sets)
        settings = {
            **asdict(self),
            "n_rows_seen": synthetic.n_rows,
            "n_without_tokens": len(synthetic.values) - len(sets[0]),
        }
        findings = [self._shift(synth, real, half, other_half), self._variance(synth, real, half, other_half)]
        if not np.isnan(sets[0][:, 1]).any():
            findings += self._after(sets[0], sets[1])
        return [replace(f, n_rows=len(synth), n_reference=len(real), settings=settings) for f in findings]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score a row by the part of the real rows it lies beyond, on the side to which the whole set is shifted."""
        finding = next(f for f in findings if f.check == "perplexity.shift")
        quantiles = np.array(finding.evidence["reference_quantiles"])
        scores = {}
        for row_id, s in zip(batch.ids, _log_perplexity(batch.log_probs) or [], strict=True):
            if np.isnan(s):
                continue
            easier = float(np.searchsorted(quantiles, s) / len(quantiles))
            beyond, side = (easier, "higher") if finding.value > 0 else (1.0 - easier, "lower")
            said = f"log-perplexity {s:.2f}, {side} than {beyond:.0%} of real rows" if beyond >= _SURE else ""
            scores[row_id] = RowScore(beyond, said)
        return {finding.check: scores}

    def _refuse_few(self, sets: Sequence[np.ndarray]) -> None:
        n, m = len(sets[0]), len(sets[1])
        if min(n, m) < MIN_ROWS and not self.allow_few:
            raise TooFewRowsError(
                f"`perplexity` needs at least {MIN_ROWS} rows with tokens on either side, got {n} synthetic and {m} "
                "real: its values would be noise. Pass more rows, leave the check out, or set `allow_few` to see "
                "them all the same"
            )
        if min(map(len, sets)) < 2:
            raise TooFewRowsError(f"`perplexity` needs two rows in each half of the reference, got {m} rows in all")

    def _shift(self, synth: np.ndarray, real: np.ndarray, half: np.ndarray, other_half: np.ndarray) -> Finding:
        d, low, high = difference_interval(synth, real, seed=self.seed)
        control, control_low, control_high = difference_interval(half, other_half, seed=self.seed)
        unit = float(real.std()) or 1.0
        verdict: Verdict = "ok"
        if high < control_low and d <= -SHIFT_WARN * unit:
            verdict = "fail" if d <= -SHIFT_FAIL * unit else "warn"
        elif low > control_high and d >= SHIFT_FAIL * unit:
            verdict = "warn"
        return Finding(
            check="perplexity.shift",
            title="Synthetic rows are easier to predict" if d < 0 else "Synthetic rows are harder to predict",
            value=d,
            low=low,
            high=high,
            better="lower" if d > 0 else "higher",
            verdict=verdict,
            threshold=(
                f"warn from {SHIFT_WARN} and fail from {SHIFT_FAIL} standard deviations of the real rows ({unit:.2f} "
                f"nats) downwards, warn from {SHIFT_FAIL} upwards, when clear of the control"
            ),
            meaning=(
                f"The mean log-perplexity is {synth.mean():.2f} for synthetic and {real.mean():.2f} for real rows: "
                f"{abs(d) / unit:.1f} standard deviations {'easier' if d < 0 else 'harder'}."
            ),
            control=control,
            control_low=control_low,
            control_high=control_high,
            unit="nats per token",
            evidence={
                "mean": float(synth.mean()),
                "reference_mean": float(real.mean()),
                "reference_sd": unit,
                "reference_quantiles": np.quantile(real, np.linspace(0, 1, 201)).tolist(),
            },
            plots=[_plot("How predictable rows are", {"synthetic": synth, "real": real})],
        )

    def _variance(self, synth: np.ndarray, real: np.ndarray, half: np.ndarray, other_half: np.ndarray) -> Finding:
        r, low, high = ratio_interval(synth, real, seed=self.seed)
        control, control_low, control_high = ratio_interval(half, other_half, seed=self.seed)
        clear = high < min(1.0, control)
        return Finding(
            check="perplexity.variance_ratio",
            title="Synthetic rows are equally easy" if r < 1 else "Synthetic rows differ in how easy they are",
            value=r,
            low=low,
            high=high,
            better="higher",
            verdict=_verdict(clear, r, VARIANCE_WARN, VARIANCE_FAIL),
            threshold=f"warn up to {VARIANCE_WARN}, fail up to {VARIANCE_FAIL}, when clear of 1 and of the control",
            meaning=f"Log-perplexity varies {r:.2f} times as much over synthetic rows as over real ones.",
            control=control,
            control_low=control_low,
            control_high=control_high,
            unit="variance ratio",
        )

    def _after(self, synth: np.ndarray, real: np.ndarray) -> list[Finding]:
        """Say what training did to synthetic rows; the control is what it did to real ones."""
        d, low, high = paired_difference(synth[:, 1], synth[:, 0], seed=self.seed)
        control, control_low, control_high = paired_difference(real[:, 1], real[:, 0], seed=self.seed)
        beyond = control - d
        verdict: Verdict = "ok"
        if high < control_low and beyond >= AFTER_WARN:
            verdict = "fail" if beyond >= AFTER_FAIL else "warn"
        curves = {"synthetic, before": synth[:, 0], "synthetic, after": synth[:, 1], "real, after": real[:, 1]}
        shift = Finding(
            check="perplexity.after_shift",
            title="Training made synthetic rows easier",
            value=d,
            low=low,
            high=high,
            better="higher",
            verdict=verdict,
            threshold=f"warn from {AFTER_WARN} and fail from {AFTER_FAIL} nats below the change on real rows",
            meaning=(
                f"After training the log-perplexity of synthetic rows changed by {d:+.2f}, "
                f"that of real rows by {control:+.2f}."
            ),
            control=control,
            control_low=control_low,
            control_high=control_high,
            unit="nats per token",
            plots=[_plot("How predictable rows are before and after training", curves)],
        )
        r, low, high = ratio_interval(synth[:, 1], synth[:, 0], paired=True, seed=self.seed)
        control, control_low, control_high = ratio_interval(real[:, 1], real[:, 0], paired=True, seed=self.seed)
        spread = Finding(
            check="perplexity.after_variance_ratio",
            title="Training made synthetic rows alike",
            value=r,
            low=low,
            high=high,
            better="higher",
            verdict=_verdict(high < min(1.0, control_low), r / control, AFTER_VARIANCE_WARN, AFTER_VARIANCE_FAIL),
            threshold=f"warn up to {AFTER_VARIANCE_WARN}, fail up to {AFTER_VARIANCE_FAIL} of the ratio on real rows",
            meaning=(
                f"After training log-perplexity varies {r:.2f} times as much over synthetic rows as before, "
                f"{control:.2f} times over real rows."
            ),
            control=control,
            control_low=control_low,
            control_high=control_high,
            unit="variance ratio",
        )
        return [shift, spread]


def _log_perplexity(log_probs: Sequence[np.ndarray] | None) -> list[float] | None:
    """Mean negative log-probability per row, nan for a row without tokens; None for None."""
    if log_probs is None:
        return None
    return [float(-row.mean(dtype=np.float64)) if len(row) else float("nan") for row in log_probs]


def _scored(sample: Sample) -> Float[np.ndarray, "n 2"]:
    """(s, s after) of the sampled rows that have tokens."""
    values = np.array(sample.values, dtype=float).reshape(-1, 2)
    values = values[~np.isnan(values[:, 0])]
    if np.isinf(values).any():
        raise DataError("`log_probs` must be finite, got -inf: the scorer calls a token impossible that is there")
    return values


def _plot(title: str, curves: Mapping[str, np.ndarray]) -> Plot:
    pooled = np.concatenate(list(curves.values()))
    low, high = np.quantile(pooled, [0.002, 0.998])
    margin = 0.1 * (high - low) or 0.5
    grid = np.linspace(low - margin, high + margin, 160)
    means = ", ".join(f"{name} {values.mean():.2f}" for name, values in curves.items())
    return Plot(
        "density",
        title,
        "log-perplexity of a row, nats per token",
        "density of rows",
        [Series(name, grid.round(4).tolist(), kernel_density(s, grid).round(5).tolist()) for name, s in curves.items()],
        f"Density of log-perplexity over rows; means: {means}.",
    )


def _verdict(clear: bool, value: float, warn: float, fail: float) -> Verdict:
    """Judge a ratio that is worse the smaller it is."""
    if not clear or value > warn:
        return "ok"
    return "fail" if value <= fail else "warn"
