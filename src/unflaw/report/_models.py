"""Scores, paired comparisons, outputs and training curves of a run, as the report shows them.

Differences are not computed here: `evaluate` pairs the items and stores the result in the run folder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unflaw.data import Finding, Score
from unflaw.report._text import clip, marked, number, percent_points, visible
from unflaw.report._words import recovered

__all__ = ["curves", "models", "outputs", "structural_phrases"]

_BENCHMARKS = {  # known benchmarks in words, in the order the page shows them
    "instructions.soft": "Instruction following: constraints met",
    "instructions.hard": "Instruction following: prompts with all constraints met",
    "instructions.consistent_level": "Instruction following: levels met in a row",
    "qa.exact_match": "Questions answered, exact match",
    "qa.f1": "Questions answered, F1",
    "text.log_perplexity": "Log-perplexity of real text",
    "text.pattern_rate": "Answers that fall into the template",
}
_ROLES = {  # what a model is to the story → names it may go by
    "untouched": ("untouched", "original", "base", "before"),
    "damaged": ("damaged", "trained", "finetuned", "fine-tuned"),
    "repaired": ("repaired", "unlearned"),
}
_CURVES = {  # key in a step of a curve → title, y label
    "forget": ("Forgetting term L_fgt", "nats per token"),
    "replay": ("Replay term L_rpy", "nats per token"),
    "kl": ("Staying close, L_mtn", "KL, nats per token"),
    "guard": ("Guard: held-out real text", "perplexity"),
    "loss": ("Training loss", "nats per token"),
}
MAX_CASES = 8
CELL = 900


def structural_phrases(found: Sequence[Finding]) -> list[str]:
    """Words of the synthetic template, as an audit found them."""
    phrases: list[str] = []
    for f in found:
        for key in ("structural_tokens", "template"):
            value = f.evidence.get(key) or []
            for item in [value] if isinstance(value, str) else value:
                text = item.get("token", "") if isinstance(item, Mapping) else item
                phrases.append(visible(text).strip())
    return [p for p in dict.fromkeys(phrases) if p]


def models(scores: Sequence[Score], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Benchmarks × models, the paired differences, and what the repair gave back."""
    if not scores:
        return None
    names = list(dict.fromkeys(s.model for s in scores))
    rank = {b: i for i, b in enumerate(_BENCHMARKS)}
    benchmarks = sorted(dict.fromkeys(s.benchmark for s in scores), key=lambda b: (rank.get(b, len(rank)), b))
    by = {(s.benchmark, s.model): s for s in scores}
    tables = [_benchmark(b, [by.get((b, m)) for m in names]) for b in benchmarks]
    better = {s.benchmark: s.better for s in scores}
    order = sorted(pairs, key=lambda p: (rank.get(p["benchmark"], len(rank)), p["benchmark"]))
    return {
        "names": [_short(m) for m in names],
        "benchmarks": tables,
        "pairs": [_pair(p, better.get(p["benchmark"], "higher")) for p in order],
        "repair": _repair(by, names, pairs),
    }


def _short(model: str) -> str:
    """A path says most at its end."""
    shown = visible(model)
    return shown if len(shown) <= 40 else "…" + shown[-39:]


def _words(benchmark: str) -> str:
    return _BENCHMARKS.get(benchmark, clip(benchmark, 120))


def _is_share(benchmark: str) -> bool:
    return benchmark in _BENCHMARKS and benchmark not in ("text.log_perplexity", "instructions.consistent_level")


def _benchmark(benchmark: str, row: Sequence[Score | None]) -> dict[str, Any]:
    present = [s for s in row if s is not None]
    cells = [
        {"shown": number(s.value), "interval": f"{number(s.low)} to {number(s.high)}", "value": s.value}
        if s
        else {"shown": "–", "interval": "", "value": None}
        for s in row
    ]
    strip = [
        {"name": _short(s.model), "value": s.value, "low": s.low, "high": s.high}
        for s in present
        if all(map(math.isfinite, (s.value, s.low, s.high)))
    ]
    sizes = sorted({s.n for s in present})
    return {
        "benchmark": visible(benchmark),
        "words": _words(benchmark),
        "note": f"{present[0].better} is better, n = {', '.join(map(str, sizes))}"
        + (f", {clip(present[0].unit, 40)}" if present[0].unit else ""),
        "cells": cells,
        "strip": strip,
        "alt": "; ".join(f"{s['name']} {number(s['value'])}" for s in strip),
    }


def _pair(p: Mapping[str, Any], better: str) -> dict[str, Any]:
    noise = p["low"] <= 0 <= p["high"]
    good = (p["difference"] > 0) == (better == "higher")
    shown = (lambda v: percent_points(v)) if _is_share(p["benchmark"]) else number
    return {
        "benchmark": _words(p["benchmark"]),
        "before": _short(p["model_a"]),
        "after": _short(p["model_b"]),
        "difference": p["difference"],
        "shown": ("+" if p["difference"] > 0 else "") + shown(p["difference"]) + (" points" if _is_share(p["benchmark"]) else ""),
        "interval": f"{shown(p['low'])} to {shown(p['high'])}",
        "words": "within noise" if noise else "better" if good else "worse",
        "tone": "" if noise else "gain" if good else "loss",
        "gained": len(p.get("gained", [])),
        "lost": len(p.get("lost", [])),
    }


def _role(names: Sequence[str], role: str) -> str | None:
    return next((n for n in names if n.lower().rsplit("/", 1)[-1] in _ROLES[role]), None)


def _repair(
    by: Mapping[tuple[str, str], Score], names: Sequence[str], pairs: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    before, damaged, repaired = (_role(names, role) for role in ("untouched", "damaged", "repaired"))
    benchmark = next((b for b in ("instructions.soft", "instructions.hard") if (b, repaired) in by), None)
    if benchmark is None or before is None or damaged is None or repaired is None:
        return None
    if (benchmark, before) not in by or (benchmark, damaged) not in by:
        return None
    start, low_point, end = (by[benchmark, m].value for m in (before, damaged, repaired))
    lost, back = start - low_point, end - low_point
    level, words = recovered(lost, back, _within_noise(pairs, benchmark, before, damaged))
    if level == "ok" and lost > 0 and _within_noise(pairs, benchmark, damaged, repaired):
        level, words = "warn", f"{words[:-1]}, which is within noise."
    strip = [
        {"name": _short(m), "value": 100 * s.value, "low": 100 * s.low, "high": 100 * s.high}
        for m in (before, damaged, repaired)
        for s in [by[benchmark, m]]
    ]
    return {
        "benchmark": benchmark,
        "words_benchmark": _words(benchmark),
        "lost": lost,
        "recovered": back,
        "level": level,
        "words": words,
        "strip": strip,
        "alt": "; ".join(f"{s['name']} {number(s['value'])} points" for s in strip),
    }


def _within_noise(pairs: Sequence[Mapping[str, Any]], benchmark: str, one: str, other: str) -> bool:
    """Whether a stored comparison of the two models includes zero; False where none is stored."""
    for p in pairs:
        if p["benchmark"] == benchmark and {p["model_a"], p["model_b"]} == {one, other}:
            return bool(p["low"] <= 0 <= p["high"])
    return False


def outputs(
    scores: Sequence[Score], pairs: Sequence[Mapping[str, Any]], phrases: Sequence[str]
) -> dict[str, Any] | None:
    """A few prompts with what each model wrote: items the models disagree on come first."""
    told = [s for s in scores if s.outputs]
    if not told:
        return None
    benchmark = told[0].benchmark
    told = [s for s in told if s.benchmark == benchmark]
    shared = [i for i in told[0].outputs if all(i in s.outputs for s in told)]
    changed = {i for p in pairs if p["benchmark"] == benchmark for i in (*p.get("gained", []), *p.get("lost", []))}
    picked = sorted(shared, key=lambda i: (i not in changed, shared.index(i)))[:MAX_CASES]
    if not picked:
        return None
    prompts = told[0].settings.get("prompts", {})
    cases = [
        {
            "id": visible(i),
            "prompt": clip(prompts.get(i, i), CELL),
            "answers": [
                {
                    "model": _short(s.model),
                    "outcome": _outcome(s, i),
                    "pieces": marked(clip(s.outputs[i], CELL) or "(nothing)", phrases),
                }
                for s in told
            ],
        }
        for i in picked
    ]
    words = f"{len(cases)} of {len(shared):,} prompts of “{_words(benchmark)}”"
    words += ", those where the models differ first." if changed else "."
    words += " Words of the template are highlighted." if phrases else ""
    return {"words": words, "cases": cases}


def _outcome(score: Score, item: str) -> str:
    value = score.items.get(item)
    if value is None:
        return ""
    return {0.0: "missed", 1.0: "met"}.get(value, number(value)) if _is_share(score.benchmark) else number(value)


def curves(runs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each training run's terms per step as plots, with the reason it stopped."""
    out = []
    for name, run in runs.items():
        steps = run if isinstance(run, list) else run.get("curve", [])
        notes = [] if isinstance(run, list) else run.get("notes", [])
        plots = [p for p in (_curve(key, steps) for key in _CURVES) if p]
        if len(plots) > 1 and any("forget" in s or "replay" in s for s in steps):
            plots = [p for p in plots if p["title"] != _CURVES["loss"][0]]  # their weighted sum says little
        if plots:
            out.append({"name": clip(name, 80), "notes": [_sentence(n) for n in notes], "plots": plots})
    return out


def _sentence(note: object) -> str:
    words = clip(note, 400)
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _curve(key: str, steps: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    points = [(s["step"], s[key]) for s in steps if s.get(key) is not None and math.isfinite(s[key])]
    if not points:
        return None
    title, unit = _CURVES[key]
    if key == "guard":  # the guard measures nats per token; a reader knows perplexity
        points = [(x, math.exp(min(y, 30.0))) for x, y in points]
    first, last = points[0][1], points[-1][1]
    return {
        "kind": "line",
        "title": title,
        "x_label": "step",
        "y_label": unit,
        "series": [{"name": key, "x": [x for x, _ in points], "y": [y for _, y in points], "low": [], "high": []}],
        "alt": f"{title}: from {number(first)} at step {points[0][0]} to {number(last)} at step {points[-1][0]}",
    }
