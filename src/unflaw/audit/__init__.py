"""Find what is wrong with a set of synthetic rows, and which rows carry it."""

from unflaw.audit._against import Change, changes
from unflaw.audit._audit import Audit, audit
from unflaw.audit._copies import CopiesCheck
from unflaw.audit._defaults import default_checks
from unflaw.audit._diversity import DiversityCheck
from unflaw.audit._engine import Engine, LocalEngine, RayEngine, Run
from unflaw.audit._frame import NEEDS, Batch, Check, RowScore
from unflaw.audit._gap import GapCheck
from unflaw.audit._grounding import GroundingCheck
from unflaw.audit._labels import LabelsCheck
from unflaw.audit._languages import LanguagesCheck
from unflaw.audit._mix import Kinds, MixCheck
from unflaw.audit._paraphrases import ParaphrasesCheck
from unflaw.audit._perplexity import PerplexityCheck
from unflaw.audit._relevance import RelevanceCheck
from unflaw.audit._said import Said
from unflaw.audit._subjectivity import SubjectivityCheck
from unflaw.audit._tables import TablesCheck
from unflaw.audit._template import structural_template
from unflaw.audit._tokens import TokensCheck
from unflaw.audit._traits import Trait, TraitsCheck

__all__ = [
    "NEEDS",
    "Audit",
    "Batch",
    "Change",
    "Check",
    "CopiesCheck",
    "DiversityCheck",
    "Engine",
    "GapCheck",
    "GroundingCheck",
    "Kinds",
    "LabelsCheck",
    "LanguagesCheck",
    "LocalEngine",
    "MixCheck",
    "ParaphrasesCheck",
    "PerplexityCheck",
    "RayEngine",
    "RelevanceCheck",
    "RowScore",
    "Run",
    "Said",
    "SubjectivityCheck",
    "TablesCheck",
    "TokensCheck",
    "Trait",
    "TraitsCheck",
    "audit",
    "changes",
    "default_checks",
    "structural_template",
]
