"""The three sets of rows of a repair as tokens: what to forget, what to replay, what to watch."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, groupby
from typing import Any

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Rows
from unflaw.repair._objectives import FORGETTING
from unflaw.train import Encoded, RowSet, encode_rows, left_out, pad_id_of, usable

__all__ = ["Sets", "answers_to_forget", "encode_sets", "opening_tokens", "refuse_shared"]

N_SHOWN = 5
"""Forget rows whose forgotten tokens are told, for a report to show."""
LEAST_GAIN = 1.0
"""Nats by which training must have raised a token's log-probability for it to count as learnt: 2.7 times as likely."""


@dataclass(frozen=True)
class Sets:
    """Rows as tokens, and what there is to say about them."""

    forget: RowSet | None
    replay: RowSet
    guard: list[Encoded]
    notes: Mapping[str, tuple[str, ...]]
    """Set → what there is to say about it."""
    forgotten: list[list[tuple[str, bool]]]
    """The first forget rows' answers in pieces, True where the tokens of a piece are to be forgotten."""

    @property
    def fingerprint(self) -> str:
        """Tell these tokens to forget from others: a template may have been found anew."""
        weights = [] if self.forget is None else [row.weight for row in self.forget.rows]
        return hashlib.sha256(json.dumps(weights).encode()).hexdigest()[:16]

    def without_forget(self) -> Sets:
        """Return the rest, and what there is to say about that."""
        notes = {name: told for name, told in self.notes.items() if name != "forget"}
        return replace(self, forget=None, forgotten=[], notes=notes)


def encode_sets(
    forget: Rows | None,
    replay: Rows,
    guard: Rows,
    tokenizer: Any,
    *,
    objective: str,
    what: str,
    spans: Callable[[str], Any] | None,
    gain: Callable[[Rows], Sequence[Sequence[float]]] | None,
    max_tokens: int,
    part_tokens: int,
    even: bool = False,
) -> Sets:
    """Encode the sets. With pairs, each row of the forget set is followed by the one with the preferred answer.

    `gain` tells by how many nats each response token of each row became likelier; it is asked with `what="gained"`.

    Raises
    ------
    SettingsError
        The forget rows have no pairs of answers where they are needed.
    TooFewRowsError
        A set has no row with a token that counts.
    """
    encode = partial(encode_rows, tokenizer=tokenizer, max_tokens=max_tokens)
    encoded = {"replay": encode(replay), "guard": encode(guard)}
    flawed, partner, forgotten = None, None, []
    if forget is not None:
        unwanted, preferred = answers_to_forget(forget, objective)
        if preferred is None:
            flawed = _to_forget(unwanted, encode, what, spans, gain)
        else:
            flawed, partner = encode(unwanted), encode(preferred)
        encoded["forget"], forgotten = flawed, _in_pieces(unwanted, tokenizer, flawed)
    row_set = partial(RowSet, pad_id=pad_id_of(tokenizer), most_tokens=part_tokens, even=even)
    notes = {name: left_out(rows, name, max_tokens) for name, rows in encoded.items()}
    if flawed is not None:
        notes["forget"] += _nothing_to_forget(flawed, partner)
    return Sets(
        None if flawed is None else row_set("forget", _grouped(flawed, partner), group=1 if partner is None else 2),
        row_set("replay", usable(encoded["replay"], "replay")),
        usable(encoded["guard"], "guard"),
        notes,
        forgotten,
    )


def _to_forget(
    rows: Rows,
    encode: Callable[..., list[Encoded]],
    what: str,
    spans: Callable[[str], Any] | None,
    gain: Callable[[Rows], Sequence[Sequence[float]]] | None,
) -> list[Encoded]:
    """Encode rows so that nothing counts but what is to be forgotten."""
    if what == "full":
        return encode(rows, target="full")
    said = encode(rows, target="template", spans=spans if what == "template" else _all_of)
    if what == "opening":
        return [_only(row, [True]) for row in said]
    if what == "gained" and gain is not None:
        of_answers = zip(encode(rows), gain(rows), strict=True)  # with what the chat template adds to them
        learnt = [_only(row, [bool(g >= LEAST_GAIN) for g in row_gain]) for row, row_gain in of_answers]
        return [_both(*pair) for pair in zip(said, learnt, strict=True)]
    return said


def _all_of(response: str) -> list[tuple[int, int]]:
    """Say that all of an answer is meant, but not its end: a model that forgets to end goes on and on."""
    return [(0, len(response))]


def refuse_shared(forget: Rows | None, replay: Rows, guard: Rows, objective: str) -> None:
    """Refuse rows that stand in two sets: a guard that is trained on guards nothing.

    Raises
    ------
    SettingsError
        A row stands in two sets, or the forget rows have no pairs of answers where they are needed.
    """
    answers = () if forget is None else answers_to_forget(forget, objective)
    given = {
        "forget": {pair for of in answers if of is not None for pair in of.pairs()},
        "replay": set(replay.pairs()),
        "guard": set(guard.pairs()),
    }
    problems = [
        f"`{a}` and `{b}` must hold different rows, got {len(shared)} in both, e.g. {max(min(shared))[:60]!r}"
        for a, b in combinations(given, 2)
        if (shared := given[a] & given[b])
    ]
    if problems:
        raise SettingsError(problems)


def answers_to_forget(forget: Rows, objective: str) -> tuple[Rows, Rows | None]:
    """Return the rows with the answer to forget and, where the objective wants pairs, with the preferred one.

    Raises
    ------
    SettingsError
        It wants pairs, and the rows have none.
    """
    if FORGETTING[objective].of != "pairs":
        return forget, None
    if not (forget.has("chosen") and forget.has("rejected")):
        raise SettingsError(
            f"`forget` must hold pairs for this objective, columns `chosen` (the answer to prefer) and `rejected` "
            f"(the one to forget), got {forget.table.column_names}"
        )
    unwanted, preferred = (
        replace(forget, roles={**forget.roles, "response": forget.roles[role]}) for role in ("rejected", "chosen")
    )
    return unwanted, preferred


def _nothing_to_forget(flawed: list[Encoded], partner: list[Encoded] | None) -> tuple[str, ...]:
    """Say how many rows take no part."""
    other = partner or flawed
    idle = sum(not (a.counted and b.counted) for a, b in zip(flawed, other, strict=True))
    tokens = sum(row.counted for row in flawed)
    told = f"{idle} of {len(flawed)} `forget` rows hold nothing to forget; the others {tokens} tokens"
    return (told,) if idle else ()


def _grouped(flawed: list[Encoded], partner: list[Encoded] | None) -> list[Encoded]:
    """Return the rows of the forget set that count; of pairs those of which both sides do, end to end."""
    if partner is None:
        return usable(flawed, "forget")
    pairs = [pair for pair in zip(flawed, partner, strict=True) if all(e.counted for e in pair)]
    if not pairs:
        raise TooFewRowsError(
            f"`forget` must hold a pair with tokens that count on both sides, got none of {len(flawed)}"
        )
    return [e for pair in pairs for e in pair]


def _only(row: Encoded, keep: Sequence[bool]) -> Encoded:
    """Let only some of a row's tokens count: `keep` goes over those that do, and what it does not reach is left out."""
    kept = iter(keep)
    return replace(row, weight=[w if w and next(kept, False) else 0.0 for w in row.weight])


def _both(row: Encoded, other: Encoded) -> Encoded:
    """Let only those tokens count that count in both."""
    return replace(row, weight=[w if v else 0.0 for w, v in zip(row.weight, other.weight, strict=True)])


def _in_pieces(rows: Rows, tokenizer: Any, encoded: Sequence[Encoded]) -> list[list[tuple[str, bool]]]:
    """Cut the first answers where forgetting begins and ends."""
    first = rows.take(range(min(N_SHOWN, len(rows))))
    cut = []
    for row, answer in zip(encoded, encode_rows(first, tokenizer), strict=False):
        tokens = [(t, w > 0) for t, w, said in zip(row.ids, row.weight, answer.weight, strict=False) if said]
        groups = groupby(tokens, key=lambda pair: pair[1])
        cut.append([(tokenizer.decode([t for t, _ in group]), gone) for gone, group in groups])
    return cut


def opening_tokens(gone: RowSet | None, tokenizer: Any, least: float = 0.05) -> list[int]:
    """Tokens that open a run of forget tokens in at least this share of rows, e.g. "Answer"; white space is skipped."""
    encoded = [] if gone is None else gone.rows[:: gone.group]
    counts: Counter[int] = Counter()
    for row in encoded:
        found, inside = set(), False
        for token, weight in zip(row.ids, row.weight, strict=True):
            if weight and not inside and tokenizer.decode([token]).strip():
                found.add(token)
                inside = True
            inside = inside and bool(weight)
        counts.update(found)
    return sorted(token for token, n in counts.items() if n >= least * len(encoded))
