"""Weights for labelled rows that a language model wrote: quality over diversity.

Notation
    n     rows
    x, y  text and label of a row
    a     quality P'(y|x): how likely the label is to a classifier that learnt from real rows, (n,)
    b     diversity: how likely it is to one that learnt from rows like this one (IMP), or to the one in training (DIMP)
    w     weight, (n,)

Rows come from Q(x, y) and are to stand for P(x, y). Where both have the same texts, E_Q[P(y|x) / Q(y|x) f] = E_P[f], so
a row counts a / b: more where real rows agree with its label, less where rows like it have taught that label already.
It corrects labels given texts, not which texts there are.

References
----------
    Kuo et al. 2024, "Not All LLM-Generated Data Are Equal" (arXiv 2410.21526): `importance_weights`.
    Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599): `fitted_temperature`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

__all__ = ["fitted_temperature", "importance_weights", "tempered"]


def importance_weights(
    a: Float[Any, " n"], b: Float[Any, " n"], *, temperature: float = 1.0, cap: float | None = None
) -> Float[Any, " n"]:
    """Return (a / b)^(1 / temperature), at most `cap`. Arrays of numpy and tensors of torch alike.

    The paper caps nothing: its weights have no bound as b goes to 0. A temperature above 1 brings them nearer to 1.

    >>> importance_weights(np.array([0.9, 0.9, 0.02]), np.array([0.9, 0.1, 0.01])).round(2).tolist()
    [1.0, 9.0, 2.0]
    """
    w = a / b
    if temperature != 1:
        w = w ** (1 / temperature)
    return w if cap is None else w.clip(max=cap)


def tempered(p: Float[np.ndarray, "n K"], temperature: float) -> Float[np.ndarray, "n K"]:
    """Return the probabilities of logits divided by a temperature: above 1 less sure, with the same order.

    >>> tempered(np.array([[0.9, 0.1]]), 2.0).round(2).tolist()
    [[0.75, 0.25]]
    """
    logits = np.log(np.maximum(p, np.finfo(p.dtype).tiny)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fitted_temperature(p: Float[np.ndarray, "n K"], labels: Int[np.ndarray, " n"]) -> float:
    """Return the temperature, from .05 to 20, at which labels of rows that were not learnt from are likeliest.

    A classifier that is as sure as it is right gets 1; one that is surer gets more. One that is right about every row
    gets 1, too: they cannot tell how sure it may be.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))
    if (p.argmax(axis=1) == labels).all():
        return 1.0

    def surprise(log_temperature: float) -> float:
        likely = tempered(p, float(np.exp(log_temperature)))[rows, labels]
        return float(-np.log(np.maximum(likely, np.finfo(p.dtype).tiny)).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))
