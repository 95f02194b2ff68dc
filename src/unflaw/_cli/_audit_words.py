"""What `unflaw audit` says: the findings as a table and in sentences, the worst rows, what changed, and all as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unflaw._cli._leave import printable

if TYPE_CHECKING:
    from unflaw.audit import Audit
    from unflaw.data import Finding, Rows

__all__ = ["masked_finding", "masked_rows", "payload_of", "turned", "words_of"]

_N_WORST = 5
_OF_IDS = frozenset({"pairs", "groups", "row_scores"})
"""What holds nothing but ids and numbers."""
_STYLE = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def masked_rows(rows: Rows) -> Rows:
    """Mask keys and contacts in rows that a report will quote."""
    from unflaw.data import ID

    for name in set(rows.table.column_names) - {ID}:
        said = rows.column(name)
        if (masked := [_masked(value) for value in said]) != said:
            numbers = any(isinstance(value, (int, float)) for value in said)  # a card number among amounts
            rows = rows.with_column(name, [str(v) if numbers and v is not None else v for v in masked])
    return rows


def masked_finding(finding: Finding) -> Finding:
    """Mask what a finding quotes; word lists come apart into words, which no pattern knows."""
    from unflaw.data import Finding, from_json, to_json

    return from_json(Finding, _masked(to_json(finding)))


def _masked(value: Any) -> Any:
    """Mask keys and contacts in whatever a column may hold."""
    from unflaw.data import mask

    match value:
        case str():
            return mask(value)
        case int() if not isinstance(value, bool):
            return value if (told := mask(str(value))) == str(value) else told
        case list() | tuple():
            return type(value)(_masked(item) for item in value)
        case dict():
            return {key: of if key in _OF_IDS else _masked(of) for key, of in value.items()}
    return value


def payload_of(found: Audit, turn: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `--json` prints."""
    from unflaw.data import to_json

    return {
        "verdict": found.verdict,
        "findings": [
            {"judges": f.judges} | {k: v for k, v in to_json(f).items() if not k.startswith("row_")}
            for f in found.findings
        ],
        "skipped": dict(found.skipped),
        "worst_rows": found.worst_lines(_N_WORST),
        "settings": dict(found.settings),
        **({} if turn is None else {"against": turn}),
    }


def words_of(found: Audit, turn: Mapping[str, Any] | None) -> RenderableType:
    """Return what a terminal shows."""
    from unflaw.report import by_harm

    shown = [f for f in by_harm(found.findings) if f.verdict != "ok"] or found.findings
    table = Table(show_edge=False, pad_edge=False)
    for head in ("check", "value", "real vs real", "verdict"):
        table.add_column(head, overflow="fold", no_wrap=head == "check")
    for f in shown:
        control = _number(f.control, f.control_low, f.control_high)
        verdict = Text(f.verdict, style=_STYLE[f.verdict]) if f.judges else Text("none", style="dim")
        table.add_row(Text(f.check), Text(_number(f.value, f.low, f.high)), Text(control), verdict)
    parts: list[RenderableType] = [table, Text()]
    parts += [
        Text.assemble((f"{f.verdict} {f.check}: ", _STYLE[f.verdict]), printable(f"{f.title}. {f.meaning}"))
        for f in shown
        if f.verdict != "ok"
    ]
    left = [f for f in found.findings if f not in shown]
    for head, checks, style in (
        ("ok", [f.check for f in left if f.judges], _STYLE["ok"]),
        ("without a verdict", [f.check for f in left if not f.judges], "dim"),
    ):
        parts += [Text(f"{head}: {', '.join(checks)}", style=style)] if checks else []
    whys = {why: [name for name, of in found.skipped.items() if of == why] for why in found.skipped.values()}
    parts += [Text(f"not asked: {', '.join(names)}: {_flags(why)}", style="dim") for why, names in whys.items()]
    if found.verdict != "ok":
        parts += [Text(), _worst_table(found)]
    if turn is not None:
        parts += [Text(), _against_table(turn)]
    return Group(*parts)


def turned(found: Audit, before: Audit) -> dict[str, Any]:
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


def _against_table(turned: Mapping[str, Any]) -> Group:
    """Show what changed, and name what did not."""
    table = Table(title="Against the earlier version", title_justify="left", show_edge=False, pad_edge=False)
    for head in ("check", "before", "now", ""):
        table.add_column(head, overflow="fold", no_wrap=head == "check")
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
    flags = {"reference": "reference", "scorer": "model", "scorer_after": "model-after", "allow_few": "allow-few"}
    for argument, flag in flags.items():
        why = why.replace(f"`{argument}`", f"`--{flag}`")
    return why


def _worst_table(found: Audit) -> Table:
    from unflaw.data import mask

    table = Table(title="Worst rows", title_justify="left", show_edge=False, pad_edge=False)
    for head in ("score", "row", "says", "because"):
        table.add_column(head, overflow="fold")
    said = dict(zip(found.worst_rows.ids, found.worst_rows.texts(), strict=True))
    for line in found.worst_lines(_N_WORST):
        says = mask(" ".join(said[line["id"]].split()))
        cells = f"{line['score']:.2f}", line["id"], says[:120], line["reason"]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _number(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return ""
    interval = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    return f"{value:.3g}{interval}"
