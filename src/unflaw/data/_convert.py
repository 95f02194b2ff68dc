"""From one schema to another, by way of the roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError, SchemaError, did_you_mean
from unflaw.data._rows import CONVERSATIONS, ID, Rows
from unflaw.data._schemas import SCHEMAS
from unflaw.data._values import turns_before, turns_of

__all__ = ["chats", "converted"]

Values = Mapping[str, Any]
_SPOKEN = ("text", "premise", "hypothesis", "response")


def converted(rows: Rows, to: str) -> pa.Table:
    """Return the rows' table in another schema: its columns take the place of the old schema's; the rest stays.

    A label stays under its own name where the new schema has none.

    Raises
    ------
    SchemaError
        No such schema, or the rows lack a role it needs.
    DataError
        A column that plays no role has the name of a new one.
    """
    if to == "table":
        return rows.table
    if to not in _SHAPES:
        raise SchemaError(f"`to` must be a schema, got {to!r}. {did_you_mean(to, _SHAPES)}")
    needs, make = _SHAPES[to]
    if _is_already(rows, to):
        return rows.table
    lacking = [role for role in needs if not rows.has(role)]
    if to == "text" and not any(rows.has(role) for role in _SPOKEN):
        lacking = ["text"]
    if lacking:
        raise SchemaError(
            f"rows of the schema {rows.schema} cannot be written as {to}: they have no {', '.join(lacking)}; "
            "`columns` of `read` gives roles to columns"
        )
    old = _columns_of(rows)
    values = [dict(zip(rows.roles, row, strict=True)) for row in zip(*map(rows.column, rows.roles), strict=True)]
    if rows.schema in CONVERSATIONS:  # there the context is what the system says, not a passage
        values = [{"system" if role == "context" else role: v for role, v in row.items()} for row in values]
    turns = _turns(rows, old) if to in ("messages", "sharegpt") else None
    records = [make(v) for v in values] if turns is None else [_SAID_AS[to](t) for t in turns]
    new = pa.Table.from_pylist(records)
    replaced = old if "label" in needs else old - {rows.roles.get("label")}
    table = rows.table.drop_columns([c for c in rows.table.column_names if c in replaced])
    clash = sorted(set(new.column_names) & set(table.column_names))
    if clash:
        raise DataError(f"writing {to} needs the columns {clash}, which hold something else here; rename those first")
    rest = [c for c in table.column_names if c != ID]
    return _side_by_side(new, table.select([*rest, ID]))


def chats(rows: Rows) -> list[tuple[str | list[dict[str, str]], str]]:
    """Return (what was said before, response) per row, for a model that has a chat template.

    Before the response are turns, {"role", "content"} each, where a conversation has a system's turn or several; else
    it is text, as in `Rows.pairs`.
    """
    conversations, pairs = _turns(rows, _columns_of(rows)), rows.pairs()
    if conversations is None:
        return list(pairs)
    found: list[tuple[str | list[dict[str, str]], str]] = []
    for turns, pair in zip(conversations, pairs, strict=True):
        before = turns_before(turns)
        found.append(pair if [turn["role"] for turn in before] == ["user"] else (before, pair[1]))
    return found


def _is_already(rows: Rows, to: str) -> bool:
    """Whether the rows have this schema, under the column names it usually has."""
    own = {c.lower() for c in rows.table.column_names}
    usual = all(own & set(part.columns) for part in SCHEMAS[to] if part.required)
    return usual and rows.schema.removesuffix("/context") == to


def _side_by_side(left: pa.Table, right: pa.Table) -> pa.Table:
    for field in right.schema:
        left = left.append_column(field, right[field.name])
    return left


def _columns_of(rows: Rows) -> set[str]:
    """Columns that hold what the roles say, worked out ones and the file's own."""
    parts = SCHEMAS.get(rows.schema.removesuffix("/context"), ())
    own = {c.lower(): c for c in rows.table.column_names}
    return {own[c] for part in parts for c in part.columns if c in own} | set(rows.roles.values())


def _turns(rows: Rows, old: set[str]) -> list[list[dict[str, str]]] | None:
    """Whole conversations, where the rows hold more than a prompt and a response."""
    if rows.schema not in ("messages", "sharegpt"):
        return None
    column = next((c for c in rows.table.column_names if c in old and c not in rows.roles.values()), None)
    return None if column is None else [turns_of(v, column) for v in rows.column(column)]


def _before(values: Values) -> str | None:
    """Return what is said before the prompt."""
    return values.get("context") or values.get("system")


def _dialogue(values: Values) -> list[dict[str, str]]:
    said = (("system", _before(values)), ("user", values["prompt"]), ("assistant", values["response"]))
    return [{"role": role, "content": content} for role, content in said if content]


def _messages(turns: Sequence[Mapping[str, str]]) -> Values:
    return {"messages": list(turns)}


def _sharegpt(turns: Sequence[Mapping[str, str]]) -> Values:
    names = {"user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names.get(t["role"], t["role"]), "value": t["content"]} for t in turns]}


def _text(values: Values) -> Values:
    spoken = [_before(values), values.get("prompt"), *(values.get(role) for role in _SPOKEN)]
    return {"text": "\n".join(part for part in spoken if part)}


def _completion(values: Values) -> Values:
    prompt = "\n\n".join(part for part in (_before(values), values["prompt"]) if part)
    return {"prompt": prompt, "completion": values["response"]}


def _alpaca(values: Values) -> Values:
    system = {"system": values["system"]} if "system" in values else {}
    return {
        "instruction": values["prompt"], "input": values.get("context") or "", "output": values["response"], **system,
    }  # fmt: skip


def _question(values: Values) -> Values:
    context = {"context": _before(values)} if {"context", "system"} & set(values) else {}
    return {"question": values["prompt"], "answer": values["response"], **context}


def _as_named(*roles: str) -> Callable[[Values], Values]:
    return lambda values: {role: values[role] for role in roles if role in values}


_SAID_AS: Mapping[str, Callable[[Sequence[Mapping[str, str]]], Values]] = {"messages": _messages, "sharegpt": _sharegpt}

_SHAPES: Mapping[str, tuple[tuple[str, ...], Callable[[Values], Values]]] = {
    "messages": (("prompt", "response"), lambda v: _messages(_dialogue(v))),
    "sharegpt": (("prompt", "response"), lambda v: _sharegpt(_dialogue(v))),
    "preference": (("chosen", "rejected"), _as_named("prompt", "chosen", "rejected")),
    "premise/hypothesis/label": (("premise", "hypothesis", "label"), _as_named("premise", "hypothesis", "label")),
    "alpaca": (("prompt", "response"), _alpaca),
    "prompt/completion": (("prompt", "response"), _completion),
    "question/answer": (("prompt", "response"), _question),
    "text/label": (("text", "label"), _as_named("text", "label")),
    "text": ((), _text),
}
"""Schema → the roles it needs, and a row's columns from its roles."""
