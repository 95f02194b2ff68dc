"""A run folder → one plain dict that holds all the report says. The page, the Markdown and the JSON are this dict.

Everything long is cut here and the cut is stated: a report has to stay small whatever the run was like.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unflaw._errors import DataError, RunFolderError
from unflaw.data import ID, Finding, RunFolder, Selection, to_json
from unflaw.report._harm import mend_first
from unflaw.report._models import curves, models, outputs, template_of
from unflaw.report._text import clip, marked, number, template_pattern, visible, with_interval
from unflaw.report._words import about, control_words, is_of_tools, next_steps, verdict

__all__ = ["collect"]

MAX_ROWS = 100
"""Worst rows shown per finding."""
ROWS_BUDGET = 900_000
"""Escaped bytes that all rows of all findings may take together, so that the page stays below 2 MB."""
MAX_GROUPS = 20
"""Groups of copies shown per finding."""
CELL = 600
"""Escaped bytes one cell may take."""
_MOST_REASONS = 30
_MOST_RANKED = 6
"""Things to mend that the page ranks; a reader who has mended these audits again."""
_PLACE = ("source", "line", "id")
_WORST = {"ok": 0, "warn": 1, "fail": 2}


def collect(run_dir: str | Path) -> dict[str, Any]:
    """Read a run folder into one JSON-ready dict.

    Raises
    ------
    RunFolderError : the folder does not exist or holds nothing a report could show.
    DataError : one of its files is broken.
    """
    folder = Path(run_dir)
    run = RunFolder(folder)
    manifest = run.manifest
    found, scores = _nouns(folder / "findings.json", run.findings), _nouns(folder / "scores.json", run.scores)
    pairs, runs = run.comparisons(), run.curves()
    rejected = _rejected(folder / "rejected.jsonl")
    chosen = run.selection()
    if not (found or scores or runs or rejected or chosen):
        raise RunFolderError(
            f"`run_dir` holds nothing to report: {str(run_dir)!r} has no findings, scores or curves yet; "
            f"run `unflaw audit` or `unflaw evaluate` with `--run {run_dir}` first"
        )
    found.sort(key=lambda f: -_WORST[f.verdict])
    template = template_pattern(template_of(found))
    compared = models(scores, pairs)
    return {
        "name": visible(folder.resolve().name),
        "date": visible(max((s.get("finished") or s["started"] for s in manifest["steps"]), default=""))[:10],
        "verdict": verdict(found, compared, _unasked(found, manifest)),
        "first": _first(found),
        "next": next_steps(found, compared, _known(folder, manifest, runs)),
        "findings": _findings(found, folder),
        "controlled": any(f.control is not None for f in found),
        "changes": _changes(run.changes()),
        "mask": _forgotten(runs) or _mask(found, template, folder),
        "curves": curves(runs),
        "models": compared,
        "outputs": outputs(scores, pairs, template),
        "removed": _removed(chosen),
        "rejected": rejected,
        **_provenance(manifest),
    }


def _nouns(path: Path, read: Callable[[], list[Any]]) -> list[Any]:
    try:
        return read()
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"`{path}` holds something else than {path.stem}: {error}; run the step again") from error


def _findings(found: Sequence[Finding], folder: Path) -> list[dict[str, Any]]:
    share = ROWS_BUDGET // max(1, len(found))
    worst = {f.check: _worst_ids(f) for f in found}
    best = {group["best"] for f in found for group in f.evidence.get("groups", [])[:MAX_GROUPS] if "best" in group}
    rows = _rows_by_id(folder / "rows.parquet", {i for ids in worst.values() for i in ids} | best)
    return [_finding(n, f, worst[f.check], rows, share) for n, f in enumerate(found, start=1)]


def _first(found: Sequence[Finding]) -> dict[str, Any] | None:
    """Rank what is flawed by the harm to expect of it."""
    groups = mend_first([f for f in found if not is_of_tools(f)])
    if not groups:
        return None
    anchors = {f.check: f"finding-{n}" for n, f in enumerate(found, start=1)}
    items = [
        {
            "title": clip(first.finding.title, 160), "anchor": anchors[first.finding.check],
            "verdict": first.finding.verdict, "kind": first.kind, "dose": first.dose, "expected": first.expected,
            "words": first.words, "also": [visible(harm.finding.check) for harm in also],
        }
        for first, *also in groups[:_MOST_RANKED]
    ]  # fmt: skip
    left = len(groups) - len(items)
    words = "Ranked by what such flaws cost when we trained models on them (docs/harm.md), not by weights we chose."
    more = f" {left} more {'is' if left == 1 else 'are'} among the findings." if left else ""
    return {"words": words + more, "items": items}


def _finding(n: int, f: Finding, ids: list[str], rows: Mapping[str, Any], share: int) -> dict[str, Any]:
    lines: list[dict[str, Any]] = [{"name": about(f), "value": f.value, "low": f.low, "high": f.high}]
    if f.control is not None:
        lines.append({"name": "real vs real", "value": f.control, "low": f.control_low, "high": f.control_high})
    alt = "; ".join(f"{x['name']} {with_interval(x['value'], x['low'], x['high'], visible(f.unit))}" for x in lines)
    return {
        "anchor": f"finding-{n}",
        "check": visible(f.check),
        "title": clip(f.title),
        "value": _finite(f.value),
        "low": _finite(f.low),
        "high": _finite(f.high),
        "control": _finite(f.control),
        "verdict": f.verdict if f.judges else "none",
        "shown": number(f.value),
        "interval": _interval(f.low, f.high),
        "control_shown": number(f.control),
        "control_interval": _interval(f.control_low, f.control_high),
        "control_words": control_words(f),
        "threshold": clip(f.threshold),
        "meaning": clip(f.meaning, 1200),
        "better": f.better,
        "unit": visible(f.unit),
        "n_rows": f.n_rows,
        "about": about(f),
        "n_reference": f.n_reference,
        "strip": [{k: _finite(v) if k != "name" else v for k, v in line.items()} for line in lines],
        "strip_alt": alt,
        "plots": [_shown(to_json(plot)) for plot in f.plots],
        "worst": _worst(f, ids, rows, share),
        "groups": _groups(f, rows),
        "settings": _flat(f.settings),
    }


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _worst_ids(f: Finding) -> list[str]:
    finite = [i for i, score in f.row_scores.items() if math.isfinite(score)]
    return sorted(finite, key=lambda i: (-f.row_scores[i], i))[:MAX_ROWS]


def _worst(f: Finding, ids: Sequence[str], rows: Mapping[str, Any], share: int) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    size = 0
    for i in ids:
        cells = [(clip(k, 80), clip(v, CELL)) for k, v in rows.get(i, {}).items() if v not in (None, "")][:8]
        reason = clip(f.row_reasons.get(i, ""), 300)
        size += 300 + sum(len(html.escape(t).encode()) for cell in [*cells, (reason,)] for t in cell)
        if size > share:
            break
        shown.append({"id": clip(i, 80), "score": number(f.row_scores[i]), "reason": reason, "cells": cells})
    scored = max(f.n_scored, len(f.row_scores))
    left = scored - len(shown)
    words = f"The {len(shown)} worst of {scored:,} scored rows, worst first" if left else f"All {scored:,} scored rows"
    worse = "harder to learn" if about(f) == "graded" else "more flawed"
    return {"rows": shown, "n_scored": scored, "left_out": left, "words": f"{words}; a higher score is {worse}"}


def _groups(f: Finding, rows: Mapping[str, Any]) -> dict[str, Any] | None:
    """Show the largest groups of rows that repeat one another, each by the row that is worth keeping."""
    groups = [group for group in f.evidence.get("groups", [])[:MAX_GROUPS] if "best" in group]
    if not groups:
        return None
    shown = [
        {
            "n": f"{group['n_rows']:,}",
            "id": clip(group["best"], 80),
            "text": clip(" ".join(str(v) for v in rows.get(group["best"], {}).values() if v not in (None, "")), 300),
        }
        for group in groups
    ]
    n = f.evidence.get("n_groups", len(groups))
    words = f"The {len(shown)} largest of {n:,} groups" if n > len(shown) else f"All {n:,} groups"
    return {
        "rows": shown,
        "words": f"{words}, each by the row that other checks speak against the least: keep that one",
    }


def _rows_by_id(path: Path, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read the user's own columns of the rows asked for; nothing else of the file stays in memory."""
    wanted = sorted(set(ids))
    if not wanted or not path.exists():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        own = [c for c in names if not c.startswith("unflaw.") and c != "weight"]
        table = pq.read_table(path, columns=[ID, *own], filters=[(ID, "in", wanted)])
    except pa.ArrowException as error:
        raise DataError(f"`{path}` is no readable Parquet file ({error}); run the audit again") from error
    return {row.pop(ID): row for row in table.to_pylist()}


def _known(folder: Path, manifest: Mapping[str, Any], runs: Mapping[str, Any]) -> dict[str, str]:
    """Return what the commands of the next steps can name: the run, rows audited or weighed, models trained in it."""
    known = {"run": visible(folder)}
    if (weighed := folder / "weighed.jsonl").exists():
        known["weighed"] = visible(weighed)
    audited = [s for s in manifest["steps"] if "audit" in str(s["name"]) and s.get("inputs")]
    if audited:
        known["rows"] = visible(audited[-1]["settings"].get("rows") or next(iter(audited[-1]["inputs"])))
    for name, run in runs.items():
        terms = {term for step in run.get("curve", []) for term in step}
        role = "repaired" if "forget" in terms else "damaged" if "replay" not in terms else ""
        if role:
            known[role] = visible(folder / "models" / name)
    return known


def _unasked(found: Sequence[Finding], manifest: Mapping[str, Any]) -> list[str]:
    """Name the checks an audit was to ask and that concluded nothing, for want of input or of rows."""
    asked = [c for step in manifest["steps"] if step["name"] == "audit" for c in step["settings"].get("checks", [])]
    concluded = {f.check.split(".")[0] for f in found}
    return [visible(name) for name in dict.fromkeys(asked) if name not in concluded]


def _forgotten(runs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Show a few rows with the tokens a repair forgot."""
    rows: list[Any] = next((run["forgotten"] for run in reversed(list(runs.values())) if run.get("forgotten")), [])
    told = [[(clip(piece, 900), bool(gone)) for piece, gone in row if piece] for row in rows[:5]]
    if not told:
        return None
    return {"words": "The marked tokens were forgotten, the others kept as they were.", "rows": told}


def _mask(found: Sequence[Finding], template: re.Pattern[str] | None, folder: Path) -> dict[str, Any] | None:
    """Show a few rows with the template's words marked."""
    if template is None:
        return None
    ids = next((worst for f in found if f.check.startswith("tokens.") and (worst := _worst_ids(f))), [])
    ids = ids or next((worst for f in found if (worst := _worst_ids(f))), [])
    rows = _rows_by_id(folder / "rows.parquet", ids)
    told = [marked(clip(text, 900), template) for i in ids if i in rows for text in rows[i].values() if text]
    told = [pieces for pieces in told if any(is_template for _, is_template in pieces)][:5]
    if not told:
        return None
    texts = [clip(p["text"], 60) for p in template_of(found)]
    words = "The audit found the words the rows share. Forgetting the template means forgetting these and keeping what "
    words += "the answers say: " + ", ".join(f"“{t}”" for t in texts[:12])
    words += f" and {len(texts) - 12} more." if len(texts) > 12 else "."
    return {"words": words, "rows": told}


def _changes(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Show what became better or worse since an earlier version of the rows."""
    if told is None:
        return None
    n, turned = told["rows"], [change for change in told["changes"] if change["turn"] != "same"]
    same = [visible(change["check"]) for change in told["changes"] if change["turn"] == "same"]
    words = f"{n['added']:,} rows were added, {n['removed']:,} removed, {n['kept']:,} kept. A finding is better or "
    words += "worse where its verdict is or, of a flaw that both have, where the 95 % intervals do not meet."
    shown = [
        {
            "check": visible(change["check"]), "turn": change["turn"],
            **{
                when: {"value": number(change[f"{when}_value"]), "verdict": change[f"{when}_verdict"]}
                for when in ("before", "now")
            },
        }
        for change in turned
    ]  # fmt: skip
    return {"words": words, "rows": shown, "same": same}


def _removed(chosen: Selection | None) -> dict[str, Any] | None:
    """Count what spoke against the rows that were filtered out."""
    if chosen is None:
        return None
    n, kept = len(chosen.removed), len(chosen.kept)
    counts = Counter(visible(reason) for said in chosen.reasons.values() for reason in said.split("; "))
    rule = ", ".join(f"{clip(k, 40)} {clip(v, 40)}" for k, v in chosen.settings.items() if k != "n_scored")
    words = f"{n:,} of {n + kept:,} rows were taken out ({rule}); a row may have several reasons."
    if len(counts) > _MOST_REASONS:
        words += f" The {_MOST_REASONS} most frequent of {len(counts)} reasons are listed."
    return {"n": n, "words": words, "reasons": [(clip(r, 200), k) for r, k in counts.most_common(_MOST_REASONS)]}


def _rejected(path: Path) -> dict[str, Any] | None:
    """Count reasons line by line; keep one row for each. Memory does not grow with the file."""
    if not path.exists():
        return None
    seen: dict[str, dict[str, Any]] = {}
    total = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.strip():
                continue
            total += 1
            try:
                record = json.loads(line)
            except ValueError:
                record = {"reason": "unreadable line", "text": line[:2000]}
            record = record if isinstance(record, dict) else {"text": record}
            told = visible(record.get("reason") or "no reason given")
            reason = clip(told.split(":", 1)[0], 200)
            if reason not in seen:
                place = " ".join(f"{k} {visible(record[k])}" for k in _PLACE if record.get(k) is not None)
                rest = {k: v for k, v in record.items() if k not in ("reason", *_PLACE)}
                text = next(iter(rest.values())) if len(rest) == 1 else rest or ""
                seen[reason] = {
                    "reason": reason,
                    "n": 0,
                    "where": clip(place, 120),
                    "why": clip(told, 300),
                    "text": clip(text, 300),
                }
            seen[reason]["n"] += 1
    if not total:
        return None
    reasons = sorted(seen.values(), key=lambda r: -r["n"])
    words = f"{total:,} row{' was' if total == 1 else 's were'} not used. All of them are kept in rejected.jsonl."
    if len(reasons) > _MOST_REASONS:
        words += f" The {_MOST_REASONS} most frequent of {len(reasons)} reasons are listed."
    return {"n": total, "words": words, "reasons": reasons[:_MOST_REASONS]}


_UNTOLD = ("id", "name", "pid", "settings", "versions", "wrote", "overwrites")


def _provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """List steps with their settings, then what all of them share: the newest versions."""
    steps = manifest["steps"]
    shown = [
        {
            "name": visible(step["name"]),
            "facts": _flat({k: v for k, v in step.items() if k not in _UNTOLD and v not in (None, {}, [])}),
            "settings": _flat(step.get("settings", {})),
        }
        for step in steps
    ]
    return {"steps": shown, "facts": _flat(steps[-1].get("versions", {})) if steps else []}


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted lines, long values cut."""
    out: list[tuple[str, str]] = []
    for key, value in record.items():
        name = f"{prefix}{clip(key, 120)}"
        if isinstance(value, Mapping) and value:
            out += _flat(value, f"{name}.")
        elif isinstance(value, float):
            out.append((name, f"{value:.6g}"))
        else:
            plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            out.append((name, clip(plain)))
    return out[:200]


def _shown(value: Any) -> Any:
    """Return the same structure with every string made printable."""
    if isinstance(value, str):
        return clip(value, 300)
    if isinstance(value, Mapping):
        return {k: _shown(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(v) for v in value]
    return value
