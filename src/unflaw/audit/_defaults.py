"""The checks an audit asks unless told otherwise."""

from __future__ import annotations

from unflaw.audit._copies import CopiesCheck
from unflaw.audit._diversity import DiversityCheck
from unflaw.audit._form import form_check
from unflaw.audit._frame import Check
from unflaw.audit._gap import GapCheck
from unflaw.audit._grounding import GroundingCheck
from unflaw.audit._hygiene import hygiene_check
from unflaw.audit._labels import LabelsCheck
from unflaw.audit._languages import LanguagesCheck
from unflaw.audit._mix import mix_check
from unflaw.audit._paraphrases import ParaphrasesCheck
from unflaw.audit._perplexity import PerplexityCheck
from unflaw.audit._qa import qa_check
from unflaw.audit._relevance import RelevanceCheck
from unflaw.audit._residue import residue_check
from unflaw.audit._subjectivity import SubjectivityCheck
from unflaw.audit._tables import TablesCheck
from unflaw.audit._tokens import TokensCheck

__all__ = ["default_checks"]


def default_checks(seed: int = 0, allow_few: bool = False) -> tuple[Check, ...]:
    """Return every check with its default settings."""
    return (
        GapCheck(seed=seed, allow_few=allow_few),
        TokensCheck(seed=seed, allow_few=allow_few),
        PerplexityCheck(seed=seed, allow_few=allow_few),
        DiversityCheck(seed=seed, allow_few=allow_few),
        CopiesCheck(),
        ParaphrasesCheck(),
        residue_check(),
        form_check(),
        mix_check(),
        LanguagesCheck(),
        qa_check(),
        RelevanceCheck(seed=seed),
        GroundingCheck(seed=seed),
        LabelsCheck(seed=seed),
        TablesCheck(seed=seed, allow_few=allow_few),
        SubjectivityCheck(seed=seed),
        hygiene_check(),
    )
