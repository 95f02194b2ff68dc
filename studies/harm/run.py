"""What does a flaw in a tenth of the rows cost a model, and what does mending give back?

    python studies/harm/sources.py ARCHIVES --out sets/harm             # once; see there
    python studies/harm/run.py classify --sets sets/harm                # classifiers, about four hours of one core
    python studies/harm/run.py answer --sets sets/harm                  # a language model, about five
    python studies/harm/run.py table --sets sets/harm                # a table, about one

Every arm is done once: runs/harm/TASK.jsonl keeps what it came to, and a run that was cut off goes on from there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from arms import Arms

TUNING = 1000
"""Seeds from here on choose settings, others measure."""


def main() -> None:
    """Measure one task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("classify", "answer", "table"))
    parser.add_argument("--sets", type=Path, default=Path("sets/harm"))
    parser.add_argument("--runs", type=Path, default=Path("runs/harm"))
    parser.add_argument("--only", nargs="+", help="sets, or flaws of `answer`")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--audited", type=int, nargs="*", help="seeds in which an audit takes rows out")
    parser.add_argument(
        "--stage", choices=("clean", "flawed", "audit", "mended", "random"), default="flawed", help="of `answer`"
    )
    parser.add_argument("--tune", action="store_true", help="choose settings on other seeds, and measure nothing")
    told = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    {"classify": classify, "answer": answer, "table": table}[told.task](told, Arms(told.runs / f"{told.task}.jsonl"))


def classify(told: argparse.Namespace, arms: Arms) -> None:
    """Measure classifiers."""
    from classify import measure, read_source, tuned

    from unflaw.models import open_encoder

    encoder = open_encoder("potion")
    for name in told.only or ("news", "films"):
        source = read_source(name, told.sets, encoder)
        if told.tune:
            print(json.dumps(tuned(source, range(TUNING, TUNING + 3), encoder), indent=1))
        else:
            seeds = told.seeds or range(20)
            measure(source, seeds, range(5) if told.audited is None else told.audited, encoder, arms)


def answer(told: argparse.Namespace, arms: Arms) -> None:
    """Measure a language model."""
    from answer import measure, read_answers
    from spoil import ASKED

    from unflaw.models import open_encoder

    rows = read_answers(told.sets)
    flaws, seeds = told.only or list(ASKED), told.seeds or range(3)
    measure(rows, seeds, flaws, told.stage, open_encoder("potion"), told.runs, arms)


def table(told: argparse.Namespace, arms: Arms) -> None:
    """Measure models of a table."""
    from table import measure, read_table, tuned

    rows = read_table(told.sets)
    if told.tune:
        print(json.dumps(tuned(rows, range(TUNING, TUNING + 3)), indent=1))
    else:
        measure(rows, told.seeds or range(20), range(5) if told.audited is None else told.audited, arms)


if __name__ == "__main__":
    main()
