"""In which language a text is (py3langid, 97 languages)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

__all__ = ["language"]

_SURE = 0.85
_LEAST = 20
"""Letters below which a text tells too little."""
_MOST = 200
"""Characters that are looked at: more cost time and change nothing."""
_WIDE = re.compile("[\u2e80-\uffff]")
_NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|https?://\S+|\$[^$\n]*\$|<[^<>\n]*>|[\d_]+", re.DOTALL)


@cache
def _identifier() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


def language(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language, or None where it is too short, no prose, or not clear.

    >>> language("The quick brown fox jumps over the lazy dog near the river.")
    'en'
    >>> language("Paris") is None
    True
    """
    prose = _NOT_PROSE.sub(" ", text[: 4 * _MOST])[:_MOST]
    letters = sum(map(str.isalpha, prose))
    wide = 0 if prose.isascii() else len(_WIDE.findall(prose))  # a Chinese sign says as much as three letters
    if letters + 2 * wide < _LEAST or letters < 0.6 * len(prose.replace(" ", "")):
        return None
    code, sure = _identifier().classify(prose)
    return str(code) if sure >= _SURE else None
