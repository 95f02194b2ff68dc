"""`unflaw train`: fine-tune a model on rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unflaw._cli._memory import freed_at_once
from unflaw._cli._places import refuse_in_file
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
    out,
    run_step,
)
from unflaw._cli._train_arms import named_arms
from unflaw._cli._train_classifier import is_classifier, train_rows
from unflaw._cli._used import AllowSharedOption
from unflaw._errors import SettingsError, SpecError

if TYPE_CHECKING:
    from unflaw.data import RunFolder
    from unflaw.train import Trained

__all__ = [
    "CheckpointingOption", "OutOption", "PartTokensOption", "ReportToOption", "SaveEveryOption",
    "ShardOption",
    "model_path", "problems_of_call", "problems_of_folder", "summary", "train", "training_step", "watched_steps",
]  # fmt: skip

LEARNING_RATES = {"lora": 1e-3, "full": 5e-5}
DEFAULTS = {"epochs": 1.0, "batch_size": 8, "max_tokens": 512}

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", show_default=False, help="Where the model goes; RUN/models/NAME unless given."
    ),
]


PartTokensOption = Annotated[
    int, typer.Option("--part-tokens", help="Tokens that go through the model at once; the step stays the same.")
]
CheckpointingOption = Annotated[
    bool, typer.Option("--gradient-checkpointing", help="Much less memory for about half more time.")
]
ShardOption = Annotated[
    bool,
    typer.Option("--shard", help="Split the weights over the processes of `accelerate launch` (FSDP2)."),
]
SaveEveryOption = Annotated[
    int, typer.Option("--save-every", help="Steps between checkpoints, from which --resume goes on; 0 for none.")
]
ReportToOption = Annotated[str, typer.Option("--report-to", help="none, tensorboard, wandb, mlflow, …")]


_OF_WRITERS, _OF_CLASSIFIERS = "Options of a language model", "Options of a classifier"


@command(
    "unflaw train smollm2 rows.jsonl --run runs/first",
    "unflaw train hf:my-model rows.parquet --method lora --epochs 2 --out models/tuned",
    "unflaw train weighed.jsonl --validation real-some.jsonl --objective dimp --out models/classifier",
    "unflaw train minilm weighed.jsonl --arms all --real checker.jsonl --validation real-some.jsonl --run runs/first",
)
@reads_rows
def train(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Spec of the model to start from; left out, minilm: a classifier.")
    ],
    rows: Annotated[
        str | None, typer.Argument(metavar="FILE", show_default=False, help="Rows; a `weight` column is honoured.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", rich_help_panel=_OF_WRITERS, help="full: every weight; lora: an adapter.")
    ] = "lora",
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Times each row is seen.", show_default="1, of a classifier 5")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", show_default=False, help="Steps, in place of epochs.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Rows per step.", show_default="8, of a classifier 32")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            help="Peak of the schedule.",
            show_default="1e-3 for lora, 5e-5 for full, 1e-4 of a classifier",
        ),
    ] = None,
    lora_rank: Annotated[
        int, typer.Option("--lora-rank", rich_help_panel=_OF_WRITERS, help="Rank of the adapter.")
    ] = 16,
    target: Annotated[
        str, typer.Option("--target", rich_help_panel=_OF_WRITERS, help="Tokens that count: response or full.")
    ] = "response",
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            help="Longer rows are cut, at the end of the model's context at the latest.",
            show_default="512, of a classifier 128",
        ),
    ] = None,
    task: Annotated[
        str, typer.Option("--task", help="causal or classifier; auto: a classifier where the model writes nothing.")
    ] = "auto",
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            rich_help_panel=_OF_CLASSIFIERS,
            help="cross_entropy, focal, dimp, hu or sungen.",
        ),
    ] = "cross_entropy",
    validation: Annotated[
        str | None,
        typer.Option(
            "--validation",
            metavar="FILE",
            show_default=False,
            rich_help_panel=_OF_CLASSIFIERS,
            help="Rows that choose the epoch.",
        ),
    ] = None,
    meta: Annotated[
        str | None,
        typer.Option(
            "--meta",
            metavar="FILE",
            show_default=False,
            rich_help_panel=_OF_CLASSIFIERS,
            help="Rows that hu or sungen learn weights on.",
        ),
    ] = None,
    meta_rate: Annotated[
        float,
        typer.Option(
            "--meta-rate", rich_help_panel=_OF_CLASSIFIERS, help="Of hu and sungen: how fast weights are learnt."
        ),
    ] = 0.1,
    meta_step: Annotated[
        float,
        typer.Option("--meta-step", rich_help_panel=_OF_CLASSIFIERS, help="Of hu and sungen: the step looked ahead."),
    ] = 0.1,
    arms: Annotated[
        str | None,
        typer.Option(
            "--arms",
            metavar="NAME,…",
            show_default=False,
            rich_help_panel=_OF_CLASSIFIERS,
            help="Ways to train beside each other, or all.",
        ),
    ] = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--real",
            metavar="FILE",
            show_default=False,
            rich_help_panel=_OF_CLASSIFIERS,
            help="Of --arms: the weigher's real rows.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            show_default="1 / labels",
            rich_help_panel=_OF_CLASSIFIERS,
            help="Of the arm filter: rows of more quality stay.",
        ),
    ] = None,
    gamma: Annotated[float, typer.Option("--gamma", rich_help_panel=_OF_CLASSIFIERS, help="Of focal.")] = 1.0,
    temperature: Annotated[
        float,
        typer.Option("--temperature", rich_help_panel=_OF_CLASSIFIERS, help="Of dimp: above 1 weights are more alike."),
    ] = 1.0,
    cap: Annotated[
        float | None,
        typer.Option(
            "--cap", show_default=False, rich_help_panel=_OF_CLASSIFIERS, help="Of dimp: the most a row may count."
        ),
    ] = None,
    dynamics: Annotated[
        bool,
        typer.Option(
            "--dynamics",
            rich_help_panel=_OF_CLASSIFIERS,
            help="Record logits after each epoch, for `curate difficulty`.",
        ),
    ] = False,
    allow_shared: AllowSharedOption = False,
    part_tokens: PartTokensOption = 2048,
    precision: PrecisionOption = "float32",
    gradient_checkpointing: CheckpointingOption = False,
    shard: ShardOption = False,
    save_every: SaveEveryOption = 0,
    report_to: ReportToOption = "none",
    name: Annotated[str, typer.Option("--name", help="What the run folder calls the model.")] = "trained",
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
    """Fine-tune a causal language model, or train a classifier, on rows, weights honoured.

    Rows alone, without a MODEL, train a classifier that starts from minilm.

    What comes out is an adapter, or with --method full, and from peft:ADAPTER, a whole model in float32; either loads
    with `from_pretrained`. Of an encoder, e.g. minilm, it is a classifier of the rows' labels.
    """
    if rows is None:
        model, rows = "minilm", _only_rows(model)
    call = dict(locals())
    classifier = is_classifier(model, task)
    problems = _in_vain(call, classifier)
    if classifier:
        if problems:
            raise SettingsError(problems)
        train_rows(call, reading)
        return
    from unflaw.train import finetune, problems_of_training

    chosen = {name: value if call[name] is None else call[name] for name, value in DEFAULTS.items()}
    settings: dict[str, Any] = {
        "method": method, "steps": steps, "lora_rank": lora_rank, **chosen,
        "learning_rate": LEARNING_RATES.get(method) if learning_rate is None else learning_rate, "target": target,
        "precision": precision, "save_every": save_every, "seed": seed, "shard": shard,
    }  # fmt: skip
    problems += problems_of_training(
        {**settings, "model": model, "device": device, "part_tokens": part_tokens, "report_to": report_to}
    )
    if problems := problems + problems_of_call([model], call, reading, rows):
        raise SettingsError(problems)
    path = model_path(out, run, name)
    data = reading.rows(rows, limit)
    if dry_run:
        emit({"rows": len(data), "out": path, **settings}, as_json, f"would train {model} on {len(data)} rows → {path}")
        return
    given = {"model": model, "rows": rows, "limit": limit, **reading.settings(), **settings}
    with training_step(run, f"train {name}", given, [rows], resume, overwrite) as f:
        reading.keep(f)
        if f is not None and out is None:
            f.path_for_model(name)
        with freed_at_once(gradient_checkpointing), watched_steps("training steps", ("loss",)) as on_step:
            done = finetune(
                model, data, path, **settings, resume=resume, device=device, part_tokens=part_tokens,
                gradient_checkpointing=gradient_checkpointing, report_to=report_to, on_step=on_step,
            )  # fmt: skip
        if f is not None:
            f.add_curve(name, done.curve, done.notes)
    for note in done.notes:
        console.print(note, soft_wrap=True)
    words = f"{done.steps} steps, {done.tokens} tokens in {done.seconds:.0f} s → {path}"
    emit({**summary(done), "rejected": reading.told()}, as_json, words)


def _only_rows(named: str) -> str:
    """Return the one argument of a call where it names rows. Raises SettingsError where it is a model."""
    from unflaw.models import parse_spec

    try:
        parse_spec(named)
    except SpecError:
        return named
    raise SettingsError(f"`FILE` must name rows, got a model alone: `unflaw train {named} FILE`")


def _in_vain(call: Mapping[str, Any], classifier: bool) -> list[str]:
    """Say which options a call has no use for."""
    causal, of = "a language model", "a classifier: --task classifier"
    arms = call["arms"] is not None
    ways = {*named_arms(call["arms"])} if arms else {call["objective"]}
    own = {"gamma": ("focal",), **dict.fromkeys(("temperature", "cap"), ("dimp",)),
           **dict.fromkeys(("meta_rate", "meta_step"), ("hu", "sungen"))}  # fmt: skip
    uses = {
        **{n: (not classifier, causal) for n in ("method", "lora_rank", "target", "part_tokens", "shard")},
        "gradient_checkpointing": (not classifier, causal),
        **{n: (classifier, of) for n in ("validation", "allow_shared", "arms")},
        **{n: (classifier, of) for n in ("objective", "meta", "dynamics")},
        **{n: (arms, "--arms") for n in ("real", "threshold")},
        **{n: (not ways.isdisjoint(of), " or ".join(of)) for n, of in own.items()},
        "name": (call["out"] is None or call["run"] is not None, "--run"),
    }
    if not classifier:
        uses["lora_rank"] = (call["method"] == "lora", "--method lora")
    elif arms:
        each = ("objective", "meta", "dynamics", "save_every", "report_to", "name")
        uses |= {name: (False, "one model: leave out --arms") for name in each}
    return in_vain(train, call, uses)


def problems_of_call(
    models: Sequence[str | None], call: Mapping[str, Any], reading: Reading, *files: str | None
) -> list[str]:
    """Say what is wrong with where things are: models, files of rows, and the place of the new model."""
    from unflaw.models import find_causal

    specs = [partial(find_causal, model) for model in models if model is not None]
    return mistakes(*specs, partial(problems_of_folder, models, call)) + reading.problems(*files)


def problems_of_folder(models: Sequence[str | None], call: Mapping[str, Any]) -> None:
    """Refuse a place for the new model where one is lost. Raises SettingsError."""
    from unflaw.train import refuse_own_folder, weight_files

    path = model_path(call["out"], call["run"], call["name"])
    refuse_own_folder(path, models)
    goes_on = call["resume"] and any(path.glob("checkpoint-*"))
    if call["out"] is not None and not (call["overwrite"] or goes_on) and weight_files(path):
        raise SettingsError(f"`--out` holds a model already, got {path}; name another folder, or add --overwrite")


def model_path(out: Path | None, run: Path | None, name: str) -> Path:
    """Return where the model goes."""
    if out is not None:
        refuse_in_file("--out", out)
        return out
    if run is None:
        raise SettingsError("`--out` or `--run` must say where the model goes, got neither")
    return run / "models" / name


def summary(done: Trained) -> dict[str, Any]:
    """Return what `--json` prints of a training run."""
    return {
        "model": str(done.path), "steps": done.steps, "tokens": done.tokens, "seconds": round(done.seconds, 1),
        "processes": done.settings["processes"], "notes": list(done.notes), "curve": done.curve,
    }  # fmt: skip


@contextmanager
def training_step(
    run: Path | None, step: str, settings: dict[str, Any], sources: list[str], resume: bool, overwrite: bool
) -> Iterator[RunFolder | None]:
    """Open the run folder for a step that trains, if there is one."""
    from unflaw.train import is_main_process

    if not is_main_process():  # under `accelerate launch` one process keeps the books
        console.quiet = out.quiet = True
        run = None
    with run_step(run, step, sources, settings, resume=resume, overwrite=overwrite) as folder:
        yield folder


@contextmanager
def watched_steps(label: str, terms: tuple[str, ...], every: int = 5) -> Iterator[Any]:
    """Yield an `on_step` that draws the progress and now and then writes the terms of the loss."""
    import math

    with bar(label) as progress:

        def on_step(step: dict[str, float]) -> None:
            done, total = int(step["step"]), int(step["total"])
            if "guard" in step:
                console.print(f"  step {done}: guard perplexity {math.exp(min(step['guard'], 50.0)):.2f}")
                return
            progress(done, total)
            if done % every == 0 or done in (1, total):
                console.print(f"  step {done}: " + ", ".join(f"{t} {step[t]:.3f}" for t in terms if t in step))

        yield on_step
