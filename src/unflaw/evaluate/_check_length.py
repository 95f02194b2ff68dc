"""Checks that count: words, sentences, lines, paragraphs, characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unflaw.evaluate._pieces import lines, paragraphs, sentences, words

__all__ = [
    "characters_at_most",
    "equal_sentences",
    "lines_exactly",
    "paragraph_starts_with",
    "paragraphs_exactly",
    "sentence_growth",
    "sentence_ratio",
    "sentence_words_at_most",
    "sentences_at_least",
    "sentences_at_most",
    "sentences_exactly",
    "starred_paragraphs",
    "unique_words_at_least",
    "word_length_at_most",
    "word_repeats_at_most",
    "words_at_least",
    "words_at_most",
    "words_between",
]


def words_at_least(response: str, n: int) -> bool:
    """Whether it has at least n words."""
    return len(words(response)) >= n


def words_at_most(response: str, n: int) -> bool:
    """Whether it has at most n words."""
    return len(words(response)) <= n


def words_between(response: str, low: int, high: int) -> bool:
    """Whether it has from low to high words, both ends included."""
    return low <= len(words(response)) <= high


def sentences_at_least(response: str, n: int) -> bool:
    """Whether it has at least n sentences."""
    return len(sentences(response)) >= n


def sentences_at_most(response: str, n: int) -> bool:
    """Whether it has at most n sentences."""
    return len(sentences(response)) <= n


def sentences_exactly(response: str, n: int) -> bool:
    """Whether it has exactly n sentences."""
    return len(sentences(response)) == n


def sentence_words_at_most(response: str, n: int) -> bool:
    """Whether no sentence has more than n words."""
    return all(len(words(s)) <= n for s in sentences(response))


def sentence_growth(response: str, n: int) -> bool:
    """Whether each sentence has exactly n words more than the one before; needs two sentences."""
    counts = [len(words(s)) for s in sentences(response)]
    return len(counts) > 1 and all(b - a == n for a, b in zip(counts, counts[1:], strict=False))


def paragraphs_exactly(response: str, n: int) -> bool:
    """Whether it has exactly n blocks separated by blank lines."""
    return len(paragraphs(response)) == n


def starred_paragraphs(response: str, n: int) -> bool:
    """Whether it has exactly n non-empty blocks separated by three asterisks."""
    blocks = [block.strip() for block in response.split("***")]
    inner = blocks[1:-1] if len(blocks) > 1 else []
    return all(inner) and sum(bool(b) for b in blocks) == n


def paragraph_starts_with(response: str, n: int, word: str, total: int) -> bool:
    """Whether there are `total` paragraphs and the n-th (from 1) starts with the word."""
    blocks = paragraphs(response)
    if len(blocks) != total or not 1 <= n <= total:
        return False
    return [w.lower() for w in words(blocks[n - 1])[:1]] == [word.lower()]


def lines_exactly(response: str, n: int) -> bool:
    """Whether exactly n lines hold something."""
    return len(lines(response)) == n


def characters_at_most(response: str, n: int) -> bool:
    """Whether it has at most n characters; outer white space is free."""
    return len(response.strip()) <= n


def word_length_at_most(response: str, n: int) -> bool:
    """Whether no word is longer than n characters."""
    return all(len(w) <= n for w in words(response))


def unique_words_at_least(response: str, n: int) -> bool:
    """Whether it has at least n different words, case ignored."""
    return len({w.lower() for w in words(response)}) >= n


def word_repeats_at_most(response: str, n: int) -> bool:
    """Whether no word occurs more than n times, case ignored."""
    return max(Counter(w.lower() for w in words(response)).values(), default=0) <= n


def sentence_ratio(response: str, ratio: Sequence[int]) -> bool:
    """Whether statements, questions and exclamations stand in this ratio; [2, 1] leaves the last free."""
    ends = [s.rstrip("\"”'’)]*_")[-1:] for s in sentences(response)]
    counts = [sum(e in marks for e in ends) for marks in (("."), ("?"), ("!"))][: len(ratio)]
    return sum(counts) > 0 and all(c * ratio[0] == counts[0] * r for c, r in zip(counts, ratio, strict=True))


def equal_sentences(response: str, n: int) -> bool:
    """Whether it is n sentences of as many characters, no word in two of them."""
    found = sentences(response)
    vocabularies = [{w.lower() for w in words(s)} for s in found]
    apart = sum(len(v) for v in vocabularies) == len(set().union(*vocabularies))
    return len(found) == n and len({len(s) for s in found}) == 1 and apart
