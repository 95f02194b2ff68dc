"""Claims C1 to C8 about weights, from the arms that `run.py` measured: claims.json, and the tables of README.md.

A difference is of macro-F1, or of accuracy where it says so, on the same test rows, as a mean over seeds. Its interval
resamples the test rows (2,000 times), since other films might have been asked about, and allows the mean of the seeds
what Student's t does, since another seed trains another model: see `unflaw.measure.seeded_interval`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from run import CONDITIONS, RESULTS, TASKS, TIMES, records
from scipy.stats import t

from unflaw.data import atomic_write, hash_path
from unflaw.measure import accuracy, cells, confusion, macro_f1, seeded_difference, seeded_interval

HERE = Path(__file__).parent
BENCH = HERE.parents[1] / "bench" / "results" / "classify.json"
MADE_OF = (RESULTS, TIMES, BENCH, Path(__file__))
"""Files that decide what the page says."""
Arms = dict[tuple[str, str, str], dict[int, dict[str, Any]]]
"""(task, condition, arm) → seed → record."""
Interval = tuple[float, float, float]
Measure = Callable[[np.ndarray], np.ndarray]
"""Of tables of confusion, the last two axes."""


def main() -> None:
    """Write claims.json and the page."""
    claims, page = built()
    with atomic_write(HERE / "results" / "claims.json") as file:
        made_of = {os.path.relpath(path, HERE): hash_path(path) for path in MADE_OF}
        json.dump({"claims": claims, "made_of": made_of}, file, indent=1)
    with atomic_write(HERE / "README.md") as file:
        file.write(page)


def built() -> tuple[list[dict[str, Any]], str]:
    """Return the claims and the text of the page."""
    arms: Arms = defaultdict(dict)
    for record in records():
        arms[record["task"], record["condition"], record["arm"]][record["seed"]] = record
    claims = [*c1(arms), *c2(arms), *c3(arms), *c4(arms), *c5(arms), *c6(), *c7(arms), *c8(arms)]
    head = (HERE / "README.md").read_text(encoding="utf-8").partition("<!-- tables -->")[0]
    tables = "\n".join([*_claims(claims), *_scores(arms), *_found(arms)])
    return claims, f"{head}<!-- tables -->\n\n{tables}\n"


def cell_table(record: dict[str, Any]) -> np.ndarray:
    """Return the cell of the confusion table that each test row falls into."""
    y, told = (np.array(list(record[name]), dtype=np.int64) for name in ("y", "told"))
    return cells(y, told, record["classes"])


def value(of: dict[int, dict[str, Any]], measure: Measure = macro_f1) -> float:
    """Return the mean over seeds."""
    return float(np.mean([measure(confusion(cell_table(r), r["classes"])) for r in of.values()]))


def difference(
    a: dict[int, dict[str, Any]], b: dict[int, dict[str, Any]], measure: Measure = macro_f1
) -> Interval | None:
    """Return the mean of b less that of a over common seeds, with its interval; None without two of them."""
    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < 2:
        return None
    size = a[seeds[0]]["classes"]
    one, two = (np.stack([cell_table(of[s]) for s in seeds]) for of in (a, b))  # (seeds, rows)
    return seeded_difference(two, one, statistic=lambda table: measure(confusion(table, size)))


def claim(
    name: str, statement: str, found: Interval | None, threshold: str, verdict: str, n_seeds: int, **settings: Any
) -> dict[str, Any]:
    """Return a claim as claims.json holds it."""
    told = found or (float("nan"),) * 3
    numbers = {k: None if v != v else round(v, 4) for k, v in zip(("value", "low", "high"), told, strict=True)}
    return {
        "claim": name, "statement": statement, **numbers, "threshold": threshold,
        "verdict": verdict if found else "unclear", "n_seeds": n_seeds, "settings": settings,
    }  # fmt: skip


def above(found: Interval | None, least: float = 0.0) -> str:
    """Judge an interval: all of it above is a pass, all of it below a fail."""
    if found is None:
        return "unclear"
    return "pass" if found[1] > least else "fail" if found[2] < least else "unclear"


def over_seeds(values: np.ndarray) -> Interval:
    """Return the mean of a value of each seed, and Student's interval."""
    reach = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return float(values.mean()), float(values.mean() - reach), float(values.mean() + reach)


_MEASURES: dict[str, Measure] = {"macro-F1": macro_f1, "accuracy": accuracy}


def compared(
    arms: Arms, task: str, condition: str, a: str, b: str, measure: Measure = macro_f1
) -> tuple[Interval | None, int]:
    """Compare two arms of one condition."""
    one, two = arms[task, condition, a], arms[task, condition, b]
    return difference(one, two, measure), len(one.keys() & two.keys())


def each(
    arms: Arms, name: str, what: str, condition: str, a: str, b: str, threshold: str, least: float = 0.0,
    measure: Measure = macro_f1,
) -> list[dict[str, Any]]:  # fmt: skip
    """Make a claim of every task that was measured."""
    made = []
    for task in TASKS:
        found, n = compared(arms, task, condition, a, b, measure)
        if n:
            records = arms[task, condition, b].values()
            sizes = sorted({r["n"] for r in records})
            size = f"{sizes[0]}–{sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
            statement = f"{what} ({task}, {condition}, {size} rows, {next(iter(records))['n_real']} real)"
            of = {"task": task, "condition": condition}
            made.append(claim(name, statement, found, threshold, above(found, least), n, **of))
    return made


def c1(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether rows that a model wrote can be worse than as few real ones as checkers get."""
    return each(arms, "C1", "real rows alone − written rows alone, macro-F1", "written", "plain", "real", "above 0")


def c2(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether weights help on the same synthetic rows, and on real ones of which one label is rare."""
    return [
        made
        for condition, named in (("written", ("macro-F1", "accuracy")), ("imbalance", ("macro-F1",)))
        for arm in ("imp", "dimp")
        for name in named
        for made in each(
            arms, "C2", f"{arm} − plain, {name}", condition, "plain", arm, "above 0", measure=_MEASURES[name]
        )
    ]


def c3(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether weights find wrong labels."""
    made = []
    for task in TASKS:
        of = [a for r in arms[task, "noise-0.2", "plain"].values() if (a := r.get("auc"))]
        for by in ("quality", "weight"):
            values = np.array([v[by] for v in of if by in v])
            if len(values) > 1:
                found = over_seeds(values)
                statement = f"AUC of {by} for right labels against wrong ones, a fifth wrong ({task})"
                verdict = above(found, 0.8)
                made.append(claim("C3", statement, found, "above .8", verdict, len(values), task=task, by=by))
    return made


def c4(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether diversity helps beyond quality, where rows repeat or a label is rare, and beyond equal labels."""
    rare = each(arms, "C4", "imp − labels alike, macro-F1", "imbalance", "balanced", "imp", "above 0")
    rare += [
        made
        for condition in ("duplicates", "imbalance", "written", "noise-0.2")
        for made in each(arms, "C4", "imp − quality alone, macro-F1", condition, "quality", "imp", "above 0")
    ]
    for task in TASKS:
        found, n = grown(arms, task, ("noise-0.2", "duplicates"), "quality", "imp")
        statement = f"gain of imp over quality, `duplicates` (30 % wrong) − `noise-0.2`, macro-F1 ({task})"
        rare += [claim("C4", statement, found, "above 0", above(found), n, task=task)] if n else []
    return rare


def grown(arms: Arms, task: str, conditions: tuple[str, str], a: str, b: str) -> tuple[Interval | None, int]:
    """Return how much more b gains over a under the second of two conditions than under the first, in macro-F1.

    All four are asked about the same rows, and resampled together.
    """
    of = [[arms[task, condition, arm] for arm in (a, b)] for condition in conditions]
    seeds = sorted(set.intersection(*(set(one) for pair in of for one in pair)))
    if len(seeds) < 2:
        return None, len(seeds)
    size = of[0][0][seeds[0]]["classes"]
    (a1, b1), (a2, b2) = (tuple(np.stack([cell_table(arm[s]) for s in seeds]) for arm in pair) for pair in of)

    def gained(rows: np.ndarray) -> np.ndarray:
        first, one, last, two = (macro_f1(confusion(cell[:, rows], size)) for cell in (b1, a1, b2, a2))
        return (last - two) - (first - one)

    return seeded_interval(gained, a1.shape[1]), len(seeds)


def c5(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether a small checker is enough, and whether its few rows would not have done as well alone."""
    made = []
    for condition in ("few-30", "few-100", "potion"):
        for task in TASKS:
            a, b = arms[task, "written", "plain"], arms[task, condition, "dimp"]
            if n := len(a.keys() & b.keys()):
                found = difference(a, b)
                statement = f"dimp with a small checker − plain, macro-F1 ({task}, {condition})"
                of = {"task": task, "condition": condition}
                made.append(claim("C5", statement, found, "above 0", above(found), n, **of))
    for condition in ("few-30", "few-100", "written"):
        made += each(arms, "C5", "dimp − real rows alone, macro-F1", condition, "real", "dimp", "above 0")
    return made


def c6() -> list[dict[str, Any]]:
    """Ask whether live weights cost next to nothing, fixed ones a second training, and learnt ones several."""
    told = [json.loads(line) for line in TIMES.read_text().splitlines()] if TIMES.exists() else []
    made = []
    for arm, beside, most in (("dimp", None, 1.1), ("dimp", "quality", 2.2), ("imp", "weighing", 2.2)):
        ratios = np.array([(of[arm] + (of[beside] if beside else 0.0)) / of["plain"] for of in told])
        if len(ratios) < 2:
            continue
        found = (float(ratios.mean()), float(ratios.min()), float(ratios.max()))
        verdict = "pass" if found[2] <= most else "fail" if found[1] > most else "unclear"
        what = {None: "training alone", "quality": "and its checker", "weighing": "and both checkers"}[beside]
        sizes = f"{told[0]['n']} rows, {told[0]['n_real']} real"
        statement = f"seconds of {arm}, {what}, over those of plain training; least and most of the rounds ({sizes})"
        made.append(claim("C6", statement, found, f"at most {most}", verdict, len(ratios), arm=arm))
    for of in json.loads(BENCH.read_text())["rows"] if BENCH.exists() else ():
        if (arm := of["job"].removesuffix("_step_vs_plain")) in ("hu", "sungen"):
            found = (of["ratio"], of["low"], of["high"])
            statement = f"seconds of a step of {arm} over those of a plain one (bench/classify.py)"
            made.append(claim("C6", statement, found, "above 2", above(found, 2.0), 5, arm=arm))
    return made


def c7(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether weights do no harm on clean real rows."""
    return [
        made
        for arm in ("imp", "dimp")
        for made in each(arms, "C7", f"{arm} − plain, macro-F1", "noise-0", "plain", arm, "above −.005", -0.005)
    ]


def c8(arms: Arms) -> list[dict[str, Any]]:
    """Ask whether weights help the more, the more labels are wrong."""
    made = []
    for task in TASKS:
        gains = {rho: compared(arms, task, f"noise-{rho}", "plain", "dimp") for rho in ("0", "0.2", "0.4")}
        curve = {rho: round(of[0], 4) for rho, (of, _) in gains.items() if of}
        for few, many in (("0", "0.2"), ("0.2", "0.4")):
            found, n = grown(arms, task, (f"noise-{few}", f"noise-{many}"), "plain", "dimp")
            told = f"{float(many):.0%} wrong labels − gain at {float(few):.0%}".replace("%", " %")
            statement = f"gain of dimp at {told}, macro-F1 ({task})"
            made += [claim("C8", statement, found, "above 0", above(found), n, task=task, gains=curve)] if n else []
    return made


def _claims(claims: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Claims",
        "",
        "| claim | statement | value | threshold | verdict | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for c in claims:
        told = "" if c["value"] is None else f"{c['value']:.3f} [{c['low']:.3f}, {c['high']:.3f}]"
        cells_of = (c["claim"], c["statement"], told, c["threshold"], c["verdict"], c["n_seeds"])
        lines.append(f"| {' | '.join(map(str, cells_of))} |")
    return [*lines, ""]


def _scores(arms: Arms) -> list[str]:
    """Draw macro-F1 and accuracy of every arm, and how far its macro-F1 is from that of plain."""
    lines = ["## Macro-F1 / accuracy (seeds), and how far macro-F1 is from that of `plain`, with its interval", ""]
    for condition in CONDITIONS:
        tasks = [t for t in TASKS if any(arms.get((t, condition, a)) for a in CONDITIONS[condition])]
        if not tasks:
            continue
        lines += [f"### {condition}", "", f"| arm | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
        for arm in CONDITIONS[condition]:
            row = [_score(arms, task, condition, arm) for task in tasks]
            lines.append(f"| {arm} | {' | '.join(row)} |")
        lines.append("")
    return lines


def _score(arms: Arms, task: str, condition: str, arm: str) -> str:
    of = arms.get((task, condition, arm), {})
    if not of:
        return ""
    base = arms.get((task, condition, "plain")) or arms.get((task, "written", "plain"), {})
    found = None if arm == "plain" else difference(base, of)
    beside = "" if found is None else f", {found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}]"
    return f"{value(of):.3f} / {value(of, accuracy):.3f} ({len(of)}){beside}"


def _found(arms: Arms) -> list[str]:
    """Draw how well weights find wrong labels."""
    lines = [
        "## How often a right label outranks a wrong one",
        "",
        "| rows | by quality | by weight |",
        "|---|---|---|",
    ]
    for task in TASKS:
        for condition in CONDITIONS:
            of = [a for r in arms.get((task, condition, "plain"), {}).values() if (a := r.get("auc"))]
            if of:
                told = [[v[by] for v in of if by in v] for by in ("quality", "weight")]
                q, w = (f"{np.mean(values):.2f}" if values else "" for values in told)
                lines.append(f"| {task}, {condition} | {q} | {w} |")
    return [*lines, ""]


if __name__ == "__main__":
    if not RESULTS.exists():
        raise SystemExit(f"{RESULTS} is not there yet; run run.py first")
    main()
