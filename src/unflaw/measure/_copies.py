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
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from jaxtyping import Float, Int, UInt64

__all__ = ["Shingles", "band_keys", "normalise", "text_hash", "words_of"]

_WIDTH = 3
_BANDS, _ROWS = 32, 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PAIRS = 2**16
"""Pairs compared at once."""
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


@dataclass(frozen=True)
class Shingles:
    """The shingles of texts as 64-bit numbers: two are equal only if their words are."""

    hashes: UInt64[np.ndarray, " S"]
    """Text after text, in the order of the words; one that comes back is there again."""
    starts: Int[np.ndarray, " n_and_1"]
    """Where each text's begin, and the last one's end."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> Shingles:
        """Cut normalised texts into runs of three words; a shorter text is one shingle.

        >>> Shingles.of(["a b, c d!", "so it is"]).starts.tolist()
        [0, 2, 3]
        """
        words = [words_of(text) or [text] for text in texts]
        lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        flat = np.fromiter(map(_word_hash, chain.from_iterable(words)), np.uint64, lengths.sum())
        first = np.cumsum(lengths) - lengths
        counts = np.maximum(lengths - _WIDTH + 1, 1)
        text = np.repeat(np.arange(len(words)), counts)
        at = first[text] + np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
        hashes = np.zeros(len(text), dtype=np.uint64)
        for k in range(_WIDTH):
            inside = at + k < (first + lengths)[text]
            hashes[inside] = hashes[inside] * _MULTIPLIER + flat[at[inside] + k]
        return cls(hashes, np.append(0, np.cumsum(counts)))

    def jaccard(self, i: Int[np.ndarray, " p"], j: Int[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Return for each pair of texts the share of their shingles that they have in common.

        >>> both = Shingles.of(["a b c d", "b c d e"])
        >>> both.jaccard(np.array([0]), np.array([1])).round(3).tolist()
        [0.333]
        """
        from scipy.sparse import csr_array

        column = np.unique(self.hashes, return_inverse=True)[1]
        held = csr_array((np.ones(len(column)), column, self.starts), shape=(len(self.starts) - 1, len(column)))
        held.sum_duplicates()
        held.data[:] = 1
        sizes = np.diff(held.indptr)
        parts = [slice(start, start + _PAIRS) for start in range(0, len(i), _PAIRS)]
        common = [np.asarray(held[i[part]].multiply(held[j[part]]).sum(axis=1)).ravel() for part in parts]
        shared = np.concatenate([np.empty(0), *common])
        return shared / (sizes[i] + sizes[j] - shared)


@lru_cache(maxsize=2**17)
def _word_hash(word: str) -> int:
    return text_hash(word)


def text_hash(text: str) -> int:
    """Return 64 bits that two texts share only when equal (or once in 10^19 pairs)."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def band_keys(shingles: Shingles) -> UInt64[np.ndarray, "n bands"]:
    """Return per text one key for each band of its MinHash; near copies share at least one key.

    The hashes are fixed, so keys made in different batches, runs and machines compare.
    """
    from rensa import RMinHash

    n = len(shingles.starts) - 1
    if not n:
        return np.empty((0, _BANDS), dtype=np.uint64)
    starts = shingles.starts.astype(np.uint64)
    minima = RMinHash.digest_matrix_from_flat_token_hashes(shingles.hashes, starts, _BANDS * _ROWS, 1).to_rows()
    minima = np.array(minima, dtype=np.uint64).reshape(n, _BANDS, _ROWS)
    # FNV-1a over the minima of a band, started elsewhere for each band so that one table can hold all keys
    keys = np.broadcast_to(np.uint64(0xCBF29CE484222325) + np.arange(_BANDS, dtype=np.uint64), (n, _BANDS))
    for i in range(_ROWS):
        keys = (keys ^ minima[:, :, i]) * np.uint64(0x100000001B3)
    return keys
