"""Copies of texts: equal once case, width, spaces, unseen signs and kinds of quotes are put aside, or nearly so.

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

import numpy as np
from jaxtyping import Float, Int, UInt64

__all__ = ["Shingles", "band_keys", "chance_to_meet", "least_shingles", "normalise", "text_hash", "words_of"]

_WIDTH = 3
_BANDS, _ROWS = 32, 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PAIRS = 2**16
"""Pairs compared at once."""
_WORD = re.compile(r"[぀-ヿ㐀-鿿]|[^\W_]+")  # one sign of Chinese or Japanese counts as a word
_NO_LETTER = str.maketrans({chr(i): " " for i in range(128) if not chr(i).isalnum()})
_LETTER = np.array([i >= 128 or chr(i).isalnum() for i in range(256)])
_LANE, _LONG = 8, 64
"""Bytes of a word hashed at once, and those of a word too long for that way."""
_AT_ONCE = 64


_UNSEEN = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
    (0x2060, 0x206F), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0000, 0xE01EF),
)  # fmt: skip
"""Soft hyphen, joiners and spaces of no width, marks of direction, selectors of variants, tags: nobody sees them."""
_PLAIN = {
    **{chr(sign): "" for first, last in _UNSEEN for sign in range(first, last + 1)},
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u00b4\u02b9\u02bc\x91\x92", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\x93\x94", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe31\ufe32\ufe58\x96\x97", "-"),
}
"""What is typed for typographic signs, also for those of Windows-1252 that were read as Latin-1."""
_OTHER = re.compile(r"[^\x00-\x7f]+")
_LOOKS_LATIN = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421"
    "\u0422\u0425\u0406\u0408\u0405\u03bf\u03bd\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "aeopcyxijsABEKMHOPCTXIJSovABEZHIKMNOPTYX",
)
"""Letters of Cyrillic and Greek that look like Latin ones."""
_FOREIGN = re.compile("[\u0370-\u052f]")
_MIXES = re.compile("[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]")
_LETTERS = re.compile(r"[^\W\d_]+")


def normalise(text: str) -> str:
    r"""Put aside what does not make a text another text.

    That is case, runs of white space, compatibility forms (NFKC), signs nobody sees, and typographic quotes and dashes;
    and in a word that mixes alphabets letters that only look Latin. Accents stay: a resume is no résumé.

    >>> normalise("  What\n is ＡＢＣ? ")
    'what is abc?'
    >>> normalise("“So\u200b—it’s”"), normalise("résumé")
    ('"so-it\'s"', 'résumé')
    """
    if text.isascii():
        text = text.lower()
    else:
        others = set("".join(_OTHER.findall(text)))
        for sign in others & _PLAIN.keys():
            text = text.replace(sign, _PLAIN[sign])
        text = unicodedata.normalize("NFKC", text)
        if any("\u0370" <= sign <= "\u052f" for sign in others) and _MIXES.search(text):
            text = unicodedata.normalize("NFKC", _LETTERS.sub(_as_latin, text))
        text = text.casefold()
    while "--" in text:
        text = text.replace("--", "-")
    return " ".join(text.split())


def _as_latin(word: re.Match[str]) -> str:
    """Write a word that mixes alphabets in Latin letters, if all its others look like some."""
    latin = word[0].translate(_LOOKS_LATIN)
    return latin if _MIXES.search(word[0]) and not _FOREIGN.search(latin) else word[0]


def words_of(text: str) -> list[str]:
    """Return the words of a text, without marks.

    >>> words_of("don't, 東京")
    ['don', 't', '東', '京']
    """
    return text.translate(_NO_LETTER).split() if text.isascii() else _WORD.findall(text)


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
        words, lengths = _word_hashes(texts)
        first = np.cumsum(lengths) - lengths
        counts = np.maximum(lengths - _WIDTH + 1, 1)
        text = np.repeat(np.arange(len(texts)), counts)
        at = first[text] + np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
        hashes = np.zeros(len(text), dtype=np.uint64)
        for k in range(_WIDTH):
            inside = at + k < (first + lengths)[text]
            hashes[inside] = hashes[inside] * _MULTIPLIER + words[at[inside] + k]
        return cls(hashes, np.append(0, np.cumsum(counts)))

    def __add__(self, other: Shingles) -> Shingles:
        """Put the other texts behind these."""
        return Shingles(
            np.concatenate([self.hashes, other.hashes]), np.append(self.starts[:-1], other.starts + self.starts[-1])
        )

    def jaccard(self, i: Int[np.ndarray, " p"], j: Int[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Return for each pair of texts the share of their shingles that they have in common.

        >>> both = Shingles.of(["a b c d", "b c d e"])
        >>> both.jaccard(np.array([0]), np.array([1])).round(3).tolist()
        [0.333]
        """
        from scipy.sparse import csr_array

        column = (self.hashes >> np.uint64(1)).astype(np.int64)
        held = csr_array((np.ones(len(column)), column, self.starts.copy()), shape=(len(self.starts) - 1, 2**63 - 1))
        held.sum_duplicates()
        held.data[:] = 1
        sizes = np.diff(held.indptr)
        parts = [slice(start, start + _PAIRS) for start in range(0, len(i), _PAIRS)]
        common = [np.asarray(held[i[part]].multiply(held[j[part]]).sum(axis=1)).ravel() for part in parts]
        shared = np.concatenate([np.empty(0), *common])
        return shared / (sizes[i] + sizes[j] - shared)


def _word_hashes(texts: Sequence[str]) -> tuple[UInt64[np.ndarray, " W"], Int[np.ndarray, " n"]]:
    """Return 64 bits for each word of each text, and how many words each has; a text without any is one.

    The words are those of `words_of`, found among the bytes of all texts at once and hashed eight bytes at a time.
    """
    lines = [(text if text.isascii() else " ".join(_WORD.findall(text))).encode() for text in texts]
    data = b" ".join([b"", *lines, bytes(_LANE)])
    letter = _LETTER[np.frombuffer(data, np.uint8)]
    edges = np.flatnonzero(letter[1:] != letter[:-1]) + 1
    first, size = edges[::2], edges[1::2] - edges[::2]
    hashes = size.astype(np.uint64)
    lanes: UInt64[np.ndarray, " b"] = np.ndarray(len(data) - _LANE + 1, "<u8", data, strides=(1,))
    for start in range(0, _LONG, _LANE):
        more = np.flatnonzero(size > start)
        unused = 8 * (_LANE - np.minimum(size[more] - start, _LANE)).astype(np.uint64)
        mixed = (hashes[more] ^ (lanes[first[more] + start] << unused)) * _MULTIPLIER
        hashes[more] = mixed ^ (mixed >> np.uint64(29))
    for i in np.flatnonzero(size > _LONG).tolist():
        hashes[i] = text_hash(data[first[i] : first[i] + size[i]].decode())
    ends = np.searchsorted(first, np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) + 1)
    counts = np.diff(ends, prepend=0)
    without = np.flatnonzero(counts == 0)
    hashes = np.insert(hashes, ends[without], [text_hash(texts[i]) for i in without.tolist()])
    return hashes, np.maximum(counts, 1)


def text_hash(text: str) -> int:
    """Return 64 bits that two texts share only when equal (or once in 10^19 pairs)."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def chance_to_meet(similarity: float) -> float:
    """Return the probability that two texts of this Jaccard similarity share one of their keys.

    >>> round(chance_to_meet(0.7), 4), round(chance_to_meet(0.5), 2)
    (0.9998, 0.87)
    """
    return 1 - (1 - similarity**_ROWS) ** _BANDS


def band_keys(shingles: Shingles) -> UInt64[np.ndarray, "n bands"]:
    """Return per text one key for each band of its MinHash; near copies share at least one key.

    The hashes are fixed, so keys made in different batches, runs and machines compare.
    """
    from rensa import RMinHash

    n = len(shingles.starts) - 1
    if not n:
        return np.empty((0, _BANDS), dtype=np.uint64)
    starts = shingles.starts.astype(np.uint64)
    minima = np.empty((n, _BANDS, _ROWS), dtype=np.uint64)
    for a in range(0, n, _AT_ONCE):  # rensa hands its minima over as numbers of Python: no more than the cache holds
        cut = starts[a : a + _AT_ONCE + 1]
        hashes = shingles.hashes[int(cut[0]) : int(cut[-1])]
        some = RMinHash.digest_matrix_from_flat_token_hashes(hashes, cut - cut[0], _BANDS * _ROWS, 1)
        minima[a : a + _AT_ONCE].reshape(-1, _BANDS * _ROWS)[:] = some.to_rows()
    # FNV-1a over the minima of a band, started elsewhere for each band so that one table can hold all keys
    keys = np.broadcast_to(np.uint64(0xCBF29CE484222325) + np.arange(_BANDS, dtype=np.uint64), (n, _BANDS))
    for i in range(_ROWS):
        keys = (keys ^ minima[:, :, i]) * np.uint64(0x100000001B3)
    return keys


def least_shingles(texts: Sequence[str], k: int) -> UInt64[np.ndarray, "n k"]:
    """Return the k least of each normalised text's shingles, their hashes mixed; 0 where it has fewer, or no word.

    Two texts that share a part J of their shingles have none of them in common with probability (1 - J)^k, about
    (Broder 1997, the bottom-k sketch).

    >>> whole, part = least_shingles(["a b c d e f g", "b c d e f g"], 3)
    >>> np.isin(part, whole).any(), least_shingles([""], 2).tolist()
    (np.True_, [[0, 0]])
    """
    shingles, found = Shingles.of(texts), np.zeros((len(texts), k), dtype=np.uint64)
    mixed = shingles.hashes ^ (shingles.hashes >> np.uint64(31))
    mixed *= np.uint64(0x94D049BB133111EB)
    for i, (a, b) in enumerate(zip(shingles.starts, shingles.starts[1:], strict=False)):
        least = np.unique(mixed[a:b])[:k] if texts[i] else mixed[:0]
        found[i, : len(least)] = least
    return found
