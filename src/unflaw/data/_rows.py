"""`Rows`: an immutable view of an Arrow table whose columns play named roles."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from unflaw._errors import DataError, SchemaError, did_you_mean
from unflaw.data._seen import Seen, digest

__all__ = ["CONVERSATIONS", "ID", "ROLES", "Rows", "content_ids", "own", "said"]

ID = "unflaw.id"
"""Name of the id column in every table a `Rows` holds."""

_CANONICAL = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":"))

ROLES = ("text", "prompt", "response", "context", "label", "premise", "hypothesis", "chosen", "rejected")
"""Roles a column can play. A plain table has none: every column is a feature."""

CONVERSATIONS = frozenset({"messages", "sharegpt", "alpaca"})
"""Schemas in which `context` is what the system says, not a passage."""
_SPEAKER = re.compile(r"^(?:user|assistant|tool): ", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Rows:
    """An immutable view of rows. Every verb takes and returns these.

    Columns nobody recognises stay untouched. Columns that unflaw adds start with `unflaw.`,
    except `weight`.
    """

    table: pa.Table
    """Holds the string column `unflaw.id` (unique) beside the user's own columns."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role → column name. Role columns hold strings (`label` may hold any scalar)."""
    schema: str = "table"
    """Recognised schema, e.g. "question/answer/context"."""
    source: str = ""
    """Where the rows came from: a path, or a name."""

    def __post_init__(self) -> None:
        if ID not in self.table.column_names:
            raise SchemaError(f"the table of `Rows` needs the column {ID!r}; build it with `Rows.from_records`")
        missing = sorted(set(self.roles.values()) - set(self.table.column_names))
        if missing:
            raise SchemaError(f"role columns {missing} are not in the table; it has {self.table.column_names}")
        ids = self.ids
        if len(set(ids)) != len(ids):
            twice = [i for i, n in Counter(ids).items() if n > 1][:3]
            raise DataError(f"row ids must be unique, got {twice} more than once")

    @classmethod
    def from_records(
        cls, records: Iterable[Mapping[str, Any]], roles: Mapping[str, str], *, schema: str = "table", source: str = ""
    ) -> Rows:
        """Build rows from dicts; ids come from the contents of the role columns.

        Raises
        ------
        SchemaError
            A role is none, or its column is not there.
        DataError
            There is no record, or a column holds what no column can, e.g. words and numbers.
        """
        if strange := sorted(set(roles) - set(ROLES)):
            raise SchemaError("; ".join(f"`roles` knows no {name!r}. {did_you_mean(name, ROLES)}" for name in strange))
        records = [dict(record) for record in records]
        table = _table_of(records)
        if ID not in table.column_names:
            keys = [roles[r] for r in ROLES if r in roles]
            ids = content_ids([said(r, keys) for r in records] if keys else [own(r) for r in table.to_pylist()])
            table = table.append_column(ID, pa.array(ids, pa.string()))
        return cls(table, roles, schema, source)

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def ids(self) -> list[str]:
        """Row ids, in order."""
        return self.table[ID].to_pylist()

    def has(self, role: str) -> bool:
        """Whether a column plays this role."""
        return role in self.roles

    @property
    def is_plain(self) -> bool:
        """Whether these are rows of a plain table, with no column that is known to be text."""
        return not set(self.roles) - {"label", "context"}

    @property
    def has_passages(self) -> bool:
        """Whether rows have a passage that they are about: the context of a conversation is what the system says."""
        return self.has("context") and self.schema not in CONVERSATIONS

    def column(self, role_or_name: str) -> list[Any]:
        """Values of a role, or of a column by its own name."""
        name = self.roles.get(role_or_name, role_or_name)
        if name not in self.table.column_names:
            raise SchemaError(
                f"`{role_or_name}` is neither a role nor a column of {self.source or 'these rows'}; "
                f"roles: {sorted(self.roles)}, columns: {self.table.column_names}"
            )
        return self.table[name].to_pylist()

    def texts(self) -> list[str]:
        """Each row as plain text: what an audit reads, without `context` and `label`, which are not its own words."""
        spoken = ("text", "premise", "hypothesis", "prompt", "chosen", "response")
        parts = [self.column(r) for r in spoken if self.has(r)]
        if self.schema in ("messages", "sharegpt") and parts:  # of several turns each names its speaker
            parts[0] = [_SPEAKER.sub("", prompt or "") for prompt in parts[0]]
        if parts:
            return ["\n".join(str(p) for p in row if p not in (None, "")) for row in zip(*parts, strict=True)]
        return self._cells({self.roles.get("label")})

    def _cells(self, without: Container[str | None] = ()) -> list[str]:
        """Each row of a plain table as lines of "name: value"."""
        told = [
            n for n in self.table.column_names if not n.startswith("unflaw.") and n != "weight" and n not in without
        ]
        rows = self.table.select(told).to_pylist()
        return ["\n".join(f"{k}: {'' if row[k] is None else row[k]}" for k in told) for row in rows]

    def pairs(self) -> list[tuple[str, str]]:
        """(prompt, response) per row for training and scoring; plain text has an empty prompt, a plain table all cells.

        A `context` goes before the prompt, since the answer is about it.
        """
        if not self.has("response"):
            return [("", text) for text in (self._cells() if self.is_plain else self.texts())]
        prompts = [p or "" for p in self.column("prompt")]
        if self.has("context"):
            prompts = [f"{c}\n\n{p}" if c else p for c, p in zip(self.column("context"), prompts, strict=True)]
        return list(zip(prompts, [r or "" for r in self.column("response")], strict=True))

    def weights(self) -> list[float] | None:
        """Return the `weight` column, 1.0 where a row has no weight, or None when there is no such column."""
        if "weight" not in self.table.column_names:
            return None
        return [1.0 if w is None else float(w) for w in self.column("weight")]

    def take(self, indices: Sequence[int]) -> Rows:
        """Rows at these positions, in this order."""
        return Rows(self.table.take(pa.array(indices, pa.int64())), self.roles, self.schema, self.source)

    def only(self, ids: Iterable[str]) -> Rows:
        """Those of the rows with these ids, in the order they stand in."""
        wanted = set(ids)
        return self.take([at for at, row_id in enumerate(self.ids) if row_id in wanted])

    def with_column(self, name: str, values: Sequence[Any], role: str | None = None) -> Rows:
        """Add or replace a column, giving it a role if asked."""
        table = self.table.drop_columns([name]) if name in self.table.column_names else self.table
        roles = {**self.roles, role: name} if role else self.roles
        return Rows(table.append_column(name, pa.array(values)), roles, self.schema, self.source)

    def with_columns_of(self, ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> Rows:
        """Add or replace columns whose values stand in the order of these ids.

        Raises SchemaError where a row is not among them.
        """
        at = {i: k for k, i in enumerate(ids)}
        if strange := [i for i in self.ids if i not in at]:
            raise SchemaError(
                f"{len(strange)} of {len(self)} rows have no value of {', '.join(columns)}, first {strange[0]!r}; "
                "pass the rows that the values are of"
            )
        order = [at[i] for i in self.ids]
        rows = self
        for name, values in columns.items():
            rows = rows.with_column(name, [values[k] for k in order])
        return rows

    def without_column(self, name: str) -> Rows:
        """Leave a column out that plays no role; the same rows where there is none."""
        if name not in self.table.column_names:
            return self
        return Rows(self.table.drop_columns([name]), self.roles, self.schema, self.source)

    def batches(self, size: int) -> Iterator[Rows]:
        """Consecutive slices of at most `size` rows."""
        for start in range(0, len(self), size):
            yield Rows(self.table.slice(start, size), self.roles, self.schema, self.source)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, id included."""
        return self.table.to_pandas()

    def to_datasets(self) -> Any:
        """Return a Hugging Face `datasets.Dataset`, id included."""
        from datasets import Dataset

        return Dataset(self.table)


def said(record: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return what a row says under these keys: a missing `context` must not change its id, so empty values go."""
    return {k: record[k] for k in keys if record.get(k) not in (None, "")}


def own(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the user's own columns, in order of name: what names a row of a plain table."""
    return {k: record[k] for k in sorted(record) if not k.startswith("unflaw.")}


def content_ids(contents: Sequence[Mapping[str, Any]], seen: Counter[str] | Seen | None = None) -> list[str]:
    """Name rows by what they say: 16 hex digits of BLAKE2b over canonical JSON.

    A repeated row gets "-2", "-3", … so that ids stay unique and the copy stays recognisable.
    Pass the same `seen` for every batch of one file.
    """
    digests = [digest(_CANONICAL.encode(list(content.values()))) for content in contents]
    if isinstance(seen, Seen):
        counts = seen.add(digests)
    else:
        seen = Counter() if seen is None else seen
        counts = [_count(seen, name) for name in digests]
    return [name if n == 1 else f"{name}-{n}" for name, n in zip(digests, counts, strict=True)]


def _count(seen: Counter[str], name: str) -> int:
    seen[name] += 1
    return seen[name]


def _table_of(records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Put dicts into columns; refuse by name the columns that hold what no column can."""
    if not records:
        raise DataError("`records` must hold at least one row, got none")
    names = dict.fromkeys(name for record in records for name in record)
    columns, problems = {}, []
    for name in names:
        try:
            columns[name] = pa.array([record.get(name) for record in records])
        except (pa.ArrowException, ArithmeticError, ValueError, TypeError) as error:
            problems.append(f"{name!r}: {error}")
    if ID in columns and (columns[ID].null_count or not pa.types.is_string(columns[ID].type)):
        problems.append(f"{ID!r}: ids must be strings, one of each row")
    if problems:
        raise DataError(f"`records` must hold values of one kind in each column, got {'; '.join(problems)}")
    return pa.table(columns)
