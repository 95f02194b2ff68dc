"""The doors to models: four protocols with one method each, and the settings of a call.

Any object with the right method is a model; nothing needs to be subclassed or registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unflaw._errors import SettingsError

__all__ = ["Classifier", "Encoder", "Generator", "Message", "Prompt", "Sampling", "Scorer", "as_messages"]

Message = Mapping[str, str]
"""One chat turn: {"role": "system" | "user" | "assistant", "content": "..."}."""

Prompt = str | Sequence[Message]
"""A user turn as plain text, or a whole chat that ends with the user."""


def as_messages(prompt: Prompt) -> list[dict[str, str]]:
    """Turn a prompt into chat turns.

    >>> as_messages("Hi")
    [{'role': 'user', 'content': 'Hi'}]
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{"role": m["role"], "content": m["content"]} for m in prompt]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw text. The defaults are greedy and repeatable."""

    max_tokens: int = 256
    """Tokens the answer may have at most."""
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    top_p: float = 1.0
    seed: int = 0
    """Row i of a call is drawn with seed + i, so equal prompts differ and reruns agree."""
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    """JSON Schema the answer must satisfy, enforced while decoding where the back end can."""

    def __post_init__(self) -> None:
        problems = []
        if self.max_tokens < 1:
            problems.append(f"`max_tokens` must be at least 1, got {self.max_tokens}")
        if self.temperature < 0:
            problems.append(f"`temperature` must not be negative, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            problems.append(f"`top_p` must be in (0, 1], got {self.top_p}")
        if problems:
            raise SettingsError(problems)


@runtime_checkable
class Generator(Protocol):
    """Writes text."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[str]:
        """Return one answer per prompt, in order."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Knows how likely a text is."""

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[Float[np.ndarray, " tokens"]]:
        """Return the natural-log probability of each token of each continuation.

        A pair is (prompt, continuation). With an empty prompt the continuation is scored as
        plain text from its second token on (the first has nothing before it); otherwise as
        the assistant's answer to that user turn, end-of-turn token included.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """Maps text to vectors."""

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return one L2-normalised float32 vector per text; zeros of a text without a word it knows."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """Maps text to class probabilities."""

    def predict_proba(self, texts: Sequence[str]) -> Float[np.ndarray, "n classes"]:
        """Return rows that sum to 1."""
        ...
