"""The nouns every verb speaks: findings, selections and scores. Frozen, self-describing, JSON-ready."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from unflaw._errors import SettingsError

__all__ = [
    "NO_VERDICT", "Finding", "Plot", "Rejection", "Score", "Selection", "Series", "Verdict", "from_json", "to_json",
]  # fmt: skip

Verdict = Literal["ok", "warn", "fail"]
NO_VERDICT = "no verdict: "
"""Begins the `threshold` of a finding that only describes; why follows."""


@dataclass(frozen=True)
class Series:
    """One named curve, cloud or set of bars of a plot."""

    name: str
    """What the legend says, e.g. "synthetic", "real"."""
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float] = ()
    """Lower end of an interval around each y; empty when there is none."""
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Plot:
    """A picture as data: the report draws it, a test can read it."""

    kind: Literal["scatter", "line", "density", "bars"]
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    alt: str
    """What the picture shows, in a sentence, for a reader who cannot see it."""


@dataclass(frozen=True)
class Finding:
    """One audit answer: a value, its interval, what it means, and what "no flaw" looks like."""

    check: str
    """Dotted id of the check and the statistic, e.g. "gap.c2st_auc". Unique within an audit."""
    title: str
    """Plain words, e.g. "A classifier tells synthetic from real"."""
    value: float
    low: float | None
    """Lower end of the 95 % interval, None where there is none."""
    high: float | None
    better: Literal["lower", "higher"]
    """Which way is less flawed."""
    verdict: Verdict
    threshold: str
    """The rule that gave the verdict, in words with numbers, e.g. "warn from 0.7, fail from 0.9"; `NO_VERDICT` and why
    where there is none."""
    meaning: str
    """One sentence for the user: what this value says about their data."""
    control: float | None = None
    """The same statistic on a real-vs-real split: what "no flaw" looks like."""
    control_low: float | None = None
    control_high: float | None = None
    unit: str = ""
    n_rows: int = 0
    """Synthetic rows that entered the statistic."""
    n_reference: int = 0
    row_scores: Mapping[str, float] = field(default_factory=dict)
    """Row id → score, higher is more flawed, of the worst rows; all scores are in the audit's table. May be empty."""
    row_reasons: Mapping[str, str] = field(default_factory=dict)
    """Row id → why, for the worst rows at least."""
    n_scored: int = 0
    """Rows that have a score."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON-ready details other verbs may read, e.g. {"structural_tokens": [...]}. What begins with an underscore is
    for this process alone and is not written."""
    plots: Sequence[Plot] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = []
        if self.verdict not in ("ok", "warn", "fail"):
            problems.append(f"`verdict` must be ok, warn or fail, got {self.verdict!r}")
        if self.low is not None and self.high is not None and self.low > self.high:
            problems.append(f"`low` must not exceed `high`, got low={self.low}, high={self.high}")
        if math.isnan(self.value):
            problems.append(f"`value` of finding {self.check!r} must be a number, got nan")
        if problems:
            raise SettingsError(problems)

    @property
    def judges(self) -> bool:
        """Whether there is a verdict: what only describes the rows is ok without one."""
        return not self.threshold.startswith(NO_VERDICT)


@dataclass(frozen=True)
class Selection:
    """Which rows stay and which go, with one reason and one score for each that goes."""

    kept: Sequence[str]
    """Ids of rows that stay."""
    removed: Sequence[str]
    reasons: Mapping[str, str]
    """Row id → reason, one for every removed id."""
    scores: Mapping[str, float]
    """Row id → score that condemned it, one for every removed id."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        both = set(self.kept) & set(self.removed)
        bare = set(self.removed) - set(self.reasons)
        problems = []
        if both:
            problems.append(f"an id cannot be kept and removed, got {sorted(both)[:3]} in both")
        if bare:
            problems.append(f"every removed id needs a reason, none for {sorted(bare)[:3]}")
        if problems:
            raise SettingsError(problems)


@dataclass(frozen=True)
class Score:
    """A benchmark result with per-item outcomes, so that two models compare paired."""

    benchmark: str
    """E.g. "instructions.soft", "qa.exact_match", "text.log_perplexity"."""
    model: str
    """Spec or name of the model that was measured."""
    value: float
    low: float
    """Lower end of the 95 % bootstrap interval over items."""
    high: float
    n: int
    """Number of items."""
    better: Literal["lower", "higher"] = "higher"
    unit: str = ""
    seed: int = 0
    items: Mapping[str, float] = field(default_factory=dict)
    """Item id → outcome; `value` is derived from these alone. Of macro-F1 it is the cell of the confusion table."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Item id → what the model wrote. May be empty."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.items and len(self.items) != self.n:
            raise SettingsError(f"`n` must equal the number of items, got n={self.n} and {len(self.items)} items")


@dataclass(frozen=True)
class Rejection:
    """A line of a file that became no row. Nothing is dropped without one."""

    line: int
    """Counted from 1: the line of a text file, the row of a binary one."""
    reason: str
    """Kind and detail, parted by a colon, e.g. "no response: `answer` is empty"."""
    excerpt: str
    """The beginning of the line, at most 2,000 characters: the usual line whole."""

    @property
    def kind(self) -> str:
        """The reason without its detail: what rejections are counted by."""
        return self.reason.split(":", 1)[0]


def to_json(noun: Finding | Rejection | Selection | Score | Plot | Series) -> dict[str, Any]:
    """Return a JSON-ready dict; `from_json` gives the noun back."""
    written = {f.name: getattr(noun, f.name) for f in fields(noun)}
    if isinstance(noun, Finding):
        written["evidence"] = {k: v for k, v in noun.evidence.items() if not k.startswith("_")}
    return {name: _plain(value) for name, value in written.items()}


def from_json(kind: type[Any], record: Mapping[str, Any]) -> Any:
    """Rebuild a `Finding`, `Selection` or `Score` from `to_json`'s dict."""
    values = dict(record)
    if kind is Finding:
        values["plots"] = tuple(
            Plot(**{**p, "series": tuple(Series(**s) for s in p["series"])}) for p in values.get("plots", ())
        )
    return kind(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, (Plot, Series)):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a numpy scalar
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    return value
