"""`unflaw repair --interpolate`: take a part of the training back, and train nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from unflaw._cli._shared import changed_options, console, emit
from unflaw._cli._train import model_path, problems_of_call, summary, training_step, watched_steps
from unflaw._errors import SettingsError

__all__ = ["interpolated"]


def interpolated(verb: Callable[..., Any], call: Mapping[str, Any]) -> None:
    """Do what a call of the verb `repair` asks for, which names a share to go back to.

    Raises SettingsError: what is wrong with it, options that only training has a use for among that.
    """
    from unflaw.repair import interpolate, problems_of_interpolation

    model, before, guard, share, reading = (call[n] for n in ("model", "before", "guard", "interpolate", "reading"))
    names = ("ceiling", "repetition_rise", "max_tokens", "part_tokens", "device")
    settings = {"share": share, **{name: call[name] for name in names}}
    problems = _useless(verb, call) + problems_of_interpolation(settings)
    if before is None:
        problems.append("`--before` must name the model to go back towards")
    problems += problems_of_call([model, before], call, reading, guard)
    if problems:
        raise SettingsError(problems)
    path, rows = model_path(call["out"], call["run"], call["name"]), reading.rows(guard)
    if call["dry_run"]:
        told = {"guard": len(rows), "out": path, **settings}
        emit(told, call["as_json"], f"would leave {share:g} of what {model} has over {before} → {path}")
        return
    given = {"model": model, "before": before, "guard": guard, **settings, **reading.settings()}
    with training_step(
        call["run"], f"repair {call['name']}", given, [guard], call["resume"], call["overwrite"]
    ) as folder:  # fmt: skip
        reading.keep(folder)
        if folder is not None and call["out"] is None:
            folder.path_for_model(call["name"])
        with watched_steps("looks at the guard", ()) as on_step:
            done = interpolate(model, before, rows, path, **settings, on_step=on_step)
        if folder is not None:
            folder.add_curve(call["name"], done.curve, done.notes)
    for note in done.notes:
        console.print(note, soft_wrap=True)
    emit(summary(done), call["as_json"], f"no training, in {done.seconds:.0f} s → {path}")


def _useless(verb: Callable[..., Any], call: Mapping[str, Any]) -> list[str]:
    """Name the options that are not as they were, and that only training has a use for."""
    from unflaw.repair import interpolate, unlearn

    trains, used = (set(inspect.signature(f).parameters) for f in (unlearn, interpolate))
    useless = (trains | {"on_policy", "min_score", "limit"}) - used - {"seed", "resume"}
    told = changed_options(verb, call, useless)
    return [f"`--interpolate` trains nothing, and has no use for {', '.join(told)}"] if told else []
