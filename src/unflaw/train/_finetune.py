"""Supervised fine-tuning of a causal language model on rows, weights honoured."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SettingsError, SpecError, TooFewRowsError, UnflawError
from unflaw.data import Rows
from unflaw.models import device_problem, head_fits, is_split, most_tokens, open_causal, quietly
from unflaw.train._causal import add_lora, head_of, head_parameters, hidden_at
from unflaw.train._encode import Encoded, encode_rows, plan_batches
from unflaw.train._parts import Part, RowSet
from unflaw.train._processes import is_main_process, processes
from unflaw.train._resume import Curve, claim
from unflaw.train.losses import cross_entropy

__all__ = [
    "Trained",
    "finetune",
    "left_out",
    "open_trainable",
    "pad_id_of",
    "problems_of_precision",
    "problems_of_training",
    "run_trainer",
    "save_model",
    "usable",
    "weight_files",
]


@dataclass(frozen=True)
class Trained:
    """A model that training wrote, and how it went."""

    path: Path
    """Loads with `from_pretrained`; after LoRA the adapter, or all weights where the start had an adapter already."""
    curve: list[dict[str, float]]
    """One dict per step: step, loss, other terms, learning_rate, grad_norm."""
    steps: int
    tokens: int
    """Tokens that went through the model, prompts included, padding not."""
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the user should know, e.g. why a run stopped early."""
    forgotten: list[list[tuple[str, bool]]] = field(default_factory=list)
    """Of unlearning: the first forget rows' answers in pieces, True where the tokens of a piece were forgotten."""


def finetune(
    model: str,
    rows: Rows,
    out: str | Path,
    *,
    epochs: float = 1.0,
    steps: int | None = None,
    batch_size: int = 8,
    learning_rate: float = 2e-4,
    method: str = "full",
    lora_rank: int = 16,
    target: str = "response",
    max_tokens: int = 512,
    part_tokens: int = 2048,
    seed: int = 0,
    save_every: int = 0,
    resume: bool = False,
    device: str = "cpu",
    precision: str = "float32",
    gradient_checkpointing: bool = False,
    shard: bool = False,
    report_to: str = "none",
    on_step: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Fine-tune `model` on `rows` and write a checkpoint to `out`.

    The loss is the token mean of cross-entropy over the positions that count, each scaled by its row's
    `weight` if the rows have that column. Logits are built in chunks of positions and only where a
    token counts.

    Parameters
    ----------
    model : a spec string that names weights ("smollm2", "hf:…", "peft:…").
    steps : optimiser steps; overrides `epochs`.
    method : "full" trains every weight, "lora" a rank-`lora_rank` adapter on all linear layers.
    target : "response" or "full": which tokens count.
    epochs : times every row is seen.
    learning_rate : peak of the schedule. Adapters bear more than all weights do: the command line takes 1e-3 and 5e-5.
    batch_size : rows per step, over all processes.
    max_tokens : longer rows are cut on the right, at the latest where the model's context ends.
    part_tokens : a batch goes through the model in parts of at most this many tokens; less takes less memory, and
        the result is the same.
    precision : "float32", or "bfloat16" for the products; weights and sums stay float32, but for the weights under
        an adapter, which are not trained.
    gradient_checkpointing : compute activations again in the backward pass: less memory, 1.3 to 1.6 times the time.
    shard : split the weights over the processes (FSDP2), for models that one card does not hold.
    report_to : where the curve goes besides, e.g. "tensorboard", "wandb"; what transformers knows.
    resume : go on from the last checkpoint in `out` (needs `save_every`), which must be of the same settings and rows.

    Raises
    ------
    SettingsError : all settings that break their rule, together.
    TooFewRowsError : no row has a token that counts.
    """
    settings = {k: v for k, v in locals().items() if k not in ("rows", "out", "on_step")}
    if problems := problems_of_training(settings):
        raise SettingsError(problems)
    out = Path(out)
    import torch

    from unflaw.train._chunks import fused_mean
    from unflaw.train._trainer import Plan, build_trainer

    state = processes(device, shard=shard)
    shards = state.num_processes if shard else 1
    causal, tokenizer, merged = open_trainable(
        model, device, gradient_checkpointing, shards, precision, frozen=method == "lora"
    )
    max_tokens = min(max_tokens, most_tokens(causal) or max_tokens)
    encoded = encode_rows(rows, tokenizer, target=target, max_tokens=max_tokens)
    notes = left_out(encoded, "rows", max_tokens)
    row_set = RowSet("rows", usable(encoded, "rows"), pad_id_of(tokenizer), part_tokens, even=shard)
    with state.main_process_first():
        done = claim(out, settings, {"rows": rows}, resume=resume)
    n_steps = steps or math.ceil(epochs * math.ceil(len(row_set.rows) / batch_size))
    batches = plan_batches(row_set.lengths, batch_size, n_steps, np.random.default_rng(seed))
    if method == "lora":
        causal = add_lora(causal, lora_rank, seed)
    head = head_of(causal)
    curve = Curve(
        out / "curve.jsonl" if save_every else None, done, lambda step: on_step and on_step({**step, "total": n_steps})
    )

    def objective(model: Any, parts: list[Part]) -> dict[str, Any]:
        (part,) = parts
        h, y, weight, _ = hidden_at(model, part.batch)
        mix, count = weight.new_ones(1), torch.tensor(part.positions)
        loss, _ = fused_mean(
            lambda h, y: cross_entropy(head(h), y)[:, None], mix, count, weight, h, y,
            parameters=head_parameters(model),
        )  # fmt: skip
        return {"loss": loss}

    plan = Plan(batches, lambda *step: [[part] for part in row_set.parts(*step)], state.num_processes)
    trainer = build_trainer(
        causal, objective, plan, out, learning_rate=learning_rate, seed=seed, warmup=0.1, save_every=save_every,
        on_step=curve.add, device=device, precision=precision, report_to=report_to,
    )  # fmt: skip
    seconds = run_trainer(trainer, resume=done > 0)
    save_model(causal, tokenizer, out, whole=merged)
    tokens = sum(len(row_set.rows[i].ids) for batch in batches for i in batch)
    settings["processes"] = state.num_processes
    return Trained(out, curve.steps, n_steps, tokens, seconds, settings, notes)


def run_trainer(trainer: Any, *, resume: bool) -> float:
    """Train, from the last checkpoint if asked; return the seconds it took.

    Raises UnflawError, with the settings that take less, when the device has no memory left.
    """
    import torch

    started = time.perf_counter()
    try:
        trainer.train(resume_from_checkpoint=resume)
    except torch.OutOfMemoryError as error:
        told = str(error).split(". ")[0]
        raise UnflawError(
            f"the device has no memory left ({told}); take a smaller `part_tokens`, `gradient_checkpointing`, "
            "`precision` bfloat16 or `method` lora"
        ) from error
    return time.perf_counter() - started


def open_trainable(
    model: str,
    device: str,
    gradient_checkpointing: bool = False,
    shards: int = 1,
    precision: str = "float32",
    frozen: bool = False,
) -> tuple[Any, Any, bool]:
    """Open a model to train, one of so many shards: (model, tokenizer, whether an adapter was merged into it).

    `frozen`: what is trained is an adapter to come.

    Raises SpecError where the model makes its logits in a way that the losses here would not follow.
    """
    causal, tokenizer = open_causal(model, device, shards=shards, precision=precision, frozen=frozen)
    if not head_fits(causal):
        raise SpecError(
            f"`{model}` cannot be trained here: {type(causal).__name__} does more to its logits than we know of"
        )
    merged = hasattr(causal, "merge_and_unload")
    if merged:
        causal = causal.merge_and_unload()
    causal.requires_grad_(True)  # weights that came under an adapter are frozen
    if gradient_checkpointing:
        renamed = getattr(causal, "activation_checkpointing_enable", None)  # since transformers 5.2x
        (renamed or causal.gradient_checkpointing_enable)({"use_reentrant": False})
    return causal, tokenizer, merged


def save_model(model: Any, tokenizer: Any, out: Path, *, whole: bool) -> None:
    """Write a checkpoint that `from_pretrained` loads: an adapter after LoRA, else all weights.

    With `whole` LoRA is merged first: an adapter on top of a merged model would need a base that is
    nowhere on disk.
    """
    if whole and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    more: dict[str, Any] = {}
    if is_split(model) and hasattr(model, "disable_adapter"):  # left alone, peft would gather the whole base
        more["state_dict"] = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not is_main_process():
        if is_split(model) and not more:
            model.save_pretrained(out, is_main_process=False)  # hands over its part, writes nothing
        return
    for stale in weight_files(out):
        stale.unlink()  # an adapter left beside whole weights would be loaded in their place
    with quietly():
        model.save_pretrained(out, **more)
    tokenizer.save_pretrained(out)


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights, or of an adapter's, in a folder."""
    return [path for pattern in ("adapter_*", "model*.safetensors*", "pytorch_model*") for path in folder.glob(pattern)]


def pad_id_of(tokenizer: Any) -> int:
    """Id to pad with; padding never counts, so any id serves where there is none for it."""
    return next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)


def usable(encoded: list[Encoded], name: str) -> list[Encoded]:
    """Keep rows with at least one token that counts; refuse when none is left."""
    kept = [e for e in encoded if any(w > 0 for w in e.weight)]
    if not kept:
        raise TooFewRowsError(
            f"`{name}` must hold at least one row with a token that counts, got none of {len(encoded)}"
        )
    return kept


def left_out(encoded: Sequence[Encoded], name: str, max_tokens: int) -> tuple[str, ...]:
    """Say how many rows of a set were cut, how many of those have lost all that counts, how many have lost turns."""
    cut, flat = [e for e in encoded if e.cut], sum(e.flat for e in encoded)
    lost = sum(not any(e.weight) for e in cut)
    told = []
    if cut:
        rest = f", {lost} of them left out, as nothing that counts remained" if lost else ""
        told.append(f"{len(cut)} of {len(encoded)} `{name}` were cut at {max_tokens} tokens{rest}")
    if flat:
        told.append(
            f"{flat} of {len(encoded)} `{name}` have turns that the model's chat template refuses, and were read as one"
        )
    return tuple(told)


def _problems_of_reporting(name: str) -> list[str]:
    from transformers.integrations import integration_utils

    known = sorted(integration_utils.INTEGRATION_TO_CALLBACK)
    if name not in known:
        return [f"`report_to` must be none or one of {', '.join(known)}, got {name!r}"]
    if name not in integration_utils.get_available_reporting_integrations():  # type: ignore[no-untyped-call]
        package = "unflaw[tensorboard]" if name == "tensorboard" else name
        return [f"`report_to` is {name!r}, which is not installed; pip install '{package}'"]
    return []


def problems_of_training(settings: Mapping[str, Any]) -> list[str]:
    """Name all settings that break their rule."""
    problems = [
        f"`{name}` must be a positive number, got {settings[name]}"
        for name in (
            "epochs", "steps", "batch_size", "learning_rate", "lora_rank", "max_tokens", "part_tokens", "guard_every",
            "patience",
        )
        if settings.get(name) is not None and not 0 < settings[name] < math.inf
    ]  # fmt: skip
    if settings.get("save_every", 0) < 0:
        problems.append(f"`save_every` must not be negative, got {settings['save_every']}; 0 saves no checkpoints")
    if settings.get("steps") and settings.get("save_every", 0) > settings["steps"]:
        problems.append(f"`save_every` {settings['save_every']} of {settings['steps']} `steps` saves no checkpoint")
    if settings.get("target", "response") not in ("response", "full"):
        problems.append(f"`target` must be response or full, got {settings['target']!r}")
    if settings.get("report_to", "none") != "none":
        problems += _problems_of_reporting(settings["report_to"])
    if settings["method"] not in ("full", "lora"):
        problems.append(f"`method` must be 'full' or 'lora', got {settings['method']!r}")
    problems += _problems_of_shard(settings) if settings.get("shard") else []
    return problems + problems_of_precision(settings["precision"], settings["device"])


def _problems_of_shard(settings: Mapping[str, Any]) -> list[str]:
    import torch
    import transformers

    try:
        from transformers.distributed.configuration_utils import DistributedConfig
    except ImportError:
        splits = False
    else:
        splits = hasattr(DistributedConfig, "dp_size")
    problems = []
    if os.environ.get("WORLD_SIZE", "1") == "1":
        problems.append("`shard` splits the weights over processes, and this is one; start more: accelerate launch")
    problems += [
        f"`{name}` must be merged into its base for `shard`, which splits no adapter, got {settings[name]}"
        for name in ("model", "before")
        if str(settings.get(name)).startswith("peft:")
    ]
    if settings["device"] == "cpu" and torch.cuda.is_available():
        problems.append("`shard` puts the weights on this machine's cards, got `device` cpu; take cuda")
    if not splits:
        problems.append(f"`shard` needs a later transformers (5.23 is tested), got {transformers.__version__}")
    return problems


def problems_of_precision(precision: str, device: str) -> list[str]:
    """Say what is wrong with a precision, or with asking for it on a device."""
    known = precision in ("float32", "bfloat16")
    told = [] if known else [f"`precision` must be float32 or bfloat16, got {precision!r}"]
    return told + _problems_of_device(device, precision)


def _problems_of_device(device: str, precision: str) -> list[str]:
    number = re.fullmatch(r"cuda:(\d+)", device)
    if number and (number[1] != "0" or os.environ.get("WORLD_SIZE", "1") != "1"):
        return [
            f"`device` must be cpu, cuda or mps for training, got {device!r}; "
            f"choose the card by CUDA_VISIBLE_DEVICES={number[1]} and take cuda"
        ]
    if problem := device_problem(device):
        return [problem]
    import torch

    if precision == "bfloat16" and device not in ("cpu", "mps") and not torch.cuda.is_bf16_supported():
        return ["`precision` bfloat16 is not for this card; take float32"]
    return []
