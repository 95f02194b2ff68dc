"""The things: rows, findings, selections, scores; reading and writing them; the run folder."""

from unflaw.data._annotations import ANNOTATIONS, ANNOTATORS, annotations_of, annotators_of
from unflaw.data._columns import concatenate
from unflaw.data._convert import chats
from unflaw.data._files import atomic_write, hash_path, hash_pieces
from unflaw.data._inspect import Column, Inspection, Lengths, inspect
from unflaw.data._nouns import (
    NO_VERDICT,
    Finding,
    Plot,
    Rejection,
    Score,
    Selection,
    Series,
    Verdict,
    from_json,
    to_json,
)
from unflaw.data._read import RowReader, read
from unflaw.data._rows import ID, ROLES, Rows, content_ids
from unflaw.data._run import RunFolder, open_run
from unflaw.data._schemas import SCHEMAS
from unflaw.data._secrets import Found, find_contacts, find_secrets, mask
from unflaw.data._source import format_of, suffix_of
from unflaw.data._toxicity import find_toxic, star
from unflaw.data._write import write

__all__ = [
    "ANNOTATIONS",
    "ANNOTATORS",
    "ID",
    "NO_VERDICT",
    "ROLES",
    "SCHEMAS",
    "Column",
    "Finding",
    "Found",
    "Inspection",
    "Lengths",
    "Plot",
    "Rejection",
    "RowReader",
    "Rows",
    "RunFolder",
    "Score",
    "Selection",
    "Series",
    "Verdict",
    "annotations_of",
    "annotators_of",
    "atomic_write",
    "chats",
    "concatenate",
    "content_ids",
    "find_contacts",
    "find_secrets",
    "find_toxic",
    "format_of",
    "from_json",
    "hash_path",
    "hash_pieces",
    "inspect",
    "mask",
    "open_run",
    "read",
    "star",
    "suffix_of",
    "to_json",
    "write",
]  # fmt: skip
