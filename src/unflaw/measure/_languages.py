"""In which language a text is (py3langid, 97 languages).

py3langid walks over a text byte by byte in Python, and multiplies a sparse vector with a table. Here many texts walk at
once, in steps of arrays, and one sparse matrix is multiplied: the same numbers at a quarter of the time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

__all__ = ["language", "languages"]

_SURE = 0.85
_LEAST = 20
"""Letters below which a text tells too little."""
_MOST = 200
"""Characters that are looked at: more cost time and change nothing."""
_AT_ONCE = 512
"""Texts that walk together."""
_WIDE = re.compile("[\u2e80-\uffff]")
_NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|https?://\S+|\$[^$\n]*\$|<[^<>\n]*>|[\d_]+", re.DOTALL)
_MARK = re.compile(r"[`$<\d_]|http")
"""Without one of these nothing that is no prose begins."""
_NO_LETTERS = bytes(i for i in range(128) if not chr(i).isalpha())


class _Model(NamedTuple):
    """The tables of py3langid: an automaton over bytes that counts features, and a naive Bayes classifier of them."""

    classes: Sequence[str]
    aliases: Sequence[tuple[int, int]]
    """Columns that are one language."""
    moves: Int[np.ndarray, " m"]
    row: Int[np.ndarray, " s"]
    """Where the moves of a state begin."""
    feature: Int[np.ndarray, " s"]
    """What a state counts, -1 for nothing."""
    log_p: Float[np.ndarray, "f K"]
    log_prior: Float[np.ndarray, " K"]


@cache
def _model() -> _Model:
    from py3langid import langid

    of: Any = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    first: dict[str, int] = {}
    aliases = [(first.setdefault(name, i), i) for i, name in enumerate(of.nb_classes)]
    return _Model(
        of.nb_classes, [(i, j) for i, j in aliases if i < j], np.asarray(of.tk_nextmove),
        np.asarray(of.tk_row).astype(np.int64) << 8, np.asarray(of.tk_output), of.nb_ptc.astype(np.float32), of.nb_pc,
    )  # fmt: skip


def language(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language, or None where it is too short, no prose, or not clear.

    >>> language("The quick brown fox jumps over the lazy dog near the river.")
    'en'
    >>> language("Paris") is None
    True
    """
    return languages([text])[0]


def languages(texts: Sequence[str]) -> list[str | None]:
    """Return the `language` of each text: many at once cost a quarter of each by itself."""
    prose = [_prose(text) for text in texts]
    distinct = sorted({said for said in prose if said is not None}, key=len)  # those about as long together
    told: dict[str | None, str | None] = {}
    for start in range(0, len(distinct), _AT_ONCE):
        part = distinct[start : start + _AT_ONCE]
        told |= zip(part, _named(part), strict=True)
    return [told.get(said) for said in prose]


def _prose(text: str) -> str | None:
    """Return the beginning of a text without what is no prose, or None where that is too little."""
    prose = text[:_MOST]
    if _MARK.search(prose) or "http" in text[_MOST - 3 : _MOST + 3]:
        prose = _NOT_PROSE.sub(" ", text[: 4 * _MOST])[:_MOST]
    if prose.isascii():
        letters, wide = len(prose.encode().translate(None, _NO_LETTERS)), 0
    else:
        letters, wide = sum(map(str.isalpha, prose)), len(_WIDE.findall(prose))
    # a Chinese sign says as much as three letters
    enough = letters + 2 * wide >= _LEAST and letters >= 0.6 * len(prose.replace(" ", ""))
    return prose if enough else None


def _named(texts: Sequence[str]) -> list[str | None]:
    model, raw = _model(), [_bytes(text) for text in texts]
    lengths = np.array([len(text) for text in raw])
    log_p = _log_posterior(raw) / np.sqrt(lengths, dtype=np.float32)[:, None]  # as py3langid tempers it
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    for one, other in model.aliases:
        p[:, one] += p[:, other]
        p[:, other] = 0
    best = p.argmax(axis=1)
    sure = p[np.arange(len(best)), best] >= _SURE
    return [model.classes[i] if clear else None for i, clear in zip(best.tolist(), sure.tolist(), strict=True)]


def _bytes(text: str) -> bytes:
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")


def _log_posterior(texts: Sequence[bytes]) -> Float[np.ndarray, "n K"]:
    """Return sum over features of log(1 + count) log p, and the prior; 0 for a text without features."""
    from scipy.sparse import csr_array

    model, (text, feature) = _model(), _walk(texts)
    shape = (len(texts), len(model.log_p))
    counts = csr_array((np.ones(len(text), dtype=np.float32), (text, feature)), shape=shape)
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    found = np.diff(counts.indptr) > 0
    return np.where(found[:, None], counts @ model.log_p + model.log_prior, np.float32(0))


def _walk(texts: Sequence[bytes]) -> tuple[Int[np.ndarray, " c"], Int[np.ndarray, " c"]]:
    """Walk over all texts at once, a byte at a time; return (text, feature) of everything that was counted."""
    model, order = _model(), sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    lengths = np.array([len(texts[i]) for i in order])
    signs = np.zeros((len(texts), int(lengths[0])), dtype=np.uint8)
    for i, at in enumerate(order):
        signs[i, : lengths[i]] = np.frombuffer(texts[at], dtype=np.uint8)
    signs = np.ascontiguousarray(signs.T)
    walking = np.searchsorted(-lengths, -np.arange(len(signs)), side="left")  # texts longer than so many bytes
    counted = np.full(signs.shape, -1, dtype=model.feature.dtype)
    state = np.zeros(len(texts), dtype=np.int64)
    for t, n in enumerate(walking.tolist()):
        state[:n] = model.moves[model.row[state[:n]] + signs[t, :n]]
        counted[t, :n] = model.feature[state[:n]]
    when, which = np.nonzero(counted >= 0)
    return np.array(order)[which], counted[when, which]
