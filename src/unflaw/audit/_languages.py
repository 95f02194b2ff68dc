"""Languages: rows in one that real rows are not in, and answers in another than their question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from unflaw.audit._frame import Batch, RowScore
from unflaw.audit._said import said_by
from unflaw.audit._shares import Rule, Share, share_finding
from unflaw.data import Finding
from unflaw.measure import languages

__all__ = ["LanguagesCheck"]

RULE = Rule(0.01, 0.05)
_AT_HOME = 0.02
"""Share of the rows from which on their language is one of the set's own."""


class Spoken(NamedTuple):
    """Rows in each language, and answers in another than they are asked in."""

    n_rows: int
    rows: Counter[str]
    """Only rows of which the language is clear."""
    n_asked: int
    switched: int

    def abroad(self, home: Sequence[str]) -> Share:
        """Return the share of rows that are clearly in no language of `home`."""
        return Share(sum(n for code, n in self.rows.items() if code not in home), self.n_rows)


@dataclass(frozen=True, kw_only=True)
class LanguagesCheck:
    """Languages by py3langid; what is short, no prose, or not clearly of one language is left out."""

    name: ClassVar[str] = "languages"
    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def summarise(self, batch: Batch) -> Spoken:
        """Count."""
        told = _told(batch)
        spoken = Counter(answered or asked for asked, answered in told)
        return Spoken(
            len(told),
            Counter({code: n for code, n in spoken.items() if code is not None}),
            sum(bool(said.prompt) for said in said_by(batch)),
            sum(bool(asked and answered and asked != answered) for asked, answered in told),
        )

    def merge(self, a: Spoken, b: Spoken) -> Spoken:
        """Add up."""
        return Spoken(a.n_rows + b.n_rows, a.rows + b.rows, a.n_asked + b.n_asked, a.switched + b.switched)

    def conclude(self, synthetic: Spoken, reference: Spoken | None, control: Any, holdout: Any) -> list[Finding]:
        """Compare with the languages of real rows, or without any with the set's own."""
        home = _at_home(reference.rows if reference and reference.rows else synthetic.rows)
        found = [
            share_finding(
                "languages.foreign", "Rows in a language that is not the set's", synthetic.abroad(home),
                None if reference is None else reference.abroad(home), RULE,
                f"are in another language than {', '.join(home) or 'the set'}",
                evidence={"home": home, "rows": dict(sorted(synthetic.rows.items()))},
            )
        ]  # fmt: skip
        if synthetic.n_asked:
            found.append(
                share_finding(
                    "languages.switched", "Answers in another language than their question",
                    Share(synthetic.switched, synthetic.n_asked),
                    Share(reference.switched, reference.n_asked) if reference and reference.n_asked else None,
                    RULE, "answer in another language",
                )
            )  # fmt: skip
        return found

    def score(self, batch: Batch, findings: Sequence[Finding]) -> Mapping[str, Mapping[str, RowScore]]:
        """Give 1 to each row that has it."""
        by_check = {f.check: f for f in findings if f.value > 0}
        foreign, switched = by_check.get("languages.foreign"), by_check.get("languages.switched")
        if foreign is None and switched is None:
            return {}
        scores: dict[str, dict[str, RowScore]] = {check: {} for check in by_check}
        for row_id, (asked, answered) in zip(batch.ids, _told(batch), strict=True):
            spoken = answered or asked
            if foreign is not None and spoken and spoken not in foreign.evidence["home"]:
                scores[foreign.check][row_id] = RowScore(1.0, f"is in another language ({spoken})")
            if switched is not None and asked and answered and asked != answered:
                scores[switched.check][row_id] = RowScore(1.0, f"is asked in {asked} and answered in {answered}")
        return scores


def _told(batch: Batch) -> list[tuple[str | None, str | None]]:
    """Return the languages of each row's prompt and answer."""
    rows = said_by(batch)
    told = languages([part for said in rows for part in (said.prompt, said.answer)])
    return list(zip(told[::2], told[1::2], strict=True))


def _at_home(rows: Counter[str]) -> list[str]:
    return sorted(code for code, n in rows.items() if n >= _AT_HOME * rows.total())
