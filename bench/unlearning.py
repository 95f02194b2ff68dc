"""What does a step of bounded unlearning cost, beside the plain one with two models and beside replay alone?

    python bench/unlearning.py                       # hours on two cores
    python bench/unlearning.py --lengths 128 --batches 1 8 --rounds 1    # the other lengths' rows stay as they were
    python bench/unlearning.py --device cuda         # on a card, in bfloat16: results/unlearning_cuda.json

Every arm and setting is a process of its own, so that its peak memory is its own; arms take turns, and the order is
turned round each time. All train SmolLM2 with the fused AdamW that `Trainer` takes, in float32 (on a card with bfloat16
autocast, as `Trainer` does), on the same rows: as many to forget as to replay, of equal length, the second half of each
counts. Arms:

    ours          `unflaw.repair`: no second model, logits only where a token counts and a chunk at a time
    ours_checkpointing    the same with gradient checkpointing (activations are computed twice and not kept), and memory
        given back as it is freed, as the command line does then
    two_models    the same three terms in plain transformers: full logits of all positions, a deep copy as reference
    reference     what `ours` does before the first step, for the replay rows of one: each row once, many at a time
    replay        what `Trainer` computes of the replay rows alone: what any training would cost
    body          forward and backward of the body on both sets and the optimizer, no head: what no step gets below
    forgetium     its KL minimisation, where it is installed (pip install forgetium): gradient ascent and KL, no replay
    ours_lora, two_models_lora    the same with an adapter of rank 16

Counted floor of a full step: multiply-adds of the body for both batches forward and backward (attention included,
causal half), of the head where a token counts (forward and backward, and once more for the reference's logits),
divided by the speed of a large matrix product measured in the same process. `share` of that speed is floor / step time.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _record import compare, write
from torch.nn import functional

from unflaw._cli._memory import freed_at_once

ARMS = (
    "ours", "ours_checkpointing", "two_models", "reference", "replay", "body", "forgetium", "ours_lora",
    "two_models_lora",
)  # fmt: skip
PAIRS = (
    ("ours", "two_models"),
    ("ours_checkpointing", "two_models"),
    ("ours_checkpointing", "ours"),
    ("ours", "replay"),
    ("ours", "body"),
    ("ours", "forgetium"),
    ("ours_lora", "two_models_lora"),
)
COUNTED = ("ours", "ours_checkpointing", "two_models")
"""Arms that do what the floor counts."""
WEIGHTS = {"w_forget": 0.1, "w_replay": 1.0, "w_kl": 0.1}
LIMIT = 21 * 2**30
"""Bytes an arm may take of the machine's memory, so that it fails by itself before the machine does."""
Losses = list[Callable[[], Any]]
"""What a step computes, part by part; each goes backward by itself."""


def main() -> None:
    """Measure and write bench/results/unlearning.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    here = [arm for arm in ARMS if arm != "forgetium" or find_spec(arm)]
    parser.add_argument("--arms", nargs="+", default=here, choices=ARMS)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.arm:
        with freed_at_once(arguments.arm == "ours_checkpointing"):
            print(json.dumps(measure(arguments.arm, arguments.lengths[0], arguments.batches[0], arguments.device)))
        return
    name = "unlearning" if arguments.device == "cpu" else "unlearning_cuda"
    rows: list[dict[str, Any]] = []
    rounds: dict[str, list[dict[str, float]]] = {}
    for length in arguments.lengths:
        for batch in arguments.batches:
            found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arguments.arms}
            for number in range(arguments.rounds):
                for arm in arguments.arms[:: 1 if number % 2 == 0 else -1]:
                    found[arm].append(in_process(arm, length, batch, arguments.device))
                    print(length, batch, arm, found[arm][-1], flush=True)
            setting = f"T{length}_B{batch}"
            rows += table(setting, found, arguments.device)
            rounds |= {f"{arm}_{setting}": of for arm, of in found.items()}
            write(name, rows, rounds, keep=True, device=arguments.device)


def in_process(arm: str, length: int, batch: int, device: str) -> dict[str, float]:
    """Run one arm by itself; an arm that does not fit into memory has no numbers."""
    command = [sys.executable, __file__, "--arm", arm, "--lengths", str(length), "--batches", str(batch)]
    done = subprocess.run([*command, "--device", device], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    full = ("allocate memory", "MemoryError", "OutOfMemoryError", "out of memory", "ALLOC_FAILED")
    if any(words in done.stderr for words in full) or done.returncode == -9:
        return {}
    raise SystemExit(done.stderr)


def table(setting: str, found: dict[str, list[dict[str, float]]], device: str) -> list[dict[str, Any]]:
    """Compare ours with each peer, round by round."""
    rows, rounding = [], 1e-3 if device == "cpu" else 1e-2
    for ours, peer in PAIRS:
        if not found.get(ours) or not found.get(peer):
            continue
        losses = [found[arm][0].get("loss", np.nan) for arm in (ours, peer)]
        same = (
            None
            if peer in ("replay", "body", "forgetium") or np.isnan(losses).any()
            else bool(np.allclose(*losses, rtol=rounding))
        )
        for job, unit in (("step_time", "s"), ("peak_memory", "GiB")):
            a, b = ([r.get(job, np.nan) for r in found[arm]] for arm in (ours, peer))
            package = "forgetium" if peer == "forgetium" else "transformers"
            theirs = f"{package} {version(package)}"
            rows.append(compare(f"{job}_{ours}_vs_{peer}_{setting}", unit, a, b, theirs, equal_answer=same))
    once = [r["step_time"] for r in found.get("reference", []) if r]
    for ours in ("ours", "ours_checkpointing"):
        a, b = ([r["step_time"] for r in found.get(arm, []) if r] for arm in (ours, "two_models"))
        if len(a) == len(b) == len(once) > 0:  # a replay row read for the first time costs this much more
            job = f"step_time_{ours}_rows_read_once_vs_two_models_{setting}"
            a = [step + reference for step, reference in zip(a, once, strict=True)]
            rows.append(compare(job, "s", a, b, f"transformers {version('transformers')}", equal_answer=None))
    for arm in COUNTED:
        if counted := [r for r in found.get(arm, []) if "floor" in r]:
            a, b = ([r[name] for r in counted] for name in ("step_time", "floor"))
            rows.append(compare(f"step_time_{arm}_vs_floor_{setting}", "s", a, b, "counted", equal_answer=None))
    return rows


def measure(arm: str, length: int, batch: int, device: str) -> dict[str, float]:
    """Take steps until they add up to some seconds; return the median, and what it took at most."""
    from unflaw.models import open_causal

    ceiling = matmul_speed(device)
    model, tokenizer = open_causal("smollm2", device)
    model.train()
    model.config.use_cache = False  # as `Trainer` does
    rng = np.random.default_rng(0)
    rows = {name: rng.integers(100, 40_000, (batch, length)).tolist() for name in ("forget", "replay")}
    with tempfile.TemporaryDirectory() as folder:
        if device == "cpu":  # what a card's driver maps is not what a step takes
            resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
        parts, model = STEPS[arm](model, rows, tokenizer.pad_token_id, Path(folder))
        move(model)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6, fused=True)
        times, losses = [], []
        while len(times) < 2 or (sum(times) < 12 and len(times) < 12):  # the first warms up
            started = time.perf_counter()
            losses.append(gradients(parts, device))
            optimizer.step()
            optimizer.zero_grad()
            wait_for(device)
            times.append(time.perf_counter() - started)
    seconds = float(np.median(times[1:])) / (steps_at_once(batch, length) if arm == "reference" else 1)
    found = {
        "step_time": seconds,
        "tokens_per_second": (1 if arm in ("reference", "replay") else 2) * batch * length / seconds,
        "loss": losses[0],
    }
    if arm in COUNTED:
        floor = flops(model, batch, length) / ceiling
        found |= {"floor": floor, "gflops": ceiling / 1e9, "share": floor / seconds}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    return found | {"peak_memory": (peak if device == "cpu" else torch.cuda.max_memory_allocated()) / 2**30}


def move(model: Any) -> None:
    """Move what is trained away from its reference, alike in every arm, so that equal losses say something of KL."""
    generator = torch.Generator(model.device).manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=generator, device=p.device), alpha=2e-3)


def gradients(parts: Losses, device: str) -> float:
    """Go forward and backward through the parts of a step; return its loss."""
    total: Any = 0.0
    for loss_of in parts:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = loss_of()
        loss.backward()
        total = total + loss.detach()
    return float(total)


def wait_for(device: str) -> None:
    """Wait until a card has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def matmul_speed(device: str) -> float:
    """Floating-point operations per second of a large matrix product."""
    n, dtype = (2048, torch.float32) if device == "cpu" else (8192, torch.bfloat16)
    a, b = torch.randn(2, n, n, device=device, dtype=dtype)
    best = 0.0
    for _ in range(5):
        wait_for(device)
        started = time.perf_counter()
        a @ b
        wait_for(device)
        best = max(best, 2 * n**3 / (time.perf_counter() - started))
    return best


def flops(model: Any, batch: int, length: int) -> float:
    """Count what a full three-term step cannot do without."""
    config = model.config
    head = config.vocab_size * config.hidden_size
    body = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2) - head  # tied: embedding and head are one
    attention = 2 * config.num_hidden_layers * config.hidden_size * length / 2  # scores and their sums, causal half
    tokens, counted = 2 * batch * length, 2 * batch * (length // 2)
    forward = 2 * (body + attention) * tokens + 2 * head * counted
    return 3 * forward + 2 * head * counted / 2


def ours(model: Any, rows: dict[str, Any], pad_id: int, folder: Path, lora: bool = False) -> tuple[Losses, Any]:
    """Return the step of `unflaw.repair`, and what it trains."""
    from unflaw.repair import FORGETTING
    from unflaw.repair._reference import adapter_off, cached_states
    from unflaw.repair._terms import ThreeTerms
    from unflaw.train import Encoded, RowSet, add_lora, together

    sets = {
        name: RowSet(name, [Encoded(ids, counts(len(ids))) for ids in of], pad_id, 2048) for name, of in rows.items()
    }
    everything = list(range(len(rows["replay"])))
    if lora:
        model = add_lora(model, 16, seed=0)
        reference = adapter_off(model)
    else:
        reference = cached_states(model, sets["replay"], everything, folder)
    terms = ThreeTerms(FORGETTING["bounded"], {"replay": reference}, **WEIGHTS)
    parts = [part.to(model.device) for of in sets.values() for part in of.parts(everything)]

    def loss_of(parts: list[Any]) -> Any:
        return terms(model, parts)["loss"]

    return [partial(loss_of, some) for some in together(parts, 2048)], model


def two_models(model: Any, rows: dict[str, Any], pad_id: int, folder: Path, lora: bool = False) -> tuple[Losses, Any]:
    """Return the plain step: full logits, a deep copy as reference, means over the positions that count."""
    from unflaw.train import add_lora

    reference = copy.deepcopy(model).eval().requires_grad_(False)
    if lora:
        model = add_lora(model, 16, seed=0)
    ids = {name: torch.tensor(of, device=model.device) for name, of in rows.items()}
    mask = torch.tensor(counts(ids["replay"].shape[1]), device=model.device)[None, 1:].expand(len(ids["replay"]), -1)
    mask = mask.bool()

    def loss_of() -> Any:
        z = model(input_ids=ids["forget"]).logits[:, :-1]
        gold = ids["forget"][:, 1:, None]
        rest = z.scatter(-1, gold, float("-inf")).logsumexp(-1)
        forget = functional.softplus(z.gather(-1, gold)[..., 0] - rest)[mask].mean()
        labels = ids["replay"][:, 1:].masked_fill(~mask, -100)
        z = model(input_ids=ids["replay"]).logits[:, :-1]
        with torch.no_grad():
            before = reference(input_ids=ids["replay"]).logits[:, :-1].log_softmax(-1)
        replay = functional.cross_entropy(z.flatten(0, 1), labels.flatten())
        kl = functional.kl_div(z.log_softmax(-1), before, reduction="none", log_target=True).sum(-1)[mask].mean()
        return WEIGHTS["w_forget"] * forget + WEIGHTS["w_replay"] * replay + WEIGHTS["w_kl"] * kl

    return [loss_of], model


def reference_alone(model: Any, rows: dict[str, Any], pad_id: int, folder: Path) -> tuple[Losses, Any]:
    """Return what `ours` does with the replay rows of a step before the first step: no gradient, so a zero with one."""
    from unflaw.repair._reference import cached_states
    from unflaw.train import Encoded, RowSet

    several = rows["replay"] * steps_at_once(*np.shape(rows["replay"]))
    replay = RowSet("replay", [Encoded(ids, counts(len(ids))) for ids in several], pad_id, 2048)
    none = torch.zeros((), requires_grad=True, device=model.device)

    def loss_of() -> Any:
        cached_states(model, replay, list(range(len(replay.rows))), folder)
        return none * 1.0

    return [loss_of], model


def steps_at_once(batch: int, length: int) -> int:
    """How many steps' rows the pass before the first step takes at once."""
    return max(1, 2048 // (batch * length))


def replay_alone(model: Any, rows: dict[str, Any], pad_id: int, folder: Path) -> tuple[Losses, Any]:
    """Return what `Trainer` computes of the replay rows alone."""
    batch = labelled(rows["replay"], model.device)
    return [lambda: model(**batch).loss], model


def labelled(rows: list[list[int]], device: Any) -> dict[str, Any]:
    """Return rows as a batch of transformers, labels where a token counts."""
    ids = torch.tensor(rows)
    labels = ids.masked_fill(~torch.tensor(counts(ids.shape[1])).bool()[None], -100)
    return {"input_ids": ids.to(device), "labels": labels.to(device)}


def body_alone(model: Any, rows: dict[str, Any], pad_id: int, folder: Path) -> tuple[Losses, Any]:
    """Return a pass through everything but the head, of as many rows at once as ours takes."""
    ids = torch.tensor(rows["forget"] + rows["replay"], device=model.device)

    def loss_of(part: Any) -> Any:
        return model.model(input_ids=part).last_hidden_state.mean()

    return [partial(loss_of, part) for part in ids.split(max(1, 2048 // ids.shape[1]))], model


def forgetium(model: Any, rows: dict[str, Any], pad_id: int, folder: Path) -> tuple[Losses, Any]:
    """Return the step of forgetium's KL minimisation, without its progress and logs."""
    from forgetium.core.config import UnlearningConfig
    from forgetium.methods import KLMinimizationUnlearner

    method = KLMinimizationUnlearner(model, None, UnlearningConfig(device=model.device.type))
    method.prepare()
    batches = [labelled(rows[name], model.device) for name in ("forget", "replay")]
    whole = [batch | {"attention_mask": torch.ones_like(batch["input_ids"])} for batch in batches]
    return [lambda: method.compute_loss(*whole)[0]], model


def counts(length: int) -> list[float]:
    """Let the second half of a row count."""
    return [0.0] * (length - length // 2) + [1.0] * (length // 2)


def ours_checkpointing(model: Any, *given: Any) -> tuple[Losses, Any]:
    """Return the step of `unflaw.repair` with gradient checkpointing."""
    model.gradient_checkpointing_enable()
    return ours(model, *given)


STEPS: dict[str, Callable[..., tuple[Losses, Any]]] = {
    "ours": ours,
    "ours_checkpointing": ours_checkpointing,
    "two_models": two_models,
    "reference": reference_alone,
    "replay": replay_alone,
    "body": body_alone,
    "forgetium": forgetium,
    "ours_lora": lambda *given: ours(*given, lora=True),
    "two_models_lora": lambda *given: two_models(*given, lora=True),
}


if __name__ == "__main__":
    main()
