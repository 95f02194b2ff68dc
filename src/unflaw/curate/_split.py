"""Labelled rows dealt out so that none serves two ends."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from unflaw._errors import SettingsError
from unflaw.data import Rows
from unflaw.measure import normalise
from unflaw.train import normal_texts

__all__ = ["split"]


_NOBODY = ""


def split(rows: Rows, parts: Mapping[str, float], *, by: str | None = "label", seed: int = 0) -> dict[str, list[str]]:
    """Deal rows out to named parts, each label in the same proportions; return the ids of each part.

    Rows of one text (in lower case, white space aside), or of one question about one passage, go to one part, so that
    no part knows another's rows. Sizes are met to within a row of each label and such groups.

    Parameters
    ----------
    parts : name → share of the rows, in (0, 1], or number of rows, above 1. Together they may not exceed the rows; rows
        left over go to no part.
    by : role or column whose values are dealt in proportion; None for none.

    Raises
    ------
    SettingsError
        Sizes that are no sizes, or more rows asked for than there are.

    >>> records = [{"text": f"{n}", "label": n % 2} for n in range(8)]
    >>> rows = Rows.from_records(records, {"text": "text", "label": "label"})
    >>> {name: len(ids) for name, ids in split(rows, {"train": 0.5, "test": 4}).items()}
    {'train': 4, 'test': 4}
    """
    n = len(rows)
    problems = [f"`parts` must be shares in (0, 1] or numbers of rows, got {v} for {k!r}" for k, v in parts.items()
                if not 0 < v < math.inf or (v > 1 and v != int(v))]  # fmt: skip
    shares = {name: size / n if size > 1 else size for name, size in parts.items()}
    if not parts:
        problems.append("`parts` must name at least one part, got none")
    if not problems and sum(shares.values()) > 1 + 1e-9:
        problems.append(
            f"`parts` must not ask for more rows than there are, which is {n:,}, got "
            f"{sum(size if size > 1 else math.ceil(size * n) for size in parts.values()):,} by {dict(parts)}; "
            "shares, e.g. 0.4, fit any number"
        )
    if problems:
        raise SettingsError(problems)
    groups: dict[str, list[int]] = defaultdict(list)
    for at, text in enumerate(_said(rows)):
        groups[text].append(at)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    values = [None] * n if by is None else rows.column(by)
    for group in groups.values():
        strata[str(values[group[0]])].append(group)
    shares[_NOBODY] = max(0.0, 1 - sum(shares.values()))  # so that every group is owed to somebody
    rng, dealt = np.random.default_rng(seed), {name: list[str]() for name in shares}
    ids, owed = rows.ids, dict.fromkeys(shares, 0.0)
    for name in sorted(strata):
        members = [strata[name][i] for i in rng.permutation(len(strata[name]))]
        size = sum(map(len, members))
        for part, share in shares.items():
            owed[part] += share * size
        for group in members:
            part = max(owed, key=lambda of: owed[of])
            owed[part] -= len(group)
            dealt[part] += [ids[i] for i in group]
    del dealt[_NOBODY]
    return dealt


def _said(rows: Rows) -> list[str]:
    """Return what a row says, see `measure.normalise`; of answers the question and its context."""
    if rows.has("text") or (rows.has("premise") and rows.has("hypothesis")):
        return normal_texts(rows)
    if not rows.has("prompt"):
        return [normalise(text) for text in rows.texts()]
    sides = zip(*(rows.column(role) for role in ("context", "prompt") if rows.has(role)), strict=True)
    return ["\n".join(normalise(side or "") for side in both) for both in sides]
