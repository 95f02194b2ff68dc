import math
import re
from xml.etree import ElementTree

import pytest

from unflaw.data import Plot, Series, to_json
from unflaw.report._plots import draw, intervals, legend

XS = [0.0, 1.0, 2.0, 3.0]


def plot(kind, *series, alt="a picture", x_label="x", y_label="y"):
    return to_json(Plot(kind, "title", x_label, y_label, series, alt))


def paths(svg, slot):
    return [
        e for e in ElementTree.fromstring(svg).iter("path") if f"var(--s{slot})" in (e.get("fill"), e.get("stroke"))
    ]


@pytest.mark.parametrize("kind", ["scatter", "line", "density", "bars"])
def test_every_kind_draws_each_series_in_its_colour(kind):
    svg = draw(plot(kind, Series("synthetic", XS, [1.0, 3.0, 2.0, 4.0]), Series("real", XS, XS)), "p1")
    assert paths(svg, 1) and paths(svg, 2)
    assert not re.search(r"#[0-9a-f]{6}", svg), "all colours come from the page's palette"
    assert "http" not in svg


def test_a_cloud_is_one_path_per_series_and_keeps_its_points():
    svg = draw(plot("scatter", Series("synthetic", XS, XS), Series("real", XS[:3], XS[1:])), "p1")
    (synthetic,), (real,) = paths(svg, 1), paths(svg, 2)
    assert (synthetic.get("d").count("M"), real.get("d").count("M")) == (4, 3)
    assert synthetic.get("stroke-linecap") != real.get("stroke-linecap"), "told apart without colour"


def test_large_clouds_stay_small():
    n = 50_000
    xs = [math.sin(i) for i in range(n)]
    svg = draw(plot("scatter", Series("synthetic", xs, xs[::-1]), Series("real", xs, xs)), "p1")
    assert len(svg) < 25_000


def test_values_that_are_not_finite_are_left_out():
    svg = draw(plot("scatter", Series("real", [0.0, 1.0, math.nan, 3.0], [0.0, math.inf, 1.0, 2.0])), "p1")
    assert paths(svg, 2)[0].get("d").count("M") == 2
    assert draw(plot("line", Series("real", [math.nan], [1.0]), Series("none", [], [])), "p1") == ""


def test_outside_text_stays_text():
    nasty = "<script>alert(1)</script> & \"'"
    bars = Series(nasty, [nasty, "b"], [1.0, 2.0])
    svg = draw(plot("bars", bars, alt=nasty, x_label=nasty, y_label=nasty), "p1")
    root = ElementTree.fromstring(svg)
    assert not list(root.iter("script"))
    assert root.get("aria-label") == nasty
    assert [e.text for e in root.iter("text")].count(nasty) >= 2


def test_ids_are_unique_on_a_page():
    band = Series("real", XS, XS, [x - 1 for x in XS], [x + 1 for x in XS])
    both = draw(plot("line", band), "p1") + draw(plot("line", band), "p2")
    ids = re.findall(r'\bid="([^"]+)"', both)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", both)) <= set(ids)


def test_a_band_is_drawn_around_a_line():
    bare = Series("real", XS, XS)
    band = Series("real", XS, XS, [x - 1 for x in XS], [x + 1 for x in XS])
    assert len(paths(draw(plot("line", band), "p"), 2)) == len(paths(draw(plot("line", bare), "p"), 2)) + 1


def test_the_legend_names_what_the_plot_draws():
    names = legend(plot("line", Series("real", XS, XS), Series("mine", XS, XS), Series("synthetic", XS, XS)))
    assert [(n["name"], n["slot"]) for n in names] == [("real", 2), ("mine", 3), ("synthetic", 1)]
    assert len({n["dash"] for n in names}) == 3
    assert legend(plot("line", Series("real", XS, XS))) == []


def test_more_series_than_colours_still_draw():
    many = [Series(f"s{i}", XS, [x + i for x in XS]) for i in range(9)]
    assert all(1 <= n["slot"] <= 6 for n in legend(plot("line", *many)))
    assert draw(plot("line", *many), "p")


def test_intervals_share_one_scale():
    rows = [
        {"name": "a", "value": 2.0, "low": 1.0, "high": 3.0},
        {"name": "<b>", "value": 4.0, "low": None, "high": None},
    ]
    root = ElementTree.fromstring(intervals(rows, "alt"))
    a, b = (float(c.get("cx")) for c in root.iter("circle"))
    whisker = next(p.get("d") for p in root.iter("path") if "v8" in p.get("d"))
    start, end = map(float, re.match(r"M([\d.]+) \d+H([\d.]+)", whisker).groups())
    assert a - start == pytest.approx(end - a, abs=0.2)
    assert b - a == pytest.approx(end - start, abs=0.2)  # 4 - 2 is as far as 3 - 1
    assert "<b>" in [t.text for t in root.iter("text")]


def test_intervals_of_one_value_or_none():
    assert "NaN" not in intervals([{"name": "a", "value": 0.0, "low": None, "high": None}], "alt")
    assert intervals([{"name": "a", "value": None, "low": None, "high": None}], "alt") == ""
