"""Flaws to plant in a table, in the manner of flaws.py: what is planted is not taken from the check.

Each names columns of Adult. Rows keep their ids, so copies of real rows do not stand out by theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from unflaw.data import Rows

__all__ = ["TABLE_FLAWS", "TableFlaw"]

Record = dict[str, Any]
Plant = Callable[[list[Record], Sequence[int], Sequence[Record], np.random.Generator], Sequence[int]]
"""(rows, places to spoil, other rows to take from, rng) → places that it spoilt; changes the rows."""

STRANGERS = {
    "education": ["PhD", "Secondary school", "B.Sc."], "occupation": ["Manager", "Software engineer"],
    "marital-status": ["Single", "Married"], "workclass": ["Employee"], "race": ["Hispanic"],
}  # fmt: skip
BROKEN = {"hours-per-week": (201, 400), "capital-gain": (-5000, -1), "age": (-20, 0), "educational-num": (25, 99)}


@dataclass(frozen=True)
class TableFlaw:
    """One way to spoil the rows of a table."""

    what: str
    plant: Plant
    seen_by: tuple[str, ...]
    """Findings that should see it."""
    sets: tuple[str, ...] = ("adult",)
    of: str = "reference"
    """Whose rows it takes from, where it takes any: "reference" or "holdout"."""

    def spoil(
        self, rows: Rows, share: float, seed: int, others: Mapping[str, Rows] | None = None
    ) -> tuple[Rows, list[str]]:
        """Return the rows with the flaw in a share of them, and the ids of those."""
        rng = np.random.default_rng([seed, 17])
        places = rng.permutation(len(rows))[: round(share * len(rows))].tolist()
        records = rows.table.to_pylist()
        taken = others[self.of].table.to_pylist() if others else []
        spoilt = self.plant(records, places, taken, rng)
        return Rows(pa.Table.from_pylist(records), rows.roles, rows.schema, rows.source), [rows.ids[i] for i in spoilt]


def shuffled(column: str) -> Plant:
    """Deal a column out anew among the rows."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        for i, value in zip(places, [rows[j][column] for j in rng.permutation(places)], strict=True):
            rows[i][column] = value
        return places

    return plant


def shrunk(column: str, to: float) -> Plant:
    """Move numbers towards their mean, as what a language model writes is nearer to it (EPIC's rows: TSH, age)."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        mean = float(np.mean([row[column] for row in rows]))
        for i in places:
            rows[i][column] = round(mean + to * (rows[i][column] - mean))
        return places

    return plant


def without_rare(column: str) -> Plant:
    """Give the rows of the rarest categories others, until so many rows have another one."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        counts = Counter(row[column] for row in rows)
        rarest = sorted(range(len(rows)), key=lambda i: (counts[rows[i][column]], rows[i][column]))[: len(places)]
        gone = {rows[i][column] for i in rarest}
        common = [value for value in counts if value not in gone] or [max(counts, key=lambda v: counts[v])]
        for i in rarest:
            rows[i][column] = common[rng.integers(len(common))]
        return rarest

    return plant


def given(values: Mapping[str, Any]) -> Plant:
    """Give rows these values."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        for i in places:
            rows[i].update(values)
        return places

    return plant


def one_of(column_values: Mapping[str, Sequence[Any]]) -> Plant:
    """Give each row one of some values, in one of some columns."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        columns = list(column_values)
        for i in places:
            column = columns[rng.integers(len(columns))]
            rows[i][column] = column_values[column][rng.integers(len(column_values[column]))]
        return places

    return plant


def broken(limits: Mapping[str, tuple[int, int]]) -> Plant:
    """Give each row a number that cannot be."""
    return one_of({column: range(*both) for column, both in limits.items()})


def emptied(columns: Sequence[str]) -> Plant:
    """Leave a value out."""
    return one_of({column: [None] for column in columns})


def copied(changed: Sequence[str] = ()) -> Plant:
    """Put copies of other rows in the place of rows, with some columns of their own."""

    def plant(
        rows: list[Record], places: Sequence[int], others: Sequence[Record], rng: np.random.Generator
    ) -> Sequence[int]:
        for i, j in zip(places, rng.permutation(len(others))[: len(places)], strict=True):
            rows[i].update({k: v for k, v in others[j].items() if not k.startswith("unflaw.") and k not in changed})
        return places

    return plant


TABLE_FLAWS = {
    "shuffled": TableFlaw("a column dealt out anew", shuffled("age"), ("tables.pairs", "tables.correlation")),
    "shuffled words": TableFlaw(
        "the same of words", shuffled("relationship"), ("tables.pairs", "tables.impossible")
    ),
    "shrunk": TableFlaw("numbers a quarter as far from their mean", shrunk("age", 0.25), ("tables.shapes",)),
    "rare gone": TableFlaw("rows of rare categories given common ones", without_rare("occupation"), ("tables.shapes",)),
    "impossible": TableFlaw(
        "husbands who are female", given({"relationship": "Husband", "gender": "Female"}), ("tables.impossible",)
    ),
    "broken limits": TableFlaw("hours above 200, negative gains and ages", broken(BROKEN), ("tables.constraints",)),
    "broken rule": TableFlaw(
        "years of schooling that belong to another degree", shuffled("educational-num"), ("tables.constraints",)
    ),
    "strangers": TableFlaw("categories that there are not", one_of(STRANGERS), ("tables.constraints",)),
    "nulls": TableFlaw("values left out", emptied(["age", "gender", "income", "race"]), ("tables.constraints",)),
    "real rows": TableFlaw("copies of reference rows", copied(), ("tables.copies",)),
    "nearly real rows": TableFlaw("the same with one number of their own", copied(["fnlwgt"]), ("tables.closest",)),
    "leaks": TableFlaw("copies of held-out rows", copied(), ("tables.holdout",), of="holdout"),
}  # fmt: skip
