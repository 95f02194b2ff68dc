"""Checks on wording: which words occur, how the answer begins and ends, case, letters, punctuation."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unflaw.evaluate._pieces import words

__all__ = [
    "all_lowercase",
    "all_uppercase",
    "ascii_only",
    "avoids",
    "capital_words",
    "contains",
    "ends_with",
    "first_word_in",
    "has_number",
    "keyword_at_least",
    "keyword_at_most",
    "keyword_exactly",
    "letter_at_least",
    "letter_at_most",
    "mostly_script",
    "no_commas",
    "no_digits",
    "no_exclamation",
    "numbers_exactly",
    "one_of",
    "question_end",
    "repeats_request",
    "starts_with",
    "title_case",
    "without_spaces",
]

_OPENERS = " \t\n\"“”'‘#*_>-•<"
_CLOSERS = " \t\n\"“”'’*_>"


def _times(response: str, phrase: str) -> int:
    """How often a word or phrase occurs as whole words, case ignored."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", response, re.IGNORECASE))


def contains(response: str, phrases: Sequence[str]) -> bool:
    """Every word or phrase occurs, case ignored."""
    return all(_times(response, w) for w in phrases)


def avoids(response: str, phrases: Sequence[str]) -> bool:
    """None of the words or phrases occurs, case ignored."""
    return not any(_times(response, w) for w in phrases)


def keyword_at_least(response: str, word: str, n: int) -> bool:
    """The word occurs n times or more."""
    return _times(response, word) >= n


def keyword_at_most(response: str, word: str, n: int) -> bool:
    """The word occurs n times or fewer."""
    return _times(response, word) <= n


def keyword_exactly(response: str, word: str, n: int) -> bool:
    """The word occurs exactly n times."""
    return _times(response, word) == n


def letter_at_least(response: str, letter: str, n: int) -> bool:
    """The letter (or sign) occurs n times or more, case ignored."""
    return response.lower().count(letter.lower()) >= n


def letter_at_most(response: str, letter: str, n: int) -> bool:
    """The letter (or sign) occurs n times or fewer, case ignored."""
    return response.lower().count(letter.lower()) <= n


def starts_with(response: str, phrase: str) -> bool:
    """Opens with the phrase as whole words; case, quotes and markup before it are ignored."""
    return re.match(rf"{re.escape(phrase.lower())}(?!\w)", response.lstrip(_OPENERS).lower()) is not None


def ends_with(response: str, phrase: str) -> bool:
    """Closes with the phrase; case, quotes, markup and one more closing . or ! or ? are ignored."""
    tail = response.rstrip(_CLOSERS).lower()
    phrase = phrase.lower().rstrip(_CLOSERS)
    bare = tail[:-1] if tail.endswith((".", "!", "?")) and not phrase.endswith((".", "!", "?")) else tail
    return re.search(rf"(?<!\w){re.escape(phrase)}$", bare) is not None


def first_word_in(response: str, options: Sequence[str]) -> bool:
    """The first word is one of the options, case ignored."""
    return [w.lower() for w in words(response)[:1]] in [[o.lower()] for o in options]


def one_of(response: str, options: Sequence[str]) -> bool:
    """The whole answer is one of the options; case, quotes and a final full stop are ignored."""
    bare = response.strip(_CLOSERS).rstrip(".").strip(_CLOSERS).lower()
    return bare in {o.strip(_CLOSERS).rstrip(".").lower() for o in options}


def repeats_request(response: str, request: str) -> bool:
    """Begins with the request word for word (spacing and case ignored)."""
    return " ".join(response.lower().split()).startswith(" ".join(request.lower().split()))


def all_lowercase(response: str) -> bool:
    """Has letters and none is a capital."""
    return response.islower()


def all_uppercase(response: str) -> bool:
    """Has letters and none is small."""
    return response.isupper()


def title_case(response: str) -> bool:
    """Every word of four letters or more starts with a capital, and so does the first word."""
    found = [w for w in words(response) if w[0].isalpha()]
    return bool(found) and all(w[0].isupper() for i, w in enumerate(found) if i == 0 or len(w) > 3)


def capital_words(response: str, low: int, high: int) -> bool:
    """From low to high words are written in capitals throughout; single letters do not count."""
    return low <= sum(w.isupper() and len(w) > 1 for w in words(response)) <= high


def no_commas(response: str) -> bool:
    """No comma, of any script."""
    return not re.search("[,，、،]", response)


def no_digits(response: str) -> bool:
    """No digit."""
    return not any(c.isdigit() for c in response)


def has_number(response: str) -> bool:
    """At least one digit."""
    return any(c.isdigit() for c in response)


def numbers_exactly(response: str, n: int) -> bool:
    """Exactly n numbers in digits; 3.5 and 1,000 are one number each."""
    return len(re.findall(r"\d+(?:[.,]\d+)*", response)) == n


def no_exclamation(response: str) -> bool:
    """No exclamation mark."""
    return "!" not in response and "！" not in response


def question_end(response: str) -> bool:
    """Closes with a question mark; quotes and markup after it are ignored."""
    return response.rstrip(_CLOSERS).endswith(("?", "？"))


def ascii_only(response: str) -> bool:
    """Only plain English letters and signs; typographic quotes, dashes and dots are let through."""
    return all(ord(c) < 128 or c in "‘’“”–—…" for c in response)


def without_spaces(response: str) -> bool:
    """No white space between the first and the last sign."""
    return not re.search(r"\s", response.strip())


def mostly_script(response: str, script: str) -> bool:
    """More than half of the letters carry this Unicode script name, e.g. "LATIN" or "CYRILLIC"."""
    import unicodedata

    letters = [unicodedata.name(c, "") for c in response if c.isalpha()]
    return 2 * sum(name.startswith(script.upper()) for name in letters) > len(letters)
