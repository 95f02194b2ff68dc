"""`unflaw curate`: choose, weigh, grade and deal out rows. One sub-command per method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from unflaw._cli._difficulty import difficulty
from unflaw._cli._leave import printable
from unflaw._cli._places import named_path, refuse_file
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._scored import REASON, SCORE, Audited, harmless_in, scores_of
from unflaw._cli._shared import (
    DryRunOption,
    JsonOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    command,
    emit,
    epilog_of,
    mistakes,
    run_step,
)
from unflaw._cli._split import split
from unflaw._cli._verb import Verb
from unflaw._cli._weigh import weigh
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.data import RowReader, Rows, Selection

__all__ = ["curate"]

curate = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None)

_N_SHOWN = 8


@curate.callback(epilog="\b\nExample:\n  unflaw curate filter synthetic.jsonl --run runs/first --worst 0.1")
def _group() -> None:
    """Choose, weigh, grade or deal out rows; the sub-command is the method."""


@command(
    "unflaw curate filter synthetic.jsonl --run runs/first --worst 0.1 --dry-run",
    "unflaw curate filter synthetic.jsonl --run runs/first --keep 1000 --balance label --out kept.jsonl",
    "unflaw curate filter synthetic.jsonl --scores graded.csv --above 0.5 --out kept.jsonl",
)
@reads_rows
def filter(
    synthetic: Annotated[str, typer.Argument(metavar="FILE", help="The rows that were audited.")],
    above: Annotated[
        float | None, typer.Option("--above", show_default=False, help="Rows that score more than this go.")
    ] = None,
    worst: Annotated[
        float | None, typer.Option("--worst", metavar="SHARE", show_default=False, help="This share of the rows goes.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", show_default=False, help="The best N rows stay.")
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option("--balance", metavar="COLUMN", show_default=False, help="Choose alike within each class."),
    ] = None,
    checks: Annotated[
        str | None,
        typer.Option(
            "--checks",
            metavar="NAME,…",
            show_default=False,
            help="Ask only these: the highest counts. All unless given.",
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores", metavar="FILE", show_default=False, help="Columns id and score, in place of an audit's."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", show_default=False, help="RUN/kept.jsonl unless given.")
    ] = None,
    removed: Annotated[
        Path | None,
        typer.Option("--removed", metavar="FILE", show_default=False, help="Beside --out, *-removed, unless given."),
    ] = None,
    *,
    reading: Reading,
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Keep or drop rows by the scores an audit gave them.

    Two files are written: the rows that stay, and those that go with score and reason. With --dry-run nothing is
    written, and what would change is shown.
    """
    from unflaw.curate import filter_rows
    from unflaw.data import write

    rule: dict[str, Any] = {"above": above, "worst": worst, "keep": keep, "balance": balance}
    read_once = cache(partial(_named, reading, synthetic, balance))
    place = partial(_targets, out, removed, run, [synthetic, scores], replace=resume or overwrite, needed=not dry_run)
    audited = cache(partial(Audited.of, run, scores, checks))
    if problems := mistakes(place, audited, lambda: filter_rows(read_once(), {}, **rule)):
        raise SettingsError(problems)
    rows, targets = read_once(), place()
    by_row, reasons = scores_of(audited(), scores, rows)
    chosen = filter_rows(rows, by_row, **rule, reasons=reasons)
    payload = {**_payload(chosen, rows, by_row, balance), "rejected": reading.told(), "dry_run": dry_run}
    if (found := audited()) is not None:
        payload["harmless"] = harmless_in(found, chosen)
    if not dry_run:
        settings = {"rows": synthetic, "scores": scores, "checks": checks, **chosen.settings, **reading.settings()}
        step = run_step(run, "curate filter", [synthetic, scores], settings, resume=resume, overwrite=overwrite)
        with step as folder:
            for path, ids in zip(targets, (chosen.kept, chosen.removed), strict=True):
                write(_part(reading.reader(synthetic), ids, chosen), path)
            if folder is not None:
                folder.add_selection(chosen)
        payload |= {"out": targets[0], "removed_to": targets[1]}
    emit(payload, as_json, None if as_json else _words(payload, chosen, rows))


_METHODS: dict[str, Callable[..., None]] = {"filter": filter, "weigh": weigh, "difficulty": difficulty, "split": split}
for _name, _method in _METHODS.items():
    curate.command(_name, cls=Verb, epilog=epilog_of(_method))(_method)


def _targets(
    out: Path | None,
    removed: Path | None,
    run: Path | None,
    sources: Sequence[str | Path | None],
    *,
    replace: bool,
    needed: bool,
) -> tuple[Path, Path]:
    """Return where both files go; refuse what could not be written before anything is."""
    kept = named_path(out, run if needed else run or Path(), "kept.jsonl")  # a dry run may name neither
    gone = removed or (kept.with_name("removed.jsonl") if out is None else _beside(out))
    files = {"--out": kept, "--removed": gone} if needed else {}
    problems = mistakes(*(partial(refuse_file, flag, path, sources, free=replace) for flag, path in files.items()))
    if kept == gone:
        problems.append(f"`--out` and `--removed` must be two files, got {kept} for both")
    if problems:
        raise SettingsError(problems)
    return kept, gone


def _beside(kept: Path) -> Path:
    """Return where what goes lies unless that is said: beside "kept.v2.jsonl.gz" in "kept.v2-removed.jsonl.gz"."""
    from unflaw.data import suffix_of

    format_at = kept.name.lower().rfind(suffix_of(kept))
    return kept.with_name(f"{kept.name[:format_at]}-removed{kept.name[format_at:]}")


def _named(reading: Reading, path: str, balance: str | None) -> Rows:
    """Read a file, and keep of its rows what names them and their classes: a file may be larger than memory."""
    from unflaw.data import ID, Rows, concatenate

    def light(rows: Rows) -> Rows:
        wanted = {"label": rows.roles.get("label"), balance: rows.roles.get(balance or "", balance)}
        names = [n for n in dict.fromkeys([ID, *wanted.values()]) if n in rows.table.column_names]
        if balance is not None and wanted[balance] not in names:  # it will be refused, by the names there are
            names = rows.table.column_names
        roles = {role: name for role, name in rows.roles.items() if name in names}
        return Rows(rows.table.select(names), roles, rows.schema, rows.source)

    reader = reading.reader(path)
    parts = [light(rows) for rows in reader]
    return Rows(concatenate([part.table for part in parts]), parts[0].roles, reader.schema, path)


def _part(reader: RowReader, ids: Sequence[str], chosen: Selection) -> Iterator[Rows]:
    """Yield these rows, batch by batch; those that go say why. Where there are none, an empty batch."""
    wanted, gone = set(ids), bool(ids) and ids[0] in chosen.reasons
    for n, rows in enumerate(reader):
        part = rows.only(wanted)
        if gone and len(part):
            part = part.with_column(SCORE, [chosen.scores[i] for i in part.ids])
            part = part.with_column(REASON, [chosen.reasons[i] for i in part.ids])
        if len(part) or (n == 0 and not wanted):
            yield part


def _payload(chosen: Selection, rows: Rows, scores: Mapping[str, float], balance: str | None) -> dict[str, Any]:
    def mean(ids: Sequence[str]) -> float | None:
        return sum(scores.get(i, 0.0) for i in ids) / len(ids) if ids else None

    reasons = Counter(part for said in chosen.reasons.values() for part in said.split("; "))
    payload = {
        "rows": len(rows), "kept": len(chosen.kept), "removed": len(chosen.removed),
        "mean_score": {"before": mean(rows.ids), "kept": mean(chosen.kept), "removed": mean(chosen.removed)},
        "cut": {
            "kept_up_to": max((scores.get(i, 0.0) for i in chosen.kept), default=None),
            "removed_from": min(chosen.scores.values(), default=None),
        },
        "reasons": dict(reasons.most_common(_N_SHOWN)), "settings": dict(chosen.settings),
    }  # fmt: skip
    column = balance or ("label" if rows.has("label") else None)
    if column is not None:
        of = dict(zip(rows.ids, ["(none)" if v is None else str(v) for v in rows.column(column)], strict=True))
        before, after = Counter(of.values()), Counter(of[i] for i in chosen.kept)
        payload["classes"] = {c: {"before": n, "kept": after[c]} for c, n in before.most_common(50)}
    return payload


def _words(payload: Mapping[str, Any], chosen: Selection, rows: Rows) -> Group:
    would = "would stay" if payload["dry_run"] else "stay"
    means = ", ".join(f"{k} {v:.3f}" for k, v in payload["mean_score"].items() if v is not None)
    parts: list[Any] = [
        Text(f"{payload['kept']:,} of {payload['rows']:,} rows {would}, {payload['removed']:,} go; mean score {means}"),
        *([] if (cut := payload["cut"]["removed_from"]) is None else [Text(f"the lowest score to go is {cut:.3f}")]),
    ]
    if classes := payload.get("classes"):
        table = Table(show_edge=False, pad_edge=False)
        for head in ("class", "rows", "kept"):
            table.add_column(head, overflow="fold")
        for name, n in classes.items():
            table.add_row(Text(printable(name)), f"{n['before']:,}", f"{n['kept']:,}")
        parts += [Text(), table]
    if payload["reasons"]:
        table = Table(show_edge=False, pad_edge=False)
        for head in ("rows that go", "because"):
            table.add_column(head, overflow="fold")
        for reason, n in payload["reasons"].items():
            table.add_row(f"{n:,}", Text(printable(reason)))
        parts += [Text(), table]
    if (of := payload.get("harmless")) and of["rows"]:
        parts += [Text(), Text(_for_nothing(of))]
    if not payload["dry_run"]:
        files = (("kept", "out"), ("removed", "removed_to"))
        parts += [Text(), *(Text(f"{payload[n]:,} rows → {payload[to]}") for n, to in files)]
    return Group(*parts)


def _for_nothing(of: Mapping[str, Any]) -> str:
    """Say which rows go for a flaw whose harm we could not measure, and what to ask instead."""
    ask = f"; if you need them, --checks {','.join(of['others'])} lets them stay" if of["others"] else ""
    return (
        f"{of['rows']:,} of the rows that go have only flaws whose harm to a model our runs could not tell from noise "
        f"({', '.join(of['findings'])}), and fewer rows teach less{ask}"
    )
