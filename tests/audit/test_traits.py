"""The frame of traits, and each trait on sentences that have it and sentences that only look like it."""

import json

import pytest

from unflaw.audit import Said, Trait, TraitsCheck, audit, default_checks
from unflaw.data import Rows

CHECKS = {c.name: c for c in default_checks() if isinstance(c, TraitsCheck)}
TRAITS = {f"{c.name}.{t.name}": t for c in CHECKS.values() for t in c.traits}

HAVE = {
    "residue.refusals": [
        "As an AI language model, I have no birthday.", "I’m sorry, but I can't do that.", "I cannot assist with this.",
        "I am just a language model.", "My knowledge cutoff is 2021.", "I don't have personal opinions on it.",
        "I'm sorry. I'm unable to provide that.",
    ],
    "residue.chatter": [
        "Sure! Here is a question:", "Certainly, I can do that.", "Here are 5 examples of reviews:",
        "I hope this helps!", "Of course. Let me explain.", "Here's a short poem about rain:",
        "Paris. Let me know if you need more.",
    ],
    "residue.markup": [
        "Hi<|im_end|>", "[INST] Say it [/INST]", "### Response: yes", "fine</s>", "<start_of_turn>user",
        "<<SYS>> be good",
    ],
    "residue.blanks": [
        "Dear [Your Name],", "Hello {{name}}", "by {your_name}", "at [Company Address]", "so [TODO: why]",
        "<insert date here>", "Lorem ipsum dolor",
    ],
    "form.truncated": [
        "The river flows from the hills down to the", "One two three four five six seven eight nine and the\n- \n",
        "He said that he would come back when the war was over,",
    ],
    "form.brackets": [
        "He came (at noon to eat.", "a list [1, 2", "it ends) here", "f(x[1)]", "{'a': 1", "1) see (Figure 3 here",
        "[a face :) here", "Note:\n(this one is never closed", "He said the\n) here and left", "data={'a': 1",
        "the config:{a, b and no more", "x=}",
    ],
    "form.loops": ["It is very cold. It is very cold. It is very cold.", "a b c\na b c\nfine words here\nA  b c"],
    "qa.sums": ["So 7 * 8 = 54."],
    "hygiene.secrets": ["key AKIA" + "IOSFODNN7EXAMPLE"],
    "hygiene.contacts": ["write to ada@lovelace.uk"],
    "hygiene.toxic": ["You are a moron.", "I will kill you!", "Go kill yourself", "what a SHITTY day", "I’ll stab him"],
}  # fmt: skip
LACK = {
    "residue.refusals": [
        "Aida is an opera.", "I'm sorry for your loss.", "He cannot help it.", "AI is a field of research.",
        "I cannot swim, but I can help my friends.", "She said she was sorry that she could not come.",
    ],
    "residue.chatter": [
        "Sure, it was cold.", "Here are the keys.", "Certainly not.", "Of course he came.", "Let him know it.",
    ],
    "residue.markup": [
        "x < y and y > z", "a | b", "# Response", "the ### sign", "The system is down.", "it was <s>old</s> new",
        "`[INST]` opens a turn",
    ],
    "residue.blanks": [
        "a [sic] error", "see [1] and [Smith 2020]", "f'{x}'", "<b>bold</b>", "{1, 2, 3}", "{he laughs}",
        "<name>Bob</name>", "```python\nf'{name} {{ title }}'\n```", "use `{topic}` here",
    ],
    "hygiene.toxic": [
        "The cock crowed in Scunthorpe.", "He will kill time.", "a pussycat", "They assessed it.", "Dick Cheney spoke.",
        "fire retardant", "more on that later", "kill the process", "I will kill you with kindness",
    ],
    "form.truncated": [
        "He said that he would come back when it was over.", 'He said "I will come back when the war is over."',
        "It was the year in which she was born (1815)", "See it all and more of it at https://example.com/page",
    ],
    "form.brackets": [
        "He came (at noon) to eat.", "a) one b) two", "1) one\n2) two", "fine :) or :(", "f(x[1], {2})", "```if (x```",
        "(i) first (ii) second", "use `(` here", "", "as said (see a) and (New York, NY)", "1) see (Figure 3) and (b)",
        "(a face :) in it, or [two :) in this]", "x=[1, 2], as follows:(one, two)", "it [rained :( all] day",
        "iii) three", "(a face :) here today)", "(we lost ;( but fine)", "(namely 1) wash, 2) rinse them)",
        "(options: a) buy, b) sell)", "thanks (you know :)",
    ],
    "form.loops": ["It is cold. It is cold.", "Yes. Yes. Yes. Yes.", "One is here. Two is here. Three is here."],
    "qa.sums": ["So 7 * 8 = 56."],
    "hygiene.secrets": ["key AKIA..."],
    "hygiene.contacts": ["write to me@example.com"],
}  # fmt: skip
NOT_ASKED = {
    "form.truncated": [
        "Paris",
        "- one\n- two and some more words that follow here",
        "1. of all the things that we know of",
    ],
    "qa.sums": ["no sum at all"],
}


def found(name, answer, prompt="", context=""):
    return TRAITS[name].find(Said(answer, prompt, answer, context))


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in HAVE.items() for t in texts])
def test_a_row_that_has_it_is_found_with_a_reason(name, text):
    assert found(name, text)


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in LACK.items() for t in texts])
def test_a_row_that_only_looks_like_it_is_not(name, text):
    assert found(name, text) == ""


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in NOT_ASKED.items() for t in texts])
def test_a_row_to_which_the_question_does_not_apply_is_not_asked(name, text):
    assert found(name, text) is None


def test_a_turn_of_a_chat_is_a_piece_of_one_in_an_answer_alone():
    assert found("residue.markup", "Paris.\nHuman: and Rome?", "Where?") == "says 'Human:'"
    assert found("residue.markup", "User: root\nHost: a", "What is logged?") == ""
    assert found("residue.markup", "She asked the user: why?", "Where?") == ""
    assert found("residue.markup", "User: Where?\nAssistant: Paris.") == ""  # a row that is a chat


PASSAGE = (
    "The Purus Arch split the basin of the Amazon during the Eocene, and water on its east flowed to the Atlantic."
)


@pytest.mark.parametrize(
    ("prompt", "answer", "context", "says"),
    [
        ("What split the basin?", "the Purus Arch", PASSAGE, ""),
        ("What split the basin?", "A meteorite in Mexico", PASSAGE, "answers 'meteorite'"),
        ("What split the basin?", "It was the Arch and the glaciers", PASSAGE, ""),
        ("What split the basin?", "the basin", PASSAGE, None),  # says nothing but what was asked
        ("What split the basin?", "a meteorite", "", None),
        ("", "a meteorite", PASSAGE, None),
    ],
)
def test_an_answer_is_held_against_its_passage(prompt, answer, context, says):
    told = found("qa.ungrounded", answer, prompt, context)
    assert told == says if not says else told.startswith(says)


@pytest.mark.parametrize(
    ("prompt", "answer", "says"),
    [
        ("Which river did the German army cross?", "The German army did cross which river", "says nothing"),
        ("Which river did the German army cross?", "The German army did cross the Rhine", ""),
        ("Which river did it cross?", "the river", None),
    ],
)
def test_an_answer_that_only_repeats_its_question(prompt, answer, says):
    told = found("qa.echoes", answer, prompt)
    assert told == says if not says else told.startswith(says)


def test_a_reason_never_quotes_a_secret():
    assert found("hygiene.secrets", HAVE["hygiene.secrets"][0]) == "holds an AWS key"
    assert found("hygiene.contacts", "a@b.de or 212-736-5000") == "holds an e-mail address and a phone number"


def shouts(warn=0.1, fail=0.4, always=None):
    def find(said):
        return None if not said.text else "shouts" if said.text.isupper() else ""

    return TraitsCheck(name="loud", traits=(Trait("shouts", "Rows that shout", find, "shout", warn, fail, always),))


def texts(loud, quiet, first=0):
    said = [f"{w} {first + i}" for w, n in (("LOUD", loud), ("calm", quiet)) for i in range(n)]
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


@pytest.mark.parametrize(
    ("loud", "real", "verdict"),
    [
        (0, (0, 100), "ok"), (9, (0, 100), "ok"), (15, (0, 100), "warn"), (50, (0, 100), "fail"),
        (50, (45, 55), "ok"), (90, (30, 70), "fail"), (15, None, "warn"), (50, None, "fail"),
    ],
)  # fmt: skip
def test_the_verdict_is_on_what_real_rows_do_not_have(loud, real, verdict):
    reference = None if real is None else texts(*real, first=1000)
    (finding,) = audit(texts(loud, 100 - loud), reference, checks=[shouts()]).findings
    assert (finding.verdict, finding.value) == (verdict, loud / 100)
    assert finding.control == (None if real is None else real[0] / 100)


def test_few_rows_are_not_clear_of_chance():
    """Two of ten against one of ten: a tenth more, and well within chance."""
    (finding,) = audit(texts(2, 8), texts(1, 9, first=1000), checks=[shouts()]).findings
    assert finding.verdict == "ok"


def test_what_must_not_be_there_counts_from_one_row():
    (finding,) = audit(texts(1, 99), texts(50, 50, first=1000), checks=[shouts(always="fail")]).findings
    assert finding.verdict == "fail" and finding.threshold == "fail from one row"


def test_rows_that_have_it_score_one_and_say_why_unless_real_rows_have_it_too():
    found = audit(texts(30, 70), texts(0, 100, first=1000), checks=[shouts()])
    (finding,) = found.findings
    loud = set(texts(30, 0).ids)
    assert dict(finding.row_scores) == dict.fromkeys(loud, 1.0)
    assert dict(finding.row_reasons) == dict.fromkeys(loud, "shouts")
    (usual,) = audit(texts(30, 70), texts(31, 69, first=1000), checks=[shouts()]).findings
    assert set(usual.row_scores) == loud and not usual.row_reasons


def test_the_settings_of_an_audit_are_json():
    json.dumps(audit(texts(3, 7), checks=list(CHECKS.values())).settings)
