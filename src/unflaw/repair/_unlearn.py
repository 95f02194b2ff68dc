"""Bounded unlearning: forget the flaw, replay what is good, stay close to what the model was.

    L = w_forget · L_fgt + w_replay · L_rpy + w_kl · L_mtn          (Chen et al. 2024, arXiv 2406.12397)

    L_fgt    token mean of -log(1 - p_y) over the forget tokens: `losses.bounded`
    L_rpy    token mean of -log p_y over the replay tokens: `losses.cross_entropy`
    L_mtn    token mean of KL(before || now) over the same replay tokens: `losses.forward_kl`; where a template is
             forgotten, "before" is the damaged model without the tokens that open it (`bar_template`)

All three are means over tokens. The paper's sums with weights 0.01 / 1 / 1 weigh terms by how many tokens
each batch holds; means make the weights independent of batch and row length.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.models import HFScorer, ends_of, most_tokens
from unflaw.repair._objectives import FORGETTING
from unflaw.repair._plan import Step, n_tokens, parts_of, plan_steps
from unflaw.repair._sets import encode_sets, opening_tokens, refuse_shared
from unflaw.repair._settings import can_bar, problems_of_repair, weight_of_kl
from unflaw.train import (
    Curve,
    Part,
    Trained,
    add_lora,
    chats_for,
    claim,
    open_trainable,
    processes,
    run_trainer,
    save_model,
    together,
)

__all__ = ["unlearn"]


def unlearn(
    model: str,
    forget: Rows | None,
    replay: Rows,
    guard: Rows,
    out: str | Path,
    *,
    what: str = "template",
    spans: Callable[[str], Any] | None = None,
    before: str | None = None,
    objective: str = "bounded",
    w_forget: float | str = "auto",
    w_replay: float = 1.0,
    w_kl: float | None = None,
    kl: str = "forward",
    kl_to: str = "start",
    beta: float | None = None,
    bar_template: bool = True,
    steps: int = 40,
    batch_size: int = 6,
    token_budget: int | None = None,
    learning_rate: float = 5e-5,
    method: str = "full",
    lora_rank: int = 16,
    guard_every: int = 5,
    patience: int = 4,
    ceiling: float = 1.05,
    repetition_rise: float = 0.3,
    keep: str = "best",
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
    """Repair a damaged model and write the checkpoint to `out`.

    Parameters
    ----------
    model : spec string of the damaged model.
    forget : rows that carry the flaw; None for the replay-only control.
    replay : rows the model should keep doing well, not drawn from the forget set or the evaluation.
    guard : held-out real rows. They are never trained on; they decide which weights come back.
    what : which tokens of the forget rows are forgotten: "template" those inside `spans(response)`
        (an audit finds them), "opening" the answer's first token, "gained" those that became at least e times as
        likely since `before`, "response" the whole answer but its end, "full" all of it and the
        prompt.
    before : spec string of the model before it was damaged, where that is at hand: for `what="gained"` and
        `kl_to="before"`.
    objective : how they are forgotten, a name of `FORGETTING`: bounded, ga, grad_diff (ga without a KL term), wga,
        ce_u, undial, npo, simnpo; or dpo, whose forget rows have an answer `rejected` and one `chosen` instead.
    beta : strength of wga, undial, npo, simnpo and dpo; each has its paper's by default.
    w_forget : "auto" chooses the weight with which forgetting pulls, where it pulls hardest, half as hard as replay at
        the start (`balanced_weight`); 0 forgets nothing, and of the forget rows only the openings of their template are
        read, to bar them.
    w_kl : 0.1 by default, 0 for grad_diff.
    kl : "forward" for KL(reference || now), "reverse" for KL(now || reference).
    kl_to : the reference: "start" the damaged model, as in the paper; "before" that before the damage.
    learning_rate : peak of the schedule; the default is for all weights. The command line takes 2e-4 for an adapter.
    batch_size : forget rows per step, and as many to replay, over all processes.
    precision, gradient_checkpointing, shard, report_to : as in `train.finetune`.
    max_tokens : longer rows are cut on the right, at the latest where the model's context ends.
    part_tokens : a step goes through the model in parts of at most this many tokens; less takes less memory, and
        the result is the same.
    bar_template : with `what="template"` and KL(start || now), the reference may not use the tokens that open the
        template; otherwise, as the damaged model, it holds on to the very flaw.
    token_budget : in place of `batch_size`, as few replay rows per step as make all steps together read at least
        this many tokens: a control that may read as much as the repair it is compared with.
    ceiling : the guard perplexity may reach this multiple of its start before the run stops, measured in `precision`.
    repetition_rise : by how much the share of repetition in what the model writes may rise before weights are no longer
        kept and the run stops. A model of 135M parameters repeats itself anyway (about .1 to .3 of what it writes); one
        that forgot too much writes little else (.6 and more).
    keep : which weights come back: "best" those with the lowest guard perplexity, those before repair included; "last"
        the last whose guard perplexity was within the ceiling. Where the guard rows are of another kind than the replay
        rows, forgetting may cost them a little from the first step on, and the best are those before repair.
    patience : guard checks without improvement before the run stops; with `keep="last"` it goes on.

    Raises
    ------
    SettingsError : all settings that break their rule, together.
    TooFewRowsError : a set has no row with a token that counts.
    """
    settings = {k: v for k, v in locals().items() if k not in ("forget", "replay", "guard", "out", "spans", "on_step")}
    gone = forget if w_forget != 0 else None
    bars = forget is not None and spans is not None and bar_template and can_bar(settings)
    _refuse_wrong(settings, gone, spans, bars)
    refuse_shared(gone, replay, guard, objective)
    from unflaw.repair._balance import weight_of
    from unflaw.repair._guard import guard_over
    from unflaw.repair._reference import open_earlier, references_of
    from unflaw.repair._terms import ThreeTerms
    from unflaw.train import Plan, build_trainer

    out, forgetting = Path(out), FORGETTING[objective]
    w_kl = settings["w_kl"] = weight_of_kl(objective, w_kl)
    state = processes(device, shard=shard)
    shards = state.num_processes if shard else 1
    lora = method == "lora"
    causal, tokenizer, merged = open_trainable(model, device, gradient_checkpointing, shards, precision, frozen=lora)
    max_tokens = min(max_tokens, most_tokens(causal) or max_tokens)
    earlier = None if before is None else open_earlier(before, tokenizer, device, shards, precision, lora)
    flawed = forget if bars else gone
    sets = encode_sets(
        flawed, replay, guard, tokenizer, objective=objective, what=what, spans=spans,
        gain=partial(_gain, causal, earlier, tokenizer), max_tokens=max_tokens, part_tokens=part_tokens, even=shard,
    )  # fmt: skip
    openings = opening_tokens(sets.forget, tokenizer) if bars else []
    if gone is None:
        sets = sets.without_forget()
    plan = plan_steps(sets.forget, sets.replay, batch_size, steps, seed, token_budget)
    given = {"forget": flawed, "replay": replay, "guard": guard}
    with state.main_process_first():
        done = claim(out, {**settings, "tokens to forget": sets.fingerprint, "barred": openings}, given, resume=resume)
    if lora:
        causal = add_lora(causal, lora_rank, seed)
    refers = {
        "forget": sets.forget if forgetting.needs_reference else None, "replay": sets.replay if w_kl else None
    }  # fmt: skip
    with _swept(out, may_go_on=save_every > 0 or done > 0):
        references = references_of(causal, earlier if kl_to == "before" else None, refers, plan, out, state)
        del earlier
        if shard:
            gc.collect()  # split weights refer to each other in circles
        both = (sets.forget, sets.replay)
        weight = settings["w_forget"] = weight_of(w_forget, causal, plan, both, forgetting, w_replay, beta, precision)
        terms = ThreeTerms(forgetting, references, weight, w_replay, w_kl, beta, kl == "reverse", openings)

        def build(step: Step, rank: int, world: int) -> list[list[Part]]:
            parts = parts_of(step, both, rank, world)
            return [[part] for part in parts] if shard else together(parts, part_tokens)

        curve = Curve(
            out / "curve.jsonl" if save_every else None,
            done,
            lambda step: on_step and on_step({**step, "total": steps}),
        )

        def on_check(step: int, value: float) -> None:
            curve.add({"step": step, "guard": value})
            trainer.log_aside({"guard": value})

        watch = guard_over(
            sets.guard, sets.replay.pad_id, ends_of(causal, tokenizer), part_tokens,
            out / (f"kept-{state.process_index}.safetensors" if shard else "kept.safetensors"),
            every=guard_every, ceiling=ceiling, repetition_rise=repetition_rise, patience=patience, keep=keep,
            on_check=on_check,
        )  # fmt: skip
        trainer = build_trainer(
            causal, terms, Plan(plan, build, state.num_processes), out, learning_rate=learning_rate, seed=seed,
            warmup=0.1, save_every=save_every, on_step=curve.add, callbacks=[watch], device=device, precision=precision,
            report_to=report_to,
        )  # fmt: skip
        seconds = run_trainer(trainer, resume=done > 0)
        state.wait_for_everyone()
        watch.restore(causal)
        state.wait_for_everyone()
    save_model(causal, tokenizer, out, whole=merged)
    taken = trainer.state.global_step
    tokens = n_tokens(plan[:taken], sets.forget, sets.replay)
    notes = (*_story(watch, taken, weight, keep), *chain(*sets.notes.values()))
    settings["processes"] = state.num_processes
    return Trained(out, curve.steps, taken, tokens, seconds, settings, notes, sets.forgotten)


def _refuse_wrong(settings: dict[str, Any], gone: Rows | None, spans: Callable[[str], Any] | None, bars: bool) -> None:
    """Refuse settings that break their rule, and a template that nobody found."""
    problems = problems_of_repair(settings, forgets=gone is not None, bars=bars)
    if gone is not None and settings["what"] == "template" and spans is None:
        problems.append("`spans` must say where the template stands in an answer for `what='template'`; none was given")
    if problems:
        raise SettingsError(problems)


@contextmanager
def _swept(out: Path, *, may_go_on: bool) -> Iterator[None]:
    """Remove what a repair kept for itself, however it ends; weights only if nobody will go on from a checkpoint."""
    try:
        yield
    finally:
        kept = [] if may_go_on else ["kept.safetensors", "kept-[0-9]*.safetensors"]
        for file in (path for pattern in ("reference-*.bin", *kept) for path in out.glob(pattern)):
            file.unlink(missing_ok=True)


def _gain(model: Any, earlier: Any, tokenizer: Any, rows: Rows) -> list[Any]:
    """Tell by how many nats each response token became likelier, one array per row."""
    said = chats_for(rows, tokenizer)
    now, then = (HFScorer(of, tokenizer).log_probs(said) for of in (model, earlier))
    return [a - b for a, b in zip(now, then, strict=True)]


def _story(watch: Any, taken: int, w_forget: float, keep: str) -> list[str]:
    """Say which weights came back, how hard was forgotten, and why the run stopped if it did."""
    if watch.kept_step:
        notes = [f"kept the weights of step {watch.kept_step} of {taken}"]
    elif keep == "best" and not watch.spoilt:
        notes = [
            f"no step of {taken} lowered the guard perplexity: the model comes back as it was "
            "(`keep` last would keep the last)"
        ]
    else:
        notes = [f"no step of {taken} was good enough for the guard: the model comes back as it was"]
    notes += [f"forgetting had weight {w_forget:.3g}"] if w_forget else []
    return notes + ([watch.stopped] if watch.stopped else [])
