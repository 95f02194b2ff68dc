"""Checks on word games: initials, chains, palindromes, vowels."""

from __future__ import annotations

import re
from itertools import cycle, groupby, islice
from string import ascii_lowercase

from unflaw.evaluate._pieces import first_letter, lines, paragraphs, sentences, words

__all__ = [
    "alliteration_growth",
    "alphabet_loop",
    "consonant_clusters",
    "line_initials",
    "neighbours_differ",
    "palindromes_at_least",
    "paragraph_loops",
    "prime_word_lengths",
    "sentence_chain",
    "sentence_initials",
    "syllable_parity",
    "vowel_kinds_at_most",
]


def line_initials(response: str, letters: str) -> bool:
    """Whether the first letters of the lines spell these letters."""
    return [first_letter(line) for line in lines(response)] == list(letters.lower())


def sentence_initials(response: str, letters: str) -> bool:
    """Whether the first letters of the sentences spell these letters."""
    return [first_letter(s) for s in sentences(response)] == list(letters.lower())


def alphabet_loop(response: str) -> bool:
    """Whether each word starts with the letter after that of the word before, a after z."""
    found = [first_letter(w) for w in words(response)]
    if len(found) < 2 or not set(found) <= set(ascii_lowercase):
        return False
    start = ascii_lowercase.index(found[0])
    return found == list(islice(cycle(ascii_lowercase), start, start + len(found)))


def neighbours_differ(response: str) -> bool:
    """Whether no two words in a row start with the same letter."""
    found = [first_letter(w) for w in words(response)]
    return all(a != b or not a for a, b in zip(found, found[1:], strict=False))


def palindromes_at_least(response: str, n: int, length: int) -> bool:
    """Whether at least n different words of this length or more read the same backwards."""
    found = {w.lower() for w in words(response) if len(w) >= length}
    return sum(w == w[::-1] for w in found) >= n


def sentence_chain(response: str) -> bool:
    """Whether each sentence starts with the last word of the one before; needs two sentences."""
    found = [[w.lower() for w in words(s)] for s in sentences(response)]
    return len(found) > 1 and all(a[-1] == b[0] for a, b in zip(found, found[1:], strict=False))


def paragraph_loops(response: str) -> bool:
    """Whether each line ends with the word it starts with."""
    found = [[w.lower() for w in words(p)] for p in paragraphs(response.replace("\n", "\n\n"))]
    return bool(found) and all(p and p[0] == p[-1] for p in found)


def consonant_clusters(response: str) -> bool:
    """Whether every word has two consonants in a row; y counts as one."""
    found = [w for w in words(response) if w.isalpha()]
    return bool(found) and all(re.search(r"[^aeiou]{2}", w.lower()) for w in found)


def prime_word_lengths(response: str) -> bool:
    """Whether every word has a prime number of characters."""
    return all(len(w) > 1 and all(len(w) % d for d in range(2, len(w))) for w in words(response))


def vowel_kinds_at_most(response: str, n: int) -> bool:
    """Whether at most n different vowels (of a e i o u) are used."""
    return len(set(response.lower()) & set("aeiou")) <= n


def _syllables(word: str) -> int:
    """Syllables of an English word, by vowel groups; a silent final e does not count."""
    word = re.sub(r"(?<=[^aeiouyl])e$|(?<=[aeiouy][^aeiouy])es$", "", word.lower())
    return max(1, len(re.findall(r"[aeiouy]+", word)))


def syllable_parity(response: str) -> bool:
    """Whether words with odd and even numbers of syllables (estimated) alternate."""
    parity = [_syllables(w) % 2 for w in words(response)]
    return len(parity) > 1 and all(a != b for a, b in zip(parity, parity[1:], strict=False))


def alliteration_growth(response: str) -> bool:
    """Whether each sentence has a longer run of words with one initial than the sentence before."""
    runs = [max(len(list(run)) for _, run in groupby(map(first_letter, words(s)))) for s in sentences(response)]
    return len(runs) > 1 and all(a < b for a, b in zip(runs, runs[1:], strict=False))
