"""Cut a response into words, sentences, lines and paragraphs: one definition for every check.

A word is a run of letters or digits, with inner apostrophes and hyphens ("don't" and "well-known"
are one word each, as a reader counts them; counters that split on them find more). A sentence ends
with . ! ? followed by space, or with its line, so that headings and list items count as one each.
"""

from __future__ import annotations

import re

__all__ = ["LIST_MARK", "first_letter", "lines", "paragraphs", "sentences", "words"]

LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
"""What opens a bullet or a numbered item."""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_ABBREVIATION = re.compile(r"\b(?:[A-HJ-Z]|[Pp]\.[Ss]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|Fig)\.$")
_NUMBERED = re.compile(r"\b[Nn]o\. \d$")
_SENTENCE_END = re.compile(r"[.!?…]+[\"”'’)\]*_]*(?=\s|$)")


def words(text: str) -> list[str]:
    """Words in order, case kept.

    >>> words("Don't panic: it's 42 well-known words.")
    ["Don't", 'panic', "it's", '42', 'well-known', 'words']
    """
    return _WORD.findall(text)


def lines(text: str) -> list[str]:
    """Lines that hold something, stripped."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def paragraphs(text: str) -> list[str]:
    """Blocks between blank lines, stripped."""
    return [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]


def sentences(text: str) -> list[str]:
    """Sentences with their closing mark; pieces without a word are dropped.

    >>> sentences("Dr. Lee paid 3.50. Why? Nobody knows")
    ['Dr. Lee paid 3.50.', 'Why?', 'Nobody knows']
    >>> sentences("No. See Dr. Lee, room No. 7. Now!")
    ['No.', 'See Dr. Lee, room No. 7.', 'Now!']
    """
    found = []
    for line in lines(text):
        start = 0
        line = LIST_MARK.sub("", line)
        for end in _SENTENCE_END.finditer(line):
            said, rest = line[start : end.end()], line[end.end() :]
            if rest and (_ABBREVIATION.search(said) or _NUMBERED.search(said + rest[:2])):
                continue
            found.append(line[start : end.end()].strip())
            start = end.end()
        found.append(line[start:].strip())
    return [s for s in found if words(s)]


def first_letter(text: str) -> str:
    """Return the first letter of a text in lower case, "" when it has none."""
    return next((c.lower() for c in text if c.isalpha()), "")
