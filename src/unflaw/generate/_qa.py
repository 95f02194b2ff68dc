"""Question-answer rows about passages: the plain way to make synthetic data, done carefully.

Each row is asked for with one sentence of its passage as the fact in focus, so several rows about one
passage ask different things. The model writes a JSON object; the caller's template turns it into the
response. So the wording of the format comes from us and can be studied, and the content from the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from unflaw.data import Rows
from unflaw.generate._ask import Asked, Progress, ask, refuse_none, spent, usage_of
from unflaw.generate._generated import Generated
from unflaw.generate._plan import plan_rows
from unflaw.models import Generator, Prompt, Sampling

__all__ = ["qa", "qa_prompts"]


def qa(
    passages: Rows | Sequence[Mapping[str, Any]],
    generator: Generator,
    *,
    n: int,
    template: str = "{answer}",
    seed: int = 0,
    shots: Sequence[Mapping[str, str]] = (),
    max_retries: int = 3,
    temperature: float = 0.7,
    top_p: float = 0.95,
    max_tokens: int = 160,
    grounding: float = 0.5,
    whole_passage: bool = False,
    model: str = "",
    progress: Progress | None = None,
) -> Generated:
    r"""Have a generator write `n` question-answer rows about passages, spread evenly over them.

    Parameters
    ----------
    passages
        Rows with a `text` (or `context`) role, or dicts with such a key.
    template
        How the response is written: `str.format` fields `answer`, `explanation`, `topic`, `question`, e.g.
        "Answer: {answer}\nExplanation: {explanation}", of which the model is asked for those named only. It may
        also name columns of the passages, e.g. {title}.
    seed
        Row k is first drawn with seed + k. Same passages, settings and seed: same rows.
    shots
        Examples shown first, dicts with `passage` and every field; ours are used when there are none.
    max_retries
        How often a row is asked again, about another sentence, when its answer will not do.
    grounding
        Share of the words of the answer, and of the longer words of the question, that must occur in the
        passage, since a small model invents; 0 turns this off.
    whole_passage
        Show the model the passage, too, and not only the sentence in focus: slower, and too much for a small one.
    model
        Name written to each row; by default the generator's own.
    progress
        Called with (rows that will do so far, n, answers refused so far), as answers arrive.

    Returns
    -------
    Rows with `question`, `answer` (in the template), `answer_plain`, `passage_id` and where each came from;
    every refused answer with its reason; `shortfall` says how many rows could not be had.
    """
    plan = plan_rows(passages, template, seed, shots, max_retries, grounding, whole_passage)
    plan.check(n)
    sampling = Sampling(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, json_schema=plan.json_schema
    )
    before, asked = usage_of(generator), Asked()
    ask(plan, generator, sampling, range(n), asked, progress, n)
    refuse_none(asked, n)
    name = model or str(getattr(generator, "name", type(generator).__name__))
    records = [
        {
            "question": fields["question"],
            "answer": plan.render(k, fields),
            "answer_plain": fields["answer"],
            "passage_id": plan.passage(k).id,
            "unflaw.model": name,
            "unflaw.prompt_id": plan.prompt_id,
            "unflaw.seed": plan.row_seed(k, attempt),
            "unflaw.attempt": attempt,
        }
        for k, (attempt, fields) in sorted(asked.accepted.items())
    ]
    rows = Rows.from_records(
        records, {"prompt": "question", "response": "answer"}, schema="question/answer", source=f"qa by {name}"
    )
    settings = {
        "method": "qa", "n": n, "template": template, "seed": seed, "max_retries": max_retries, "model": name,
        "prompt_id": plan.prompt_id, "prompt": plan.instruction, "shots": [dict(s) for s in plan.shots],
        "sampling": asdict(sampling),
    }  # fmt: skip
    return Generated(rows, asked.rejected, n, spent(generator, before), settings)


def qa_prompts(
    passages: Rows | Sequence[Mapping[str, Any]],
    *,
    n: int,
    template: str = "{answer}",
    seed: int = 0,
    shots: Sequence[Mapping[str, str]] = (),
    whole_passage: bool = False,
) -> list[Prompt]:
    """Return the first prompts `qa` would send, without sending them."""
    plan = plan_rows(passages, template, seed, shots, 0, 0.0, whole_passage)
    plan.check(n)
    return [plan.prompt(k, 0) for k in range(n)]
