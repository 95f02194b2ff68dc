"""Copies of texts: equal once case, width and spaces are put aside, or nearly so.

Notation
    S(a)   : the shingles of text a: its runs of w = 3 words
    J(a,b) : |S(a) & S(b)| / |S(a) | S(b)|, the Jaccard similarity
    B, R   : bands, and minima per band

MinHash keeps B*R minima of random hashes of S(a). Two texts meet when all R minima of any band
agree, which happens with probability 1 - (1 - J^R)^B: .9998 at J = .7 for B, R = 32, 4. Texts that
meet are then compared exactly, so a reported near copy is one; only misses are left to chance.

Why words, and three: one changed word in a text of n words leaves J = (n - 5) / (n + 1), so at a
threshold of .7 a text of 19 words may differ by one word and a short question by none. Two short
questions of one pattern ("How many people lived in X?") are different questions, and letters would
call them alike.

References: Broder (1997), "On the resemblance and containment of documents"; Leskovec, Rajaraman &
Ullman, Mining of Massive Datasets, ch. 3 (banding).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

__all__ = ["band_keys", "jaccard", "normalise", "shingles", "text_hash", "words_of"]

_WIDTH = 3
_BANDS, _ROWS = 32, 4
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W_]+")  # one sign of Chinese or Japanese counts as a word


def normalise(text: str) -> str:
    r"""Put aside what does not make a text another text: compatibility forms, case, runs of white space.

    >>> normalise("  What\n is ＡＢＣ? ")
    'what is abc?'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words_of(text: str) -> list[str]:
    """Return the words of a text, without marks.

    >>> words_of("don't, 東京")
    ['don', 't', '東', '京']
    """
    return _WORD.findall(text)


def shingles(text: str) -> frozenset[str]:
    """Return the runs of three words of a normalised text; a shorter text is one shingle.

    >>> sorted(shingles("a b, c d!"))
    ['a b c', 'b c d']
    """
    words = words_of(text) or [text]
    return frozenset(" ".join(words[i : i + _WIDTH]) for i in range(max(1, len(words) - _WIDTH + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the share of shingles two texts have in common.

    >>> jaccard(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    return len(a & b) / len(a | b) if a or b else 1.0


def text_hash(text: str) -> int:
    """Return 64 bits that two texts share only when equal (or once in 10^19 pairs)."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def band_keys(sets: Sequence[frozenset[str]]) -> UInt64[np.ndarray, "n bands"]:
    """Return per text one key for each band of its MinHash; near copies share at least one key.

    The hashes are fixed, so keys made in different batches, runs and machines compare.
    """
    from rensa import RMinHash

    if not sets:
        return np.empty((0, _BANDS), dtype=np.uint64)
    minima = np.array(RMinHash.digests_from_token_sets([list(s) for s in sets], _BANDS * _ROWS, 1), dtype=np.uint64)
    minima = minima.reshape(len(sets), _BANDS, _ROWS)
    # FNV-1a over the minima of a band, started elsewhere for each band so that one table can hold all keys
    keys = np.broadcast_to(np.uint64(0xCBF29CE484222325) + np.arange(_BANDS, dtype=np.uint64), (len(sets), _BANDS))
    for i in range(_ROWS):
        keys = (keys ^ minima[:, :, i]) * np.uint64(0x100000001B3)
    return keys
