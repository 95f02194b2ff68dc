"""One call that measures a model on everything it is given input for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

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


def evaluate(
    model: str | Generator,
    *,
    suite: Sequence[str] | None = None,
    prompts: Sequence[InstructionItem] | None = None,
    qa: Rows | None = None,
    text: Rows | None = None,
    template: Template | Callable[[str], bool] | None = None,
    scorer: str | Scorer | None = None,
    answer_pattern: str | None = None,
    n_prompts: int = 100,
    max_tokens: int = 96,
    seed: int = 0,
    name: str | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Measure a model: instruction following, question answering, natural text, pattern rate.

    Without `suite` everything is measured that there is input for: "instructions" always (on `prompts`, or on
    `n_prompts` drawn from `seed`), "qa" with `qa` rows, "text" with `text` rows, "pattern" with a `template`, over
    the answers to the instructions. Natural text needs log-probabilities, which a generator does not give: a spec
    opens a scorer too; with a generator object pass `scorer`. `name` is what the scores call the model.

    Raises
    ------
    SettingsError
        An unknown part of the suite, or one whose input is missing. All mistakes are listed.
    """
    scorer = model if scorer is None and isinstance(model, str) else scorer
    missing = {
        "qa": "`qa` rows" if qa is None else "",
        "text": "`text` rows" if text is None else "a `scorer` beside a generator object" if scorer is None else "",
        "pattern": "a `template`" if template is None else "",
    }
    given = {"instructions": True, "qa": qa is not None, "text": text is not None, "pattern": template is not None}
    parts = [p for p in SUITE if given[p]] if suite is None else list(suite)
    _check(parts, missing)
    name = (model if isinstance(model, str) else type(model).__name__) if name is None else name
    last: list[Score] = []
    if "text" in parts and text is not None and scorer is not None:  # first, since a model that only writes ends here
        judge = open_scorer(scorer, device) if isinstance(scorer, str) else scorer
        last = [text_perplexity(judge, text, name=name, progress=progress)]
        del judge
    if not set(parts) - {"text"}:
        return last
    scores: list[Score] = []
    with ExitStack() as stack:
        generator = model if not isinstance(model, str) else _opened(model, device, stack)
        if {"instructions", "pattern"} & set(parts):
            items = instruction_prompts(n_prompts, seed) if prompts is None else prompts
            answered = instructions(generator, items, max_tokens=max_tokens, seed=seed, name=name, progress=progress)
            scores += answered if "instructions" in parts else []
            last += [_pattern(answered[0], template)] if "pattern" in parts and template is not None else []
        if "qa" in parts and qa is not None:
            scores += question_answering(
                generator, qa, answer_pattern=answer_pattern, seed=seed, name=name, progress=progress
            )
    return scores + last


def _opened(spec: str, device: str, stack: ExitStack) -> Generator:
    generator = open_generator(spec, device=device)
    if hasattr(generator, "close"):
        stack.callback(generator.close)
    return generator


def _check(parts: Sequence[str], missing: dict[str, str]) -> None:
    problems = [f"`suite` knows no {p!r}. {did_you_mean(p, SUITE)}" for p in parts if p not in SUITE]
    problems += [f"{p!r} of `suite` needs {missing[p]}, got none" for p in parts if missing.get(p)]
    if not parts:
        problems.append("`suite` must name at least one part, got none")
    if problems:
        raise SettingsError(problems)


def _pattern(answered: Score, template: Template | Callable[[str], bool]) -> Score:
    """Judge the answers to the instructions by the template; the texts stay with the first score."""
    shared = {key: value for key, value in answered.settings.items() if key not in ("prompts", "separator")}
    return pattern_rate(
        answered.outputs,
        template,
        name=answered.model,
        seed=answered.seed,
        settings=shared,
        separator=answered.settings.get("separator"),
    )
