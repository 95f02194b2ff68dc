"""Take a part of the training back: weights on the line between a model and what it was before.

    w = w_before + share · (w_model − w_before)

No step of training, and no rows but the guard's (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
arXiv 2109.01903).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.models import ends_of, most_tokens
from unflaw.repair._settings import problems_of_interpolation
from unflaw.train import (
    Curve,
    Trained,
    claim,
    encode_rows,
    left_out,
    open_trainable,
    pad_id_of,
    processes,
    save_model,
    usable,
)

__all__ = ["interpolate"]


def interpolate(
    model: str,
    before: str,
    guard: Rows,
    out: str | Path,
    *,
    share: float = 0.5,
    ceiling: float = 1.05,
    repetition_rise: float = 0.3,
    max_tokens: int = 512,
    part_tokens: int = 2048,
    device: str = "cpu",
    on_step: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Write the model of which `share` of what training changed since `before` is left; both are in memory at once.

    Where the guard minds, the damaged model comes back as it was, and a note says so.

    Parameters
    ----------
    model, before : spec strings of the damaged model and of the one before the damage.
    guard : held-out real rows.
    share : 1 is the damaged model, 0 the one before.
    ceiling, repetition_rise, max_tokens, part_tokens, on_step : as in `unlearn`.

    Raises
    ------
    SettingsError : all settings that break their rule, together; or the two models have other weights or tokens.
    TooFewRowsError : no guard row has a token that counts.
    """
    settings = {k: v for k, v in locals().items() if k not in ("guard", "out", "on_step")}
    if problems := problems_of_interpolation(settings):
        raise SettingsError(problems)
    from unflaw.repair._guard import guard_over
    from unflaw.repair._reference import open_earlier

    started, out = time.perf_counter(), Path(out)
    processes(device)
    causal, tokenizer, _ = open_trainable(model, device)
    max_tokens = min(max_tokens, most_tokens(causal) or max_tokens)
    encoded = encode_rows(guard, tokenizer, max_tokens=max_tokens)
    rows = usable(encoded, "guard")
    earlier = open_earlier(before, tokenizer, device)
    if hasattr(earlier, "merge_and_unload"):
        earlier = earlier.merge_and_unload()
    pairs = _pairs(causal, earlier)
    claim(out, settings, {"guard": guard}, resume=False)
    curve = Curve(None, 0, lambda step: on_step and on_step({**step, "total": 1}))
    watch = guard_over(
        rows, pad_id_of(tokenizer), ends_of(causal, tokenizer), part_tokens, out / "kept.safetensors", every=1,
        ceiling=ceiling, repetition_rise=repetition_rise, patience=1, keep="last",
        on_check=lambda step, value: curve.add({"step": step, "guard": value}),
    )  # fmt: skip
    try:
        watch.begin(causal)
        _move(pairs, share)
        watch.look(causal, 1)
        watch.restore(causal)
    finally:
        (out / "kept.safetensors").unlink(missing_ok=True)
    save_model(causal, tokenizer, out, whole=True)
    story = f"{share:g} of what training changed is left" if watch.kept_step else "the model comes back as it was"
    notes = [story, *([watch.stopped] if watch.stopped else []), *left_out(encoded, "guard", max_tokens)]
    seconds = time.perf_counter() - started
    return Trained(out, curve.steps, 0, 0, seconds, {**settings, "processes": 1}, tuple(notes))


def _pairs(model: Any, earlier: Any) -> list[tuple[Any, Any]]:
    """Pair each weight with what it was before."""
    own, then = (dict(of.named_parameters()) for of in (model, earlier))
    shapes = [{name: tuple(p.shape) for name, p in of.items()} for of in (own, then)]
    for name in sorted({*own, *then}):
        now, was = (of.get(name, "none") for of in shapes)
        if now != was:
            raise SettingsError(
                f"`before` must be the same model before its training, got another: `{name}` is {was} there, {now} here"
            )
    return [(own[name], then[name]) for name in own]


def _move(pairs: Sequence[tuple[Any, Any]], share: float) -> None:
    """Move weights towards what they were."""
    import torch

    with torch.no_grad():
        for now, was in pairs:
            now.lerp_(was.to(now), 1 - share)
