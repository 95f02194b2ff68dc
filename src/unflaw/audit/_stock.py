"""Stock phrases: runs of words that come back in more rows than chance gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from unflaw.audit._moulds import runs

__all__ = ["RUN", "holding", "stock_phrases"]

RUN = 4
"""Words of a stock phrase."""
_LEAST_TEXTS, _Z = 4, 3.0


def stock_phrases(texts: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Return the runs of words that stand in more texts than chance gives, with the numbers of texts and of others.

    Two shares are held to differ where z, with the pooled share's variance, is at least 3. That is no test of a run
    chosen beforehand: how many rows hold such a run by chance, the control says. Twice as long texts hold any run twice
    as often, so the share of shorter others is scaled.
    """
    here, there = (Counter(run for text in of for run in set(runs(text, RUN))) for of in (texts, others))
    n, m, found = len(texts), len(others), {}
    least = _LEAST_TEXTS if len(texts) >= len(others) else 2 * _LEAST_TEXTS  # beside many, z makes too much of four
    longer = max(1.0, (here.total() / n) / max(1.0, there.total() / m))
    for run, count in here.items():
        expected = min(float(m), there[run] * longer)
        pooled = (count + expected) / (n + m)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        if count >= least and count / n - expected / m >= _Z * error:
            found[run] = (count, there[run])
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


def holding(texts: Sequence[Sequence[str]], phrases: Iterable[str]) -> int:
    """Count the texts that hold one of these."""
    return sum(not set(runs(text, RUN)).isdisjoint(phrases) for text in texts)
