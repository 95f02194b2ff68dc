"""What no training text should hold and no page quote: keys, and ways to reach or charge a person.

Forms are those their issuers publish. Numbers with a check digit (cards, IBANs) must pass it; addresses kept for
examples (RFC 2606, 555-01xx) are nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Found", "find_contacts", "find_secrets", "mask"]


class Found(NamedTuple):
    """A place in a text."""

    kind: str
    """E.g. "e-mail address"."""
    start: int
    end: int


_SECRETS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
    r"(?:[\s\S]{0,8000}?-----END (?:[A-Z]+ )*PRIVATE KEY-----|(?:(?:\s|\\n)*[A-Za-z0-9+/=]{24,})*)",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    "Google key": r"\bAIza[A-Za-z0-9_-]{35}",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "OpenAI-like key": r"\bsk-(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,}",
    "AWS secret key": r"(?i:aws_?secret_?(?:access_?)?key)[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
    r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    "password in a URL": r"\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@<>{}$]{1,64}:"
    r"(?!(?i:pass(?:word|wd)?|pwd|secret|token|x+|\*+|your\w*)@)[^\s:/@<>{}$]{1,64}@[A-Za-z0-9][A-Za-z0-9-]{0,62}",
    "JSON web token": r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
}
_CONTACTS = {
    "e-mail address": r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b",
    "IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card number": r"(?<![\d.,-])(?:(?:\d{4}[ -]?){3}\d{1,7}|\d{4}[ -]?\d{6}[ -]?\d{5})(?![\d-]|[.,]\d)",
    "social security number": r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])",
    "phone number": r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d(?:[ .-]?\d){5,11}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.-])[2-9]\d\d[.-]\d{4}"
    r"|(?<!\d )0[1-9](?:(?: \d\d){4}(?! \d)|(?:\.\d\d){4})|0(?:20 \d{4} \d{4}|[1-9]\d{3} \d{3} ?\d{3}))(?![\w-])",
}
_NOBODYS = re.compile(
    r"@(?:.*\.)?(?:example\.(?:com|net|org)|[^.]+\.(?:example|test|invalid|local)|localhost\..*)$|555.?01\d\d$",
    re.IGNORECASE,
)


_CARD = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
"""Numbers as Visa, Mastercard, American Express, Discover, Diners, JCB and UnionPay give them out."""


def _card(text: str) -> bool:
    """Tell whether a number is one that an issuer gives out, and its check digit holds (Luhn)."""
    plain = "".join(c for c in text if c.isdigit())
    digits = [int(c) for c in plain][::-1]
    doubled = [d if i % 2 == 0 else 2 * d - 9 * (d > 4) for i, d in enumerate(digits)]
    return sum(doubled) % 10 == 0 and _CARD.fullmatch(plain) is not None


def _iban(text: str) -> bool:
    """Tell whether the check digits of an IBAN hold: ISO 7064, remainder 1 of 97."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


_HOLDS: Mapping[str, Callable[[str], bool]] = {"card number": _card, "IBAN": _iban}


def _one_pattern(kinds: Mapping[str, str]) -> tuple[re.Pattern[str], list[str]]:
    return re.compile("|".join(f"({form})" for form in kinds.values())), list(kinds)


_FORMS = [_one_pattern(_SECRETS), _one_pattern(_CONTACTS)]
_SECRET_MARKS = (
    "KEY-", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_", "glpat-", "xox", "k_live_", "k_test_",
    "AIza", "hf_", "sk-", "eyJ", "://",
)  # fmt: skip
_DIGIT, _MANY_DIGITS, _IBAN_HEAD = map(re.compile, (r"\d", r"\d(?:[ .()-]{0,2}\d){6}", r"[A-Z]{2}\d\d"))
"""Without such a mark a text holds none: fast searches that spare most texts the slow ones."""


def find_secrets(text: str) -> list[Found]:
    """Return keys and tokens.

    >>> [found.kind for found in find_secrets("id AKIAIOSFODNN7EXAMPLE, key sk-...")]
    ['AWS key']
    """
    there = any(map(text.__contains__, _SECRET_MARKS)) or "aws" in text.lower()
    return _find(text, *_FORMS[0]) if there else []


def find_contacts(text: str) -> list[Found]:
    """Return e-mail addresses, phone, card, account and social security numbers.

    >>> [found.kind for found in find_contacts("ada@lovelace.uk or me@example.com or (212) 736-5000")]
    ['e-mail address', 'phone number']
    """
    there = "@" in text or (_DIGIT.search(text) and (_MANY_DIGITS.search(text) or _IBAN_HEAD.search(text)))
    return _find(text, *_FORMS[1]) if there else []


def mask(text: str) -> str:
    """Put the kind of each secret and contact in its place.

    >>> mask("Write to ada@lovelace.uk!")
    'Write to [e-mail address]!'
    """
    end, parts = 0, []
    for found in sorted(find_secrets(text) + find_contacts(text), key=lambda f: f.start):
        if found.start >= end:
            parts += [text[end : found.start], f"[{found.kind}]"]
            end = found.end
    return "".join([*parts, text[end:]])


def _find(text: str, form: re.Pattern[str], kinds: list[str]) -> list[Found]:
    found = []
    for match in form.finditer(text):
        kind = kinds[(match.lastindex or 1) - 1]
        if _HOLDS.get(kind, bool)(match[0]) and not _NOBODYS.search(match[0]):
            found.append(Found(kind, match.start(), match.end()))
    return found
