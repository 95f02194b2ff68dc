"""Where files of rows go: never over a file that is read, nor over one that is there unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unflaw._errors import SettingsError

__all__ = ["out_path", "refuse_sources", "refuse_there"]


def out_path(
    out: Path | None, run: Path | None, sources: Iterable[str | Path | None], name: str, *, replace: bool, needed: bool
) -> Path | None:
    """Return where a file of rows goes, RUN/name unless said; None where there is no need and nothing is said.

    Raises SettingsError for what could not be written, before any work is done.
    """
    from unflaw.data import format_of

    if out is None and run is None:
        if needed:
            raise SettingsError("`--out` or `--run` must say where the rows go, got neither")
        return None
    path = out or Path(run or ".") / name
    format_of(path)
    refuse_sources([("--out", path)], sources)
    if out is not None and path.exists() and not replace and needed:
        raise SettingsError(f"`--out` names {path}, which exists; name another file, or replace it with --overwrite")
    return path


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


def refuse_there(flag: str, paths: Iterable[Path], *, free: bool) -> None:
    """Refuse files that are there, unless they may be replaced."""
    if there := [str(path) for path in paths if path.exists() and not free]:
        raise SettingsError(f"`{flag}` holds {', '.join(there)}; name another folder, or replace with --overwrite")
