"""The overlap picture: where synthetic and real rows lie, in two dimensions. Never a basis for a verdict."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unflaw.data import Plot, Series

__all__ = ["overlap_plots"]

_PCA_POINTS = 600
_TSNE_POINTS = 200
"""Points of either set: enough to see clusters, and the picture is drawn in a second."""
_TSNE_LEAST = 10
"""Below that many points of either set t-SNE has nothing to arrange."""


def overlap_plots(
    real: Float[np.ndarray, "n d"], synthetic: Float[np.ndarray, "m d"], picture: str, seed: int
) -> tuple[Plot, ...]:
    """Draw the two directions of most variance and, for `picture="tsne"`, the neighbourhoods."""
    plots = [_principal(real, synthetic)]
    if picture == "tsne" and min(len(real), len(synthetic)) >= _TSNE_LEAST:
        plots.append(_neighbourhoods(real[:_TSNE_POINTS], synthetic[:_TSNE_POINTS], seed))
    return tuple(plots)


def _principal(real: Float[np.ndarray, "n d"], synthetic: Float[np.ndarray, "m d"]) -> Plot:
    pooled = np.concatenate([real, synthetic])
    centred = pooled - pooled.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])  # a sign that does not flip
    share = values[::-1][:2] / max(values.sum(), 1e-12)
    points = centred @ axes
    if points.shape[1] == 1:
        points, share = np.column_stack([points, np.zeros(len(points))]), np.append(share, 0.0)
    return _scatter(
        "Overlap: principal components",
        (f"component 1 ({share[0]:.0%} of the variance)", f"component 2 ({share[1]:.0%})"),
        points[: len(real)][:_PCA_POINTS],
        points[len(real) :][:_PCA_POINTS],
        "along the two directions in which all rows vary most",
    )


def _neighbourhoods(real: Float[np.ndarray, "n d"], synthetic: Float[np.ndarray, "m d"], seed: int) -> Plot:
    from sklearn.manifold import TSNE

    pooled = np.concatenate([real, synthetic]).astype(np.float64)
    perplexity = min(30.0, (len(pooled) - 1) / 3)
    points = (
        TSNE(perplexity=perplexity, init="random", max_iter=400, random_state=seed)
        .fit_transform(pooled)
        .astype(np.float64)
    )
    return _scatter(
        "Overlap: t-SNE",
        ("t-SNE 1 (no scale)", "t-SNE 2 (no scale)"),
        points[: len(real)],
        points[len(real) :],
        "so that near neighbours stay near; distances between clusters mean nothing",
    )


def _scatter(
    title: str,
    labels: tuple[str, str],
    real: Float[np.ndarray, "n 2"],
    synthetic: Float[np.ndarray, "m 2"],
    how: str,
) -> Plot:
    series = tuple(
        Series(name, [_short(v) for v in points[:, 0]], [_short(v) for v in points[:, 1]])
        for name, points in (("real", real), ("synthetic", synthetic))
    )
    alt = f"{len(real)} real and {len(synthetic)} synthetic rows as points, {how}."
    return Plot("scatter", title, *labels, series, alt)


def _short(value: float) -> float:
    """Three digits are all a screen shows."""
    return float(f"{value:.3g}")
