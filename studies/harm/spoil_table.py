"""Flaws in a table: what is planted in some of its rows, and which findings should speak of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["CATEGORIES", "LABEL", "NUMBERS", "TABLE", "TableFlaw", "TableWorld", "places_in"]

LABEL = "income"
NUMBERS = ("age", "fnlwgt", "educational-num", "capital-gain", "capital-loss", "hours-per-week")
CATEGORIES = (
    "workclass", "education", "marital-status", "occupation", "relationship", "race", "gender", "native-country",
)  # fmt: skip
SPREAD = 0.2
"""What is left of the distance to the mean where the spread is shrunk."""

Table = pd.DataFrame


@dataclass(frozen=True)
class TableWorld:
    """Real rows that a flaw may draw on besides those it spoils."""

    pool: Table
    reference: Table
    leak: Table
    """Held out, but for what leaks."""


@dataclass(frozen=True)
class TableFlaw:
    """One way to spoil rows of a table in some places."""

    what: str
    plant: Callable[[Table, np.ndarray, np.random.Generator, TableWorld], Table]
    seen_by: tuple[str, ...]
    of: str = ""
    """Which rows are spoilt: `rich`, those of the rarer class; `rare`, those with a rare occupation or country."""


def places_in(flaw: TableFlaw, rows: Table, dose: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the places of a dose; no more than there are rows that the flaw is about."""
    order, n = rng.permutation(len(rows)), round(dose * len(rows))
    if flaw.of == "rich":
        order = order[(rows[LABEL] == rows[LABEL].value_counts().idxmin()).to_numpy()[order]]
    if flaw.of == "rare":  # the rarest first
        often = sum(rows[c].map(rows[c].value_counts(normalize=True)) for c in ("occupation", "workclass"))
        order = np.argsort(np.asarray(often), kind="stable")
    return order[:n]


def put(rows: Table, places: np.ndarray, columns: str | list[str], values: object) -> Table:
    """Put values in some places of a copy."""
    rows = rows.copy()
    at = rows.index[places]
    rows.loc[at, columns] = values
    return rows


def put_rows(rows: Table, places: np.ndarray, others: Table) -> Table:
    """Put other rows in some places of a copy."""
    return put(rows, places, list(rows.columns), others[list(rows.columns)].to_numpy())


def column_shuffled(*names: str) -> Callable[..., Table]:
    """Shuffle columns, each on its own, among the rows that are spoilt."""

    def plant(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
        for name in names:
            rows = put(rows, places, name, rows[name].to_numpy()[rng.permutation(places)])
        return rows

    return plant


def shrunk(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Draw every number towards the mean of its column."""
    for name in NUMBERS:
        mean = rows[name].mean()
        values = (mean + SPREAD * (rows[name].to_numpy()[places] - mean)).round()
        rows = put(rows, places, name, values.astype(rows[name].dtype))
    return rows


def without_rare(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Put real rows that have none of the spoilt rows' rare occupations and employers in their place."""
    kept = rows.drop(rows.index[places])
    often = world.pool[
        world.pool["occupation"].isin(kept["occupation"]) & world.pool["workclass"].isin(kept["workclass"])
    ]
    return put_rows(rows, places, often.iloc[rng.permutation(len(often))[: len(places)]])


def other_label(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Give rows the other label."""
    one, two = sorted(rows[LABEL].unique())
    return put(rows, places, LABEL, rows[LABEL].iloc[places].map({one: two, two: one}).to_numpy())


def unheard(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Misspell three categories of each row."""
    for name in ("education", "marital-status", "occupation"):
        rows = put(rows, places, name, [f"{value.lower().replace('-', ' ')}s" for value in rows[name].iloc[places]])
    return rows


def nulls(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Leave three values of each row out."""
    rows = rows.astype({"educational-num": float, "age": float})
    rows = put(rows, places, ["educational-num", "age"], np.nan)
    return put(rows, places, "marital-status", None)


def again(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Repeat other rows."""
    others = np.setdiff1d(np.arange(len(rows)), places)
    return put_rows(rows, places, rows.iloc[rng.choice(others, len(places))])


def impossible(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Join what cannot be: wives that are male, husbands never married, doctors of four years at school."""
    for name, value in (("relationship", "Wife"), ("gender", "Male"), ("marital-status", "Never-married")):
        rows = put(rows, places, name, value)
    return put(put(rows, places, "education", "Doctorate"), places, "educational-num", 2)


def out_of_range(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Give ages below 0 and weeks of more hours than there are."""
    rows = put(rows, places, "age", -rows["age"].to_numpy()[places])
    return put(rows, places, "hours-per-week", rows["hours-per-week"].to_numpy()[places] + 168)


def poor(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Put real rows of the commoner class in the place of those of the rarer."""
    common = world.pool[world.pool[LABEL] == rows[LABEL].value_counts().idxmax()]
    return put_rows(rows, places, common.iloc[rng.permutation(len(common))[: len(places)]])


def of_reference(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Put rows of the reference in their place."""
    return put_rows(rows, places, world.reference.iloc[rng.permutation(len(world.reference))[: len(places)]])


def near_reference(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Put rows of the reference in their place, a year older or younger and a little heavier in weight."""
    rows = of_reference(rows, places, rng, world)
    rows = put(rows, places, "age", rows["age"].to_numpy()[places] + rng.choice([-1, 1], len(places)))
    return put(rows, places, "fnlwgt", rows["fnlwgt"].to_numpy()[places] + rng.integers(-500, 500, len(places)))


def leaked(rows: Table, places: np.ndarray, rng: np.random.Generator, world: TableWorld) -> Table:
    """Put rows in their place that were held out, the first ones."""
    return put_rows(rows, places, world.leak.iloc[: len(places)])


TABLE = {
    "wrong labels": TableFlaw("the other label", other_label, ("labels.noise",)),
    "one class": TableFlaw("real rows of the commoner class in the place of others", poor, ("labels.balance",), "rich"),
    "one column shuffled": TableFlaw(
        "years at school, shuffled", column_shuffled("educational-num"), ("tables.correlation",)
    ),
    "columns shuffled": TableFlaw(
        "every column but the label shuffled on its own", column_shuffled(*NUMBERS, *CATEGORIES), ("tables.pairs",)
    ),
    "spread shrunk": TableFlaw("numbers drawn to a fifth of their distance from the mean", shrunk, ("tables.shapes",)),
    "rare left out": TableFlaw(
        "rows with the rarest occupations and employers replaced by others", without_rare, ("tables.shapes",), "rare"
    ),
    "unheard categories": TableFlaw("three categories misspelt", unheard, ("tables.constraints",)),
    "nulls": TableFlaw("three values left out", nulls, ("tables.constraints",)),
    "out of range": TableFlaw("ages below 0, weeks of over 168 hours", out_of_range, ("tables.constraints",)),
    "impossible": TableFlaw("combinations that cannot be", impossible, ("tables.impossible",)),
    "copies": TableFlaw("rows once more", again, ("copies.inside",)),
    "reference": TableFlaw("rows of the reference", of_reference, ("tables.copies", "copies.reference")),
    "near reference": TableFlaw("rows of the reference, hardly changed", near_reference, ("tables.closest",)),
    "leak": TableFlaw("rows held out for testing", leaked, ("tables.holdout", "copies.holdout")),
}
