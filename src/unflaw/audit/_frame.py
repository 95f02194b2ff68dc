"""What a check is: a mergeable summary of rows, a conclusion from two summaries, and a score per row.

    summarise(batch) -> summary      for every batch, on any core or machine
    merge(summary, summary)          associative and commutative
    conclude(synthetic, reference)   one or more findings
    score(batch, findings)           per row, in a second pass over the synthetic rows

The same rows give the same findings whatever the batch size and the order: a test holds every check
to it. A summary is picklable and its memory is bounded (see `_sample.py` for how to keep rows). One that
must hold all rows has a method `keep(folder)`, which puts it on disk and returns what stands for it; a
check that compares rows with each other needs "engine", and gets `run` to cut its conclusion into tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from unflaw.data import ID, Finding, Rows

__all__ = ["NEEDS", "Batch", "Check", "RowScore", "has_texts", "label_text"]

_SENTENCE = 4
"""Words from which on the values of a column are texts, on average."""

NEEDS = frozenset(
    {
        "reference", "embeddings", "labels", "log_probs", "log_probs_after", "pair_embeddings", "context_embeddings",
        "engine", "text",
    }
)  # fmt: skip
"""What a check may need. Where it is not there, the check is skipped and the audit says why; an engine always is.

"text" is there but in plain tables, of which no column holds sentences: written as "name: value" they are no texts."""


@dataclass(frozen=True)
class Batch:
    """Some rows with the expensive things known about them, computed once and shared by all checks."""

    rows: Rows
    texts: Sequence[str]
    """`rows.texts()`: each row as plain text."""
    embeddings: Float[np.ndarray, "n d"] | None = None
    """One L2-normalised vector per text."""
    log_probs: Sequence[Float[np.ndarray, " _"]] | None = None
    """Natural-log probability of each response token under the model, one array per row."""
    log_probs_after: Sequence[Float[np.ndarray, " _"]] | None = None
    """The same under a second model, e.g. after training on the synthetic rows."""
    pair_embeddings: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]] | None = None
    """L2-normalised vectors of each prompt and of each response; None as well where rows have none."""
    context_embeddings: Float[np.ndarray, "n d"] | None = None
    """One L2-normalised vector per row's passage; None as well where rows have none."""
    start: int = 0
    """Place of the first row in its set; of rows that do not follow each other, see `places`."""
    n_set: int | None = None
    """How many rows the set has that the summary will be of, at least; None where nobody knows."""
    places: Sequence[int] | None = None
    """Place of each row in its set, where it is not `start` and on."""

    @cached_property
    def ids(self) -> list[str]:
        """Row ids, in order."""
        return self.rows.ids

    def placed(self) -> Sequence[int]:
        """Place of each row in its set."""
        return range(self.start, self.start + len(self.texts)) if self.places is None else self.places

    def take(self, indices: Sequence[int]) -> Batch:
        """Rows at these positions, with everything known about them."""
        at = list(indices)
        return Batch(
            self.rows.take(indices),
            [self.texts[i] for i in indices],
            None if self.embeddings is None else self.embeddings[at],
            None if self.log_probs is None else [self.log_probs[i] for i in indices],
            None if self.log_probs_after is None else [self.log_probs_after[i] for i in indices],
            None if self.pair_embeddings is None else (self.pair_embeddings[0][at], self.pair_embeddings[1][at]),
            None if self.context_embeddings is None else self.context_embeddings[at],
            n_set=self.n_set,
            places=[self.placed()[i] for i in at],
        )


class RowScore(NamedTuple):
    """How much of a flaw one row carries, and why."""

    score: float
    """In [0, 1]; higher is more flawed."""
    reason: str = ""


@runtime_checkable
class Check(Protocol):
    """One question to a data set. A check is a frozen dataclass of its settings; `Any` below is its own summary."""

    @property
    def name(self) -> str:
        """Short name, e.g. "gap": what `--checks` takes and what its findings' names start with ("gap.c2st_auc")."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Subset of `NEEDS`. Batch fields outside it may be None, and may be used where they are not."""
        ...

    def summarise(self, batch: Batch) -> Any:
        """Boil a batch down. Called for synthetic, reference and held-out rows alike."""
        ...

    def merge(self, a: Any, b: Any) -> Any:
        """Return the summary of both batches; changes neither."""
        ...

    def conclude(self, synthetic: Any, reference: Any, control: Any, holdout: Any) -> list[Finding]:
        """Answer.

        `control` is the pair of summaries of two random halves of the reference (`reference` is their
        merge): the statistic between the halves is what "no flaw" looks like. `reference` and
        `control` are None together, and never when `needs` names "reference". `holdout` is given only
        to checks that need no embeddings or log-probs, or have an attribute `reads_holdout` that is true. A check that
        needs "engine" is called with `run=…` as well (`unflaw.audit.Run`).
        """
        ...

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score synthetic rows: {`finding.check`: {row id: score}}. Empty where rows cannot be scored.

        `findings` are this check's own; what scoring needs travels in their `evidence`, under names that
        begin with an underscore where no reader wants it. Rows that a finding already scores
        (`Finding.row_scores`) keep that score.
        """
        ...


def label_text(value: Any) -> str | None:
    """Write a label as text; a whole number is one, however it came: a missing label makes 1 a 1.0.

    >>> label_text(1.0), label_text(1), label_text("1"), label_text(0.5), label_text(None)
    ('1', '1', '1', '0.5', None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def has_texts(rows: Rows) -> bool:
    """Tell whether rows are texts, or have a column that holds some: strings of four words or more, on average.

    >>> cells = {"count": 3, "name": "the old mill", "note": "it stands by the river"}
    >>> [has_texts(Rows.from_records([{name: value}], {})) for name, value in cells.items()]
    [False, False, True]
    """
    names = [name for name in rows.table.column_names if name != ID and pa.types.is_string(rows.table[name].type)]
    words = ([len(value.split()) for value in rows.column(name) if value is not None] for name in names)
    return not rows.is_plain or any(sum(of) >= _SENTENCE * len(of) > 0 for of in words)
