"""Views of labelled rows: the whole of each, or a part that should not give its label away."""

from __future__ import annotations

import random

from unflaw._errors import SettingsError, did_you_mean
from unflaw.data import Rows
from unflaw.train import labels_of, texts_of

__all__ = ["FULL", "VIEWS", "view_of"]

FULL = "full"
VIEWS = (FULL, "premise", "hypothesis", "shuffled", "first:N", "last:N")
"""Beside the names of columns: whole rows, one side of a pair, the words in disorder, so many at either end."""


def view_of(rows: Rows, view: str, seed: int = 0) -> Rows:
    """Return rows, of the same ids and labels, that hold a view of these.

    Raises
    ------
    SettingsError
        No such view, or the rows have no such part.
    """
    if view == FULL:
        return rows
    labels = labels_of(rows)
    records = [
        {"unflaw.id": i, "text": text, "label": label}
        for i, text, label in zip(rows.ids, _texts(rows, view, seed), labels, strict=True)
    ]
    return Rows.from_records(records, {"text": "text", "label": "label"}, source=rows.source)


def _texts(rows: Rows, view: str, seed: int) -> list[str]:
    kind, _, size = view.partition(":")
    if kind in ("first", "last") and size:
        if not (size.isascii() and size.isdigit()) or int(size) < 1:
            raise SettingsError(f"`view` {kind} must name a number of words, e.g. {kind}:3, got {view!r}")
        cut = slice(int(size)) if kind == "first" else slice(-int(size), None)
        return [" ".join(text.split()[cut]) for text in _joined(rows)]
    if view == "shuffled":
        return [
            " ".join(_shuffled(text.split(), f"{seed} {i}")) for i, text in zip(rows.ids, _joined(rows), strict=True)
        ]
    if view in VIEWS and not rows.has(view):
        raise SettingsError(f"`view` {view} needs rows with a {view}, and these have none")
    if not rows.has(view) and view not in rows.table.column_names:
        known = [*VIEWS[:4], "first:3", "last:3", *rows.table.column_names]
        raise SettingsError(f"`view` knows no {view!r}: it is no view and no column. {did_you_mean(view, known)}")
    return ["" if value is None else str(value) for value in rows.column(view)]


def _joined(rows: Rows) -> list[str]:
    return [text if isinstance(text, str) else " ".join(text) for text in texts_of(rows)]


def _shuffled(words: list[str], seed: str) -> list[str]:
    random.Random(seed).shuffle(words)
    return words
