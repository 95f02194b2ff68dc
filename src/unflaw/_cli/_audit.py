"""`unflaw audit`: what is wrong with a data set, and which rows carry it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unflaw._cli._leave import printable
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    SeedOption,
    bar,
    command,
    console,
    emit,
)
from unflaw._errors import GateError, SettingsError, did_you_mean

if TYPE_CHECKING:
    from unflaw.audit import Audit, Check
    from unflaw.data import Finding, Rows

__all__ = ["FailOn", "audit"]

_N_WORST = 5
_N_KEPT = 200
"""Worst rows whose text goes to the run folder, for the report to show."""
_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


class FailOn(StrEnum):
    """From which verdict on the command fails."""

    warn = "warn"
    fail = "fail"


@command(
    "unflaw audit synthetic.jsonl --reference real.jsonl --run runs/first",
    "unflaw audit synthetic.jsonl --reference real.jsonl --holdout test.jsonl --fail-on warn --json",
    "unflaw audit kept.jsonl --reference real.jsonl --against synthetic.jsonl",
)
@reads_rows
def audit(
    synthetic: Annotated[str, typer.Argument(metavar="FILE", help="Synthetic rows: file, folder, or hub:owner/name.")],
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="REAL", show_default=False, help="Real rows of the same kind."),
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option("--holdout", metavar="TEST", show_default=False, help="Rows no one may train on; copies fail."),
    ] = None,
    checks: Annotated[
        str | None,
        typer.Option("--checks", metavar="NAME,…", show_default=False, help="Ask only these; all unless given."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="SPEC", show_default=False, help="Model that measures perplexity.")
    ] = None,
    model_after: Annotated[
        str | None,
        typer.Option("--model-after", metavar="SPEC", show_default=False, help="The same after training on the rows."),
    ] = None,
    encoder: Annotated[str, typer.Option("--encoder", metavar="SPEC", help="Turns texts into vectors.")] = "potion",
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="EARLIER", show_default=False, help="Compare with this version of the set."),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", show_default=False, help="Exit with code 3 from this verdict on, for use in CI."),
    ] = None,
    allow_few: Annotated[bool, typer.Option("--allow-few", help="Answer even where so few rows mislead.")] = False,
    *,
    reading: Reading,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a data set, and which rows carry it."""
    from unflaw.audit import audit as ask
    from unflaw.audit import default_checks
    from unflaw.data import open_run

    chosen = _chosen(default_checks(seed, allow_few), checks)
    if checks is not None:
        _refuse_unasked(chosen, {"reference": reference, "log_probs": model, "log_probs_after": model_after})
    sources = {"rows": synthetic, "reference": reference, "holdout": holdout, "against": against}
    rows = {name: reading.rows(path, limit) for name, path in sources.items() if path is not None}
    if dry_run:
        sizes = {name: len(r) for name, r in rows.items()}
        emit({"checks": [check.name for check in chosen], **sizes}, as_json, _plan(chosen, sizes))
        return
    settings = {
        **sources, "checks": [check.name for check in chosen], "model": model, "model_after": model_after,
        "encoder": encoder, "allow_few": allow_few, "limit": limit, "seed": seed,
        **reading.settings(),
    }  # fmt: skip
    inputs = [path for path in sources.values() if path is not None and Path(path).exists()]
    with ExitStack() as stack:
        folder = None
        if run is not None:
            opened = open_run(
                run, settings=settings, command="audit", inputs=inputs, resume=resume, overwrite=overwrite
            )
            folder = stack.enter_context(opened)
            reading.keep(folder)
        progress = stack.enter_context(bar("rows looked at"))
        alike = partial(
            ask, reference=rows.get("reference"), holdout=rows.get("holdout"), checks=chosen, encoder=encoder,
            scorer=model, scorer_after=model_after, seed=seed, device=device, progress=progress,
        )  # fmt: skip
        found = alike(rows["rows"])
        before = alike(rows["against"]) if against is not None else None
        if folder is not None:
            folder.add_findings(found.findings)
            folder.add_row_columns(found.row_columns())
            folder.add_rows(_worst_rows(found, rows["rows"]))
    payload, words = _payload(found), [] if as_json else [_words(found, rows["rows"])]
    if before is not None:
        payload["against"] = _turned(found, before)
        words += [] if as_json else [Text(), _against_table(payload["against"])]
    emit(payload, as_json, Group(*words))
    if run is not None:
        console.print(f"findings and row scores are in {run}", soft_wrap=True)
    _gate(found, fail_on)


def _chosen(known: Sequence[Check], wanted: str | None) -> list[Check]:
    by_name = {check.name: check for check in known}
    names = list(by_name) if wanted is None else [name.strip() for name in wanted.split(",")]
    if strangers := [name for name in names if name not in by_name]:
        raise SettingsError([f"`--checks` knows no {name!r}. {did_you_mean(name, by_name)}" for name in strangers])
    return [by_name[name] for name in dict.fromkeys(names)]


def _refuse_unasked(chosen: Sequence[Check], given: dict[str, str | None]) -> None:
    """Refuse a check that was named and lacks its input: a gate must not pass what was never asked."""
    flags = {"reference": "--reference", "log_probs": "--model", "log_probs_after": "--model-after"}
    lacks = {check.name: [flag for n, flag in flags.items() if n in check.needs and not given[n]] for check in chosen}
    problems = [f"`--checks` names {name!r}, which needs {', '.join(lack)}" for name, lack in lacks.items() if lack]
    if problems:
        raise SettingsError(problems)


def _plan(chosen: Sequence[Check], sizes: dict[str, int]) -> Text:
    counted = ", ".join(f"{n:,} {name if name == 'rows' else name + ' rows'}" for name, n in sizes.items())
    return Text(f"would ask {', '.join(check.name for check in chosen)} of {counted}")


def _worst_rows(found: Audit, rows: Rows) -> Rows:
    """Pick the rows a report will want to quote, masked: the worst overall, and the worst of each finding."""
    from unflaw.data import ID

    wanted = set(found.worst(_N_KEPT))
    for finding in found.findings:
        wanted |= set(sorted(finding.row_scores, key=lambda i: (-finding.row_scores[i], i))[:_N_KEPT])
    worst = rows.take([at for at, row_id in enumerate(rows.ids) if row_id in wanted])
    for name in set(worst.table.column_names) - {ID}:
        said = worst.column(name)
        if (masked := [_masked(value) for value in said]) != said:
            worst = worst.with_column(name, masked)
    return worst


def _masked(value: Any) -> Any:
    """Mask keys and contacts in whatever a column may hold."""
    from unflaw.measure import mask

    match value:
        case str():
            return mask(value)
        case list():
            return [_masked(item) for item in value]
        case dict():
            return {key: _masked(item) for key, item in value.items()}
    return value


def _payload(found: Audit) -> dict[str, Any]:
    from unflaw.data import to_json

    scores, reasons = found.row_scores(), found.row_reasons()
    return {
        "verdict": found.verdict,
        "findings": [{k: v for k, v in to_json(f).items() if not k.startswith("row_")} for f in found.findings],
        "skipped": dict(found.skipped),
        "worst_rows": [{"id": i, "score": scores[i], "reason": reasons.get(i, "")} for i in found.worst(_N_WORST)],
        "settings": dict(found.settings),
    }


def _words(found: Audit, rows: Rows) -> RenderableType:
    from unflaw.report import by_harm

    shown = [f for f in by_harm(found.findings) if f.verdict != "ok"] or found.findings
    table = Table(show_edge=False, pad_edge=False)
    for head in ("check", "value", "real vs real", "verdict"):
        table.add_column(head, overflow="fold")
    for f in shown:
        control = _number(f.control, f.control_low, f.control_high)
        verdict = Text(f.verdict, style=_STYLE[f.verdict])
        table.add_row(Text(f.check), Text(_number(f.value, f.low, f.high)), Text(control), verdict)
    parts: list[RenderableType] = [table, Text()]
    parts += [
        Text.assemble((f"{f.verdict} {f.check}: ", _STYLE[f.verdict]), printable(f"{f.title}. {f.meaning}"))
        for f in shown
        if f.verdict != "ok"
    ]
    fine = [f.check for f in found.findings if f not in shown]
    parts += [Text(f"ok: {', '.join(fine)}", style=_STYLE["ok"])] if fine else []
    parts += [Text(f"not asked: {name}: {_flags(why)}", style="dim") for name, why in found.skipped.items()]
    if found.verdict != "ok":
        parts += [Text(), _worst_table(found, rows)]
    return Group(*parts)


def _turned(found: Audit, before: Audit) -> dict[str, Any]:
    """Say which rows and which findings changed since an earlier version."""
    from unflaw.audit import changes

    now, then = set(found.ids), set(before.ids)
    return {
        "rows": {"added": len(now - then), "removed": len(then - now), "kept": len(now & then)},
        "changes": [
            {
                "check": change.check,
                "turn": change.turn,
                **{f"{when}_{what}": getattr(f, what) if f else None
                   for when, f in (("before", change.before), ("now", change.now)) for what in ("value", "verdict")},
            }
            for change in changes(found, before)
        ],
    }  # fmt: skip


def _against_table(turned: dict[str, Any]) -> Group:
    """Show what changed, and name what did not."""
    table = Table(title="Against the earlier version", title_justify="left", show_edge=False, pad_edge=False)
    for head in ("check", "before", "now", ""):
        table.add_column(head, overflow="fold")
    style = {"worse": "bold red", "better": "green"}
    for change in turned["changes"]:
        if change["turn"] != "same":
            cells = (
                f"{_number(change[f'{w}_value'], None, None)} {change[f'{w}_verdict'] or ''}" for w in ("before", "now")
            )
            turn = Text(change["turn"], style=style.get(change["turn"], ""))
            table.add_row(Text(change["check"]), *map(Text, cells), turn)
    n = turned["rows"]
    same = [change["check"] for change in turned["changes"] if change["turn"] == "same"]
    rows = f"{n['added']:,} rows added, {n['removed']:,} removed, {n['kept']:,} kept"
    return Group(*([table] if table.row_count else []), Text(rows), Text(f"same: {', '.join(same) or 'nothing'}"))


def _flags(why: str) -> str:
    """Say the flag where the library says its argument."""
    for argument, flag in {"reference": "reference", "scorer": "model", "scorer_after": "model-after"}.items():
        why = why.replace(f"`{argument}`", f"`--{flag}`")
    return why


def _worst_table(found: Audit, rows: Rows) -> Table:
    from unflaw.measure import mask

    table = Table(title="Worst rows", title_justify="left", show_edge=False, pad_edge=False)
    for head in ("score", "row", "says", "because"):
        table.add_column(head, overflow="fold")
    scores, reasons = found.row_scores(), found.row_reasons()
    at = {row_id: position for position, row_id in enumerate(rows.ids)}
    for row_id in found.worst(_N_WORST):
        says = mask(" ".join(rows.take([at[row_id]]).texts()[0].split()))
        cells = f"{scores[row_id]:.2f}", row_id, says[:120], reasons.get(row_id, "")
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _number(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return ""
    interval = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    return f"{value:.3g}{interval}"


def _gate(found: Audit, fail_on: FailOn | None) -> None:
    refused = {None: (), FailOn.warn: ("warn", "fail"), FailOn.fail: ("fail",)}[fail_on]
    caught: list[Finding] = [f for f in found.findings if f.verdict in refused]
    if caught:
        raise GateError(
            f"`--fail-on {fail_on}` was met by {len(caught)} of {len(found.findings)} findings: "
            + ", ".join(f"{f.check} ({f.verdict})" for f in caught)
        )
