"""Surface features of labelled texts that can give a label away without the text being understood.

Notation
    P, H    words of premise and hypothesis, lower-case, apostrophes kept

None of them looks at the label, so that a set can be described by them whatever it was sorted by.

References
----------
    Naik et al. 2018, "Stress Test Evaluation for Natural Language Inference" (arXiv 1806.00692), and
    Cosma et al. 2024, "How Hard is this Test Set?" (arXiv 2410.03429): overlap, length and negation. Negation here
        also counts "n't", which they lose with its apostrophe; their antonyms and misspellings need word lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["pair_artefacts", "text_artefacts"]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NEGATION = re.compile(r"(?:no|not|never|none|nobody|nothing|cannot)|.*n['’]t")
Columns = dict[str, Float[np.ndarray, " n"]]


def pair_artefacts(pairs: Sequence[tuple[str, str]]) -> Columns:
    """Return features of (premise, hypothesis) pairs by name.

    overlap: distinct words of H that are in P, over |H|; length mismatch: (|P| - |H|) / |H|; negation: 1 where either
    side denies; hypothesis length: |H|. Nothing is divided by less than 1.

    >>> {name: v.round(2).tolist() for name, v in pair_artefacts([("A man sleeps.", "He isn't a man")]).items()}
    {'overlap': [0.5], 'length mismatch': [-0.25], 'negation': [1.0], 'hypothesis length': [4.0]}
    """
    words = [(_words(p), _words(h)) for p, h in pairs]
    return {
        "overlap": np.array([len(set(p) & set(h)) / max(1, len(h)) for p, h in words]),
        "length mismatch": np.array([(len(p) - len(h)) / max(1, len(h)) for p, h in words]),
        "negation": np.array([float(any(map(_NEGATION.fullmatch, [*p, *h]))) for p, h in words]),
        "hypothesis length": np.array([float(len(h)) for _, h in words]),
    }


def text_artefacts(texts: Sequence[str]) -> Columns:
    """Return features of texts by name: length in words, negation, and how often they shout or ask per word.

    >>> {name: v.round(2).tolist() for name, v in text_artefacts(["Never again! Ever!"]).items()}
    {'length': [3.0], 'negation': [1.0], 'marks': [0.67]}
    """
    words = [_words(text) for text in texts]
    return {
        "length": np.array([float(len(w)) for w in words]),
        "negation": np.array([float(any(map(_NEGATION.fullmatch, w))) for w in words]),
        "marks": np.array([(t.count("!") + t.count("?")) / max(1, len(w)) for t, w in zip(texts, words, strict=True)]),
    }


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
