"""Density of values per row, for a picture: never for a verdict, since it depends on the bandwidth.

Notation
    x : values, shape (n,)
    g : places where the density is wanted, shape (g,)
    h : bandwidth, 0.9 min(sd, IQR / 1.34) n^(-1/5), in the unit of x

Reference: Silverman (1986), Density Estimation, eq. 3.31.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unflaw._errors import TooFewRowsError

__all__ = ["kernel_density"]


def kernel_density(x: Float[np.ndarray, " n"], grid: Float[np.ndarray, " g"]) -> Float[np.ndarray, " g"]:
    """Return the Gaussian kernel density of `x` on `grid`; its area over all values is 1."""
    if len(x) < 2:
        raise TooFewRowsError(f"`x` needs at least two values for a density, got {len(x)}")
    quarter, three_quarters = np.quantile(x, [0.25, 0.75])
    spreads = [s for s in (x.std(), (three_quarters - quarter) / 1.34) if s > 0]
    step = float(grid[1] - grid[0]) if len(grid) > 1 else 1.0
    h = max(0.9 * min(spreads, default=0.0) * len(x) ** -0.2, step)  # equal values still make a visible peak
    density = np.zeros(len(grid))
    for start in range(0, len(x), 4096):  # bounds memory
        density += np.exp(-0.5 * ((grid[:, None] - x[None, start : start + 4096]) / h) ** 2).sum(axis=1)
    return density / (len(x) * h * np.sqrt(2 * np.pi))
