"""Local encoders: a static one that is fast, and a transformer that is better."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unflaw._errors import SpecError
from unflaw.models._extras import require
from unflaw.models._hf import quietly

__all__ = ["MeanPoolEncoder", "StaticEncoder"]

_MOST_WORDS, _LONGEST_WORD = 50_000, 32
"""Words whose pieces are kept, and characters of the longest of them: some 15 MB."""
_NO_BLANK = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
"""Blanks that the tokenizer leaves out, so that what stands on either side is one word."""
_MOST_PIECES = 512
"""Pieces up to which a text is read, as the library does."""


class StaticEncoder:
    """Mean of fixed word-piece vectors (model2vec). Tens of thousands of texts per second; word order is lost.

    Word pieces do not reach over blanks, so each word is cut once: most of a text is words that have come before.
    """

    def __init__(self, folder: str | Path) -> None:
        from model2vec import StaticModel

        model = StaticModel.from_pretrained(folder, force_download=False)
        if model.weights is not None or model.token_mapping is not None:
            raise SpecError(f"`{folder}` must hold one vector per word piece, without weights or a mapping")
        self._tokenizer: Any = model.tokenizer
        self._tokenizer.no_truncation()
        self._vectors: Float[np.ndarray, "v d"] = np.asarray(model.embedding, np.float32)
        self._unknown, self._most_chars = model.unk_token_id, _MOST_PIECES * model.median_token_length
        self._pieces: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return one unit vector per text; one without known words has no direction, and stays at 0."""
        from scipy.sparse import csr_array

        words = [_NO_BLANK.sub("", text[: self._most_chars]).split() for text in texts]
        cut = self._cut({word for of in words for word in of})
        pieces = [list(chain.from_iterable(map(cut.__getitem__, of)))[:_MOST_PIECES] for of in words]
        ends = np.cumsum([0, *map(len, pieces)])
        flat = np.fromiter(chain.from_iterable(pieces), np.int32, ends[-1])
        known = (flat != self._unknown).astype(np.float32)
        return _unit(csr_array((known, flat, ends), shape=(len(texts), len(self._vectors))) @ self._vectors)

    def _cut(self, words: AbstractSet[str]) -> Mapping[str, list[int]]:
        """Return the pieces of each word. Short words are kept, so that they are cut once."""
        pieces = {word: self._pieces[word] for word in words if word in self._pieces}
        if new := list(words - pieces.keys()):
            said = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
            pieces |= {word: of.ids for word, of in zip(new, said, strict=True)}
            if len(self._pieces) + len(new) > _MOST_WORDS:
                self._pieces = {}
            kept = ((word, ids) for word, ids in pieces.items() if len(word) <= _LONGEST_WORD)
            self._pieces |= dict(islice(kept, _MOST_WORDS))
        return pieces


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
