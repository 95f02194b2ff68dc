"""Text that came from outside, made fit to show: no control characters, no broken code points, bounded length."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from unflaw.data import mask, star

__all__ = ["clip", "marked", "number", "percent_points", "template_pattern", "visible", "with_interval"]

_CONTROL = {c: 0x2400 + c for c in range(0x20) if c not in (0x09, 0x0A)} | {0x7F: 0x2421}
_CONTROL[0x0D] = 0x0A  # a lone carriage return would vanish
_UNPRINTABLE = re.compile("[\x80-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: object) -> str:
    r"""Show what cannot be printed as a symbol: a null byte becomes U+2400, half a surrogate pair U+FFFD.

    >>> visible("a\x00b")
    'a␀b'
    """
    return _UNPRINTABLE.sub("\ufffd", str(text).replace("\r\n", "\n").translate(_CONTROL))


def clip(text: object, limit: int = 600) -> str:
    """Quote text: keys, contacts and insults masked, and no more than `limit` bytes of its escaped UTF-8 form.

    Counting characters would let a row of `<` or of emoji grow fourfold in the page. How much is missing is said.

    >>> clip("Write to ada@lovelace.uk")
    'Write to [e-mail address]'
    """
    shown = star(mask(visible(text)))
    if len(html.escape(shown[: limit + 1]).encode()) <= limit and len(shown) <= limit:
        return shown
    size = cut = 0
    for character in shown:
        size += len(html.escape(character).encode())
        if size > limit:
            break
        cut += 1
    return f"{shown[:cut]} … ({len(shown) - cut:,} more characters)"


def number(value: float | int | None, unit: str = "") -> str:
    """Three significant digits, as a reader writes them: no exponent where digits will do, a real minus sign.

    >>> number(-0.12345), number(1234.5), number(3.0)
    ('−0.123', '1,234', '3')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size != 0 and size < 0.001:
        text = f"{value:.1e}"
    else:
        text = f"{value:.3g}"
        if "e" in text:
            text = f"{value:.0f}"
    return text.replace("-", "−") + (f" {unit}" if unit else "")


def with_interval(value: float | None, low: float | None, high: float | None, unit: str = "") -> str:
    """Write a value with its interval in brackets, where it has one."""
    if low is None or high is None:
        return number(value, unit)
    return f"{number(value)} [{number(low)}, {number(high)}]" + (f" {unit}" if unit else "")


def percent_points(share: float) -> str:
    """Write a share as points out of a hundred, one decimal.

    >>> percent_points(0.1824)
    '18.2'
    """
    return f"{100 * share:.1f}".replace("-", "−")


def marked(text: str, template: re.Pattern[str] | None) -> list[tuple[str, bool]]:
    """Split text into pieces, True where a piece belongs to the template.

    >>> marked("Answer: no answer", template_pattern([{"tokens": ["Answer", ":"], "anchor": "line"}]))
    [('Answer:', True), (' no answer', False)]
    """
    pieces, end = [], 0
    for match in template.finditer(text) if template else ():
        pieces += [(text[end : match.start("phrase")], False), (match["phrase"], True)]
        end = match.end("phrase")
    return [(piece, is_template) for piece, is_template in [*pieces, (text[end:], False)] if piece]


def template_pattern(phrases: Sequence[Mapping[str, Any]]) -> re.Pattern[str] | None:
    """Where the phrases of an audit's template stand: at the start of a line or a sentence, or at the end.

    None where there are no phrases. The picture only: what a repair forgets is decided by `measure.Template`.
    """
    by_place: dict[str, list[str]] = {"line": [], "sentence": [], "end": []}
    for phrase in sorted(phrases, key=lambda p: -len(p["tokens"])):
        tokens = [r"\d+" if t == "1" else re.escape(t) for t in phrase["tokens"] if t.strip()]
        if tokens and phrase["anchor"] in by_place:
            last = phrase["tokens"][-1]
            by_place[phrase["anchor"]].append(r"\s*".join(tokens) + (r"(?!\w)" if last[-1:].isalnum() else ""))
    if not any(by_place.values()):
        return None
    nothing = "(?!)"
    line, sentence, end = ("|".join(found) or nothing for found in by_place.values())
    return re.compile(
        rf"(?P<phrase>(?:(?<=\n)|\A)(?:{line})|(?:(?<=[.!?…]\s)|(?<=[.!?…]\n\n)|\A)(?:{sentence})|(?:{end})(?=\s*\Z))"
    )
