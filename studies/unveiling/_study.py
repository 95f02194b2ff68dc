"""What the scripts of this study share: the scale, the judge of a model, paired differences, a claim as a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unflaw import read
from unflaw._cli._demo import FULL, LEVELS, Scale, example_folder
from unflaw.data import Rows, Score, atomic_write, from_json, to_json
from unflaw.evaluate import evaluate, instruction_prompts
from unflaw.measure import Template

__all__ = [
    "RESULTS",
    "SCALE",
    "SHOWN",
    "above",
    "as_rows",
    "below",
    "claim",
    "difference",
    "examples",
    "judged",
    "keep",
]

RESULTS = Path(__file__).parent / "results"
SCALE: Scale = replace(FULL, n_guard=24, n_held_out=60, n_prompts=90, n_texts=30, n_questions=30)

Interval = tuple[float, float, float]
"""Value, lower and upper end of the 95 % interval."""
Scores = Mapping[tuple[str, str], Score]
"""(benchmark, model) → score, of one seed."""

SHOWN = ("instructions.lift", "instructions.soft", "pattern.rate", "text.log_perplexity")


def examples(*names: str) -> dict[str, Rows]:
    """Read shipped rows."""
    return {name: read(example_folder() / f"{name}.jsonl") for name in names}


def as_rows(pairs: Sequence[tuple[str, str]]) -> Rows:
    """Return prompts and responses as rows; a text has an empty prompt."""
    records = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


def judged(spec: str, name: str, folder: Path, template: Template, seed: int, scale: Scale = SCALE) -> Scores:
    """Evaluate one model on what its training never saw, or read what was found before.

    Weights in `folder` are removed then: half a gigabyte a model, and nobody asks for them again.
    """
    record = folder / "scores.json"
    if not record.exists():
        found = evaluate(
            spec, name=name, prompts=instruction_prompts(scale.n_prompts, seed=1000 + seed, levels=LEVELS),
            text=examples("heldout_text")["heldout_text"].take(range(scale.n_texts)), template=template,
            max_tokens=scale.max_tokens,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(record) as file:
            json.dump([to_json(score) for score in found], file)
        for weights in folder.glob("*.safetensors"):
            weights.unlink()
    scores = {(s.benchmark, name): s for s in (from_json(Score, r) for r in json.loads(record.read_text()))}
    print(f"seed {seed}, {name}:", {b: round(scores[b, name].value, 3) for b in SHOWN}, flush=True)
    return scores


def difference(scores: Sequence[Scores], benchmark: str, a: str, b: str, n_resamples: int = 4000) -> Interval:
    """Mean of b - a over items of all seeds, with a bootstrap over requests, questions or texts.

    What is asked in every seed is one group. How much trainings differ among themselves is in the interval only as
    far as requests differ by seed, too: three trainings are too few to draw from.
    """
    groups: dict[str, list[float]] = {}
    for by in scores:
        before, after = by[benchmark, a].items, by[benchmark, b].items
        for item in before:  # "s1003-0007/2": drawn requests differ by seed, questions and texts are the same in all
            groups.setdefault(item.split("/")[0], []).append(after[item] - before[item])
    sums, counts = (np.array([f(v) for v in groups.values()], dtype=float) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(0, len(sums), (n_resamples, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(sums.sum() / counts.sum()), float(low), float(high)


def above(value: Interval, threshold: float) -> str:
    """Pass where the whole interval lies above, fail where it lies below, else unclear."""
    return "pass" if value[1] > threshold else "fail" if value[2] < threshold else "unclear"


def below(value: Interval, threshold: float) -> str:
    """Pass where the whole interval lies below, fail where it lies above, else unclear."""
    return above((-value[0], -value[2], -value[1]), -threshold)


def claim(
    name: str, statement: str, value: Sequence[float | None], threshold: float, verdict: str, n_seeds: int
) -> dict[str, Any]:
    """Return one line of `claims.json`."""
    middle, low, high = value
    return {
        "claim": name, "statement": statement, "value": middle, "low": low, "high": high, "threshold": threshold,
        "verdict": verdict, "n_seeds": n_seeds, "settings": {"model": "smollm2"},
    }  # fmt: skip


def keep(name: str, record: Mapping[str, Any]) -> None:
    """Write a record into `results/`."""
    with atomic_write(RESULTS / name) as file:
        json.dump(record, file, indent=1)
