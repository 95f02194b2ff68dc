"""How much of a step is padding, and how much may be before another pass through the model is cheaper?

    python bench/padding.py              # minutes on two cores

An epoch of shipped rows is drawn and cut into parts as `unflaw.train` does and, as its peer, drawn at random and padded
to the longest row of each step, as `Trainer` does: share of padding, counted. Then six rows of two lengths go as one
part and as two, forward and backward, in turn: what the second pass costs, in tokens of the first, beside the tokens of
padding that `unflaw.train` puts up with rather than cut.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from _record import compare, write

from unflaw import read
from unflaw._cli._demo import example_folder
from unflaw.models import open_causal
from unflaw.train import (
    Encoded,
    RowSet,
    encode_rows,
    fused_mean,
    head_of,
    head_parameters,
    hidden_at,
    plan_batches,
    usable,
)
from unflaw.train._parts import PASS_IN_TOKENS, Part
from unflaw.train.losses import cross_entropy

BATCHES = (6, 16)
"""Rows a step: what `repair` and `finetune` take, and more."""
PART_TOKENS, ROUNDS = 2048, 3
TWO_LENGTHS = ((100, 60), (60, 40), (300, 200))
"""Tokens of the three longer and of the three shorter rows of a step."""


def main() -> None:
    """Measure and write bench/results/padding.json."""
    model, tokenizer = open_causal("smollm2")
    model.train()
    pad_id = tokenizer.pad_token_id
    theirs = f"transformers {version('transformers')}"
    rows: list[dict[str, Any]] = []
    for name in ("synthetic", "replay"):
        encoded = usable(encode_rows(read(example_folder() / f"{name}.jsonl"), tokenizer), name)
        for batch in BATCHES:
            a, b = ([padding(epoch)] for epoch in epochs(RowSet(name, encoded, pad_id, PART_TOKENS), batch))
            rows.append(compare(f"padding_{name}_B{batch}", "share", a, b, theirs, equal_answer=None))
            print(rows[-1], flush=True)
    for long, short in TWO_LENGTHS:
        step = list(range(6))
        row_set = RowSet("rows", [row_of(n) for n in [long] * 3 + [short] * 3], pad_id, PART_TOKENS)
        with limits(0.0, 0):
            two = row_set.parts(step)
        (one_time, two_time), losses = rounds(model, (at_once(row_set, step), two))
        cost = [6 * long * b / a - 3 * (long + short) for a, b in zip(one_time, two_time, strict=True)]
        rows.append(compare(
            f"second_pass_{long}_{short}", "tokens", cost, [PASS_IN_TOKENS] * len(cost), "PASS_IN_TOKENS",
            equal_answer=bool(np.isclose(losses[0], losses[1], rtol=1e-4)),
        ))  # fmt: skip
        print(rows[-1], flush=True)
    write("padding", rows)


def epochs(row_set: RowSet, batch: int) -> tuple[list[Part], list[Part]]:
    """Return the parts of an epoch, drawn and cut as we do, and as `Trainer` does."""
    rng = np.random.default_rng(0)
    n_rows = len(row_set.rows)
    ours = plan_batches(row_set.lengths, batch, n_rows // batch, rng)
    order = rng.permutation(n_rows).tolist()
    theirs = [order[i * batch : (i + 1) * batch] for i in range(n_rows // batch)]
    cut = [part for step in ours for part in row_set.parts(step)]
    return cut, [part for step in theirs for part in at_once(row_set, step)]


def at_once(row_set: RowSet, step: Sequence[int]) -> list[Part]:
    """Pad all rows of a step to the longest."""
    with limits(1.0, 0):
        return replace(row_set, most_tokens=10**9).parts(step)


@contextmanager
def limits(most_padding: float, pass_in_tokens: int) -> Iterator[None]:
    """Cut parts by other limits."""
    with patch.multiple("unflaw.train._parts", MOST_PADDING=most_padding, PASS_IN_TOKENS=pass_in_tokens):
        yield


def padding(parts: Sequence[Part]) -> float:
    """Share of what goes through the model that is padding."""
    masks = [part.batch["attention_mask"] for part in parts]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def rounds(model: Any, ways: Sequence[Sequence[Part]]) -> tuple[list[list[float]], list[float]]:
    """Time two ways in turn, once to warm up; return the seconds of the rounds, and the losses."""
    times: list[list[float]] = [[], []]
    losses = [0.0, 0.0]
    for number in range(ROUNDS + 1):
        for way in (0, 1) if number % 2 == 0 else (1, 0):
            started = time.perf_counter()
            losses[way] = sum(backward(model, part) for part in ways[way])
            model.zero_grad()
            times[way].append(time.perf_counter() - started)
    return [of[1:] for of in times], losses


def backward(model: Any, part: Part) -> float:
    """Go forward and backward through a part; return its share of the step's loss."""
    head = head_of(model)
    hidden, targets, weights, _ = hidden_at(model, part.batch)

    def terms(h: Any, y: Any) -> Any:
        return cross_entropy(head(h), y)[:, None]

    loss, _ = fused_mean(
        terms, weights.new_ones(1), torch.tensor(part.positions), weights, hidden, targets,
        parameters=head_parameters(model),
    )  # fmt: skip
    loss.backward()
    return float(loss.detach())


def row_of(length: int) -> Encoded:
    """Return a row of which the second half counts."""
    return Encoded([7 + i % 50 for i in range(length)], [0.0] * (length - length // 2) + [1.0] * (length // 2))


if __name__ == "__main__":
    main()
