"""Tables: combinations of two values that real rows never have, although both are common.

A husband who is female, a widow of 17. Never in n rows is at most 3 in n (the rule of three), which says nothing of
two rare values. So a pair counts where independence gives it `LEAST` real rows and there are next to none: then it is
at most a tenth as common as chance would have it, and that the two just failed to meet has a chance of e^-LEAST.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from unflaw.audit._sample import draw
from unflaw.audit._tables_view import Column, View, word
from unflaw.measure import binned, contingency, never_together

__all__ = ["LEAST", "Cell", "Coder", "Impossible"]

LEAST = 30.0
"""Real rows that independence must give."""
_LEAST_OF_BINS = 60.0
"""The same where numbers are put into bins: neighbouring ones shade into each other, and few is not never."""
_MOST_WORDS = 30
"""Different numbers of a column from which on they are put into bins, and words of a column that are asked."""
_BINS = 5
_MOST_COLUMNS = 60
"""Columns whose pairs are asked, 1,770 of them."""
_MOST_CELLS = 2000


class Coder(NamedTuple):
    """How the values of a column are told apart, JSON-ready."""

    name: str
    words: Sequence[str] = ()
    edges: Sequence[float] = ()
    """Between bins of numbers; empty for words."""
    dates: bool = False
    """Whether the numbers are dates."""

    @property
    def n_codes(self) -> int:
        """Number of values, of which the last but one is any other and the last a missing one."""
        return (len(self.edges) + 1 if self.edges else len(self.words)) + 2

    def codes(self, view: View) -> Int[np.ndarray, " n"]:
        """Give the values numbers."""
        missing = view.missing(self.name)
        if self.edges:
            x = view.numbers(self.name)
            at = np.where(np.isnan(x), self.n_codes - 2, binned(x, np.array(self.edges)))
        else:
            found = pc.index_in(view.words(self.name), value_set=pa.array(self.words, pa.string()), skip_nulls=True)
            at = pc.fill_null(found, self.n_codes - 2).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(missing, self.n_codes - 1, at)

    def said(self, code: int) -> str:
        """Say a value."""
        if code == self.n_codes - 1:
            return f"`{self.name}` missing"
        if not self.edges:
            said = self.words[code]
            return f"`{self.name}` {word(float(said), date=True) if self.dates else repr(said)}"
        edges = [word(edge, date=self.dates) for edge in self.edges]
        if code == 0:
            return f"`{self.name}` below {edges[0]}"
        return f"`{self.name}` {edges[code - 1]}{f' to {edges[code]}' if code < len(edges) else ' and more'}"


class Cell(NamedTuple):
    """Two values that never meet."""

    columns: tuple[str, str]
    codes: tuple[int, int]
    expected: float
    """Real rows by independence."""
    rows: int
    """Real rows there are."""


@dataclass(frozen=True)
class Impossible:
    """The combinations that real rows never have."""

    coders: Mapping[str, Coder]
    cells: Sequence[Cell]
    n_rows: int
    """Real rows looked at."""
    n_left_out: int = 0
    """Columns not asked."""

    @classmethod
    def of(
        cls, view: View, columns: Sequence[Column], without: Collection[frozenset[str]] = (), part: float = 1.0
    ) -> Impossible:
        """Look for them among all pairs of columns; those of which one gives the other are asked as a rule.

        Of a `part` of the rows as much less is asked, so that as many combinations are looked at.
        """
        asked = sorted((c for c in columns if c.asked), key=lambda c: draw(c.name, 0))
        coders = {c.name: coder for c in asked[:_MOST_COLUMNS] if (coder := _coder(view, c)) is not None}
        codes = {name: coder.codes(view) for name, coder in coders.items()}
        cells = []
        for a, b in combinations(sorted(coders), 2):
            if frozenset((a, b)) not in without:
                counts = contingency(codes[a], codes[b], coders[a].n_codes, coders[b].n_codes)
                in_bins = coders[a].edges or coders[b].edges
                found = never_together(counts, (_LEAST_OF_BINS if in_bins else LEAST) * part)
                cells += [
                    Cell((a, b), (i, j), expected, rows)
                    for i, j, expected, rows in found if _speak(coders, (a, b), (i, j))
                ]  # fmt: skip
        cells.sort(key=lambda cell: (-cell.expected, cell.columns, cell.codes))
        return cls(coders, cells[:_MOST_CELLS], len(view), max(0, len(asked) - _MOST_COLUMNS))

    @classmethod
    def from_evidence(cls, told: Mapping[str, Any]) -> Impossible:
        """Rebuild from `evidence`."""
        coders = {name: Coder(name, **how) for name, how in told["columns"].items()}
        return cls(coders, [Cell(tuple(c[0]), tuple(c[1]), *c[2:]) for c in told["cells"]], told["n_rows"])

    @property
    def evidence(self) -> dict[str, Any]:
        """The combinations as JSON, in numbers and in words."""
        used = {name for cell in self.cells for name in cell.columns}
        return {
            "columns": {
                n: {"words": list(c.words), "edges": list(c.edges), "dates": c.dates}
                for n, c in self.coders.items() if n in used
            },
            "cells": [[list(c.columns), list(c.codes), round(c.expected, 1), c.rows] for c in self.cells],
            "in_words": [self.said(cell) for cell in self.cells[:50]],
            "n_rows": self.n_rows, "n_columns_left_out": self.n_left_out, "least_expected": LEAST,
        }  # fmt: skip

    def said(self, cell: Cell) -> str:
        """Say a combination."""
        a, b = (self.coders[name].said(code) for name, code in zip(cell.columns, cell.codes, strict=True))
        return f"{a} with {b}: in real rows never, where chance would give {cell.expected:,.0f} of {self.n_rows:,}"

    def broken(self, view: View) -> list[tuple[Cell, Bool[np.ndarray, " n"]]]:
        """Return the combinations that some row has, with those rows."""
        names = {name for cell in self.cells for name in cell.columns if view.has(name)}
        codes = {name: self.coders[name].codes(view) for name in names}
        found = []
        for cell in self.cells:
            a, b = cell.columns
            if a in codes and b in codes:
                rows = (codes[a] == cell.codes[0]) & (codes[b] == cell.codes[1])
                if rows.any():
                    found.append((cell, rows))
        return found


def _coder(view: View, column: Column) -> Coder | None:
    if column.kind == "number":
        x = view.numbers(column.name)
        there = x[~np.isnan(x)]
        if len(np.unique(there)) > _MOST_WORDS:
            edges = np.unique(np.quantile(there, np.arange(1, _BINS) / _BINS))
            edges = edges[edges > there.min()]
            if not len(edges):  # most rows hold the least number: that, and all above it
                edges = there[there > there.min()].min(keepdims=True)
            if column.unit >= 1:  # the same bins, by numbers that there may be
                edges = np.unique(np.ceil(edges))
            return Coder(column.name, edges=edges.tolist(), dates=view.dates(column.name))
    counted = pc.value_counts(view.words(column.name).drop_null()).to_pylist()
    common = sorted(counted, key=lambda v: (-v["counts"], v["values"]))[:_MOST_WORDS]
    return Coder(column.name, [v["values"] for v in common], dates=view.dates(column.name)) if common else None


def _speak(coders: Mapping[str, Coder], names: tuple[str, str], codes: tuple[int, int]) -> bool:
    """Tell whether both values are something: "any other" is not."""
    return all(code != coders[name].n_codes - 2 for name, code in zip(names, codes, strict=True))
