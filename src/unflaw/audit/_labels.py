"""Labels: are they spread as real ones, which are likely to be wrong, do equal rows disagree, what gives them away?

Shares are of a sample. Whether the label of a row outside it is likely to be wrong, a classifier says that was fitted
on the sample; equal and nearly equal rows under two labels, of all rows, are the business of `copies`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import DataError, SettingsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample, bottom_k, draw, merge_samples
from unflaw.audit._shares import Rule, Share, share_finding, spread_finding
from unflaw.audit._template import above
from unflaw.data import Finding, Verdict
from unflaw.measure import (
    LabelJudge,
    label_issues,
    normalise,
    out_of_sample,
    repeats_of_earlier,
    uncertainty,
    words_of,
)

__all__ = ["LabelsCheck"]

MIN_ROWS = 50
BALANCE = Rule(0.1, 0.3)
MOST_CLASSES = 100
"""More are no classes but numbers or names."""
NOISE, CONFLICT = Rule(0.03, 0.1), Rule(0.01, 0.05)
AWAY_WARN, AWAY_FAIL = 0.1, 0.3
"""Part of what is to know about the label that length alone, or one word alone, tells more than in real rows."""
_FOLDS = 5
"""Of the classifier that tells labels; rarer ones are not told."""
_ALIKE = 0.95
"""Cosine of rows that say the same, so that one of two labels must be wrong."""
_BINS = 10
_MOST_WORDS = 200
_COMMON = 0.02
"""Share of rows in which a word must stand to give a label away."""


@dataclass(frozen=True, kw_only=True)
class LabelsCheck:
    """Balance, noise (cleanlab), conflicts, and what gives labels away, on a sample of rows."""

    max_rows: int = 4000
    seed: int = 0

    name: ClassVar[str] = "labels"
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings", "labels"})

    def __post_init__(self) -> None:
        if self.max_rows < MIN_ROWS:
            raise SettingsError(f"`max_rows` must be at least {MIN_ROWS}, got {self.max_rows}")

    def summarise(self, batch: Batch) -> Sample:
        """Keep label, vector and words of the sampled rows that have a label."""
        if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
        labels = _labels_of(batch)
        kept = [i for i, label in enumerate(labels) if label is not None]
        vectors, texts = batch.embeddings, batch.texts

        def value(at: int) -> tuple[str, Float[np.ndarray, " d"], str]:
            return str(labels[kept[at]]), vectors[kept[at]].copy(), texts[kept[at]][:20_000]

        return bottom_k([batch.ids[i] for i in kept], value, self.max_rows, self.seed)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(
        self, synthetic: Sample, reference: Sample | None, control: tuple[Sample, Sample] | None, holdout: None = None
    ) -> list[Finding]:
        """Ask of the labels of both sets, in as many rows of each; of what is no class, nothing."""
        real = reference if reference is not None and _has_classes(reference) else None
        if not _has_classes(synthetic):
            return []
        n = min(len(s.draws) for s in (synthetic, real) if s is not None)
        mine, theirs = _Labelled.of(synthetic, n), None if real is None else _Labelled.of(real, n)
        found = [self._noise(mine, theirs, synthetic), self._conflicts(mine, theirs)]
        found += [self._given_away(name, mine, theirs) for name in ("length", "word")]
        return ([self._balance(synthetic, real, control)] if real is not None and control is not None else []) + found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score the rows outside the sample whose label is likely to be wrong; of the others the findings say it."""
        finding = next(f for f in findings if f.check == "labels.noise")
        beyond: _Beyond | None = finding.evidence["_beyond"]
        if beyond is None or batch.embeddings is None:
            return {}
        asked = {
            i: label
            for i, label in enumerate(_labels_of(batch))
            if label is not None and beyond.asks(batch.ids[i], label)
        }
        if not asked:
            return {}
        x = batch.embeddings[list(asked)].astype(np.float64)
        wrong, quality = beyond.judge.issues(x, np.array([beyond.classes[label] for label in asked.values()]))
        told = zip(asked.items(), wrong.tolist(), quality.tolist(), strict=True)
        return {
            finding.check: {
                batch.ids[i]: RowScore(1 - good, _suspect(label)) for (i, label), suspected, good in told if suspected
            }
        }

    def _balance(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> Finding:
        mine, real, *halves = (Counter(label for label, _, _ in s.values) for s in (synthetic, reference, *control))
        shares = {label: (mine[label] / mine.total(), real[label] / real.total()) for label in mine | real}
        most = max(sorted(shares), key=lambda label: shares[label][0] - shares[label][1])
        return spread_finding(
            "labels.balance", "Labels are spread otherwise than real ones", mine, real, (halves[0], halves[1]), BALANCE,
            f"would need another label; {shares[most][0]:.0%} are {most!r}, of real rows {shares[most][1]:.0%}",
            settings=asdict(self),
        )  # fmt: skip

    def _noise(self, mine: _Labelled, real: _Labelled | None, sample: Sample) -> Finding:
        found = mine.issues(self.seed)
        share = Share(int(found.wrong.sum()), len(mine.ids))
        usual = None if real is None else Share(int(real.issues(self.seed).wrong.sum()), len(real.ids))
        if len(mine.ids) < len(sample.draws):  # the share is one of as many rows as real ones; named are all
            mine = _Labelled.of(sample, len(sample.draws))
            found = mine.issues(self.seed)
        beyond = _Beyond.of(found, sample, self.seed) if sample.n_rows > len(sample.draws) else None
        suspects = np.flatnonzero(found.wrong).tolist()
        return share_finding(
            "labels.noise", "Labels that are likely to be wrong", share, usual, NOISE,
            "have a label that what they say speaks against",
            row_scores={mine.ids[i]: float(1 - found.quality[i]) for i in suspects},
            row_reasons={mine.ids[i]: _suspect(mine.labels[i]) for i in suspects},
            evidence={"_beyond": beyond}, settings=asdict(self),
        )  # fmt: skip

    def _conflicts(self, mine: _Labelled, real: _Labelled | None) -> Finding:
        found = mine.conflicts()
        return share_finding(
            "labels.conflicts", "Rows that say the same under another label", Share(len(found), len(mine.ids)),
            None if real is None else Share(len(real.conflicts()), len(real.ids)), CONFLICT,
            "say what another row says, under another label",
            row_scores=dict.fromkeys(found, 1.0),
            row_reasons={i: f"says what row {of} says, under another label" for i, of in found.items()},
            settings=asdict(self),
        )  # fmt: skip

    def _given_away(self, by: str, mine: _Labelled, real: _Labelled | None) -> Finding:
        value, what = mine.by_length() if by == "length" else mine.by_word()
        usual = None if real is None else (real.by_length() if by == "length" else real.by_word())[0]
        verdict: Verdict = above(value - (usual or 0.0), AWAY_WARN, AWAY_FAIL)
        return Finding(
            check=f"labels.{by}",
            title="Length alone tells the label" if by == "length" else "One word alone tells the label",
            value=value,
            low=None,
            high=None,
            better="lower",
            verdict=verdict,
            threshold=f"warn from {AWAY_WARN}, fail from {AWAY_FAIL} above the control",
            meaning=f"{what} tells {max(value, 0):.0%} of what is to know about the label.",
            control=usual,
            unit="share of the label's entropy (Theil's U, adjusted for chance)",
            n_rows=len(mine.ids),
            n_reference=0 if real is None else len(real.ids),
            settings=asdict(self),
        )


def _labels_of(batch: Batch) -> list[str | None]:
    labels = batch.rows.column("label") if batch.rows.has("label") else [None] * len(batch.texts)
    return [None if label is None else str(label) for label in labels]


def _suspect(label: str) -> str:
    return f"is labelled {label!r}, which other rows speak against"


def _has_classes(sample: Sample) -> bool:
    """Tell whether there are enough labels, and few enough different ones."""
    classes = {label for label, _, _ in sample.values}
    return len(sample.draws) >= MIN_ROWS and 2 <= len(classes) <= MOST_CLASSES


class _Issues(NamedTuple):
    """Which labels of some rows are likely to be wrong."""

    wrong: Bool[np.ndarray, " n"]
    quality: Float[np.ndarray, " n"]
    """How good each is, in [0, 1]."""
    classes: Mapping[str, int]
    """Labels that are common enough to tell, numbered."""
    judge: Callable[[], LabelJudge] | None
    """Makes what tells it of other rows."""


@dataclass(frozen=True)
class _Beyond:
    """What is known of rows outside the sample."""

    drawn: int
    """The largest draw in it."""
    seed: int
    classes: Mapping[str, int]
    judge: LabelJudge

    @classmethod
    def of(cls, found: _Issues, sample: Sample, seed: int) -> _Beyond | None:
        """Learn from the sample; None where it teaches nothing."""
        return None if found.judge is None else cls(sample.draws[-1][0], seed, found.classes, found.judge())

    def asks(self, row_id: str, label: str) -> bool:
        """Whether a row is outside, and its label is one of those that can be told."""
        return label in self.classes and draw(row_id, self.seed) > self.drawn


@dataclass(frozen=True)
class _Labelled:
    """Sampled rows with their labels."""

    ids: Sequence[str]
    labels: Sequence[str]
    x: Float[np.ndarray, "n d"]
    texts: Sequence[str]

    @classmethod
    def of(cls, sample: Sample, n: int) -> _Labelled:
        labels, vectors, texts = zip(*sample.values[:n], strict=True) if n else ((), (), ())
        return cls(sample.ids[:n], labels, np.stack(vectors) if n else np.empty((0, 1)), texts)

    @property
    def classes(self) -> Int[np.ndarray, " n"]:
        """Number of each row's class."""
        return np.unique(np.array(self.labels), return_inverse=True)[1]

    def issues(self, seed: int) -> _Issues:
        """Tell which labels are likely to be wrong; those too rare to tell are good."""
        wrong, quality = np.zeros(len(self.ids), dtype=bool), np.ones(len(self.ids))
        often = np.flatnonzero(np.bincount(self.classes)[self.classes] >= _FOLDS)
        names, classes = np.unique(np.array(self.labels)[often], return_inverse=True)
        if len(names) < 2:
            return _Issues(wrong, quality, {}, None)
        x = self.x[often].astype(np.float64)
        p = out_of_sample(x, classes, n_folds=_FOLDS, seed=seed)
        wrong[often], quality[often] = label_issues(classes, p)
        known = {str(name): k for k, name in enumerate(names)}
        return _Issues(wrong, quality, known, lambda: LabelJudge.of(x, classes, p, wrong[often]))

    def conflicts(self) -> dict[str, str]:
        """Return the rows that repeat an earlier one of another label, and that one."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        of, _ = repeats_of_earlier(self.x[order], _ALIKE)
        pairs = [(order[i], order[int(of[i])]) for i in np.flatnonzero(of >= 0).tolist()]
        return {self.ids[i]: self.ids[j] for i, j in pairs if self.labels[i] != self.labels[j]}

    def by_length(self) -> tuple[float, str]:
        """Return what ten bins of the number of signs tell."""
        lengths = np.array([len(text) for text in self.texts])
        bins = np.searchsorted(np.quantile(lengths, np.arange(1, _BINS) / _BINS), lengths, side="right")
        return uncertainty(_table(bins, self.classes)), "Length"

    def by_word(self) -> tuple[float, str]:
        """Return what the word that tells most tells, being there or not."""
        held: dict[str, list[int]] = {}
        for i, text in enumerate(self.texts):
            for word in set(words_of(normalise(text))[:_MOST_WORDS]):
                held.setdefault(word, []).append(i)
        classes, n = self.classes, len(self.texts)
        totals, best, told = np.bincount(classes), 0.0, ""
        for word, rows in sorted(held.items()):
            if _COMMON * n <= len(rows) <= (1 - _COMMON) * n:
                there = np.bincount(classes[rows], minlength=len(totals))
                if (tells := uncertainty(np.stack([there, totals - there]))) > best:
                    best, told = tells, word
        return best, f"The word {told!r}" if told else "No word"


def _table(bins: Int[np.ndarray, " n"], classes: Int[np.ndarray, " n"]) -> Int[np.ndarray, "B K"]:
    counts = np.zeros((int(bins.max()) + 1, int(classes.max()) + 1), dtype=np.int64)
    np.add.at(counts, (bins, classes), 1)
    return counts
