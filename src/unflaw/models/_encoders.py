"""Local encoders: a static one that is fast, and a transformer that is better."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unflaw._errors import SpecError
from unflaw.models._extras import require
from unflaw.models._hf import quietly

__all__ = ["MeanPoolEncoder", "StaticEncoder"]


class StaticEncoder:
    """Mean of fixed word-piece vectors (model2vec). Thousands of texts per second; word order is lost."""

    def __init__(self, folder: str | Path) -> None:
        from model2vec import StaticModel

        self._model = StaticModel.from_pretrained(folder, force_download=False)

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return one unit vector per text; one without known words has no direction, and stays at 0."""
        if not texts:
            return np.zeros((0, self._model.dim), np.float32)
        # Worker processes would cost more than they save below some 100,000 texts.
        return _unit(np.asarray(self._model.encode(list(texts), use_multiprocessing=False), np.float32))


class MeanPoolEncoder:
    """Mean of a transformer's last hidden states over a text's tokens.

    Texts of like length share a batch. A text longer than `max_tokens` is read up to there
    (256 is what MiniLM was trained to pool).
    """

    def __init__(self, folder: str | Path, *, device: str = "cpu", batch_size: int = 32, max_tokens: int = 256) -> None:
        """Load tokenizer and model from a folder. Raises SpecError when it holds none."""
        require("torch", "transformers")
        import torch
        from transformers import AutoModel, AutoTokenizer

        try:
            with quietly():
                self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                self._model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        except (OSError, ValueError) as error:
            raise SpecError(f"`hf:{folder}` must hold an encoder and its tokenizer: {error}") from error
        self._model = self._model.to(device).eval()
        self._batch_size = batch_size
        self._max_tokens = max_tokens

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return one unit vector per text."""
        vectors = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for first in range(0, len(order), self._batch_size):
            rows = order[first : first + self._batch_size]
            vectors[rows] = self._pool([texts[i] for i in rows])
        return _unit(vectors)

    def _pool(self, texts: list[str]) -> Float[np.ndarray, "b d"]:
        import torch

        batch = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self._model.device)
        with torch.inference_mode():
            hidden = self._model(**batch).last_hidden_state  # (b, t, d)
        counts = batch["attention_mask"][..., None]  # (b, t, 1), 1 where the token counts
        return ((hidden * counts).sum(1) / counts.sum(1)).cpu().numpy()


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Scale every row to length 1. A zero row has no direction and stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(np.float32).tiny)
