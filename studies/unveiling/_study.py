"""What the scripts of this study share: resumable training, the judge of a model, paired differences, claims."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from unflaw import read
from unflaw._cli._demo import ANSWER, FULL, LEVELS, Scale, example_folder
from unflaw.data import Rows, RunFolder, Score, atomic_write, from_json, hash_path, to_json
from unflaw.evaluate import evaluate, instruction_prompts
from unflaw.measure import Template, log_odds, tokenise
from unflaw.repair import unlearn
from unflaw.train import finetune
from unflaw.train._encode import Spans

__all__ = [
    "BESIDE", "F1", "RESULTS", "SCALE", "SHOWN", "Contrast", "Interval", "Scores", "above", "as_rows", "asked", "below",
    "by_model", "claim", "claims_from", "difference", "digest", "evaluated", "examples", "finetuned",
    "identity", "items_of", "judged", "keep", "once", "over_use", "parser", "repaired", "template_of", "with_earlier",
    "word_counts",
]  # fmt: skip

RESULTS = Path(__file__).parent / "results"
ITEMS = "items.jsonl.gz"
"""Every score of a script, item by item: what its intervals are drawn from."""
SCALE: Scale = replace(FULL, n_guard=24, n_held_out=60, n_prompts=90, n_texts=30, n_questions=30)
SHOWN = ("instructions.lift", "instructions.soft", "pattern.rate", "text.log_perplexity")
BESIDE = ("instructions.lift", "pattern.rate")
"""What is compared and drawn."""
F1 = "qa.f1"
"""On held-out questions of the kind that the synthetic rows ask."""

JUDGED_WITH = ("n_prompts", "n_texts", "max_tokens")
"""What of a scale decides how a model is judged."""

Interval = tuple[float, float, float]
"""Value, lower and upper end of the 95 % interval."""
Scores = dict[tuple[str, str], Score]
"""(benchmark, model) → score, of one seed."""


def parser(doc: str | None, runs: str, seeds: Sequence[int] = (1, 2, 3)) -> argparse.ArgumentParser:
    """Return a parser of what every script is told: seeds, and where its runs are kept."""
    told = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    told.add_argument("--runs", type=Path, default=Path(runs))
    return told


def examples(*names: str) -> dict[str, Rows]:
    """Read shipped rows."""
    return {name: read(example_folder() / f"{name}.jsonl") for name in names}


def as_rows(pairs: Sequence[tuple[str, str]]) -> Rows:
    """Return prompts and responses as rows; a text has an empty prompt."""
    records = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    return Rows.from_records(records, {"prompt": "prompt", "response": "response"})


def once(path: Path, settings: Mapping[str, Any], work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Do a piece of work in a folder of its own, or read what it told when it was done.

    What was made with other settings is not taken for this: the run ends with a word about it.
    """
    kept, settings = path / "done.json", json.loads(json.dumps(settings))
    if kept.exists():
        told: dict[str, Any] = json.loads(kept.read_text())
        if told["settings"] != settings:
            other = {k: told["settings"].get(k) for k in settings if told["settings"].get(k) != settings[k]}
            raise SystemExit(f"`{path}` was made with other settings: {other}. Remove it, or name other --runs")
        return told
    shutil.rmtree(path, ignore_errors=True)  # what an interrupted run left
    told = {**work(), "settings": settings}
    path.mkdir(parents=True, exist_ok=True)
    with atomic_write(kept) as file:
        json.dump(told, file)
    return told


def finetuned(path: Path, model: str, rows: Rows, *, seed: int, learning_rate: float, **settings: Any) -> str:
    """Fine-tune an adapter, unless it is done; return the spec of the model."""
    settings |= {"seed": seed, "learning_rate": learning_rate, "method": "lora"}

    def work() -> dict[str, Any]:
        done = finetune(model, rows, path / "model", **settings)
        return {"tokens": done.tokens, "weights": hash_path(path / "model")}

    once(path, settings | {"model": identity(model), "rows": digest(rows)}, work)
    return str(path / "model")


def repaired(
    path: Path, model: str, forget: Rows | None, replay: Rows, guard: Rows, *, seed: int, scale: Scale = SCALE,
    times: int = 1, spans: Spans | None = None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Unlearn, unless it is done; `times` as many steps, and of the guard's patience, as the scale says."""
    settings |= {
        "seed": seed, "steps": times * scale.repair_steps, "patience": 4 * times, "method": "lora", "guard_every": 5,
        "learning_rate": scale.repair_learning_rate,
    }  # fmt: skip
    sets = {"forget": forget, "replay": replay, "guard": guard.take(range(scale.n_guard))}

    def work() -> dict[str, Any]:
        done = unlearn(model, *sets.values(), path / "model", spans=spans, **settings)
        return {
            "tokens": done.tokens, "w_forget": done.settings["w_forget"], "notes": done.notes, "curve": done.curve,
            "weights": hash_path(path / "model"),
        }  # fmt: skip

    return once(path, settings | {"model": identity(model)} | {n: digest(rows) for n, rows in sets.items()}, work)


def identity(model: str) -> str:
    """Return what tells a model from others: the digest of its weights, or its name."""
    told = Path(model).parent / "done.json"
    if told.exists():
        return str(json.loads(told.read_text())["weights"])
    return hash_path(Path(model) / "adapter_model.safetensors") or model


def digest(rows: Rows | None) -> str | None:
    """Tell rows from others by what they say and weigh; ids may come from a file."""
    if rows is None:
        return None
    said: Any = rows.pairs() if rows.weights() is None else [rows.pairs(), rows.weights()]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def evaluated(path: Path, model: str, name: str, settings: Mapping[str, Any], **what: Any) -> Scores:
    """Evaluate one model, or read what was found before with these settings."""

    def work() -> dict[str, Any]:
        return {"scores": [to_json(score) for score in evaluate(model, name=name, **what)]}

    told = once(path, {"model": identity(model), **settings}, work)
    return {(s.benchmark, name): s for s in (from_json(Score, r) for r in told["scores"])}


def judged(path: Path, model: str, name: str, template: Template, seed: int, scale: Scale = SCALE) -> Scores:
    """Evaluate one model on what its training never saw, or read what was found before."""
    settings = {"seed": seed, "template": template.to_evidence()["template"]}
    scores = evaluated(
        path, model, name, settings | {k: v for k, v in asdict(scale).items() if k in JUDGED_WITH},
        prompts=instruction_prompts(scale.n_prompts, seed=1000 + seed, levels=LEVELS), template=template,
        text=examples("heldout_text")["heldout_text"].take(range(scale.n_texts)), max_tokens=scale.max_tokens,
    )  # fmt: skip
    print(f"seed {seed}, {name}:", {b: round(scores[b, name].value, 3) for b in SHOWN}, flush=True)
    return scores


def word_counts(*sets: Sequence[str]) -> tuple[np.ndarray, list[Any]]:
    """Return the words of some texts and, set by set, how often each text has each (sparse, texts × words)."""
    count = CountVectorizer(analyzer=lambda text: tokenise(text).words).fit([text for of in sets for text in of])
    return count.get_feature_names_out(), [count.transform(of) for of in sets]


def over_use(synthetic: np.ndarray, real: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the words' places, the most over-used first, by log-odds with a prior of 1000 words (Monroe et al.)."""
    _, z = log_odds(synthetic, real, prior=1000 * prior / prior.sum())
    return np.argsort(-z, kind="stable")


def template_of(folder: Path) -> Template:
    """Return the template that the audit of a run found."""
    found = {f.check: f for f in RunFolder(folder).findings()}
    return Template.from_evidence(found["tokens.structural"].evidence)


def asked(path: Path, model: str, name: str) -> Scores:
    """Ask one model the synthetic rows' questions that no model is trained on, or read what was found before."""
    held_out = examples("synthetic")["synthetic"].take(range(SCALE.n_trained, SCALE.n_trained + SCALE.n_held_out))
    questions = held_out.with_column("unflaw.right", held_out.column("answer_plain"), role="response")
    return evaluated(
        path, model, name, {"questions": digest(questions)}, suite=["qa"], qa=questions, answer_pattern=ANSWER
    )


def difference(scores: Sequence[Scores], benchmark: str, a: str, b: str, n_resamples: int = 4000) -> Interval:
    """Mean of b - a over items of all seeds, with a bootstrap over requests, questions or texts.

    "x + y" is the mean of models x and y, item by item.

    What is asked in several seeds is one group. How much trainings differ among themselves is in the interval only as
    far as requests differ by seed, too: three trainings are too few to draw from.
    """
    groups: dict[str, list[float]] = {}
    for by in scores:
        before, after = (items_of(by, benchmark, name) for name in (a, b))
        for item in before:
            groups.setdefault(request_of(item), []).append(after[item] - before[item])
    sums, counts = (np.array([f(v) for v in groups.values()], dtype=float) for f in (sum, len))
    drawn = np.random.default_rng(0).integers(0, len(sums), (n_resamples, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(sums.sum() / counts.sum()), float(low), float(high)


def items_of(by: Scores, benchmark: str, name: str) -> dict[str, float]:
    """Return the items of a model, or of the mean of several."""
    every = [by[benchmark, model].items for model in name.split(" + ")]
    return {item: sum(items[item] for items in every) / len(every) for item in every[0]}


def request_of(item: str) -> str:
    """Return what an item asks at all of its levels: seeds draw from the same requests, with other constraints."""
    base = item.split("/")[0]  # "s1003-0007/2"
    seed = base.split("-")[0].removeprefix("s")
    return requests_of(int(seed)).get(base, base) if seed.isdigit() else base


@cache
def requests_of(seed: int) -> dict[str, str]:
    """Return base → request of the prompts drawn from a seed."""
    return {item.base: item.request for item in instruction_prompts(SCALE.n_prompts, seed=seed, levels=LEVELS)}


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


class Contrast(NamedTuple):
    """A claim about the difference b - a of a score."""

    words: str
    of: str
    a: str
    b: str
    judge: Callable[[Interval, float], str]
    threshold: float = 0.0


def claims_from(contrasts: Mapping[str, Contrast], scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """Judge every contrast whose models are there."""
    found = []
    for name, (words, of, a, b, judge, threshold) in contrasts.items():
        if all((of, model) in by for by in scores for model in f"{a} + {b}".split(" + ")):
            value = difference(scores, of, a, b)
            verdict = judge(value, threshold)
            shown = [f"({models})" if " + " in models else models for models in (b, a)]
            found.append(claim(name, f"{words} ({of}, {' - '.join(shown)})", value, threshold, verdict, len(scores)))
    return found


def by_model(
    contrasts: Mapping[str, Contrast], scores: Sequence[Scores], models: Sequence[str], benchmarks: Sequence[str]
) -> dict[str, Any]:
    """Return the claims, and the values of every model's benchmarks, seed by seed."""
    return {
        "claims": claims_from(contrasts, scores),
        "values": {model: {b: [by[b, model].value for by in scores] for b in benchmarks} for model in models},
    }


def with_earlier(
    script: str, seeds: Sequence[int], scores: Sequence[Scores], benchmarks: Sequence[str]
) -> list[Scores]:
    """Keep scores in `results/items.jsonl.gz`, in place of older ones of the same name; return all that are there.

    So what is judged later is compared with what an earlier call judged, wherever that ran.
    """
    path, known = RESULTS / ITEMS, dict[tuple[str, int, str, str], dict[str, Any]]()
    if path.exists():
        lines = map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        known = {(of["script"], of["seed"], of["score"]["benchmark"], of["score"]["model"]): of for of in lines}
    for seed, by in zip(seeds, scores, strict=True):
        for key in by:
            if key[0] in benchmarks:
                known[script, seed, *key] = {"script": script, "seed": seed, "score": to_json(by[key])}
    with atomic_write(path, "wb") as file:
        file.write(gzip.compress("".join(json.dumps(of) + "\n" for of in known.values()).encode(), mtime=0))
    return [
        {key[2:]: from_json(Score, of["score"]) for key, of in known.items() if key[:2] == (script, seed)}
        for seed in seeds
    ]


def keep(name: str, record: Mapping[str, Any]) -> None:
    """Write a record into `results/`."""
    with atomic_write(RESULTS / name) as file:
        json.dump(record, file, indent=1)
