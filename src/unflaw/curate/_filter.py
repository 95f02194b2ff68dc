"""Rows chosen by a score: above a threshold, the worst part, or the best N, if wanted from every class alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unflaw._errors import DataError, SchemaError, SettingsError, did_you_mean
from unflaw.data import Rows, Selection

__all__ = ["filter_rows"]


def filter_rows(
    rows: Rows,
    scores: Mapping[str, float],
    *,
    above: float | None = None,
    worst: float | None = None,
    keep: int | None = None,
    balance: str | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Selection:
    """Choose which rows stay, by one of `above`, `worst` and `keep`.

    Rows of equal score go in the order of their ids, which says nothing of their place in the file. Who a score comes
    from does not matter: an audit, a model that graded the rows, a table of one's own.

    Parameters
    ----------
    scores
        Row id → score; higher is more flawed. A row without one has 0. Other ids are no matter.
    above
        Rows that score more than this go.
    worst
        This share of the rows goes, those with the highest scores; with `balance`, of every class, and what a class
        owes in part of a row is taken where the next row scores highest.
    keep
        So many rows stay, those with the lowest scores; with `balance`, as many of every class as of any other, and
        where a class has too few, the others give more.
    balance
        Role or column that holds the class of a row, e.g. "label".
    reasons
        Row id → what speaks against it; a row that goes without has the rule as its reason.

    Raises
    ------
    SettingsError
        Not one of the three was given, or it makes no sense: all mistakes at once.
    SchemaError
        The rows have no column `balance`.
    DataError
        A score is not a number.

    >>> rows = Rows.from_records([{"unflaw.id": i, "text": i} for i in "abcd"], {"text": "text"})
    >>> chosen = filter_rows(rows, {"a": 0.9, "c": 0.2}, keep=3)
    >>> chosen.kept, chosen.removed
    (('b', 'c', 'd'), ('a',))
    """
    _refuse_nonsense(len(rows), above, worst, keep, balance)
    ids = rows.ids
    score = {i: float(scores.get(i, 0.0)) for i in ids}
    if strange := [i for i, s in score.items() if not math.isfinite(s)]:
        raise DataError(f"`scores` must be finite numbers, got {score[strange[0]]} for row {strange[0]!r}")
    groups = [ids] if balance is None else _classes(rows, balance)
    best = [sorted(group, key=lambda i: (score[i], i)) for group in groups]
    if above is not None:
        kept, rule = {i for i in ids if score[i] <= above}, f"scores more than {above:g}"
    elif worst is not None:
        gone = _portions(worst, [[score[i] for i in reversed(group)] for group in best])
        kept = {i for group, n in zip(best, gone, strict=True) for i in group[: len(group) - n]}
        rule = f"is among the worst {worst:.3g} of the rows" + (f" of its {balance}" if balance else "")
    else:
        keep = int(keep or 0)
        sizes = _shares(keep, [len(group) for group in best])
        kept = {i for group, size in zip(best, sizes, strict=True) for i in group[:size]}
        rule = f"is not among the best {keep:,}" + (f", spread evenly over {balance}" if balance else "")
    said = reasons or {}
    removed = tuple(i for i in ids if i not in kept)
    return Selection(
        kept=tuple(i for i in ids if i in kept),
        removed=removed,
        reasons={i: said.get(i) or rule for i in removed},
        scores={i: score[i] for i in removed},
        settings={
            **{k: v for k, v in {"above": above, "worst": worst, "keep": keep}.items() if v is not None},
            **({"balance": balance} if balance else {}),
            "n_scored": sum(i in scores for i in ids),
        },
    )


def _refuse_nonsense(
    n_rows: int, above: float | None, worst: float | None, keep: int | None, balance: str | None
) -> None:
    given = {k: v for k, v in {"above": above, "worst": worst, "keep": keep}.items() if v is not None}
    problems = []
    if len(given) != 1:
        got = " and ".join(f"`{name}`" for name in given) or "none"
        problems.append(f"exactly one of `above`, `worst` and `keep` must say which rows stay, got {got}")
    if above is not None and not math.isfinite(above):
        problems.append(f"`above` must be a finite number, got {above}")
    if above is not None and balance is not None:
        problems.append("`balance` goes with `worst` or `keep`: a threshold leaves every class what passes it")
    if worst is not None and not 0 <= worst <= 1:
        problems.append(f"`worst` must be a share of the rows, in [0, 1], got {worst}")
    if keep is not None and not 0 <= keep <= n_rows:
        problems.append(f"`keep` must lie between 0 and the number of rows, {n_rows:,}, got {keep:,}")
    if problems:
        raise SettingsError(problems)


def _classes(rows: Rows, name: str) -> list[Sequence[str]]:
    """Return the ids of each class, in the order in which the classes first come."""
    if not rows.has(name) and name not in rows.table.column_names:
        known = [*rows.roles, *rows.table.column_names]
        raise SchemaError(f"`balance` must name a column of the rows, got {name!r}. {did_you_mean(name, known)}")
    groups: dict[Any, list[str]] = {}
    for row_id, value in zip(rows.ids, rows.column(name), strict=True):
        plain = isinstance(value, (str, int, float)) and value == value  # or each nan were a class
        groups.setdefault(value if plain else str(value), []).append(row_id)
    return list(groups.values())


def _shares(n: int, sizes: Sequence[int]) -> list[int]:
    """Deal n over groups as evenly as their sizes allow; what is over goes to the larger, or the first.

    >>> _shares(10, [2, 9, 9]), _shares(5, [3, 3]), _shares(6, [1, 2, 9])
    ([2, 4, 4], [3, 2], [1, 2, 3])
    """
    dealt = [0] * len(sizes)
    for left, at in enumerate(sorted(range(len(sizes)), key=lambda at: (sizes[at], -at))):
        dealt[at] = min(sizes[at], (n - sum(dealt)) // (len(sizes) - left))
    return dealt


def _portions(share: float, scores: Sequence[Sequence[float]]) -> list[int]:
    """Take a share of all, as much of each group as it owes, and the parts of a row where the next scores highest.

    `scores` are those of each group, the highest first. No group gives more than a row above what it owes.

    >>> _portions(0.25, [[0.9, 0.1], [0.8, 0.0], [0.2] * 4])
    [1, 0, 1]
    """
    owed = [round(share * len(group), 9) for group in scores]
    taken = [math.floor(of) for of in owed]
    left = round(share * sum(map(len, scores))) - sum(taken)
    part_owed = [at for at, of in enumerate(owed) if of > taken[at]]
    for at in sorted(part_owed, key=lambda at: (-scores[at][taken[at]], taken[at] - owed[at]))[:left]:
        taken[at] += 1
    return taken
