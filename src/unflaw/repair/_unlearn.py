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

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.repair._reference import Reference, adapter_off, cached_states
from unflaw.repair._terms import FORGET_OBJECTIVES, three_terms
from unflaw.train import (
    Curve,
    Encoded,
    Trained,
    add_lora,
    check_training,
    claim,
    encode_rows,
    left_out,
    open_trainable,
    pad_batch,
    pad_id_of,
    plan_batches,
    run_trainer,
    save_model,
    usable,
)

__all__ = ["unlearn"]

N_SHOWN = 5
"""Forget rows whose forgotten tokens are told, for a report to show."""


def unlearn(
    model: str,
    forget: Rows | None,
    replay: Rows,
    guard: Rows,
    out: str | Path,
    *,
    what: str = "template",
    spans: Callable[[str], Any] | None = None,
    objective: str = "bounded",
    w_forget: float = 0.1,
    w_replay: float = 1.0,
    w_kl: float = 0.1,
    bar_template: bool = True,
    steps: int = 20,
    batch_size: int = 6,
    token_budget: int | None = None,
    learning_rate: float = 5e-5,
    method: str = "full",
    lora_rank: int = 16,
    guard_every: int = 5,
    patience: int = 4,
    ceiling: float = 1.05,
    max_tokens: int = 512,
    seed: int = 0,
    save_every: int = 0,
    resume: bool = False,
    device: str = "cpu",
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
        (an audit finds them), "response" the whole answer, "full" prompt too.
    bar_template : with `what="template"`, the model that L_mtn stays close to is the damaged one without the
        tokens that open the template; otherwise that term holds on to the very flaw.
    token_budget : in place of `batch_size`, as few replay rows per step as make all steps together read at least
        this many tokens: a control that may read as much as the repair it is compared with.
    ceiling : the guard perplexity may reach this multiple of its start before the run stops.
    patience : guard checks without improvement before the run stops.

    Raises
    ------
    SettingsError : all settings that break their rule, together.
    TooFewRowsError : a set has no row with a token that counts.
    """
    settings = {k: v for k, v in locals().items() if k not in ("forget", "replay", "guard", "out", "spans", "on_step")}
    _check(settings, forgets=forget is not None and w_forget > 0)
    from unflaw.repair._guard import Guard, mean_log_perplexity, prefixes_of, repetition
    from unflaw.train import Plan, build_trainer

    out = Path(out)
    forget = forget if w_forget else None
    _refuse_shared({"forget": forget, "replay": replay, "guard": guard})
    causal, tokenizer, merged = open_trainable(model, device)
    pad_id = pad_id_of(tokenizer)
    encode = partial(encode_rows, tokenizer=tokenizer, max_tokens=max_tokens)
    encoded = {"replay": encode(replay), "guard": encode(guard)}
    if forget is not None:
        encoded["forget"] = encode(forget, target=what, spans=spans)
    gone, kept, watched = (usable(encoded[n], n) if n in encoded else [] for n in ("forget", "replay", "guard"))
    openings = opening_tokens(gone, tokenizer) if what == "template" and bar_template else []
    if token_budget is None:
        plan = _plan(gone, kept, batch_size, steps, seed)
    else:
        plan = _plan_for(token_budget, kept, steps, seed)
    done = claim(out, settings, {"forget": forget, "replay": replay, "guard": guard}, resume=resume)
    causal = add_lora(causal, lora_rank, seed) if method == "lora" else causal
    reference = _reference(causal, kept, plan, pad_id, out / "reference.f32") if w_kl else None

    def build(step: tuple[list[int], list[int]]) -> dict[str, Any]:
        forget_rows, replay_rows = step
        return {
            "forget": pad_batch([gone[i] for i in forget_rows], pad_id) if forget_rows else {},
            "replay": pad_batch([kept[i] for i in replay_rows], pad_id),
            "replay_rows": replay_rows,
        }

    curve = Curve(
        out / "curve.jsonl" if save_every else None, done, lambda step: on_step and on_step({**step, "total": steps})
    )
    watch = Guard(
        partial(mean_log_perplexity, encoded=watched, pad_id=pad_id),
        out / "best.safetensors",
        every=guard_every,
        ceiling=ceiling,
        patience=patience,
        on_check=lambda step, value: curve.add({"step": step, "guard": value}),
        repeats=partial(repetition, prefixes=prefixes_of(watched), pad_id=pad_id, eos_id=tokenizer.eos_token_id),
    )
    trainer = build_trainer(
        causal, three_terms(causal, reference, objective, w_forget, w_replay, w_kl, openings), Plan(plan, build), out,
        learning_rate=learning_rate, seed=seed, warmup=0.1, save_every=save_every, on_step=curve.add,
        callbacks=[watch], device=device, report_to=report_to,
    )  # fmt: skip
    try:
        seconds = run_trainer(trainer, resume=done > 0)
        watch.restore(causal)
    finally:
        (out / "reference.f32").unlink(missing_ok=True)
        if not save_every:  # nobody will go on from here
            (out / "best.safetensors").unlink(missing_ok=True)
    save_model(causal, tokenizer, out, whole=merged)
    taken = trainer.state.global_step
    tokens = _n_tokens(plan[:taken], gone, kept)
    notes = [f"kept the weights of step {watch.best_step} of {taken}"]
    if not watch.best_step:
        notes = [f"no step of {taken} lowered the guard perplexity: the model comes back as it was"]
    notes += [watch.stopped] if watch.stopped else []
    notes += [n for name, rows in encoded.items() for n in left_out(rows, name, max_tokens)]
    shown = []
    if forget is not None:
        first = forget.take(range(min(N_SHOWN, len(forget))))
        shown = _in_pieces(first, tokenizer, partial(encode, target=what, spans=spans))
    return Trained(out, curve.steps, taken, tokens, seconds, settings, tuple(notes), shown)


def _refuse_shared(sets: dict[str, Rows | None]) -> None:
    """Refuse rows that stand in two sets: a guard that is trained on guards nothing."""
    given = {name: set(rows.ids) for name, rows in sets.items() if rows is not None}
    problems = [
        f"`{a}` and `{b}` must hold different rows, got {len(shared)} in both, e.g. {min(shared)!r}"
        for a, b in combinations(given, 2)
        if (shared := given[a] & given[b])
    ]
    if problems:
        raise SettingsError(problems)


def _reference(
    model: Any, kept: Sequence[Encoded], plan: Sequence[tuple[list[int], list[int]]], pad_id: int, path: Path
) -> Reference:
    if hasattr(model, "disable_adapter"):
        return adapter_off(model)
    return cached_states(model, kept, {i for _, rows in plan for i in rows}, pad_id, path)


def _in_pieces(rows: Rows, tokenizer: Any, encode: Callable[..., list[Encoded]]) -> list[list[tuple[str, bool]]]:
    """Cut the answers of rows where forgetting begins and ends; `encode` marks the forget tokens."""
    cut = []
    for row, answer in zip(encode(rows), encode_rows(rows, tokenizer), strict=True):
        tokens = [(t, w > 0) for t, w, said in zip(row.ids, row.weight, answer.weight, strict=False) if said]
        groups = groupby(tokens, key=lambda pair: pair[1])
        cut.append([(tokenizer.decode([t for t, _ in group]), forgotten) for forgotten, group in groups])
    return cut


def opening_tokens(encoded: Sequence[Encoded], tokenizer: Any, least: float = 0.05) -> list[int]:
    """Tokens that open a run of forget tokens in at least this share of rows, e.g. "Answer"; white space is skipped."""
    counts: Counter[int] = Counter()
    for row in encoded:
        found, inside = set(), False
        for token, weight in zip(row.ids, row.weight, strict=True):
            if weight and not inside and tokenizer.decode([token]).strip():
                found.add(token)
                inside = True
            inside = inside and bool(weight)
        counts.update(found)
    return sorted(token for token, n in counts.items() if n >= least * len(encoded))


def _plan(
    gone: Sequence[Encoded], kept: Sequence[Encoded], batch_size: int, steps: int, seed: int
) -> list[tuple[list[int], list[int]]]:
    """Draw (forget rows, replay rows) of every step; without forget rows the replay rows are the same."""
    rng = np.random.default_rng(seed)
    replay = plan_batches([len(e.ids) for e in kept], batch_size, steps, rng)
    forget = plan_batches([len(e.ids) for e in gone], batch_size, steps, rng) if gone else [[] for _ in replay]
    return list(zip(forget, replay, strict=True))


def _plan_for(budget: int, kept: Sequence[Encoded], steps: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Draw the smallest batches of replay rows that read at least `budget` tokens in all."""
    for batch_size in range(1, len(kept) + 1):
        plan = _plan([], kept, batch_size, steps, seed)
        if (most := _n_tokens(plan, [], kept)) >= budget:
            return plan
    raise SettingsError(
        f"`token_budget` is {budget}, but {steps} steps over all replay rows read {most}; take more steps"
    )


def _n_tokens(plan: Sequence[tuple[list[int], list[int]]], gone: Sequence[Encoded], kept: Sequence[Encoded]) -> int:
    return sum(len(gone[i].ids) for f, _ in plan for i in f) + sum(len(kept[i].ids) for _, r in plan for i in r)


def _check(settings: dict[str, Any], forgets: bool) -> None:
    problems = []
    try:
        check_training(settings)
    except SettingsError as error:
        problems += error.problems
    problems += [
        f"`{name}` must not be negative, got {settings[name]}"
        for name in ("w_forget", "w_replay", "w_kl")
        if settings[name] < 0
    ]
    if settings["token_budget"] is not None and (settings["token_budget"] < 1 or forgets):
        problems.append("`token_budget` must be positive, and is for replay alone (no `forget` rows, or `w_forget` 0)")
    if settings["ceiling"] < 1:
        problems.append(f"`ceiling` must be at least 1 (the start itself), got {settings['ceiling']}")
    if settings["objective"] not in FORGET_OBJECTIVES:
        problems.append(f"`objective` must be one of {sorted(FORGET_OBJECTIVES)}, got {settings['objective']!r}")
    if problems:
        raise SettingsError(problems)
