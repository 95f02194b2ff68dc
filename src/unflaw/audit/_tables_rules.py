"""Tables: rules that real rows keep, mined from them, and the rows that break one.

`Constraint.kind` is one of
    number     a column of numbers holds no text          given      it always holds something
    range      its numbers lie between two bounds         whole      its numbers are whole
    known      its words are among those of real rows     order      one number is at most the other
    linear     y = k x + c     sum  x + y = z             product    x y = z
    follows    a value gives the other, or whether there is one
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from unflaw.audit._sample import draw
from unflaw.audit._tables_view import Column, View, word
from unflaw.measure import (
    RARE,
    apart,
    bound,
    contingency,
    dependence,
    equalities,
    kept_order,
    unit_of,
    unseen_share,
)

__all__ = ["Constraint", "broken", "in_words", "kept_by_both", "left_out", "mined", "said"]

_SURE = 0.01
"""Chance that any rule of a kind holds by chance: λ is at least ln(rules looked for / this)."""
_OFTEN = 10
"""Rows in which even the rarest word must stand for all to be known; or hardly any word must stand in one alone."""
_UNKNOWN = 3e-3
"""Share of other rows with a word not among these, at most, where one more than there are stood in one row alone."""
_SEEN = 3
"""Rows from which on a value gives another."""
_MOST_WORDS, _MOST_STEPS = 1000, 100
"""Different words, or numbers, of a column from which on its values give nothing."""
_MOST_COLUMNS = 60
"""Columns among which equations of three, and values that give others, are looked for."""
_MOST_ORDERS = 1000
"""Pairs of columns of numbers that are asked whether one is at most the other: all of those of 32 columns."""
_PROBES = 100
"""Rows on which a rule is tried before all are."""


class Constraint(NamedTuple):
    """A rule, JSON-ready."""

    kind: str
    columns: tuple[str, ...]
    told: Mapping[str, Any]
    """Bounds, words or factors."""
    rows: int
    """Real rows that keep it."""
    by_chance: float | None = None
    """Rows that would break it if one column were dealt out at random; None where that means nothing."""

    @property
    def name(self) -> tuple[Any, ...]:
        """What makes it the same rule when it is mined from other rows."""
        return self.kind, self.columns, str(self.told.get("only_whether"))


class Values(NamedTuple):
    """A column by its values, or by whether it holds any."""

    name: str
    only_whether: bool
    codes: Int[np.ndarray, " n"]
    words: Sequence[str | None]


def mined(view: View, columns: Sequence[Column], part: float = 1.0) -> list[Constraint]:
    """Return the rules that rows keep.

    Where rows are only a `part` of those there are, as much less is asked of a rule: those of a part must not be
    fewer than those of all, or it would seem that real rows hardly break any.
    """
    asked = [c for c in columns if c.asked]
    numbers = [c.name for c in asked if c.kind == "number"]
    found = [rule for c in asked for rule in _of_one(view, c, part)]
    same = list(_equations(view, numbers, part))
    linear = {frozenset(rule.columns) for rule in same if rule.kind == "linear"}
    orders = _shortest([rule for rule in _orders(view, numbers, part) if frozenset(rule.columns) not in linear])
    return [*found, *same, *orders, *_dependences(view, [c.name for c in asked], part)]


def kept_by_both(a: View, b: View, columns: Sequence[Column], part: float = 1.0) -> list[Constraint]:
    """Return the rules of all rows that, mined from one half, hold in the other."""
    both = View(pa.concat_tables([a.table, b.table]).combine_chunks(), a.ways)
    turns = ((a, b), (b, a))
    first, second = ({rule.name for rule in _holding(mined(x, columns, part / 2), y)} for x, y in turns)
    return [rule for rule in mined(both, columns, part) if rule.name in first & second]


def left_out(columns: Sequence[Column]) -> dict[str, int]:
    """Return how many columns, or pairs of them, were not asked for the rules of several."""
    n = sum(column.kind == "number" for column in columns)
    return {
        "columns not asked for equations": max(0, n - _MOST_COLUMNS),
        "pairs not asked for an order": max(0, n * (n - 1) - _MOST_ORDERS),
        "columns not asked for what they give": max(0, sum(c.asked for c in columns) - _MOST_COLUMNS),
    }


def _holding(rules: Sequence[Constraint], view: View) -> list[Constraint]:
    return [rule for rule in rules if int(broken(rule, view).sum()) <= RARE * len(view)]


def _of_one(view: View, column: Column, part: float) -> Iterator[Constraint]:
    name, n = column.name, len(view)
    missing = view.missing(name)
    there = n - int(missing.sum())
    if missing.sum() <= RARE * n:
        yield Constraint("given", (name,), {}, there)
    if column.kind == "category":
        counted = pc.value_counts(view.words(name).drop_null())
        counts = counted.field("counts").to_numpy(zero_copy_only=False)
        if there and len(counts) <= _MOST_WORDS and (counts.min() >= part * _OFTEN or _all_known(counts, part)):
            yield Constraint("known", (name,), {"values": sorted(counted.field("values").to_pylist())}, there)
        return
    x = view.numbers(name)
    if np.isnan(x).all():
        return
    if (np.isnan(x) & ~missing).sum() <= RARE * there:
        yield Constraint("number", (name,), {"what": view.what(name)}, there)
    low, high = bound(x, upper=False), bound(x, upper=True)
    if column.unit >= 1:  # the same, by numbers that there may be
        low, high = np.ceil(low).item(), np.floor(high).item()
    told = {"low": low, "high": high, "least": float(np.nanmin(x)), "most": float(np.nanmax(x))}
    told["dates"] = view.dates(name)
    yield Constraint("range", (name,), told, there)
    parts = np.abs(x - np.round(x)) > 1e-6
    if parts.sum() <= RARE * there:
        yield Constraint("whole", (name,), {}, there - int(parts.sum()))


def _all_known(counts: Int[np.ndarray, " K"], part: float) -> bool:
    """Tell whether hardly any other row would have a word that is not among these."""
    return unseen_share(np.append(counts, 1)) <= _UNKNOWN / part


def _orders(view: View, names: Sequence[str], part: float) -> Iterator[Constraint]:
    x = view.matrix(names)
    least = part * math.log(max(2, len(names) ** 2) / _SURE)
    pairs = np.array(_asked_pairs(tuple(names)), dtype=np.int64).reshape(-1, 2)
    first = x[:_PROBES]
    with np.errstate(invalid="ignore"):
        kept = (first[:, pairs[:, 0]] > first[:, pairs[:, 1]]).sum(axis=0) <= int(RARE * len(x) >= 1)
    for i, j in pairs[kept].tolist():
        if (chance := kept_order(x[:, i], x[:, j])) >= least:
            rows = int((~np.isnan(x[:, i] + x[:, j])).sum())
            yield Constraint("order", (names[i], names[j]), {}, rows, chance)


@lru_cache(maxsize=8)
def _asked_pairs(names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the pairs of columns that are asked for an order, by their places; which they are their names decide."""
    pairs = [(i, j) for i in range(len(names)) for j in range(len(names)) if i != j]
    if len(pairs) > _MOST_ORDERS:
        pairs = sorted(pairs, key=lambda pair: draw("\0".join(names[i] for i in pair), 0))[:_MOST_ORDERS]
    return sorted(pairs)


def _shortest(rules: Sequence[Constraint]) -> list[Constraint]:
    """Leave out an order that two others give: a ≤ c where a ≤ b and b ≤ c."""
    above: dict[str, set[str]] = {}
    for rule in rules:
        above.setdefault(rule.columns[0], set()).add(rule.columns[1])

    def given(a: str, c: str) -> bool:
        """Tell whether a third column lies between; one that equals either would leave out both its orders."""
        return any(
            c in above.get(b, ()) and a not in above.get(b, ()) and b not in above.get(c, ()) for b in above[a] - {c}
        )

    return [rule for rule in rules if not given(*rule.columns)]


def _equations(view: View, names: Sequence[str], part: float) -> Iterator[Constraint]:
    names = _drawn(names)
    x = view.matrix(names)
    for found in equalities(x, part * math.log(max(2, len(names) ** 3) / _SURE)) if len(names) > 1 else ():
        columns = tuple(names[j] for j in found.columns)
        rows = int((~np.isnan(x[:, list(found.columns)]).any(axis=1)).sum())
        told = {"k": found.k, "c": found.c} if found.kind == "linear" else {}
        unit = unit_of(x[:, found.columns[-1]])
        yield Constraint(found.kind, columns, told | {"unit": unit}, rows, found.by_chance)


def _drawn(names: Sequence[str]) -> list[str]:
    """Return as many columns as are asked; which they are depends on their names alone."""
    return sorted(sorted(names, key=lambda name: draw(name, 0))[:_MOST_COLUMNS])


def _dependences(view: View, names: Sequence[str], part: float) -> Iterator[Constraint]:
    columns = [values for name in _drawn(names) for values in _values(view, name)]
    least = part * math.log(max(2, len(columns) ** 2) / _SURE)
    for a in columns:
        for b in columns:
            if a.name == b.name or len(b.words) > len(a.words) + RARE * len(view):
                continue  # what gives another has as many values
            counts = contingency(a.codes, b.codes, len(a.words), len(b.words))
            wrong, chance = dependence(counts)
            if wrong <= RARE * len(view) and chance >= least:
                often = np.flatnonzero(counts.sum(axis=1) >= _SEEN)
                pairs = [[a.words[i], b.words[int(counts[i].argmax())]] for i in often.tolist()]
                told = {"pairs": pairs, "only_whether": [a.only_whether, b.only_whether], "dates": view.dates(b.name)}
                yield Constraint("follows", (a.name, b.name), told, len(view), chance)


def _values(view: View, name: str) -> Iterator[Values]:
    """Yield a column by its words where they are few, and by whether there is one where some are missing."""
    coded = view.words(name).dictionary_encode()
    most = _MOST_STEPS if view.is_number(name) else _MOST_WORDS
    missing = view.missing(name)
    if len(coded.dictionary) <= min(most, len(view) // _SEEN):
        codes = pc.fill_null(coded.indices, len(coded.dictionary)).to_numpy(zero_copy_only=False)
        yield Values(name, False, codes.astype(np.int64), [*coded.dictionary.to_pylist(), None])
    if missing.any() and not missing.all():
        yield Values(name, True, missing.astype(np.int64), [_THERE, None])


_THERE = "something"


def broken(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    """Tell which rows break a rule; a column that is not there breaks none."""
    if not all(view.has(name) for name in rule.columns):
        return np.zeros(len(view), dtype=bool)
    return _BREAKS[rule.kind](rule, view)


def _text_among_numbers(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    return np.isnan(view.numbers(rule.columns[0])) & ~view.missing(rule.columns[0])


def _out_of_range(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    x = view.numbers(rule.columns[0])
    slack = 1e-9 * max(abs(rule.told["low"]), abs(rule.told["high"]))
    return (x < rule.told["low"] - slack) | (x > rule.told["high"] + slack)


def _in_parts(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    x = view.numbers(rule.columns[0])
    return np.abs(x - np.round(x)) > np.minimum(1e-2, 1e-6 * np.maximum(1.0, np.abs(x)))


def _unknown(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    words = view.words(rule.columns[0])
    known = pc.is_in(words, value_set=pa.array(rule.told["values"], pa.string()))
    return np.asarray(~known.to_numpy(zero_copy_only=False) & ~view.missing(rule.columns[0]))


def _out_of_order(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    a, b = (view.numbers(name) for name in rule.columns)
    return a > b + 1e-9 * np.abs(b)


def _unequal(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    *parts, z = (view.numbers(name) for name in rule.columns)
    return apart(_joined(rule, parts), z, rule.told["unit"])


def _joined(rule: Constraint, parts: Sequence[Float[np.ndarray, " n"]]) -> Float[np.ndarray, " n"]:
    if rule.kind == "linear":
        return rule.told["k"] * parts[0] + rule.told["c"]
    return parts[0] + parts[1] if rule.kind == "sum" else parts[0] * parts[1]


def _not_as_given(rule: Constraint, view: View) -> Bool[np.ndarray, " n"]:
    """Tell where a value does not bring the other that it brings in real rows; one that they lack brings none."""
    firsts, seconds = zip(*rule.told["pairs"], strict=True)
    mine, theirs = (
        _whether(view, name) if only else view.words(name)
        for name, only in zip(rule.columns, rule.told["only_whether"], strict=True)
    )
    at = pc.index_in(mine, value_set=pa.array(firsts, pa.string()))
    expected = pa.array(seconds, pa.string()).take(at)
    known = at.is_valid().to_numpy(zero_copy_only=False)
    same = pc.equal(pc.fill_null(expected, "\0"), pc.fill_null(theirs, "\0")).to_numpy(zero_copy_only=False)
    return np.asarray(known & ~same)


def _whether(view: View, name: str) -> pa.Array:
    return pc.if_else(pa.array(view.missing(name)), pa.scalar(None, pa.string()), _THERE)


_BREAKS: Mapping[str, Callable[[Constraint, View], Bool[np.ndarray, " n"]]] = {
    "number": _text_among_numbers,
    "given": lambda rule, view: view.missing(rule.columns[0]),
    "range": _out_of_range,
    "whole": _in_parts,
    "known": _unknown,
    "order": _out_of_order,
    "linear": _unequal,
    "sum": _unequal,
    "product": _unequal,
    "follows": _not_as_given,
}


def said(rule: Constraint, values: Sequence[Any], words: Sequence[str | None]) -> str:
    """Say how a row breaks a rule; `values` are those of the rule's columns, `words` as `View` reads them."""
    name, told = f"`{rule.columns[0]}`", rule.told
    if rule.kind == "range":
        least, most = (word(told[end], date=told["dates"]) for end in ("least", "most"))
        return f"{name} is {_shown(values[0])}, in real rows {least} to {most}"
    if rule.kind == "follows":
        return _said_of_followers(rule, values, words[0])
    if len(rule.columns) == 1:
        ends = {
            "number": f"in real rows {told.get('what', 'a number')}", "given": "in real rows there is something",
            "whole": "in real rows whole", "known": "which no real row has",
        }  # fmt: skip
        return f"{name} is {_shown(values[0])}, {ends[rule.kind]}"
    parts = [f"`{column}` ({_shown(v)})" for column, v in zip(rule.columns, values, strict=True)]
    if rule.kind == "order":
        return f"{parts[0]} is more than {parts[1]}, in real rows it is not"
    joined = {
        "linear": f"{parts[0]} times {told.get('k', 1):g} plus {told.get('c', 0):g}", "sum": " plus ".join(parts[:-1]),
        "product": " times ".join(parts[:-1]),
    }[rule.kind]  # fmt: skip
    return f"{joined} is not {parts[-1]}, in real rows it is"


def _said_of_followers(rule: Constraint, values: Sequence[Any], first: str | None) -> str:
    only = rule.told["only_whether"]
    key = _THERE if only[0] and first is not None else first
    usual = next((theirs for mine, theirs in rule.told["pairs"] if mine == key), None)
    shown = word(float(usual), date=True) if usual and rule.told["dates"] and not only[1] else _shown(usual)
    there = "missing" if usual is None else "given" if only[1] else shown
    where = f"where `{rule.columns[0]}` is {_shown(values[0])}"
    return f"`{rule.columns[1]}` is {_shown(values[1])} {where}, in real rows {there}"


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return repr(value[:60]) if isinstance(value, str) else f"{value:.15g}" if isinstance(value, float) else str(value)


def in_words(rule: Constraint) -> str:
    """Say a rule."""
    names, told = [f"`{name}`" for name in rule.columns], rule.told
    low, high = (word(told.get(end, 0.0), date=told.get("dates", False)) for end in ("low", "high"))
    return {
        "number": f"{names[0]} is {told.get('what', 'a number')}",
        "given": f"{names[0]} is given",
        "range": f"{names[0]} lies between {low} and {high}",
        "whole": f"{names[0]} is whole",
        "known": f"{names[0]} is a word that real rows have, of {len(told.get('values', ())):,}",
        "order": f"{names[0]} is at most {names[-1]}",
        "linear": f"{names[-1]} is {names[0]} times {told.get('k', 1):g} plus {told.get('c', 0):g}",
        "sum": f"{names[0]} plus {names[-2 % len(names)]} is {names[-1]}",
        "product": f"{names[0]} times {names[-2 % len(names)]} is {names[-1]}",
        "follows": f"{names[0]} gives {'whether there is ' if told.get('only_whether', [0, 0])[1] else ''}{names[-1]}",
    }[rule.kind]
