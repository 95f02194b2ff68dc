"""Checks on wording: which words occur, how the answer begins and ends, case, letters, punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from unflaw.evaluate._pieces import sentences, words

__all__ = [
    "all_lowercase",
    "all_uppercase",
    "ascii_only",
    "avoids",
    "capital_words",
    "contains",
    "contains_any",
    "distinct_of_at_least",
    "emoji_ends",
    "ends_with",
    "first_word_in",
    "has_number",
    "keyword_at",
    "keyword_at_least",
    "keyword_at_most",
    "keyword_exactly",
    "keyword_in_sentence",
    "keywords_exactly",
    "letter_at_least",
    "letter_at_most",
    "mostly_script",
    "no_commas",
    "no_digits",
    "no_exclamation",
    "nth_words_script",
    "numbers_are",
    "numbers_exactly",
    "one_of",
    "punctuation_cover",
    "question_end",
    "repeats_but_first_word",
    "repeats_request",
    "starts_with",
    "stop_words_at_most",
    "title_case",
    "total_of_at_least",
    "trigram_overlap",
    "without_spaces",
    "words_at",
]

_OPENERS = " \t\n\"“”'‘#*_>-•<"
_EMOJI = "\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"

STOP_WORDS = frozenset(
    "a about above after again all am an and any are as at be because been before being below between both but by can "
    "did do does doing down during each few for from further had has have having he her here hers him himself his how "
    "i if in into is it its itself just me more most my myself no nor not now of off on once only or other our ours "
    "out over own same she so some such than that the their theirs them then there these they this those through to "
    "too under until up very was we were what when where which while who whom why will with you your yours".split()
)
"""English function words, the ones every common list agrees on."""

_CLOSERS = " \t\n\"“”'’*_>"


def _times(response: str, phrase: str) -> int:
    """How often a word or phrase occurs as whole words, case ignored."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", response, re.IGNORECASE))


def contains(response: str, phrases: Sequence[str]) -> bool:
    """Whether every word or phrase occurs, as whole words, case ignored."""
    return all(_times(response, w) for w in phrases)


def avoids(response: str, phrases: Sequence[str]) -> bool:
    """Whether none of the words or phrases occurs, as whole words, case ignored."""
    return not any(_times(response, w) for w in phrases)


def keyword_at_least(response: str, word: str, n: int) -> bool:
    """Whether the word occurs n times or more, case ignored."""
    return _times(response, word) >= n


def keyword_at_most(response: str, word: str, n: int) -> bool:
    """Whether the word occurs n times or fewer, case ignored."""
    return _times(response, word) <= n


def keyword_exactly(response: str, word: str, n: int) -> bool:
    """Whether the word occurs exactly n times, case ignored."""
    return _times(response, word) == n


def letter_at_least(response: str, letter: str, n: int) -> bool:
    """Whether the letter (or sign) occurs n times or more, case ignored."""
    return response.lower().count(letter.lower()) >= n


def letter_at_most(response: str, letter: str, n: int) -> bool:
    """Whether the letter (or sign) occurs n times or fewer, case ignored."""
    return response.lower().count(letter.lower()) <= n


def starts_with(response: str, phrase: str) -> bool:
    """Whether it opens with the phrase; case, and quotes or markup before it, are ignored."""
    return re.match(rf"{re.escape(phrase.lower())}(?!\w)", response.lstrip(_OPENERS).lower()) is not None


def ends_with(response: str, phrase: str) -> bool:
    """Whether it closes with the phrase; case, quotes or markup, and one more . ! or ? are ignored."""
    tail = response.rstrip(_CLOSERS).lower()
    phrase = phrase.lower().rstrip(_CLOSERS)
    bare = tail[:-1] if tail.endswith((".", "!", "?")) and not phrase.endswith((".", "!", "?")) else tail
    return re.search(rf"(?<!\w){re.escape(phrase)}$", bare) is not None


def first_word_in(response: str, options: Sequence[str]) -> bool:
    """Whether the first word is one of the options, case ignored."""
    return [w.lower() for w in words(response)[:1]] in [[o.lower()] for o in options]


def one_of(response: str, options: Sequence[str]) -> bool:
    """Whether the whole answer is one of the options; case, quotes and a final full stop are ignored."""
    bare = response.strip(_CLOSERS).rstrip(".").strip(_CLOSERS).lower()
    return bare in {o.strip(_CLOSERS).rstrip(".").lower() for o in options}


def repeats_request(response: str, request: str) -> bool:
    """Whether it begins with the request word for word; spacing and case are ignored."""
    return " ".join(response.lower().split()).startswith(" ".join(request.lower().split()))


def all_lowercase(response: str) -> bool:
    """Whether it has letters and none is a capital."""
    return response.islower()


def all_uppercase(response: str) -> bool:
    """Whether it has letters and none is small."""
    return response.isupper()


def title_case(response: str) -> bool:
    """Whether the first word and every word of four letters or more start with a capital."""
    found = [w for w in words(response) if w[0].isalpha()]
    return bool(found) and all(w[0].isupper() for i, w in enumerate(found) if i == 0 or len(w) > 3)


def capital_words(response: str, low: int, high: int) -> bool:
    """Whether from low to high words are in capitals throughout; single letters do not count."""
    return low <= sum(w.isupper() and len(w) > 1 for w in words(response)) <= high


def no_commas(response: str) -> bool:
    """Whether it has no comma, of any script."""
    return not re.search("[,，、،]", response)


def no_digits(response: str) -> bool:
    """Whether it has no digit."""
    return not any(c.isdigit() for c in response)


def has_number(response: str) -> bool:
    """Whether it has a digit."""
    return any(c.isdigit() for c in response)


def numbers_exactly(response: str, n: int) -> bool:
    """Whether it has exactly n numbers in digits; 3.5 and 1,000 are one number each."""
    return len(re.findall(r"\d+(?:[.,]\d+)*", response)) == n


def no_exclamation(response: str) -> bool:
    """Whether it has no exclamation mark."""
    return "!" not in response and "！" not in response


def question_end(response: str) -> bool:
    """Whether it closes with a question mark; quotes or markup after it are ignored."""
    return response.rstrip(_CLOSERS).endswith(("?", "？"))


def ascii_only(response: str) -> bool:
    """Whether it has only ASCII signs; typographic quotes, dashes and dots are let through."""
    return all(ord(c) < 128 or c in "‘’“”–—…" for c in response)


def without_spaces(response: str) -> bool:
    """Whether there is no white space between the first and the last sign."""
    return not re.search(r"\s", response.strip())


def mostly_script(response: str, script: str) -> bool:
    """Whether more than half of the letters are of a Unicode script, e.g. "LATIN", "CYRILLIC"."""
    letters = [unicodedata.name(c, "") for c in response if c.isalpha()]
    return 2 * sum(name.startswith(script.upper()) for name in letters) > len(letters)


def contains_any(response: str, phrases: Sequence[str]) -> bool:
    """Whether at least one of the phrases occurs, case ignored."""
    return any(_times(response, p) for p in phrases)


def distinct_of_at_least(response: str, options: Sequence[str], n: int) -> bool:
    """Whether at least n different ones of the options occur, case ignored."""
    return sum(_times(response, o) > 0 for o in options) >= n


def total_of_at_least(response: str, options: Sequence[str], n: int) -> bool:
    """Whether the options occur n times or more together, case ignored."""
    return sum(_times(response, o) for o in options) >= n


def keywords_exactly(response: str, counts: Mapping[str, int]) -> bool:
    """Whether each word occurs exactly as often as asked, case ignored."""
    return all(_times(response, word) == n for word, n in counts.items())


def words_at(response: str, word: str, positions: Sequence[int]) -> bool:
    """Whether the word stands at all these places: 1 is the first, -1 the last; case ignored."""
    found = [w.lower() for w in words(response)]
    places = [p - 1 if p > 0 else p for p in positions]
    return all(-len(found) <= p < len(found) and found[p] == word.lower() for p in places)


def keyword_in_sentence(response: str, word: str, n: int) -> bool:
    """Whether the word occurs in the n-th sentence (from 1), case ignored."""
    found = sentences(response)
    return len(found) >= n and _times(found[n - 1], word) > 0


def keyword_at(response: str, word: str, sentence: int, position: int) -> bool:
    """Whether the word stands at this position of this sentence, both counted from 1."""
    found = sentences(response)
    return len(found) >= sentence and words_at(found[sentence - 1], word, [position])


def stop_words_at_most(response: str, percent: float) -> bool:
    """Whether at most this percentage of the words are stop words (articles, pronouns and the like)."""
    found = [w.lower() for w in words(response)]
    return 100 * sum(w in STOP_WORDS for w in found) <= percent * len(found)


def trigram_overlap(response: str, reference: str, percent: float, slack: float = 2.0) -> bool:
    """Whether about this percentage of its different runs of three characters occur in the reference."""
    own, other = ({text[i : i + 3] for i in range(len(text) - 2)} for text in (response, reference))
    return bool(own) and abs(100 * len(own & other) / len(own) - percent) <= slack


def punctuation_cover(response: str) -> bool:
    """Whether every mark of . , ; : ? ! and the interrobang (?! or !? or ‽) occurs."""
    return bool(re.search(r"\?!|!\?|‽", response)) and all(mark in response for mark in ".,;:?!")


def emoji_ends(response: str) -> bool:
    """Whether every sentence closes with an emoji, before or after its full stop."""
    found = re.split(f"(?<=[.!?{_EMOJI}])(?![.!?{_EMOJI}\ufe0f\u200d\\s])|\n", response.strip())
    ends = [part.strip(" \t.!?\ufe0f\u200d") for part in found if words(part)]
    return bool(ends) and all(re.search(f"[{_EMOJI}]$", end) for end in ends)


def nth_words_script(response: str, n: int, script: str) -> bool:
    """Whether every n-th word, split at white space, holds a letter of this Unicode script."""
    picked = response.split()[n - 1 :: n]
    return all(any(unicodedata.name(c, "").startswith(tuple(script.upper().split("/"))) for c in w) for w in picked)


def repeats_but_first_word(response: str, request: str) -> bool:
    """Whether it is the request with nothing but the first word changed."""
    own, asked = response.split(), request.split()
    return own[1:] == asked[1:] and own[:1] != asked[:1]


def numbers_are(response: str, numbers: Sequence[int]) -> bool:
    """Whether its whole numbers are these, in this order."""
    return [int(found) for found in re.findall(r"\d+", response)] == list(numbers)
