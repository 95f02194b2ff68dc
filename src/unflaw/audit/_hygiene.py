"""What must not reach a training set: keys, ways to reach or charge a person, and abuse.

Reasons name the kind of what was found, never the find.
"""

from __future__ import annotations

from collections.abc import Sequence

from unflaw.audit._said import Said
from unflaw.audit._traits import Trait, TraitsCheck
from unflaw.data import Found, find_contacts, find_secrets, find_toxic

__all__ = ["hygiene_check"]


def hygiene_check() -> TraitsCheck:
    """Return the check: keys, ways to reach or charge a person, and abuse."""
    return TraitsCheck(
        name="hygiene",
        traits=(
            Trait(
                "secrets", "Rows with a key or token", _secrets,
                "hold a key or token, which whoever has the model may get out of it", always="fail",
            ),
            Trait(
                "contacts", "Rows with an address or number of a person", _contacts,
                "hold an address or number of what may be a person", always="warn",
            ),
            Trait("toxic", "Rows that insult or threaten", _toxic, "hold obscenities, slurs or threats"),
        ),
    )  # fmt: skip


def _secrets(said: Said) -> str:
    return _kinds(find_secrets(_whole(said)))


def _contacts(said: Said) -> str:
    return _kinds(find_contacts(_whole(said)))


def _toxic(said: Said) -> str:
    """Ask what the model wrote; a passage may say what it will."""
    found = find_toxic(said.text)
    return f"says {found[0][0]}{'*' * (len(found[0]) - 1)}" if found else ""


def _whole(said: Said) -> str:
    return "\n".join(part for part in (said.system, said.context, said.text) if part)


def _kinds(found: Sequence[Found]) -> str:
    kinds = sorted({f.kind for f in found})
    return f"holds {' and '.join(f'an {k}' if k[0] in 'AaeIOi' else f'a {k}' for k in kinds)}" if kinds else ""
