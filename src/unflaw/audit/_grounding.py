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
from unflaw.audit._strangers import Strangers
from unflaw.data import Finding
from unflaw.measure import text_hash

__all__ = ["GroundingCheck"]

RULE = Rule(0.03, 0.1)
FAR = 0.2
"""Share of other passages to which an answer may be nearer than to its own."""
_LEAST_ROWS, _LEAST_PASSAGES = 20, 10
_FINDINGS = {
    "passage": (
        "Answers that lie nearer to other passages than to their own",
        "lie nearer to a fifth of the other passages than to their own",
    ),
    "neither": (
        "Answers that their passage holds neither in words nor in meaning",
        "lie that far from their passage, which holds less than half of their words",
    ),
}
"""Title of a finding, and what its rows do."""


@dataclass(frozen=True, kw_only=True)
class GroundingCheck:
    """Answers that lie nearer to a fifth of the other passages than to their own, by cosine of embeddings.

    A fixed cosine would blame short answers, which lie near nothing; the other passages of the same set are a measure
    that every set brings along. Rows with the same passage do not count against each other. Answers without a word of
    their own (yes, no, what the question says) are not asked.
    """

    max_rows: int = 5000
    """Rows of each set that enter the statistic; every row gets a score."""
    n_others: int = 100
    """Passages each answer is held against: those of the first rows of the sample."""
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
        """Keep the vectors of answer and passage of sampled rows that can be asked, and whether words are missing."""
        asked = _Asked.of(batch)
        ids = [batch.ids[i] for i in asked.at]

        def kept(i: int) -> tuple[str, bool, Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
            return asked.keys[i], bool(asked.lacks[i]), asked.passages[i].copy(), asked.answers[i].copy()

        return bottom_k(ids, kept, self.max_rows, self.seed)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(self, synthetic: Sample, reference: Sample | None, control: Any, holdout: Any) -> list[Finding]:
        """Count the answers that lie far from their passage, and those that lack its words as well, in both sets."""
        mine, others = self._far(synthetic)
        real, _ = (None, None) if reference is None else self._far(reference)
        if mine is None:
            return []
        return [
            share_finding(
                f"grounding.{name}", title, _share(mine[name]), None if real is None else _share(real[name]), RULE,
                meaning, evidence={"_others": others}, alone=False,
                settings={**asdict(self), "n_rows_seen": synthetic.n_rows},
            )
            for name, (title, meaning) in _FINDINGS.items()
        ]  # fmt: skip

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give each row that lies far the share of other passages that are nearer."""
        asked = _Asked.of(batch)
        if not findings or not asked.at:
            return {}
        nearer = findings[0].evidence["_others"].nearer(asked.keys, asked.passages, asked.answers)
        far = _blamed(nearer, asked.lacks)
        return {
            finding.check: {
                batch.ids[asked.at[i]]: RowScore(
                    float(nearer[i]), f"lies nearer to {nearer[i]:.0%} of other passages than to its own"
                )
                for i in np.flatnonzero(far[finding.check.partition(".")[2]]).tolist()
            }
            for finding in findings
        }

    def _far(self, rows: Sample) -> tuple[dict[str, Bool[np.ndarray, " n"]] | None, Strangers | None]:
        """Hold the answers against the passages; None of too few rows or passages."""
        keys = [key for key, _, _, _ in rows.values]
        if len(keys) < _LEAST_ROWS or len(set(keys)) < _LEAST_PASSAGES:
            return None, None
        passages, answers = ([value[at] for value in rows.values] for at in (2, 3))
        others = Strangers.of(keys, passages, self.n_others + 1)
        nearer = others.nearer(keys, np.stack(passages), np.stack(answers))
        return _blamed(nearer, np.array([lacks for _, lacks, _, _ in rows.values])), others


class _Asked(NamedTuple):
    """The rows of a batch whose answer has words of its own, and a passage."""

    at: list[int]
    """Their places."""
    keys: list[str]
    """Tells their passages apart."""
    lacks: Bool[np.ndarray, " n"]
    """True where the passage lacks the answer's words."""
    passages: Float[np.ndarray, "n d"]
    answers: Float[np.ndarray, "n d"]

    @classmethod
    def of(cls, batch: Batch) -> _Asked:
        if batch.pair_embeddings is None or batch.context_embeddings is None:  # rows of another kind than those audited
            return cls([], [], np.zeros(0, dtype=bool), np.zeros((0, 1)), np.zeros((0, 1)))
        answers, passages = batch.pair_embeddings[1], batch.context_embeddings
        if not (np.isfinite(answers).all() and np.isfinite(passages).all()):
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan or inf")
        rows = said_by(batch)
        lacks = [ungrounded(said) for said in rows]
        known = np.logical_and(answers.any(axis=1), passages.any(axis=1)).tolist()
        at = [i for i, missing in enumerate(lacks) if missing is not None and known[i]]
        keys = [str(text_hash(rows[i].context)) for i in at]
        x, y = (side[at].astype(np.float32) for side in (passages, answers))
        return cls(at, keys, np.array([bool(lacks[i]) for i in at]), x, y)


def _blamed(nearer: Float[np.ndarray, " n"], lacks: Bool[np.ndarray, " n"]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return which answers a finding is about."""
    far = nearer >= FAR
    return {"passage": far, "neither": far & lacks}


def _share(blamed: Bool[np.ndarray, " n"]) -> Share:
    return Share(int(blamed.sum()), len(blamed))
