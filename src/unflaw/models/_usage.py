"""What a back end has done so far: tokens read and written, and the seconds it took."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass(frozen=True)
class Usage:
    """Tokens and time of the calls made so far. Adding two gives their total."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Wall-clock time spent inside `generate`, all rows of a call together."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens written per second; 0 before the first call."""
        return self.completion_tokens / self.seconds if self.seconds else 0.0

    def __add__(self, other: Usage) -> Usage:
        """Return the total of two stretches of work done one after the other."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
        )
