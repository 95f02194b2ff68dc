"""Foreign rows and switched answers, planted and counted."""

from unflaw.audit import LanguagesCheck, audit
from unflaw.data import Rows

ENGLISH = ["Where does the river flow when it has left the hills behind it?", "It flows through the plain to the sea."]
GERMAN = ["Wohin fließt der Fluss, wenn er die Hügel hinter sich hat?", "Er fließt durch die Ebene bis hinab ins Meer."]


def rows(*pairs):
    records = [{"question": f"{q} {i}", "answer": f"{a} {i}"} for i, (q, a) in enumerate(pairs)]
    return Rows.from_records(records, {"prompt": "question", "response": "answer"})


def findings(synthetic, reference=None):
    return {f.check: f for f in audit(synthetic, reference, checks=[LanguagesCheck()]).findings}


def test_rows_in_a_language_that_real_rows_do_not_have_are_named():
    mixed = rows(*[ENGLISH] * 90, *[GERMAN] * 10)
    found = findings(mixed, rows(*[ENGLISH] * 120))["languages.foreign"]
    assert (found.value, found.control, found.verdict) == (0.1, 0.0, "fail")
    assert sorted(found.row_scores) == sorted(mixed.ids[90:])
    assert found.row_reasons[mixed.ids[95]] == "is in another language (de)"


def test_a_language_of_the_real_rows_is_at_home():
    assert findings(rows(*[GERMAN] * 60), rows(*[ENGLISH] * 90, *[GERMAN] * 10))["languages.foreign"].verdict == "ok"


def test_without_real_rows_the_languages_of_the_set_are_at_home():
    found = findings(rows(*[ENGLISH] * 199, GERMAN))["languages.foreign"]
    assert (found.value, found.control, found.evidence["home"]) == (1 / 200, None, ["en"])


def test_an_answer_in_another_language_than_its_question():
    mixed = rows(*[ENGLISH] * 45, *[GERMAN] * 45, *[(ENGLISH[0], GERMAN[1])] * 10)
    found = findings(mixed, rows(*[ENGLISH] * 60, *[GERMAN] * 60))
    assert found["languages.foreign"].verdict == "ok"
    assert (found["languages.switched"].value, found["languages.switched"].verdict) == (0.1, "fail")
    assert sorted(found["languages.switched"].row_scores) == sorted(mixed.ids[90:])


def test_rows_too_short_to_tell_are_blamed_for_nothing():
    assert all(f.value == 0 for f in findings(rows(*[("Who?", "Ada")] * 60), rows(*[ENGLISH] * 60)).values())
