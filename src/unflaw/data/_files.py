"""Files that are either whole or untouched, and their hashes."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from unflaw._errors import WriteError

__all__ = ["atomic_folder", "atomic_write", "hash_path", "hash_pieces"]

_PIECES, _PIECE = 64, 1 << 16


def _sibling(path: Path) -> Path:
    """Name a hidden file or folder beside `path`, on the same disk, that nobody else uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Write a file that is either wholly there or not at all.

    What is written goes to a hidden sibling, reaches the disk, and only then takes the name.
    If anything goes wrong, a full disk included, the old file is untouched and the sibling gone.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link keeps pointing where it did
    temporary = _sibling(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode.replace("w", "x"), **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(path), *map(str, path.parents)):
            raise  # trouble with another file inside the block is not ours to explain
        raise _refusal(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Fill a folder that takes its name, and its predecessor's place, only when it is complete.

    Raises
    ------
    WriteError
        The folder cannot be written.
    """
    path = Path(os.path.realpath(path))
    temporary, old = _sibling(path), _sibling(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(old, ignore_errors=True)


def _refusal(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"`{path}` could not be written: {error.strerror or error}. "
        "What was there before is untouched; free some space or name another place"
    )


def hash_path(path: str | os.PathLike[str]) -> str | None:
    """SHA-256 of a file, or of a folder's files and their names; None where there is neither."""
    path = Path(path)
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        return None
    whole = hashlib.sha256()
    for file_path in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{file_path.relative_to(path).as_posix()} {hash_path(file_path)}\n".encode())
    return whole.hexdigest()


def hash_pieces(path: Path) -> str:
    """SHA-256 of 64 pieces of 64 KiB at even distances, of a file up to 4 MiB all of it: cheap, however long it is."""
    size, whole = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        for n in range(_PIECES):
            file.seek(max(n * _PIECE, n * (size - _PIECE) // (_PIECES - 1)))
            whole.update(file.read(_PIECE))
    return whole.hexdigest()
