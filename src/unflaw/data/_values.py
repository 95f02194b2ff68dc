"""From what a file holds to what a role says: turns, answers and scalars become text, or say why not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = [
    "Kind",
    "Unfit",
    "holds",
    "is_missing",
    "kind_of",
    "label_value",
    "refuse_half_pairs",
    "render_turns",
    "split_turns",
    "text_value",
    "turns_before",
    "turns_of",
]

Kind = Literal["text", "text or turns", "answer", "label", "messages", "sharegpt"]
"""What a column may hold to play a part in a schema."""

SPEAKERS = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "function_call": "assistant",
}  # fmt: skip
"""Speakers in the wild → the four of the messages format."""


class Unfit(Exception):
    """A row cannot play its roles; the message is the reason. Never leaves this room."""


def is_missing(value: Any) -> bool:
    """Whether a text is not there: pandas writes NaN for it."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def refuse_half_pairs(text: str, column: str) -> str:
    """Return a text that can be stored. Raises `Unfit` for any other."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unfit(f"not text: `{column}` holds half a surrogate pair, which no encoding can store") from None
    return text


def kind_of(value: Any) -> str:
    """Name what a value is, in the user's words.

    >>> kind_of([{"role": "user", "content": "Hi"}])
    'messages'
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(turn, Mapping) for turn in value):
            keys = set(value[0])
            return "messages" if {"role", "content"} <= keys else "sharegpt" if {"from", "value"} <= keys else "a list"
        return "a list"
    return "an object" if isinstance(value, Mapping) else type(value).__name__


def holds(value: Any, kind: Kind) -> bool:
    """Whether a value can play a part of this kind."""
    seen = kind_of(value)
    if kind in ("messages", "sharegpt", "text"):
        return seen == kind
    if kind == "text or turns":
        return seen in ("text", "messages", "sharegpt")
    if kind == "answer" and is_missing(value):
        return False
    if kind == "answer":
        return seen in ("text", "a number", "true/false", "messages", "sharegpt") or bool(_answers(value))
    return seen in ("text", "a number", "true/false")


def text_value(value: Any, column: str, role: str, *, strict: bool) -> str | None:
    """Text of a value, None when there is none. `strict` refuses anything but a string.

    Raises `Unfit` where the value is no text.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        return refuse_half_pairs(value, column) if value.strip() else None
    seen = kind_of(value)
    if strict:
        raise Unfit(f"not text: `{column}` ({role}) holds {seen}, other rows hold text")
    if seen in ("messages", "sharegpt"):
        return render_turns(turns_of(value, column)) or None
    if seen in ("a number", "true/false"):
        return json.dumps(value)
    answers = _answers(value)
    if answers is None:
        raise Unfit(f"not text: `{column}` ({role}) holds {seen}")
    return refuse_half_pairs(answers[0], column) if answers else None


def _answers(value: Any) -> list[str] | None:
    """Find accepted answers, None where the value is no such thing: ["a", "b"], or SQuAD's {"text": ["a", "b"]}."""
    listed = value.get("text") if isinstance(value, Mapping) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(a, str) for a in listed):
        return None
    return [a for a in listed if a.strip()]


def label_value(value: Any, column: str, kind: str) -> Any:
    """Return a label of the kind the other rows have: text, a number or true/false. Raises `Unfit`."""
    seen = kind_of(value)
    if value is None or value == "":
        return None
    if seen != kind:
        raise Unfit(f"label of another kind: `{column}` holds {seen}, other rows hold {kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit(f"not a finite number: `{column}` is {value}")
    return refuse_half_pairs(value, column) if isinstance(value, str) else value


def turns_of(value: Any, column: str) -> list[dict[str, str]]:
    """Return turns as [{"role", "content"}], whichever way the file spells them. Raises `Unfit`."""
    if not isinstance(value, (list, tuple)) or not value:
        raise Unfit(f"no conversation: `{column}` holds {kind_of(value) if value else 'nothing'}")
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping):
            raise Unfit(f"broken turn: `{column}` holds {kind_of(turn)} among its turns")
        speaker = turn.get("role") or turn.get("from")
        if not isinstance(speaker, str) or speaker.lower() not in SPEAKERS:
            raise Unfit(f"unknown speaker: {speaker!r} in `{column}`; known: {', '.join(SPEAKERS)}")
        content = turn.get("content") if turn.get("content") is not None else turn.get("value")
        turns.append({"role": SPEAKERS[speaker.lower()], "content": _content(content, column)})
    return turns


def _content(content: Any, column: str) -> str:
    if content is None:  # a turn that only calls a tool
        return ""
    if isinstance(content, str):
        return text_value(content, column, "content", strict=True) or ""
    if isinstance(content, (list, tuple)) and all(isinstance(p, Mapping) for p in content):
        return refuse_half_pairs("\n".join(p["text"] for p in content if isinstance(p.get("text"), str)), column)
    raise Unfit(f"broken turn: the content of a turn in `{column}` is {kind_of(content)}")


def split_turns(turns: Sequence[Mapping[str, str]], column: str) -> dict[str, str | None]:
    """Give the last answer as `response`, what came before as `prompt`, the system's words as `context`.

    A system prompt is the same in every row more often than not; left in the prompt it would
    look like a template the rows repeat. Raises `Unfit` where nobody asks or nobody answers.
    """
    last = _last_answer(turns)
    if last is None:
        raise Unfit(f"no response: `{column}` has no turn of the assistant")
    before = [t for t in turns_before(turns) if t["role"] != "system"]
    if not any(t["role"] == "user" for t in before):
        raise Unfit(f"no prompt: `{column}` has no turn of the user before the assistant's")
    system = [t["content"] for t in turns_before(turns) if t["role"] == "system"]
    return {
        "prompt": render_turns(before),
        "response": turns[last]["content"],
        "context": "\n".join(system) or None,
    }


def turns_before(turns: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the turns before the last answer that say something."""
    return [dict(t) for t in turns[: _last_answer(turns)] if t["content"].strip()]


def _last_answer(turns: Sequence[Mapping[str, str]]) -> int | None:
    answers = (i for i, t in enumerate(turns) if t["role"] == "assistant" and t["content"].strip())
    return max(answers, default=None)


def render_turns(turns: Sequence[Mapping[str, str]]) -> str:
    r"""Write turns as plain text: one turn is its own words, several name their speakers.

    >>> render_turns([{"role": "user", "content": "Hi"}])
    'Hi'
    >>> render_turns([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    'user: Hi\n\nassistant: Hello'
    """
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"{t['role']}: {t['content']}" for t in turns)
