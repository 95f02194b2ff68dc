"""Tables and claims of `gap.py`: what people's rows teach beyond a language model's, and how that goes with opinion.

A gap is macro-F1 of a classifier of real rows less that of one of as many written ones, on the same test rows, as a
mean over seeds; its interval, like that of C4, resamples test rows and allows for the seeds: see
`unflaw.measure.seeded_interval`. Over seven tasks a correlation says little, over four next to nothing: its interval
resamples tasks, and draws each gap from what its own interval allows. Shares of tasks have Wilson's.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gap import RESULTS, TASKS, TRAITS, WAYS, records
from irony import RESULTS as IRONY
from scipy.stats import ttest_ind

from unflaw.data import atomic_write, hash_path
from unflaw.measure import cells, confusion, macro_f1, seeded_difference, seeded_interval, wilson_interval

HERE = Path(__file__).parent
WRITTEN = HERE.parent / "labelled" / "data" / "written.json"
MADE_OF = (RESULTS, TRAITS, WRITTEN, IRONY, Path(__file__))
"""Files that decide what the page says."""
N_RESAMPLES = 2000
GAMMAS = (0.25, 0.5, 0.75, 1.0)
"""Agreement above chance from which rows are asked about."""
TOPICS = ("news", "intents", "plots")
"""Tasks whose labels say what a text is about; those of the others, what somebody thinks."""
SIDES = ("annotators", "classifier", "panel")
By = dict[tuple[str, str], dict[int, dict[str, Any]]]
"""(task, way) → seed → record."""


def main() -> None:
    """Write results/claims.json and the page gap.md."""
    claims, page = built()
    with atomic_write(HERE / "results" / "claims.json") as file:
        made_of = {os.path.relpath(path, HERE): hash_path(path) for path in MADE_OF}
        json.dump({"claims": claims, "made_of": made_of}, file, indent=1)
    with atomic_write(HERE / "gap.md") as file:
        file.write(page)


def built() -> tuple[list[dict[str, Any]], str]:
    """Return the claims and the text of the page."""
    by: By = defaultdict(dict)
    for record in records():
        by[record["task"], record["way"]][record["seed"]] = record
    traits = json.loads(TRAITS.read_text()) if TRAITS.exists() else {}
    claims = [
        *_order(by),
        *_diversity(traits),
        *_correlations(by, traits),
        *_contrast(by),
        *_fidelity(by, traits),
        *_instances(by, traits),
    ]
    head = (HERE / "gap.md").read_text(encoding="utf-8").partition("<!-- tables -->")[0]
    tables = "\n".join([*_claims(claims), *_scores(by, traits), *_curves(by, traits), *_irony()])
    return claims, f"{head}<!-- tables -->\n\n{tables}\n"


def gap(by: By, task: str, a: str, b: str) -> tuple[float, float, float, int] | None:
    """Return mean macro-F1 of way a less that of b, its interval and the seeds; None without two of them."""
    seeds = sorted(by[task, a].keys() & by[task, b].keys())
    if len(seeds) < 2:
        return None
    size = by[task, a][seeds[0]]["classes"]
    one, two = (np.stack([_cells(by[task, way][s]) for s in seeds]) for way in (a, b))
    return (*seeded_difference(one, two, statistic=lambda table: macro_f1(confusion(table, size))), len(seeds))


def _cells(record: dict[str, Any]) -> np.ndarray:
    y, told = (np.array(list(record[name]), dtype=np.int64) for name in ("y", "told"))
    return cells(y, told, record["classes"])


def _value(of: dict[int, dict[str, Any]], seeds: list[int] | None = None) -> float:
    chosen = [of[s] for s in (seeds or sorted(of))]
    return float(np.mean([macro_f1(confusion(_cells(r), r["classes"])) for r in chosen]))


def _claim(
    name: str,
    statement: str,
    found: tuple[float, float, float] | None,
    threshold: str,
    verdict: str,
    n: int,
    **more: Any,
) -> dict[str, Any]:
    told = found or (None,) * 3
    numbers = {k: None if v is None else round(v, 4) for k, v in zip(("value", "low", "high"), told, strict=True)}
    return {"claim": name, "statement": statement, **numbers, "threshold": threshold, "verdict": verdict, "n_seeds": n,
            "settings": more}  # fmt: skip


def _judged(low: float, high: float) -> str:
    return "pass" if low > 0 else "fail" if high < 0 else "unclear"


def _order(by: By) -> list[dict[str, Any]]:
    """Ask of each task whether real rows teach most, and few-shot ones more than zero-shot ones."""
    made = []
    for a, b in (("real", "few"), ("real", "zero"), ("few", "zero")):
        for task in TASKS:
            if found := gap(by, task, a, b):
                verdict = _judged(found[1], found[2])
                made.append(
                    _claim("C1", f"{a} − {b}, macro-F1 ({task})", found[:3], "above 0", verdict, found[3], task=task)
                )
    return made


def _diversity(traits: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask whether real rows are more diverse than few-shot, and those than zero-shot; by how many tasks."""
    made = []
    for name, order in (("remote_clique", ("real", "few", "zero")), ("chamfer", ("real", "few", "zero"))):
        told = [t["diversity"] for t in traits.values()]
        for a, b in (("real", "few"), ("few", "zero")):
            hits = [d[a][name] > d[b][name] for d in told]
            made += _share(f"{a} rows are more diverse than {b} ones, by {name}", hits, order=order)
    near = [t["diversity"]["few"]["similarity"] > t["diversity"]["zero"]["similarity"] for t in traits.values()]
    return [*made, *_share("real rows find few-shot ones nearer than zero-shot ones (top-5 similarity)", near)]


def _share(what: str, hits: list[bool], **more: Any) -> list[dict[str, Any]]:
    """Claim that something holds for more tasks than not; nothing without tasks."""
    if not hits:
        return []
    low, high = wilson_interval(sum(hits), len(hits))
    verdict = _judged(low - 0.5, high - 0.5)
    found = (float(np.mean(hits)), low, high)
    return [_claim("C2", f"share of tasks where {what}", found, "above .5", verdict, len(hits), **more)]


def _correlations(by: By, traits: dict[str, Any]) -> list[dict[str, Any]]:
    """Correlate the gap with how subjective a task is, from each side."""
    made = []
    for side in SIDES:
        for way in ("zero", "few"):
            pairs = [
                (traits[t]["subjectivity"][side], found[0], _error(found))
                for t in TASKS
                if t in traits and side in traits[t]["subjectivity"] and (found := gap(by, t, "real", way))
            ]
            if len(pairs) < 4:
                continue
            x, y, error = np.array(pairs).T
            rng = np.random.default_rng(0)
            draws = [
                _spearman(x[at], rng.normal(y[at], error[at]))
                for at in rng.integers(len(x), size=(N_RESAMPLES, len(x)))
            ]
            low, high = np.nanquantile(draws, [0.025, 0.975])
            found = (_spearman(x, y), float(low), float(high))
            statement = f"Spearman of the gap real − {way} and of subjectivity by {side}, over {len(x)} tasks"
            made.append(_claim("C3", statement, found, "above 0", _judged(found[1], found[2]), len(x), side=side))
    return made


def _contrast(by: By) -> list[dict[str, Any]]:
    """Ask whether more is lost where labels are opinions than where they are subjects; Welch's interval over tasks."""
    made = []
    for way in ("zero", "few"):
        told = {t: found[0] for t in TASKS if (found := gap(by, t, "real", way))}
        opinions, topics = ([told[t] for t in TASKS if t in told and (t in TOPICS) is of] for of in (False, True))
        if min(len(opinions), len(topics)) < 2:
            continue
        ends = ttest_ind(opinions, topics, equal_var=False).confidence_interval(0.95)
        found = (float(np.mean(opinions) - np.mean(topics)), float(ends.low), float(ends.high))
        statement = f"gap real − {way} of tasks of opinion − of those of subjects ({', '.join(TOPICS)})"
        made.append(_claim("C3", statement, found, "above 0", _judged(*found[1:]), len(told)))
    return made


def _error(found: tuple[float, float, float, int]) -> float:
    """Return the standard error that a 95 % interval tells of."""
    return (found[2] - found[1]) / (2 * 1.96)


def _fidelity(by: By, traits: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask whether the gap goes with how far the writer kept to the labels; both kinds of written rows of each task."""
    of = {
        task: [
            (traits[task]["fidelity"]["real"] - traits[task]["fidelity"][way], found[0], _error(found))
            for way in WAYS[1:]
            if (found := gap(by, task, "real", way))
        ]
        for task in TASKS
        if "fidelity" in traits.get(task, {})
    }
    sets = [np.array(pairs) for pairs in of.values() if len(pairs) == 2]
    if len(sets) < 4:
        return []
    rng = np.random.default_rng(0)
    draws = []
    for at in rng.integers(len(sets), size=(N_RESAMPLES, len(sets))):
        x, y, error = np.concatenate([sets[k] for k in at]).T
        draws.append(_spearman(x, rng.normal(y, error)))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    x, y, _ = np.concatenate(sets).T
    found = (_spearman(x, y), float(low), float(high))
    statement = (
        f"Spearman of the gap and of labels the writer missed, zero- and few-shot, over {len(sets)} tasks (ours)"
    )
    return [_claim("C5", statement, found, "above 0", _judged(found[1], found[2]), len(sets))]


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else float("nan")


def _instances(by: By, traits: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask whether classifiers are right where annotators agree, and more so those of written rows."""
    made = []
    for task in TASKS:
        agreed = np.array(traits.get(task, {}).get("agreement", []))
        if not len(agreed) or any(len(by[task, way]) < 2 for way in WAYS):
            continue
        most = agreed >= np.median(agreed)
        seeds = sorted(set.intersection(*(set(by[task, way]) for way in WAYS)))
        right = {way: np.stack([_right(by[task, way][s]) for s in seeds]) for way in WAYS}
        for way in WAYS:
            found = seeded_interval(partial(_ahead, most, right[way]), len(most))
            statement = f"accuracy where annotators agree above the median − below, {way} rows ({task})"
            made.append(_claim("C4", statement, found, "above 0", _judged(*found[1:]), len(seeds), task=task))
        for way in WAYS[1:]:
            found = seeded_interval(partial(_ahead, most, right[way] - right["real"]), len(most))
            statement = f"that difference of {way} rows − of real rows ({task})"
            made.append(_claim("C4", statement, found, "above 0", _judged(*found[1:]), len(seeds), task=task))
    return made


def _ahead(most: np.ndarray, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how far the mean over rows of most agreement is ahead of that over the others, (seeds,); nan without."""
    of = most[rows]
    if of.all() or not of.any():
        return np.full(len(values), np.nan)
    return values[:, rows[of]].mean(axis=1) - values[:, rows[~of]].mean(axis=1)


def _right(record: dict[str, Any]) -> np.ndarray:
    return np.array([a == b for a, b in zip(record["y"], record["told"], strict=True)], dtype=float)


def _claims(claims: list[dict[str, Any]]) -> list[str]:
    lines = ["## Claims", "", "| claim | statement | value | threshold | verdict | seeds or tasks |", "|---" * 6 + "|"]
    for c in claims:
        told = "" if c["value"] is None else f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]"
        lines.append(
            f"| {c['claim']} | {c['statement']} | {told} | {c['threshold']} | {c['verdict']} | {c['n_seeds']} |"
        )
    return [*lines, ""]


def _scores(by: By, traits: dict[str, Any]) -> list[str]:
    lines = [
        "## Macro-F1 on real test rows, by what was learnt from (seeds), and how subjective the task is", "",
        "| task | rows | real | few-shot | zero-shot | " + " | ".join(SIDES) + " |", "|---" * (5 + len(SIDES)) + "|",
    ]  # fmt: skip
    for task in TASKS:
        if not by[task, "real"]:
            continue
        n = next(iter(by[task, "real"].values()))["n"]
        told = [
            f"{_value(by[task, w]):.3f} ({len(by[task, w])})" if by[task, w] else "" for w in ("real", "few", "zero")
        ]
        of = traits.get(task, {}).get("subjectivity", {})
        sides = [f"{of[s]:.2f}" if s in of else "" for s in SIDES]
        lines.append(f"| {task} | {n} | {' | '.join([*told, *sides])} |")
    lines += ["", "## Labels that a classifier of real rows tells", "", "| task | real | few-shot | zero-shot |"]
    lines.append("|---" * 4 + "|")
    for task in TASKS:
        if kept := traits.get(task, {}).get("fidelity"):
            lines.append(f"| {task} | {' | '.join(f'{kept[w]:.2f}' for w in ('real', 'few', 'zero'))} |")
    made = json.loads(WRITTEN.read_text())
    lines += ["", "## Few-shot answers that were near copies of a shot (ROUGE-L above .7)", "", "| task | of answers |"]
    lines.append("|---" * 2 + "|")
    for task in TASKS:
        if of := made.get(f"{task}-few"):
            share = of["near_copies"] / of["answers"]
            lines.append(f"| {task} | {of['near_copies']} of {of['answers']} ({share:.1%}) |")
    lines += ["", "## Diversity of as many rows of each kind", "", "| task | measure | real | few-shot | zero-shot |"]
    lines.append("|---" * 5 + "|")
    for task in TASKS:
        for name in ("remote_clique", "chamfer", "similarity"):
            if task in traits:
                values = [f"{traits[task]['diversity'][w][name]:.3f}" for w in ("real", "few", "zero")]
                lines.append(f"| {task} | {name} | {' | '.join(values)} |")
    return [*lines, ""]


def _curves(by: By, traits: dict[str, Any]) -> list[str]:
    """Draw recall over the rows that annotators agree about, each label counting alike, since their mix changes."""
    lines = [
        "## Mean recall of the labels where annotators agree so much at least (rows)", "",
        f"| task | learnt from | all | {' | '.join(map(str, GAMMAS))} |", "|---" * (3 + len(GAMMAS)) + "|",
    ]  # fmt: skip
    for task in TASKS:
        agreed = np.array(traits.get(task, {}).get("agreement", []))
        for way in WAYS if len(agreed) else ():
            of = [(_right(r), np.array(list(r["y"]))) for r in by[task, way].values()]
            told = []
            for at in (agreed >= gamma - 1e-9 for gamma in (-np.inf, *GAMMAS)):
                recalls = [np.mean([right[at & (y == k)].mean() for k in set(y[at])]) for right, y in of if at.any()]
                told.append(f"{np.mean(recalls):.3f} ({at.sum()})" if recalls else "")
            lines.append(f"| {task} | {way} | {' | '.join(told)} |")
    return [*lines, ""]


def _irony() -> list[str]:
    of = json.loads(IRONY.read_text())
    lines = [
        f"## Of {of['n']} ironic and literal sentences, those told by a classifier that learnt from the others", "",
        "| classifier | told (chance: one half) |", "|---|---|",
    ]  # fmt: skip
    return [*lines, *(f"| {by} | {v:.3f} [{low:.3f}, {high:.3f}] |" for by, (v, low, high) in of["by"].items()), ""]


if __name__ == "__main__":
    main()
