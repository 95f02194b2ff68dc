"""Everything that can go wrong, as one tree. The one file every room may import.

UnflawError                 anything unflaw refuses or cannot do
├── UsageError              the call is wrong: exit code 2 on the command line
│   ├── SchemaError         the columns of a file fit no known schema
│   ├── SpecError           a model spec string names nothing we can open
│   ├── SettingsError       one or more settings break their rule (all are listed)
│   └── OtherWorkError      a work folder holds the work of another call
├── DataError               a file cannot be read or holds nothing usable: exit code 2
│   └── WriteError          a file cannot be written, e.g. on a full disk: exit code 1
├── TooFewRowsError         the statistic would mislead on so few rows: exit code 2
├── MissingExtraError       an optional dependency is not installed: exit code 2
├── RunFolderError          the run folder belongs to other settings, or is in use: exit code 2
├── ModelCallError          a model or server failed after all retries: exit code 1
├── EngineError             the workers of an engine cannot be reached, or die again and again: exit code 1
└── GateError               `--fail-on` was met: exit code 3
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "DataError",
    "EngineError",
    "GateError",
    "MissingExtraError",
    "ModelCallError",
    "OtherWorkError",
    "RunFolderError",
    "SchemaError",
    "SettingsError",
    "SpecError",
    "TooFewRowsError",
    "UnflawError",
    "UsageError",
    "WriteError",
    "did_you_mean",
]


class UnflawError(Exception):
    """Anything unflaw refuses or cannot do. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(UnflawError):
    """The call is wrong; nothing was done."""

    exit_code = 2


class SchemaError(UsageError):
    """The columns of a file fit no known schema."""


class SpecError(UsageError):
    """A model spec string names nothing we can open."""


class SettingsError(UsageError):
    """One or more settings break their rule.

    Collect every mistake first, then raise once: a user who fixes one error at a time
    and reruns is a user we have annoyed.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        head = "" if len(self.problems) == 1 else f"{len(self.problems)} problems:\n  - "
        Exception.__init__(self, head + "\n  - ".join(self.problems))


class OtherWorkError(UsageError):
    """A work folder holds the work of another call."""


class DataError(UnflawError):
    """A file cannot be read, or holds nothing usable."""

    exit_code = 2


class WriteError(DataError):
    """A file cannot be written; what was there before is untouched."""

    exit_code = 1


class TooFewRowsError(UnflawError):
    """The statistic would mislead on so few rows."""

    exit_code = 2


class MissingExtraError(UnflawError):
    """An optional dependency is not installed."""

    exit_code = 2

    def __init__(self, module: str, extra: str) -> None:
        Exception.__init__(self, module, extra)  # so that it can be pickled

    def __str__(self) -> str:
        module, extra = self.args
        return f"`{module}` is not installed; it comes with: pip install 'unflaw[{extra}]'"


class RunFolderError(UnflawError):
    """The run folder belongs to other settings, or is in use."""

    exit_code = 2


class ModelCallError(UnflawError):
    """A model or server failed after all retries."""


class EngineError(UnflawError):
    """The workers of an engine cannot be reached, or die again and again."""


class GateError(UnflawError):
    """`--fail-on` was met: the command did its work and the answer is no."""

    exit_code = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say the nearest known name, or list the known ones.

    >>> did_you_mean("repiar", ["audit", "repair"])
    "Did you mean 'repair'?"
    """
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(options)}."
