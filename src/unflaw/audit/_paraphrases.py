"""Paraphrases: rows that say in other words what another row of the set, or a real one, says."""

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
from unflaw.data import Finding
from unflaw.measure import (
    nearest_original,
    normalise,
    repeats_of_earlier,
    text_hash,
)

__all__ = ["ParaphrasesCheck"]

RULE = Rule(0.03, 0.10)
"""More than the control, where 0 to 3 % of the rows of hand-made sets have a paraphrase."""


@dataclass(frozen=True, kw_only=True)
class ParaphrasesCheck:
    """Rows whose embedding lies next to another's, by exact cosine; equal texts are the business of `copies`."""

    threshold: float = 0.85
    """Cosine from which on a row repeats another. It belongs to the default encoder; another needs its own."""
    max_rows: int = 50_000
    """Rows of each set that are compared: time grows with its square, 50,000 take about ten seconds."""
    seed: int = 0

    name: ClassVar[str] = "paraphrases"
    needs: ClassVar[frozenset[str]] = frozenset({"embeddings"})

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.threshold <= 1:
            problems.append(f"`threshold` must lie in (0, 1], got {self.threshold}")
        if self.max_rows < 2:
            problems.append(f"`max_rows` must be at least 2, got {self.max_rows}")
        if problems:
            raise SettingsError(problems)

    def summarise(self, batch: Batch) -> Sample:
        """Keep vector and text hash of the sampled rows."""
        if batch.embeddings is None or not np.isfinite(batch.embeddings).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan, inf or nothing")
        kept = [
            (vector.astype(np.float32), text_hash(normalise(text)))
            for vector, text in zip(batch.embeddings, batch.texts, strict=True)
        ]
        return bottom_k(batch.ids, kept, self.max_rows, self.seed)

    def merge(self, a: Sample, b: Sample) -> Sample:
        """Sample both."""
        return merge_samples(a, b)

    def conclude(
        self, synthetic: Sample, reference: Sample | None, control: tuple[Sample, Sample] | None, holdout: None = None
    ) -> list[Finding]:
        """Look for rows alike inside the set, and among real rows."""
        mine = _Vectors.of(synthetic)
        inside = "paraphrases.inside", "Rows that say what another row says"
        if reference is None or control is None:
            return [self._finding(*inside, self._inside(mine), mine, None, 0)]
        real, (a, b) = _Vectors.of(reference), map(_Vectors.of, control)
        fewer = real.first(len(mine.ids))  # the more rows, the more of them have a neighbour
        usual = Share(len(self._inside(fewer)), len(fewer.ids))
        by_chance = round(min(1.0, len(self._among(a, b)) / len(a.ids) * len(real.ids) / len(b.ids)) * len(a.ids))
        among = "paraphrases.reference", "Rows that say what a real row says"
        return [
            self._finding(*inside, self._inside(mine), mine, usual, 0),
            self._finding(*among, self._among(mine, real), mine, Share(by_chance, len(a.ids)), len(real.ids)),
        ]

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Nothing to add: the findings already score every sampled row that repeats another."""
        return {}

    def _inside(self, rows: _Vectors) -> dict[str, tuple[str, float]]:
        of, cosine = repeats_of_earlier(rows.x, self.threshold)
        return {rows.ids[i]: (rows.ids[int(of[i])], float(cosine[i])) for i in np.flatnonzero(of >= 0).tolist()}

    def _among(self, rows: _Vectors, originals: _Vectors) -> dict[str, tuple[str, float]]:
        """Leave out rows whose very words stand there."""
        at, cosine = nearest_original(rows.x, originals.x)
        new = ~np.isin(rows.hashes, originals.hashes)
        alike = np.flatnonzero((cosine >= self.threshold) & new).tolist()
        return {rows.ids[i]: (originals.ids[int(at[i])], float(cosine[i])) for i in alike}

    def _finding(
        self,
        check: str,
        title: str,
        alike: Mapping[str, tuple[str, float]],
        rows: _Vectors,
        usual: Share | None,
        n_reference: int,
    ) -> Finding:
        of = "real row" if n_reference else "row"
        return share_finding(
            check, title, Share(len(alike), len(rows.ids)), usual, RULE,
            f"repeat {'a real one' if n_reference else 'another'} in other words",
            n_reference=n_reference,
            row_scores={row_id: min(1.0, cosine) for row_id, (_, cosine) in alike.items()},
            row_reasons={row_id: f"says what {of} {other} says ({c:.2f})" for row_id, (other, c) in alike.items()},
            settings={**asdict(self), "n_rows_seen": rows.n_seen},
        )  # fmt: skip


@dataclass(frozen=True)
class _Vectors:
    """Rows in order of id, each text once."""

    ids: Sequence[str]
    x: Float[np.ndarray, "n d"]
    hashes: Any
    n_seen: int

    @classmethod
    def of(cls, sample: Sample) -> _Vectors:
        by_text: dict[int, int] = {}
        for i in sorted(range(len(sample.ids)), key=sample.ids.__getitem__):
            by_text.setdefault(sample.values[i][1], i)
        kept = list(by_text.values())
        x = np.stack([sample.values[i][0] for i in kept]) if kept else np.empty((0, 1), dtype=np.float32)
        hashes = np.fromiter(by_text, dtype=np.uint64, count=len(kept))
        return cls([sample.ids[i] for i in kept], x, hashes, sample.n_rows)

    def first(self, n: int) -> _Vectors:
        return _Vectors(self.ids[:n], self.x[:n], self.hashes[:n], self.n_seen)
