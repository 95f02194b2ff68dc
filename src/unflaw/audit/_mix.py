"""What kinds of rows there are, held against real rows: questions, answers, layout, endings, lengths.

MixCheck(kinds)     `mix` is this; each of its `Kinds` sorts rows in one way
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._said import Said, said_by
from unflaw.audit._shares import Rule, spread_finding
from unflaw.data import Finding
from unflaw.measure import difference_of_shares

__all__ = ["Kinds", "MixCheck", "mix_check"]

RULE = Rule(0.05, 0.2)
_SURE = 3.0
"""Standard errors from which on a kind of rows is too many, and blames those that are of it."""


class Kinds(NamedTuple):
    """One way to sort rows."""

    name: str
    title: str
    of: Callable[[Said], str | None]
    """The kind of a row, or None where the question does not apply to it."""


MIN_ROWS = 20
"""Of a kind, on either side: of fewer, shares are luck."""


@dataclass(frozen=True, kw_only=True)
class MixCheck:
    """Total variation distance between the shares of each kind in the set and in real rows."""

    kinds: tuple[Kinds, ...] = field(metadata={"setting": False})

    name: ClassVar[str] = "mix"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "text"})

    def summarise(self, batch: Batch) -> tuple[Counter[str], ...]:
        """Count each kind."""
        rows = said_by(batch)
        sorted_ = ((kinds.of(said) for said in rows) for kinds in self.kinds)
        return tuple(Counter(kind for kind in of if kind is not None) for of in sorted_)

    def merge(self, a: tuple[Counter[str], ...], b: tuple[Counter[str], ...]) -> tuple[Counter[str], ...]:
        """Add up."""
        return tuple(x + y for x, y in zip(a, b, strict=True))

    def conclude(
        self, synthetic: Sequence[Counter[str]], reference: Sequence[Counter[str]],
        control: tuple[Sequence[Counter[str]], Sequence[Counter[str]]], holdout: Any,
    ) -> list[Finding]:  # fmt: skip
        """Compare the shares of what applies to enough rows of both sets."""
        found = []
        for at, kinds in enumerate(self.kinds):
            counts = synthetic[at], reference[at], (control[0][at], control[1][at])
            if min(c.total() for c in counts[:2]) >= MIN_ROWS and all(c.total() for c in counts[2]):
                found.append(self._finding(kinds, *counts))
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Score a row by the part of its kind that is too many, where the mix is not as it should be."""
        flawed = {f.check: f.evidence for f in findings if f.verdict != "ok"}
        rows, scores = said_by(batch), {}
        for kinds in self.kinds:
            if evidence := flawed.get(f"{self.name}.{kinds.name}"):
                of = zip(batch.ids, map(kinds.of, rows), strict=True)
                scores[f"{self.name}.{kinds.name}"] = {
                    row_id: RowScore(evidence["excess"][kind], evidence["reasons"][kind])
                    for row_id, kind in of
                    if kind in evidence["excess"]
                }
        return scores

    def _finding(
        self, kinds: Kinds, mine: Counter[str], real: Counter[str], control: tuple[Counter[str], Counter[str]]
    ) -> Finding:
        def shares(kind: str) -> tuple[float, float]:
            return mine[kind] / mine.total(), real[kind] / real.total()

        too_many = {k: p - q for k, (p, q) in ((k, shares(k)) for k in mine) if p > q}
        worst = sorted(too_many, key=lambda k: (-too_many[k], k))[:3]
        said = "; ".join(f"{k}: {shares(k)[0]:.0%} (real rows {shares(k)[1]:.0%})" for k in worst)
        found = spread_finding(
            f"{self.name}.{kinds.name}",
            kinds.title,
            mine,
            real,
            control,
            RULE,
            f"would need to be of another kind. {said}",
        )
        sure = [k for k in too_many if difference_of_shares(mine[k], mine.total(), real[k], real.total(), _SURE)[0] > 0]
        reasons = {k: f"{k}: {shares(k)[0]:.0%} of the rows, {shares(k)[1]:.0%} of real ones" for k in sure}
        excess = {k: too_many[k] / shares(k)[0] for k in sure}
        return replace(found, evidence={**found.evidence, "excess": excess, "reasons": reasons})


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_WH = re.compile(r"\bhow (?:many|much|long|old|far|often)\b|\b(?:what|which|whose|whom?|when|where|why|how)\b", re.I)
_SAME = {"whom": "who", "whose": "who", "how much": "how many"}
_YES_NO = frozenset(
    "is are was were am do does did has have had can could will would shall should may might must isn't aren't don't"
    " doesn't didn't wasn't weren't can't won't".split()
)
_LIST = re.compile(r"^\s*(?:[-*•+]|\d+[.)])\s", re.MULTILINE)
_TABLE = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} \S|^\*\*[^*\n]+\*\*:?\s*$", re.MULTILINE)
_DATE = re.compile(
    r"^(?:(?:in|on|by) )?(?:\d{1,2}(?:st|nd|rd|th)? )?(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
    r" ?)(?:\d{1,2}(?:st|nd|rd|th)?,? ?)?(?:\d{4})?$|^(?:in )?1\d{3}$|^(?:in )?20\d\d$|^\d{4}-\d\d-\d\d$",
    re.IGNORECASE,
)
_FEW, _SOME = 3, 8
"""Words up to which an answer is a name or a number, and a phrase."""


def _question(said: Said) -> str | None:
    """Sort by the first word that asks; what asks in no way is an instruction."""
    if not said.prompt:
        return None
    last = said.prompt.strip().splitlines()[-1] if said.prompt.strip() else ""
    asked = said.prompt if "?" not in last else last
    if "?" not in asked:
        first = _WORD.match(asked.strip())
        if not (first and (_WH.match(first[0]) or first[0].casefold() in _YES_NO)):
            return "instruction"
    if found := _WH.search(asked):
        word = " ".join(found[0].casefold().split())
        return f"asks {_SAME.get(word, word)}"
    words = _WORD.findall(asked)
    return "asks for yes or no" if any(w.casefold() in _YES_NO for w in words[:4]) else "asks otherwise"


def _answer(said: Said) -> str | None:
    """Sort what answers a question, short answers by what they are."""
    if not said.prompt:
        return None
    text = said.answer.strip().rstrip(".")
    words = text.split()
    if len(words) > _SOME or "\n" in text:
        sentences = len(re.findall(r"[.!?](?:\s|$)", said.answer.strip()))
        return "sentences" if sentences > 1 else "one sentence"
    if words and words[0].casefold().strip(",.!") in ("yes", "no", "true", "false"):
        return "yes or no"
    if _DATE.match(text):
        return "a date"
    if re.search(r"\d", text) and len(words) <= _FEW:
        return "a number"
    return "a name or word" if len(words) <= _FEW else "a phrase"


def _layout(said: Said) -> str:
    """Sort by the marks that order a text."""
    text = said.answer.strip()
    if "```" in text:
        return "code"
    if text[:1] in ("{", "[") and _is_json(text):
        return "JSON"
    if len(_TABLE.findall(text)) > 1:
        return "a table"
    if len(_LIST.findall(text)) > 1:
        return "a list"
    if _HEADING.search(text):
        return "headings"
    return "paragraphs" if "\n\n" in text else "lines" if "\n" in text else "one line"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _ending(said: Said) -> str | None:
    text = said.answer.rstrip()
    if not text:
        return None
    last = text[-1]
    if last in ".!?:;,…":
        return f"ends with {last}"
    kind = "a letter" if last.isalpha() else "a digit" if last.isdigit() else "another sign"
    return f"ends with {kind}"


def _length(said: Said) -> str | None:
    """Sort by words, every class about one and a half times as long as the one before."""
    n, low, high = len(said.answer.split()), 1, 1
    if not n:
        return None
    while n > high:
        low, high = high + 1, max(high + 1, high * 3 // 2)
    return f"{low} words" if low == high else f"{low} to {high} words"


def mix_check() -> MixCheck:
    """Return the check: questions, answers, layout, endings and lengths."""
    return MixCheck(
        kinds=(
            Kinds("questions", "Questions are of other kinds than real ones", _question),
            Kinds("answers", "Answers are of other kinds than real ones", _answer),
            Kinds("layout", "Answers are laid out otherwise than real ones", _layout),
            Kinds("endings", "Answers end otherwise than real ones", _ending),
            Kinds("lengths", "Answers are of other lengths than real ones", _length),
        )
    )
