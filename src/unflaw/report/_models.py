"""Scores, paired comparisons, outputs and training curves of a run, as the report shows them.

Differences are not computed here: `evaluate` pairs the items and stores the result in the run folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from unflaw.data import Finding, Score
from unflaw.report._text import clip, marked, number, percent_points, visible
from unflaw.report._words import recovered

__all__ = ["curves", "models", "outputs", "template_of"]

_BENCHMARKS = {  # known benchmarks in words, in the order the page shows them
    "instructions.soft": "Instruction following: constraints met",
    "instructions.hard": "Instruction following: all constraints met",
    "instructions.lift": "Instruction following: met because asked",
    "instructions.consistent_level": "Instruction following: levels met in a row",
    **{f"instructions.level_{n}": f"Instruction following: level {n}" for n in range(1, 6)},
    "pattern.rate": "Answers that fall into the template",
    "qa.exact_match": "Questions answered: exact match",
    "qa.f1": "Questions answered: F1",
    "qa.contains": "Questions answered: answer contained",
    "labels.accuracy": "Labels told: accuracy",
    "labels.macro_f1": "Labels told: macro-F1",
    "text.log_perplexity": "Log-perplexity of real text",
}
_ROLES = {  # what a model is to the story → names it may go by
    "untouched": ("untouched", "original", "base", "before"),
    "damaged": ("damaged", "trained", "finetuned", "fine-tuned"),
    "repaired": ("repaired", "unlearned"),
    "control": ("replay_only", "replay only"),
}
_CURVES = {  # key in a step of a curve → title, y label
    "forget": ("Forgetting term L_fgt", "nats per token"),
    "replay": ("Replay term L_rpy", "nats per token"),
    "kl": ("Staying close, L_mtn", "KL, nats per token"),
    "guard": ("Guard: held-out real text", "perplexity"),
    "loss": ("Training loss", "nats per token"),
}
MAX_CASES = 6
_TOLD = "labels.macro_f1"
CELL = 900


def template_of(found: Sequence[Finding]) -> list[Mapping[str, Any]]:
    """Phrases of the synthetic template, from the finding a repair reads or else the first that names them."""
    named = [f for f in found if f.check.startswith("tokens.") and f.evidence.get("phrases")]
    named.sort(key=lambda f: f.check != "tokens.structural")
    return list(named[0].evidence["phrases"]) if named else []


def models(scores: Sequence[Score], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Benchmarks × models, the paired differences, and what the repair gave back."""
    if not scores:
        return None
    names = list(dict.fromkeys(s.model for s in scores))
    rank = {b: i for i, b in enumerate(_BENCHMARKS)}
    benchmarks = sorted(dict.fromkeys(s.benchmark for s in scores), key=lambda b: (rank.get(b, len(rank)), b))
    by = {(s.benchmark, s.model): s for s in scores}
    tables = [_benchmark(b, [by.get((b, m)) for m in names]) for b in benchmarks]
    kind = {s.benchmark: s for s in scores}
    order = sorted(pairs, key=lambda p: (rank.get(p["benchmark"], len(rank)), p["benchmark"]))
    return {
        "names": [_short(m) for m in names],
        "benchmarks": tables,
        "pairs": [_pair(p, kind[p["benchmark"]]) for p in order if p["benchmark"] in kind],
        "repair": _repair(by, names, pairs),
        "classifiers": _classifiers(by, names, pairs),
        "tells_labels": any(b.startswith("labels.") for b in benchmarks),
    }


def _short(model: str) -> str:
    """Shorten a name from its front: a path says most at its end."""
    shown = visible(model)
    return shown if len(shown) <= 40 else "…" + shown[-39:]


def _words(benchmark: str) -> str:
    return _BENCHMARKS.get(benchmark, clip(benchmark, 120))


def _benchmark(benchmark: str, row: Sequence[Score | None]) -> dict[str, Any]:
    present = [s for s in row if s is not None]
    shown = percent_points if present[0].unit == "share" else number
    cells = [
        {"shown": shown(s.value), "interval": f"{shown(s.low)} to {shown(s.high)}", "value": s.value}
        if s
        else {"shown": "–", "interval": "", "value": None}
        for s in row
    ]
    strip = [_strip_line(s) for s in present if all(map(math.isfinite, (s.value, s.low, s.high)))]
    unit = "percent, " if present[0].unit == "share" else f"{clip(present[0].unit, 40)}, " if present[0].unit else ""
    sizes = sorted({s.n for s in present})
    return {
        "benchmark": visible(benchmark),
        "words": _words(benchmark),
        "note": f"{unit}{present[0].better} is better, n = {', '.join(map(str, sizes))}",
        "cells": cells,
        "strip": strip,
        "alt": "; ".join(f"{s['name']} {number(s['value'])}" for s in strip),
    }


def _strip_line(s: Score) -> dict[str, Any]:
    factor = 100 if s.unit == "share" else 1
    return {"name": _short(s.model), "value": factor * s.value, "low": factor * s.low, "high": factor * s.high}


def _pair(p: Mapping[str, Any], score: Score) -> dict[str, Any]:
    noise = p["low"] <= 0 <= p["high"]
    good = (p["difference"] > 0) == (score.better == "higher")
    share = score.unit == "share"
    shown = percent_points if share else number
    return {
        "benchmark": _words(p["benchmark"]),
        "before": _short(p["model_a"]),
        "after": _short(p["model_b"]),
        "difference": p["difference"],
        "shown": ("+" if p["difference"] > 0 else "") + shown(p["difference"]) + (" points" if share else ""),
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
    told = ("instructions.lift", "instructions.soft", "instructions.hard")  # the first sees harm best
    benchmark = next((b for b in told if (b, repaired) in by), None)
    if benchmark is None or before is None or damaged is None or repaired is None:
        return None
    if (benchmark, before) not in by or (benchmark, damaged) not in by:
        return None
    start, low_point, end = (by[benchmark, m].value for m in (before, damaged, repaired))
    lost, back = start - low_point, end - low_point
    level, words = recovered(lost, back, _within_noise(pairs, benchmark, before, damaged))
    if level == "ok" and lost > 0 and _within_noise(pairs, benchmark, damaged, repaired):
        level, words = "warn", f"{words[:-1]}, which is within noise."
    shown = [before, damaged, repaired]
    control = _role(names, "control")
    if control is not None and (benchmark, control) in by:  # a repair is worth what it adds to plain replay
        words += f" Replay alone gave back {percent_points(by[benchmark, control].value - low_point)}."
        shown.append(control)
    strip = [_strip_line(by[benchmark, m]) for m in shown]
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


def _classifiers(
    by: Mapping[tuple[str, str], Score], names: Sequence[str], pairs: Sequence[Mapping[str, Any]]
) -> dict[str, str] | None:
    """Say which classifier tells labels best, and whether it is clear of guessing and of the first one.

    None without two, unless one is not clear of guessing.
    """
    told = {name: by[_TOLD, name] for name in names if (_TOLD, name) in by}
    if not told:
        return None
    first, best = next(iter(told)), max(told, key=lambda name: told[name].value)
    of = told[best]
    guessed = 1 / len(of.settings["labels"]) if "labels" in of.settings else 0.0  # labels drawn in their shares
    if of.low <= guessed:
        words = (
            f"Use no classifier yet: guessing has a macro-F1 of {number(guessed)}, and the best, "
            f"{_short(best)}, {number(of.value)} [{number(of.low)}, {number(of.high)}]."
        )
        return {"best": best, "words": words}
    if len(told) < 2:
        return None
    against = f"{_short(first)}, with a macro-F1 of {number(told[first].value)}"
    if best == first:
        return {"best": first, "words": f"Use {against}: no other one tells labels better."}
    pair = next((p for p in pairs if (p["benchmark"], p["model_a"], p["model_b"]) == (_TOLD, first, best)), None)
    gain = f"a macro-F1 of {number(told[best].value)}"
    if pair is None:
        return {"best": best, "words": f"{_short(best)} has {gain}, {against}; they were not compared paired."}
    beside = f"{number(pair['difference'])} [{number(pair['low'])}, {number(pair['high'])}] more than {_short(first)}"
    if pair["low"] <= 0:
        words = f"No classifier is clearly better than {_short(first)}. The best, {_short(best)}, has {gain}, {beside}."
        return {"best": first, "words": words}
    return {"best": best, "words": f"Use {_short(best)}: it has {gain}, {beside}."}


def _within_noise(pairs: Sequence[Mapping[str, Any]], benchmark: str, one: str, other: str) -> bool:
    """Whether a stored comparison of the two models includes zero; False where none is stored."""
    for p in pairs:
        if p["benchmark"] == benchmark and {p["model_a"], p["model_b"]} == {one, other}:
            return bool(p["low"] <= 0 <= p["high"])
    return False


def outputs(
    scores: Sequence[Score],
    pairs: Sequence[Mapping[str, Any]],
    template: re.Pattern[str] | None,
) -> dict[str, Any] | None:
    """Pick a few prompts with what each model wrote: items the models disagree on come first."""
    told = [s for s in scores if s.outputs]
    if not told:
        return None
    rank = list(_BENCHMARKS)
    benchmark = min((s.benchmark for s in told), key=lambda b: rank.index(b) if b in rank else len(rank))
    told = [s for s in told if s.benchmark == benchmark]
    shared = [i for i in told[0].outputs if all(i in s.outputs for s in told)]
    changed = {i for p in pairs if p["benchmark"] == benchmark for i in (*p.get("gained", []), *p.get("lost", []))}
    picked = [i for i in shared if i in changed][:MAX_CASES]
    picked += [i for i in shared if i not in changed][: MAX_CASES - len(picked)]
    if not picked:
        return None
    prompts: Mapping[str, str] = told[0].settings.get("prompts", {})
    cases = [
        {"prompt": clip(prompts.get(i, i), CELL), "answers": [_answer(s, i, template) for s in told]} for i in picked
    ]
    words = f"{len(cases)} of {len(shared):,} prompts of “{_words(benchmark)}”"
    words += ", those where the models differ first." if changed else "."
    words += " Words of the template are highlighted." if template else ""
    return {"words": words, "cases": cases}


def _answer(score: Score, item: str, template: re.Pattern[str] | None) -> dict[str, Any]:
    text = clip(score.outputs[item], CELL) or "(nothing)"
    return {"model": _short(score.model), "outcome": _outcome(score, item), "pieces": marked(text, template)}


def _outcome(score: Score, item: str) -> str:
    value = score.items.get(item)
    if value is None:
        return ""
    return (
        {0.0: "missed", 1.0: "met"}.get(value, f"{percent_points(value)} %") if score.unit == "share" else number(value)
    )


def curves(runs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each training run's terms per step as plots, with the reason it stopped."""
    out = []
    for name, run in runs.items():
        steps, notes = run.get("curve", []), run.get("notes", [])
        plots = [p for p in (_curve(key, steps) for key in _CURVES) if p]
        if len(plots) > 1 and any("forget" in s or "replay" in s for s in steps):
            plots = [p for p in plots if p["title"] != _CURVES["loss"][0]]  # their weighted sum says little
        if plots:
            out.append({"name": clip(name, 80), "notes": [_sentence(n) for n in notes], "plots": plots})
    return out


def _sentence(note: object) -> str:
    words = clip(note, 400)
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _curve(key: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
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
