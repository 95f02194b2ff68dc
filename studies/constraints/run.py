"""Which kinds of constraint measure listening: those a model meets more often when asked to.

    python studies/constraints/run.py               # the embedded model, about ten minutes on two cores
    python studies/constraints/run.py --model hf:DIR --per-kind 24

Every kind of constraint is asked alone, of the same number of requests, and the answer to each request
without any constraint is checked, too. `lift` is the difference of the two rates. A kind without lift shows
what a model happens to write; a kind that is never or always met tells no two models apart. The kinds that
`unflaw.evaluate` draws (`SLOTS`) were chosen by this table. Only the untouched model is asked: what a
damaged model would lose plays no part in the choice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._cli._shared import open_cached
from unflaw.data import atomic_write
from unflaw.evaluate._constraints import Constraint
from unflaw.evaluate._kinds import KINDS
from unflaw.evaluate._prompts import SLOTS
from unflaw.evaluate._tasks import Request, requests
from unflaw.models import Sampling, call

HERE = Path(__file__).parent
DRAWN: Mapping[str, Mapping[str, Any]] = {kind: choices for kinds in SLOTS.values() for kind, choices in kinds}
MAX_TOKENS = 64


def asked(kind: str, n: int, rng: np.random.Generator) -> Iterator[tuple[Constraint, Request]]:
    """Yield (constraint, request): the parameters prompts are drawn with, else those of the kind's example."""
    for index in rng.permutation(len(requests()))[:n]:
        request = requests()[int(index)]
        params = dict(KINDS[kind].example)
        for name, choices in DRAWN.get(kind, {}).items():
            values = choices(request) if callable(choices) else choices
            params[name] = values[int(rng.integers(len(values)))]
        yield Constraint(kind, params), request


def main() -> None:
    """Ask, count, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--per-kind", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    pairs = [
        pair
        for number, kind in enumerate(KINDS)
        for pair in asked(kind, arguments.per_kind, np.random.default_rng([arguments.seed, number]))
    ]
    prompts = [f"{request.text} {constraint.text}" for constraint, request in pairs]
    with ExitStack() as stack:
        generator = open_cached(stack, arguments.model, folder=None)
        answers = call(generator, [*prompts, *(r.text for r in requests())], Sampling(max_tokens=MAX_TOKENS))
    alone = dict(zip((r.text for r in requests()), answers[len(prompts) :], strict=True))
    met: dict[str, list[tuple[bool, bool]]] = {}
    for (constraint, request), answer in zip(pairs, answers, strict=False):
        met.setdefault(constraint.kind, []).append((constraint.met(answer), constraint.met(alone[request.text])))
    rows = [
        {"kind": kind, "asked": a, "unasked": b, "lift": round(a - b, 3), "drawn": kind in DRAWN}
        for kind, pairs_of_kind in met.items()
        for a, b in [np.mean(pairs_of_kind, axis=0).round(3).tolist()]
    ]
    rows.sort(key=lambda row: (-row["lift"], row["kind"]))
    with atomic_write(HERE / "results" / "lift.json") as file:
        json.dump({**vars(arguments), "max_tokens": MAX_TOKENS, "kinds": rows}, file, indent=1)
    for row in rows:
        rates = f"{row['asked']:.2f} {row['unasked']:.2f} {row['lift']:+.2f}"
        print(f"{'*' if row['drawn'] else ' '} {row['kind']:26s} {rates}")


if __name__ == "__main__":
    main()
