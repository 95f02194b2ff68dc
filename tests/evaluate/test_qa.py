"""Exact match, F1 and containment, by hand."""

import pytest

from unflaw._errors import DataError, SettingsError
from unflaw.data import Rows
from unflaw.evaluate import question_answering
from unflaw.evaluate._qa import contains_answer, exact_match, extract_answer, normalise_answer, token_f1
from unflaw.models import ScriptedGenerator

ROLES = {"prompt": "q", "response": "a"}


def rows(*pairs, **more):
    return Rows.from_records([{"q": q, "a": a, **more} for q, a in pairs], {**ROLES, **{k: k for k in more}})


@pytest.mark.parametrize(
    ("answer", "right", "exact", "f1", "held"),
    [
        ("The Paris.", ["paris"], 1, 1, 1),
        ("in Paris", ["Paris"], 0, 2 / 3, 1),  # precision 1/2, recall 1
        ("Parisian", ["Paris"], 0, 0, 0),
        ("a b c d", ["b d e"], 0, 4 / 6, 0),  # "a" is an article: 2 shared of 3 and 3
        ("Rome", ["Paris", "rome!"], 1, 1, 1),
        ("", ["Paris"], 0, 0, 0),
        ("the", ["an"], 1, 1, 0),  # nothing but articles on both sides
        ("1,000 km", ["1000"], 0, 2 / 3, 1),
    ],
)
def test_rules_by_hand(answer, right, exact, f1, held):
    assert exact_match(answer, right) == exact
    assert token_f1(answer, right) == pytest.approx(f1)
    assert contains_answer(answer, right) == held


def test_normalisation_ignores_case_punctuation_articles_and_spaces():
    assert normalise_answer(" An  Eiffel—Tower’s “the” Top! ") == "eiffeltowers top"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, "Answer: Paris. So it is"),
        (r"Answer: (\w+)", "Paris"),
        (r"(?P<rest>So.*)|(?P<answer>P\w+)", "Paris"),
        (r"P\w+", "Paris"),
        ("Reason: (.*)", "Answer: Paris. So it is"),
    ],
)
def test_the_answer_is_cut_out_of_a_template(pattern, expected):
    assert extract_answer("Answer: Paris. So it is", pattern) == expected


def test_scores_by_row_id():
    asked = rows(("France?", "Paris"), ("Italy?", "Rome"), ("Spain?", "Madrid"))
    model = ScriptedGenerator(["Answer: Paris", "Answer: in Rome", "Answer: Lisbon"])
    exact, f1, held = question_answering(model, asked, answer_pattern="Answer: (.*)", name="m")
    assert [s.benchmark for s in (exact, f1, held)] == ["qa.exact_match", "qa.f1", "qa.contains"]
    assert list(exact.items) == asked.ids and list(exact.items.values()) == [1.0, 0.0, 0.0]
    assert f1.value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert held.value == pytest.approx(2 / 3)
    assert list(exact.outputs.values())[2] == "Answer: Lisbon"


def test_a_context_goes_before_the_question_and_ask_wraps_both():
    model = ScriptedGenerator(["x", "y"])
    asked = rows(("Who?", "Bo"), ("Why?", "So"), context="Bo came.")
    question_answering(model, asked, ask="{prompt} Briefly.", max_tokens=5)
    assert model.calls[0][0] == "Bo came.\n\nWho? Briefly."
    assert model.calls[0][1].max_tokens == 5


def test_several_right_answers_in_a_column():
    asked = Rows.from_records([{"q": "1?", "right": ["a b", "c"]}, {"q": "2?", "right": ["d"]}], {"prompt": "q"})
    exact = question_answering(ScriptedGenerator(["C", "e"]), asked, answers="right")[0]
    assert list(exact.items.values()) == [1.0, 0.0]


def test_what_cannot_be_scored_is_refused():
    model = ScriptedGenerator(["x"])
    with pytest.raises(DataError, match="1 row"):
        question_answering(model, rows(("Who?", "Bo"), ("Why?", "")))
    with pytest.raises(SettingsError, match="`ask`(.|\n)*`answer_pattern`"):
        question_answering(model, rows(("Who?", "Bo")), ask="Briefly", answer_pattern="(")
    assert model.calls == []
