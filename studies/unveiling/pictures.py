"""The pictures of the study's page, drawn from `results/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from _study import BESIDE

__all__ = ["draw", "pictures"]


def pictures(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return file name → what `draw` takes."""
    drawn: dict[str, dict[str, Any]] = {}
    if "arms_more.json" in found:
        x = ("tokens", "tokens read, prompts included")
        points = dose(found["arms_more.json"])
        drawn["dose.svg"] = {"points": points, "x": x, "color": "arm", "facet": "score", "log": True}
    if "order.json" in found:
        points = [
            {"share": float(share), "arm": arm, "score": b, "value": v}
            for share, arms in found["order.json"]["shares"].items()
            for arm, values in arms.items()
            if sum(arm in of for of in found["order.json"]["shares"].values()) > 1
            for b in BESIDE
            for v in values[b]
        ]
        x = ("share", "share of the mixture that is synthetic")
        drawn["share.svg"] = {"points": points, "x": x, "color": "arm", "facet": "score"}
    if "interpolate.json" in found:
        values = found["interpolate.json"]["values"]
        on_the_line = {
            "untouched": 0.0,
            **{m: float(m.split()[1]) for m in values if m.startswith("share")},
            "damaged": 1,
        }
        points = [
            {"share": share, "score": b, "value": v, "arm": "interpolated"}
            for model, share in on_the_line.items()
            for b in (*BESIDE, "qa.f1")
            for v in values[model][b]
        ]
        x = ("share", "share of the adapter")
        drawn["interpolate.svg"] = {"points": points, "x": x, "color": "arm", "facet": "score"}
    if "stability.json" in found:
        drawn["stability.svg"] = {
            "points": found["stability.json"]["curve"], "x": ("step", "steps"), "y": "log-perplexity, nats",
            "color": "objective", "facet": "what is forgotten",
        }  # fmt: skip
    return drawn


def dose(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return lift and pattern against the tokens a repair read."""
    return [
        {"tokens": mean(told["tokens"]), "arm": arm.split("_")[0], "score": b, "value": v}
        for arm, told in record["arms"].items()
        if arm.removesuffix("_3x").removesuffix("_10x") in ("replay", "bounded")
        for b in BESIDE
        for v in told["values"][b]
    ]


def draw(
    points: Sequence[Mapping[str, Any]], *, x: tuple[str, str], y: str = "", color: str, facet: str, log: bool = False
) -> str:
    """Draw points, and the line through their means, one panel per facet, as SVG."""
    import vl_convert

    across = {"field": x[0], "type": "quantitative", "title": x[1], "scale": {"type": "log" if log else "linear"}}
    layers = [
        {"mark": mark, "encoding": {"y": {"field": "value", "type": "quantitative", "title": y, **more}}}
        for mark, more in (("point", {}), ("line", {"aggregate": "mean"}))
    ]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": list(points)},
        "facet": {"column": {"field": facet, "title": None}},
        "spec": {
            "width": 300, "height": 200, "layer": layers,
            "encoding": {"x": across, "color": {"field": color, "type": "nominal"}},
        },
        "resolve": {"scale": {"y": "independent"}},
        "background": "white",
    }  # fmt: skip
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg
