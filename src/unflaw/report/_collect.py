"""A run folder → one plain dict that holds all the report says. The page, the Markdown and the JSON are this dict.

Everything long is cut here and the cut is stated: a report has to stay small whatever the run was like.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unflaw._errors import DataError, RunFolderError
from unflaw.data import ID, Finding, Score, from_json, to_json
from unflaw.report._models import curves, models, outputs, structural_phrases
from unflaw.report._text import clip, marked, number, visible, with_interval
from unflaw.report._words import control_words, next_steps, verdict

__all__ = ["collect"]

MAX_ROWS = 100
"""Worst rows shown per finding."""
ROWS_BUDGET = 900_000
"""Escaped bytes that all rows of all findings may take together, so that the page stays below 2 MB."""
CELL = 600
"""Escaped bytes one cell may take."""
_WORST = {"ok": 0, "warn": 1, "fail": 2}


def collect(run_dir: str | Path) -> dict[str, Any]:
    """Read a run folder into one JSON-ready dict.

    Raises
    ------
    RunFolderError : the folder does not exist or holds nothing a report could show.
    DataError : one of its files is broken.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise RunFolderError(f"`run_dir` must be a run folder, got {str(run_dir)!r}, which is no folder")
    manifest = _read_json(folder / "manifest.json", {})
    found = [_noun(Finding, f, folder / "findings.json") for f in _read_json(folder / "findings.json", [])]
    scores = [_noun(Score, s, folder / "scores.json") for s in _read_json(folder / "scores.json", [])]
    pairs = _read_json(folder / "comparisons.json", [])
    runs = _read_json(folder / "curves.json", {})
    rejected = _rejected(folder / "rejected.jsonl")
    if not (found or scores or runs or rejected):
        raise RunFolderError(
            f"`run_dir` holds nothing to report: {str(run_dir)!r} has no findings, scores or curves yet; "
            f"run `unflaw audit` or `unflaw evaluate` with `--run {run_dir}` first"
        )
    found.sort(key=lambda f: -_WORST[f.verdict])
    phrases = structural_phrases(found)
    compared = models(scores, pairs)
    return {
        "name": visible(folder.resolve().name),
        "date": visible(manifest.get("finished") or manifest.get("started") or manifest.get("created") or "")[:10],
        "verdict": verdict(found, compared),
        "next": next_steps(found, compared, visible(folder)),
        "findings": _findings(found, folder),
        "mask": _mask(found, phrases, folder),
        "curves": curves(runs),
        "models": compared,
        "outputs": outputs(scores, pairs, phrases),
        "rejected": rejected,
        **_provenance(manifest),
    }


def _read_json(path: Path, absent: Any) -> Any:
    if not path.exists():
        return absent
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"`{path}` is not readable JSON ({error}); run the step that writes it again") from error
    if type(content) is not type(absent):
        raise DataError(f"`{path}` must hold a JSON {type(absent).__name__}, got a {type(content).__name__}")
    return content


def _noun(kind: type[Any], record: Any, path: Path) -> Any:
    try:
        return from_json(kind, record)
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"`{path}` holds something that is no {kind.__name__.lower()}: {error}") from error


def _findings(found: Sequence[Finding], folder: Path) -> list[dict[str, Any]]:
    share = ROWS_BUDGET // max(1, len(found))
    worst = {f.check: _worst_ids(f) for f in found}
    rows = _rows_by_id(folder / "rows.parquet", {i for ids in worst.values() for i in ids})
    return [_finding(n, f, worst[f.check], rows, share) for n, f in enumerate(found, start=1)]


def _finding(n: int, f: Finding, ids: list[str], rows: Mapping[str, Any], share: int) -> dict[str, Any]:
    lines = [{"name": "synthetic", "value": f.value, "low": f.low, "high": f.high}]
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
        "verdict": f.verdict,
        "shown": number(f.value, visible(f.unit)),
        "interval": _interval(f.low, f.high),
        "control_shown": number(f.control),
        "control_interval": _interval(f.control_low, f.control_high),
        "control_words": control_words(f),
        "threshold": clip(f.threshold),
        "meaning": clip(f.meaning, 1200),
        "better": f.better,
        "unit": visible(f.unit),
        "n_rows": f.n_rows,
        "n_reference": f.n_reference,
        "strip": [{k: _finite(v) if k != "name" else v for k, v in line.items()} for line in lines],
        "strip_alt": alt,
        "plots": [_shown(to_json(plot)) for plot in f.plots],
        "worst": _worst(f, ids, rows, share),
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
        size += len(json.dumps([cells, reason], ensure_ascii=False).encode()) + 300
        if size > share:
            break
        shown.append({"id": clip(i, 80), "score": number(f.row_scores[i]), "reason": reason, "cells": cells})
    scored = len(f.row_scores)
    left = scored - len(shown)
    words = f"The {len(shown)} worst of {scored:,} scored rows, worst first" if left else f"All {scored} scored rows"
    return {"rows": shown, "n_scored": scored, "left_out": left, "words": f"{words}; a higher score is more flawed"}


def _rows_by_id(path: Path, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The user's own columns of the rows asked for; nothing else of the file is kept in memory."""
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


def _mask(found: Sequence[Finding], phrases: Sequence[str], folder: Path) -> dict[str, Any] | None:
    """A few rows with the template's words marked, from the finding that names them."""
    named = next((f for f in found if structural_phrases([f])), None)
    if named is None:
        return None
    ids = _worst_ids(named)[:5]
    rows = _rows_by_id(folder / "rows.parquet", ids)
    texts = ["\n".join(str(v) for v in rows[i].values() if v not in (None, "")) for i in ids if i in rows]
    if not texts:
        return None
    words = (
        "The audit named the words that make up the template. With `--what template` a repair forgets exactly these "
        "and keeps what the answers say: "
    ) + ", ".join(f"“{clip(p, 60)}”" for p in phrases[:12])
    words += f" and {len(phrases) - 12} more." if len(phrases) > 12 else "."
    return {"words": words, "rows": [marked(clip(t, 900), phrases) for t in texts]}


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
            reason = clip(record.get("reason") or "no reason given", 200)
            if reason not in seen:
                place = " ".join(visible(record[k]) for k in ("source", "line", "id") if record.get(k) is not None)
                rest = {k: v for k, v in record.items() if k not in ("reason", "source", "line", "id")}
                text = next(iter(rest.values())) if len(rest) == 1 else rest or ""
                seen[reason] = {"reason": reason, "n": 0, "where": clip(place, 120), "text": clip(text, 300)}
            seen[reason]["n"] += 1
    if not total:
        return None
    reasons = sorted(seen.values(), key=lambda r: -r["n"])
    words = f"{total:,} row{' was' if total == 1 else 's were'} not used. All of them are kept in rejected.jsonl."
    if len(reasons) > 30:
        words += f" The 30 most frequent of {len(reasons)} reasons are listed."
    return {"n": total, "words": words, "reasons": reasons[:30]}


def _provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Steps with their settings first, then whatever else the manifest says."""
    steps = manifest.get("steps", [])
    if isinstance(steps, Mapping):
        steps = [{"name": name, **step} for name, step in steps.items()]
    shown = []
    for step in steps:
        facts = {k: v for k, v in step.items() if k not in ("name", "settings")}
        name = visible(step.get("name") or step.get("verb") or "step")
        shown.append({"name": name, "facts": _flat(facts), "settings": _flat(step.get("settings", {}))})
    return {"steps": shown, "facts": _flat({k: v for k, v in manifest.items() if k != "steps"})}


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
            out.append((name, clip(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))))
    return out[:200]


def _shown(value: Any) -> Any:
    """The same structure with every string made printable."""
    if isinstance(value, str):
        return clip(value, 300)
    if isinstance(value, Mapping):
        return {k: _shown(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(v) for v in value]
    return value
