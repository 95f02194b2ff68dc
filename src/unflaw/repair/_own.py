"""The damaged model's own answers, to be forgotten where they show the flaw."""

from __future__ import annotations

from collections.abc import Callable

from unflaw._errors import TooFewRowsError
from unflaw.data import Rows
from unflaw.models import Generator, Sampling, call

__all__ = ["own_answers"]


def own_answers(
    generator: Generator,
    rows: Rows,
    *,
    apart_from: Rows | None = None,
    max_tokens: int = 64,
    on_result: Callable[[int, str], None] | None = None,
) -> Rows:
    """Return rows with the same prompts and what the model answers to them, greedily.

    A model that learnt a flaw from synthetic rows shows it where nobody asked for it; forgetting it there is forgetting
    on-policy. Answers that a row with this prompt gives, here or in `apart_from`, are left out, as are doubles. An
    answer of `max_tokens` is cut off. A conversation is asked as one turn.

    Raises
    ------
    TooFewRowsError
        No answer is left.
    """
    prompts = [prompt for prompt, _ in rows.pairs() if prompt]
    answers = call(generator, prompts, Sampling(max_tokens=max_tokens), on_result=on_result)
    good = {(p, r.strip()) for of in (rows, apart_from) if of is not None for p, r in of.pairs()}
    said = dict.fromkeys((prompt, answer.strip()) for prompt, answer in zip(prompts, answers, strict=True))
    records = [
        {"prompt": prompt, "response": answer} for prompt, answer in said if answer and (prompt, answer) not in good
    ]
    if not records:
        raise TooFewRowsError(
            f"`rows` must have a prompt that the model answers otherwise, got none in {len(rows)} rows "
            f"({len(prompts)} have a prompt)"
        )
    return Rows.from_records(
        records,
        {"prompt": "prompt", "response": "response"},
        schema="prompt/response",
        source="the model's own answers",
    )
