"""How well classes are told: accuracy and macro-F1, and both under resampling.

Notation
    n, K    rows, classes
    y, p    the right class and the predicted one of each row, 0 … K - 1, (n,)
    cell    y K + p: the cell of the confusion table that a row falls into, (n,)
    C       confusion table, rows by the right class, (K, K)

Accuracy hides a class that is never found where it is rare. Macro-F1 averages F1 = 2 tp / (2 tp + fp + fn) over
classes, so each counts as much as any other. A class that is neither there nor predicted has no F1 and is left out of
the mean, as in a resample that misses a rare class.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["accuracy", "cells", "confusion", "macro_f1"]


def cells(y: Int[np.ndarray, " n"], p: Int[np.ndarray, " n"], n_classes: int) -> Int[np.ndarray, " n"]:
    """Return the cell of each row.

    >>> cells(np.array([0, 1]), np.array([1, 1]), 2).tolist()
    [1, 3]
    """
    return y * n_classes + p


def confusion(cell: Int[np.ndarray, "*r n"], n_classes: int) -> Int[np.ndarray, "*r K K"]:
    """Count the rows in each cell, for each resample where there are several."""
    flat = cell.reshape(-1, cell.shape[-1])
    shifted = flat + np.arange(len(flat))[:, None] * n_classes**2
    counts = np.bincount(shifted.ravel(), minlength=len(flat) * n_classes**2)
    return counts.reshape(*cell.shape[:-1], n_classes, n_classes)


def accuracy(table: Int[np.ndarray, "*r K K"]) -> Float[np.ndarray, "*r"]:
    """Return the share of rows whose class was told."""
    return np.asarray(np.trace(table, axis1=-2, axis2=-1) / table.sum(axis=(-2, -1)))


def macro_f1(table: Int[np.ndarray, "*r K K"]) -> Float[np.ndarray, "*r"]:
    """Return the mean of F1 over the classes that are there or were predicted.

    >>> macro_f1(np.array([[3, 1], [0, 0]])).round(3).tolist()  # F1 of 6/7, and 0 for the class only predicted
    0.429
    """
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    either = table.sum(axis=-1) + table.sum(axis=-2)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(np.where(either > 0, 2 * hits / either, np.nan), axis=-1))
