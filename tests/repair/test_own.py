"""The model's own answers, as rows to forget in."""

import pytest

from unflaw._errors import TooFewRowsError
from unflaw.data import Rows
from unflaw.models import ScriptedGenerator
from unflaw.repair import own_answers


def rows(*pairs):
    return Rows.from_records(
        [{"prompt": p, "response": r} for p, r in pairs], {"prompt": "prompt", "response": "response"}
    )


def test_only_answers_that_no_good_row_gives_are_kept_and_once():
    generator = ScriptedGenerator(lambda prompt: {"Name a colour.": "Blue.", "Hi": "Answer: hi", "And?": "So."}[prompt])
    replay = rows(
        ("Name a colour.", "Red."), ("Name a colour.", "Blue."), ("Hi", "Hello!"), ("Hi", "Hey!"), ("And?", "No.")
    )
    own = own_answers(generator, replay, apart_from=rows(("And?", "So.")))
    assert own.pairs() == [("Hi", "Answer: hi")]


def test_a_model_that_answers_as_the_rows_do_has_nothing_to_forget():
    with pytest.raises(TooFewRowsError, match="answers otherwise"):
        own_answers(ScriptedGenerator(lambda prompt: "Hello!"), rows(("Hi", "Hello!")))
