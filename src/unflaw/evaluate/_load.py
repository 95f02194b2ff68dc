"""Read prompts with their constraints from a file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unflaw._errors import DataError, did_you_mean
from unflaw.evaluate._constraints import Constraint
from unflaw.evaluate._ids import IDS, constraint_for
from unflaw.evaluate._prompts import InstructionItem

__all__ = ["LoadedPrompts", "load_prompts"]


@dataclass(frozen=True)
class LoadedPrompts:
    """Prompts from a file, and what of it could not be used."""

    items: tuple[InstructionItem, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Item id → why it was left out."""


def load_prompts(path: str | Path, *, allow_unknown: bool = False) -> LoadedPrompts:
    """Read one JSON object per line: "prompt", "instruction_id_list", "kwargs", and perhaps "key".

    An id with no check here cannot be judged, and neither can one whose `kwargs` make no sense. By default that
    is an error that lists every such line; with `allow_unknown` the items that carry one are left out whole
    (half an item is not the same item) and named in `skipped`. A count may be written 3, 3.0 or "3"; null
    stands for what is not given.

    Raises
    ------
    DataError
        The file cannot be read, lines are not such objects, an id is unknown or its `kwargs` are wrong, or
        nothing is left.
    """
    path = Path(path)
    items: list[InstructionItem] = []
    skipped: dict[str, str] = {}
    troubles: dict[str, list[str]] = {}
    for number, record in _records(path):
        item_id = str(number if record.get("key") is None else record["key"])
        made = [
            (id_, _constraint(id_, kwargs or {}, record["prompt"]))
            for id_, kwargs in zip(record["instruction_id_list"], record["kwargs"], strict=True)
        ]
        unusable = [f"{id_}: {why}" for id_, why in made if isinstance(why, str)]
        if unusable:
            for trouble in unusable:
                troubles.setdefault(trouble, []).append(f"line {number} (key {item_id})")
            skipped[item_id] = "; ".join(unusable)
        else:
            constraints = tuple(c for _, c in made if isinstance(c, Constraint))
            items.append(InstructionItem(item_id, len(constraints), record["prompt"], constraints))
    if skipped and not allow_unknown:
        raise DataError(_explain(path, troubles, len(skipped), len(skipped) + len(items)))
    if not items:
        raise DataError(f"`{path}` holds no prompt that can be checked; {len(skipped)} were left out")
    twice = [id_ for id_, times in Counter(i.id for i in items).items() if times > 1]
    if twice:
        raise DataError(f"`key` must be unique in `{path}`, got {twice[:3]} more than once")
    return LoadedPrompts(tuple(items), skipped)


def _constraint(id_: str, kwargs: Mapping[str, Any], prompt: str) -> Constraint | str:
    """Make the constraint an id asks for and try it once, or say why it cannot be used."""
    read = {name: _read_value(name, value) for name, value in kwargs.items()}
    wrong = {name: value.why for name, value in read.items() if isinstance(value, _Wrong)}
    made = constraint_for(id_, {name: value for name, value in read.items() if name not in wrong}, prompt)
    if isinstance(made, str):
        # A wrong value is a mistake only where the id needs it: files may fill up what they do not use.
        return "; ".join(wrong.values()) if any(made.endswith(f"lacks {name!r}") for name in wrong) else made
    try:
        made.met(TRIAL)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return f"its check fails with these `kwargs`: {error}"
    return made


@dataclass(frozen=True)
class _Wrong:
    """A value that cannot be read."""

    why: str


def _read_value(name: str, value: Any) -> Any:
    """Read the value of a keyword argument as what the ids take it for."""
    if name not in KINDS_OF_VALUE:
        return value
    what, read = KINDS_OF_VALUE[name]
    try:
        return read(value)
    except (OverflowError, TypeError, ValueError):
        return _Wrong(f"`{name}` must be {what}, got {json.dumps(value, ensure_ascii=False)[:40]}")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    if not math.isfinite(float(value)):
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError
    return [_text(part) for part in value]


KINDS_OF_VALUE: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        "N capital_frequency frequency let_frequency m max_words min_words n n_end n_start nth_paragraph num_bullets "
        "num_highlights num_paragraphs num_placeholders num_sections num_sentences num_words small_n".split(),
        ("a whole number", _whole),
    ),
    "percentage": ("a number", _number),
    **dict.fromkeys(["forbidden_words", "keywords"], ("a list of texts", _texts)),
    **dict.fromkeys(
        "capital_relation end_phrase first_word keyword keyword1 keyword2 keyword3 keyword4 keyword5 language "
        "let_relation letter options postscript_marker prompt_to_repeat reference_text relation section_spliter sep "
        "word".split(),
        ("a text", _text),
    ),
}
"""Keyword argument of the published files → what it must be, and how it is read."""

TRIAL = "One two three. Four five six!\n\n* Seven eight nine?"
"""An answer that every check must be able to judge."""


def _records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    found: list[tuple[int, dict[str, Any]]] = []
    problems: list[str] = []
    # Not `splitlines`: a JSON text may hold U+2028 and other breaks that end no line of the file.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        record = _parsed(line)
        problem = record if isinstance(record, str) else _problem(record)
        if problem:
            problems.append(f"line {number} {problem}")
        else:
            found.append((number, record))
    if problems:
        more = f"\n  - and {len(problems) - 20} more" if len(problems) > 20 else ""
        head = "" if len(problems) == 1 else f"has {len(problems)} broken lines:\n  - "
        raise DataError(f"`{path}` {head}" + "\n  - ".join(problems[:20]) + more)
    return found


def _parsed(line: str) -> Any:
    """Return what a line holds, or say what is wrong with it."""
    try:
        record = json.loads(line)
    except ValueError as error:
        return f"must be a JSON object, got {line[:40]!r} ({error})"
    return f"must be a JSON object, got {type(record).__name__}" if not isinstance(record, dict) else record


def _problem(record: Mapping[str, Any]) -> str:
    missing = sorted({"prompt", "instruction_id_list", "kwargs"} - set(record))
    if missing:
        return f"lacks {missing}; it has {sorted(record)}"
    ids, kwargs = record["instruction_id_list"], record["kwargs"]
    if not isinstance(record["prompt"], str) or not isinstance(ids, list) or not isinstance(kwargs, list):
        return "must hold a text `prompt` and the lists `instruction_id_list` and `kwargs`"
    if not ids or len(ids) != len(kwargs):
        return f"must have one of `kwargs` per id and one id at least, got {len(ids)} ids and {len(kwargs)} kwargs"
    if not all(isinstance(i, str) for i in ids) or not all(k is None or isinstance(k, dict) for k in kwargs):
        return "must have texts in `instruction_id_list`, and objects or null in `kwargs`"
    return ""


def _explain(path: Path, troubles: Mapping[str, list[str]], n_items: int, total: int) -> str:
    parts = []
    for trouble, where in sorted(troubles.items(), key=lambda kv: -len(kv[1])):
        id_ = trouble.rpartition(": unknown id")[0]
        hint = f" {did_you_mean(id_, IDS)}" if id_ and "Did you" in did_you_mean(id_, IDS) else ""
        more = f" and {len(where) - 3} more" if len(where) > 3 else ""
        parts.append(f"\n  - {trouble} ({', '.join(where[:3])}{more}).{hint}")
    return (
        f"`{path}` asks for what cannot be checked here, in {n_items} of {total} prompts:{''.join(parts)}\n"
        "Mend these lines, or pass `allow_unknown` to leave these prompts out."
    )
