"""Checks on form: lists, JSON, headings, markup, tables, templates."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from unflaw.evaluate._pieces import lines, sentences, words

__all__ = [
    "bullets_exactly",
    "csv_table",
    "date_list",
    "fills_template",
    "heading",
    "highlights_at_least",
    "italic_openings",
    "json_object",
    "json_with_keys",
    "nested_brackets",
    "nested_quotes",
    "numbered_list",
    "placeholders_at_least",
    "postscript",
    "quoted",
    "quotes_explained",
    "sections_at_least",
    "sentences_then_bullets",
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
    """Whether exactly n lines open with a bullet (* - + •)."""
    return len(_BULLET.findall(response)) == n


def numbered_list(response: str, n: int) -> bool:
    """Whether exactly n lines are numbered, 1 to n in order."""
    found = re.findall(r"^\s*(\d+)[.)]\s+\S", response, re.MULTILINE)
    return found == [str(i + 1) for i in range(n)]


def separator_list(response: str, mark: str) -> bool:
    """Whether the mark that sets off list items occurs at least twice."""
    return response.count(mark) >= 2


def sub_bullets(response: str) -> bool:
    """Whether every * bullet is followed by at least one - bullet; needs one * bullet."""
    blocks = re.split(r"^\s*\*\s+", response, flags=re.MULTILINE)[1:]
    return bool(blocks) and all(re.search(r"^\s*-\s+\S", block, re.MULTILINE) for block in blocks)


def _as_json(response: str) -> object:
    """Parse the answer, a code fence around it allowed; None when it is not JSON."""
    bare = re.sub(r"^```(?:json|JSON)?\s*|\s*```$", "", response.strip())
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        return None


def json_object(response: str) -> bool:
    """Whether the whole answer is one JSON object; a code fence around it is allowed."""
    return isinstance(_as_json(response), dict)


def json_with_keys(response: str, keys: Sequence[str]) -> bool:
    """Whether the whole answer is one JSON object that has these keys."""
    value = _as_json(response)
    return isinstance(value, dict) and set(keys) <= set(value)


def csv_table(response: str, columns: Sequence[str], n: int, delimiter: str = ",", quote_all: bool = False) -> bool:
    """Whether it is a header with these columns, then n rows of as many fields, each in quotes if asked."""
    table = list(csv.reader(io.StringIO("\n".join(lines(response))), delimiter=delimiter))
    header = [c.strip() for c in table[0]] if table else []
    bare = quote_all and any(
        not re.fullmatch('"[^"]*"', f.strip()) for r in lines(response) for f in r.split(delimiter)
    )
    return header == list(columns) and len(table) == n + 1 and all(len(r) == len(columns) for r in table) and not bare


def heading(response: str) -> bool:
    """Whether some line is a markdown heading: # to ######, a space, text."""
    return re.search(r"^#{1,6} +\S", response, re.MULTILINE) is not None


def titled(response: str) -> bool:
    """Whether it holds a title in double angle brackets on one line."""
    return any(words(title) for title in re.findall(r"<<([^\n<>]+)>>", response))


def highlights_at_least(response: str, n: int) -> bool:
    """Whether at least n parts are set off with *one* or **two** asterisks."""
    found = re.findall(r"\*\*[^\n*]+\*\*|\*[^\n*]+\*", response)
    return sum(bool(words(part)) for part in found) >= n


def placeholders_at_least(response: str, n: int) -> bool:
    """Whether it has at least n placeholders in square brackets."""
    return len(re.findall(r"\[[^\[\]\n]+\]", response)) >= n


def postscript(response: str, marker: str = "P.S.") -> bool:
    """Whether some line opens with the marker and goes on; spacing and case of the marker are ignored."""
    sign = r"\s*".join(re.escape(c) for c in marker.replace(" ", ""))
    return re.search(rf"^\W*{sign}.*\w", response, re.MULTILINE | re.IGNORECASE) is not None


def quoted(response: str) -> bool:
    """Whether the whole answer stands between double quotation marks."""
    bare = response.strip()
    return len(bare) > 2 and bare[0] in '"“' and bare[-1] in '"”'


def sections_at_least(response: str, n: int, marker: str) -> bool:
    """Whether it has at least n different heads MARKER 1, MARKER 2, … (case ignored)."""
    return len(set(re.findall(rf"(?<!\w){re.escape(marker)}\s*(\d+)", response, re.IGNORECASE))) >= n


def table(response: str) -> bool:
    """Whether it holds a markdown table: a row of cells, a rule of dashes, one more row."""
    rows = [line for line in lines(response) if line.count("|") >= 1]
    rules = [i for i, row in enumerate(rows) if re.fullmatch(r"\|?\s*:?-+:?\s*(\|\s*:?-*:?\s*)+", row)]
    return bool(rules) and 0 < rules[0] < len(rows) - 1


def two_responses(response: str) -> bool:
    """Whether it is two different answers with six asterisks between them."""
    parts = [part.strip() for part in response.split("******") if part.strip()]
    return len(parts) == 2 and parts[0] != parts[1]


def fills_template(response: str, labels: Sequence[str]) -> bool:
    """Whether the labels occur in this order, each followed by a word of its own."""
    pattern = "".join(rf"{re.escape(label)}(.*?)" for label in labels) + "$"
    found = re.search(pattern, response.strip(), re.DOTALL)
    return found is not None and all(words(part) for part in found.groups())


def words_on_lines(response: str) -> bool:
    """Whether every line holds a single word; needs two lines."""
    found = lines(response)
    return len(found) > 1 and all(len(line.split()) == 1 for line in found)


def stairs(response: str) -> bool:
    """Whether each line is indented further than the one before; needs two lines."""
    indents = [len(line) - len(line.lstrip()) for line in response.splitlines() if line.strip()]
    return len(indents) > 1 and all(a < b for a, b in zip(indents, indents[1:], strict=False))


def nested_brackets(response: str, depth: int) -> bool:
    """Whether round, square or curly brackets nest this deep and close in order."""
    open_, deepest = [], 0
    for sign in response:
        if sign in "([{":
            open_.append({"(": ")", "[": "]", "{": "}"}[sign])
            deepest = max(deepest, len(open_))
        elif sign in ")]}" and (not open_ or open_.pop() != sign):
            return False
    return deepest >= depth and not open_


def nested_quotes(response: str, depth: int) -> bool:
    """Whether double and single quotes alternate this deep; apostrophes inside words do not count."""
    text = re.sub(r"(?<=\w)['’](?=\w)", "", response).translate(str.maketrans("“”‘’", "\"\"''"))
    open_: list[str] = []
    for sign in re.findall("[\"']", text):
        if open_ and open_[-1] == sign:
            open_.pop()
        else:
            open_.append(sign)
        if len(open_) >= depth and _closes(open_[-depth:], text):
            return True
    return False


def _closes(marks: Sequence[str], text: str) -> bool:
    """Whether the marks occur opening and then closing, innermost first."""
    return re.search(".*?".join([*marks, *reversed(marks)]), text, re.DOTALL) is not None


def quotes_explained(response: str) -> bool:
    """Whether every "quotation" is followed by words outside quotes; needs one quotation."""
    parts = re.split('["“”]', response)
    return len(parts) > 2 and len(parts) % 2 == 1 and all(words(part) for part in parts[2::2])


def italic_openings(response: str) -> bool:
    """Whether a sentence in <i> or <em> occurs, and text follows it."""
    return re.search(r"<(i|em)>[^<]*\w[^<]*</\1>.*\w", response, re.DOTALL) is not None


def sentences_then_bullets(response: str, n: int) -> bool:
    """Whether at least n sentences with a full stop are followed by at least n * bullets, and nothing else."""
    found = lines(response)
    prose = [line for line in found if not line.startswith("*")]
    bullets = found[len(prose) :]
    full = [s for s in sentences("\n".join(prose)) if s.endswith(".")]
    return len(full) >= n and len(bullets) >= n and all(line.startswith("*") for line in bullets)


def date_list(response: str) -> bool:
    """Whether it is nothing but dates, YYYY-MM-DD, separated by commas."""
    return all(re.fullmatch(r"\d{4}-[01]\d-[0-3]\d", part.strip()) for part in response.split(","))
