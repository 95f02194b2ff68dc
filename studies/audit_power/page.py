"""Write README.md's tables and results/claims.json from what run.py counted: `python studies/audit_power/page.py`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.data import atomic_write
from unflaw.measure import wilson_interval

__all__ = ["pages", "write_page"]

HERE = Path(__file__).parent
MOST_ALARMS, LEAST_AUC = 0.05, 0.9
TRUE_OF = {"reviews": {"subjectivity.task", "hygiene.contacts"}}
"""What warns of clean rows, and rightly: film reviews are opinions, and in some stand addresses."""


def write_page() -> None:
    """Write both files."""
    for path, text in pages().items():
        with atomic_write(path) as file:
            file.write(text)


def pages() -> dict[Path, str]:
    """Return each file with its text."""
    records = [
        json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json")) if path.stem != "claims"
    ]
    spoilt = [record for record in records if "flaws" in record]
    readme = HERE / "README.md"
    head = readme.read_text(encoding="utf-8").split("<!-- tables -->")[0]
    tables = [
        alarms_table(spoilt), *(spoilt_tables(r) for r in spoilt), clean_table(spoilt),
        *(found_table(r) for r in records if "found" in r),
    ]  # fmt: skip
    claims = {"claims": [claim for record in spoilt for claim in claims_of(record)]}
    return {
        HERE / "results" / "claims.json": json.dumps(claims, indent=1),
        readme: f"{head}<!-- tables -->\n\n" + "\n".join(tables),
    }


def alarms_table(records: list[dict[str, Any]]) -> str:
    """Write how often clean rows are accused falsely, between the marks by which docs/ has the same."""
    lines = [
        "## Whom it accuses", "",
        "Clean rows beside others of the same set. An audit is accused where any of its findings is false; the "
        "interval is that of the share of findings.", "", "<!-- alarms -->",
        "| clean rows | seeds from | audits | accused falsely | findings | false | 95 % | which |", "|---" * 8 + "|",
    ]  # fmt: skip
    for record in sorted(records, key=lambda r: (r["rows"], -r["rows_a_side"], r.get("first", 0))):
        true = TRUE_OF.get(record["rows"], set())
        told = [[check for check in alarms if check not in true] for alarms in record["alarms"]]
        false, n = Counter(check for alarms in told for check in alarms), sum(map(len, record["clean"].values()))
        low, high = wilson_interval(false.total(), n)
        beside = f"{record['rows']}, {record['rows_a_side']:,} beside {other_rows(record):,}{asked_by(record)}"
        named = ", ".join(f"`{check}` {times}" for check, times in false.most_common())
        lines.append(
            f"| {beside} | {record.get('first', 0)} | {len(told)} | {sum(map(bool, told))} | {n:,} | {false.total()} "
            f"| {low:.2%} to {high:.2%} | {named} |"
        )
    return "\n".join([*lines, "<!-- end of alarms -->", ""])


def asked_by(record: dict[str, Any]) -> str:
    """Name the check, where one alone was asked."""
    asked = {check.partition(".")[0] for check in record["clean"]}
    return f", asked by `{asked.pop()}`" if len(asked) == 1 else ""


def other_rows(record: dict[str, Any]) -> int:
    """Return how many rows the clean ones are held against."""
    return int(record.get("reference_rows", record["rows_a_side"]))


def claims_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a claim on false alarms, and two for each flaw: that a tenth of it is seen, and in which rows."""
    settings = {"rows": record["rows"], "rows_a_side": record["rows_a_side"]}
    findings = [o["verdict"] != "ok" for outcomes in record["clean"].values() for o in outcomes]
    fresh = f" (seeds from {record['first']} on)" if record.get("first") else ""
    fresh += f" ({record['rows_a_side']} rows)" if "reference_rows" in record else ""
    what = "share of findings that accuse clean rows"
    claims = [claim(f"false alarms{fresh}", record, what, findings, "<=", MOST_ALARMS)]
    audits, what = [bool(told) for told in record["alarms"]], "share of clean sets with any alarm"
    claims.append(claim(f"accused sets{fresh}", record, what, audits, "<=", MOST_ALARMS))
    for flaw, doses in record["flaws"].items():
        at = {dose: outcomes for dose, outcomes in doses}
        seen = [o["verdict"] != "ok" for o in at[0.1]]
        claims.append(claim(f"sees {flaw}", record, "share of sets in which a tenth of it is seen", seen, ">=", 0.95))
        areas = np.array([o["auc"] for o in at[0.1]])
        claims.append({
            "claim": f"{record['rows']}{asked_by(record)}: rows with {flaw}",
            "statement": "AUC of the row scores, a tenth planted",
            "value": float(areas.mean()), "low": float(areas.min()), "high": float(areas.max()), "threshold": LEAST_AUC,
            "verdict": "pass" if areas.min() >= LEAST_AUC else "fail" if areas.max() < LEAST_AUC else "unclear",
            "n_seeds": len(areas), "settings": settings,
        })  # fmt: skip
    return claims


def claim(
    name: str, record: dict[str, Any], statement: str, told: list[bool], way: str, threshold: float
) -> dict[str, Any]:
    """Return a claim on a share: to be rare it must be clear of the threshold, to be usual it must reach it."""
    value, (low, high) = sum(told) / len(told), wilson_interval(sum(told), len(told))
    holds, fails = (high <= threshold, low > threshold) if way == "<=" else (value >= threshold, high < threshold)
    return {
        "claim": f"{record['rows']}{asked_by(record)}: {name}",
        "statement": f"{statement} {way} {threshold}", "value": value, "low": low, "high": high,
        "threshold": threshold, "verdict": "pass" if holds else "fail" if fails else "unclear",
        "n_seeds": min(len(told), record["splits"]),
        "settings": {"rows": record["rows"], "rows_a_side": record["rows_a_side"]},
    }  # fmt: skip


def spoilt_tables(record: dict[str, Any]) -> str:
    """Write what clean rows are accused of, and the doses in which each flaw is seen, where any were planted."""
    n, side, first = record["splits"], record["rows_a_side"], record.get("first", 0)
    planted = max((len(outcomes) for at in record["flaws"].values() for _, outcomes in at), default=0)
    part = f", flaws planted in {planted} of them" if planted < n else ""
    part = f", seeds from {first} on" if first else part
    sides = f"{side} rows against {record['reference_rows']}" if "reference_rows" in record else f"{side} rows a side"
    lines = [f"## {record['rows']}{asked_by(record)}: {n} splits of {sides}{part}", ""]
    accused = sum(bool(told) for told in record["alarms"])
    n_findings = sum(map(len, record["clean"].values()))
    alarms = [check for told in record["alarms"] for check in told]
    low, high = wilson_interval(len(alarms), n_findings)
    named = f" ({', '.join(sorted(set(alarms)))})" if alarms else ""
    lines += [
        f"Clean rows: {len(alarms)} of {n_findings} findings warn or fail{named}, {low:.1%} to {high:.1%} at 95 %; "
        f"{accused} of {n} audits hold any.",
    ]
    if not record["flaws"]:
        return "\n".join(lines) + "\n"
    doses = [dose for dose, _ in next(iter(record["flaws"].values()))]
    lines += [
        "",
        f"| share of audits that see, at | {' | '.join(f'{d:.0%}' for d in doses)} | AUC of rows, 10 % | by |",
        "|---|" + "---|" * (len(doses) + 2),
    ]
    for flaw, at in record["flaws"].items():
        shares = [f"{np.mean([o['verdict'] != 'ok' for o in outcomes]):.2f}" for _, outcomes in at]
        areas = [o["auc"] for o in dict(at)[0.1]]
        area = f"{np.mean(areas):.3f} [{min(areas):.3f}, {max(areas):.3f}]"
        lines.append(f"| {flaw} | {' | '.join(shares)} | {area} | {', '.join(usual_finders(at))} |")
    return "\n".join(lines) + "\n"


def clean_table(records: list[dict[str, Any]]) -> str:
    """Write between which values each finding lies in clean rows, and how far from its control at most."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        sets.setdefault(f"{record['rows']}, {record['rows_a_side']} rows", []).append(record["clean"])
    lines = [
        "## What clean rows come to", "",
        "Least and largest value over all clean splits of a set and, in brackets, the furthest from its control (of "
        "`diversity` the most that is lost). Of 100 rows the others of the set are the reference.", "",
        f"| finding | {' | '.join(sets)} |", "|---|" + "---|" * len(sets),
    ]  # fmt: skip
    for check in dict.fromkeys(check for told in sets.values() for clean in told for check in clean):
        cells = [clean_cell([o for clean in told for o in clean.get(check, [])]) for told in sets.values()]
        lines.append(f"| {check} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def clean_cell(outcomes: list[dict[str, Any]]) -> str:
    """Write the range of a finding's values, and how far from its control they come."""
    if not outcomes:
        return ""
    values, compared = [o["value"] for o in outcomes], [o for o in outcomes if o["control"] is not None]
    off = max(o["lost"][0] if "lost" in o else abs(o["value"] - o["control"]) for o in compared)
    return f"{min(values):.3g} to {max(values):.3g} ({off:.2g})"


def usual_finders(at: list[Any]) -> list[str]:
    """Name the findings that see the largest dose in half of the audits or more, the surest first."""
    outcomes = at[-1][1]
    counts = Counter(check for outcome in outcomes for check in outcome["by"])
    return [f"`{check}`" for check, n in counts.most_common() if 2 * n >= len(outcomes)]


def found_table(record: dict[str, Any]) -> str:
    """Write what is found in rows as they are."""
    n = record["splits"]
    beside = f" against {record['rows']}" if record["rows"] else ", without a reference"
    side = f", {record['rows_a_side']} rows{' a side' if record['rows'] else ''}"
    lines = [f"## {record['against']}{beside}: {n} draws{side}", ""]
    lines += ["| finding | warn | fail | value, median | control, median |", "|---|---|---|---|---|"]
    draws = [draw["found"] for draw in record["found"]]
    for check in dict.fromkeys(check for found in draws for check in found):
        told = [found[check] for found in draws if check in found]
        warn, fail = (sum(o["verdict"] == v for o in told) for v in ("warn", "fail"))
        if warn or fail:
            controls = [o["control"] for o in told if o["control"] is not None]
            control = f"{np.median(controls):.3g}" if controls else ""
            lines.append(f"| {check} | {warn} | {fail} | {np.median([o['value'] for o in told]):.3g} | {control} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page()
