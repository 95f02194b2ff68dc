"""Finding the template of a set of rows: phrases are grown token by token from every anchor.

Notation as in `_template.py`; n, m: synthetic and reference rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure._template import SENTENCE_END, Anchor, Phrase, Template, Tokens, tokenise

__all__ = ["mine_template"]

_MAX_LENGTH = 16
"""Tokens in a phrase at most; longer boilerplate is found sentence by sentence."""
_DOMINANT = 0.8
"""A phrase goes on as long as one continuation takes this part of it: "Answer:" ends where answers begin to differ."""
_ONCE = 1.25
"""A phrase inside a line may occur this often per row that has it: a template comes once, prose repeats."""
_LAYOUT = frozenset("-–•·*#>|=~+`{<[")
"""Marks that lay out rather than speak."""
_N_SKELETONS = 10
_LEAST_ROWS = 8
"""Rows that must hold a phrase where real rows are more: then z, a normal approximation, makes too much of five."""

_Place = tuple[int, int]
"""(row, position of a phrase's first token; for the anchor "end", of its last)."""


def mine_template(
    synthetic: Sequence[str] | Sequence[Tokens],
    reference: Sequence[str] | Sequence[Tokens] | None,
    *,
    min_share: float = 0.05,
    min_ratio: float = 3.0,
    min_z: float = 4.0,
) -> Template:
    """Return the template that synthetic texts share and reference texts do not; empty when there is none.

    Parameters
    ----------
    reference
        None: there are no real texts, and what the synthetic ones share is a template, however common it is; take a
        larger `min_share`, for one real question in ten may start with "What is the".
    min_share
        Part of the synthetic rows that must hold a phrase; what keeps luck out is `min_z`.
    min_ratio
        How many times more often than in the reference: questions may well start with "What", real or not.
    min_z
        Of the difference. Hundreds of phrases are looked at; at 4 luck finds one in about 100 searches.
    """
    if not (0 < min_share <= 1 and min_ratio >= 1):
        raise SettingsError(
            f"`min_share` must lie in (0, 1] and `min_ratio` be at least 1, got {min_share} and {min_ratio}"
        )
    if not synthetic or (reference is not None and not reference):
        raise TooFewRowsError(f"a template needs texts on both sides, got {len(synthetic)} and {len(reference or ())}")
    rows, others = ([tokenise(t) if isinstance(t, str) else t for t in of] for of in (synthetic, reference or ()))
    miner = _Miner(rows, others, min_share, min_ratio, min_z)
    grown = [phrase for anchor in ("line", "sentence", "end") for phrase in miner.from_anchor(anchor)]
    template = _described(Template(_without_twins(grown)), rows, min_share)
    counts = Counter(template.read(tokens).skeleton for tokens in rows)
    counts.pop((), None)
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_N_SKELETONS]
    return Template(template.phrases, tuple((skeleton, n / len(rows)) for skeleton, n in commonest))


@dataclass(frozen=True)
class _Miner:
    synthetic: list[Tokens]
    reference: list[Tokens]
    min_share: float
    min_ratio: float
    min_z: float

    def from_anchor(self, anchor: Anchor) -> list[Phrase]:
        return self._grow(anchor, (), _places(self.synthetic, anchor), _places(self.reference, anchor))

    def _grow(
        self, anchor: Anchor, prefix: tuple[str, ...], places: list[_Place], others: list[_Place]
    ) -> list[Phrase]:
        """Phrases that start with `prefix`, which stands at `places` and, in the reference, at `others`.

        What is no phrase yet ("The") may become one by any common continuation; what is one
        ("Answer :") goes on only while nearly all rows go on alike.
        """
        phrase = self._phrase(anchor, prefix, places, others)
        floor = self.min_share * len(self.synthetic) if phrase is None else _DOMINANT * _n_rows(places)
        found: list[Phrase] = []
        if len(prefix) < _MAX_LENGTH:
            children = _continuations(self.synthetic, places, len(prefix), anchor)
            common = sorted(word for word, there in children.items() if _n_rows(there) >= floor)
            in_reference = _continuations(self.reference, others, len(prefix), anchor) if common else {}
            for word in common:
                found += self._grow(anchor, (*prefix, word), children[word], in_reference.get(word, []))
        return found or ([] if phrase is None else [phrase])

    def _phrase(
        self, anchor: Anchor, prefix: tuple[str, ...], places: list[_Place], others: list[_Place]
    ) -> Phrase | None:
        """Return the phrase if it is long enough to be one and the synthetic rows' own.

        One word alone ("The") is no template, nor is a quotation mark; a bullet at the start of a line is.
        """
        bullet = anchor == "line" and bool(prefix) and prefix[0][0] in _LAYOUT
        if len(prefix) < (1 if bullet else 2):
            return None
        n, m, rows, other_rows = len(self.synthetic), len(self.reference), _n_rows(places), _n_rows(others)
        if anchor == "sentence" and len(places) > _ONCE * rows:
            return None
        share, reference_share = rows / n, other_rows / m if m else 0.0
        z = _two_shares_z(rows, n, other_rows, m) if m else None
        if share < max(self.min_share, self.min_ratio * reference_share) or (z is not None and z < self.min_z):
            return None
        if m > n and rows < _LEAST_ROWS:
            return None
        tokens = prefix[::-1] if anchor == "end" else prefix
        return Phrase(tokens, anchor, " ".join(tokens), "", share, reference_share, z)


def _places(rows: list[Tokens], anchor: Anchor) -> list[_Place]:
    if anchor == "end":
        return [(r, len(tokens.words) - 1) for r, tokens in enumerate(rows) if tokens.words]
    return [(r, i) for r, tokens in enumerate(rows) for i, kind in tokens.anchors if kind == anchor]


def _continuations(rows: list[Tokens], places: list[_Place], depth: int, anchor: Anchor) -> dict[str, list[_Place]]:
    """Places by the token that comes after `depth` tokens.

    From the end of a row the way is backwards, to the start of its last sentence and no further.
    """
    step = -depth if anchor == "end" else depth
    children: dict[str, list[_Place]] = defaultdict(list)
    for r, i in places:
        words = rows[r].words
        if not 0 <= i + step < len(words):
            continue
        word = words[i + step]
        if anchor == "end" and depth > 0 and (word == "\n" or word in SENTENCE_END):
            continue
        children[word].append((r, i))
    return children


def _without_twins(phrases: list[Phrase]) -> tuple[Phrase, ...]:
    """Of the same tokens at two anchors keep the commoner: "I hope this helps!" starts a sentence and ends the row."""
    best: dict[tuple[str, ...], Phrase] = {}
    for phrase in phrases:
        if phrase.tokens not in best or phrase.share > best[phrase.tokens].share:
            best[phrase.tokens] = phrase
    return tuple(best.values())


def _n_rows(places: list[_Place]) -> int:
    return len({r for r, _ in places})


def _two_shares_z(x: int, n: int, y: int, m: int) -> float:
    """Score test that x of n and y of m are equal shares. Unlike log-odds it needs no prior when y is 0."""
    pooled = (x + y) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return 0.0 if variance == 0.0 else float((x / n - y / m) / variance**0.5)


def _described(rough: Template, rows: list[Tokens], min_share: float) -> Template:
    """Keep the phrases still found when longer ones go first, in reading order, as they are written."""
    seen: dict[int, list[_Sight]] = defaultdict(list)
    for r, tokens in enumerate(rows):
        for i, first, last in rough.matches(tokens):
            written = tokens.text[tokens.starts[first] : tokens.ends[last - 1]]
            seen[i].append(_Sight(r, written, first / len(tokens.words), last == len(tokens.words)))
    kept = [i for i, sights in seen.items() if len({s.row for s in sights}) >= min_share * len(rows)]
    kept.sort(key=lambda i: (sum(s.depth for s in seen[i]) / len(seen[i]), rough.phrases[i].tokens))
    return Template(
        tuple(
            replace(
                rough.phrases[i], text=_usual_text(seen[i]), position=_usual_place(seen[i], rough.phrases[i].anchor)
            )
            for i in kept
        )
    )


class _Sight(NamedTuple):
    row: int
    written: str
    depth: float
    """Tokens before the phrase, as a part of the row's."""
    closes: bool
    """Whether the row ends with the phrase."""


def _usual_text(sights: list[_Sight]) -> str:
    counts = Counter(s.written for s in sights)
    return min(counts, key=lambda written: (-counts[written], written))


def _usual_place(sights: list[_Sight], anchor: Anchor) -> str:
    if sum(s.depth == 0.0 for s in sights) >= _DOMINANT * len(sights):
        return "row start"
    if sum(s.closes for s in sights) >= _DOMINANT * len(sights):
        return "row end"
    return "sentence start" if anchor == "sentence" else "line start"
