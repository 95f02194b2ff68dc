"""The expensive things a check may need, computed once per row and kept on disk for the second pass."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from unflaw.audit._frame import Batch, Check
from unflaw.data import Rows
from unflaw.models import Encoder, Scorer, open_encoder, open_scorer

__all__ = ["Inputs", "Spill"]

_IN_MEMORY = 256 * 2**20
"""Bytes of embeddings and log-probs kept in memory; what is above goes to a temporary file."""


@dataclass(frozen=True)
class Inputs:
    """The models that the checks of one audit need, and nothing they do not."""

    encoder: Encoder | None
    """Of whole rows."""
    pair_encoder: Encoder | None
    """Of prompts and responses."""
    scorer: Scorer | None
    scorer_after: Scorer | None
    batch_size: int

    @classmethod
    def open(
        cls,
        checks: Sequence[Check],
        encoder: Encoder | str | None,
        scorer: Scorer | str | None,
        scorer_after: Scorer | str | None,
        batch_size: int,
        device: str,
    ) -> Inputs:
        """Open the models that any check needs; a spec names one, an object is one."""
        needed = frozenset().union(*(check.needs for check in checks))
        if not needed & {"embeddings", "pair_embeddings"}:
            encoder = None
        if not needed & {"log_probs", "log_probs_after"}:
            scorer = scorer_after = None
        encoder = open_encoder(encoder, device) if isinstance(encoder, str) else encoder
        return cls(
            encoder if "embeddings" in needed else None,
            encoder if "pair_embeddings" in needed else None,
            open_scorer(scorer, device) if isinstance(scorer, str) else scorer,
            open_scorer(scorer_after, device) if isinstance(scorer_after, str) else scorer_after,
            batch_size,
        )

    def batches(self, rows: Rows) -> Iterator[Batch]:
        """Yield the rows with everything the checks need to know."""
        for part in rows.batches(self.batch_size):
            texts, pairs = part.texts(), part.pairs()
            yield Batch(
                part,
                texts,
                None if self.encoder is None else self.encoder.encode(texts),
                None if self.scorer is None else self.scorer.log_probs(pairs),
                None if self.scorer_after is None else self.scorer_after.log_probs(pairs),
                self._both_sides(part),
            )

    def _both_sides(self, rows: Rows) -> tuple[Any, Any] | None:
        if self.pair_encoder is None or not rows.has("prompt") or not rows.has("response"):
            return None
        asked, answered = ([str(v or "") for v in rows.column(role)] for role in ("prompt", "response"))
        return self.pair_encoder.encode(asked), self.pair_encoder.encode(answered)

    def texts_alone(self, rows: Rows) -> Iterator[Batch]:
        """Yield the rows with no model's opinion."""
        for part in rows.batches(self.batch_size):
            yield Batch(part, part.texts())


class Spill:
    """Remembers the expensive part of batches, so that a second pass over the rows is cheap."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self.sizes: list[int] = []

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def keep(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, remembering them."""
        for batch in batches:
            self.sizes.append(len(batch.texts))
            known = batch.embeddings, batch.log_probs, batch.log_probs_after, batch.pair_embeddings
            pickle.dump(known, self.file)
            yield batch

    def again(self, rows: Rows) -> Iterator[Batch]:
        """Yield the remembered batches; `rows` are those they were made of."""
        self.file.seek(0)
        start = 0
        for size in self.sizes:
            part = rows.take(range(start, start + size))
            yield Batch(part, part.texts(), *pickle.load(self.file))
            start += size
