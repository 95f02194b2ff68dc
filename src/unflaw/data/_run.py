"""The run folder: what every verb adds to, what the report reads, and what survives a kill at any moment.

    manifest.json      steps: command, settings as resolved, input hashes, seeds, versions, times, memory
    findings.json      list of findings                 scores.json        list of scores
    comparisons.json   paired comparisons of scores     curves.json        training runs, per step
    rows.parquet       scores, reasons, weights by id   rejected.jsonl     lines that became no row
    models/NAME/       models                           calls.sqlite       answers already paid for

Every file is replaced whole, so that a reader never meets half of one.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from unflaw._errors import DataError, RunFolderError
from unflaw.data._columns import Columns, beside, concatenate, joined
from unflaw.data._files import atomic_write, hash_path
from unflaw.data._lock import is_fresh, locked
from unflaw.data._nouns import Finding, Rejection, Score, Selection, from_json, to_json
from unflaw.data._old_models import delete_model, set_aside, settle_models
from unflaw.data._provenance import now, peak_memory, versions
from unflaw.data._rejected import replace_rejected
from unflaw.data._row_table import read_row_table, save_row_table
from unflaw.data._rows import ID, Rows
from unflaw.data._steps import disown, overwritten, refuse_other_settings, stale_keys, written

__all__ = ["RunFolder", "open_run"]


class RunFolder:
    """A run folder. Made from a path it can be read; `open_run` gives one that can be written.

    Use it as a context manager: leaving it says in the manifest how the step ended.

    Raises
    ------
    RunFolderError
        There is no run folder at this path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: IO[str] | None = None
        self._step: dict[str, Any] = {}
        self._since = 0.0
        if not (self.path / "manifest.json").is_file():
            raise RunFolderError(f"`{self.path}` is no run folder: it holds no manifest.json; is the path right?")

    @property
    def manifest(self) -> dict[str, Any]:
        """What the steps so far were made with."""
        return self._load("manifest.json", {})

    @property
    def calls_path(self) -> Path:
        """Where the answers of models are kept, so that none is paid for twice."""
        return self.path / "calls.sqlite"

    @property
    def report_path(self) -> Path:
        """Where the report goes."""
        return self.path / "report.html"

    def path_for_model(self, name: str) -> Path:
        """Return the folder for a model of this name; whoever saves it makes it. One to overwrite is set aside."""
        if name in ("", ".", "..") or name != Path(name).name:
            raise RunFolderError(f"`name` of a model must be a plain folder name, got {name!r}")
        models = self.path / "models"
        if self._step and name not in written(self._step, "models"):
            if name in self._stale("models"):
                set_aside(models, name, self._step["id"])
            self._note("models", [name])
        return models / name

    def findings(self) -> list[Finding]:
        """Read the findings so far, in the order they came."""
        return [from_json(Finding, record) for record in self._load("findings.json", [])]

    def add_findings(self, findings: Sequence[Finding]) -> None:
        """Add findings; one with the same `check` is replaced."""
        self._add("findings", [to_json(f) for f in findings])

    def scores(self) -> list[Score]:
        """Read the scores so far, in the order they came."""
        return [from_json(Score, record) for record in self._load("scores.json", [])]

    def add_scores(self, scores: Sequence[Score]) -> None:
        """Add scores; one of the same model on the same benchmark is replaced."""
        self._add("scores", [to_json(s) for s in scores])

    def comparisons(self) -> list[dict[str, Any]]:
        """Read the paired comparisons so far."""
        return self._load("comparisons.json", [])

    def add_comparisons(self, comparisons: Sequence[Mapping[str, Any]]) -> None:
        """Add paired comparisons; one of the same `benchmark`, `model_a` and `model_b` is replaced."""
        self._add("comparisons", [dict(c) for c in comparisons])

    def curves(self) -> dict[str, dict[str, Any]]:
        """Read the training runs so far: name → {"curve": one dict per step, "notes": sentences}."""
        return self._load("curves.json", {})

    def add_curve(
        self,
        name: str,
        curve: Sequence[Mapping[str, Any]],
        notes: Sequence[str] = (),
        forgotten: Sequence[Sequence[tuple[str, bool]]] = (),
    ) -> None:
        """Keep the steps of a training run, e.g. [{"step": 1, "loss": 2.5}], replacing the one of this name.

        `forgotten` are a few rows in pieces, True where unlearning forgot a piece.
        """
        new = {"curve": [dict(s) for s in curve], "notes": list(notes)}
        if forgotten:
            new["forgotten"] = [[[piece, gone] for piece, gone in row] for row in forgotten]
        with self._writing("curves", [name]) as stale:
            self._save("curves.json", {**{n: c for n, c in self.curves().items() if n not in stale}, name: new})

    def selection(self) -> Selection | None:
        """Read which rows were chosen last; None before any were."""
        record = self._load("selection.json", None)
        return None if record is None else from_json(Selection, record)

    def add_selection(self, selection: Selection) -> None:
        """Keep which rows stay and which go, in place of the choice before."""
        with self._writing("selection", ["selection"]):
            self._save("selection.json", to_json(selection))

    def changes(self) -> dict[str, Any] | None:
        """Read what changed since an earlier version of the rows; None where none was audited."""
        return self._load("changes.json", None)

    def add_changes(self, changes: Mapping[str, Any]) -> None:
        """Keep what changed: `rows` added, removed and kept, and `changes`, one for each finding."""
        with self._writing("changes", ["changes"]):
            self._save("changes.json", dict(changes))

    def row_columns(self) -> pa.Table | None:
        """Read what is known of rows, by id; None before anything was added."""
        return read_row_table(self.path / "rows.parquet")

    def add_rows(self, rows: Rows) -> None:
        """Keep rows with their own columns, e.g. the worst ones, for the report to show."""
        self._merge(rows.table)

    def add_row_columns(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        """Add values by row id, e.g. {"1f0c…": {"unflaw.score.gap.c2st_auc": 0.9}}; a value given again is replaced."""
        self._merge(Columns([ID]).table([{ID: i, **values} for i, values in columns.items()]))

    def add_row_table(self, table: pa.Table, own: Rows) -> None:
        """Keep a table of values by row id, and of some rows their own columns as well, for the report to show.

        The table may be mapped and long: where nothing is known of rows yet, it is written without being held.
        """
        names = [c for c in dict.fromkeys([*table.column_names, *own.table.column_names]) if c != ID]
        with self._writing("columns", names) as stale:
            old, parts = self._row_columns_without(stale), beside(table, own.table, ID)
            save_row_table(
                self.path / "rows.parquet", parts if old is None else [joined(old, concatenate(list(parts)), ID)]
            )

    def add_rejected(self, rejected: Sequence[Rejection], source: str) -> None:
        """Keep the lines of a file that became no row, in place of those kept of it before."""
        self._writable()
        self._note("rejected", [source] if rejected else [])
        replace_rejected(self.path / "rejected.jsonl", [source], rejected, source)

    def add_facts(self, facts: Mapping[str, Any]) -> None:
        """Keep what a step found out on its way, JSON-ready, in the manifest beside its settings."""
        self._writable()
        self._step["facts"] = json.loads(json.dumps(facts, default=str))

    def finish(self, status: str = "finished") -> None:
        """Say how the step ended and let others in.

        What it was to overwrite is gone when it has finished. Where it failed and wrote nothing, that is still there.
        """
        if not self._step:
            return
        seconds = time.monotonic() - self._since
        try:
            if status == "finished":
                self._take_back([*_RESULTS, "models"])
                self._step.pop("overwrites", None)
            self._step.update(status=status, finished=now(), seconds=round(seconds, 3), peak_memory_mib=peak_memory())
            self._save_step()
            self._settle()
        finally:  # a full disk must not keep others out
            self._step = {}
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.finish("finished" if kind is None else "interrupted" if interrupted else "failed")

    def _begin(self, lock: IO[str] | None, step: dict[str, Any], overwrite: bool) -> None:
        manifest = self.manifest
        for earlier in manifest["steps"]:
            if earlier["status"] == "running":  # we hold the lock, so that nobody runs it any more
                earlier["status"] = "killed"
        self._save("manifest.json", manifest)
        self._settle()
        if gone := overwritten(manifest["steps"], step["name"], overwrite):
            step["overwrites"] = gone
        self._lock, self._step, self._since = lock, step, time.monotonic()
        self._save_step()

    def _settle(self) -> None:
        """See to the models that were set aside. One that is put back was not written by the step that gave up."""
        manifest = self.manifest
        back = settle_models(self.path / "models", manifest["steps"])
        for name, step_id in back:
            disown(manifest["steps"], "models", [step_id], [name])
        if back:
            self._save("manifest.json", manifest)

    def _stale(self, kind: str) -> list[Any]:
        return stale_keys(self.manifest["steps"], self._step, kind) if "overwrites" in self._step else []

    def _take_back(self, kinds: Sequence[str]) -> None:
        """Take back what the steps wrote that this one overwrites. Killed on the way, the next one does it again."""
        wrote = {kind: stale for kind in kinds if (stale := self._stale(kind))}
        if not wrote:
            return
        self._forget(wrote)
        manifest = self.manifest
        for kind, keys in wrote.items():
            disown(manifest["steps"], kind, self._step["overwrites"], keys)
        self._save("manifest.json", manifest)

    def _forget(self, wrote: Mapping[str, list[Any]]) -> None:
        for kind in _KEYS.keys() & wrote.keys():
            self._save(f"{kind}.json", [r for r in self._load(f"{kind}.json", []) if _key(kind, r) not in wrote[kind]])
        if "curves" in wrote:
            self._save("curves.json", {n: c for n, c in self.curves().items() if n not in wrote["curves"]})
        for kind in {"selection", "changes"} & wrote.keys():
            (self.path / f"{kind}.json").unlink(missing_ok=True)
        if "columns" in wrote and (table := self._row_columns_without(wrote["columns"])) is not None:
            save_row_table(self.path / "rows.parquet", [table])
        for name in wrote.get("models", []):
            delete_model(self.path / "models", name)
        if "rejected" in wrote:
            replace_rejected(self.path / "rejected.jsonl", wrote["rejected"])

    def _add(self, kind: str, records: list[dict[str, Any]]) -> None:
        new = [_key(kind, r) for r in records]
        with self._writing(kind, new) as stale:
            kept = [r for r in self._load(f"{kind}.json", []) if _key(kind, r) not in [*new, *stale]]
            self._save(f"{kind}.json", kept + records)

    def _merge(self, new: pa.Table) -> None:
        """Join by id; a null takes nothing away."""
        with self._writing("columns", [c for c in new.column_names if c != ID]) as stale:
            old = self._row_columns_without(stale)
            save_row_table(self.path / "rows.parquet", [new if old is None else joined(old, new, ID)])

    def _row_columns_without(self, names: Sequence[str]) -> pa.Table | None:
        table = self.row_columns()
        gone = {*names} - {ID}  # of two steps that both wrote a column its name comes twice
        return None if table is None else table.drop_columns([c for c in table.column_names if c in gone])

    @contextmanager
    def _writing(self, kind: str, keys: Sequence[Any]) -> Iterator[list[Any]]:
        """Note what is about to be written, and yield what goes with it. Once it is there, all other old results go.

        In this order a full disk or a kill costs nothing.
        """
        self._writable()
        stale = self._stale(kind)
        self._note(kind, keys)
        yield stale
        self._take_back(_RESULTS)

    def _note(self, kind: str, keys: Iterable[Any]) -> None:
        new = [k for k in keys if k not in written(self._step, kind)]
        if new:
            self._step.setdefault("wrote", {}).setdefault(kind, []).extend(new)
            self._save_step()

    def _writable(self) -> None:
        if not self._step:
            raise RunFolderError(f"`{self.path}` is open for reading only; write to it through `open_run`")

    def _save_step(self) -> None:
        manifest = self.manifest
        steps = [s for s in manifest["steps"] if s["id"] != self._step["id"]] + [self._step]
        self._save("manifest.json", {**manifest, "steps": steps})

    def _save(self, name: str, content: Any) -> None:
        with atomic_write(self.path / name) as file:
            json.dump(content, file, indent=1, default=str)

    def _load(self, name: str, absent: Any) -> Any:
        path = self.path / name
        if not path.is_file():
            return absent
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"`{path}` is not readable JSON: {error}; run the step that writes it again") from error


_RESULTS = ("findings", "scores", "comparisons", "curves", "selection", "changes", "columns", "rejected")
"""What the first result of a step that overwrites takes back; models stay until it has finished."""

_KEYS = {"findings": ("check",), "scores": ("benchmark", "model"), "comparisons": ("benchmark", "model_a", "model_b")}
"""Kind of record → the fields that tell one from another."""


def open_run(
    path: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any],
    command: str,
    inputs: Sequence[str | os.PathLike[str]] = (),
    resume: bool = False,
    overwrite: bool = False,
) -> RunFolder:
    """Open a run folder for one step, making it if there is none.

    Another command adds to the folder. The same command with the same settings and inputs goes on
    with what it finds; with others it is refused, since results of two settings must not mix.

    Parameters
    ----------
    settings
        As resolved, JSON-ready; whatever is called or ends in "seed" is listed as a seed, too.
    command
        Names the step, e.g. "audit", or "evaluate smollm2" where a command may run once per model.
    inputs
        Files and folders the step reads; their SHA-256 goes to the manifest.
    resume
        Go on with changed settings, keeping what is there.
    overwrite
        Begin anew. What this command wrote before is taken back with the first result of this step, or at
        its end, and models when it has finished: a step that fails before that has cost nothing.

    Raises
    ------
    RunFolderError
        The folder belongs to other settings, is in use, or is no run folder.
    """
    folder = Path(path)
    manifest = folder / "manifest.json"
    if folder.exists() and not manifest.exists() and not is_fresh(folder):
        raise RunFolderError(f"`{folder}` holds other things and no run; name a new or an empty folder")
    step = {
        "id": secrets.token_hex(8),
        "name": command,
        "status": "running",
        "started": now(),
        "settings": json.loads(json.dumps(dict(settings), default=str)),
        "seeds": {k: v for k, v in settings.items() if k == "seed" or k.endswith("_seed")},
        "inputs": {os.fspath(i): hash_path(i) for i in inputs},
        "cwd": os.getcwd(),  # where relative paths begin
        "versions": versions(),
        "pid": os.getpid(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    lock = locked(folder)
    try:
        for stale in folder.glob(".*.tmp"):  # left by a process that was killed while writing
            stale.unlink(missing_ok=True)
        if not manifest.exists():
            with atomic_write(manifest) as file:
                json.dump({"unflaw": versions().get("unflaw"), "created": now(), "steps": []}, file)
        run = RunFolder(folder)
        if not (resume or overwrite):
            refuse_other_settings(folder, run.manifest["steps"], step)
        run._begin(lock, step, overwrite)
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    return run


def _key(kind: str, record: Mapping[str, Any]) -> list[Any]:
    return [record.get(field) for field in _KEYS[kind]]
