"""Read prompts with their constraints from a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
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

    An id with no check here cannot be judged. By default that is an error that lists every such id; with
    `allow_unknown` the items that carry one are left out whole (half an item is not the same item) and
    named in `skipped`.

    Raises
    ------
    DataError
        The file cannot be read, a line is not such an object, an id is unknown, or nothing is left.
    """
    path = Path(path)
    items: list[InstructionItem] = []
    skipped: dict[str, str] = {}
    troubles: Counter[str] = Counter()
    for number, record in _records(path):
        item_id = str(record.get("key", number))
        made = [
            (id_, constraint_for(id_, kwargs or {}, record["prompt"]))
            for id_, kwargs in zip(record["instruction_id_list"], record["kwargs"], strict=True)
        ]
        unusable = [f"{id_}: {why}" for id_, why in made if isinstance(why, str)]
        if unusable:
            troubles.update(unusable)
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


def _records(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"`{path}` line {number} must be a JSON object, got {line[:40]!r} ({error})") from error
        problem = _problem(record)
        if problem:
            raise DataError(f"`{path}` line {number} {problem}")
        found.append((number, record))
    return found


def _problem(record: Any) -> str:
    if not isinstance(record, dict):
        return f"must be a JSON object, got {type(record).__name__}"
    missing = sorted({"prompt", "instruction_id_list", "kwargs"} - set(record))
    if missing:
        return f"lacks {missing}; it has {sorted(record)}"
    ids, kwargs = record["instruction_id_list"], record["kwargs"]
    if not isinstance(record["prompt"], str) or not isinstance(ids, list) or not isinstance(kwargs, list):
        return "must hold a text `prompt` and the lists `instruction_id_list` and `kwargs`"
    if not ids or len(ids) != len(kwargs):
        return f"must have one of `kwargs` per id and one id at least, got {len(ids)} ids and {len(kwargs)} kwargs"
    return ""


def _explain(path: Path, troubles: Counter[str], n_items: int, total: int) -> str:
    parts = []
    for trouble, times in troubles.most_common():
        id_ = trouble.rpartition(": unknown id")[0]
        hint = f" {did_you_mean(id_, IDS)}" if id_ and "Did you" in did_you_mean(id_, IDS) else ""
        parts.append(f"\n  - {trouble} ({times} times).{hint}")
    return (
        f"`{path}` asks for what cannot be checked here, in {n_items} of {total} prompts:{''.join(parts)}\n"
        "Pass `allow_unknown` to leave these prompts out."
    )
