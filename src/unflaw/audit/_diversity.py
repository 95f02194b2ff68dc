"""Do synthetic rows say the same things over and over, in their words or in what they mean?

Each statistic depends on how many rows there are and how long, so it is compared at equal size: half of the sampled
rows of either set, as many of each, made comparable (`_comparable.py`).

This is done ten times. The spread of a statistic over random halves is its standard error on all of them (delete-half
jackknife: Shao & Wu 1989, "A General Theory for Jackknife Variance Estimation"), and resampling with replacement would
not do: a row drawn twice is itself a lack of diversity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.audit._comparable import Drawn, RowSample, Tagger, comparable, tagged
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._moulds import PATTERN, mould_rate, moulds_of, standing
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.audit._similarity import similarity_finding
from unflaw.audit._stock import RUN, holding, stock_phrases
from unflaw.audit._template import above
from unflaw.data import NO_VERDICT, Finding, Plot, Series, mask
from unflaw.measure import (
    chamfer,
    compression_ratio,
    distinct,
    nearest_distance,
    normalise,
    remote_clique,
    rouge_l,
    self_bleu,
    self_repetition,
    vendi_score,
    word_classes,
    words_of,
)

__all__ = ["DiversityCheck"]

MIN_ROWS = 50
"""Below, a half holds fewer than 25 rows, and hardly two of them are alike whatever the set."""
_LEAST_ROWS = 4
_CROWDED = 0.95
"""Rows with less room than this share of the real ones get a score."""
_N_PHRASES = 200
"""Stock phrases by which rows are scored."""
_NONE = 1e-6
"""Diversity of real rows below which there is none to lose: distances of equal rows are off by rounding."""
PHRASES = Rule(0.05, 0.2)
"""Share of rows with a stock phrase; between halves of real rows it is 0 to 2 %."""


@dataclass(frozen=True)
class Measure:
    """One way to see diversity."""

    of: Callable[[Drawn], float]
    better: str
    warn: float
    """Diversity lost at which to warn: where higher is better 1 - value / control, else value - control."""
    fail: float
    title: str
    unit: str
    meaning: str
    """With a place for the value."""
    beside: str
    """What follows where there is a control, with a place for it."""
    by_words: bool = True
    """Whether it reads the words, not the embeddings."""

    def lost(self, value: Any, control: Any) -> Any:
        """Return how much diversity is lost against the control."""
        if self.better == "lower":
            return value - control
        return np.where(control > _NONE, 1 - value / np.maximum(control, _NONE), 0.0)[()]


def _homogenisation(drawn: Drawn) -> float:
    pairs = rouge_l(drawn.words)
    return float((pairs.sum() - np.trace(pairs)) / (len(pairs) * (len(pairs) - 1)))


MEASURES: Mapping[str, Measure] = {
    "distinct": Measure(
        lambda d: float(np.mean([distinct(d.words, k) for k in range(1, 5)])), "higher", 0.07, 0.2,
        "Different runs of one to four words", "share of all runs, mean of distinct-1 to distinct-4",
        "{value:.0%} of the runs of words are different ones", ", in real rows {control:.0%}",
    ),
    "compression": Measure(
        lambda d: compression_ratio(d.texts), "lower", 0.25, 0.8,
        "Rows compress well, since they repeat each other", "times smaller by gzip",
        "Compressed, the rows are {value:.2f} times smaller", ", real rows {control:.2f} times",
    ),
    "self_repetition": Measure(
        lambda d: float(self_repetition(d.words, RUN).mean()), "lower", 0.3, 1.0,
        "Runs of four words come back in other rows", "log(1 + rows a run comes back in, added up), mean over rows",
        "The typical row shares {value:.2f} (log) runs of four words with others", ", a real row {control:.2f}",
    ),
    "self_bleu": Measure(
        lambda d: float(self_bleu(d.words).mean()), "lower", 0.07, 0.2,
        "Rows are put together from each other's words", "BLEU-4 against all other rows, mean",
        "Taken as a translation with the other rows for references, a row has a BLEU of {value:.2f}",
        ", a real row {control:.2f}",
    ),
    "homogenisation": Measure(
        _homogenisation, "lower", 0.04, 0.12,
        "Any two rows share their words in the same order", "ROUGE-L F1, mean over pairs",
        "Two rows share {value:.0%} of their words in the same order", ", two real rows {control:.0%}",
    ),
    "template_rate": Measure(
        mould_rate, "lower", 0.05, 0.2, "Rows are cast in the same moulds",
        "share of rows with a run of eight kinds of words that stands in 1 % of them",
        "{value:.0%} of the rows hold a run of eight kinds of words that comes back", ", of real rows {control:.0%}",
    ),
    "vendi": Measure(
        lambda d: vendi_score(d.x), "higher", 0.15, 0.4,
        "Rows that would be as diverse if they had nothing in common", "Vendi score",
        "The rows are as diverse as {value:.0f} without anything in common", ", as many real rows as {control:.0f}",
        by_words=False,
    ),
    "remote_clique": Measure(
        lambda d: remote_clique(d.x), "higher", 0.05, 0.15,
        "Distance between two rows", "cosine distance, mean over pairs (Remote Clique)",
        "Two rows lie {value:.2f} apart", ", two real rows {control:.2f}", by_words=False,
    ),
    "chamfer": Measure(
        lambda d: chamfer(d.x), "higher", 0.15, 0.35,
        "Distance of a row to the nearest other", "cosine distance, mean over rows (Chamfer)",
        "A row lies {value:.2f} from the nearest other", ", a real row {control:.2f}", by_words=False,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DiversityCheck:
    """Nine measures of diversity, each against as many real rows, as long; and stock phrases.

    Without real rows the measures are told and have no verdict.
    """

    max_rows: int = 1000
    """Rows of each set that enter the statistics."""
    max_words: int = 1000
    """Words of a row that are looked at; what follows is left out."""
    n_draws: int = 10
    allow_few: bool = False
    seed: int = 0
    tagger: Tagger | None = field(default=None, metadata={"setting": False})
    """Tells kinds of words, e.g. `unflaw.models.pattern_tagger()`; without one their endings do."""

    name: ClassVar[str] = "diversity"
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings", "text"})

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` must be at least {least}, got {getattr(self, name)}"
            for name, least in (("max_rows", MIN_ROWS), ("max_words", RUN), ("n_draws", 3))
            if getattr(self, name) < least
        ]
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep words and vector of the sampled rows."""
        if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
        vectors, texts = batch.embeddings, batch.texts

        def kept(i: int) -> tuple[str, Float[np.ndarray, " d"]]:
            return " ".join(self._words(texts[i])), vectors[i].copy()

        return bottom_k(batch.ids, kept, self.max_rows, self.seed, batch.n_set)

    def _words(self, text: str) -> list[str]:
        """Return the first words of a text; of keys and addresses, which a finding may quote, the kind."""
        return words_of(normalise(mask(text)))[: self.max_words]

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(
        self,
        synthetic: Sample,
        reference: Sample | None,
        control: tuple[Sample, Sample] | None,
        holdout: None = None,
    ) -> list[Finding]:
        """Measure halves of both samples, of equal size."""
        samples = [synthetic, *([] if reference is None else [reference])]
        if reference is None and synthetic.n_rows < self._least:
            return []  # what has no verdict needs no excuse
        self._refuse_few(samples)
        n = min(len(sample.draws) for sample in samples)
        rng = np.random.default_rng(self.seed)
        sets = [RowSample.of(sample, n, self.tagger or word_classes) for sample in samples]
        values: dict[str, list[list[float]]] = {name: [] for name in MEASURES}
        matched = True
        for _ in range(self.n_draws):
            drawn = [s.longest_first(rng.permutation(n)[: n // 2].tolist()) for s in sets]
            halves = comparable(drawn[0], drawn[-1])[: len(sets)]  # a set alone is as long as itself
            matched = matched and halves[0].matched
            for name, measure in MEASURES.items():
                values[name].append([measure.of(half) for half in halves])
        found = {name: self._finding(name, np.array(v), synthetic.n_rows, n, matched) for name, v in values.items()}
        if reference is None or control is None:
            return list(found.values())
        found["distinct"] = replace(found["distinct"], plots=[_picture(list(found.values()))])
        mine, real = sets
        if found["chamfer"].verdict != "ok":
            found["chamfer"] = _with(found["chamfer"], _room=_Room.of(synthetic.ids[:n], mine.x, real.x))
        if found["template_rate"].verdict != "ok":
            moulds = moulds_of(mine, real)
            found["template_rate"] = _with(found["template_rate"], templates=moulds.shown, _moulds=moulds)
        similarity = similarity_finding(
            mine.x, real.x, self.n_draws, self.seed, _interval, self._settings(synthetic.n_rows)
        )
        return [*found.values(), similarity, self._stock(synthetic, reference, control)]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row the share of its words in stock phrases and in moulds, and say where rows have little room."""
        known = {f.check: f.evidence for f in findings}
        if "diversity.phrases" not in known:  # there were no real rows, so nothing speaks against any
            return {}
        scores: dict[str, dict[str, RowScore]] = {}
        if (room := known["diversity.chamfer"].get("_room")) is not None and batch.embeddings is not None:
            scores["diversity.chamfer"] = {
                row_id: RowScore(share, f"nearer to another row than {share:.0%} of the real ones are")
                for row_id, share in zip(batch.ids, room.lacking(batch), strict=True)
                if share >= _CROWDED
            }
        moulds = known["diversity.template_rate"].get("_moulds")
        if not (known["diversity.phrases"]["phrases"] or moulds):
            return scores
        texts = [self._words(text) for text in batch.texts]
        if moulds is not None and moulds.patterns:
            tags = [tagged(self.tagger or word_classes, words) for words in texts]
            cast = (standing(*row, moulds.patterns, PATTERN) for row in zip(texts, tags, strict=True))
            scores["diversity.template_rate"] = {
                row_id: RowScore(share, f"casts {run!r} in a mould of others")
                for row_id, (share, run) in zip(batch.ids, cast, strict=True)
                if share
            }
        stock = {phrase["phrase"] for phrase in known["diversity.phrases"]["phrases"]}
        tells = next(f.verdict != "ok" for f in findings if f.check == "diversity.phrases")
        said = (standing(words, words, stock, RUN) for words in texts)
        scores["diversity.phrases"] = {
            row_id: RowScore(share, f"says {run!r}, a stock phrase" if tells else "")
            for row_id, (share, run) in zip(batch.ids, said, strict=True)
            if share
        }
        return scores

    def _settings(self, n_rows: int) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("setting", True)}
        return {**plain, "tagger": "endings" if self.tagger is None else "given", "n_rows_seen": n_rows}

    @property
    def _least(self) -> int:
        return _LEAST_ROWS if self.allow_few else MIN_ROWS

    def _refuse_few(self, samples: Sequence[Sample]) -> None:
        sizes = [sample.n_rows for sample in samples]
        least = self._least
        if min(sizes) < least:
            hint = "" if self.allow_few else ", or set `allow_few` to see them all the same"
            raise TooFewRowsError(
                f"`diversity` needs at least {least} rows of each set, got {sizes[0]} synthetic and {sizes[1]} real: "
                f"its values would be noise. Pass more rows, leave the check out{hint}"
            )

    def _finding(self, name: str, values: Float[np.ndarray, "draws k"], n_rows: int, n: int, matched: bool) -> Finding:
        """Return what one measure found in draws from the set, and from real rows where there are any."""
        measure = MEASURES[name]
        value, low, high = _interval(values[:, 0])
        found = Finding(
            check=f"diversity.{name}",
            title=measure.title,
            value=value,
            low=low,
            high=high,
            better="higher" if measure.better == "higher" else "lower",
            verdict="ok",
            threshold=f"{NO_VERDICT}there are no real rows to compare with",
            meaning=f"{measure.meaning.format(value=value)}.",
            unit=measure.unit,
            n_rows=n,
            evidence={"rows_a_draw": n // 2},
            settings=self._settings(n_rows),
        )
        if values.shape[1] < 2:
            return found
        control, control_low, control_high = _interval(values[:, 1])
        lost, least, most = _interval(np.array([measure.lost(*pair) for pair in values]))
        comparable = measure.by_words or matched
        rule = "{:.0%} and {:.0%} below" if measure.better == "higher" else "{:g} and {:g} above"
        rule = f"warn and fail from {rule.format(measure.warn, measure.fail)} the control, when clear of it"
        return replace(
            found,
            verdict=above(lost, measure.warn, measure.fail) if comparable and least > 0 else "ok",
            threshold=rule if comparable else f"{NO_VERDICT}too few rows are about as long as real ones",
            meaning=f"{(measure.meaning + measure.beside).format(value=value, control=control)}.",
            control=control,
            control_low=control_low,
            control_high=control_high,
            n_reference=n,
            evidence={**found.evidence, "lost": [lost, least, most]},
        )

    def _stock(self, synthetic: Sample, reference: Sample, control: tuple[Sample, Sample]) -> Finding:
        """Find what the rows say in the same words again and again, and real rows do not."""
        texts, others, *halves = ([words.split() for words, _ in s.values] for s in (synthetic, reference, *control))
        halves[0] = halves[0][: len(texts)]  # of fewer rows chance makes more phrases
        phrases, by_chance = stock_phrases(texts, others), stock_phrases(*halves)
        mine, usual = Share(holding(texts, phrases), len(texts)), Share(holding(halves[0], by_chance), len(halves[0]))
        named = ", ".join(repr(run) for run in list(phrases)[:4])
        told = [
            {"phrase": run, "share": here / len(texts), "reference_share": there / len(others)}
            for run, (here, there) in list(phrases.items())[:_N_PHRASES]
        ]
        return share_finding(
            "diversity.phrases", "Rows hold stock phrases", mine, usual, PHRASES,
            f"say what others say in the same four words, and real rows do not{f': {named}' if named else ''}",
            n_reference=len(others), evidence={"phrases": told},
            settings=self._settings(synthetic.n_rows),
        )  # fmt: skip


def _interval(values: Float[np.ndarray, " draws"]) -> tuple[float, float, float]:
    """Return mean and 95 % interval of a statistic from its values on random halves."""
    from scipy.stats import t

    mean, error = float(values.mean()), float(values.std(ddof=1) * t.ppf(0.975, len(values) - 1))
    return mean, mean - error, mean + error


@dataclass(frozen=True)
class _Room:
    """How much room real rows have, and sampled rows that may take it from others."""

    at: Mapping[str, int]
    """Place of each sampled row."""
    x: Float[np.ndarray, "n d"]
    usual: Float[np.ndarray, " m"]
    """Distances of real rows to their nearest, in order."""

    @classmethod
    def of(cls, ids: Sequence[str], x: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]) -> _Room:
        """Look at as many rows of both sets."""
        return cls({row_id: i for i, row_id in enumerate(ids)}, x, np.sort(nearest_distance(real)))

    def lacking(self, batch: Batch) -> list[float]:
        """Return per row the share of real rows that have more room: their nearest neighbour is further away."""
        similarity = np.asarray(batch.embeddings, dtype=np.float64) @ self.x.T
        known = [(i, self.at[row_id]) for i, row_id in enumerate(batch.ids) if row_id in self.at]
        if known:  # a row does not take the room from itself
            similarity[tuple(np.array(known).T)] = -np.inf
        nearest = 1 - similarity.max(axis=1)
        shares: list[float] = (1 - np.searchsorted(self.usual, nearest, side="right") / len(self.usual)).tolist()
        return shares


def _with(finding: Finding, **evidence: Any) -> Finding:
    return replace(finding, evidence={**finding.evidence, **evidence})


def _picture(findings: Sequence[Finding]) -> Plot:
    """Draw how much of the real rows' diversity is there."""
    ratios = [_kept(f) for f in findings]
    series = Series("share of real rows' diversity", [f.check.partition(".")[2] for f in findings], ratios)
    worst = min(findings, key=_kept)
    return Plot(
        "bars",
        "Diversity beside as many real rows, as long",
        "measure",
        "share of the diversity of real rows",
        [series],
        f"Bars: 1 is as diverse as real rows. Least is {worst.check.partition('.')[2]} with {_kept(worst):.2f}.",
    )


def _kept(finding: Finding) -> float:
    """Return value over control, or where lower is better control over value."""
    pair = (finding.value, finding.control or 0.0)
    part, whole = pair if finding.better == "higher" else pair[::-1]
    return round(part / whole, 3) if whole else 1.0
