"""Parts of speech, by a lexicon and rules that come in a package: no model is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from unflaw._errors import MissingExtraError

__all__ = ["pattern_tagger"]


def pattern_tagger() -> Callable[[Sequence[str]], list[str]]:
    """Return a function that gives each word of an English text its tag of the Penn Treebank (textblob).

    Words may be without capitals and marks, as `DiversityCheck(tagger=...)` gives them.

    Raises
    ------
    MissingExtraError
        textblob is not installed.
    """
    if find_spec("textblob") is None:
        raise MissingExtraError("textblob", "pos")
    from textblob.en import tag

    def tags(words: Sequence[str]) -> list[str]:
        return [found for _, found in tag(" ".join(words), tokenize=False)] if words else []

    return tags
