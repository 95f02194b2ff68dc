"""How files of rows are read: four options that mean the same on every verb that reads rows.

A verb takes `reading: Reading` and calls `reading.rows(path)`; `reads_rows` puts the options in its place.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from unflaw._cli._leave import printable
from unflaw._cli._shared import console, mistakes
from unflaw._errors import SchemaError, SettingsError

if TYPE_CHECKING:
    from unflaw.data import Rejection, RowReader, Rows, RunFolder

__all__ = ["ColumnsOption", "OnTruncated", "OnTruncatedOption", "Reading", "SchemaOption", "column_roles", "reads_rows"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_N_TOLD = 3
"""Lines that are no rows, named at the terminal and in JSON."""


class Ids(StrEnum):
    """Where the names of rows come from."""

    auto = "auto"
    file = "file"
    content = "content"


class OnTruncated(StrEnum):
    """What becomes of a compressed file that ends too early."""

    error = "error"
    keep = "keep"


SchemaOption = Annotated[
    str | None, typer.Option("--schema", metavar="NAME", show_default=False, help="Read rows as this schema.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="ROLE=COLUMN,…",
        show_default=False,
        help="Which column plays which role.",
    ),
]
IdsOption = Annotated[Ids, typer.Option("--ids", help="Name rows by the file's ids or by what they say.")]
OnTruncatedOption = Annotated[
    OnTruncated, typer.Option("--on-truncated", help="Refuse a cut-off file, or keep what it has.")
]


@dataclass
class Reading:
    """Options of reading, and what became no row so far. A verb's options are the fields given at its making."""

    schema: SchemaOption = None
    columns: ColumnsOption = None
    ids: IdsOption = Ids.auto
    on_truncated: OnTruncatedOption = OnTruncated.error
    rejected: dict[str, list[Rejection]] = field(default_factory=dict, init=False)
    """File read so far → its lines that are no rows; of what was read in parts, the first of each."""
    readers: dict[str, RowReader] = field(default_factory=dict, init=False)
    """File → what reads it."""

    def rows(self, path: str, limit: int | None = None) -> Rows:
        """Read a file, and say at the terminal how many of its lines became no row.

        The first file must fit `schema` and `columns`. Later ones are recognised by themselves where they do not:
        real rows need not have the columns of the synthetic ones.
        """
        rows, lines = self._read(path, limit, first=self._is_first(path))
        self.rejected[path] = lines
        self._tell(path, len(lines))
        return rows

    def reader(self, path: str, limit: int | None = None) -> RowReader:
        """Return what reads a file, by the same rules as `rows`; call `told` when all was read."""
        from unflaw.data import RowReader

        self.rejected[path] = []  # the first file is the first although it may not fit
        self.readers[path], self.rejected[path] = self._recognised(RowReader, path, limit, first=self._is_first(path))
        return self.readers[path]

    def told(self) -> dict[str, Any]:
        """Return how many lines of each file became no row, for `--json`; say it where `rows` has not said it yet."""
        for path, reader in self.readers.items():
            self._tell(path, reader.n_rejected)
        sizes = {path: len(lines) for path, lines in self.rejected.items()}
        sizes |= {path: reader.n_rejected for path, reader in self.readers.items()}  # which list the first alone
        return {
            path: {"lines": n, "first": [{"line": line, "reason": why} for line, why in self._first(path)]}
            for path, n in sizes.items()
            if n
        }

    def _first(self, path: str) -> list[tuple[int, str]]:
        from unflaw.data import mask

        return [(line.line, mask(line.reason)) for line in self.rejected[path][:_N_TOLD]]

    def _tell(self, path: str, n: int) -> None:
        if n:
            told = "; ".join(f"line {line}: {why}" for line, why in self._first(path))
            more = f"; and {n - _N_TOLD:,} more, which --run keeps in rejected.jsonl" if n > _N_TOLD else ""
            console.print(printable(f"{path}: {n:,} lines became no row: {told}{more}"), soft_wrap=True)

    def problems(self, *paths: str | None) -> list[str]:
        """Say what is wrong with files, as far as their first row tells; silent about those not given."""
        given = [path for path in paths if path is not None]
        return mistakes(*(partial(self._read, path, 1, first=path == given[0]) for path in given))

    def _is_first(self, path: str) -> bool:
        return next(iter(self.rejected), path) == path

    def _read(self, path: str, limit: int | None, *, first: bool) -> tuple[Rows, list[Rejection]]:
        from unflaw.data import read

        return self._recognised(read, path, limit, first=first)

    def _recognised(
        self, make: Callable[..., T], path: str, limit: int | None, *, first: bool
    ) -> tuple[T, list[Rejection]]:
        """Make a reader or rows of a file, by `schema` and `columns` where they fit; its rejected lines as well."""
        lines: list[Rejection] = []
        how = self._how(limit, lines)
        try:
            return make(path, schema=self.schema, columns=column_roles(self.columns), **how), lines
        except SchemaError:
            if first:
                raise
            lines.clear()
            return make(path, **how), lines

    def _how(self, limit: int | None, lines: list[Rejection]) -> dict[str, Any]:
        return {
            "limit": limit, "on_reject": lines.append, "ids": self.ids.value, "on_truncated": self.on_truncated.value,
        }  # fmt: skip

    def keep(self, folder: RunFolder | None) -> None:
        """Write the lines that are no rows to the run folder's `rejected.jsonl`."""
        for path, lines in self.rejected.items() if folder is not None else ():
            folder.add_rejected(lines, path)  # type: ignore[union-attr]

    def settings(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, for a manifest."""
        given = {name: (getattr(self, name), option.default) for name, option in _options().items()}
        return {name: str(value) for name, (value, default) in given.items() if value != default}

    def flags(self) -> str:
        """Return the options that differ from their defaults as they are typed, each after a blank."""
        return "".join(f" --{k.replace('_', '-')} {shlex.quote(value)}" for k, value in self.settings().items())


def _options() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(Reading, eval_str=True).parameters


def reads_rows(function: F) -> F:
    """Put the options of reading in the place of a verb's parameter `reading`."""
    signature, options = inspect.signature(function, eval_str=True), _options()
    kept = [p for p in signature.parameters.values() if p.name != "reading"]
    at = next((i for i, p in enumerate(kept) if p.name in ("limit", "as_json")), len(kept))
    ordered = [p.replace(kind=p.KEYWORD_ONLY) for p in (*kept[:at], *options.values(), *kept[at:])]

    @wraps(function)
    def verb(**given: Any) -> Any:
        return function(reading=Reading(**{name: given.pop(name) for name in options}), **given)

    verb.__signature__ = signature.replace(parameters=ordered)  # type: ignore[attr-defined]
    return verb  # type: ignore[return-value]


def column_roles(text: str | None) -> dict[str, str]:
    """Read "ROLE=COLUMN,ROLE=COLUMN"."""
    pairs = [item.partition("=") for item in text.split(",")] if text else []
    if wrong := [role for role, equals, column in pairs if not (role and equals and column)]:
        raise SettingsError(f"`--columns` must read ROLE=COLUMN,ROLE=COLUMN, got {text!r} ({wrong[0]!r} has no column)")
    return {role.strip(): column.strip() for role, _, column in pairs}
