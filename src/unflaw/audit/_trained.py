"""How likely a text is to judge rather than report: a logistic regression whose weights ship with the package.

They belong to the vectors of one encoder, `potion`, and mean nothing for those of another, even one of as many numbers.
`studies/subjectivity/train.py` made them; subjectivity.json says of what, and how well they do on subjects left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from unflaw._errors import SpecError
from unflaw.audit._frame import Batch
from unflaw.audit._inputs import opened_encoder

__all__ = ["Trained", "trained"]

_SAME = 1e-3
"""Two runs of one encoder differ by less in every number of a vector, two encoders by more in some."""


@dataclass(frozen=True)
class Trained:
    """The weights."""

    encoder: str
    weights: Float[np.ndarray, " d"]
    judging: float
    """Weight of the share of words that judge."""
    intercept: float

    def fits(self, batch: Batch) -> bool:
        """Whether the encoder made the batch's vectors: it gives the same for the first text."""
        if batch.embeddings is None or not batch.texts or batch.embeddings.shape[1] != len(self.weights):
            return False
        try:
            encoder = opened_encoder(self.encoder, "cpu")
        except SpecError:  # where it is not installed, it made no vectors
            return False
        return bool(np.allclose(encoder.encode([batch.texts[0]])[0], batch.embeddings[0], rtol=0, atol=_SAME))

    def probability(self, x: Float[np.ndarray, "n d"], share: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return how likely texts are to judge: their vectors, and the shares of their words that do."""
        return 1 / (1 + np.exp(-(x @ self.weights + self.judging * share + self.intercept)))


@cache
def trained() -> Trained:
    """Read the weights that ship with the package."""
    record = json.loads(files("unflaw.audit").joinpath("subjectivity.json").read_text(encoding="utf-8"))
    weights = np.array(record["weights"], dtype=np.float64)
    return Trained(record["encoder"], weights, record["judging"], record["intercept"])
