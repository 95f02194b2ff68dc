"""How often the audit cries wolf on clean rows, and from which dose on it sees a planted template.

    python studies/thresholds/run.py                          # the example rows, about eight minutes on two cores
    python studies/thresholds/run.py --rows mine.jsonl --name mine --splits 50

Real rows are dealt into two random halves; one plays the synthetic set, the other its reference. Nothing is
wrong with either, so every warning is a false alarm. Then a share of the first half's answers is put into one
template, and the same audit is asked again: the dose curve of what it should see. The
findings of one audit are not independent, so alarms are counted per audit as well as per finding.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unflaw import read
from unflaw.audit import audit, default_checks
from unflaw.data import Rows, atomic_write
from unflaw.measure import wilson_interval
from unflaw.models import open_encoder

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "data" / "real.jsonl"
DOSES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
VERDICTS = ("ok", "warn", "fail")


def main() -> None:
    """Audit, count, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=EXAMPLES, help="real rows with a question and an answer")
    parser.add_argument("--name", default="examples", help="the result is results/NAME.json")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--most", type=int, default=600, help="rows of each split, both halves together")
    arguments = parser.parse_args()
    rows = read(arguments.rows)
    verdicts: dict[float, list[dict[str, str]]] = {dose: [] for dose in DOSES}
    values: dict[str, list[float]] = {}
    encoder = open_encoder("potion")
    for seed in range(arguments.splits):
        order = np.random.default_rng(seed).permutation(len(rows))[: arguments.most]
        middle = len(order) // 2
        clean, reference = rows.take(order[:middle].tolist()), rows.take(order[middle:].tolist())
        for dose in DOSES:
            found = audit(
                templated(clean, dose, seed), reference, checks=default_checks(seed), encoder=encoder, seed=seed
            ).findings
            verdicts[dose].append({f.check: f.verdict for f in found})
            if dose == 0:
                for finding in found:
                    values.setdefault(finding.check, []).append(finding.value)
        print(f"split {seed + 1} of {arguments.splits}: {alarms(verdicts[0.0][-1])} on clean rows", flush=True)
    record = {
        "rows": arguments.name, "splits": arguments.splits, "rows_a_side": middle,
        "clean": {check: clean_row(check, verdicts[0.0], values[check]) for check in values},
        "doses": [{"dose": dose, **dose_row(told)} for dose, told in verdicts.items()],
    }  # fmt: skip
    with atomic_write(HERE / "results" / f"{arguments.name}.json") as file:
        json.dump(record, file, indent=1)
    print(write_readme())


def templated(rows: Rows, dose: float, seed: int) -> Rows:
    """Put a share of the answers into one template; all else stays."""
    answers = rows.column("response")
    picked = np.random.default_rng([seed, 1]).permutation(len(rows))[: round(dose * len(rows))]
    for i in picked:
        answers[i] = f"Answer: {answers[i]}\nSource: the passage."
    return rows.with_column(rows.roles["response"], answers)


def alarms(verdicts: dict[str, str]) -> str:
    """Name the findings that are not `ok`."""
    told = [f"{check} {verdict}" for check, verdict in verdicts.items() if verdict != "ok"]
    return ", ".join(told) or "no alarm"


def clean_row(check: str, verdicts: list[dict[str, str]], values: list[float]) -> dict[str, object]:
    """Count the verdicts of one finding on clean rows, and say how far its value strayed."""
    return {
        **{verdict: sum(told.get(check) == verdict for told in verdicts) for verdict in VERDICTS},
        "lowest": min(values), "median": float(np.median(values)), "highest": max(values),
    }  # fmt: skip


def dose_row(verdicts: list[dict[str, str]]) -> dict[str, object]:
    """Share of the audits in which anything, or a finding on tokens, warned or failed."""

    def share(counts: Callable[[dict[str, str]], bool]) -> dict[str, float]:
        n = sum(counts(told) for told in verdicts)
        low, high = wilson_interval(n, len(verdicts))
        return {"share": n / len(verdicts), "low": low, "high": high}

    return {
        "any_alarm": share(lambda told: any(v != "ok" for v in told.values())),
        "any_fail": share(lambda told: "fail" in told.values()),
        "tokens_alarm": share(lambda told: any(v != "ok" for c, v in told.items() if c.startswith("tokens."))),
        "tokens_fail": share(lambda told: any(v == "fail" for c, v in told.items() if c.startswith("tokens."))),
        "gap_alarm": share(lambda told: any(v != "ok" for c, v in told.items() if c.startswith("gap."))),
    }


def write_readme() -> str:
    """Put the tables of all results into the README; returns them."""
    parts = [tables(json.loads(path.read_text())) for path in sorted((HERE / "results").glob("*.json"))]
    readme = HERE / "README.md"
    head = readme.read_text().split("<!-- tables -->")[0]
    with atomic_write(readme) as file:
        file.write(f"{head}<!-- tables -->\n\n" + "\n".join(parts))
    return "\n".join(parts)


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def tables(record: dict[str, Any]) -> str:
    """Write one result as two tables."""
    n, side = record["splits"], record["rows_a_side"]
    lines = [f"## {record['rows']}: {n} splits, {side} rows a side", ""]
    lines += ["| finding, clean rows | ok | warn | fail | lowest | median | highest |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {check} | {r['ok']} | {r['warn']} | {r['fail']} | {number(r['lowest'])} | {number(r['median'])} "
        f"| {number(r['highest'])} |"
        for check, r in record["clean"].items()
    ]
    asked = [name for name in record["doses"][0] if name != "dose"]
    lines += ["", f"| share of answers in the template | {' | '.join(name.replace('_', ': ') for name in asked)} |"]
    lines += ["|---|" + "---|" * len(asked)]
    for row in record["doses"]:
        shares = [f"{row[a]['share']:.2f} [{row[a]['low']:.2f}, {row[a]['high']:.2f}]" for a in asked]
        lines.append(f"| {row['dose']:.2f} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
