"""Rows to token ids with a weight per position: what every training objective reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unflaw._errors import SettingsError
from unflaw.data import Rows, chats
from unflaw.models import Prompt, encode_pair, encode_prompt

__all__ = ["Encoded", "chats_for", "encode_rows", "pad_batch", "plan_batches"]

Spans = Callable[[str], Sequence[tuple[int, int]]]
"""Text → character spans (start, end) that count, e.g. a template's own words."""

_POOL = 50
"""Batches whose rows are sorted together."""


@dataclass(frozen=True)
class Encoded:
    """One row as tokens."""

    ids: list[int]
    weight: list[float]
    """Weight of predicting each token, same length as `ids`; 0 where the token does not count."""
    cut: bool = False
    """Whether the row was longer."""
    flat: bool = False
    """Whether its turns were written as one, since the chat template does not take them."""

    @property
    def counted(self) -> int:
        """Positions that count; the first token is never predicted."""
        return sum(w > 0 for w in self.weight[1:])


def encode_rows(
    rows: Rows, tokenizer: Any, *, target: str = "response", spans: Spans | None = None, max_tokens: int = 512
) -> list[Encoded]:
    """Encode every row.

    Parameters
    ----------
    target : which tokens count. "response" the answer and its end of turn, "full" every token but the
        first, "template" the response tokens that overlap `spans(response)`.
    max_tokens : longer rows are cut on the right; a row whose target is cut away counts nothing.

    The row's `weight` column, where present, scales its tokens; the weights of the rows that count are scaled to
    mean 1, so that only their proportions matter, and not the learning rate. Rows of weight 0 train nothing.
    """
    if target not in ("response", "full", "template"):
        raise SettingsError(f"`target` must be response, full or template, got {target!r}")
    if target == "template" and spans is None:
        raise SettingsError("`target='template'` needs the template an audit found; none was given")
    row_weights = rows.weights() or [1.0] * len(rows)
    scale = sum(w > 0 for w in row_weights) / (sum(row_weights) or 1.0)
    encoded = []
    for (prompt, response, flat), row_weight in zip(_fitted(rows, tokenizer), row_weights, strict=True):
        ids, mask = encode_pair(tokenizer, prompt, response)
        if target == "full":
            mask = [False] + [True] * (len(ids) - 1)
        elif target == "template" and spans is not None:
            mask = _span_mask(tokenizer, list(ids), list(mask), response, spans(response), max_tokens, whole=not prompt)
        weight = [scale * row_weight * float(m) for m in mask]
        encoded.append(Encoded(list(ids[:max_tokens]), weight[:max_tokens], len(ids) > max_tokens, flat))
    return encoded


def chats_for(rows: Rows, tokenizer: Any) -> list[tuple[Prompt, str]]:
    """Return (prompt, response) per row: turns where the row has several and the chat template takes them, else text.

    Some templates know no system's turn, or want user and assistant to take turns.
    """
    return [(prompt, response) for prompt, response, _ in _fitted(rows, tokenizer)]


def _fitted(rows: Rows, tokenizer: Any) -> Iterator[tuple[Prompt, str, bool]]:
    """Yield prompt, response, and whether the prompt's turns had to be written as one."""
    for (said, response), (text, _) in zip(chats(rows), rows.pairs(), strict=True):
        flat = not (isinstance(said, str) or _takes(tokenizer, said))
        yield text if flat else said, response, flat


def _takes(tokenizer: Any, turns: Prompt) -> bool:
    from jinja2 import TemplateError

    try:
        encode_prompt(tokenizer, turns)
    except TemplateError:
        return False
    return True


def _span_mask(
    tokenizer: Any,
    ids: list[int],
    mask: list[bool],
    response: str,
    spans: Sequence[tuple[int, int]],
    max_tokens: int,
    *,
    whole: bool,
) -> list[bool]:
    """Keep the True positions, of the first `max_tokens`, whose characters overlap a span of the response.

    Token ends are found by decoding growing prefixes, which needs no offset mapping and is exact for
    byte-level tokenizers; a token that ends inside a multi-byte character belongs to that character. A chat template
    may write something of its own before the response (an empty thought), or trim it: where it stands is looked up.
    With `whole` the ids are the response's alone: those before the first that counts are text, too, unless they are
    special.
    """

    def decoded(some: Sequence[int]) -> str:
        return tokenizer.decode(some, clean_up_tokenization_spaces=False).rstrip("\ufffd")

    positions = [i for i, counts in enumerate(mask) if counts]
    special = set(tokenizer.all_special_ids)
    so_far = [i for i in ids[: positions[0]] if i not in special] if whole and positions else []
    shift, first, last = _place(response, decoded([*so_far, *(ids[i] for i in positions)]))
    kept, start = [False] * len(ids), len(decoded(so_far))
    for position in positions:
        if position >= max_tokens:
            break
        so_far.append(ids[position])
        end = min(len(decoded(so_far)), last)
        within = ((max(a + shift, first), min(b + shift, last)) for a, b in spans)
        kept[position] = any(start < b and a < max(end, start + 1) for a, b in within)
        start = end
    return kept


def _place(response: str, said: str) -> tuple[int, int, int]:
    """Return what to add to a place in the response to have it in what is said, and where the response is there."""
    for text in (response, response.strip()):
        if text and (at := said.find(text)) >= 0:
            return at - response.index(text), at, at + len(text)
    return 0, 0, len(response)


def plan_batches(lengths: Sequence[int], batch_size: int, steps: int, rng: np.random.Generator) -> list[list[int]]:
    """Draw `steps` batches of row indices: every row once per epoch, rows of like length together.

    Rows are shuffled, sorted by length inside pools of 50 batches, cut into batches, and the batches shuffled, so that
    padding stays small and the order stays random. Batches are of one size, to within one row: a row of a short one
    would count more than others, and it would be the longest ones, always.
    """
    size = np.asarray(lengths)
    n_batches = -(-len(size) // batch_size)
    ends = np.arange(n_batches + 1) * len(size) // max(n_batches, 1)
    batches: list[list[int]] = []
    while len(batches) < steps:
        order = rng.permutation(len(size))
        for first in range(0, n_batches, _POOL):
            pool = slice(ends[first], ends[min(first + _POOL, n_batches)])
            order[pool] = order[pool][np.argsort(size[order[pool]], kind="stable")]
        batches += [order[ends[k] : ends[k + 1]].tolist() for k in rng.permutation(n_batches)]
    return batches[:steps]


def pad_batch(encoded: Sequence[Encoded], pad_id: int) -> dict[str, Any]:
    """Pad on the right: `input_ids` and `attention_mask` (B, T) int64, `weight` (B, T) float32."""
    import torch

    longest = max(len(e.ids) for e in encoded)
    ids = torch.full((len(encoded), longest), pad_id, dtype=torch.long)
    attention = torch.zeros((len(encoded), longest), dtype=torch.long)
    weight = torch.zeros((len(encoded), longest))
    for row, e in enumerate(encoded):
        n = len(e.ids)
        ids[row, :n] = torch.tensor(e.ids)
        attention[row, :n] = 1
        weight[row, :n] = torch.tensor(e.weight)
    return {"input_ids": ids, "attention_mask": attention, "weight": weight}
