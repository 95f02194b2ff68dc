"""Grounding: does the passage of a row hold its answer, by its words or by what it means?

`qa.ungrounded` asks for words, and so misses an answer whose words the passage happens to hold, and blames one that
says the same in other words. Here the vector of the answer is held against the passages of other rows, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from unflaw._errors import DataError, SettingsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._qa import ungrounded
from unflaw.audit._said import said_by
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.data import Finding
from unflaw.measure import passages_nearer, text_hash

__all__ = ["GroundingCheck"]

RULE = Rule(0.03, 0.1)
FAR = 0.2
"""Share of other passages to which an answer may be nearer than to its own."""
_LEAST_ROWS, _LEAST_PASSAGES = 20, 10
_FINDINGS = (
    (
        "passage",
        "Answers that lie nearer to other passages than to their own",
        "lie nearer to a fifth of the other passages than to their own",
    ),
    (
        "neither",
        "Answers that their passage holds neither in words nor in meaning",
        "lie that far from their passage, which holds less than half of their words",
    ),
)
"""Name, title, and what its rows do."""


@dataclass(frozen=True, kw_only=True)
class GroundingCheck:
    """Answers that lie nearer to a fifth of the other passages than to their own, by cosine of embeddings.

    A fixed cosine would blame short answers, which lie near nothing; the other passages of the same set are a measure
    that every set brings along. Rows with the same passage do not count against each other. Answers without a word of
    their own (yes, no, what the question says) are not asked.
    """

    max_rows: int = 20_000
    """Rows of each set that are compared."""
    n_others: int = 100
    """Passages each answer is held against."""
    seed: int = 0

    name: ClassVar[str] = "grounding"
    needs: ClassVar[frozenset[str]] = frozenset({"pair_embeddings", "context_embeddings"})

    def __post_init__(self) -> None:
        problems = []
        if self.max_rows < _LEAST_ROWS:
            problems.append(f"`max_rows` must be at least {_LEAST_ROWS}, got {self.max_rows}")
        if self.n_others < _LEAST_PASSAGES - 1:
            problems.append(f"`n_others` must be at least {_LEAST_PASSAGES - 1}, got {self.n_others}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep the vectors of answer and passage of the rows that can be asked, and whether the passage lacks words."""
        if batch.pair_embeddings is None or batch.context_embeddings is None:  # rows of another kind than those audited
            return bottom_k([], [], self.max_rows, self.seed)
        answers, passages = batch.pair_embeddings[1], batch.context_embeddings
        if not (np.isfinite(answers).all() and np.isfinite(passages).all()):
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan or inf")
        rows = said_by(batch)
        lacks = [ungrounded(said) for said in rows]
        asked = [i for i, missing in enumerate(lacks) if missing is not None]
        values = [
            (answers[i].astype(np.float32), passages[i].astype(np.float32), text_hash(rows[i].context), bool(lacks[i]))
            for i in asked
        ]
        return bottom_k([batch.ids[i] for i in asked], values, self.max_rows, self.seed)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(self, synthetic: Sample, reference: Sample | None, control: Any, holdout: Any) -> list[Finding]:
        """Count the answers that lie far from their passage, and those that lack its words as well, in both sets."""
        mine, real = self._far(synthetic), None if reference is None else self._far(reference)
        if mine is None:
            return []
        ids, settings, found = synthetic.ids, {**asdict(self), "n_rows_seen": synthetic.n_rows}, []
        for name, title, meaning in _FINDINGS:
            at, n = np.flatnonzero(mine.blamed(name)).tolist(), len(mine.nearer)
            usual = None if real is None else Share(int(real.blamed(name).sum()), len(real.nearer))
            nearer = {ids[i]: float(mine.nearer[i]) for i in at}
            reasons = {
                i: f"lies nearer to {share:.0%} of other passages than to its own" for i, share in nearer.items()
            }
            found.append(
                share_finding(
                    f"grounding.{name}", title, Share(len(at), n), usual, RULE, meaning,
                    row_scores=nearer, row_reasons=reasons, settings=settings,
                )
            )  # fmt: skip
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Nothing to add: the findings already score the sampled rows."""
        return {}

    def _far(self, rows: Sample) -> _Far | None:
        """Hold the answers against the passages; None of too few rows or passages."""
        numbers: dict[int, int] = {}
        own = np.array([numbers.setdefault(value[2], len(numbers)) for value in rows.values], dtype=np.int64)
        if len(own) < _LEAST_ROWS or len(numbers) < _LEAST_PASSAGES:
            return None
        first = np.unique(own, return_index=True)[1]
        passages = np.stack([rows.values[i][1] for i in first])
        answers = np.stack([value[0] for value in rows.values])
        nearer = passages_nearer(answers, passages, own, self.n_others)
        return _Far(nearer, np.array([value[3] for value in rows.values]))


class _Far(NamedTuple):
    """How far answers lie from their passages."""

    nearer: Float[np.ndarray, " n"]
    """Share of other passages that are nearer."""
    lacks: Bool[np.ndarray, " n"]
    """True where the own one lacks their words."""

    def blamed(self, name: str) -> Bool[np.ndarray, " n"]:
        """Return which answers a finding is about."""
        far = self.nearer >= FAR
        return far & self.lacks if name == "neither" else far
