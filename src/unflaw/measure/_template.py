"""Templates: the words that stay while the content changes, and where a text holds them.

A template lives at places a reader would point to: where a line starts ("Answer:", "- "), where a
sentence starts ("The final answer is"), and where the row ends ("I hope this helps!"). A *phrase* is
a run of tokens at such a place, an *anchor*, that many synthetic rows share and the reference does
not. The word "answer" in free prose is at no anchor, so it is never taken for the template.

Notation
    share      : part of the rows that hold a phrase at its anchor, document frequency, in [0, 1]
    skeleton   : a row's phrases in order, repeats in a row collapsed, all else a slot
    z          : of the test that both sets hold the phrase equally often (`Phrase.z`)
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from sys import intern
from typing import Any, Literal, NamedTuple

from unflaw._errors import SettingsError

__all__ = ["SENTENCE_END", "Anchor", "Match", "Phrase", "Reading", "Template", "Tokens", "tokenise"]

Anchor = Literal["line", "sentence", "end"]

_TOKEN = re.compile(r"\n\s*|[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:['’][^\W]+)*|([^\w\s])\1*")
"""A line break with the blank lines after it, a Han or kana character, a word, or a run of one mark."""

_FULL_WIDTH_END = frozenset(mark * n for mark in "。！？" for n in (1, 2, 3))
"""Followed by no space."""
SENTENCE_END = frozenset(mark * n for mark in ".!?…" for n in range(1, 9)) | _FULL_WIDTH_END


class Tokens(NamedTuple):
    """A text cut into tokens; what lies between them is white space."""

    text: str
    words: list[str]
    """A line break is "\\n"; a number that opens a list item is "1", so that all items open alike."""
    starts: list[int]
    ends: list[int]
    """Characters of token i: text[starts[i]:ends[i]]."""
    anchors: list[tuple[int, Anchor]]
    """Positions of the tokens that start a line or a sentence, in order."""


def tokenise(text: str) -> Tokens:
    """Cut a text into words, marks and line breaks.

    >>> tokenise("Answer: Paris.").words
    ['Answer', ':', 'Paris', '.']
    """
    matches = list(_TOKEN.finditer(text))
    words = [intern(m[0]) for m in matches]
    starts, ends = [m.start() for m in matches], [m.end() for m in matches]
    anchors: list[tuple[int, Anchor]] = [(0, "line")] if words and words[0][0] != "\n" else []
    last = len(words) - 1
    for i, word in enumerate(words):
        if word[0] == "\n":
            words[i] = "\n"
            if i < last:
                anchors.append((i + 1, "line"))
        elif word in SENTENCE_END and i < last and words[i + 1][0] != "\n":
            if starts[i + 1] > ends[i] or word in _FULL_WIDTH_END:
                anchors.append((i + 1, "sentence"))
    for i, kind in anchors:
        if kind == "line" and i < last and words[i + 1] in (".", ")") and words[i].isdecimal():
            words[i] = "1"
    return Tokens(text, words, starts, ends, anchors)


@dataclass(frozen=True)
class Phrase:
    """A run of tokens that many rows share at one kind of place."""

    tokens: tuple[str, ...]
    anchor: Anchor
    text: str
    """As it is most often written, e.g. "Answer:"."""
    position: str
    """Where it is usually found: "row start", "line start", "sentence start" or "row end"."""
    share: float
    """Part of the synthetic rows that hold it there."""
    reference_share: float
    z: float | None
    """Of the test that synthetic and reference rows hold it equally often: standard deviations of the difference."""


class Match(NamedTuple):
    """A phrase found at its anchor."""

    phrase: int
    first: int
    """Index of the phrase's first token in the row."""
    last: int
    """Index after its last token."""


class Reading(NamedTuple):
    """The template as one text holds it."""

    skeleton: tuple[int, ...]
    """Indices of the phrases, in order; a repeated phrase (a list) counts once."""
    spans: tuple[tuple[int, int], ...]
    """Characters that belong to the template: ascending (start, end), end excluded."""
    token_share: float
    """Part of the text's tokens that belong to the template."""


@dataclass(frozen=True)
class Template:
    """What stays the same in a set of rows. JSON-ready through `to_evidence` and `from_evidence`."""

    phrases: tuple[Phrase, ...] = ()
    """In the order in which rows usually hold them."""
    skeletons: tuple[tuple[tuple[int, ...], float], ...] = ()
    """(phrase indices in order, share of the rows that are exactly so), commonest first, at most ten."""

    @classmethod
    def from_evidence(cls, evidence: Mapping[str, Any]) -> Template:
        """Rebuild the template that `to_evidence` wrote, e.g. from `finding.evidence`."""
        if "phrases" not in evidence or "skeletons" not in evidence:
            raise SettingsError(
                "`evidence` must hold 'phrases' and 'skeletons', as the finding 'tokens.structural' does, "
                f"got {sorted(evidence)}"
            )
        phrases = tuple(Phrase(**{**p, "tokens": tuple(p["tokens"])}) for p in evidence["phrases"])
        return cls(phrases, tuple((tuple(s["phrases"]), float(s["share"])) for s in evidence["skeletons"]))

    def to_evidence(self) -> dict[str, Any]:
        """Return a JSON-ready dict, with what a reader wants to see beside what `from_evidence` needs."""
        return {
            "template": self.render(self.skeletons[0][0]) if self.skeletons else "",
            "structural_tokens": [
                {"token": token, "z": p.z, "document_frequency": p.share, "position": p.position}
                for p in self.phrases
                for token in p.tokens
            ],
            "phrases": [{**asdict(p), "tokens": list(p.tokens)} for p in self.phrases],
            "skeletons": [{"phrases": list(s), "share": share, "text": self.render(s)} for s, share in self.skeletons],
        }

    def render(self, skeleton: Sequence[int]) -> str:
        """Write a skeleton out, slots as "…"; empty for rows that hold no phrase."""
        parts: list[str] = []
        for i in skeleton:
            phrase = self.phrases[i]
            gap = "" if not parts else ("\n" if phrase.anchor == "line" and not parts[-1].endswith("\n") else " ")
            parts.append(gap + phrase.text + ("" if phrase.position == "row end" else " …"))
        if parts and self.phrases[skeleton[0]].position != "row start":
            parts.insert(0, "…" + ("\n" if self.phrases[skeleton[0]].anchor == "line" else " "))
        return "".join(parts)

    def read(self, text: str | Tokens) -> Reading:
        """Find the template in a text, or in one that is already cut.

        A phrase that starts a line takes the line break before it along: writing it was a choice
        the template made.
        """
        tokens = tokenise(text) if isinstance(text, str) else text
        skeleton: list[int] = []
        spans: list[tuple[int, int]] = []
        n_tokens = free = 0
        for phrase, first, last in self.matches(tokens):
            if not skeleton or skeleton[-1] != phrase:
                skeleton.append(phrase)
            first -= first > free and tokens.words[first - 1] == "\n"
            start, end = tokens.starts[first], tokens.ends[last - 1]
            if spans and first == free:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
            n_tokens += last - first
            free = last
        return Reading(tuple(skeleton), tuple(spans), n_tokens / max(1, len(tokens.words)))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters of `text` that belong to the template: ascending (start, end), end excluded."""
        return list(self.read(text).spans)

    def follows(self, skeleton: tuple[int, ...], k: int = 3) -> bool:
        """Whether a skeleton is exactly one of the k commonest."""
        return any(skeleton == common for common, _ in self.skeletons[:k])

    def coverage(self, skeleton: Sequence[int], k: int = 3) -> float:
        """Return the greatest part of one of the k commonest skeletons that this one holds: 1 is all its phrases."""
        held = set(skeleton)
        return max((len(held & set(s)) / len(set(s)) for s, _ in self.skeletons[:k]), default=0.0)

    @cached_property
    def _by_first(self) -> dict[tuple[str, str], list[tuple[int, list[str]]]]:
        """(anchor, first token) → phrases, longest first."""
        table: dict[tuple[str, str], list[tuple[int, list[str]]]] = defaultdict(list)
        for i, phrase in enumerate(self.phrases):
            table[phrase.anchor, phrase.tokens[0]].append((i, list(phrase.tokens)))
        return {key: sorted(found, key=lambda f: -len(f[1])) for key, found in table.items()}

    @cached_property
    def _at_end(self) -> list[tuple[int, list[str]]]:
        ends = [(i, list(p.tokens)) for i, p in enumerate(self.phrases) if p.anchor == "end"]
        return sorted(ends, key=lambda f: -len(f[1]))

    def matches(self, tokens: Tokens) -> Iterator[Match]:
        """Yield phrases at their anchors, left to right, longest first, none inside another."""
        if not self.phrases:
            return
        words, free = tokens.words, 0
        for i, anchor in tokens.anchors:
            if i < free:
                continue
            for index, wanted in self._by_first.get((anchor, words[i]), ()):
                if words[i : i + len(wanted)] == wanted:
                    free = i + len(wanted)
                    yield Match(index, i, free)
                    break
        for index, wanted in self._at_end:
            first = len(words) - len(wanted)
            if first >= free and words[first:] == wanted:
                yield Match(index, first, len(words))
                break
