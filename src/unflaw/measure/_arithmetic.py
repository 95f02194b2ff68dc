"""Sums that a text does out loud, and whether they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Equation", "equations"]

_NUMBER = r"-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\$?\d+(?:\.\d+)?"
_SIGN = r"\s*[-+*/×·÷−]\s*|\s+(?:x|plus|minus|times|divided by)\s+"
_ROW = rf"(?:{_NUMBER})(?:(?:{_SIGN})(?:{_NUMBER}))+"
_TERM = rf"{_NUMBER}|\(\s*{_ROW}\s*\)"
_EQUATION = re.compile(
    rf"(?P<left>(?:{_TERM})(?:(?:{_SIGN})(?:{_TERM}))+)(?:\s*=\s*|\s+(?:is equal to|equals)\s+)(?P<right>{_NUMBER})"
    r"(?![\d.,]*\d|\s*[-+*/×·÷−^%]|\w)"
)
_OPERAND, _OPERATOR = re.compile(rf"\s*(?:({_NUMBER})|\()"), re.compile(rf"({_SIGN})")
_GOES_ON = re.compile(r"(?:[-+*/×·÷−^(]|\b(?:plus|minus|times|by|of|mod))\s*\Z|[\w._^,$]\Z")
"""Before a sum that is the end of one with a variable, a bracket or a power in it."""
_PLAIN = {"×": "*", "·": "*", "x": "*", "÷": "/", "−": "-", "plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_MOST_SIGNS = 120
"""Longer ones are no sums that anyone does in a text."""


class Equation(NamedTuple):
    """A sum with plain numbers on both sides."""

    text: str
    holds: bool
    """Also where the right side is rounded or cut off at its last digit."""


def equations(text: str) -> Iterator[Equation]:
    """Yield the sums that a text spells out, such as "12 + 30 = 42", passing over those with a variable or a unit.

    >>> [e.holds for e in equations("So 3 × 4 + 1 = 13, and 10 / 4 = 2.5, but 7 * 8 = 54. Then x + 2 = 9.")]
    [True, True, False]
    """
    for found in _EQUATION.finditer(text) if "=" in text or "equal" in text else ():
        left, right = found["left"], found["right"]
        if len(found[0]) <= _MOST_SIGNS and not _GOES_ON.search(text[: found.start()][-_MOST_SIGNS:]):
            value = _value(left)
            yield Equation(" ".join(found[0].split()), value is not None and _is_written(value, right))


def _is_written(value: Fraction, right: str) -> bool:
    """Tell whether a number is this value, or the value rounded or cut off at its last digit."""
    unit, told = Fraction(1, 10 ** len(right.partition(".")[2])), _number(right)
    return abs(value - told) <= unit / 2 or int(value / unit) * unit == told


def _value(left: str) -> Fraction | None:
    """Return the value of numbers and signs, brackets before products before sums; None where it divides by zero."""
    try:
        return _row(left, 0)[0]
    except ZeroDivisionError:
        return None


def _row(text: str, at: int) -> tuple[Fraction, int]:
    """Return the value of the row that begins at a place, and where it ends."""
    terms, sign = [Fraction(0)], "+"
    while True:
        found: re.Match[str] = _OPERAND.match(text, at)  # type: ignore[assignment]  # the sum was found by these forms
        n, at = (_number(found[1]), found.end()) if found[1] else _row(text, found.end())
        if sign in "+-":
            terms.append(n if sign == "+" else -n)
        else:
            terms[-1] = terms[-1] * n if sign == "*" else terms[-1] / n
        step = _OPERATOR.match(text, at)
        if step is None:
            end = at + len(text[at:]) - len(text[at:].lstrip())
            return sum(terms, Fraction(0)), end + text.startswith(")", end)
        sign, at = _PLAIN.get(step[0].strip(), step[0].strip()), step.end()


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("$", ""))
