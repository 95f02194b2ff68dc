"""How near real rows find synthetic ones, beside how near they find other real ones (arXiv 2310.07849, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from unflaw.data import NO_VERDICT, Finding
from unflaw.measure import top_similarity

__all__ = ["similarity_finding"]

NEAREST = 5
Interval = Callable[[Float[np.ndarray, " draws"]], tuple[float, float, float]]


def similarity_finding(
    mine: Float[np.ndarray, "n d"],
    real: Float[np.ndarray, "n d"],
    n_draws: int,
    seed: int,
    interval: Interval,
    settings: Mapping[str, Any],
) -> Finding:
    """Ask halves of the real rows about as many synthetic ones, and about the other half.

    It has no verdict. Far away means that what people write is missing; near may mean copied, which `copies` tells.
    """
    rng, half = np.random.default_rng(seed), len(real) // 2
    values = []
    for _ in range(n_draws):
        order = rng.permutation(len(real))
        asked, others, own = real[order[:half]], real[order[half : 2 * half]], mine[rng.permutation(len(mine))[:half]]
        values.append([float(top_similarity(asked, of, NEAREST).mean()) for of in (own, others)])
    (value, low, high), control = (interval(np.array(values)[:, k]) for k in (0, 1))
    return Finding(
        check="diversity.similarity",
        title="How near real rows find the synthetic ones",
        value=value,
        low=low,
        high=high,
        better="higher",
        verdict="ok",
        threshold=f"{NO_VERDICT}far away means that something is missing, near may mean copied",
        meaning=f"The {NEAREST} rows nearest to a real one are {value:.2f} like it, real ones {control[0]:.2f}.",
        control=control[0],
        control_low=control[1],
        control_high=control[2],
        unit=f"cosine similarity to the {NEAREST} nearest, mean over real rows",
        n_rows=len(mine),
        n_reference=len(real),
        evidence={"rows_a_draw": half},
        settings=settings,
    )
