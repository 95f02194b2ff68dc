"""`unflaw inspect`: what a file holds, before anything is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unflaw._cli._leave import printable
from unflaw._cli._reading import ColumnsOption, OnTruncated, OnTruncatedOption, SchemaOption, column_roles
from unflaw._cli._shared import JsonOption, LimitOption, bar, command, emit

if TYPE_CHECKING:
    from unflaw.data import Inspection

__all__ = ["inspect"]


@command("unflaw inspect answers.jsonl", "unflaw inspect pairs.csv --columns prompt=q,response=a --json")
def inspect(
    path: Annotated[str, typer.Argument(metavar="FILE", help="File, data set folder, or hub:owner/name.")],
    schema: SchemaOption = None,
    columns: ColumnsOption = None,
    on_truncated: OnTruncatedOption = OnTruncated.error,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a file holds: schema, counts, lengths, example rows."""
    from unflaw.data import inspect as look

    with bar("reading") as progress:
        seen = look(
            path, schema=schema, columns=column_roles(columns), limit=limit, progress=progress,
            on_truncated=on_truncated.value,
        )  # fmt: skip
    emit(seen, as_json, words=None if as_json else _words(seen))


def _words(seen: Inspection) -> RenderableType:
    head = _text(f"{seen.source}: {seen.schema}, {seen.n_rows:,} rows", style="bold")
    parts: list[RenderableType] = [head, *(_text(f"! {warning}", style="yellow") for warning in seen.warnings)]
    parts.append(_table("Columns", ["name", "role", "type", "empty"], [
        [c.name, c.role, c.type, f"{c.n_null:,}" if c.n_null else ""] for c in seen.columns
    ]))  # fmt: skip
    lengths = [[role, one.unit, *(f"{n:,}" for n in (one.min, one.median, one.p95, one.max))]
               for role, both in seen.lengths.items() for one in both]  # fmt: skip
    parts.append(_table("Lengths", ["role", "in", "least", "median", "95 %", "most"], lengths))
    parts.append(_table("Labels", ["label", "rows"], [[name, f"{n:,}"] for name, n in list(seen.labels.items())[:20]]))
    parts.append(_table("No rows, because", ["reason", "lines"], [[why, f"{n:,}"] for why, n in seen.reasons.items()]))
    rejected = [[str(r.line), r.reason, _short(r.excerpt, 60)] for r in seen.rejected]
    parts.append(_table("First lines that are no rows", ["line", "reason", "begins"], rejected))
    examples = [[str(i), name, _short(str(value), 160)] for i, row in enumerate(seen.examples, 1)
                for name, value in row.items() if value not in (None, "")]  # fmt: skip
    parts.append(_table("First rows", ["row", "role" if seen.roles else "column", "says"], examples))
    return Group(*(part for part in parts if not isinstance(part, Table) or part.row_count))


def _table(title: str, heads: list[str], rows: list[list[str]]) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(words: str, style: str = "") -> Text:
    """Make text of words that may come from the file."""
    return Text(printable(words), style=style)


def _short(text: str, most: int) -> str:
    flat = " ".join(printable(text).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
