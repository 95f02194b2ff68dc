"""`unflaw evaluate`: one model measured, or several against each other on the same items."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    SeedOption,
    bar,
    command,
    console,
    emit,
    in_vain,
    mistakes,
    open_cached,
    run_step,
    written,
)
from unflaw._cli._used import AllowSharedOption, refuse_used, runs_of
from unflaw._errors import SettingsError

if TYPE_CHECKING:
    from unflaw.data import Finding, Rows, RunFolder, Score
    from unflaw.evaluate import Comparison, InstructionItem
    from unflaw.measure import Template

__all__ = ["evaluate", "scores_table"]

_STYLE = {"better": "green", "worse": "red", "within noise": "dim"}
_N_CHANGED = 8
"""Changed items that are named per comparison; --json and the run folder have all."""


@command(
    "unflaw evaluate smollm2",
    "unflaw evaluate runs/first/models/dimp runs/first/models/plain --labels test.jsonl --run runs/first",
    "unflaw evaluate smollm2 runs/first/models/repaired --n 200 --text held_out.jsonl --run runs/first",
)
@reads_rows
def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL…", help="Model specs; with several, later ones are compared with earlier ones."),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", show_default=False, help="Prompts with IFEval or IFBench ids."),
    ] = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Leave out prompts with ids that cannot be checked here.")
    ] = False,
    n: Annotated[int, typer.Option("--n", min=10, help="Prompts drawn from the seed, a multiple of 5.")] = 100,
    qa: Annotated[
        str | None, typer.Option("--qa", metavar="FILE", show_default=False, help="Rows with questions and answers.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="FILE", show_default=False, help="Held-out natural text.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            show_default=False,
            help="Rows with labels: MODEL are classifiers, measured by accuracy and macro-F1 alone.",
        ),
    ] = None,
    allow_shared: AllowSharedOption = False,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            metavar="REGEX",
            show_default=False,
            help="Count answers that match; unless given, the template an audit found in the run folder.",
        ),
    ] = None,
    answer_pattern: Annotated[
        str | None,
        typer.Option("--answer-pattern", metavar="REGEX", show_default=False, help="Its group is the answer to --qa."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Length of an answer to a prompt; those to --qa are short.")
    ] = 96,
    *,
    reading: Reading,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    run: RunOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure one model, or several against each other, paired."""
    call = dict(locals())
    from unflaw.models import find_writer, writes_text

    problems = _in_vain(call)
    if len(set(models)) < len(models):
        problems.append(f"`MODEL` must name each model once, got {models}")
    if labels is None:
        for model in models:
            hint = "" if writes_text(model) else "; --labels FILE measures a classifier"
            problems += [f"{told}{hint}" for told in mistakes(partial(find_writer, model))]
    if problems := problems + mistakes(partial(_compiled, pattern)):
        raise SettingsError(problems)
    rule = _compiled(pattern)
    settings = {
        "models": models, "prompts": prompts, "allow_unknown": allow_unknown, "n": n, "qa": qa, "text": text,
        "pattern": pattern, "answer_pattern": answer_pattern, "max_tokens": max_tokens, "limit": limit, "seed": seed,
        **reading.settings(),
    }  # fmt: skip
    shared: dict[str, Any] = {
        "prompts": _items(prompts, allow_unknown, n, seed, limit),
        "qa": None if qa is None else reading.rows(qa, limit),
        "text": None if text is None else reading.rows(text, limit),
        "answer_pattern": answer_pattern, "max_tokens": max_tokens, "seed": seed, "device": device,
    }  # fmt: skip
    labelled = None if labels is None else reading.rows(labels, limit)
    if labels is not None:
        settings |= {"labels": labels, "allow_shared": allow_shared}
        refuse_used(runs_of(run, models, [labels]), allow_shared, labels=labelled)
    files = (prompts, qa, text, labels)
    with run_step(run, "evaluate", files, settings, resume=resume, overwrite=overwrite) as folder:
        reading.keep(folder)
        if folder is not None:
            rule = rule or _found_template(folder)
        by_model = {
            model: _measure(model, folder, template=rule, **shared)
            if labelled is None
            else _told(model, labelled, device)
            for model in models
        }
        if folder is not None:
            folder.add_scores([score for scores in by_model.values() for score in scores])
        pairs = _compared(by_model)
        opinion = None if labelled is None else _by_agreement(by_model, labelled)
        if folder is not None:
            folder.add_comparisons([asdict(pair) for pair in pairs])
            folder.add_findings([] if opinion is None else [opinion])
    payload: dict[str, Any] = {
        "scores": [s for scores in by_model.values() for s in scores], "comparisons": pairs,
        "rejected": reading.told(),
    }  # fmt: skip
    if opinion is not None:
        payload["by_agreement"] = opinion
        console.print(opinion.meaning, soft_wrap=True)
    emit(payload, as_json, words=None if as_json else scores_table(by_model, pairs))


def _in_vain(call: dict[str, Any]) -> list[str]:
    """Say which options a call has no use for: a classifier writes nothing."""
    writes = ("prompts", "allow_unknown", "n", "qa", "text", "pattern", "answer_pattern", "max_tokens")
    classifier = call["labels"] is not None
    uses = {**{name: (not classifier, "models that write, without --labels") for name in writes}}
    return in_vain(evaluate, call, {**uses, "allow_shared": (classifier, "--labels")})


def _told(model: str, rows: Rows, device: str) -> list[Score]:
    """Measure a classifier."""
    from unflaw.evaluate import labels

    with bar(model) as progress:
        return labels(model, rows, name=model, device=device, progress=progress)


def _by_agreement(by_model: dict[str, list[Score]], rows: Rows) -> Finding | None:
    """Say whether mistakes are where annotators do not agree either."""
    from unflaw.evaluate import accuracy_by_agreement

    return accuracy_by_agreement([score for scores in by_model.values() for score in scores], rows)


def _compiled(pattern: str | None) -> Callable[[str], bool] | Template | None:
    if pattern is None:
        return None
    try:
        rule = re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise SettingsError(f"`--pattern` must be a regular expression, got {pattern!r} ({error})") from error
    return lambda text: rule.search(text) is not None


def _items(path: Path | None, allow_unknown: bool, n: int, seed: int, limit: int | None) -> Sequence[InstructionItem]:
    from unflaw.evaluate import instruction_prompts, load_prompts

    if path is None:
        return instruction_prompts(n, seed)  # `--limit` cuts files; half a request has no levels
    loaded = load_prompts(path, allow_unknown=allow_unknown)
    if loaded.skipped:
        console.print(f"{len(loaded.skipped)} prompts left out: {', '.join(sorted(set(loaded.skipped.values())))}")
    return loaded.items[:limit]


def _found_template(folder: RunFolder) -> Template | None:
    """Take the template from what an audit found, so that nobody need describe it again."""
    from unflaw.measure import Template

    found = next((f for f in folder.findings() if f.check == "tokens.structural"), None)
    if found is None or not found.evidence.get("phrases"):
        return None
    return Template.from_evidence(found.evidence)


def _measure(model: str, folder: RunFolder | None, *, device: str, **given: Any) -> list[Score]:
    """Measure one model; with a run folder, answers already paid for are not asked again."""
    from unflaw.evaluate import evaluate as measure

    with ExitStack() as stack, bar(model) as progress:
        generator = open_cached(stack, model, folder, device=device)
        scores = measure(generator, scorer=model, name=model, device=device, progress=progress, **given)
    if usage := getattr(generator, "usage", None):
        console.print(f"{model}: {written(usage)}", soft_wrap=True)
    return scores


def _compared(by_model: dict[str, list[Score]]) -> list[Comparison]:
    """Compare each model with the first one and with the one before it."""
    from unflaw.evaluate import compare

    names = list(by_model)
    pairs = {(a, b): None for i, b in enumerate(names[1:], 1) for a in (names[0], names[i - 1])}
    alike = [_in_one_unit(by_model[a], by_model[b]) for a, b in pairs]
    return [comparison for a, b in alike if a and b for comparison in compare(a, b)]


def _in_one_unit(a: list[Score], b: list[Score]) -> tuple[list[Score], list[Score]]:
    """Leave out what is measured per token where two models cut the text into other tokens, and other labels."""
    tokens = [{s.benchmark: s.settings.get("n_tokens") for s in scores} for scores in (a, b)]
    apart = {name for name in tokens[0] if name in tokens[1] and tokens[0][name] != tokens[1][name]}
    labels = [{s.benchmark: s.settings.get("labels") for s in scores} for scores in (a, b)]
    others = {name for name in labels[0] if name in labels[1] and labels[0][name] != labels[1][name]}
    for name in sorted(others):
        console.print(
            f"{name} of {a[0].model} and {b[0].model} is not compared: they tell other labels", soft_wrap=True
        )
    for name in sorted(apart):
        words = f"{name} of {a[0].model} and {b[0].model} is not compared: their tokens differ, and it is per token"
        console.print(words, soft_wrap=True)
    left = apart | others
    return [s for s in a if s.benchmark not in left], [s for s in b if s.benchmark not in left]


def scores_table(by_model: dict[str, list[Score]], pairs: Sequence[Comparison]) -> RenderableType:
    """Draw what was measured, narrow enough for four models in 80 columns."""
    table = _table("Scores, with 95 % intervals; ↑ higher is better, ↓ lower", *map(_short, by_model))
    for row in zip(*by_model.values(), strict=True):
        arrow = "↑" if row[0].better == "higher" else "↓"
        cells = [f"{_brief(s.value, 3)}\n{_interval(s, 2)}" for s in row]
        table.add_row(f"{row[0].benchmark}\n{arrow} n={row[0].n}", *cells)
    parts: list[RenderableType] = [table]
    for a, b in dict.fromkeys((p.model_a, p.model_b) for p in pairs):
        parts += ["", _paired(a, b, [p for p in pairs if (p.model_a, p.model_b) == (a, b)])]
        parts += [_changed(p) for p in pairs if (p.model_a, p.model_b, p.benchmark) == (a, b, "instructions.hard")]
    return Group(*parts)


def _paired(a: str, b: str, pairs: Sequence[Comparison]) -> Table:
    table = _table(f"{_short(a)} → {_short(b)}, paired by item", "change", "interval", "verdict", "gained", "lost")
    for p in pairs:
        verdict = Text(p.verdict, style=_STYLE[p.verdict])
        change = ("+" if p.difference >= 0 else "") + _brief(p.difference, 3)
        table.add_row(p.benchmark, change, _interval(p, 3), verdict, str(len(p.gained)), str(len(p.lost)))
    return table


def _table(title: str, *heads: str) -> Table:
    table = Table(title=Text(title), title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("benchmark", overflow="fold")
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    return table


def _brief(value: float, digits: int) -> str:
    """Write a number as tables do: .25, -.25, 3.25."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def _interval(of: Score | Comparison, digits: int) -> str:
    return f"[{_brief(of.low, digits)}, {_brief(of.high, digits)}]"


def _changed(pair: Comparison) -> Text:
    def named(ids: Sequence[str]) -> str:
        more = f" and {len(ids) - _N_CHANGED} more" if len(ids) > _N_CHANGED else ""
        return ", ".join(ids[:_N_CHANGED]) + more if ids else "none"

    return Text(f"All constraints newly met: {named(pair.gained)}\nNo longer: {named(pair.lost)}")


def _short(model: str) -> str:
    """Shorten a spec from its front: a path says most at its end."""
    return model if len(model) <= 24 else "…" + model[-23:]
