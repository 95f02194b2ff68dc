"""What an audit was asked, so that an unfinished one goes on with nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unflaw import __version__
from unflaw._errors import OtherWorkError
from unflaw.audit._frame import Check
from unflaw.data import RowReader, Rows, atomic_write, hash_pieces

__all__ = ["hold_to_plan", "identity_of", "settings_of"]

_ASKED, _ANSWERED = "What does the model make of this?", " It says so itself."
_SHOWN = 32
"""Numbers that tell one model from another."""


def hold_to_plan(work: Path, sides: Mapping[str, Rows | RowReader], settings: Mapping[str, Any]) -> None:
    """Write down what is asked, or refuse a work folder in which something else was.

    Raises
    ------
    OtherWorkError
        The folder holds the work of an audit of other rows, or with other settings.
    """
    plan = {
        "unflaw": __version__, **{f"the rows of `{side}`": _fingerprint(of) for side, of in sides.items()},
        **{f"`{name}`": value for name, value in settings.items()},
    }  # fmt: skip
    told = json.loads(json.dumps(plan, default=str))
    path = work / "plan.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in sorted(before.keys() | told.keys()) if _differ(before.get(name), told.get(name))]
        if changed:
            raise OtherWorkError(
                f"`work` {work} holds another audit, finished or not: {', '.join(changed)} changed. Ask what was asked "
                "before, begin anew (--overwrite, where it lies in a run folder), or name another folder"
            )
        return
    with atomic_write(path) as file:
        json.dump(told, file, indent=1)


def _fingerprint(of: Rows | RowReader) -> Any:
    if isinstance(of, RowReader):
        name = of.source if of.source.startswith("hub:") else ""
        files = [[*told, hash_pieces(Path(told[0]))] for told in of.fingerprint()]
        return [name, files, of.schema, of.roles, of.id_column, of.limit]
    whole = hashlib.blake2b(json.dumps([of.schema, dict(of.roles)], default=repr).encode(), digest_size=16)
    for rows in of.batches(1000):
        whole.update(json.dumps(rows.table.to_pylist(), default=repr).encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def identity_of(model: Any) -> Any:
    """Return what tells a model from another: spec and files, or the class and what it makes of a text."""
    if model is None or isinstance(model, str):
        folder = Path((model or "").partition(":")[2])
        files = sorted(folder.rglob("*")) if (model or "").startswith("hf:") and folder.is_dir() else []
        return [model, [[str(f), f.stat().st_size, f.stat().st_mtime_ns] for f in files if f.is_file()]]
    said = model.encode([_ASKED])[0] if hasattr(model, "encode") else model.log_probs([(_ASKED, _ANSWERED)])[0]
    return [type(model).__name__, [float(value) for value in said[:_SHOWN]]]


def _differ(before: Any, now: Any) -> bool:
    """Compare what was written down; numbers may differ by what another processor makes of them."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return any(map(_differ, before, now))
    if isinstance(before, float) and isinstance(now, float):
        return abs(before - now) > 0.01 and not before == now
    return bool(before != now)


def settings_of(checks: Sequence[Check]) -> dict[str, dict[str, Any]]:
    """Return each check's own settings."""
    return {check.name: _settings_of(check) for check in checks}


def _settings_of(check: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(check):
        return {}
    return {f.name: getattr(check, f.name) for f in dataclasses.fields(check) if f.metadata.get("setting", True)}
