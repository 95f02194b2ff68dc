"""Draw docs/checks/NAME.svg: what each check says of clean rows, and of rows with a flaw in some of them.

    python scripts/write_pictures.py        # all, with the embedded model for `perplexity`: two minutes

Clean rows are half of the real rows that ship with the project, the other half is the reference; a flaw is planted in
the first. Labels and tables are drawn, since the shipped rows have none. `scenes.json` holds the numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unflaw import read
from unflaw.audit import Check, audit, default_checks
from unflaw.data import Finding, Plot, Rows, atomic_write

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "checks"
DATA = ROOT / "examples" / "data"
sys.path.insert(0, str(ROOT / "studies" / "audit_power"))
from flaws import FLAWS, Flaw, told  # noqa: E402 - a study's flaws, so that no picture has ones of its own

INK, PAPER, GRID = "#333333", "#ffffff", "#dddddd"
COLOURS = {"real vs real": "#8a8a8a", "clean": "#2b7bba", "flawed": "#d1495b"}
MOST_POINTS, WIDTH = 150, 250
OPINIONS = (
    "I absolutely love this: {}",
    "{} How dull and disappointing!",
    "It is a wonderful, beautiful thing that {}",
)


@dataclass(frozen=True)
class Scene:
    """Rows without a flaw and with one, and what they are compared with."""

    what: str
    """What is planted, and in how many rows."""
    clean: Rows
    flawed: Rows
    reference: Rows
    holdout: Rows | None = None


def scenes() -> dict[str, Scene]:
    """Return a scene for each check."""
    first, second = halves(asked())
    with_passage = halves(asked(passages=True))
    labelled, tables = halves(labels()), halves(people())

    def planted(
        name: str, sides: Sequence[Rows] = (first, second), flaw: Flaw | None = None, share: float = 0.2
    ) -> Scene:
        of = flaw or FLAWS[name]
        spoilt, _ = of.spoil(sides[0], share, 0, {"reference": sides[1]})
        return Scene(f"{of.what}, in {share:.0%} of the rows", sides[0], spoilt, sides[1])

    return {
        "gap": planted("template", share=0.5),
        "tokens": planted("template", share=0.5),
        "perplexity": Scene("what a small model wrote", first, written(), second),
        "diversity": planted("few ideas", share=0.5),
        "copies": replace(planted("copies"), holdout=read(DATA / "guard.jsonl")),
        "paraphrases": replace(planted("few ideas"), holdout=read(DATA / "guard.jsonl")),
        "residue": planted("refusals"),
        "form": planted("brackets"),
        "mix": planted("lists"),
        "languages": planted("languages"),
        "qa": planted("wrong answers", with_passage),
        "relevance": planted("off topic", share=0.5),
        "grounding": planted("wrong answers", with_passage),
        "labels": planted("wrong labels", labelled),
        "tables": Scene("hours that no longer go with age, and a category that there is not, in 20% of the rows",
                        tables[0], broken(tables[0]), *halves(tables[1])),
        "subjectivity": labelled_by_three(
            planted("", flaw=Flaw("opinions", told(OPINIONS), ("subjectivity.",)), share=0.8)
        ),
        "hygiene": planted("people"),
    }  # fmt: skip


def asked(passages: bool = False) -> Rows:
    """Return the shipped questions and answers, with their passages or without."""
    rows = read(DATA / "real.jsonl")
    if not passages:
        return rows
    texts = {row["id"]: row["text"] for row in map(json.loads, (DATA / "passages.jsonl").read_text().splitlines())}
    records = [{**r, "context": texts[r["passage_id"]]} for r in rows.table.to_pylist()]
    return Rows.from_records(records, {"prompt": "question", "response": "answer", "context": "context"})


def written() -> Rows:
    """Return the shipped rows that a small model wrote."""
    return read(DATA / "synthetic.jsonl")


def labels() -> Rows:
    """Draw labelled sentences."""
    rng = np.random.default_rng(0)
    words = {"food": "bread salt soup cheese apple".split(), "sport": "ball goal team race match".split()}
    records = [
        {"text": f"{' '.join(rng.choice(words[label], 5))} {i}", "label": label}
        for i, label in enumerate(rng.choice(list(words), 600).tolist())
    ]
    return Rows.from_records(records, {"text": "text", "label": "label"})


def labelled_by_three(scene: Scene) -> Scene:
    """Let three people label the rows: who differs of the clean ones is one in twenty, of the flawed one in two."""
    rng = np.random.default_rng(0)

    def labelled(rows: Rows, differ: float) -> Rows:
        own = rng.choice(["good", "bad"], (len(rows), 3))
        said = [[v if rng.random() < differ else mine[0] for v in mine] for mine in own.tolist()]
        return rows.with_column("annotations", said)

    what = f"{scene.what}, about whose labels three people disagree"
    return replace(scene, what=what, clean=labelled(scene.clean, 0.05), flawed=labelled(scene.flawed, 0.5))


def people() -> Rows:
    """Draw a table in which hours go with age, and which holds two cities."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 70, 2000)
    hours, city = (0.6 * age + rng.normal(10, 4, 2000)).round(1), rng.choice(["Bath", "Rome"], 2000)
    return Rows.from_records(
        [{"age": int(a), "hours": float(h), "city": str(c)} for a, h, c in zip(age, hours, city, strict=True)], {}
    )


def broken(rows: Rows) -> Rows:
    """Deal hours out anew among a fifth of the rows, and put them in a city that there is not."""
    rng, records = np.random.default_rng(0), rows.table.to_pylist()
    places = rng.permutation(len(records))[: len(records) // 5]
    for i, hours in zip(places, [records[j]["hours"] for j in rng.permutation(places)], strict=True):
        records[i] |= {"hours": hours, "city": "Atlantis"}
    return Rows.from_records(records, {})


def halves(rows: Rows) -> tuple[Rows, Rows]:
    """Deal rows into two."""
    order = np.random.default_rng(1).permutation(len(rows)).tolist()
    return rows.take(order[: len(rows) // 2]), rows.take(order[len(rows) // 2 :])


def seen(check: Check, scene: Scene) -> tuple[list[Finding], list[Finding]]:
    """Return what the check finds in clean rows and in flawed ones."""
    scorer = "smollm2" if "log_probs" in check.needs else None
    found = [
        audit(rows, scene.reference, holdout=scene.holdout, checks=[check], encoder="potion", scorer=scorer).findings
        for rows in (scene.clean, scene.flawed)
    ]
    return list(found[0]), list(found[1])


def numbers(scene: Scene, clean: Sequence[Finding], flawed: Sequence[Finding]) -> dict[str, Any]:
    """Return what a picture shows, as `scenes.json` holds it."""
    kept = {
        name: {f.check: [float(f"{f.value:.3g}"), f.verdict] for f in found}
        for name, found in (("clean", clean), ("flawed", flawed))
    }
    return {"flaw": scene.what, "rows": len(scene.clean), **kept}


def picture(scene: Scene, clean: Sequence[Finding], flawed: Sequence[Finding]) -> dict[str, Any]:
    """Return the picture as a Vega-Lite chart: a plot of both sets where there is one, and every finding's value."""
    shown = [beside(a, b) for a, b in plots(clean, flawed)[:1]]
    pairs = [(f, next((g for g in clean if g.check == f.check), None)) for f in flawed]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": PAPER, "padding": 12, "spacing": 6,
        "title": {
            "text": ["Clean rows, and rows with a flaw"], "subtitle": [f"flaw: {scene.what}"], "anchor": "start",
            "color": INK, "subtitleColor": INK, "fontSize": 14, "offset": 12,
        },
        "resolve": {"scale": {"color": "independent"}},
        "vconcat": [*shown, *(line(f, g, last=f is flawed[-1]) for f, g in pairs)],
        "config": {
            "font": "sans-serif", "view": {"stroke": None}, "concat": {"spacing": 6},
            "axis": {"labelColor": INK, "titleColor": INK, "gridColor": GRID, "domain": False, "ticks": False,
                     "titleFontWeight": "normal"},
        },
    }  # fmt: skip


def plots(clean: Sequence[Finding], flawed: Sequence[Finding]) -> list[tuple[Plot, Plot]]:
    """Return the plots that both sets have."""
    of_clean = {(f.check, plot.title): plot for f in clean for plot in f.plots}
    both = [((f.check, plot.title), plot) for f in flawed for plot in f.plots]
    return [(of_clean[key], plot) for key, plot in both if key in of_clean and plot.kind in MARKS]


MARKS: Mapping[str, Callable[[Plot, str], dict[str, Any]]] = {
    "scatter": lambda plot, title: _chart(plot, title, {"type": "point", "filled": True, "size": 14, "opacity": 0.6}),
    "density": lambda plot, title: _chart(plot, title, {"type": "line", "strokeWidth": 2}),
    "line": lambda plot, title: _chart(plot, title, {"type": "line", "strokeWidth": 2}),
}


def beside(clean: Plot, flawed: Plot) -> dict[str, Any]:
    """Draw one plot of either set, side by side on one scale."""
    return {
        "hconcat": [MARKS[of.kind](of, f"{name}: {of.title[0].lower()}{of.title[1:]}")
                    for name, of in (("clean", clean), ("flawed", flawed))],
        "resolve": {"scale": {"x": "shared", "y": "shared", "color": "shared"}},
    }  # fmt: skip


def _chart(plot: Plot, title: str, mark: Mapping[str, Any]) -> dict[str, Any]:
    values = [
        {"x": float(f"{x:.4g}"), "y": float(f"{y:.4g}"), "s": series.name}
        for series in plot.series
        for x, y in list(zip(series.x, series.y, strict=True))[:MOST_POINTS]
        if x is not None and y is not None
    ]
    axes = {
        side: {"field": side, "type": "quantitative", "title": name or None, "scale": {"zero": False}}
        for side, name in (("x", plot.x_label), ("y", plot.y_label))
    }
    names = {"synthetic": COLOURS["flawed"], "real": COLOURS["clean"], "reference": COLOURS["clean"]}
    kinds = list(dict.fromkeys(value["s"] for value in values))
    colour = {
        "field": "s", "type": "nominal", "legend": {"title": None, "orient": "bottom"},
        "scale": {"domain": kinds, "range": [names.get(kind, COLOURS["real vs real"]) for kind in kinds]},
    }  # fmt: skip
    return {
        "title": {"text": title, "fontSize": 11, "fontWeight": "normal", "color": INK}, "width": WIDTH, "height": 150,
        "data": {"values": values}, "mark": dict(mark), "encoding": {**axes, "color": colour},
    }  # fmt: skip


def line(flawed: Finding, clean: Finding | None, last: bool) -> dict[str, Any]:
    """Draw a finding's values and intervals on a scale of its own, with the verdict on flawed rows."""
    told = [("flawed", flawed.value, flawed.low, flawed.high)]
    told += [] if clean is None else [("clean", clean.value, clean.low, clean.high)]
    told += (
        [] if flawed.control is None else [("real vs real", flawed.control, flawed.control_low, flawed.control_high)]
    )
    values = [{"s": s, "v": v, "lo": v if low is None else low, "hi": v if high is None else high}
              for s, v, low, high in told]  # fmt: skip
    ends = [value[end] for value in values for end in ("lo", "hi", "v")]
    reach = (max(ends) - min(ends)) or abs(max(ends)) or 1.0
    x = {
        "type": "quantitative", "title": None,
        "scale": {"domain": [min(ends) - 0.05 * reach, max(ends) + 0.05 * reach], "nice": False},
        "axis": {"tickCount": 4, "labelFontSize": 9, "grid": True},
    }  # fmt: skip
    y = {
        "field": "s", "type": "nominal", "sort": list(COLOURS),
        "axis": {"title": None, "labels": False, "grid": False}, "scale": {"domain": list(COLOURS)},
    }  # fmt: skip
    colour = {
        "field": "s", "type": "nominal", "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
        "legend": {"title": None, "orient": "bottom", "symbolType": "circle"} if last else None,
    }  # fmt: skip
    verdict = f"clean {clean.verdict}, flawed {flawed.verdict}" if clean else f"flawed {flawed.verdict}"
    return {
        "title": {
            "text": f"{flawed.check}: {verdict}", "subtitle": flawed.title, "anchor": "start", "frame": "group",
            "fontSize": 11, "subtitleFontSize": 10, "color": INK, "subtitleColor": INK, "offset": 4,
        },
        "width": 2 * WIDTH + 60, "height": 30, "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {"field": "lo", **x}, "x2": {"field": "hi"}, "y": y, "color": colour},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": {"x": {"field": "v", **x}, "y": y, "color": colour},
            },
        ],
    }  # fmt: skip


def main() -> None:
    """Audit every scene, or those of some checks, draw it, and write the numbers."""
    import vl_convert

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", nargs="+", help="only these")
    only = parser.parse_args().checks

    PICTURES.mkdir(exist_ok=True)
    of = scenes()
    record = json.loads((PICTURES / "scenes.json").read_text()) if only else {}
    for check in (c for c in default_checks() if only is None or c.name in only):
        clean, flawed = seen(check, of[check.name])
        record[check.name] = numbers(of[check.name], clean, flawed)
        svg = vl_convert.vegalite_to_svg(picture(of[check.name], clean, flawed))
        with atomic_write(PICTURES / f"{check.name}.svg") as file:
            file.write(svg + "\n")
    with atomic_write(PICTURES / "scenes.json") as file:
        file.write(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
