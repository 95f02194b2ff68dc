"""A `Plot` noun → inline SVG, drawn by Vega-Lite through `vl_convert`: no browser, no network, no script.

Colours leave here as CSS variables, so that the page's light, dark and print palettes apply to plots too. Titles
and legends are the page's own HTML, where they wrap on a phone and can be read aloud; the SVG holds marks and axes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from unflaw.report._text import number

__all__ = ["draw", "intervals", "legend"]

_SLOTS = 6  # series colours in page.css; a seventh series starts again
_SLOT_OF = {
    "synthetic": 1,
    "graded": 1,
    "test": 2,
    "damaged": 1,
    "real": 2,
    "reference": 2,
    "untouched": 2,
    "real vs real": 2,
    "repaired": 3,
}
_SLOT_OF |= {"forget": 1, "replay": 2, "kl": 3, "guard": 4, "loss": 5}
_DASHES: list[list[int]] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 4]]
_INK, _GRID = "#0a0a0a", "#0b0b0b"  # stand-ins, replaced by CSS variables once drawn
_STAND_INS = {_INK: "var(--ink-2)", _GRID: "var(--line)"} | {f"#00000{i}": f"var(--s{i})" for i in range(1, _SLOTS + 1)}
_MAX_POINTS = {"scatter": 600, "line": 250, "density": 200, "bars": 40}
_POINT = re.compile(r'<path transform="translate\(([^,]+),([^)]+)\)" d="[^"]*" fill="(#00000\d)"[^>]*?(?:/>|></path>)')
_EMPTY = re.compile(r'<path d=""[^>]*/>|<path d="M0,0h0v0h0Z"/>')


def draw(plot: Mapping[str, Any], key: str, *, width: int = 460, height: int = 260) -> Markup:
    """Draw a plot (as `to_json` gives it). `key` must be unique on the page: ids inside the SVG start with it.

    At most a few hundred points per series are drawn, evenly picked; values that are not finite are left out.
    """
    import vl_convert

    slots = _slots([s["name"] for s in plot["series"]])
    series = [(slot, _points(s, _MAX_POINTS[plot["kind"]])) for slot, s in zip(slots, plot["series"], strict=True)]
    series = [(slot, points) for slot, points in series if points]
    if not series:
        return Markup("")
    if plot["kind"] == "bars":
        layers, height = _bars(plot, series, height)
    else:
        layers = [layer for slot, points in series for layer in _LAYERS[plot["kind"]](plot, slot, points)]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "padding": {"left": _room_for_words(plot), "top": 5, "right": 8, "bottom": 5},
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "layer": layers,
        "config": _CONFIG,
    }
    return _inline(vl_convert.vegalite_to_svg(spec), key, plot["alt"])


def legend(plot: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, colour slot and swatch of each series; empty when there is only one."""
    names = [s["name"] for s in plot["series"]]
    if len(names) < 2:
        return []
    shape = {"line": "line", "density": "line", "scatter": "dot", "bars": "box"}[plot["kind"]]
    return [
        {"name": name, "slot": slot, "shape": shape, "dash": ",".join(map(str, _DASHES[slot - 1]))}
        for name, slot in zip(names, _slots(names), strict=True)
    ]


def intervals(rows: Sequence[Mapping[str, Any]], alt: str, width: int = 400) -> Markup:
    """Values with their intervals on one common scale, one line each.

    `rows` hold `name`, `value`, `low`, `high` (either may be None). Drawn by hand: thirty lines of SVG are smaller
    and clearer than a chart.
    """
    rows = [r for r in rows if r["value"] is not None and math.isfinite(r["value"])]
    ends = [v for r in rows for v in (r["value"], r["low"], r["high"]) if v is not None and math.isfinite(v)]
    if not ends:
        return Markup("")
    low, high = min(ends), max(ends)
    low = 0.0 if 0 <= low <= high / 2 else low - (high - low) / 5  # from zero where that costs little room
    span = (high - low) or 1.0
    left, right, step = 112, 58, 26

    def at(value: float) -> str:
        return f"{left + 6 + (width - left - right - 12) * (value - low) / span:.1f}"

    parts = []
    for i, (row, slot) in enumerate(zip(rows, _slots([r["name"] for r in rows]), strict=True)):
        y = 16 + i * step
        name = row["name"] if len(row["name"]) <= 16 else row["name"][:15] + "…"
        parts.append(f'<text x="0" y="{y + 4}">{escape(name)}</text>')
        parts.append(f'<path d="M{left} {y}H{width - right}" stroke="var(--line)"/>')
        if row["low"] is not None and row["high"] is not None:
            a, b = at(row["low"]), at(row["high"])
            parts.append(
                f'<path d="M{a} {y}H{b}M{a} {y - 4}v8M{b} {y - 4}v8" stroke="var(--s{slot})" stroke-width="2"/>'
            )
        parts.append(f'<circle cx="{at(row["value"])}" cy="{y}" r="5" fill="var(--s{slot})"/>')
        parts.append(f'<text x="{width}" y="{y + 4}" text-anchor="end" class="num">{number(row["value"])}</text>')
    height = 32 + (len(rows) - 1) * step
    return Markup(  # every outside string above is escaped
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" fill="none">{"".join(parts)}</svg>'
    )


def _slots(names: Sequence[str]) -> list[int]:
    """Colour slot of each series: familiar names always look the same, others take what is free."""
    taken = [_SLOT_OF.get(name.lower()) for name in names]
    free = iter([s for s in range(1, _SLOTS + 1) if s not in taken] or [1])
    out: list[int] = []
    for slot in taken:
        if slot is None or slot in out:
            slot = next(free, len(out) % _SLOTS + 1)
        out.append(slot)
    return out


def _points(series: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    lows = series["low"] or [None] * len(series["y"])
    highs = series["high"] or [None] * len(series["y"])
    points = [
        {"x": x, "y": y} | ({"lo": lo, "hi": hi} if lo is not None and hi is not None else {})
        for x, y, lo, hi in zip(series["x"], series["y"], lows, highs, strict=True)
        if all(v is None or isinstance(v, str) or math.isfinite(v) for v in (x, y, lo, hi)) and None not in (x, y)
    ]
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def _room_for_words(plot: Mapping[str, Any]) -> int:
    """Leave room at the left: the reader's font may be a fifth wider than the one Vega measures with."""
    words = [x for s in plot["series"] for x in s["x"] if isinstance(x, str)] if plot["kind"] == "bars" else []
    return 6 + min(36, 2 * max(map(len, words), default=0))


def _axis(title: str, *, zero: bool = False) -> dict[str, Any]:
    return {"type": "quantitative", "title": title or None, "scale": {"zero": zero, "nice": True}}


def _scatter(plot: Mapping[str, Any], slot: int, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    mark = {"type": "point", "filled": True, "size": 20, "color": f"#00000{slot}"}
    encoding = {"x": {"field": "x", **_axis(plot["x_label"])}, "y": {"field": "y", **_axis(plot["y_label"])}}
    return [{"data": {"values": points}, "mark": mark, "encoding": encoding}]


def _line(plot: Mapping[str, Any], slot: int, points: list[dict[str, Any]], zero: bool = False) -> list[dict[str, Any]]:
    colour = f"#00000{slot}"
    x, y = {"field": "x", **_axis(plot["x_label"])}, {"field": "y", **_axis(plot["y_label"], zero=zero)}
    x["scale"] = {"zero": False, "nice": False}
    layers = []
    if "lo" in points[0]:
        layers.append(
            {
                "data": {"values": points},
                "mark": {"type": "area", "color": colour, "opacity": 0.16},
                "encoding": {"x": x, "y": {**y, "field": "lo"}, "y2": {"field": "hi"}},
            }
        )
    dash = _DASHES[slot - 1] if len(plot["series"]) > 1 else []
    mark = {"type": "line", "color": colour, "strokeWidth": 2, "strokeDash": dash}
    return [*layers, {"data": {"values": points}, "mark": mark, "encoding": {"x": x, "y": y}}]


def _density(plot: Mapping[str, Any], slot: int, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    line = _line(plot, slot, points, zero=True)[-1]
    fill = {**line, "mark": {"type": "area", "color": f"#00000{slot}", "opacity": 0.14}}
    return [fill, line]


def _bars(
    plot: Mapping[str, Any], series: list[tuple[int, list[dict[str, Any]]]], height: int
) -> tuple[list[dict[str, Any]], int]:
    """Words as categories lie on their side, so that they can be read; numbers stand up."""
    values = [{**p, "s": f"{i}"} for i, (_, points) in enumerate(series) for p in points]
    names = any(isinstance(p["x"], str) for p in values)
    order = list(dict.fromkeys(p["x"] for p in values))
    across, up = ("y", "x") if names else ("x", "y")
    category = {
        "field": "x",
        "type": "nominal" if names else "ordinal",
        "sort": order,
        "title": plot["x_label"] or None,
        "axis": {"grid": False, "labelAngle": 0},
    }
    colour = {
        "field": "s",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": [str(i) for i in range(len(series))], "range": [f"#00000{slot}" for slot, _ in series]},
    }
    encoding = {
        across: category,
        up: {"field": "y", **_axis(plot["y_label"], zero=True), "axis": {"grid": True}},
        f"{across}Offset": {"field": "s", "type": "nominal", "bandPosition": 0.5},
        "color": colour,
    }
    layers = [{"data": {"values": values}, "mark": {"type": "bar"}, "encoding": encoding}]
    if any("lo" in p for p in values):
        whiskers = {k: v for k, v in encoding.items() if k not in (up, "color")}
        whiskers |= {up: {"field": "lo", **_axis(plot["y_label"], zero=True)}, f"{up}2": {"field": "hi"}}
        mark = {"type": "rule", "color": _INK, "strokeWidth": 1.5}
        layers.append({"data": {"values": [p for p in values if "lo" in p]}, "mark": mark, "encoding": whiskers})
    return layers, (max(120, 54 + len(order) * max(20, 12 * len(series))) if names else height)


_LAYERS = {"scatter": _scatter, "line": _line, "density": _density}

_CONFIG: dict[str, Any] = {
    "aria": False,  # the page describes the plot in one sentence; hundreds of labelled points help nobody
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelLimit": 170,
        "gridColor": _GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "tickCount": 5,
    },
    "axisX": {"grid": False},
}


def _inline(svg: str, key: str, alt: str) -> Markup:
    """Make Vega's SVG small and safe to share a page: own ids, rounded numbers, CSS colours, one text alternative.

    Vega escapes the text it draws; the tests hold it to that.
    """
    svg = _gather_points(svg)
    svg = _EMPTY.sub("", re.sub(r"<[^>]*>", _tidy_tag, svg))
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    body = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    head = f'<svg viewBox="{box.group(1) if box else "0 0 520 270"}" role="img" aria-label="{escape(alt)}">'
    return Markup(f"{head}{body}</svg>")


def _gather_points(svg: str) -> str:
    """Turn a cloud of Vega points into one path per colour: 12 bytes a point instead of 200.

    Odd slots draw round points and even slots square ones, so that colour is never the only difference.
    """
    clouds: dict[str, list[str]] = {}
    for match in _POINT.finditer(svg):
        x, y, colour = match.groups()
        clouds.setdefault(colour, []).append(f"M{float(x):.0f} {float(y):.0f}h0")
    drawn = {
        colour: f'<path d="{"".join(dots)}" stroke="{colour}" stroke-width="{5 if int(colour[-1]) % 2 else 4}" '
        f'stroke-opacity=".6" stroke-linecap="{"round" if int(colour[-1]) % 2 else "square"}" fill="none"/>'
        for colour, dots in clouds.items()
    }

    def once(match: re.Match[str]) -> str:
        return drawn.pop(match.group(3), "")

    return _POINT.sub(once, svg)


def _tidy_tag(match: re.Match[str]) -> str:
    tag = match.group(0)
    for stand_in, variable in _STAND_INS.items():
        tag = tag.replace(f'"{stand_in}"', f'"{variable}"')
    tag = re.sub(r' (?:xmlns(?::\w+)?|aria-\w+|role|class|font-family|pointer-events)="[^"]*"', "", tag)
    return re.sub(r"\d+\.\d{2,}(?:e-\d+)?", lambda m: f"{float(m.group()):.1f}", tag)
