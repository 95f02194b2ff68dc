"""Checks on form: lists, JSON, headings, markup, tables, templates."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from unflaw.evaluate._pieces import lines, words

__all__ = [
    "bullets_exactly",
    "csv_table",
    "fills_template",
    "heading",
    "highlights_at_least",
    "json_object",
    "json_with_keys",
    "numbered_list",
    "placeholders_at_least",
    "postscript",
    "quoted",
    "sections_at_least",
    "separator_list",
    "stairs",
    "sub_bullets",
    "table",
    "titled",
    "two_responses",
    "words_on_lines",
]

_BULLET = re.compile(r"^\s*(?:[*+•]|-(?!-))\s*(?=[^\s*])", re.MULTILINE)


def bullets_exactly(response: str, n: int) -> bool:
    """Exactly n lines open with a bullet (* - + •)."""
    return len(_BULLET.findall(response)) == n


def numbered_list(response: str, n: int) -> bool:
    """Exactly n lines are numbered, 1 to n in order."""
    found = re.findall(r"^\s*(\d+)[.)]\s+\S", response, re.MULTILINE)
    return found == [str(i + 1) for i in range(n)]


def separator_list(response: str, mark: str) -> bool:
    """A list whose items are set off by this mark, at least two of them."""
    return response.count(mark) >= 2


def sub_bullets(response: str) -> bool:
    """Every * bullet is followed by at least one - bullet; needs one * bullet."""
    blocks = re.split(r"^\s*\*\s+", response, flags=re.MULTILINE)[1:]
    return bool(blocks) and all(re.search(r"^\s*-\s+\S", block, re.MULTILINE) for block in blocks)


def _as_json(response: str) -> object:
    """The parsed answer, a code fence around it allowed; None when it is not JSON."""
    bare = re.sub(r"^```(?:json|JSON)?\s*|\s*```$", "", response.strip())
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        return None


def json_object(response: str) -> bool:
    """The whole answer is one JSON object; a code fence around it is allowed."""
    return isinstance(_as_json(response), dict)


def json_with_keys(response: str, keys: Sequence[str]) -> bool:
    """The whole answer is one JSON object that has these keys."""
    value = _as_json(response)
    return isinstance(value, dict) and set(keys) <= set(value)


def csv_table(response: str, columns: Sequence[str], n: int, delimiter: str = ",") -> bool:
    """A header with these columns, then n rows of as many fields."""
    table = list(csv.reader(io.StringIO("\n".join(lines(response))), delimiter=delimiter))
    header = [c.strip() for c in table[0]] if table else []
    return header == list(columns) and len(table) == n + 1 and all(len(r) == len(columns) for r in table)


def heading(response: str) -> bool:
    """Some line is a markdown heading: # to ######, a space, words."""
    return re.search(r"^#{1,6} +\S", response, re.MULTILINE) is not None


def titled(response: str) -> bool:
    """Holds a title in double angle brackets, <<like this>>, on one line."""
    return any(words(title) for title in re.findall(r"<<([^\n<>]+)>>", response))


def highlights_at_least(response: str, n: int) -> bool:
    """At least n parts are set off with *one* or **two** asterisks."""
    found = re.findall(r"\*\*[^\n*]+\*\*|\*[^\n*]+\*", response)
    return sum(bool(words(part)) for part in found) >= n


def placeholders_at_least(response: str, n: int) -> bool:
    """At least n [placeholders] in square brackets."""
    return len(re.findall(r"\[[^\[\]\n]+\]", response)) >= n


def postscript(response: str, marker: str = "P.S.") -> bool:
    """Some line opens with the marker and goes on; spacing and case in the marker are ignored."""
    sign = r"\s*".join(re.escape(c) for c in marker.replace(" ", ""))
    return re.search(rf"^\W*{sign}.*\w", response, re.MULTILINE | re.IGNORECASE) is not None


def quoted(response: str) -> bool:
    """The whole answer stands between double quotation marks."""
    bare = response.strip()
    return len(bare) > 2 and bare[0] in '"“' and bare[-1] in '"”'


def sections_at_least(response: str, n: int, marker: str) -> bool:
    """At least n headings of the form MARKER 1, MARKER 2, … (case ignored)."""
    return len(re.findall(rf"(?<!\w){re.escape(marker)}\s*\d+", response, re.IGNORECASE)) >= n


def table(response: str) -> bool:
    """A markdown table: a row of cells, a rule of dashes, one more row."""
    rows = [line for line in lines(response) if line.count("|") >= 1]
    rules = [i for i, row in enumerate(rows) if re.fullmatch(r"\|?\s*:?-+:?\s*(\|\s*:?-*:?\s*)+", row)]
    return bool(rules) and 0 < rules[0] < len(rows) - 1


def two_responses(response: str) -> bool:
    """Two different answers with six asterisks between them."""
    parts = [part.strip() for part in response.split("******") if part.strip()]
    return len(parts) == 2 and parts[0] != parts[1]


def fills_template(response: str, labels: Sequence[str]) -> bool:
    """The labels occur in this order, each followed by at least one word of its own."""
    pattern = "".join(rf"{re.escape(label)}(.*?)" for label in labels) + "$"
    found = re.search(pattern, response.strip(), re.DOTALL)
    return found is not None and all(words(part) for part in found.groups())


def words_on_lines(response: str) -> bool:
    """Every line holds a single word; needs two lines."""
    found = lines(response)
    return len(found) > 1 and all(len(line.split()) == 1 for line in found)


def stairs(response: str) -> bool:
    """Each line is indented further than the one before; needs two lines."""
    indents = [len(line) - len(line.lstrip()) for line in response.splitlines() if line.strip()]
    return len(indents) > 1 and all(a < b for a, b in zip(indents, indents[1:], strict=False))
