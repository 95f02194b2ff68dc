"""Asking for rows until they will do, or cannot be had: what every method of generating does alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Protocol, runtime_checkable

from unflaw._errors import TooFewRowsError
from unflaw.generate._answers import AnswerError, normal
from unflaw.generate._generated import Rejected
from unflaw.models import Generator, Prompt, Sampling, call

__all__ = ["STRIDE", "Asked", "Fields", "Progress", "Wanted", "ask", "refuse_none", "spent", "usage_of"]

Fields = dict[str, str]
Progress = Callable[[int, int, int], None]
"""Called as answers arrive with (rows that will do, rows wanted, answers refused)."""

STRIDE = 1_000_003
"""Seeds between one attempt and the next, so that a row keeps its seed whatever `n` is."""


@runtime_checkable
class Wanted(Protocol):
    """Rows to be had: what to ask for each, and whether an answer will do."""

    @property
    def max_retries(self) -> int:
        """How often a row is asked again."""
        ...

    @property
    def unique(self) -> str:
        """Field that no two rows may share."""
        ...

    def prompt(self, k: int, attempt: int) -> Prompt:
        """Return what asks for row k."""
        ...

    def row_seed(self, k: int, attempt: int) -> int:
        """Return the sampling seed of row k."""
        ...

    def about(self, k: int) -> str:
        """Say what row k is about: the id of its passage, or its label."""
        ...

    def read(self, k: int, output: str) -> Fields:
        """Return the fields of row k. Raises AnswerError with the reason when they will not do."""
        ...


@dataclass
class Asked:
    """What has become of rows so far."""

    accepted: dict[int, tuple[int, Fields]] = field(default_factory=dict)
    """Row → (attempt, fields)."""
    rejected: list[Rejected] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    """What the unique field of accepted rows holds."""


def ask(
    wanted: Wanted, generator: Generator, sampling: Sampling, rows: Sequence[int], asked: Asked,
    progress: Progress | None, n: int,
) -> None:  # fmt: skip
    """Ask for rows, then again for those that would not do, and add what came of it to `asked`.

    Rows are judged in their order and not as they arrive, so that of two equal ones it is always the same that stays.
    """
    todo = list(rows)
    for attempt in range(wanted.max_retries + 1):
        before = len(asked.accepted), len(asked.rejected)

        def tick(done: int, refused: int, before: tuple[int, int] = before) -> None:
            if progress is not None:
                progress(before[0] + done, n, before[1] + refused)

        outputs = _outputs(wanted, generator, sampling, todo, attempt, tick)
        for k, output in zip(todo, outputs, strict=True):
            try:
                fields = wanted.read(k, output)
                key = normal(fields[wanted.unique])
                if key in asked.said:
                    raise AnswerError(f"duplicate {wanted.unique}")
            except AnswerError as reason:
                seed = wanted.row_seed(k, attempt)
                asked.rejected.append(Rejected(k, wanted.about(k), attempt, seed, str(reason), output))
            else:
                asked.said.add(key)
                asked.accepted[k] = (attempt, fields)
        todo = [k for k in todo if k not in asked.accepted]
        if not todo:
            break


def _outputs(
    wanted: Wanted, generator: Generator, sampling: Sampling, todo: Sequence[int], attempt: int,
    tick: Callable[[int, int], None],
) -> list[str]:  # fmt: skip
    done = refused = 0

    def arrived(i: int, output: str) -> None:
        nonlocal done, refused
        try:
            wanted.read(todo[i], output)
        except AnswerError:
            refused += 1
        else:
            done += 1
        tick(done, refused)

    prompts, seeds = [wanted.prompt(k, attempt) for k in todo], [wanted.row_seed(k, attempt) for k in todo]
    return call(generator, prompts, sampling, seeds=seeds, on_result=arrived)


def refuse_none(asked: Asked, n: int) -> None:
    """Raise TooFewRowsError, with the reasons, where no row would do."""
    if not asked.accepted:
        counts = Counter(r.reason for r in asked.rejected).most_common()
        raise TooFewRowsError(
            f"`n` = {n} rows were asked for and none would do; reasons: "
            f"{', '.join(f'{reason} ({count})' for reason, count in counts)}. "
            "Try a larger model, or shots of your own"
        )


def usage_of(generator: Generator) -> dict[str, float]:
    """Totals the generator has counted so far, nothing when it does not count."""
    usage = getattr(generator, "usage", None)
    return asdict(usage) if is_dataclass(usage) and not isinstance(usage, type) else {}


def spent(generator: Generator, before: dict[str, float]) -> dict[str, float]:
    """Return what a generator has counted since `usage_of` gave `before`."""
    return {key: total - before[key] for key, total in usage_of(generator).items()}
