"""`unflaw repair`: unlearn the flaw from a model that was trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._interpolate import interpolated
from unflaw._cli._memory import freed_at_once
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    PrecisionOption,
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
)
from unflaw._cli._train import (
    CheckpointingOption,
    OutOption,
    PartTokensOption,
    ReportToOption,
    SaveEveryOption,
    ShardOption,
    model_path,
    problems_of_call,
    summary,
    training_step,
    watched_steps,
)
from unflaw._errors import SettingsError, TooFewRowsError

if TYPE_CHECKING:
    from unflaw.data import Rows, RunFolder
    from unflaw.measure import Template

__all__ = ["flawed_rows", "found_template", "repair"]

LEARNING_RATES = {"lora": 2e-4, "full": 5e-5}


@command(
    "unflaw repair runs/first/models/trained --forget synthetic.jsonl --replay good.jsonl --guard held_out.jsonl "
    "--run runs/first",
    "unflaw repair hf:my-model --forget synthetic.jsonl --replay good.jsonl --guard held_out.jsonl --before hf:base "
    "--what gained --out models/repaired",
    "unflaw repair peft:my-adapter --forget chats.jsonl --replay good_chats.jsonl --guard held_out_chats.jsonl "
    "--out models/repaired",
    "unflaw repair hf:my-model --replay good.jsonl --guard held_out.jsonl --w-forget 0 --out models/replayed",
    "unflaw repair hf:my-model --before hf:base --interpolate 0.5 --guard held_out.jsonl --out models/half",
)
@reads_rows
def repair(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Spec of the damaged model: a folder, hf:NAME, peft:ADAPTER, smollm2."),
    ],
    guard: Annotated[
        str,
        typer.Option(
            "--guard",
            metavar="FILE",
            help="Held-out rows, all read, that watch the repair; best of the replay rows' kind, or take --keep last",
        ),
    ],
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="FILE",
            show_default=False,
            help="Good rows of what the model is to do well, not of the flawed task alone; not for --interpolate.",
        ),
    ] = None,
    forget: Annotated[
        str | None, typer.Option("--forget", metavar="FILE", show_default=False, help="Rows that carry the flaw.")
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            "--what",
            help="Tokens to forget: the audit's template, the opening (first token of the answer), gained (likelier by "
            "a factor e than in --before), response (without its end) or full (with the prompt).",
        ),
    ] = "template",
    on_policy: Annotated[
        bool, typer.Option("--on-policy", help="Forget in the model's own answers to the replay prompts instead.")
    ] = False,
    before: Annotated[
        str | None,
        typer.Option("--before", show_default=False, help="Spec of the model before the damage."),
    ] = None,
    interpolate: Annotated[
        float | None,
        typer.Option(
            "--interpolate",
            metavar="SHARE",
            show_default=False,
            help="Train nothing; go back towards --before until this share of what training changed is left.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", show_default=False, help="Forget only rows the audit in --run scored this high."),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            help="bounded, ga, grad_diff, wga, ce_u, undial, npo, simnpo; or dpo, where forget rows have an answer "
            "`rejected` and one `chosen`.",
        ),
    ] = "bounded",
    w_forget: Annotated[
        str,
        typer.Option(
            "--w-forget",
            metavar="NUMBER",
            help="Weight of forgetting: auto, half the pull of replay; 0 forgets nothing (--forget rows then tell only "
            "which template to bar).",
        ),
    ] = "auto",
    w_replay: Annotated[float, typer.Option("--w-replay", help="Weight of replay.")] = 1.0,
    w_kl: Annotated[
        float | None,
        typer.Option(
            "--w-kl", help="Weight of KL, which keeps the model near --kl-to.", show_default="0.1, for grad_diff 0"
        ),
    ] = None,
    kl: Annotated[str, typer.Option("--kl", help="forward: KL(reference || now), or reverse.")] = "forward",
    kl_to: Annotated[
        str, typer.Option("--kl-to", help="What to stay close to: start, the damaged model, or before: --before.")
    ] = "start",
    beta: Annotated[
        float | None,
        typer.Option(
            "--beta",
            help="Strength of the objective.",
            show_default="0.1 for npo and dpo, 1 for wga, 4.5 for simnpo, 10 for undial",
        ),
    ] = None,
    bar_template: Annotated[
        bool,
        typer.Option(
            "--bar-template/--no-bar-template",
            help="Forbid the reference of KL the tokens that open the template, to which it would hold on.",
        ),
    ] = True,
    steps: Annotated[int, typer.Option("--steps", help="Steps at most.")] = 40,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Forget rows per step, and as many to replay.")] = 6,
    token_budget: Annotated[
        int | None,
        typer.Option(
            "--token-budget", show_default=False, help="Of replay alone: read this many tokens, as a fair control."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="Peak of the schedule.", show_default="2e-4 for lora, 5e-5 for full"),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="lora or full.")] = "lora",
    lora_rank: Annotated[int, typer.Option("--lora-rank", help="Rank of the adapter.")] = 16,
    ceiling: Annotated[float, typer.Option("--ceiling", help="Guard perplexity may rise by this factor.")] = 1.05,
    repetition_rise: Annotated[
        float, typer.Option("--repetition-rise", help="Repetition in what the model writes may rise by this share.")
    ] = 0.3,
    guard_every: Annotated[int, typer.Option("--guard-every", help="Steps between looks at the guard.")] = 5,
    patience: Annotated[
        int, typer.Option("--patience", help="Stop after so many looks without a better one (--keep best).")
    ] = 4,
    keep: Annotated[
        str,
        typer.Option("--keep", help="Weights that come back: the best for the guard, or the last within the ceiling."),
    ] = "best",
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", help="Longer rows are cut, at the end of the model's context at the latest.")
    ] = 512,
    part_tokens: PartTokensOption = 2048,
    precision: PrecisionOption = "float32",
    gradient_checkpointing: CheckpointingOption = False,
    shard: ShardOption = False,
    save_every: SaveEveryOption = 0,
    report_to: ReportToOption = "none",
    name: Annotated[str, typer.Option("--name", help="What the run folder calls the model.")] = "repaired",
    out: OutOption = None,
    *,
    reading: Reading,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    run: RunOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Unlearn the flaw from a model that was trained on it, and keep the rest.

    Each step forgets the flaw, replays good rows, and stays close to what the model was, each with its weight. No
    audit is needed: without one in --run, the template is looked for in the --forget rows, against the --replay rows.

    Where the model before is at hand, --interpolate takes a part of the training back, without any more of it.

    Rows are JSONL, Parquet or CSV with messages, prompt and completion, question and answer, or text; `unflaw inspect
    FILE` shows how a file is read. What comes out is an adapter; with --method full or --interpolate, and from
    peft:ADAPTER, a whole model in float32; either loads with `from_pretrained`.
    """
    call = locals()
    if interpolate is not None:
        return interpolated(repair, call)
    from unflaw.repair import answers_to_forget, can_bar, problems_of_repair, refuse_shared, unlearn

    weight = _number_or_word(w_forget)
    has_flaw = forget is not None or on_policy
    forgets = weight != 0 and has_flaw
    settings: dict[str, Any] = {
        "what": what, "objective": objective, "w_forget": weight, "w_replay": w_replay, "w_kl": w_kl,
        "kl": kl, "kl_to": kl_to, "beta": beta, "before": before, "bar_template": bar_template,
        "token_budget": token_budget,
        "steps": steps, "batch_size": batch_size, "method": method,
        "learning_rate": LEARNING_RATES.get(method) if learning_rate is None else learning_rate, "lora_rank": lora_rank,
        "ceiling": ceiling, "repetition_rise": repetition_rise, "guard_every": guard_every, "patience": patience,
        "keep": keep, "max_tokens": max_tokens, "precision": precision, "save_every": save_every, "seed": seed,
        "shard": shard,
    }  # fmt: skip
    may_bar = has_flaw and can_bar(settings)
    bars = may_bar and bar_template
    problems = [] if replay is not None else ["`--replay` must name good rows (or go back by --interpolate)"]
    problems += _contradictions(forget, what, objective, on_policy, weight != 0, bars, shard)
    problems += in_vain(repair, call, {
        "lora_rank": (method == "lora", "--method lora"),
        "name": (out is None or run is not None, "--run"),
        "batch_size": (token_budget is None, "no --token-budget, which fills the steps by itself"),
        "patience": (keep == "best", "--keep best"),
        "bar_template": (may_bar, "a template and a forward KL to the start"),
        "min_score": (forget is not None, "rows to --forget"),
        **dict.fromkeys(("what", "objective", "beta"), (weight != 0, "a --w-forget that is not 0")),
    })  # fmt: skip
    problems += problems_of_repair(
        {**settings, "model": model, "device": device, "part_tokens": part_tokens, "report_to": report_to},
        forgets,
        bars,
    )
    scores: dict[str, float | None] = {}
    problems += [] if min_score is None else mistakes(lambda: scores.update(_scores(run)))
    problems += problems_of_call([model, before], call, reading, forget, replay, guard)
    if problems or replay is None:
        raise SettingsError(problems)
    path = model_path(out, run, name)
    gone = None if forget is None else flawed_rows(reading.rows(forget, limit), scores, min_score)
    good, watched = reading.rows(replay, limit), reading.rows(guard)
    template = None
    refuse_shared(gone if forgets and not on_policy else None, good, watched, objective)
    if gone is not None and what == "template" and (forgets or bars):
        template = found_template(answers_to_forget(gone, objective)[0], run, good)
    sizes = {"forget": 0 if gone is None else len(gone), "replay": len(good), "guard": len(watched)}
    if dry_run:
        emit({**sizes, "out": path, **settings}, as_json, f"would repair {model} with {sizes} → {path}")
        return
    sources = [f for f in (forget, replay, guard) if f is not None]
    given = {"model": model, "forget": forget, "replay": replay, "guard": guard, "min_score": min_score}
    given |= {"on_policy": on_policy, **settings, **reading.settings()}
    with training_step(run, f"repair {name}", given, sources, resume, overwrite) as folder:
        reading.keep(folder)
        if folder is not None and out is None:
            folder.path_for_model(name)
        if on_policy:
            gone = _own_answers(model, good, watched, folder, device)
        terms = ("forget", "replay", "kl")
        with freed_at_once(gradient_checkpointing), watched_steps("repair steps", terms) as on_step:
            done = unlearn(
                model, gone, good, watched, path, spans=None if template is None else template.spans, **settings,
                resume=resume, device=device, part_tokens=part_tokens, gradient_checkpointing=gradient_checkpointing,
                report_to=report_to, on_step=on_step,
            )  # fmt: skip
        if folder is not None:
            folder.add_curve(name, done.curve, done.notes, done.forgotten)
    for note in done.notes:
        console.print(note, soft_wrap=True)
    words = f"{done.steps} steps, {done.tokens} tokens in {done.seconds:.0f} s → {path}"
    emit({**summary(done), "rejected": reading.told()}, as_json, words)


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _contradictions(
    forget: str | None, what: str, objective: str, on_policy: bool, weighs: bool, bars: bool, shard: bool
) -> list[str]:
    problems = []
    if forget is None and weighs and not on_policy:
        problems.append("`--forget` must name the rows that carry the flaw (or set --w-forget 0 to replay only)")
    if forget is None and on_policy and what == "template":
        problems.append("`--forget` must name the rows whose template is looked for in the model's own answers")
    if forget is not None and on_policy and what != "template":
        problems.append("`--forget` is of use with --on-policy for its template alone, which --what template forgets")
    if forget is not None and not (weighs or bars):
        problems.append(
            "`--forget` serves nothing: at --w-forget 0 its template can only be barred, which takes a forward KL "
            "to the start and --bar-template"
        )
    if on_policy and objective == "dpo":
        problems.append("`--on-policy` is not for dpo, which needs an answer to prefer for each row")
    if on_policy and not weighs:
        problems.append("`--on-policy` says what to forget, and --w-forget 0 forgets nothing")
    if on_policy and shard:
        problems.append(
            "`--on-policy` lets one process answer with the whole model, and --shard says that none holds it"
        )
    return problems


def _own_answers(model: str, replay: Rows, guard: Rows, folder: RunFolder | None, device: str) -> Rows:
    """Let the model answer; of several processes the main one, for all."""
    from unflaw.repair import own_answers
    from unflaw.train import for_all

    def ask() -> Rows:
        answered = count(1)
        with ExitStack() as stack, bar("own answers") as progress:
            generator = open_cached(stack, model, folder, device=device)
            return own_answers(
                generator, replay, apart_from=guard, on_result=lambda *_: progress(next(answered), len(replay))
            )

    own = for_all(ask, device)
    console.print(f"  {len(own)} of the model's own answers are gone through for what to forget")
    return own


def flawed_rows(rows: Rows, scores: Mapping[str, float | None], min_score: float | None) -> Rows:
    """Keep the rows that an audit scored at least `min_score`; all without one."""
    if min_score is None:
        return rows
    kept = rows.only(i for i in rows.ids if (scores.get(i) or 0.0) >= min_score)
    if not len(kept):
        raise TooFewRowsError(f"no row of `--forget` has an audit score of {min_score} or more; lower `--min-score`")
    return kept


def _scores(run: Path | None) -> dict[str, float | None]:
    """Return what the audit in the run folder gave each row."""
    from unflaw.data import RunFolder

    known = None if run is None else RunFolder(run).row_columns()
    if known is None or "unflaw.score" not in known.column_names:
        raise SettingsError("`--min-score` needs row scores; run `unflaw audit … --run RUN` first and name that run")
    return dict(zip(known["unflaw.id"].to_pylist(), known["unflaw.score"].to_pylist(), strict=True))


def found_template(rows: Rows, run: Path | None, replay: Rows) -> Template:
    """Take the template an audit found; without one, look for it in the rows themselves against the replay rows."""
    from unflaw.data import RunFolder
    from unflaw.measure import Template, mine_template, tokenise

    findings = RunFolder(run).findings() if run is not None and (run / "manifest.json").exists() else []
    found = next((f for f in findings if f.check == "tokens.structural"), None)
    if found is not None:
        template = Template.from_evidence(found.evidence)
    else:
        texts = [[tokenise(r) for _, r in of.pairs()] for of in (rows, replay)]
        template = mine_template(texts[0], texts[1])
    if not template.phrases:
        raise SettingsError("no template was found in the forget rows; use `--what response`, or audit them first")
    return template
