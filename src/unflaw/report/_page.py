"""The dict of `collect` → one self-contained HTML page, its Markdown twin, or JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import unflaw
from unflaw._errors import SettingsError
from unflaw.data import atomic_write
from unflaw.report._collect import collect
from unflaw.report._plots import draw, intervals, legend

__all__ = ["render", "to_html", "to_markdown"]

_HERE = Path(__file__).parent
_MARK_JS = 'document.documentElement.className="js"'
_SECTIONS = {
    "findings": "Findings",
    "changes": "Against the earlier version",
    "mask": "What is forgotten",
    "curves": "Training",
    "models": "Before and after",
    "outputs": "Same prompt, each model",
    "removed": "Rows taken out",
    "rejected": "Rejected rows",
}


def render(run_dir: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run folder and return its path.

    Without `out`, `report.html` and `report.json` go into the run folder. With it, the ending says what is
    written: `.html`, `.md` or `.json`.

    Raises
    ------
    RunFolderError : the folder does not exist or holds nothing to report.
    SettingsError : `out` has another ending.
    """
    target = Path(out) if out is not None else Path(run_dir) / "report.html"
    writers = {".html": to_html, ".htm": to_html, ".md": to_markdown, ".json": _to_json}
    if target.suffix.lower() not in writers:
        raise SettingsError(f"`out` must end in .html, .md or .json, got {str(target)!r}")
    report = collect(run_dir)
    if out is None:
        _write(target.with_suffix(".json"), _to_json(report))
    _write(target, writers[target.suffix.lower()](report))
    return target


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text)


def to_html(report: Mapping[str, Any]) -> str:
    """One page that needs nothing but itself. Everything from the run is escaped by Jinja.

    The content policy in its head allows the page's own two scripts by their hash and nothing else: markup that
    got past the escaping still could neither run nor load.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css, page_js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    n_plots = iter(range(1, 10_000))

    def draw_next(plot: Mapping[str, Any], small: bool) -> Markup:
        size = {"width": 380, "height": 210} if small else {}
        return draw(plot, f"plot-{next(n_plots)}", **size)

    contents = [("first", "What to mend first")] if report["first"] else []
    contents += [("next", "What to do next")]
    contents += [(key, words) for key, words in _SECTIONS.items() if report[key]]
    return environment.get_template("page.html.j2").render(
        r=report,
        version=unflaw.__version__,
        contents=[*contents, ("provenance", "Settings and provenance")],
        css=Markup(css),  # our own files, not the run's
        page_js=Markup(page_js),
        mark_js=Markup(_MARK_JS),
        script_hashes=Markup(f"{_hash(_MARK_JS)} {_hash(page_js)}"),
        draw=draw_next,
        legend=legend,
        strip=intervals,
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the same facts for a terminal, a pull request or a mail; without plots and rows."""
    v = report["verdict"]
    lines = [f"# {_md(v['sentence'])}", "", f"{_md(report['name'])}, verdict: **{v['badge']}**", ""]
    lines += [line for text in (v["repair"], v["basis"]) if text for line in (_md(text), "")]
    lines += _first(report["first"]) if report["first"] else []
    lines += ["## What to do next", ""]
    for i, step in enumerate(report["next"], start=1):
        command = step["command"].replace("`", "")
        lines.append(f"{i}. {_md(step['words'])}" + (f" `{command}`" if command else ""))
    if report["findings"]:
        heads = {"title": "check", "shown": "value", "interval": "interval", "control_shown": "real vs real",
                 "verdict": "verdict"}  # fmt: skip
        if not report["controlled"]:
            del heads["control_shown"]
        told = [[f[k] for k in heads] for f in report["findings"]]
        lines += ["", "## Findings", *_table(list(heads.values()), told)]
        flawed = [f for f in report["findings"] if f["verdict"] in ("warn", "fail")]
        lines += ["", *(f"- {_md(f['title'])}: {_md(f['meaning'])}" for f in flawed)] if flawed else []
    if changed := report["changes"]:
        told = [
            [c["check"], *(f"{c[when]['value']} {c[when]['verdict'] or ''}" for when in ("before", "now")), c["turn"]]
            for c in changed["rows"]
        ]
        lines += ["", "## Against the earlier version", "", _md(changed["words"])]
        lines += _table(["check", "before", "now", "change"], told)
    lines += _models(report["models"]) if report["models"] else []
    return "\n".join(lines) + "\n"


def _first(first: Mapping[str, Any]) -> list[str]:
    lines = ["## What to mend first", "", _md(first["words"]), ""]
    for i, item in enumerate(first["items"], start=1):
        also = f" Also: {', '.join(item['also'])}." if item["also"] else ""
        lines.append(f"{i}. **{_md(item['title'])}** ({item['verdict']}). {_md(item['words'] + also)}")
    return [*lines, ""]


def _models(models: Mapping[str, Any]) -> list[str]:
    told = [
        [b["words"], *(f"{c['shown']} ({c['interval']})" if c["interval"] else c["shown"] for c in b["cells"])]
        for b in models["benchmarks"]
    ]
    lines = ["", "## Models before and after", *_table(["benchmark", *models["names"]], told)]
    keys = ("after", "before", "benchmark", "shown", "interval", "words")
    pairs = [[p[k] for k in keys] for p in models["pairs"]]
    return lines + _table(["after", "before", "benchmark", "difference", "interval", "in words"], pairs)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out, none where there are none."""
    lines = [heads, ["---"] * len(heads), *rows] if rows else []
    return ["", *(f"| {' | '.join(map(_md, cells))} |" for cells in lines)] if rows else []


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in text)
    return " ".join(escaped.split())


def _to_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
