"""The things: rows, findings, selections, scores; reading and writing them; the run folder."""

from unflaw.data._nouns import Finding, Plot, Score, Selection, Series, Verdict, from_json, to_json
from unflaw.data._rows import ID, ROLES, Rows, content_ids

__all__ = [
    "Finding", "ID", "Plot", "ROLES", "Rows", "Score", "Selection", "Series", "Verdict", "content_ids",
    "from_json", "to_json",
]
