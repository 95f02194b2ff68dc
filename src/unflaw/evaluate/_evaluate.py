"""One call that measures a model on everything it is given input for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unflaw._errors import SettingsError, did_you_mean
from unflaw.data import Rows, Score
from unflaw.evaluate._instructions import instructions
from unflaw.evaluate._prompts import InstructionItem, instruction_prompts
from unflaw.evaluate._qa import question_answering
from unflaw.evaluate._text import pattern_rate, text_perplexity
from unflaw.measure import Template
from unflaw.models import Generator, Scorer, open_generator, open_scorer

__all__ = ["SUITE", "evaluate"]

SUITE = ("instructions", "qa", "text", "pattern")
"""Everything there is to measure."""

Progress = Callable[[int, int], None]


def evaluate(
    model: str | Generator,
    *,
    suite: Sequence[str] | None = None,
    prompts: Sequence[InstructionItem] | None = None,
    qa: Rows | None = None,
    text: Rows | None = None,
    template: Template | Callable[[str], bool] | None = None,
    scorer: Scorer | None = None,
    answer_pattern: str | None = None,
    n_prompts: int = 100,
    max_tokens: int = 96,
    seed: int = 0,
    name: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Score]:
    """Measure a model: instruction following, question answering, natural text, pattern rate.

    Without `suite` everything is measured that there is input for: instructions always (on `prompts`, or `n_prompts`
    drawn from `seed`), "qa" with `qa` rows, "text" with `text` rows, "pattern" with a `template`, over the answers
    to the instructions. Natural text needs log-probabilities: a spec string opens a scorer too; with a generator
    object pass `scorer`. `name` is what the scores call the model, its spec by default.

    Raises
    ------
    SettingsError
        An unknown part of the suite, or one whose input is missing. All mistakes are listed.
    """
    inputs = {"qa": qa is not None, "text": text is not None, "pattern": template is not None}
    parts = [p for p in SUITE if inputs.get(p, True)] if suite is None else list(suite)
    _check(model, parts, inputs, scorer)
    name = (model if isinstance(model, str) else type(model).__name__) if name is None else name
    scores: list[Score] = []
    if set(parts) - {"text"}:
        generator = open_generator(model, device=device) if isinstance(model, str) else model
        if {"instructions", "pattern"} & set(parts):
            items = instruction_prompts(n_prompts, seed) if prompts is None else prompts
            followed = instructions(generator, items, max_tokens=max_tokens, seed=seed, name=name, progress=progress)
            scores += followed if "instructions" in parts else []
            if "pattern" in parts and template is not None:
                hard = followed[0]
                settings = {k: v for k, v in hard.settings.items() if k not in ("prompts", "separator")}
                separator = hard.settings.get("separator")
                scores.append(
                    pattern_rate(hard.outputs, template, name=name, seed=seed, settings=settings, separator=separator)
                )
        if "qa" in parts and qa is not None:
            scores += question_answering(
                generator, qa, answer_pattern=answer_pattern, seed=seed, name=name, progress=progress
            )
    if "text" in parts and text is not None:
        judge = scorer if scorer is not None else open_scorer(str(model), device)
        scores.append(text_perplexity(judge, text, name=name, progress=progress))
    return scores


def _check(model: str | Generator, parts: Sequence[str], inputs: dict[str, bool], scorer: Scorer | None) -> None:
    problems = [f"`suite` knows no {p!r}. {did_you_mean(p, SUITE)}" for p in parts if p not in SUITE]
    needed = {"qa": "`qa` rows", "text": "`text` rows", "pattern": "a `template`"}
    problems += [
        f"{p!r} of `suite` needs {needed[p]}, got none" for p in parts if p in SUITE and not inputs.get(p, True)
    ]
    if "text" in parts and scorer is None and not isinstance(model, str):
        problems.append(
            "`text` needs a `scorer` when `model` is an object, since a generator gives no log-probabilities"
        )
    if not parts:
        problems.append("`suite` must name at least one part, got none")
    if problems:
        raise SettingsError(problems)
