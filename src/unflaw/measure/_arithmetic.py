"""Sums that a text does out loud, and whether they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

__all__ = ["Equation", "equations"]

_NUMBER = r"-?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\$?\d+(?:\.\d+)?"
_SIGN = r"\s*[-+*/×·÷−]\s*|\s+x\s+"
_EQUATION = re.compile(
    rf"(?P<left>(?:{_NUMBER})(?:(?:{_SIGN})(?:{_NUMBER}))+)\s*=\s*(?P<right>{_NUMBER})(?![\d.,]*\d|\s*[-+*/×·÷−^%]|\w)"
)
_FIRST, _STEP = re.compile(rf"^(?:{_NUMBER})"), re.compile(rf"(?<=\d)({_SIGN})({_NUMBER})")
_PLAIN = {"×": "*", "·": "*", "x": "*", "÷": "/", "−": "-"}
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
    for found in _EQUATION.finditer(text) if "=" in text else ():
        left, right = found["left"], found["right"]
        if _stands_alone(text[: found.start()]) and len(found[0]) <= _MOST_SIGNS:
            value, places = _value(left), len(right.partition(".")[2])
            holds = value is not None and abs(value - _number(right)) * 10**places < 1
            yield Equation(" ".join(found[0].split()), holds)


def _stands_alone(before: str) -> bool:
    """Tell whether a sum begins here, and is not the end of one with a variable, a bracket or a power in it."""
    joined, last = before[-1:], before.rstrip()[-1:]
    return not (joined.isalnum() or (joined and joined in "._^,$") or (last and last in "+-*/×·÷−^("))


def _value(left: str) -> Fraction | None:
    """Return the value of numbers and signs in a row, products before sums; None where it divides by zero."""
    first, *rest = _FIRST.findall(left)[:1], *_STEP.findall(left)
    terms = [_number(first[0])]
    for sign, number in rest:
        sign, n = _PLAIN.get(sign.strip(), sign.strip()), _number(number)
        if sign in "+-":
            terms.append(n if sign == "+" else -n)
        elif sign == "/" and n == 0:
            return None
        else:
            terms[-1] = terms[-1] * n if sign == "*" else terms[-1] / n
    return sum(terms, Fraction(0))


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("$", ""))
