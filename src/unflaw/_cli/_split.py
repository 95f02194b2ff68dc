"""`unflaw curate split`: labelled rows dealt out so that none serves two ends."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from unflaw._cli._leave import printable
from unflaw._cli._places import refuse_sources, refuse_there
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import DryRunOption, JsonOption, OverwriteOption, SeedOption, command, emit, mistakes
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.data import Rows

__all__ = ["split"]


@command("unflaw curate split real.jsonl --parts checker=200,validation=100,test=0.5 --out parts")
@reads_rows
def split(
    rows: Annotated[str, typer.Argument(metavar="FILE", help="Rows, e.g. all real ones there are.")],
    parts: Annotated[
        str, typer.Option("--parts", metavar="NAME=SIZE,…", help="Shares in (0, 1], or numbers of rows, per part.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Each part goes to NAME.jsonl there.")],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="COLUMN", show_default="label", help="Dealt in proportion."),
    ] = None,
    *,
    reading: Reading,
    seed: SeedOption = 0,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deal rows out to parts, rows of one text to one part, each label in the same proportions."""
    from unflaw.curate import split as split_rows
    from unflaw.data import write

    if problems := mistakes(partial(_places, parts, out, rows, free=overwrite or dry_run)) + reading.problems(rows):
        raise SettingsError(problems)
    data = reading.rows(rows)
    places = _places(parts, out, rows, free=True)
    by = by or ("label" if data.has("label") else None)
    dealt = split_rows(data, {name: size for name, (size, _) in places.items()}, by=by, seed=seed)
    if bare := [name for name, ids in dealt.items() if not ids]:
        raise SettingsError(
            f"`--parts` must leave every part a row, got none for {bare} of {len(data):,} rows; ask for more rows, "
            "unless most share one text or question, which goes to one part"
        )
    told: dict[str, Any] = {}
    for name, (_, path) in places.items():
        part = data.only(dealt[name])
        told[name] = {"rows": len(part), "out": path, "by": {} if by is None else _counts(part, by)}
        if not dry_run:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part, path)
    left = len(data) - sum(part["rows"] for part in told.values())
    payload = {"rows": len(data), "left_out": left, "parts": told, "rejected": reading.told(), "dry_run": dry_run}
    emit(payload, as_json, None if as_json else _words(payload))


def _places(parts: str, out: Path, source: str, *, free: bool) -> dict[str, tuple[float, Path]]:
    """Return the size and the file of each part; refuse files that are there unless they may be replaced."""
    places = {name: (size, out / f"{name}.jsonl") for name, size in _sizes(parts).items()}
    paths = [path for _, path in places.values()]
    refuse_sources([("--out", path) for path in paths], [source])
    refuse_there("--out", paths, free=free)
    return places


def _counts(part: Rows, by: str) -> dict[str, int]:
    return dict(sorted(Counter("(none)" if v is None else str(v) for v in part.column(by)).items()))


def _words(payload: dict[str, Any]) -> Group:
    table = Table(show_edge=False, pad_edge=False)
    for head in ("part", "rows", "of each", "file"):
        table.add_column(head, overflow="fold")
    for name, part in payload["parts"].items():
        each = ", ".join(f"{label} {n:,}" for label, n in part["by"].items())
        table.add_row(Text(name), f"{part['rows']:,}", Text(printable(each)), Text(str(part["out"])))
    left = f"{payload['left_out']:,} of {payload['rows']:,} rows are in no part"
    return Group(table, Text(left))


def _sizes(parts: str) -> dict[str, float]:
    """Read "NAME=SIZE,NAME=SIZE". Raises SettingsError with all items that will not do."""
    sizes: dict[str, float] = {}
    wrong = []
    for item in map(str.strip, parts.split(",")):
        name, _, size = item.partition("=")
        number = re.fullmatch(r"\d+(?:\.\d+)?|\.\d+", size)
        if number is None or not float(size) or not name or name != Path(name).name or name in sizes:
            wrong.append(f"`--parts` must read NAME=SIZE,NAME=SIZE, each name once, and {item!r} will not do")
        else:
            sizes[name] = float(size)
    if wrong:
        raise SettingsError(wrong)
    return sizes
