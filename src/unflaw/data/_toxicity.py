"""Words that insult: obscenities, slurs and threats, by a lexicon of stems.

A lexicon finds what is said openly and nothing between the lines; what it names can be read and disputed. Words with a
harmless meaning as common as the other ("cock", "dyke", "jerk") are not in it, and quotation is not told from use.
"""

from __future__ import annotations

import re

__all__ = ["find_toxic", "star"]

_STEMS = (
    r"(?:mother)?fuck\w*", r"fuk(?:ing|er)?", r"bullshit\w*", r"shit(?:s|ty|ter|head|hole)?", r"dipshit\w*",
    r"bitch\w*", r"ass+hole\w*", r"dumbass\w*", r"jackass\w*", r"dickhead\w*", r"cocksuck\w*", r"cunt\w*", r"twat\w*",
    r"wank(?:er|ers|ing)", r"puss(?:y|ies)", r"whor(?:e|es|ing)", r"slut\w*", r"bastard\w*", r"faggot\w*", r"fags?",
    r"nigg(?:er|ers|a|as|ah)", r"retard(?:s|ed)?", r"trann(?:y|ies)", r"kikes?", r"spics?", r"gooks?", r"wetbacks?",
    r"ragheads?", r"imbecil\w*", r"morons?", r"scumbag\w*", r"subhuman\w*", r"libtard\w*",
)  # fmt: skip
_DO = "kill|murder|rape|strangle|stab"
_THREATS = (
    rf"(?:\bi(?:'ll| will| am going to|'m going to)|\bgonna) (?:{_DO}) (?:you|him|her|them)\b(?! with kindness)",
    r"\b(?:kill|hang) yoursel(?:f|ves)\b",
    r"\b(?:deserve|ought) to (?:die|be (?:shot|killed|raped|hanged))\b",
    r"\b(?:gas|exterminate) the (?:jews|muslims|blacks|immigrants)\b",
)
_TOXIC = re.compile(rf"\b(?:{'|'.join(_STEMS)})\b|{'|'.join(_THREATS)}", re.IGNORECASE)
_PIECES = (
    *"fuck fuk shit bitch sshole dumbass jackass dickhead cocksuck cunt twat wank puss whor slut tard fag nigg".split(),
    *"trann kike spic gook wetback raghead imbecil moron scumbag subhuman".split(),
    *(f"{do} " for do in _DO.split("|")), "hang yoursel", "deserve to ", "ought to ", "gas the ", "exterminate the ",
)  # fmt: skip
"""Without one of these in small letters a text holds none: a fast search that spares most texts the slow one."""
_OTHER_I = str.maketrans({"\u0131": "i", "\u0307": None})
"""The dotless i, and the dot that small letters leave of the dotted one: both match an "i" where case is ignored."""


def find_toxic(text: str) -> list[str]:
    """Return the words and phrases of a text that insult or threaten, in order.

    >>> find_toxic("What a load of bullshit, you moron.")
    ['bullshit', 'moron']
    >>> find_toxic("The cock crowed in Scunthorpe; the shitake was assessed.")
    []
    """
    return [found[0] for found in _TOXIC.finditer(_plain(text))] if _may_hold(text) else []


def star(text: str) -> str:
    """Put stars in the place of the letters of such words, but for the first of each.

    >>> star("What a load of bullshit!")
    'What a load of b*******!'
    """
    if not _may_hold(text):
        return text
    end, parts = 0, []
    for found in _TOXIC.finditer(_plain(text)):
        start, stop = found.span()
        parts += [text[end : start + 1], re.sub(r"\w", "*", text[start + 1 : stop])]
        end = stop
    return "".join([*parts, text[end:]])


def _may_hold(text: str) -> bool:
    small = text.lower() if text.isascii() else text.casefold().translate(_OTHER_I)
    return any(map(small.__contains__, _PIECES))


def _plain(text: str) -> str:
    """Return the text with plain apostrophes, sign by sign."""
    return text.replace("\u2019", "'")
