"""Is this a task of opinion, and do synthetic rows judge as much as real ones do?
Where a column `annotations` lists the labels that several people gave a row: do they agree (`subjectivity.agreement`)?

The more a task rests on opinion, the more a classifier loses that learns it from text of a language model instead of
people's; within a task, the more the rows on which people agree little (Li et al. 2023, arXiv 2310.07849). So a task of
opinion is worth a warning, which is about the kind of task and accuses no row.

Rows are told by the words that judge and by a trained score (`_trained.py`). Only English prose counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import DataError, SettingsError
from unflaw.audit._agreement import agreement_finding, agreement_scores
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.audit._trained import trained
from unflaw.data import NO_VERDICT, Finding, annotations_of, annotators_of
from unflaw.measure import difference_within, tone

__all__ = ["SubjectivityCheck"]

LEAST_ROWS = 20
TASK_SCORE, TASK_WORDS = 0.5, 0.055
"""Mean score and mean share of judging words from which on, both reached, rows are of a task of opinion."""
SHIFT = 0.5
"""Standard deviations of the real rows, as in `perplexity.shift`."""
LEAST_ALIKE = 0.25
"""Share of rows that must have real ones about as long."""
_OPINION = (
    "a task of opinion. On those, classifiers that learnt from a large model's text fell furthest behind those that "
    "learnt from people's (arXiv 2310.07849); with a writer of 135 M parameters they did not, so hold yours beside one "
    "of real rows. This is about the kind of task and accuses no row"
)
_Z = 1.96
_QUANTILES = np.linspace(0, 1, 101)

Values = Float[np.ndarray, " _"]
"""One number per row of prose."""


class Told(NamedTuple):
    """What is kept of a set's rows."""

    n_rows: int
    prose: Sample
    """(words, share of them that judge, score) of the sampled rows of prose; the score is nan where there is none."""
    annotated: Sample
    """Labels that people gave, of the sampled rows that have any."""
    panel: frozenset[str] = frozenset()
    """Models that gave those labels, where people did not."""

    def column(self, at: int) -> Values:
        """Return words, shares or scores."""
        return np.array([value[at] for value in self.prose.values], dtype=np.float64)


class Look(NamedTuple):
    """One way to tell how much rows judge, and what it says of the set, the real rows and their halves."""

    name: str
    mine: Values
    real: Values | None
    halves: Sequence[Values]
    lengths: Sequence[Values]
    """Words of the rows of each of these."""


@dataclass(frozen=True, kw_only=True)
class SubjectivityCheck:
    """Words that judge, a trained score, agreement of annotators, and a warning where the task is one of opinion."""

    max_rows: int = 10_000
    """Rows of each set that enter the statistics."""
    seed: int = 0

    name: ClassVar[str] = "subjectivity"
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings", "text"})

    def __post_init__(self) -> None:
        if self.max_rows < LEAST_ROWS:
            raise SettingsError(f"`max_rows` must be at least {LEAST_ROWS}, got {self.max_rows}")

    def summarise(self, batch: Batch) -> Told:
        """Tell each row of prose."""
        at, n_words, share, score = _told(batch)
        ids, labels = batch.ids, annotations_of(batch.rows)
        given = [i for i, row in enumerate(labels) if row]
        return Told(
            len(ids),
            bottom_k(
                [ids[i] for i in at], lambda i: (n_words[i], float(share[i]), float(score[i])), self.max_rows, self.seed
            ),
            bottom_k([ids[i] for i in given], lambda i: labels[given[i]], self.max_rows, self.seed),
            annotators_of(batch.rows),
        )

    def merge(self, a: Told, b: Told) -> Told:
        """Sample both."""
        return Told(
            a.n_rows + b.n_rows, merge_samples(a.prose, b.prose), merge_samples(a.annotated, b.annotated),
            a.panel | b.panel,
        )  # fmt: skip

    def conclude(
        self, synthetic: Told, reference: Told | None, control: tuple[Told, Told] | None, holdout: None = None
    ) -> list[Finding]:
        """Describe the rows, warn of the task, and compare with real rows."""
        looks = _looks(synthetic, reference, control)
        found = [_described(look, synthetic, len(looks) > 1) for look in looks]
        if looks:
            found.append(_task(looks))
            found += [_shift(looks[-1])] if looks[-1].real is not None else []
        agreed = agreement_finding(
            synthetic.annotated,
            None if reference is None else reference.annotated,
            None if control is None else control[0].annotated,
            self.seed,
            synthetic.panel,
            frozenset() if reference is None else reference.panel,
        )
        settings = {**asdict(self), "n_rows_seen": synthetic.n_rows}
        return [replace(f, settings=settings) for f in [*found, *([] if agreed is None else [agreed])]]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row of prose its score, or without one the share of its words that judge.

        Where rows judge otherwise than real ones, each also gets how far it lies among those; an annotated row, how far
        people disagree about it.
        """
        by_check = {f.check: f for f in findings}
        scores: dict[str, dict[str, RowScore]] = {}
        shown = next((c for c in ("subjectivity.score", "subjectivity.lexicon") if c in by_check), None)
        if shown is not None:
            at, _, share, score = _told(batch)
            told = [(batch.ids[i], v) for i, v in zip(at, score if shown.endswith("score") else share, strict=True)]
            scores[shown] = {row_id: RowScore(float(v)) for row_id, v in told}
            shift = by_check.get("subjectivity.shift")
            if shift is not None and shift.verdict != "ok":
                scores[shift.check] = {row_id: _beyond(float(v), shift) for row_id, v in told}
        if "subjectivity.agreement" in by_check:
            scores["subjectivity.agreement"] = agreement_scores(batch, by_check["subjectivity.agreement"])
        return scores


def _told(batch: Batch) -> tuple[list[int], list[int], Values, Values]:
    """Return the places of the rows of prose, their words, the shares of those that judge, and scores, nan for none."""
    if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
        raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
    tones = [tone(text) for text in batch.texts]
    at = [i for i, of in enumerate(tones) if of.is_prose]
    n_words, share = [tones[i].n_words for i in at], np.array([tones[i].share for i in at], dtype=np.float64)
    if not at or not trained().fits(batch):
        return at, n_words, share, np.full(len(at), np.nan)
    return at, n_words, share, trained().probability(batch.embeddings[at].astype(np.float64), share)


def _looks(synthetic: Told, reference: Told | None, control: tuple[Told, Told] | None) -> list[Look]:
    """Return the words that judge, and the trained score where every set has it; nothing of too few rows."""
    sets = [synthetic, *([] if reference is None else [reference]), *(control or ())]
    sizes = [len(told.prose.draws) for told in sets]
    if min(sizes[:2]) < LEAST_ROWS or min(sizes) < 2:
        return []
    looks, lengths = [], [told.column(0) for told in sets]
    for name, at in (("lexicon", 1), ("score", 2)):
        values = [told.column(at) for told in sets]
        if not any(np.isnan(v).any() for v in values):
            looks.append(Look(name, values[0], values[1] if len(values) > 1 else None, values[2:], lengths))
    return looks


def _described(look: Look, synthetic: Told, scored: bool) -> Finding:
    """Say how much rows judge; no verdict."""
    words = look.name == "lexicon"
    own, usual = _mean(look.mine), None if look.real is None else _mean(look.real)
    said = "{:.1%}" if words else "{:.2f}"
    beside = "" if usual is None else f", in real rows {said.format(usual[0])}"
    left = synthetic.n_rows - synthetic.prose.n_rows
    aside = f"; {left:,} of {synthetic.n_rows:,} rows are no English prose and left out" if left else ""
    without = "" if scored else "; there is no trained score, which is for vectors of `potion` alone"
    what = "of a row's words judge" if words else "is how likely a row is to judge rather than report"
    return Finding(
        check=f"subjectivity.{look.name}",
        title="Words that judge" if words else "How likely rows are to judge, not to report",
        value=own[0],
        low=own[1],
        high=own[2],
        better="lower",
        verdict="ok",
        threshold=f"{NO_VERDICT}it describes",
        meaning=f"{said.format(own[0])} {what}{beside}{aside}{without}.",
        **_controlled(usual),
        unit=_unit(look),
        n_rows=len(look.mine),
        n_reference=0 if look.real is None else len(look.real),
        evidence={"rows_seen": synthetic.n_rows, "rows_of_prose": synthetic.prose.n_rows},
    )


def _task(looks: Sequence[Look]) -> Finding:
    """Warn of a task of opinion: of the real rows, or without any of the set's own."""
    of = {look.name: look.mine if look.real is None else look.real for look in looks}
    opinion = of["lexicon"].mean() >= TASK_WORDS and ("score" not in of or of["score"].mean() >= TASK_SCORE)
    main = looks[-1]
    value, low, high = _mean(of[main.name])
    whose = "The rows" if main.real is None else "Real rows"
    words = f"{whose} hold {of['lexicon'].mean():.1%} words that judge"
    scored = f" and score {of['score'].mean():.2f}" if "score" in of else ""
    return Finding(
        check="subjectivity.task",
        title="The task is one of opinion",
        value=value,
        low=low,
        high=high,
        better="lower",
        verdict="warn" if opinion else "ok",
        threshold=f"warn where {TASK_WORDS:.1%} of the words judge and the score is {TASK_SCORE} or more; never fails",
        meaning=f"{words}{scored}: {_OPINION if opinion else 'no task of opinion'}.",
        **_controlled(_mean(main.halves[0]) if main.halves else None),
        unit=_unit(main),
        n_rows=len(main.mine),
        n_reference=0 if main.real is None else len(main.real),
        evidence={"words": float(of["lexicon"].mean())},
    )


def _shift(look: Look) -> Finding:
    """Compare with real rows about as long, in standard deviations of the real rows."""
    real = look.mine if look.real is None else look.real
    unit = float(real.std(ddof=1)) or float(np.concatenate([look.mine, real]).std()) or 1.0
    classes = [_class_of(words) for words in look.lengths]
    *apart, alike = difference_within(look.mine, classes[0], real, classes[1])
    d, low, high = (v / unit for v in apart) if alike >= LEAST_ALIKE else (0.0, None, None)
    control = [v / unit for v in difference_within(look.halves[0], classes[2], look.halves[1], classes[3])[:3]]
    clear = low is not None and high is not None and low * high > 0 and min(abs(low), abs(high)) > abs(control[0])
    way = "less" if d < 0 else "more"
    rule = f"warn from {SHIFT} either way, when clear of the control; never fails"
    return Finding(
        check="subjectivity.shift",
        title="Rows judge more or less than real ones",
        value=d,
        low=low,
        high=high,
        better="higher" if d < 0 else "lower",
        verdict="warn" if clear and abs(d) >= SHIFT else "ok",
        threshold=rule if low is not None else f"{NO_VERDICT}too few rows are about as long as real ones",
        meaning=f"Rows judge {way} than real ones about as long, by {abs(d):.2f} standard deviations of those.",
        **({} if math.isnan(control[0]) else _controlled((control[0], control[1], control[2]))),
        unit="standard deviations of the real rows",
        n_rows=len(look.mine),
        n_reference=len(real),
        evidence={"by": look.name, "reference_quantiles": np.quantile(real, _QUANTILES).tolist()},
    )


def _class_of(n_words: Values) -> Int[np.ndarray, " _"]:
    """Sort rows by length, each class one and a half times as long as the one before."""
    return np.floor(np.log(n_words) / math.log(1.5)).astype(np.int64)


def _controlled(control: tuple[float, float, float] | None) -> dict[str, Any]:
    return {} if control is None else dict(zip(("control", "control_low", "control_high"), control, strict=True))


def _unit(look: Look) -> str:
    return "share of words, mean over rows" if look.name == "lexicon" else "probability, mean over rows"


def _mean(values: Values) -> tuple[float, float, float]:
    """Return the mean of shares and its interval."""
    mean, reach = float(values.mean()), _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, max(mean - reach, 0.0), min(mean + reach, 1.0)


def _beyond(value: float, shift: Finding) -> RowScore:
    """Score a row by the share of real rows that judge more than it, or less where rows judge more."""
    below = float(np.searchsorted(shift.evidence["reference_quantiles"], value)) / len(_QUANTILES)
    score = 1 - below if shift.value < 0 else below
    way = "less" if shift.value < 0 else "more"
    return RowScore(score, f"judges {way} than {score:.0%} of the real rows" if score >= 0.9 else "")
