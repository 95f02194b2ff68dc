"""The moulds that sentences are cast in, whatever they say: runs of kinds of words.

Notation
    class    kind of a word: a function word is its own, any other is told by its ending (-ing, -ed, -ly, -s, none)
    pattern  a run of k classes inside one text

"The painter of Guernica is Picasso" and "The author of Hamlet is Shakespeare" share no run of four words, and one
pattern of six classes. No tagger is needed for that; where there is one, a tag per word takes the place of the class.

References
----------
    Shaib et al. 2024, "Detection and Measurement of Syntactic Templates in Generated Text" (arXiv 2407.00211): patterns
        of part-of-speech tags, and the template rate by the hundred commonest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from unflaw.measure._diversity import Words

__all__ = ["template_rate", "word_classes"]

_FUNCTION = frozenset(
    "a an the this that these those and or but nor yet for so if then than as because although though while when where"
    " who whom whose which what how why of in on at by to from with without about into onto over under between among"
    " through during before after above below up down out off again against is are was were be been being am has have"
    " had having do does did done doing can could will would shall should may might must not no never none nothing"
    " nobody neither i me my mine myself we us our ours you your yours he him his she her hers it its they them their"
    " theirs there here now just only also even still too very more most much many some any all both each every few"
    " less least other another such own same s t re ll ve d m don doesn didn isn wasn aren weren won wouldn couldn"
    " shouldn".split()
)
"""The few English words that say how others go together; the last ones are pieces of "don't" and such."""
_ENDINGS = ("ing", "ed", "ly", "s")
"""Endings of grammar. Those that make nouns and adjectives (-tion, -er, -al) would part what fills one blank."""


@lru_cache(maxsize=2**16)
def _class_of(word: str) -> str:
    if word in _FUNCTION:
        return word
    if word[:1].isdigit():
        return "0"
    if word.endswith(("ss", "us", "is")):
        return "-"
    return next((f"-{end}" for end in _ENDINGS if word.endswith(end) and len(word) >= len(end) + 2), "-")


def word_classes(words: Sequence[str]) -> list[str]:
    """Return the class of each word, given in small letters.

    >>> word_classes("the author of hamlet was quickly given 2 prizes".split())
    ['the', '-', 'of', '-', 'was', '-ly', '-', '0', '-s']
    """
    return list(map(_class_of, words))


def template_rate(classes: Words, k: int, *, least: int = 1, most: int | None = None) -> float:
    """Return the share of texts that hold a template, which is a pattern that at least `least` texts hold.

    With `most=100` it is the rate of Shaib et al.: only so many patterns count, the commonest first, of equal ones that
    which stands first. That number falls where a few moulds hold many long texts, since their patterns push all others
    out of the hundred; and of few texts the hundred are patterns of one text each. So ask for texts instead.

    >>> template_rate(Words.of([list("abc"), list("xab"), list("xyz")]), 2, least=2).__round__(2)
    0.67
    """
    grams, text = classes.grams(k)
    if not len(grams):
        return 0.0
    texts = np.bincount(classes.holdings(k)[0])
    kept = texts >= least
    if most is not None:
        first = np.unique(grams, return_index=True)[1]
        commonest = np.lexsort((first, -np.bincount(grams)))[:most]
        kept &= np.isin(np.arange(len(texts)), commonest)
    return len(np.unique(text[kept[grams]])) / len(classes)
