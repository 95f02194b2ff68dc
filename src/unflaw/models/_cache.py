"""Calls that are paid for once: every answer is stored as soon as it is known, so a killed run resumes.

Back ends speak two dialects. Any `Generator` takes `(prompts, sampling)` and draws row i with
`sampling.seed + i`. Our own also take two keywords:

`seeds`
    one seed per prompt, in place of `sampling.seed + i`. A resumed run sends only the rows it still
    lacks, and each must keep the seed of its original position.
`on_result(i, answer)`
    called as soon as the answer to prompt i is known, in order of completion.

`call` speaks both: with a plain generator it sends short runs of consecutive seeds.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from unflaw._errors import DataError, ModelCallError, SettingsError
from unflaw.models._protocols import Generator, Prompt, Sampling, as_messages

__all__ = ["CachedGenerator", "CallCache", "OnResult", "RowsError", "cached", "call", "row_seeds"]

OnResult = Callable[[int, str], None]
"""Receives (position of the prompt, answer) once that answer is known."""

MOST_NAMED = 20
"""Rows, and reasons, that an error names one by one."""

RUN_LENGTH = 16
"""Prompts per call to a generator without `on_result`: what a kill can cost at most."""

FORMAT = 1
"""Layout of the database, kept in SQLite's `user_version`."""


class RowsError(ModelCallError):
    """Some rows of a call got no answer. Those that got one have been told to `on_result`."""

    def __init__(self, model: str, reasons: Mapping[int, str], rest: str = "") -> None:
        """Name the rows: `reasons` maps a row to why it has no answer, `rest` closes the message."""
        self.model, self.reasons, self.rest = model, dict(reasons), rest
        rows: dict[str, list[int]] = {}
        for row, reason in sorted(self.reasons.items()):
            rows.setdefault(reason, []).append(row)
        parts = _first([f"{_named(which)} {reason}" for reason, which in rows.items()], "; ", "reasons")
        count = f"{len(self.reasons)} rows: " if len(rows) > 1 else ""
        ModelCallError.__init__(self, f"`{model}` failed {count}{parts}{rest}")

    def renamed(self, names: Sequence[int]) -> RowsError:
        """Return the same error for rows that the caller knows under other numbers."""
        return RowsError(self.model, {names[row]: reason for row, reason in self.reasons.items()}, self.rest)


def _named(rows: Sequence[int]) -> str:
    return f"row {rows[0]}" if len(rows) == 1 else "rows " + _first(list(map(str, rows)), ", ", "rows")


def _first(parts: Sequence[str], comma: str, what: str) -> str:
    """Join the first parts and count the others."""
    more = len(parts) - MOST_NAMED
    return comma.join(parts[:MOST_NAMED]) + (f"{comma}and {more} more {what}" if more > 0 else "")


def row_seeds(n: int, sampling: Sampling, seeds: Sequence[int] | None) -> list[int]:
    """Return the seed of each of `n` rows: `seeds` as given, else `sampling.seed + i`.

    Raises SettingsError when the number of seeds is not the number of prompts.
    """
    if seeds is None:
        return [sampling.seed + i for i in range(n)]
    if len(seeds) != n:
        raise SettingsError(f"`seeds` must hold one seed per prompt, got {len(seeds)} seeds for {n} prompts")
    return list(seeds)


def call(
    generator: Generator,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    seeds: Sequence[int] | None = None,
    on_result: OnResult | None = None,
) -> list[str]:
    """Call any generator with a seed per row and news of each answer, whichever dialect it speaks."""
    seeds = row_seeds(len(prompts), sampling, seeds)
    if _takes_keywords(generator):
        answers = generator.generate(prompts, sampling, seeds=seeds, on_result=on_result)  # type: ignore[call-arg]
        return _one_each(answers, len(prompts))
    answers = []
    for start, end in _runs(seeds):
        part = generator.generate(prompts[start:end], replace(sampling, seed=seeds[start]))
        for i, answer in enumerate(_one_each(part, end - start), start):
            answers.append(answer)
            if on_result is not None:
                on_result(i, answer)
    return answers


def _takes_keywords(generator: Generator) -> bool:
    parameters = inspect.signature(generator.generate).parameters
    return {"seeds", "on_result"} <= set(parameters)


def _one_each(answers: list[str], n: int) -> list[str]:
    if len(answers) != n:
        raise ModelCallError(f"the generator must return one answer per prompt, got {len(answers)} for {n} prompts")
    return answers


def _runs(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of stretches whose seeds count up by one, at most RUN_LENGTH long."""
    start = 0
    for i in range(1, len(seeds) + 1):
        if i == len(seeds) or seeds[i] != seeds[i - 1] + 1 or i - start == RUN_LENGTH:
            yield start, i
            start = i


class CallCache:
    """Answers by key in one SQLite file. Each is committed on arrival; processes and threads may share it.

    Raises DataError when the file is no call cache, is damaged, or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.hits = 0
        """Rows answered from the file since it was opened."""
        self.misses = 0
        """Rows that had to be asked."""
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _prepare(self) -> None:
        # Write-ahead log: readers and one writer do not block each other, and a commit needs no fsync to
        # survive the death of the process (a power cut may cost the last few answers, never the file).
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise DataError(
                f"the call cache {str(self.path)!r} has format {found}, this version reads {FORMAT}; move it away"
            )
        self._db.execute("CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, model TEXT, answer TEXT NOT NULL)")
        self._db.execute(f"PRAGMA user_version = {FORMAT}")

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the answers known for these keys."""
        known: dict[str, str] = {}
        for start in range(0, len(keys), 500):  # SQLite bounds the number of parameters of a statement
            part = list(keys[start : start + 500])
            marks = ",".join("?" * len(part))
            known.update(self._run(f"SELECT key, answer FROM calls WHERE key IN ({marks})", part))
        return known

    def put(self, key: str, model: str, answer: str) -> None:
        """Store an answer; the first one stored under a key stays."""
        # A lone surrogate cannot be stored as UTF-8, and a model may write one.
        clean = answer.encode("utf-8", "replace").decode("utf-8")
        self._run("INSERT OR IGNORE INTO calls VALUES (?, ?, ?)", [key, model, clean])

    def __len__(self) -> int:
        return int(self._run("SELECT count(*) FROM calls", [])[0][0])

    def _run(self, statement: str, values: list[str]) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._trouble(error) from error

    def _trouble(self, error: sqlite3.Error) -> DataError:
        return DataError(
            f"the call cache {str(self.path)!r} cannot be used: {error}. Check that its folder exists, has space and "
            "is writable; a damaged file can be moved away, its answers are then asked again"
        )

    def close(self) -> None:
        """Close the file; calling it twice does no harm."""
        self._db.close()

    def __enter__(self) -> CallCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class CachedGenerator:
    """A generator that asks another one only for rows the cache does not hold. Made by `cached`."""

    def __init__(self, generator: Generator, cache: CallCache, name: str) -> None:
        self._generator = generator
        self.cache = cache
        self.name = name

    @property
    def usage(self) -> Any:
        """What the generator behind has spent; answers from the cache cost nothing. None when it does not count."""
        return getattr(self._generator, "usage", None)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        *,
        seeds: Sequence[int] | None = None,
        on_result: OnResult | None = None,
    ) -> list[str]:
        """Return one answer per prompt, in order; only unknown ones reach the model."""
        seeds = row_seeds(len(prompts), sampling, seeds)
        keys = [_key(self.name, prompt, sampling, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        answers = self.cache.get(keys)
        places: dict[str, list[int]] = {}  # unknown key → where it stands; equal calls are sent once
        tell = on_result or _silence
        for i, key in enumerate(keys):
            if key in answers:
                tell(i, answers[key])
            else:
                places.setdefault(key, []).append(i)
        unknown = list(places)
        self.cache.misses += len(unknown)
        self.cache.hits += len(keys) - len(unknown)

        def keep(j: int, answer: str) -> None:
            self.cache.put(unknown[j], self.name, answer)
            for i in places[unknown[j]]:
                tell(i, answer)

        first = [places[key][0] for key in unknown]
        fresh = self._ask(first, prompts, sampling, seeds, keep)
        answers.update(zip(unknown, fresh, strict=True))
        return [answers[key] for key in keys]

    def _ask(
        self,
        rows: Sequence[int],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        seeds: Sequence[int],
        on_result: OnResult,
    ) -> list[str]:
        """Send some of the rows to the generator behind, which counts them from 0."""
        try:
            return call(
                self._generator,
                [prompts[i] for i in rows],
                sampling,
                seeds=[seeds[i] for i in rows],
                on_result=on_result,
            )
        except RowsError as error:
            raise error.renamed(rows) from None


def cached(generator: Generator, cache: CallCache, *, name: str) -> CachedGenerator:
    """Wrap a generator so that no call is paid for twice.

    `name` stands for the weights in the cache key: it must change when they do. The key is the SHA-256 of
    name, messages, sampling and the row's own seed, and never holds an API key.
    """
    return CachedGenerator(generator, cache, name)


def _silence(i: int, answer: str) -> None:
    """Tell nobody."""


def _key(name: str, prompt: Prompt, sampling: Sampling, seed: int) -> str:
    asked = {"model": name, "messages": as_messages(prompt), "sampling": {**asdict(sampling), "seed": seed}}
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
