"""Reading what a model wrote as a JSON object, and saying why it will not do."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unflaw._errors import UnflawError

__all__ = ["AnswerError", "n_words", "normal", "read_object", "shortened", "word_runs"]

_CHARACTERS = "\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f"
_WIDE, _WORD = re.compile(f"[{_CHARACTERS}]"), re.compile(f"[{_CHARACTERS}]|[^\\W{_CHARACTERS}]+")


class AnswerError(UnflawError):
    """A model's answer cannot become a row; the message is the reason, kept short so that reasons count up."""


def read_object(text: str, fields: Sequence[str]) -> dict[str, str]:
    """Read a JSON object whose `fields` are all non-empty strings, mending slips on the way.

    Slips (single quotes, a missing comma, words around the object) are mended by json-repair. An object
    that was cut off is not: its last value would be half a sentence. White space inside a value becomes
    one space, since the caller's template decides about lines.

    Raises AnswerError with the reason.
    """
    found = _parse(text)
    if not isinstance(found, Mapping):
        raise AnswerError("not a JSON object")
    missing = [name for name in fields if name not in found]
    if missing:
        raise AnswerError(f"no {missing[0]}")
    values = {name: " ".join(str(found[name]).split()) for name in fields if not isinstance(found[name], (dict, list))}
    for name in fields:
        if not re.search(r"\w", values.get(name, "")):
            raise AnswerError(f"empty {name}")
    return values


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        raise AnswerError("not a JSON object")
    if end < start:
        raise AnswerError("cut off")
    import json_repair

    return json_repair.loads(text[start : end + 1])


def shortened(value: str, limit: int) -> str:
    """Cut a value that the decoder closed at its limit back to its last whole clause.

    >>> shortened("Dust is blown out of the Sahara each year, at 15 degr", 53)
    'Dust is blown out of the Sahara each year'
    >>> shortened("Kinsale", 53)
    'Kinsale'

    Raises AnswerError when less than four words would be left.
    """
    if len(value) < limit - 1:  # a blank at the end is gone by now, hence one less
        return value
    clause = re.match(r"(.+)[,;.!?]\s", value)
    if clause is None or len(clause.group(1).split()) < 4:
        raise AnswerError("too long")
    return clause.group(1)


def normal(text: str) -> str:
    """Lower-case words only: two texts equal in this form say the same.

    A Chinese or Japanese character is a word, since nothing stands between words there.
    """
    return " ".join(_WORD.findall(text.casefold()))


def n_words(text: str) -> int:
    """Count what stands between blanks; where Chinese or Japanese is written, the words of `normal`."""
    return len(normal(text).split()) if _WIDE.search(text) else len(text.split())


def word_runs(texts: Collection[str], length: int) -> set[tuple[str, ...]]:
    """Return every run of `length` consecutive words, lower-case."""
    runs: set[tuple[str, ...]] = set()
    for text in texts:
        words = normal(text).split()
        runs.update(tuple(words[i : i + length]) for i in range(len(words) - length + 1))
    return runs
