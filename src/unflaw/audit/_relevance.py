"""Relevance: does an answer belong to its question, or could it stand below any other?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError, SettingsError
from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._sample import Sample, bottom_k, merge_samples
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.audit._strangers import Strangers
from unflaw.data import Finding

__all__ = ["RelevanceCheck"]

RULE = Rule(0.03, 0.1)
_OFF = 0.5
_LEAST = 20
"""Rows below which the other questions are too few to compare with."""


@dataclass(frozen=True, kw_only=True)
class RelevanceCheck:
    """Answers to which half of the other questions are as near as their own, by cosine of embeddings.

    A fixed cosine would blame short answers and technical ones; the other questions of the same set are a measure that
    every set brings along. An answer taken from another row is found with a chance of one half.
    """

    max_rows: int = 5000
    """Rows of each set that enter the statistic; every row gets a score."""
    n_others: int = 100
    """Questions each answer is held against: those of the first rows of the sample."""
    seed: int = 0

    name: ClassVar[str] = "relevance"
    needs: ClassVar[frozenset[str]] = frozenset({"pair_embeddings"})

    def __post_init__(self) -> None:
        problems = []
        if self.max_rows < _LEAST:
            problems.append(f"`max_rows` must be at least {_LEAST}, got {self.max_rows}")
        if self.n_others < 2:
            problems.append(f"`n_others` must be at least 2, got {self.n_others}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep the vectors of the sampled rows' two sides."""
        if batch.pair_embeddings is None:  # rows of another kind than those audited
            return bottom_k([], lambda _: None, self.max_rows, self.seed)
        if not all(np.isfinite(side).all() for side in batch.pair_embeddings):
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan or inf")
        asked, answered = (side.astype(np.float32) for side in batch.pair_embeddings)
        at = _known(asked, answered)

        def kept(i: int) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
            return asked[at[i]].copy(), answered[at[i]].copy()

        return bottom_k([batch.ids[i] for i in at], kept, self.max_rows, self.seed, batch.n_set)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(self, synthetic: Sample, reference: Sample | None, control: Any, holdout: Any) -> list[Finding]:
        """Count the answers to which strangers are as near, in both sets."""
        if len(synthetic.ids) < _LEAST:
            return []
        others = _others(synthetic, self.n_others)
        nearer = others.nearer(synthetic.ids, *_sides(synthetic))
        usual = None
        if reference is not None and len(reference.ids) >= _LEAST:
            real = _others(reference, self.n_others).nearer(reference.ids, *_sides(reference))
            usual = Share(int((real >= _OFF).sum()), len(real))
        return [
            share_finding(
                "relevance.off_topic", "Answers that do not belong to their question",
                Share(int((nearer >= _OFF).sum()), len(nearer)), usual, RULE,
                "answer no nearer to their own question than to others", evidence={"_others": others},
                settings={**asdict(self), "n_rows_seen": synthetic.n_rows}, alone=False,
            )
        ]  # fmt: skip

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row that is off the share of other questions that it answers better."""
        if batch.pair_embeddings is None or not findings:
            return {}
        at = _known(*batch.pair_embeddings)
        ids, sides = [batch.ids[i] for i in at], (side[at] for side in batch.pair_embeddings)
        nearer = findings[0].evidence["_others"].nearer(ids, *sides)
        return {
            findings[0].check: {
                ids[i]: RowScore(float(nearer[i]), f"answers {nearer[i]:.0%} of other questions as well as its own")
                for i in np.flatnonzero(nearer >= _OFF).tolist()
            }
        }


def _known(asked: Float[np.ndarray, "n d"], answered: Float[np.ndarray, "n d"]) -> list[int]:
    """Return the rows of which the encoder knows words on both sides; others lie near nothing."""
    return np.flatnonzero(asked.any(axis=1) & answered.any(axis=1)).tolist()


def _others(rows: Sample, n: int) -> Strangers:
    return Strangers.of(rows.ids, [asked for asked, _ in rows.values], n)


def _sides(rows: Sample) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    return np.stack([asked for asked, _ in rows.values]), np.stack([answered for _, answered in rows.values])
