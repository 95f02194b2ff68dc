"""Labels: are they spread as real ones, which are likely to be wrong, do equal rows disagree, what gives them away?

Shares are of a sample. Rows outside it are asked as well: a classifier fitted on the sample says whether their label is
likely to be wrong, and they conflict with rows of the sample; equal texts under two labels, of all rows, are the
business of `copies`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unflaw._errors import DataError, SettingsError
from unflaw.audit._frame import Batch, RowScore, label_text
from unflaw.audit._sample import Sample, bottom_k, draw, merge_samples
from unflaw.audit._shares import Rule, Share, share_finding, spread_finding
from unflaw.audit._template import above
from unflaw.data import NO_VERDICT, Finding, Verdict
from unflaw.measure import (
    LabelJudge,
    label_issues,
    nearest_original,
    normalise,
    out_of_sample,
    repeats_of_earlier,
    uncertainty,
    words_of,
)

__all__ = ["LabelsCheck"]

MIN_ROWS = 50
MIN_TOLD = 200
"""Rows from which on noise has a verdict: of fewer it is luck how many labels a classifier doubts."""
_UNTOLD = {"verdict": "ok", "threshold": f"{NO_VERDICT}fewer than {MIN_TOLD} rows"}
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

        plain = batch.rows.is_plain

        def value(at: int) -> _Row:
            return _Row(str(labels[kept[at]]), vectors[kept[at]].copy(), texts[kept[at]][:20_000], plain)

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
            if real is None or control is None or len(synthetic.draws) < MIN_ROWS or _n_classes(synthetic) > 1:
                return []
            return [self._balance(synthetic, real, control)]  # one class alone is left
        n = min(len(s.draws) for s in (synthetic, real) if s is not None)
        mine, theirs = _Labelled.of(synthetic, n), None if real is None else _Labelled.of(real, n)
        found = [self._noise(mine, theirs, synthetic)]
        if not synthetic.values[0].plain:  # rows of numbers are near each other, and equal ones `copies` knows
            found.append(self._conflicts(mine, theirs, synthetic))
        found += [self._given_away(name, mine, theirs) for name in ("length", "word")]
        return ([self._balance(synthetic, real, control)] if real is not None and control is not None else []) + found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score the rows outside the sample; of the others the findings say it."""
        outside = {f.check: known for f in findings if (known := f.evidence.get("_outside")) is not None}
        if not outside or batch.embeddings is None:
            return {}
        asked = next(iter(outside.values())).edge.beyond(batch)
        return (
            {check: known.score(batch.ids, batch.embeddings, asked) for check, known in outside.items()}
            if asked
            else {}
        )

    def _balance(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> Finding:
        mine, real, *halves = (Counter(row.label for row in s.values) for s in (synthetic, reference, *control))
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
        suspects = np.flatnonzero(found.wrong).tolist()
        judge = found.judge() if found.judge is not None and sample.n_rows > len(sample.draws) else None
        return share_finding(
            "labels.noise", "Labels that are likely to be wrong", share, usual, NOISE,
            "have a label that what they say speaks against",
            alone=False,  # the labels of people look wrong to a classifier as often as it is bad
            **({} if share.asked >= MIN_TOLD else _UNTOLD),
            row_scores={mine.ids[i]: float(1 - found.quality[i]) for i in suspects},
            row_reasons={mine.ids[i]: _suspect(mine.labels[i]) for i in suspects},
            evidence={"_outside": judge and _Judged(_Edge.of(sample, self.seed), found.classes, judge)},
            settings=asdict(self),
        )  # fmt: skip

    def _conflicts(self, mine: _Labelled, real: _Labelled | None, sample: Sample) -> Finding:
        share = Share(len(mine.conflicts()), len(mine.ids))
        usual = None if real is None else Share(len(real.conflicts()), len(real.ids))
        if len(mine.ids) < len(sample.draws):
            mine = _Labelled.of(sample, len(sample.draws))
        found = mine.conflicts()
        more = sample.n_rows > len(sample.draws)
        return share_finding(
            "labels.conflicts", "Rows that say the same under another label", share, usual, CONFLICT,
            "say what another row says, under another label",
            row_scores=dict.fromkeys(found, 1.0),
            row_reasons={i: _says_again(of) for i, of in found.items()},
            evidence={"_outside": _Originals.of(mine, _Edge.of(sample, self.seed)) if more else None},
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
    return [label_text(label) for label in labels]


def _suspect(label: str) -> str:
    return f"is labelled {label!r}, which other rows speak against"


def _says_again(row_id: str) -> str:
    return f"says what row {row_id} says, under another label"


def _has_classes(sample: Sample) -> bool:
    """Tell whether there are enough labels, and few enough different ones."""
    return len(sample.draws) >= MIN_ROWS and 2 <= _n_classes(sample) <= MOST_CLASSES


def _n_classes(sample: Sample) -> int:
    return len({row.label for row in sample.values})


class _Row(NamedTuple):
    """What is kept of a row."""

    label: str
    x: Float[np.ndarray, " d"]
    text: str
    plain: bool
    """Whether it is a row of a plain table."""


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
class _Edge:
    """Where the sample ends."""

    draw: int
    """The largest in it."""
    seed: int

    @classmethod
    def of(cls, sample: Sample, seed: int) -> _Edge:
        return cls(sample.draws[-1][0], seed)

    def beyond(self, batch: Batch) -> dict[int, str]:
        """Return place and label of the rows outside that have one."""
        labels = enumerate(_labels_of(batch))
        return {i: label for i, label in labels if label is not None and draw(batch.ids[i], self.seed) > self.draw}


@dataclass(frozen=True)
class _Judged:
    """A classifier of the sampled rows, asked of others."""

    edge: _Edge
    classes: Mapping[str, int]
    judge: LabelJudge

    def score(self, ids: Sequence[str], x: Float[np.ndarray, "n d"], asked: Mapping[int, str]) -> dict[str, RowScore]:
        """Score the rows whose label is likely to be wrong, of labels that can be told."""
        known = {i: label for i, label in asked.items() if label in self.classes}
        if not known:
            return {}
        classes = np.array([self.classes[label] for label in known.values()])
        wrong, quality = self.judge.issues(x[list(known)].astype(np.float64), classes)
        told = zip(known.items(), wrong.tolist(), quality.tolist(), strict=True)
        return {ids[i]: RowScore(1 - good, _suspect(label)) for (i, label), suspected, good in told if suspected}


@dataclass(frozen=True)
class _Originals:
    """The sampled rows that say nothing again, for others to be held against."""

    edge: _Edge
    rows: _Labelled

    @classmethod
    def of(cls, sampled: _Labelled, edge: _Edge) -> _Originals:
        first = np.flatnonzero(sampled.again < 0).tolist()
        ids, labels = [sampled.ids[i] for i in first], [sampled.labels[i] for i in first]
        return cls(edge, _Labelled(ids, labels, sampled.x[first], []))

    def score(self, ids: Sequence[str], x: Float[np.ndarray, "n d"], asked: Mapping[int, str]) -> dict[str, RowScore]:
        """Score the rows that say what one of these says, under another label."""
        at, cosine = nearest_original(x[list(asked)], self.rows.x)
        told = zip(asked.items(), at.tolist(), cosine.tolist(), strict=True)
        return {
            ids[i]: RowScore(1.0, _says_again(self.rows.ids[of]))
            for (i, label), of, near in told
            if near >= _ALIKE and label != self.rows.labels[of]
        }


@dataclass(frozen=True)
class _Labelled:
    """Sampled rows with their labels."""

    ids: Sequence[str]
    labels: Sequence[str]
    x: Float[np.ndarray, "n d"]
    texts: Sequence[str]

    @classmethod
    def of(cls, sample: Sample, n: int) -> _Labelled:
        labels, vectors, texts, _ = zip(*sample.values[:n], strict=True) if n else ((), (), (), ())
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
        p = out_of_sample(x, classes, n_folds=_FOLDS, seed=seed, groups=self._groups(often, classes))
        wrong[often], quality[often] = label_issues(classes, p)
        known = {str(name): k for k, name in enumerate(names)}
        return _Issues(wrong, quality, known, lambda: LabelJudge.of(x, classes, p, wrong[often]))

    def _groups(self, rows: Int[np.ndarray, " m"], classes: Int[np.ndarray, " m"]) -> list[tuple[int, int, int]]:
        """Return what text and label each row has: copies know each other's label, and none may vouch for another.

        Rows of a class with too few texts, as in a table of few cells, stand each for itself, or none would be asked.
        """
        said = np.where(self.again < 0, np.arange(len(self.ids)), self.again)[rows]
        texts = Counter(k for _, k in set(zip(said.tolist(), classes.tolist(), strict=True)))
        pairs = zip(said.tolist(), classes.tolist(), strict=True)
        return [(text, k, -1 if texts[k] >= _FOLDS else n) for n, (text, k) in enumerate(pairs)]

    @cached_property
    def again(self) -> Int[np.ndarray, " n"]:
        """Return which row each says again, the first of its group by id; -1 where none."""
        order = np.argsort(np.array(self.ids, dtype=str), kind="stable")
        of, _ = repeats_of_earlier(self.x[order], _ALIKE)
        again = np.full(len(order), -1)
        again[order] = np.where(of >= 0, order[of], -1)
        return again

    def conflicts(self) -> dict[str, str]:
        """Return the rows that say again what one of another label says, and that one."""
        pairs = [(i, j) for i, j in enumerate(self.again.tolist()) if j >= 0]
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
