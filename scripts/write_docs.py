"""Write the pages of docs/ that say again what the code says: `make docs`. A test fails while they are stale."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from unflaw._cli._app import VERBS, app, load_verb
from unflaw.audit import Check, TraitsCheck, audit, default_checks
from unflaw.data import Finding
from unflaw.models import UnigramScorer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from write_pictures import Scene, scenes  # noqa: E402 - beside it

SRC = ROOT / "src" / "unflaw"


def pages() -> dict[Path, str]:
    """Return each generated page with its text."""
    return {
        ROOT / "docs" / "checks.md": checks_page(),
        ROOT / "docs" / "checks-thresholds.md": thresholds_page(),
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "notation.md": notation_page(),
        ROOT / "docs" / "repair.md": repair_page(),
        ROOT / "docs" / "scale.md": scale_page(),
        ROOT / "bench" / "RESULTS.md": bench_page(),
    }


def cli_page() -> str:
    """Return the help of every command, as a user with a terminal of 100 columns sees it."""
    parts = [
        "# Command line",
        "Generated from the commands themselves by `make docs`.",
        "Exit codes: 0 fine, 1 failed, 2 the call or its input is wrong, 3 a gate (`--fail-on`) was met, "
        "130 stopped with Ctrl-C.",
        _fenced(_help("unflaw", _root())),
    ]
    for verb in VERBS:
        command = load_verb(verb)
        parts += [f"## unflaw {verb}", _fenced(_help(f"unflaw {verb}", command))]
        for name, inner in getattr(command, "commands", {}).items():
            parts += [f"### unflaw {verb} {name}", _fenced(_help(f"unflaw {verb} {name}", inner))]
    return "\n\n".join(parts) + "\n"


def _root() -> Any:
    from typer.main import get_command

    return get_command(app)


def _help(name: str, command: Any) -> str:
    import typer

    context = typer.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    return str(command.get_help(context)).rstrip()


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def checks_page() -> str:
    """Return what every check asks and finds, from its own words and an audit of flawed rows, with a picture of it."""
    of, drawn = scenes(), json.loads((ROOT / "docs" / "checks" / "scenes.json").read_text(encoding="utf-8"))
    parts = [
        "# What an audit asks",
        "Generated from the checks themselves by `make docs`. `--checks NAME,…` asks only some of them. Real rows are "
        "given by `--reference`, held-out rows by `--holdout`, a model by `--model`; where one is missing, a check "
        "says so. Why each threshold is where it is: [verdict thresholds](checks-thresholds.md); how often clean rows "
        "are accused and what is seen: [studies/audit_power](../studies/audit_power/README.md).",
        "Each picture has the values for clean rows and for rows with a flaw, with 95 % intervals, beside the control, "
        "the same between two halves of the real rows (`scripts/write_pictures.py`).",
    ]
    for check in default_checks():
        table = traits_table(check) if isinstance(check, TraitsCheck) else findings_table(listed(check, of))
        told = drawn[check.name]
        moved = ", ".join(name for name, (_, verdict) in told["flawed"].items() if verdict != "ok")
        words = f"{check.name}: {told['rows']:,} clean rows, and {told['flaw']}; seen by {moved}"
        parts += [f"## {check.name}", _asks(check), table, f"![{words}](checks/{check.name}.svg)"]
    return "\n\n".join(parts) + "\n"


def listed(check: Check, of: Mapping[str, Scene]) -> list[Finding]:
    """Return all findings a check can make."""
    scene = of[check.name]
    scorer = UnigramScorer(scene.reference.texts())
    sides = [(scene.flawed, scene.reference, scene.holdout)]
    sides += [(of["labels"].flawed, of["labels"].reference, None)] if check.name == "copies" else []
    found = [
        finding
        for rows, reference, holdout in sides
        for finding in audit(
            rows, reference, holdout=holdout, checks=[check], scorer=scorer, scorer_after=scorer
        ).findings
    ]
    return list({finding.check: finding for finding in found}.values())


def _asks(check: Any) -> str:
    """Return the first words of a check's module, which say what it asks; for traits, of the module that lists them."""
    of = check.traits[0].find if isinstance(check, TraitsCheck) else type(check)
    said = (inspect.getmodule(of).__doc__ or "").split("\n\n")[0]
    return " ".join(said.split())


def findings_table(findings: Sequence[Finding]) -> str:
    """Return a line for each finding: title, unit, and the rule of its verdict."""
    lines = ["| finding | what it says | unit | rule |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| `{f.check}` | {f.title} | {f.unit} | {f.threshold} |" for f in findings])


def traits_table(check: TraitsCheck) -> str:
    """Return a line for each trait: title, and the rule of its verdict."""
    lines = ["| finding | share of | rule |", "|---|---|---|"]
    return "\n".join(lines + [f"| `{check.name}.{t.name}` | {t.title} | {t.rule} |" for t in check.traits])


_SAME = {True: "yes", False: "no"}


def bench_page() -> str:
    """Return the tables of everything `make bench` measured."""
    parts = [
        "# Speed and memory",
        "Generated from `results/*.json` by `make docs`; `make bench` measures again. Each row compares two ways of a "
        "job, in turn and in one run. Ratio: cost of ours over cost of the peer (below 1 is better), median of the "
        "rounds; low and high: their least and most. Same: whether both gave the same answer, empty where they do "
        "different work. Of near duplicates found one in a hundred may differ (datatrove and SemHash: their number by "
        "two in a hundred), since peers meet a pair by chance; such as lie nearer to the threshold than three standard "
        "errors of a peer's estimate do not count. Generated texts differ with the order of additions. The demo has no "
        "peer: it is compared with what README promises.",
    ]
    for path in sorted((ROOT / "bench" / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        lines = [
            f"## {path.stem}",
            "",
            f"{record['machine']}",
            "",
            "| job | ours | peer | unit | ratio | low | high | same |",
        ]
        lines += ["|---" * 8 + "|"]
        lines += [
            f"| {r['job']} | {_number(r['ours'])} | {_number(r['peer'])} ({r['peer_version']}) | {r['unit']} "
            f"| {_number(r['ratio'], 2)} | {_number(r['low'], 2)} | {_number(r['high'], 2)} "
            f"| {_SAME.get(r['equal_answer'], '')} |"
            for r in record["rows"]
        ]
        parts.append("\n".join(lines))
        if path.stem == "unlearning":  # the rounds of `scale` stand in docs/scale.md
            parts.append(arms_table(record["rounds"]))
    return "\n\n".join(parts) + "\n"


def arms_table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Return what each arm of bench/unlearning.py took by itself: medians of its rounds."""
    told = {"step_time": "s a step", "tokens_per_second": "tokens/s", "peak_memory": "GiB", "share": "matrix ceiling"}
    lines = [
        "Each arm by itself, medians of its rounds; matrix ceiling: share of the speed of a large matrix product that "
        "the counted work of a step comes to.",
        "",
        f"| tokens × rows | arm | rounds | {' | '.join(told.values())} |",
        "|---" * (3 + len(told)) + "|",
    ]
    for name, of in rounds.items():
        arm, length, batch = name.rsplit("_", 2)
        values = [[r[key] for r in of if key in r] for key in told]
        cells = [_number(median(v)) if v else "" for v in values] if any(values) else ["out of memory", "", "", ""]
        lines.append(f"| {int(length[1:]):,} × {batch[1:]} | {arm} | {len(of)} | {' | '.join(cells)} |")
    return "\n".join(lines)


COSTS = {
    "all weights": "ours_vs_two_models",
    "adapter": "ours_lora_vs_two_models_lora",
    "all weights, `--gradient-checkpointing`": "ours_checkpointing_vs_two_models",
}
"""What docs/repair.md calls two arms of bench/unlearning.py → the two."""
ONCE = "_rows_read_once_vs_"
"""What stands in the name of a job that counts a first reading of the rows, too."""
COSTS_FROM, COSTS_TO = "<!-- costs -->\n", "<!-- end of costs -->"


def repair_page() -> str:
    """Return docs/repair.md with what a step costs between its marks, and the rest as it is."""
    return _between("repair", COSTS_FROM, costs_table(), COSTS_TO)


def _between(name: str, begin: str, text: str, end: str) -> str:
    """Return a page of docs/ with this text between two marks, and the rest as it is."""
    before, _, rest = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").partition(begin)
    return f"{before}{begin}{text}{end}{rest.partition(end)[2]}"


ALARMS_FROM, ALARMS_TO = "<!-- alarms -->\n", "<!-- end of alarms -->"


def thresholds_page() -> str:
    """Return docs/checks-thresholds.md with the study's table of false alarms between its marks, the rest as it is."""
    study = (ROOT / "studies" / "audit_power" / "README.md").read_text(encoding="utf-8")
    table = study.partition(ALARMS_FROM)[2].partition(ALARMS_TO)[0]
    return _between("checks-thresholds", ALARMS_FROM, table, ALARMS_TO)


MEASURED_FROM, MEASURED_TO = "<!-- measured -->\n", "<!-- end of measured -->"


def scale_page() -> str:
    """Return docs/scale.md with what audits of several sizes took between its marks, and the rest as it is."""
    return _between("scale", MEASURED_FROM, scale_table(), MEASURED_TO)


def scale_table() -> str:
    """Return time, memory and disk by the number of rows, how they grow, and what that makes of a billion rows."""
    path = ROOT / "bench" / "results" / "scale.json"
    if not path.exists():
        return ""
    rounds = json.loads(path.read_text(encoding="utf-8"))["rounds"]
    lines = ["| checks | rows | rows/s | CPU ms a row | memory, MiB | disk, MiB | report, MiB |", "|---" * 7 + "|"]
    growth = []
    for kind in sorted({key.rpartition("_")[0] for key in rounds}):
        of = sorted((r[0] for key, r in rounds.items() if key.rpartition("_")[0] == kind), key=lambda r: r["n_rows"])
        name = kind.replace("_", ", ")
        lines += [
            f"| {name} | {r['n_synthetic']:,} + {r['n_rows'] - r['n_synthetic']:,} "
            f"| {r['rows_per_s']:,} | {1000 * r['cpu_s'] / r['n_rows']:.2f} | {r['memory_mib']:,} | {r['disk_mib']:,} "
            f"| {r['report_mib']} |"
            for r in of
        ]
        for small, large in itertools.pairwise(of):
            steps = math.log(large["n_rows"] / small["n_rows"])
            time, memory = (math.log(large[w] / small[w]) / steps for w in ("cpu_s", "memory_mib"))
            growth.append(
                f"- {name}, {small['n_synthetic']:,} to {large['n_synthetic']:,} rows: processor time grows as "
                f"n^{time:.2f}, memory as n^{memory:.2f}, by {_bytes_a_row(small, large):,.0f} bytes a row."
            )
        if len(of) > 1:
            *_, small, large = of
            growth.append(
                f"- {name}, a billion rows as dear as those {large['n_synthetic']:,}: "
                f"{1e9 * large['cpu_s'] / large['n_rows'] / 3600:,.0f} core-hours, "
                f"{large['disk_mib'] * 2**20 / large['n_rows'] / 1000:.1f} TB of work folder, "
                f"{_bytes_a_row(small, large):,.0f} GB of memory."
            )
    return "\n".join([*lines, "", *growth, "", *disk_table(rounds)]) + "\n"


def _bytes_a_row(small: Mapping[str, Any], large: Mapping[str, Any]) -> float:
    """Return by how many bytes of memory a row of an audit adds to those of a smaller one."""
    return float((large["memory_mib"] - small["memory_mib"]) * 2**20 / (large["n_rows"] - small["n_rows"]))


def disk_table(rounds: Mapping[str, Any]) -> list[str]:
    """Return what the work folder holds of a row by the kind of file, in the largest audit of each kind."""
    largest: dict[str, dict[str, Any]] = {}
    for key, (of,) in sorted(rounds.items(), key=lambda told: told[1][0]["n_rows"]):
        if "disk_bytes" in of and "workers" not in key:
            largest[key.rpartition("_")[0]] = of
    held_by = sum((Counter(of["disk_bytes"]) for of in largest.values()), Counter[str]())
    files = [name for name, _ in held_by.most_common()]
    lines = [f"| bytes a row on disk | {' | '.join(files)} | all |", "|---" * (len(files) + 2) + "|"]
    for kind, of in sorted(largest.items()):
        only = {name: of["n_synthetic"] if name == "scores" else of["n_rows"] for name in files}
        held = [round(of["disk_bytes"].get(name, 0) / only[name]) for name in files]
        name = f"{kind.replace('_', ', ')}, {of['n_synthetic']:,}"
        lines.append(f"| {name} | {' | '.join(f'{n:,}' for n in held)} | {sum(held):,} |")
    return lines


def costs_table() -> str:
    """Return time and memory of a step beside the plain one, setting by setting."""
    record = json.loads((ROOT / "bench" / "results" / "unlearning.json").read_text(encoding="utf-8"))
    by_job = {row["job"]: row for row in record["rows"]}
    settings = dict.fromkeys(re.sub(r".*_T(\d+)_B(\d+)", r"\1 \2", job) for job in by_job)
    names = " | ".join(f"{name}: time (rows read once), memory" for name in COSTS)
    lines = [f"| tokens × rows | {names} |", "|---" * 4 + "|"]
    for tokens, rows in sorted(tuple(map(int, setting.split())) for setting in settings):
        at = f"T{tokens}_B{rows}"
        cells = [
            [by_job.get(f"{job}_{at}") for job in (f"step_time_{a}", f"peak_memory_{a}", f"step_time_{once}")]
            for a in COSTS.values()
            for once in [a.replace("_vs_", ONCE)]
        ]
        lines.append(f"| {tokens:,} × {rows} | " + " | ".join(map(_cost, cells)) + " |")
    return "\n".join(lines) + "\n"


def _cost(of: list[dict[str, Any] | None]) -> str:
    time, memory, once = of
    if time is None or memory is None:
        return ""
    if time["ratio"] is None:
        return f"plain: out of memory; ours {memory['ours']:.1f} {memory['unit']}"
    first = f" ({once['ratio']:.2f})" if once and once["ratio"] else ""
    return f"{time['ratio']:.2f}{first}, {memory['ratio']:.2f}"


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return "out of memory"
    return f"{value:.4g}" if digits is None else f"{value:.1g}" if 0 < value < 0.01 else f"{value:.{digits}f}"


def notation_page() -> str:
    """Return the Notation block of every module that has one."""
    parts = ["# Notation", "The letters each module uses, collected from the modules by `make docs`."]
    for path in sorted(SRC.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        block = re.search(r"^Notation([^\n]*)\n((?:[ ]{4,}[^\n]*\n?)+)", text, flags=re.MULTILINE)
        if block:
            lines = [line[4:] for line in block[2].rstrip().splitlines()]
            title = text.splitlines()[0].rstrip(".")
            source = f"`{path.relative_to(SRC.parent).as_posix()}`{block[1].rstrip(':')}"
            parts += [f"## {title}", source, _fenced("\n".join(lines))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
