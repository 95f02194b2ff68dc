"""A labelled-text task: what is written, which labels there are, how long a text is.

Read from a small file:

    task: one sentence of a film review
    labels:
      positive: the critic praises the film
      negative: the critic finds fault with the film
    words: 10-30
    context: You are a film critic who writes for a newspaper.
    examples: real.jsonl

`context` and `examples`, real rows to show, may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unflaw._errors import DataError, SettingsError, did_you_mean

__all__ = ["TextTask", "read_task"]

_KEYS = ("task", "labels", "words", "context", "examples")


@dataclass(frozen=True)
class TextTask:
    """What labelled texts are asked for."""

    task: str
    """What one text is, e.g. "one sentence of a film review"."""
    labels: Mapping[str, str]
    """Label → what it means, in words that can follow "which means:"; may be empty."""
    words: tuple[int, int] = (5, 40)
    """Fewest and most words of a text; a Chinese or Japanese character counts as one."""
    context: str = ""
    """Who writes, and where; made from `task` where there is none."""
    examples: str = ""
    """File of real rows with `text` and `label`, for few-shot prompts."""

    def __post_init__(self) -> None:
        problems = [] if self.task.strip() else ["`task` must say what one text is, got nothing"]
        if problems := problems + _problems_of_values(self.labels, self.words):
            raise SettingsError(problems)


def read_task(path: str | Path) -> TextTask:
    """Read a task from YAML or JSON; `examples` is taken from beside the file.

    Raises
    ------
    DataError
        There is no such file, or it is not YAML.
    SettingsError
        Keys or values are wrong: all mistakes at once.
    """
    import yaml

    class Loader(yaml.BaseLoader):  # all scalars as they are written
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} comes twice", key.start_mark)
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=deep)

    path = Path(path)
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except OSError as error:
        raise DataError(f"`{path}` must be a task file: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"`{path}` must hold `task:` and `labels:`, got {type(found).__name__}")
    problems = [f"`{key}` is unknown in {path}. {did_you_mean(str(key), _KEYS)}" for key in found if key not in _KEYS]
    problems += [f"`{key}` is missing in {path}" for key in ("task", "labels") if not found.get(key)]
    problems += [
        f"`{key}` of {path} must be text, got {type(found[key]).__name__}"
        for key in ("task", "context", "examples")
        if found.get(key) is not None and not isinstance(found[key], str)
    ]
    labels = _labels(found.get("labels"), problems)
    words = _words(found.get("words", "5-40"), problems)
    if problems:
        raise SettingsError(problems + _problems_of_values(labels or None, words))
    examples = found.get("examples") or ""
    near = path.parent / examples
    return TextTask(
        found["task"].strip(), labels, words, (found.get("context") or "").strip(),
        str(near) if examples and near.exists() else examples,
    )  # fmt: skip


def _problems_of_values(labels: Mapping[str, str] | None, words: tuple[int, int]) -> list[str]:
    """Say which values break their rule; labels that could not be read have been spoken of."""
    problems = []
    if labels is not None and len(labels) < 2:
        problems.append(f"`labels` must name two labels at least, got {list(labels)}")
    if blank := [label for label in labels or () if not str(label).strip()]:
        problems.append(f"`labels` must have names, got {blank[0]!r}")
    elif loose := [label for label in labels or () if str(label) != str(label).strip()]:
        problems.append(f"`labels` must have no white space around them, got {loose[0]!r}")
    low, high = words
    if not 1 <= low <= high:
        problems.append(f"`words` must be the fewest and the most words, like 10-30, got {low}-{high}")
    return problems


def _labels(given: Any, problems: list[str]) -> dict[str, str]:
    if isinstance(given, list) and all(isinstance(label, str) for label in given):
        if twice := sorted({label for label in given if given.count(label) > 1}):
            problems.append(f"`labels` must name each label once, got {twice[0]!r} twice")
        given = dict.fromkeys(given, "")
    if given is None or given == "":
        return {}
    if isinstance(given, Mapping) and not any(isinstance(v, (list, dict)) for v in given.values()):
        return {str(label): " ".join(str(v or "").split()) for label, v in given.items()}
    problems.append(f"`labels` must map each label to what it means, or list them, got {given!r}")
    return {}


def _words(given: Any, problems: list[str]) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*(?:-|–|to)\s*(\d+)\s*", str(given))
    if match is None:
        problems.append(f"`words` must be the fewest and the most words, like 10-30, got {given!r}")
        return 1, 1
    return int(match[1]), int(match[2])
