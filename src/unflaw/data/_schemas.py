"""Recognising what a file holds from its column names and the kinds of their values. Names follow TRL's formats.

A role whose column holds plain text is that column. Any other role is worked out from the file's
columns into a new one, `unflaw.ROLE`, and the file's columns stay as they are.
"""

from __future__ import annotations

import difflib
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from unflaw._errors import SchemaError, did_you_mean
from unflaw.data._rows import ROLES
from unflaw.data._values import Kind, Unfit, holds, is_missing, kind_of, label_value, split_turns, text_value, turns_of

__all__ = ["SCHEMAS", "Part", "Schema", "recognise"]


@dataclass(frozen=True)
class Part:
    """One column a schema asks for."""

    name: str
    """The role it plays; `messages` and `input` are parts that other roles are worked out from."""
    columns: tuple[str, ...]
    """Names the column may have, the usual one first; without any it plays the role only where the caller says so."""
    kind: Kind = "text"
    required: bool = True


_PROMPT = Part("prompt", ("prompt",), "text or turns")
_LABEL = Part("label", ("label",), "label")
_CLASS = Part("label", (), "label", required=False)  # beside an answer, `label` may hold anything

SCHEMAS: Mapping[str, tuple[Part, ...]] = {
    "messages": (Part("messages", ("messages", "conversations", "conversation"), "messages"), _CLASS),
    "sharegpt": (Part("messages", ("conversations", "conversation"), "sharegpt"), _CLASS),
    "preference": (
        replace(_PROMPT, required=False),
        Part("chosen", ("chosen",), "text or turns"),
        Part("rejected", ("rejected",), "text or turns"),
        _CLASS,
    ),
    "premise/hypothesis/label": (Part("premise", ("premise",)), Part("hypothesis", ("hypothesis",)), _LABEL),
    "alpaca": (
        Part("prompt", ("instruction",)),
        Part("input", ("input",), required=False),
        Part("response", ("output",), "answer"),
        Part("context", ("system",), required=False),
        _CLASS,
    ),
    "prompt/completion": (_PROMPT, Part("response", ("completion", "response"), "answer"), _CLASS),
    "question/answer": (
        Part("prompt", ("question",)),
        Part("response", ("answer", "answers"), "answer"),
        Part("context", ("context",), required=False),
        _CLASS,
    ),
    "text/label": (Part("text", ("text",)), _LABEL),
    "text": (Part("text", ("text",)),),
}
"""What unflaw recognises, in order of preference. Anything else is a plain table, or an error."""


@dataclass(frozen=True)
class Schema:
    """A recognised schema: which column plays which part, and how a row's roles follow."""

    name: str
    columns: Mapping[str, str]
    """Part → the file's column."""
    optional: frozenset[str] = frozenset()
    """Roles a row may leave empty."""
    derived: frozenset[str] = frozenset()
    """Roles worked out from other columns; each goes to a column `unflaw.ROLE`."""
    label_kind: str = "text"
    """What labels are: text, a number or true/false."""

    @cached_property
    def roles(self) -> dict[str, str]:
        """Role → column, in the order of `ROLES`."""
        named = {r: f"unflaw.{r}" for r in self.derived} | {r: c for r, c in self.columns.items() if r in ROLES}
        return {r: f"unflaw.{r}" if r in self.derived else named[r] for r in ROLES if r in named}

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Role → value for one row, in the order of `ROLES`. Raises `Unfit` with the reason."""
        found = {part: self._value(part, record.get(column)) for part, column in self.columns.items()}
        found.update(found.pop("messages", {}))
        if extra := found.pop("input", None):
            found["prompt"] = f"{found['prompt']}\n\n{extra}" if found["prompt"] else None
        if self.name == "preference":
            found = self._preference(found, record)
        for role, value in found.items():
            if value is None and role not in self.optional:
                raise Unfit(f"no {role}: `{self.columns.get(role, role)}` is missing or empty")
        return {role: found[role] for role in ROLES if role in found}

    def _value(self, part: str, value: Any) -> Any:
        column = self.columns[part]
        if part == "messages":
            return split_turns(turns_of(value, column), column)
        if part == "label":
            return label_value(value, column, self.label_kind)
        return text_value(value, column, part, strict=part not in self.derived)

    def _preference(self, found: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Cut the conversation that chosen and rejected share off both: it is the prompt (TRL's implicit prompt)."""
        sides = {side: record.get(self.columns[side]) for side in ("chosen", "rejected")}
        if not all(holds(v, "messages") or holds(v, "sharegpt") for v in sides.values()):
            return found
        for side, turns in sides.items():
            said = split_turns(turns_of(turns, self.columns[side]), self.columns[side]) if len(turns or ()) > 1 else {}
            if said:
                found[side] = said["response"]
                found["prompt"] = found.get("prompt") or said["prompt"]
        return found


def recognise(
    records: Sequence[Mapping[str, Any]], *, schema: str | None = None, columns: Mapping[str, str] | None = None,
    source: str = "", binary: bool = False,
) -> Schema:  # fmt: skip
    """Recognise the schema of the first rows of a file.

    Parameters
    ----------
    records
        The first rows: some hundreds tell enough.
    schema
        Ask for this one ("table" for none at all) instead of looking.
    columns
        Role → column, where a file names its columns in its own way.
    source
        Named in errors.
    binary
        The file has typed or separate columns (CSV, Parquet): beside numbers, a stray text
        column does not hinder it from being a table.

    Raises
    ------
    SchemaError
        The columns fit nothing; the message lists them and the nearest schemas.
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    wanted = dict(columns or {})
    _check_call(schema, wanted, names, source)
    if schema == "table":
        return _finish("table", {r: c for r, c in wanted.items() if r in ROLES}, (), records)
    shapes = {schema: SCHEMAS[schema]} if schema else SCHEMAS
    fits = {name: _fit(parts, names, wanted, records) for name, parts in shapes.items()}
    best = max((n for n, _ in fits.values()), default=0)
    if best:
        # A rarer schema that asks for more columns wins only if nearly every row has them.
        order = list(fits)
        if wanted:  # the schema that asks for little beyond what the caller named
            order.sort(key=lambda s: (len(set(fits[s][1]) - set(wanted)), len(SCHEMAS[s])))
        name = next(s for s in order if fits[s][0] >= 0.8 * best)
        return _finish(name, fits[name][1], SCHEMAS[name], records)
    answers_nothing = "response" in wanted and "prompt" not in wanted
    if wanted and schema is None and set(wanted) <= set(ROLES) and not answers_nothing:
        return _finish("/".join(r for r in ROLES if r in wanted), wanted, (), records)
    if schema is None and not wanted and _is_table(records, names, binary):
        return Schema("table", {})
    raise SchemaError(_explain(records, names, wanted, shapes, source))


def _check_call(schema: str | None, wanted: Mapping[str, str], names: Sequence[str], source: str) -> None:
    if schema is not None and schema != "table" and schema not in SCHEMAS:
        hint = did_you_mean(schema, [*SCHEMAS, "table"])
        raise SchemaError(f"`schema` must be a known schema, got {schema!r}. {hint}")
    for role, column in wanted.items():
        if role not in (*ROLES, "messages", "input"):
            raise SchemaError(f"`columns` maps roles to columns, got the role {role!r}. {did_you_mean(role, ROLES)}")
        if column not in names:
            hint = did_you_mean(column, names)
            raise SchemaError(f"`columns` names {column!r}, which {source or 'the file'} lacks. {hint}")


def _fit(
    parts: Sequence[Part], names: Sequence[str], wanted: Mapping[str, str], records: Sequence[Mapping[str, Any]]
) -> tuple[int, dict[str, str]]:
    """How many of the rows fit these parts, and part → column."""
    lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for part in parts:
        usual = next((lower[c] for c in part.columns if c in lower), None)
        column = wanted.get(part.name, usual)
        if column is not None:
            found[part.name] = column
        elif part.required:
            return 0, {}
    if set(wanted) - set(found):
        return 0, {}
    asked = [(found[p.name], p.kind) for p in parts if p.required]
    return sum(all(holds(r.get(c), kind) for c, kind in asked) for r in records), found


def _finish(name: str, found: Mapping[str, str], parts: Sequence[Part], records: Sequence[Mapping[str, Any]]) -> Schema:
    strict = {p.name for p in parts if p.kind in ("text", "label")} | {"label"}
    derived = {r for r in found if r in ROLES and r not in strict and not _plain(found[r], records)}
    optional = {p.name for p in parts if not p.required} - {"label"}  # who names a label has one in every row
    if name in ("messages", "sharegpt"):
        derived, optional = {"prompt", "response", "context"}, {"context"}
    if "input" in found:
        derived.add("prompt")
    if name == "preference" and {"chosen", "rejected"} <= derived:
        derived.add("prompt")  # the turns both sides share
    if name == "question/answer" and "context" in found:
        name = "question/answer/context"
    labels = Counter(kind_of(r.get(found["label"])) for r in records) if "label" in found else Counter()
    del labels["nothing"]
    kind = labels.most_common(1)[0][0] if labels else "text"
    return Schema(name, dict(found), frozenset(optional), frozenset(derived), kind)


def _plain(column: str, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column holds text wherever it holds anything."""
    return all(isinstance(r.get(column), str) for r in records if not is_missing(r.get(column)))


def _is_table(records: Sequence[Mapping[str, Any]], names: Sequence[str], binary: bool) -> bool:
    if not names:
        return False
    wordy = [n for n in names if _wordy([r[n] for r in records if r.get(n) is not None])]
    return len(wordy) * 2 < len(names) if binary else not wordy


def _wordy(values: Sequence[Any]) -> bool:
    """Whether a column reads like text: nested, or mostly different strings of several words."""
    if any(kind_of(v) not in ("text", "a number", "true/false") and isinstance(v, (list, dict)) for v in values):
        return True
    texts = [v for v in values if isinstance(v, str)]
    if not texts:
        return False
    n_words = statistics.median(len(t.split()) for t in texts)
    differ = len(texts) < 20 or len(set(texts)) >= 0.5 * len(texts)  # a class repeats, even one of several words
    return n_words >= 8 or (n_words >= 3 and differ)


def _explain(
    records: Sequence[Mapping[str, Any]], names: Sequence[str], wanted: Mapping[str, str],
    shapes: Mapping[str, Sequence[Part]], source: str,
) -> str:  # fmt: skip
    kinds = {n: Counter(kind_of(r[n]) for r in records if r.get(n) is not None).most_common(1) for n in names}
    seen = ", ".join(f"{n} ({k[0][0] if k else 'nothing'})" for n, k in kinds.items()) or "none"
    lower = {n.lower() for n in names}
    lacks: dict[str, list[str]] = {}
    for name, parts in shapes.items():
        lacks[name] = []
        for part in parts:
            here = [wanted[part.name]] if part.name in wanted else [n for n in names if n.lower() in part.columns]
            if not here and part.required:
                near = [m for c in part.columns for m in difflib.get_close_matches(c, lower, n=1, cutoff=0.75)]
                hint = f" (is it {near[0]!r}?)" if near else ""
                lacks[name].append(" or ".join(f"`{c}`" for c in part.columns) + hint)
            elif here and part.required and not any(holds(r.get(here[0]), part.kind) for r in records):
                lacks[name].append(f"`{here[0]}` to hold {_ASKED[part.kind]}")
    required = {s: sum(p.required for p in parts) for s, parts in shapes.items()}
    share = {s: sum(1 - 0.5 * ("?" in lack) for lack in lacks[s]) / required[s] for s in shapes}
    nearest = sorted(reversed(list(shapes)), key=lambda s: share[s])[:4]
    lines = [f"  {s}: lacks {', '.join(lacks[s]) or 'rows that have all its columns at once'}" for s in nearest]
    asked = "fit no known schema" if len(shapes) > 1 else f"do not fit {nearest[0]}"
    return (
        f"the columns of {source or 'these rows'} {asked}. "
        f"Columns: {seen}. Nearest:\n" + "\n".join(lines) + "\n"
        'Say which column plays which role, e.g. columns={"prompt": "q", "response": "a"} '
        "(--columns prompt=q,response=a), "
        'or take every column as a feature with schema="table" (--schema table).'
    )


_ASKED: Mapping[Kind, str] = {
    "text": "text", "text or turns": "text or a list of turns", "answer": "text, a number or a list of answers",
    "label": "text or a number", "messages": 'a list of {"role", "content"}', "sharegpt": 'a list of {"from", "value"}',
}  # fmt: skip
