"""What training on synthetic rows does to a model beyond its benchmark: natural text, and habits.

A model may keep its accuracy and still find human text stranger than before, or answer everything in
the template of its training rows. The first shows as log-perplexity on held-out natural text, the
second as the pattern rate of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unflaw._errors import DataError
from unflaw.data import Rows, Score
from unflaw.evaluate._interval import SEPARATOR
from unflaw.evaluate._score import digest, mean_score
from unflaw.measure import Template
from unflaw.models import Scorer

__all__ = ["pattern_rate", "text_perplexity"]

_BATCH = 32


def text_perplexity(
    scorer: Scorer, rows: Rows, *, name: str = "", progress: Callable[[int, int], None] | None = None
) -> Score:
    """Measure mean negative log-probability, in nats per token, of each row; "text.log_perplexity" is their mean.

    Rows count equally, however long: one long row must not speak for all. Rows of prompt and
    response are scored as answers, others as plain text. A row too short to be scored (one token)
    is left out and counted in `settings["rows_skipped"]`. Only models that cut the text into the same number of
    tokens, `settings["n_tokens"]`, can be compared in this unit.

    Raises
    ------
    DataError
        No row can be scored.
    """
    pairs, ids = rows.pairs(), rows.ids
    items: dict[str, float] = {}
    n_tokens = 0
    for start in range(0, len(pairs), _BATCH):
        scored = scorer.log_probs(pairs[start : start + _BATCH])
        n_tokens += sum(map(len, scored))
        items.update((i, -float(s.mean())) for i, s in zip(ids[start:], scored, strict=False) if len(s))
        if progress is not None:
            progress(min(start + _BATCH, len(pairs)), len(pairs))
    if not items:
        raise DataError(f"`rows` must hold text of at least two tokens, got {len(rows)} rows and none that long")
    settings = {"prompts_hash": digest(pairs), "n_tokens": n_tokens, "rows_skipped": len(rows) - len(items)}
    return mean_score("text.log_perplexity", name, items, better="lower", unit="nats per token", settings=settings)


def pattern_rate(
    outputs: Mapping[str, str],
    template: Template | Callable[[str], bool],
    *,
    name: str = "",
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
    separator: str | None = SEPARATOR,
) -> Score:
    """Measure the share of outputs that fall into the template, as "pattern.rate"; lower is better.

    A `Template` counts an output that holds, in their places, all phrases of one of its three commonest
    skeletons; any other rule is a function of the text. Outputs are keyed by item id; the levels of one
    request are resampled together.
    """
    if not outputs:
        raise DataError("`outputs` must hold at least one text, got none")
    falls = _follows(template) if isinstance(template, Template) else template
    items = {i: float(falls(text)) for i, text in outputs.items()}
    return mean_score(
        "pattern.rate", name, items,
        better="lower", seed=seed, settings=settings, separator=separator,
    )  # fmt: skip


def _follows(template: Template) -> Callable[[str], bool]:
    commonest = [set(skeleton) for skeleton, _ in template.skeletons[:3] if skeleton]  # an empty one is no template

    def follows(text: str) -> bool:
        held = set(template.read(text).skeleton)
        return any(skeleton <= held for skeleton in commonest)

    return follows
