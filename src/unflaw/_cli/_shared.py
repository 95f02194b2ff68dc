"""What all verbs share: options with one meaning, output, progress, and errors in words.

A verb is one file `_<verb>.py` holding one function:

    @command("unflaw audit synthetic.jsonl --reference real.jsonl --run runs/first")
    def audit(
        synthetic: Annotated[Path, typer.Argument(help="...")], run: RunOption = None, as_json: JsonOption = False
    ) -> None:
        \"\"\"Say what is wrong with a synthetic data set.\"\"\"
        import unflaw  # anything heavy is imported here, never at the top

        with bar("rows scored") as progress:
            result = unflaw.audit(..., progress=progress)
        emit(result, as_json, words="3 findings, 1 fail")
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer
from rich.console import Console, RenderableType

from unflaw._errors import DataError, SettingsError, UsageError

if TYPE_CHECKING:
    from unflaw.data import RunFolder
    from unflaw.models import Usage

__all__ = [
    "DeviceOption",
    "DryRunOption",
    "JsonOption",
    "LimitOption",
    "OverwriteOption",
    "PrecisionOption",
    "ResumeOption",
    "RunOption",
    "SeedOption",
    "bar",
    "changed_options",
    "command",
    "console",
    "emit",
    "epilog_of",
    "in_vain",
    "mistakes",
    "open_cached",
    "out",
    "run_step",
    "stages",
    "written",
]

F = TypeVar("F", bound=Callable[..., Any])

RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Run folder to write to; every verb adds to it.", show_default=False),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Use the first N rows only.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout; words go to stderr.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, do nothing.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run in the same folder.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda or mps; CUDA_VISIBLE_DEVICES chooses a card.")
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="float32, or bfloat16 for matrix products and what lies under a new adapter.")
]

# Rows may hold anything, so square brackets are text and never markup; style with rich.text.Text.
console = Console(stderr=True, markup=False, highlight=False, emoji=False)
"""Words for the person at the terminal."""
out = Console(markup=False, highlight=False, emoji=False)
"""Results, which a pipe may read."""


_UNSAFE = re.compile(r"[\x7f-\x9f\ud800-\udfff]")
"""What a terminal would obey, or no encoding can hold; JSON has escapes for it."""


def emit(payload: Any, as_json: bool, words: RenderableType | None = None) -> None:
    """Give the result: `payload` as JSON on stdout, or else `words` (text or a rich table)."""
    if out.quiet:  # one of several processes, and not the one that tells
        return
    if as_json:
        text = json.dumps(payload, default=_jsonable, ensure_ascii=False, allow_nan=False, indent=2)
        typer.echo(_UNSAFE.sub(lambda c: f"\\u{ord(c.group()):04x}", text))
    elif words is not None:
        out.print(words, soft_wrap=isinstance(words, str))  # a pipe wants whole lines


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


def mistakes(*tries: Callable[[], Any]) -> list[str]:
    """Try each, and return what is wrong with the call, so that all of it is told at once."""
    found: list[str] = []
    for attempt in tries:
        try:
            attempt()
        except SettingsError as error:
            found += error.problems
        except (UsageError, DataError) as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def changed_options(verb: Callable[..., Any], call: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return those of these options that a call sets to something other than their default, as they are typed."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(verb).parameters.items()}
    names = set(names)
    return [f"--{n.replace('_', '-')}" for n, default in defaults.items() if n in names and call[n] != default]


def in_vain(verb: Callable[..., Any], call: Mapping[str, Any], uses: Mapping[str, tuple[bool, str]]) -> list[str]:
    """Say which options were changed that a call has no use for; `uses` tells whether it has, and what would have."""
    return [
        f"`{option}` is of use only with {what}"
        for name, (used, what) in uses.items()
        if not used
        for option in changed_options(verb, call, [name])
    ]


@contextmanager
def run_step(
    run: Path | None, name: str, files: Iterable[str | Path | None], settings: Mapping[str, Any], *, resume: bool,
    overwrite: bool,
) -> Iterator[RunFolder | None]:  # fmt: skip
    """Open the run folder for a step that reads these files; None where no run folder was named."""
    from unflaw.data import open_run

    if run is None:
        yield None
        return
    inputs = [path for path in files if path is not None and Path(path).exists()]
    with open_run(run, settings=settings, command=name, inputs=inputs, resume=resume, overwrite=overwrite) as folder:
        yield folder


def open_cached(stack: ExitStack, spec: str, folder: RunFolder | None, **options: Any) -> Any:
    """Open a generator until `stack` ends; with a run folder, one whose answers are kept and asked once.

    Weights on disk may be trained further under the same name; what they said before is then void.
    """
    from unflaw.data import hash_path
    from unflaw.models import CallCache, cached, open_generator, parse_spec, weight_paths

    generator: Any = open_generator(spec, **options)
    if hasattr(generator, "close"):
        stack.callback(generator.close)
    if folder is None:
        return generator
    parsed = parse_spec(spec)
    weights = [hash_path(path) for path in weight_paths(parsed)]
    name = " ".join([str(parsed), *(w for w in weights if w)])
    return cached(generator, stack.enter_context(CallCache(folder.calls_path)), name=name)


def written(usage: Usage) -> str:
    """Say how much a model has written, and how fast."""
    return f"{usage.completion_tokens:,} tokens written, {usage.tokens_per_second:.0f} tokens/s"


class Bar(Protocol):
    """Draws how far work has come."""

    def __call__(self, done: int, total: int, refused: int = 0) -> None: ...


@contextmanager
def bar(label: str) -> Iterator[Bar]:
    """Yield a `(done, total)` callback that draws progress, rate and time left on stderr.

    A third number, of failures, is drawn beside them once it is above 0. Where stderr is no terminal (a log, CI) it
    writes a plain line now and then instead.
    """
    with _drawn_bar(label) if console.is_terminal else _plain_lines(label) as progress:
        yield progress


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a `(stage, done, total)` callback that draws a `bar` for each stage, one after the other."""
    with ExitStack() as stack:
        now: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if now.get("stage") != stage:
                stack.close()
                now.update(stage=stage, draw=stack.enter_context(bar(stage)))
                now["draw"](0, total)
            now["draw"](done, total)

        yield progress


class _Pace:
    """Work per second since the first report, so that loading a model does not count as slow work.

    Where the count falls, other work has begun.
    """

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None
        self.last = 0

    def rate(self, done: int) -> float | None:
        now = time.monotonic()
        if self.first is None or done < self.last:
            self.first = (done, now)
        self.last = done
        work, seconds = done - self.first[0], now - self.first[1]
        return work / seconds if work and seconds else None


@contextmanager
def _drawn_bar(label: str) -> Iterator[Bar]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[refused]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TimeRemainingColumn(),
    )
    pace = _Pace()
    with Progress(*columns, console=console) as drawn:
        # Before the first report nobody knows what is left; the time shown is what has gone.
        task = drawn.add_task(label, total=None, rate="", refused="", left="gone")

        def progress(done: int, total: int, refused: int = 0) -> None:
            rate = pace.rate(done)
            failed = f"{refused:,} refused" if refused else ""
            told = _told(rate) if rate else ""
            drawn.update(task, completed=done, total=total, rate=told, refused=failed, left="left")

        yield progress


def _told(rate: float) -> str:
    """Write a rate per second, or per minute where that says more."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min"


_SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def _plain_lines(label: str) -> Iterator[Bar]:
    last, pace = time.monotonic(), _Pace()

    def progress(done: int, total: int, refused: int = 0) -> None:
        nonlocal last
        rate, now = pace.rate(done), time.monotonic()
        if rate is None:  # work has just begun
            last = now
        elif now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            failed = f"{refused:,} refused, " if refused else ""
            left = f"{failed}{(total - done) / rate:.0f} s left"
            console.print(f"{label}: {done}/{total}, {_told(rate)}, {left}", soft_wrap=True)

    yield progress


def command(*examples: str) -> Callable[[F], F]:
    """Make a function a verb: `examples` are command lines that work, and they end its help.

    Errors need no handling in a verb: raise `UnflawError`, and the group turns it, like Ctrl-C
    and a full disk, into one message and an exit code.
    """
    if not examples:
        raise TypeError("a command needs at least one working example")

    def remember(function: F) -> F:
        function.examples = examples  # type: ignore[attr-defined]
        return function

    return remember


def epilog_of(function: Any) -> str:
    """Write the examples of a verb as the last lines of its help.

    The backspace character tells the formatter to keep the lines as they are.
    """
    examples = function.examples
    head = "Example:" if len(examples) == 1 else "Examples:"
    return "\b\n" + "\n".join([head, *(f"  {line}" for line in examples)])
