"""What the command line says when something is wrong: words and an exit code, no traceback."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import typer

from unflaw._errors import UnflawError, WriteError

__all__ = ["explain_bug", "leave", "printable", "show_warnings_as_notes"]


def leave(error: UnflawError | OSError | KeyboardInterrupt, can_resume: bool) -> typer.Exit:
    """Say what happened and return the exit that fits: 1 failed, 2 usage, 3 gate, 130 Ctrl-C."""
    match error:
        case BrokenPipeError():  # `unflaw inspect rows.jsonl | head`: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return typer.Exit(1)
        case KeyboardInterrupt():
            typer.echo(f"Stopped. {_again(can_resume)}", err=True)
            return typer.Exit(130)
        case UnflawError():
            _say_error(f"{error}\n{_again(can_resume)}" if isinstance(error, WriteError) else str(error))
            return typer.Exit(error.exit_code)
        case _:
            _say_error(_os_words(error, can_resume))
            return typer.Exit(2 if isinstance(error, FileNotFoundError) else 1)


def printable(text: str, keep: str = "") -> str:
    r"""Replace what a terminal may take for a command: control characters and the like, but for those to keep.

    >>> printable("a\x1b[31mb\nc"), printable("b\nc", keep="\n")
    ('a�[31mb c', 'b\nc')
    """
    return "".join(c if c.isprintable() or c in keep else " " if c.isspace() else "\ufffd" for c in text)


def _say_error(words: str) -> None:
    typer.echo(f"Error: {printable(words, keep=chr(10))}", err=True)


def _again(can_resume: bool) -> str:
    line = ["unflaw", *(word for word in sys.argv[1:] if word not in ("--resume", "--overwrite"))]
    return f"Go on with: {shlex.join([*line, '--resume'])}" if can_resume else f"Start again with: {shlex.join(line)}"


def _os_words(error: OSError, can_resume: bool) -> str:
    name = f"`{error.filename}`" if error.filename else "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left while writing {name}; free some. Files finished before are whole. {_again(can_resume)}"
    if isinstance(error, FileNotFoundError):
        return f"{name} does not exist; check the path."
    if isinstance(error, PermissionError):
        return f"{name} cannot be opened: permission denied."
    return str(error)


def explain_bug(error: BaseException) -> None:
    """Speak for an exception nobody foresaw."""
    _say_error(f"{type(error).__name__}: {error}")
    typer.echo("This is a bug in unflaw; `unflaw --debug ...` shows where.", err=True)


def show_warnings_as_notes() -> None:
    """Print what unflaw warns about as a plain line; what libraries warn about is not the user's to mend."""
    ours = str(Path(__file__).parent.parent)

    def show(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        if filename.startswith(ours):
            typer.echo(f"Note: {printable(str(message), keep=chr(10))}", err=True)

    warnings.showwarning = show
