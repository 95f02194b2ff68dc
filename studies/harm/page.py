"""Write the tables of README.md and docs/harm.md, results/harm.json and claims.json, and what `unflaw.report` ranks by.

python studies/harm/page.py                   # from results/*.jsonl.gz
python studies/harm/page.py --runs runs/harm  # after copying what the runs came to into results/
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reckon import RESULTS, TENTH, Task, keep, load
from scipy.stats import spearmanr

from unflaw.data import atomic_write
from unflaw.report._harm import SPECIAL

__all__ = ["pages"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"
LEAST_SEEN, LEAST_SEEDS = 0.005, 3


def main() -> None:
    """Write every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    told = parser.parse_args()
    if told.runs is not None:
        keep(told.runs)
    for path, text in pages().items():
        with atomic_write(path) as file:
            file.write(text)


def pages() -> dict[Path, str]:
    """Return each file with its text."""
    tasks = load()
    harm = {name: of_task(task) for name, task in tasks.items() if task.records}
    return {
        RESULTS / "harm.json": json.dumps({"flaws": harm, "findings": findings(tasks, harm)}, indent=1) + "\n",
        RESULTS / "claims.json": json.dumps({"claims": list(claims(harm))}, indent=1) + "\n",
        ROOT / "src" / "unflaw" / "report" / "harm.json": shipped(tasks, harm),
        HERE / "README.md": between(HERE / "README.md", readme(tasks, harm)),
        ROOT / "docs" / "harm.md": between(ROOT / "docs" / "harm.md", ranking(harm)),
    }


def between(path: Path, text: str) -> str:
    """Return a page with other text between its marks."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{text}{END}{rest.partition(END)[2]}"


# What was measured


def of_task(task: Task) -> dict[str, Any]:
    """Return flaw → what it cost and what mending gave back; flaws that stand for a finding together are one."""
    names = [name for name in task.flaws if task.doses(name)]
    together = [flaws for flaws in task.stands_for().values() if flaws not in names]
    return {flaws: of_flaw(task, flaws) for flaws in (*names, *together)}


def of_flaw(task: Task, flaws: str) -> dict[str, Any]:
    """Return the dose curve of a flaw, the harm of a tenth, and what mending gave back."""
    curve = task.curve(flaws)
    what = "; ".join(task.flaws[name].what for name in flaws.split(" + "))
    told: dict[str, Any] = {
        "what": what, "doses": [dose for dose, _ in curve], "harm": [_short(of) for _, of in curve],
        "tenth": _short(task.tenth(flaws)),
    }  # fmt: skip
    if task.also:
        told[task.also] = _short(task.tenth(flaws, task.also))
    told["back"] = [
        {k: _short(v) if isinstance(v, tuple) else v for k, v in of.items()}
        for dose in task.audited()
        if (of := task.back(flaws, dose)) is not None
    ]
    told["seeds"] = {group: len(task.of(group, flaws.split(" + ")[0], curve[0][0], "flawed")) for group in task.sets}
    return told


def _short(of: Sequence[float] | None) -> list[float] | None:
    return None if of is None else [round(x, 4) + 0.0 for x in of]


def findings(tasks: Mapping[str, Task], harm: Mapping[str, Any]) -> dict[str, Any]:
    """Return for every finding which flaw stands for it in each task, and how far it moved; or "not measured"."""
    told: dict[str, Any] = {name: {} for name in names_of_findings(tasks)}
    for name, task in tasks.items():
        for check, flaws in task.stands_for().items():
            told.setdefault(check, {})[name] = {
                "flaw": flaws, "tenth": harm[name][flaws]["tenth"], "reading": task.reading(check, flaws)
            }  # fmt: skip
    return {check: of or "not measured" for check, of in sorted(told.items())}


def names_of_findings(tasks: Mapping[str, Task]) -> set[str]:
    """Return every finding that an audit of ours made, or that docs/checks.md lists."""
    listed = re.findall(r"^\| `([a-z]+\.[a-z0-9_]+)` \|", (ROOT / "docs" / "checks.md").read_text(), flags=re.MULTILINE)
    made = {
        check for task in tasks.values() for seeds in task.records.values() for r in seeds.values()
        for check in r.get("found", {})
    }  # fmt: skip
    return made | set(listed) | set(SPECIAL)


def shipped(tasks: Mapping[str, Task], harm: Mapping[str, Any]) -> str:
    """Return what `unflaw.report` ranks by, a line for each flaw and each finding."""
    flaws: dict[str, dict[str, str]] = {}
    for name, of in harm.items():
        at = tasks[name].mended_at
        flaws[name] = {
            flaw: json.dumps({
                "flaw": told["what"], "doses": told["doses"], "harm": told["harm"], "tenth": told["tenth"],
                "back": next((_back(b) for b in told["back"] if b["dose"] == at), None),
                "also": _also(tasks[name].also, told),
                "moves": {"doses": tasks[name].audited(), "findings": tasks[name].moves(flaw)},
            })
            for flaw, told in of.items()
        }  # fmt: skip
    lines = [
        f'  "{name}": {{\n' + ",\n".join(f'   "{flaw}": {told}' for flaw, told in of.items()) + "\n  }"
        for name, of in flaws.items()
    ]
    known = {check: of for check, of in findings(tasks, harm).items() if isinstance(of, dict)}
    table = [
        f'  "{check}": '
        + json.dumps({task: {"flaw": told["flaw"], "reading": told["reading"]} for task, told in of.items()})
        for check, of in known.items()
    ]
    return '{\n "flaws": {\n' + ",\n".join(lines) + '\n },\n "findings": {\n' + ",\n".join(table) + "\n }\n}\n"


def _also(score: str, told: Mapping[str, Any]) -> list[Any] | None:
    return [{"auc": "AUC"}.get(score, score), told[score][0]] if score else None


def _back(of: Mapping[str, Any]) -> dict[str, Any]:
    return {"dose": of["dose"], "value": of["value"], "removed": round(of["removed"], 4)}


# Claims


def claims(harm: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield for each flaw that a tenth of it harms, or the least dose that was run; and that mending gives back more
    than taking out rows at random.
    """
    for task, of in harm.items():
        for flaw, told in of.items():
            n = min((k for k in told["seeds"].values() if k), default=0)
            dose = TENTH if TENTH in told["doses"] else min(told["doses"])
            harmed = told["harm"][told["doses"].index(dose)]
            what = f"{dose:.0%} of the rows with {flaw} cost part of what training gave (log-loss, {task})"
            yield claim(f"{task}: {flaw} harms", what, harmed, n, {"dose": dose})
            for back in told["back"][:1]:
                if back["than_random"] is not None:
                    what = (
                        f"at {back['dose']:.0%} of the rows with {flaw} taking out what the audit names leaves more of "
                        f"it than taking out as many at random ({task})"
                    )
                    yield claim(f"{task}: {flaw} mended", what, back["than_random"], back["n"], {"dose": back["dose"]})


def claim(
    name: str, statement: str, value: Sequence[float], n_seeds: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one line of `claims.json`: clear of 0 over three seeds passes or fails, what is not is unclear."""
    few = n_seeds < LEAST_SEEDS  # what one run shows, another may not
    verdict = "unclear" if few else "pass" if value[1] > 0 else "fail" if value[2] < 0 else "unclear"
    return {
        "claim": name, "statement": statement, "value": value[0], "low": value[1], "high": value[2], "threshold": 0.0,
        "verdict": verdict, "n_seeds": n_seeds, "settings": dict(settings),
    }  # fmt: skip


# Tables


def readme(tasks: Mapping[str, Task], harm: Mapping[str, Any]) -> str:
    """Return all tables of the study's page."""
    told = ["\n## All tasks beside each other\n", ranking(harm)]
    for name, of in harm.items():
        told += [f"\n## {name.capitalize()}\n", *task_tables(tasks[name], of)]
        if rows := [[arm, *map(percent, of)] for arm, *of in tasks[name].answers()]:
            told += [
                "\nF1 of what is answered, percent, and what a half of the rows with a flaw cost of it.\n",
                table(["trained on", "F1", "below clean rows"], rows),
            ]
    told += ["\n## Findings\n", findings_table(tasks, harm)]
    return "\n".join(told) + "\n"


def ranking(harm: Mapping[str, Any]) -> str:
    """Return the harm of a tenth of each flaw in every task, most harmful first by its worst task."""
    names = [flaw for of in harm.values() for flaw in of if " + " not in flaw]
    by_flaw = {flaw: {task: of[flaw]["tenth"] for task, of in harm.items() if flaw in of} for flaw in names}
    order = sorted(by_flaw, key=lambda flaw: -max(of[0] for of in by_flaw[flaw].values()))
    run = {task: all(TENTH in told["doses"] for told in of.values()) for task, of in harm.items()}
    head = ["flaw in a tenth of the rows", *(task if run[task] else f"{task}, half of a fifth" for task in harm)]
    return table(head, [[flaw, *(percent(by_flaw[flaw].get(task)) for task in harm)] for flaw in order])


def task_tables(task: Task, of: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dose curves of a task, what mending gave back, and how the ranking by another score agrees."""
    order = sorted((flaw for flaw in of if " + " not in flaw), key=lambda flaw: -of[flaw]["tenth"][0])
    doses = sorted({dose for told in of.values() for dose in told["doses"]})
    also = [f"{task.also}, a tenth"] if task.also else []
    n = ", ".join(f"{group} {n}" for group, n in of[order[0]]["seeds"].items())
    yield (
        f"Harm: share of what training on clean rows gave, in log-loss on real rows, percent [95 %]; seeds: {n}."
        + agreement(task, of) + "\n"
    )  # fmt: skip
    rows = []
    for flaw in order:
        curve = dict(zip(of[flaw]["doses"], of[flaw]["harm"], strict=True))
        rows.append(
            [flaw, *(percent(curve.get(dose)) for dose in doses), *(percent(of[flaw][a]) for a in [task.also] if a)]
        )
    yield table(["flaw", *(f"{dose:.0%}" for dose in doses), *also], rows)
    for dose in task.audited():
        told = {flaw: next((b for b in of[flaw]["back"] if b["dose"] == dose), None) for flaw in order}
        rows = [
            [flaw, percent(dict(zip(of[flaw]["doses"], of[flaw]["harm"], strict=True)).get(dose)), *back_cells(b)]
            for flaw, b in told.items() if b is not None
        ]  # fmt: skip
        if rows:
            head = [
                "flaw",
                "harm",
                "given back",
                "more than at random",
                "by taking out just those",
                "rows out",
                "of them flawed",
            ]
            yield f"\nMending at {dose:.0%} of the rows; log-loss as above.\n"
            yield table(head, rows)


def back_cells(back: Mapping[str, Any]) -> list[str]:
    """Return what mending gave back, as cells."""
    if back["removed"] < LEAST_SEEN:
        return ["no rows named", "", percent(back["exact"]), f"{back['removed']:.0%}", ""]
    right = "" if back["right"] is None else f"{back['right']:.0%}"
    return [*(percent(back[k]) for k in ("value", "than_random", "exact")), f"{back['removed']:.0%}", right]


def agreement(task: Task, of: Mapping[str, Any]) -> str:
    """Say how far another score ranks the flaws alike."""
    if not task.also:
        return ""
    names = [flaw for flaw in of if " + " not in flaw]
    rho = spearmanr([of[f]["tenth"][0] for f in names], [of[f][task.also][0] for f in names]).statistic
    return f" Of the flaws' order by {task.also} and by log-loss Spearman's ρ is {rho:.2f}."


def findings_table(tasks: Mapping[str, Task], harm: Mapping[str, Any]) -> str:
    """Return for each finding what stands for it, and what a tenth of that costs, task by task."""
    rows = []
    for check, of in findings(tasks, harm).items():
        if isinstance(of, str):
            rows.append([f"`{check}`", *([of] if of else []), *[""] * (len(harm) - 1)])
            continue
        cells = [f"{of[t]['flaw']}: {percent(of[t]['tenth'])}" if t in of else "" for t in harm]
        rows.append([f"`{check}`", *cells])
    return table(["finding", *harm], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def percent(of: Sequence[float] | None) -> str:
    """Write a share with its interval; what is not clear of 0 in italics."""
    if of is None:
        return ""
    value, low, high = (f"{round(100 * x, 1) + 0.0:.1f}".replace("-", "−") for x in of)
    said = f"{value} [{low}, {high}]"
    return said if of[1] > 0 or of[2] < 0 else f"*{said}*"


if __name__ == "__main__":
    main()
