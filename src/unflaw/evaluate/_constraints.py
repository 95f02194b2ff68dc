"""Every kind of constraint: its check, and how to ask for it in words.

A check alone is not enough: an empty answer has no commas. So a constraint counts as met only
when the answer has at least three words, except for the kinds that ask for something brief
(`brief=True`: a yes, one option, JSON, one line of symbols); an answer of white space never counts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unflaw._errors import SettingsError, did_you_mean
from unflaw.evaluate._kinds import KINDS
from unflaw.evaluate._pieces import words

__all__ = ["LEAST_WORDS", "Constraint", "constraint_table"]

LEAST_WORDS = 3
"""An answer of fewer words earns no credit, unless the kind is brief."""


@dataclass(frozen=True)
class Constraint:
    """A kind with its parameters: something an answer either meets or does not."""

    kind: str
    """A key of `KINDS`."""
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(
                f"`kind` must be a known constraint, got {self.kind!r}. {did_you_mean(self.kind, KINDS)}"
            )
        takes = inspect.signature(KINDS[self.kind].check).parameters
        try:
            inspect.signature(KINDS[self.kind].check).bind("", **self.params)
        except TypeError as error:
            wanted = [name for name in takes if name != "response"]
            raise SettingsError(
                f"`params` of {self.kind!r} must be {wanted}, got {sorted(self.params)} ({error})"
            ) from None

    def met(self, response: str) -> bool:
        """Whether the answer meets it."""
        kind = KINDS[self.kind]
        enough = bool(response.strip()) and (kind.brief or len(words(response)) >= LEAST_WORDS)
        return enough and kind.check(response, **self.params)

    @property
    def text(self) -> str:
        """The request in words.

        >>> Constraint("contains", {"phrases": ["red", "blue"]}).text
        'Include "red" and "blue".'
        """
        asked = KINDS[self.kind].ask.format(**{k: _spoken(v) for k, v in self.params.items()})
        return re.sub(r"\b(?<!-)1 (\w+?)s\b", r"1 \1", asked)  # "1 lines"


def _spoken(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    quoted = [f'"{v}"' for v in value]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def constraint_table() -> str:
    """Write the kinds as a markdown table: name, how it is asked for, when it is met."""
    head = "| constraint | asked as | met when |\n|---|---|---|"
    body = []
    for name, kind in KINDS.items():
        ask = Constraint(name, kind.example).text.replace("|", "\\|").replace("<", "&lt;")
        rule = (
            (inspect.getdoc(kind.check) or "")
            .splitlines()[0]
            .removeprefix("Whether ")
            .replace("|", "\\|")
            .replace("<", "&lt;")
        )
        body.append(f"| `{name}`{' (brief)' if kind.brief else ''} | {ask} | {rule} |")
    return "\n".join([head, *body])
