"""Where the tasks of an audit run: in this process, on all cores of this machine, or on a Ray.

A task reads what it needs from the audit's work folder and leaves what it found there, so that an engine only has to
call it: what was done before a kill is there, and what a dying worker took along is done again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from unflaw._errors import EngineError, MissingExtraError, SettingsError, UnflawError, did_you_mean

__all__ = ["HERE", "Engine", "LocalEngine", "RayEngine", "Run", "in_one_thread", "open_engine"]

T = TypeVar("T")
R = TypeVar("R")

Run = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""`run(task, things)` calls the task with each thing and yields the results, in any order."""
HERE: Run = map
"""One thing after the other, in this process."""

_TRIES = 3
"""A task that takes its worker along this often is not to blame on the worker."""
_PATIENCE = 10.0
"""Seconds in which something must listen at the address of a Ray."""
_NO_RAY = (
    "no Ray answers at `address` {address!r}: {error}. Start one with `ray start --head`, or leave the address out to "
    "use this machine"
)


@runtime_checkable
class Engine(Protocol):
    """Something that runs tasks. What is handed over is pickled, unless it stays in this process."""

    def run(self, task: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """Call `task` with each of `things`, and yield the results in any order, as they come."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """On one machine, in one process or in several."""

    workers: int | None = None
    """Processes; None: one for each core. With 1 everything happens in this one."""

    def __post_init__(self) -> None:
        _refuse_few(self.workers)

    def run(self, task: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """Call the task; where a worker dies, its tasks are called again."""
        workers = self.workers or os.cpu_count() or 1
        if workers == 1 or len(things) < 2:
            yield from map(task, things)
            return
        from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

        left, broken = dict(enumerate(things)), 0
        while left:
            try:
                for at, result in _parallel(task, left, min(workers, len(left))):
                    del left[at]
                    yield result
            except (BrokenProcessPool, TerminatedWorkerError) as error:
                broken += 1
                if broken == _TRIES:
                    raise EngineError(
                        f"{_TRIES} times a worker died at {len(left)} of {len(things)} tasks. Mostly that is a lack of "
                        "memory: use fewer `workers` (--workers), or 1 to see the error itself"
                    ) from error


def _parallel(task: Callable[[T], R], things: dict[int, T], workers: int) -> Iterator[tuple[int, R]]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    yield from parallel(delayed(_named)(task, at, thing) for at, thing in list(things.items()))


def _named(task: Callable[[T], R], at: int, thing: T) -> tuple[int, R]:
    return at, task(thing)


@dataclass(frozen=True)
class RayEngine:
    """A Ray: one of its own on this machine, or a cluster by its address. Its machines must reach the work folder."""

    address: str | None = None
    """Of a running Ray, e.g. "auto" or "ray://head:10001"; None starts one here, which stops when Python does."""
    workers: int | None = None
    """Tasks at once; None: as many as there are cores."""

    def __post_init__(self) -> None:
        _refuse_few(self.workers)

    def run(self, task: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
        """Call the task in a block of Ray Data for each thing; Ray calls again what a worker took along."""
        if not things:
            return
        data = self._connected()
        import cloudpickle

        calls = [{"thing": cloudpickle.dumps(thing)} for thing in things]
        at_once = None if self.workers is None else min(self.workers, len(calls))
        shared = {"task": cloudpickle.dumps(task)}  # sent once, whatever it knows of all rows
        rows = data.from_items(calls, override_num_blocks=len(calls))
        for row in rows.map(_called, fn_kwargs=shared, concurrency=at_once).iter_rows():
            if row["error"]:
                raise cloudpickle.loads(row["error"])
            yield cloudpickle.loads(row["result"])

    def _connected(self) -> Any:
        try:
            import ray
            import ray.data
        except ImportError:
            raise MissingExtraError("ray", "ray") from None
        if not ray.is_initialized():
            _refuse_silent(self.address)
            try:
                ray.init(
                    address=self.address or "local", num_cpus=None if self.address else self.workers,
                    include_dashboard=False if self.address is None else None, log_to_driver=False,
                    logging_level=logging.ERROR,
                )  # fmt: skip
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise EngineError(_NO_RAY.format(address=self.address, error=error)) from error
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        return ray.data


def _refuse_silent(address: str | None) -> None:
    """Refuse an address at which nothing listens: Ray itself would wait for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise EngineError(_NO_RAY.format(address=address, error=error)) from error


def _called(row: dict[str, bytes], task: bytes) -> dict[str, bytes]:
    """Call the task with what a row of a block holds, bytes alone. What unflaw refuses is handed back whole."""
    import cloudpickle

    try:
        return {"result": cloudpickle.dumps(cloudpickle.loads(task)(cloudpickle.loads(row["thing"]))), "error": b""}
    except UnflawError as error:
        return {"result": b"", "error": cloudpickle.dumps(error)}


def in_one_thread(task: Callable[..., R], *given: Any) -> R:
    """Call a task in one thread: small matrices make several wait for each other more than they compute."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return task(*given)


def open_engine(engine: Engine | str, n_rows: int, few: int = 20_000) -> Engine:
    """Return the engine of this name; a few rows stay in this process: others would have to load everything first."""
    if not isinstance(engine, str):
        return engine
    if engine == "local":
        return LocalEngine(1 if n_rows <= few else None)
    if engine == "ray":
        return RayEngine()
    raise SettingsError(f"`engine` must be local or ray, got {engine!r}. {did_you_mean(engine, ('local', 'ray'))}")


def _refuse_few(workers: int | None) -> None:
    if workers is not None and workers < 1:
        raise SettingsError(f"`workers` must be at least 1, got {workers}")
