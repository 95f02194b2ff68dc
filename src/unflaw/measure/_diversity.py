"""How diverse a set of texts is: by its words, and by where its embeddings lie.

Notation
    n        texts; T words in all; W different words
    words    one number per word, text after text, (T,); starts, (n + 1,), where each text begins and the last ends
    gram     a run of k words inside one text
    x        one unit vector per text, (n, d)

Nearly all of these fall or rise with the number of texts and their length, so two sets compare only at equal size:
draw as many texts of each, and make them equally long (`Words.cut`).

References
----------
    Li et al. 2016, "A Diversity-Promoting Objective Function" (arXiv 1510.03055): distinct-k.
    Shaib et al. 2024, "Standardizing the Measurement of Text Diversity" (arXiv 2403.00553): the compression ratio, and
        the usual form of most others.
    Zhu et al. 2018, "Texygen" (arXiv 1802.01886): self-BLEU; Papineni et al. 2002: BLEU.
    Padmakumar & He 2023, "Does Writing with Language Models Reduce Content Diversity?" (arXiv 2309.05196):
        homogenisation; Lin 2004: ROUGE-L.
    Salkar et al. 2022, "Self-Repetition in Abstractive Neural Summarizers" (arXiv 2210.08145).
    Friedman & Dieng 2022, "The Vendi Score" (arXiv 2210.02410).
    Cox et al. 2021, "Directed Diversity" (arXiv 2101.06030): Remote Clique and Chamfer distance.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "Words", "chamfer", "compression_ratio", "distinct", "nearest_distance", "remote_clique", "rouge_l", "self_bleu",
    "self_repetition", "top_similarity", "vendi_score",
]  # fmt: skip

_LONGEST = 4
"""Longest gram of BLEU."""
_EPSILON = 0.1
"""What BLEU counts where no gram matches (Chen & Cherry 2014, method 1)."""
_BLOCK = 64
"""Texts that are held against all later ones at once."""
_SURROGATES = range(0xD800, 0xE000)
"""Code points that no string may hold alone."""


@dataclass(frozen=True)
class Words:
    """Texts as numbers."""

    words: Int[np.ndarray, " T"]
    starts: Int[np.ndarray, " n_and_1"]

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> Words:
        """Give each word of texts a number, in order of first occurrence.

        >>> Words.of([["a", "b"], ["b"]]).words.tolist()
        [0, 1, 1]
        """
        numbers: dict[str, int] = {}
        flat = [numbers.setdefault(word, len(numbers)) for text in texts for word in text]
        starts = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return cls(np.array(flat, dtype=np.int64), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """Words of each text."""
        return np.diff(self.starts)

    def take(self, texts: Sequence[int]) -> Words:
        """Texts at these positions."""
        parts = [self.words[self.starts[i] : self.starts[i + 1]] for i in texts]
        starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return Words(np.concatenate([self.words[:0], *parts]), starts)

    def cut(self, most: Sequence[int]) -> Words:
        """Keep so many words of each text at most, from its beginning."""
        place = np.arange(len(self.words)) - np.repeat(self.starts[:-1], self.lengths)
        kept = np.minimum(self.lengths, most)
        return Words(self.words[place < np.repeat(kept, self.lengths)], np.append(0, np.cumsum(kept)))

    def holdings(self, k: int) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
        """Return number and text of each gram that a text holds, once for every text that holds it."""
        grams, text = self.grams(k)
        n = int(grams.max(initial=0)) + 1
        holder, held = np.divmod(np.unique(text * n + grams), n)
        return held, holder

    def grams(self, k: int) -> tuple[Int[np.ndarray, " g"], Int[np.ndarray, " g"]]:
        """Return the number of each gram, the same for equal ones and without gaps, and the text it stands in."""
        number, at, text = self._numbered(k)
        return number[at], text[at]

    @cached_property
    def _known(self) -> dict[int, tuple[Int[np.ndarray, " T"], Int[np.ndarray, " g"], Int[np.ndarray, " T"]]]:
        return {}

    def _numbered(self, k: int) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " g"], Int[np.ndarray, " T"]]:
        """Return a number for each place where a gram begins, those places, and each word's text; kept for the next."""
        if k not in self._known:
            if k == 1:
                text = np.repeat(np.arange(len(self)), self.lengths)
                number = np.unique(self.words, return_inverse=True)[1].astype(np.int64)
                self._known[1] = number, np.arange(len(number)), text
            else:
                half = k // 2  # a gram is two shorter ones: three steps to eight words
                first, at, text = self._numbered(half)
                then, _, _ = self._numbered(k - half)
                at = at[at + k - 1 < len(text)]
                at = at[text[at + k - 1] == text[at]]
                pairs = first[at] * (then.max(initial=0) + 1) + then[at + half]
                number = np.zeros_like(first)
                number[at] = np.unique(pairs, return_inverse=True)[1]
                self._known[k] = number, at, text
        return self._known[k]


def distinct(words: Words, k: int) -> float:
    """Return distinct-k: different grams among all grams, in (0, 1]; 1 where there is none.

    >>> distinct(Words.of([["a", "b", "a"], ["a", "b"]]), 1)
    0.4
    """
    grams, _ = words.grams(k)
    return float(grams.max() + 1) / len(grams) if len(grams) else 1.0


def compression_ratio(texts: Sequence[str]) -> float:
    """Return how many times smaller gzip makes the texts, joined by spaces: 1 and less where nothing repeats.

    gzip looks 32,768 bytes back, so what repeats further apart is not seen.
    """
    raw = " ".join(texts).encode("utf-8", "surrogatepass")
    return len(raw) / len(gzip.compress(raw, mtime=0))


def self_repetition(words: Words, k: int = 4) -> Float[np.ndarray, " n"]:
    """Return log(1 + m) per text: m adds up, over its different grams, the other texts that hold the gram.

    >>> self_repetition(Words.of([list("abcd"), list("abcd"), list("efgh")])).round(3).tolist()
    [0.693, 0.693, 0.0]
    """
    grams, text = words.holdings(k)
    elsewhere = np.bincount(grams, minlength=1)[grams] - 1
    return np.log1p(np.bincount(text, weights=elsewhere, minlength=len(words)))


def self_bleu(words: Words) -> Float[np.ndarray, " n"]:
    """Return per text its BLEU-4 with all other texts as references, a gram that matches nothing counting .1.

    A text's count of a gram is clipped at the most that any other text has: the highest count of the set, or the second
    highest if the highest is its own. So one sort replaces the n^2 comparisons.
    """
    lengths = words.lengths
    log_p, matches = np.zeros(len(words)), np.zeros(len(words), dtype=bool)
    for k in range(1, _LONGEST + 1):
        clipped = _clipped(words, k)
        if k == 1:
            matches = clipped > 0
        log_p += np.log(np.where(clipped > 0, clipped, _EPSILON) / np.maximum(lengths - k + 1, 1)) / _LONGEST
    nearest = _nearest_other(lengths)
    short = np.where(lengths > nearest, 1.0, np.exp(1 - nearest / np.maximum(lengths, 1)))
    return np.where(matches, short * np.exp(log_p), 0.0)


def _clipped(words: Words, k: int) -> Float[np.ndarray, " n"]:
    """Add up each text's counts of its grams, none counted more often than it stands in any one other text."""
    grams, text = words.grams(k)
    if not len(grams):
        return np.zeros(len(words))
    n_grams = int(grams.max()) + 1
    cells, counts = np.unique(text * n_grams + grams, return_counts=True)
    text, grams = np.divmod(cells, n_grams)
    order = np.lexsort((-counts, grams))
    text, grams, counts = text[order], grams[order], counts[order]
    first = np.flatnonzero(np.diff(grams, prepend=-1))  # where a gram's counts begin, the highest of them
    second = np.append(counts, 0)[first + 1] * (np.append(grams, -1)[first + 1] == grams[first])
    most = counts[first][grams]
    most[first] = second
    return np.bincount(text, weights=np.minimum(counts, most), minlength=len(words))


def _nearest_other(lengths: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return per text the length nearest to its own among the others, the shorter of two as near."""
    if len(lengths) < 2:
        return lengths
    order = np.argsort(lengths, kind="stable")
    ranked = lengths[order]
    below, above = np.append(-(2**40), ranked[:-1]), np.append(ranked[1:], 2**40)
    nearest = np.empty_like(lengths)
    nearest[order] = np.where(ranked - below <= above - ranked, below, above)
    return nearest


def rouge_l(words: Words) -> Float[np.ndarray, "n n"]:
    """Return the ROUGE-L F1 of each pair of texts: 2 · LCS / (their words in all).

    The mean off the diagonal is the homogenisation score. LCS, the longest common subsequence, is found bit-parallel
    (rapidfuzz), on strings that have a code point for each word: the commonest have the lowest, which are looked up
    fastest.
    """
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    _, number, counts = np.unique(words.words, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts))[number]
    points = rank + len(_SURROGATES) * (rank >= _SURROGATES.start)
    text = points.astype("<u4").tobytes().decode("utf-32-le")
    texts = [text[a:b] for a, b in zip(words.starts[:-1], words.starts[1:], strict=True)]
    common = np.zeros((len(texts), len(texts)), np.int32)
    for first in range(0, len(texts), _BLOCK):
        block = texts[first : first + _BLOCK]
        common[first : first + _BLOCK, first:] = cdist(block, texts[first:], scorer=LCSseq.similarity, workers=-1)
    common = np.maximum(common, common.T)  # below the diagonal is what stands above it
    in_all = words.lengths[:, None] + words.lengths
    return 2 * common / np.maximum(in_all, 1)


def vendi_score(x: Float[np.ndarray, "n d"]) -> float:
    """Return how many texts without anything in common would be as diverse: from 1, all alike, to n.

    The exponential of the entropy of the eigenvalues of x x' / n, which x' x / n shares.
    """
    eigenvalues = np.linalg.eigvalsh((x.T @ x if x.shape[1] < len(x) else x @ x.T) / len(x))
    p = eigenvalues[eigenvalues > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def remote_clique(x: Float[np.ndarray, "n d"]) -> float:
    """Return the mean cosine distance between two different texts, in [0, 2]: it takes no pairs, only their sum."""
    n, total = len(x), x.sum(axis=0)
    return float(1 - (total @ total - (x * x).sum()) / (n * (n - 1)))


def chamfer(x: Float[np.ndarray, "n d"]) -> float:
    """Return the mean cosine distance of a text to the nearest other one, in [0, 2]."""
    return float(nearest_distance(x).mean())


def top_similarity(x: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"], k: int) -> Float[np.ndarray, " n"]:
    """Return the mean cosine similarity of each text to the k of the others that are most like it, or to all of fewer.

    >>> top_similarity(np.eye(2)[:1], np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), 2).tolist()
    [0.5]
    """
    similarity = x @ others.T
    k = min(k, len(others))
    return np.asarray(np.partition(similarity, -k, axis=1)[:, -k:].mean(axis=1))


def nearest_distance(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Return the cosine distance of each text to the nearest other one."""
    similarity = x @ x.T
    np.fill_diagonal(similarity, -np.inf)
    return 1 - similarity.max(axis=1)
