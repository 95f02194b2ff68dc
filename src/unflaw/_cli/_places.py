"""Where files of rows go: never over a file that is read, nor over one that is there unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unflaw._errors import SettingsError

__all__ = [
    "named_path", "out_path", "out_path_if_any", "refuse_file", "refuse_in_file", "refuse_sources", "refuse_there",
]  # fmt: skip


def named_path(out: Path | None, run: Path | None, name: str) -> Path:
    """Return where a file of rows goes, RUN/name unless said; whether it may be written is not asked."""
    if out is None and run is None:
        raise SettingsError("`--out` or `--run` must say where the rows go, got neither")
    return out or Path(run or ".") / name


def out_path(
    out: Path | None, run: Path | None, sources: Iterable[str | Path | None], name: str, *, replace: bool
) -> Path:
    """Return `named_path`.

    Raises SettingsError for what could not be written, before any work is done.
    """
    path = named_path(out, run, name)
    refuse_file("--run" if out is None else "--out", path, sources, free=replace or out is None)
    return path


def out_path_if_any(
    out: Path | None, run: Path | None, sources: Iterable[str | Path | None], name: str, *, replace: bool, needed: bool
) -> Path | None:
    """Return `out_path`; None where nothing is said and there is no need, as in a dry run."""
    if out is None and run is None and not needed:
        return None
    return out_path(out, run, sources, name, replace=replace or not needed)


def refuse_file(flag: str, path: Path, sources: Iterable[str | Path | None], *, free: bool) -> None:
    """Refuse a file of no known format, one that is to be read, and one that is there unless it may be replaced.

    A name without a suffix is a folder, as `data.write` has it.
    """
    from unflaw.data import format_of

    if path.suffix:
        format_of(path)
    refuse_sources([(flag, path)], sources)
    refuse_in_file(flag, path.parent)
    if path.exists() and not free:
        raise SettingsError(f"`{flag}` names {path}, which exists; name another file, or replace it with --overwrite")


def refuse_sources(targets: Iterable[tuple[str, Path]], sources: Iterable[str | Path | None]) -> None:
    """Refuse targets that are files to be read: what is read would be lost, whatever --overwrite says."""
    read = [Path(source) for source in sources if source is not None and Path(source).exists()]
    told = [
        f"`{flag}` must not be a file that is read, got {path}"
        for flag, path in targets
        if path.exists() and any(path.samefile(source) for source in read)
    ]
    if told:
        raise SettingsError(told)


def refuse_in_file(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made, since a file is in its place or above it."""
    above = next((at for at in (folder, *folder.parents) if at.exists()), folder)
    if above.is_file():
        raise SettingsError(f"`{flag}` must lie in a folder, and {above} is a file")


def refuse_there(flag: str, paths: Iterable[Path], *, free: bool) -> None:
    """Refuse files that are there, unless they may be replaced, and those whose folder can be none."""
    paths = list(paths)
    for folder in {path.parent for path in paths}:
        refuse_in_file(flag, folder)
    if there := [str(path) for path in paths if path.exists() and not free]:
        raise SettingsError(f"`{flag}` holds {', '.join(there)}; name another folder, or replace with --overwrite")
