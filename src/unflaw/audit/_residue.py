"""What the model that wrote the rows left in them: refusals, talk to whoever asked, pieces of the prompt, blanks."""

from __future__ import annotations

import re

from unflaw.audit._said import Said
from unflaw.audit._traits import Trait, TraitsCheck

__all__ = ["residue_check"]

_AM = r"\bI(?:'m| am)"
_MODEL = (
    r"(?:an?|your) (?:AI|artificial intelligence|(?:large )?language model|chatbot|virtual assistant|AI assistant)\b"
)
_CANNOT = r"(?:can't|cannot|can not|won't|am unable to|'m unable to|am not able to|'m not able to)"
_REFUSAL = re.compile(
    rf"\bas {_MODEL}|{_AM} (?:just |only |merely )?{_MODEL}"
    rf"|{_AM} (?:sorry|afraid)\b[^.!?\n]{{0,40}}{_CANNOT}"
    rf"|\bI ?{_CANNOT} (?:assist|help (?:you )?with|provide|fulfil|comply|generate|create|browse|access|discuss|engage)"
    r"|\b(?:my|last) (?:knowledge|training)[ -](?:cut-?off|update|data)|\bas of my last (?:update|training)"
    r"|\bI (?:don't|do not) have (?:personal (?:opinions|experiences|feelings|beliefs)|real-time|access to real)",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|\A\s*<s>|</s>\s*\Z|<(?:start|end)_of_turn>"
    r"|^#{2,3} ?(?:Instructions?|Input|Response|Human|Assistant|System|User|Task|Output)\b ?:?",
    re.IGNORECASE | re.MULTILINE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_TURN = re.compile(r"^(?:Human|Assistant): ?|^User: ?(?=[\s\S]*^Assistant:)", re.IGNORECASE | re.MULTILINE)
"""Somebody's turn: no part of an answer."""
_OPENS = re.compile(
    r"\W*(?:Sure|Certainly|Of course|Absolutely|Okay|Great question)\b[,!.:]? *(?:thing[,!.]? *)?"
    r"(?:I(?:'d| would|'ll| can)\b|here(?:'s| is| are)\b|let me\b|below\b|happy to\b)"
    r"|\W*Here(?:'s| is| are) (?:an?|the|your|some|my|one|two|three|four|five|ten|\d+) [^\n.!?]{0,80}:",
    re.IGNORECASE,
)
"""Talk at the beginning."""
_TALK = re.compile(
    r"\bI hope this (?:helps|is helpful|meets)|\blet me know if (?:you|there)"
    r"|\b(?:would|do) you (?:like|want) me to\b|\bfeel free to (?:ask|let me know|reach out)",
    re.IGNORECASE,
)
_BLANK = re.compile(
    r"\[(?:your|insert|enter|add|company|customer|recipient|name|date|city|product|topic|title|address|phone|e-?mail)"
    r"[^\]\n]{0,40}\]"
    r"|\{\{ ?[a-z_][a-z_ ]{1,30}\}\}"
    r"|\{(?:your|insert|name|topic|product|company|date|city)[a-z_ ]{0,30}\}"
    r"|<(?:your|insert|placeholder)[^>\n]{0,40}>|<(?P<tag>name|topic)>(?!.*</(?P=tag)>)"
    r"|\[(?:TODO|TBD)\b[^\]\n]{0,40}\]|\blorem ipsum\b",
    re.IGNORECASE,
)


_PIECES = {
    _REFUSAL: (
        "model", "chatbot", "assistant", "artificial", " ai", "sorry", "afraid", "i can", "i won", "ican", "iwon",
        "unable", "not able", "knowledge", "training", "last update", "n't have", "not have",
    ),
    _TALK: ("i hope this", "let me know", "like me to", "want me to", "feel free"),
    _MARKUP: ("<", "[", "#"),
    _TURN: ("human:", "user:", "assistant:"),
    _BLANK: ("[", "{", "<", "ipsum"),
}  # fmt: skip
"""Without one of these in small letters a text holds none: a fast search that spares most texts the slow one."""


def _first(form: re.Pattern[str], text: str) -> str:
    text = text.replace("\u2019", "'")
    small = text.lower()
    found = form.search(text) if any(map(small.__contains__, _PIECES[form])) else None
    return _says(found)


def _says(found: re.Match[str] | None) -> str:
    return "" if found is None else f"says {' '.join(found[0].split())[:60]!r}"


def _refusal(said: Said) -> str:
    return _first(_REFUSAL, said.answer)


def _chatter(said: Said) -> str:
    return _says(_OPENS.match(said.answer.replace("\u2019", "'"))) or _first(_TALK, said.answer)


def _markup(said: Said) -> str:
    return _first(_MARKUP, _prose(said.text)) or (_first(_TURN, _prose(said.answer)) if said.prompt else "")


def _blank(said: Said) -> str:
    return _first(_BLANK, _prose(said.text))


def _prose(text: str) -> str:
    """Leave out code, in which such signs mean something else."""
    return _CODE.sub(" ", text) if "`" in text else text


def residue_check() -> TraitsCheck:
    """Return the check: what the model that wrote the rows left in them."""
    return TraitsCheck(
        name="residue",
        traits=(
            Trait(
                "refusals", "Rows in which the model refuses, or speaks of itself", _refusal, "refuse or name a model"
            ),
            Trait("chatter", "Rows that talk to whoever asked for them", _chatter, "talk to whoever asked", 0.02, 0.1),
            Trait("markup", "Rows with pieces of a prompt or a chat template", _markup, "hold pieces of a prompt"),
            Trait("blanks", "Rows with blanks that were to be filled in", _blank, "have a blank left"),
        ),
    )
