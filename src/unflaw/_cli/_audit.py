"""`unflaw audit`: what is wrong with a data set, and which rows carry it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from unflaw._cli._audit_words import masked_finding, masked_rows, payload_of, turned, words_of
from unflaw._cli._reading import Reading, reads_rows
from unflaw._cli._shared import (
    DeviceOption,
    DryRunOption,
    JsonOption,
    LimitOption,
    OverwriteOption,
    ResumeOption,
    RunOption,
    SeedOption,
    command,
    console,
    emit,
    mistakes,
    run_step,
    stages,
)
from unflaw._errors import GateError, OtherWorkError, SettingsError, did_you_mean

if TYPE_CHECKING:
    from unflaw.audit import Audit, Check
    from unflaw.data import Finding, RowReader, RunFolder

__all__ = ["FailOn", "audit"]

_WORK = "work"
"""Folder of a run where an unfinished audit lies."""


class EngineName(StrEnum):
    """Where an audit is computed."""

    local = "local"
    ray = "ray"


class FailOn(StrEnum):
    """From which verdict on the command fails."""

    warn = "warn"
    fail = "fail"


@command(
    "unflaw audit synthetic.jsonl --reference real.jsonl --run runs/first",
    "unflaw audit synthetic.jsonl --reference real.jsonl --holdout test.jsonl --fail-on warn --json",
    "unflaw audit kept.jsonl --reference real.jsonl --against synthetic.jsonl",
    "unflaw audit shards/ --reference real.parquet --engine ray --address auto --run runs/first",
)
@reads_rows
def audit(
    synthetic: Annotated[str, typer.Argument(metavar="FILE", help="Synthetic rows: file, folder, or hub:owner/name.")],
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="REAL", show_default=False, help="Real rows of the same kind."),
    ] = None,
    holdout: Annotated[
        str | None,
        typer.Option("--holdout", metavar="TEST", show_default=False, help="Rows no one may train on; copies fail."),
    ] = None,
    checks: Annotated[
        str | None,
        typer.Option("--checks", metavar="NAME,…", show_default=False, help="Ask only these; all unless given."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="SPEC", show_default=False, help="Model that measures perplexity.")
    ] = None,
    model_after: Annotated[
        str | None,
        typer.Option("--model-after", metavar="SPEC", show_default=False, help="The same after training on the rows."),
    ] = None,
    encoder: Annotated[str, typer.Option("--encoder", metavar="SPEC", help="Turns texts into vectors.")] = "potion",
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="EARLIER", show_default=False, help="Compare with this version of the set."),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", show_default=False, help="Exit with code 3 from this verdict on, for use in CI."),
    ] = None,
    allow_few: Annotated[bool, typer.Option("--allow-few", help="Answer even where so few rows mislead.")] = False,
    engine: Annotated[EngineName, typer.Option("--engine", help="This machine, or a Ray.")] = EngineName.local,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, show_default=False, help="Processes; one per core unless given.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", show_default=False, help="Of a running Ray; --engine ray starts one unless given."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="DIR", show_default=False, help="Where what is known of rows lies meanwhile."),
    ] = None,
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
    """Say what is wrong with a data set, and which rows carry it."""
    from unflaw.audit import audit as ask
    from unflaw.audit import default_checks
    from unflaw.models import refuse_device

    choose = cache(lambda: _chosen(default_checks(seed, allow_few), checks))
    sources = {"rows": synthetic, "reference": reference, "holdout": holdout, "against": against}
    readers: dict[str, RowReader] = {}

    def open_reader(name: str, path: str) -> None:
        readers[name] = reading.reader(path, limit)

    given = {"reference": reference, "log_probs": model, "log_probs_after": model_after}
    computed_by = cache(partial(_engine, engine, workers, address))
    tries = [partial(open_reader, name, path) for name, path in sources.items() if path is not None]
    tries.append(partial(refuse_device, device, here=engine is EngineName.local))
    if problems := mistakes(choose, computed_by, *tries, lambda: _refuse_what_cannot_be(choose(), checks, given)):
        raise SettingsError(problems)
    chosen = choose()
    if dry_run:
        sizes = {name: sum(len(rows) for rows in reader) for name, reader in readers.items()}
        rejected = reading.told()
        lacks = {name: why for name, why in _lacks(chosen, given).items() if why}
        would = [check.name for check in chosen if check.name not in lacks]
        told = {"checks": would, "lack": {name: ", ".join(flags) for name, flags in lacks.items()}, **sizes}
        emit({**told, "rejected": rejected}, as_json, _plan(would, lacks, sizes))
        return
    settings = {
        **sources, "checks": [check.name for check in chosen], "model": model, "model_after": model_after,
        "encoder": encoder, "allow_few": allow_few, "limit": limit, "seed": seed,
        **reading.settings(),
    }  # fmt: skip
    if resume and run is not None and _are_others(run, synthetic):
        resume, overwrite = False, True  # what was found of other rows is no part of what is found of these
    with ExitStack() as stack:
        step = run_step(run, "audit", sources.values(), settings, resume=resume, overwrite=overwrite)
        folder = stack.enter_context(step)
        place = _work_folder(work, run, overwrite)
        alike = partial(
            ask, checks=chosen, encoder=encoder, scorer=model, scorer_after=model_after, seed=seed, device=device,
            engine=computed_by(), progress=stack.enter_context(stages()),
        )  # fmt: skip

        def asked(name: str) -> Audit:
            """Audit this set against the others; each is read anew."""
            read = {n: reading.reader(of, limit) for n in (name, "reference", "holdout") if (of := sources[n])}
            at = None if place is None else place / name
            once = partial(alike, read[name], read.get("reference"), holdout=read.get("holdout"), work=at)
            return _going_on(once, at if resume and work is None else None)

        found = asked("rows")
        found = replace(found, findings=[masked_finding(f) for f in found.findings])
        turn = None if against is None else turned(found, asked("against"))
        if folder is not None:
            reading.keep(folder)
            _keep(folder, found, turn)
    payload = {**payload_of(found, turn), "rejected": reading.told()}
    emit(payload, as_json, None if as_json else words_of(found, turn))
    if run is not None:
        console.print(f"findings and row scores are in {run}", soft_wrap=True)
    if work is not None:  # what the scores were read from until here
        for name in ("rows", "against"):
            shutil.rmtree(work / name, ignore_errors=True)
    _gate(found, fail_on, [] if checks is None else [check.name for check in chosen])


def _are_others(run: Path, path: str) -> bool:
    """Tell whether these are other rows than a run folder's last audit read: by what they are or, off disk, by name."""
    from unflaw.data import RunFolder, hash_path

    if not (run / "manifest.json").is_file():
        return False
    audits = [step for step in RunFolder(run).manifest["steps"] if step["name"] == "audit"]
    named = audits[-1]["settings"].get("rows") if audits else None
    if named is None:
        return False
    then, now = audits[-1]["inputs"].get(named), hash_path(path) if Path(path).exists() else None
    return named != path if then is None or now is None else then != now


def _going_on(ask: Callable[[], Audit], place: Path | None) -> Audit:
    """Ask, and where what is asked changed since the work in this place was begun, begin anew."""
    try:
        return ask()
    except OtherWorkError:
        if place is None:
            raise
        shutil.rmtree(place)
        return ask()


def _keep(folder: RunFolder, found: Audit, turn: Mapping[str, Any] | None) -> None:
    folder.add_findings(found.findings)
    folder.add_row_table(found.table, masked_rows(found.worst_rows))
    if turn is not None:
        folder.add_changes(turn)
    shutil.rmtree(folder.path / _WORK, ignore_errors=True)


def _work_folder(work: Path | None, run: Path | None, overwrite: bool) -> Path | None:
    """Return where the audit's work lies, so that a later call can go on with it."""
    if run is None or work is not None:
        return work
    if overwrite:
        shutil.rmtree(run / _WORK, ignore_errors=True)
    return run / _WORK


def _engine(name: EngineName, workers: int | None, address: str | None) -> Any:
    from unflaw.audit import LocalEngine, RayEngine

    if name is EngineName.ray:
        return RayEngine(address, workers)
    if address is not None:
        raise SettingsError("`--address` is of use only with `--engine ray`")
    return "local" if workers is None else LocalEngine(workers)


def _chosen(known: Sequence[Check], wanted: str | None) -> list[Check]:
    by_name = {check.name: check for check in known}
    names = list(by_name) if wanted is None else [name.strip() for name in wanted.split(",")]
    if strangers := [name for name in names if name not in by_name]:
        raise SettingsError([f"`--checks` knows no {name!r}. {did_you_mean(name, by_name)}" for name in strangers])
    return [by_name[name] for name in dict.fromkeys(names)]


def _refuse_what_cannot_be(chosen: Sequence[Check], named: str | None, given: dict[str, str | None]) -> None:
    """Refuse a check that was named and lacks its input: a gate must not pass what was never asked."""
    if named is None:
        return
    problems = [
        f"`--checks` names {name!r}, which needs {', '.join(of)}" for name, of in _lacks(chosen, given).items() if of
    ]
    if problems:
        raise SettingsError(problems)


def _lacks(chosen: Sequence[Check], given: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return check → flags without which it cannot be asked."""
    flags = {"reference": "--reference", "log_probs": "--model", "log_probs_after": "--model-after"}
    return {check.name: [flag for n, flag in flags.items() if n in check.needs and not given[n]] for check in chosen}


def _plan(asked: Sequence[str], lacks: Mapping[str, Sequence[str]], sizes: Mapping[str, int]) -> Text:
    counted = ", ".join(f"{n:,} {name if name == 'rows' else name + ' rows'}" for name, n in sizes.items())
    told = f"would ask {', '.join(asked) or 'nothing'} of {counted}, where rows have what a check asks"
    return Text("\n".join([told, *(f"not {name}: needs {', '.join(flags)}" for name, flags in lacks.items())]))


def _gate(found: Audit, fail_on: FailOn | None, named: Sequence[str]) -> None:
    if fail_on is not None and (unasked := sorted(set(named) & found.skipped.keys())):
        told = "; ".join(f"{name}: {found.skipped[name]}" for name in unasked)
        raise GateError(f"`--fail-on {fail_on}` cannot pass what was not asked: {told}")
    refused = {None: (), FailOn.warn: ("warn", "fail"), FailOn.fail: ("fail",)}[fail_on]
    caught: list[Finding] = [f for f in found.findings if f.verdict in refused]
    if caught:
        raise GateError(
            f"`--fail-on {fail_on}` was met by {len(caught)} of {len(found.findings)} findings: "
            + ", ".join(f"{f.check} ({f.verdict})" for f in caught)
        )
