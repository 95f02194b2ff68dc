"""Models that know their answers beforehand, for your tests and ours. No weights, no downloads."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models._protocols import Prompt, Sampling, as_messages

__all__ = ["HashEncoder", "ScriptedGenerator", "UnigramScorer"]


class ScriptedGenerator:
    """Answers from a queue, or by a function of the prompt's last turn. Remembers what it was asked.

    >>> ScriptedGenerator(["Paris.", "Rome."]).generate(["France?", "Italy?"], Sampling())
    ['Paris.', 'Rome.']
    >>> ScriptedGenerator(str.upper).generate(["hi"], Sampling())
    ['HI']
    """

    def __init__(self, script: Iterable[str] | Callable[[str], str]) -> None:
        self._answer = script if callable(script) else None
        self._queue = deque(() if callable(script) else script)
        self.calls: list[tuple[Prompt, Sampling]] = []

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Return the next answers. Raises ModelCallError when the script runs out."""
        answers = []
        for prompt in prompts:
            self.calls.append((prompt, sampling))
            if self._answer is not None:
                answers.append(self._answer(as_messages(prompt)[-1]["content"]))
            elif self._queue:
                answers.append(self._queue.popleft())
            else:
                raise ModelCallError(f"the script ran out of answers at call {len(self.calls)}; give it more")
        return answers


class HashEncoder:
    """Bag of hashed words: texts that share words are near, and nothing else is.

    >>> HashEncoder().encode(["a b", "b a"]).tolist()[0] == HashEncoder().encode(["b a"]).tolist()[0]
    True
    """

    def __init__(self, dim: int = 64) -> None:
        if dim < 1:
            raise SettingsError(f"`dim` must be at least 1, got {dim}")
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return one unit vector per text; one without words has no direction, and stays at 0."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                place = int.from_bytes(digest, "big")
                vector[place % self.dim] += 1 if place >> 63 else -1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


class UnigramScorer:
    """Log-probability of each word by its frequency in some texts, plus one for words never seen.

    With counts {a: 2, b: 1} and one place for all unseen words, p(a) = 3/6, p(b) = 2/6, p(other) = 1/6:

    >>> [round(float(p), 3) for p in UnigramScorer(["a a b"]).log_probs([("", "x a b c")])[0]]
    [-0.693, -1.099, -1.792]
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._counts = Counter(word for text in texts for word in text.split())
        self._total = self._counts.total() + len(self._counts) + 1

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[Float[np.ndarray, " tokens"]]:
        """Score word by word, from the second word on when the prompt is empty."""
        return [self._score(text.split()[0 if prompt else 1 :]) for prompt, text in pairs]

    def _score(self, words: Sequence[str]) -> Float[np.ndarray, " tokens"]:
        return np.array([math.log((self._counts[word] + 1) / self._total) for word in words], np.float32)
