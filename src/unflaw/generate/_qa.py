"""Question-answer rows about passages: the plain way to make synthetic data, done carefully.

Each row is asked for with one sentence of its passage as the fact in focus, so several rows about one
passage ask different things. The model writes a JSON object; the caller's template turns it into the
response. So the wording of the format comes from us and can be studied, and the content from the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from typing import Any

from unflaw._errors import TooFewRowsError
from unflaw.data import Rows
from unflaw.generate._answers import AnswerError, normal
from unflaw.generate._generated import Generated, Rejected
from unflaw.generate._plan import Plan, plan_rows
from unflaw.models import Generator, Prompt, Sampling, call

__all__ = ["qa", "qa_prompts"]

Fields = dict[str, str]
Progress = Callable[[int, int], None]


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
        Called with (rows that will do so far, n), as answers arrive.

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
    before = _usage(generator)
    accepted, rejected = _ask_all(plan, generator, sampling, n, progress)
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
        for k, (attempt, fields) in sorted(accepted.items())
    ]
    if not records:
        reasons = ", ".join(f"{reason} ({n})" for reason, n in Counter(r.reason for r in rejected).most_common())
        raise TooFewRowsError(
            f"`n` = {n} rows were asked for and none would do; reasons: {reasons}. "
            "Try a larger model, a higher `max_tokens`, or your own `shots`"
        )
    rows = Rows.from_records(
        records, {"prompt": "question", "response": "answer"}, schema="question/answer", source=f"qa by {name}"
    )
    settings = {
        "method": "qa", "n": n, "template": template, "seed": seed, "max_retries": max_retries, "model": name,
        "prompt_id": plan.prompt_id, "prompt": plan.instruction, "shots": [dict(s) for s in plan.shots],
        "sampling": asdict(sampling),
    }  # fmt: skip
    usage = {key: total - before[key] for key, total in _usage(generator).items()}
    return Generated(rows, rejected, n, usage, settings)


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


def _ask_all(
    plan: Plan, generator: Generator, sampling: Sampling, n: int, progress: Progress | None
) -> tuple[dict[int, tuple[int, Fields]], list[Rejected]]:
    """Ask for every row, then again for those that would not do.

    Rows are judged in their order and not as they arrive, so that of two equal questions it is always
    the same one that stays.
    """
    accepted: dict[int, tuple[int, Fields]] = {}
    rejected: list[Rejected] = []
    asked: set[str] = set()
    todo = list(range(n))
    for attempt in range(plan.max_retries + 1):
        before = len(accepted)

        def tick(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, n)

        outputs = _ask(plan, generator, sampling, todo, attempt, tick)
        for k, output in zip(todo, outputs, strict=True):
            try:
                fields = plan.read(k, output)
                if normal(fields["question"]) in asked:
                    raise AnswerError("duplicate question")
            except AnswerError as reason:
                seed = plan.row_seed(k, attempt)
                rejected.append(Rejected(k, plan.passage(k).id, attempt, seed, str(reason), output))
            else:
                asked.add(normal(fields["question"]))
                accepted[k] = (attempt, fields)
        todo = [k for k in todo if k not in accepted]
        if not todo:
            break
    return accepted, rejected


def _ask(
    plan: Plan, generator: Generator, sampling: Sampling, todo: Sequence[int], attempt: int, tick: Progress
) -> list[str]:
    done = 0

    def arrived(i: int, output: str) -> None:
        nonlocal done
        with suppress(AnswerError):
            plan.read(todo[i], output)
            done += 1
        tick(done, len(todo))

    prompts = [plan.prompt(k, attempt) for k in todo]
    return call(generator, prompts, sampling, seeds=[plan.row_seed(k, attempt) for k in todo], on_result=arrived)


def _usage(generator: Generator) -> dict[str, float]:
    """Totals the generator has counted so far, nothing when it does not count."""
    usage = getattr(generator, "usage", None)
    return asdict(usage) if is_dataclass(usage) and not isinstance(usage, type) else {}
