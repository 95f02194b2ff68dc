"""The mix of kinds: each way to sort rows on rows anyone can sort, and the check on mixes known beforehand."""

import pytest

from unflaw._errors import UsageError
from unflaw.audit import Kinds, MixCheck, Said, audit, default_checks
from unflaw.data import Rows

SORTS = {kinds.name: kinds.of for check in default_checks() if check.name == "mix" for kinds in check.kinds}


def said(answer="", prompt="Why?", context=""):
    return Said(f"{prompt}\n{answer}", prompt, answer, context)


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        ("asks what", "What is it?"), ("asks who", "By whom was it written?"), ("asks how many", "How much is it?"),
        ("asks how", "How did he do it?"), ("asks for yes or no", "Is it true?"), ("asks for yes or no", "So can he?"),
        ("instruction", "Write a poem about the sea."), ("asks otherwise", "Your name?"), (None, ""),
        ("asks what", "Read the text. It is about Ada, who wrote it.\n\nWhat did she write?"),
        ("asks when", "when was he born"), ("instruction", "Name what you see."),
    ],
)  # fmt: skip
def test_questions(kind, prompt):
    assert SORTS["questions"](said(prompt=prompt)) == kind


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("a date", "1815"), ("a date", "March 3, 1905"), ("a date", "2020-01-31"), ("a number", "42 km"),
        ("yes or no", "No."), ("a name or word", "Ada Lovelace"), ("a phrase", "from the hills to the sea"),
        ("one sentence", "He came home late and went to bed at once."),
        ("sentences", "He came home late. He went to bed at once. He slept."),
    ],
)  # fmt: skip
def test_answers(kind, answer):
    assert SORTS["answers"](said(answer)) == kind
    assert SORTS["answers"](said(answer, prompt="")) is None


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("code", "See:\n```\nx = 1\n```"), ("JSON", '{"a": 1}'), ("one line", "{a: 1}"), ("a list", "- a\n- b"),
        ("a list", "1. a\n2. b"), ("a table", "| a | b |\n|---|---|\n| 1 | 2 |"), ("headings", "# A\nb"),
        ("headings", "**A**\nb"), ("paragraphs", "a\n\nb"), ("lines", "a\nb"), ("one line", "- a"),
    ],
)  # fmt: skip
def test_layout(kind, answer):
    assert SORTS["layout"](said(answer)) == kind


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("ends with .", "a. "), ("ends with a letter", "a"), ("ends with a digit", "4"), ("ends with another sign", "a)")],
)
def test_endings(kind, answer):
    assert SORTS["endings"](said(answer)) == kind


def test_lengths_are_sorted_without_a_gap_or_an_overlap():
    kinds = [SORTS["lengths"](said("a " * n)) for n in range(1, 200)]
    ends = [[int(word) for word in kind.split() if word.isdigit()] for kind in kinds]
    assert all(end[0] <= n <= end[-1] for n, end in enumerate(ends, 1))
    assert kinds[:4] == ["1 words", "2 words", "3 words", "4 words"]
    assert sorted(set(map(tuple, ends)), key=max) == list(dict.fromkeys(map(tuple, ends)))
    assert SORTS["lengths"](said("")) is None


def letters(text):
    return Rows.from_records([{"text": f"{sign}{i}"} for i, sign in enumerate(text)], {"text": "text"})


def test_the_value_is_the_part_that_would_need_another_kind():
    first = Kinds("first", "First letters", lambda said: said.text[0])
    rows, real = letters("a" * 150 + "b" * 50), letters("ab" * 100)
    (found,) = audit(rows, real, checks=[MixCheck(kinds=(first,))]).findings
    assert (found.check, found.value, found.verdict) == ("mix.first", 0.25, "fail")
    assert "a: 75% (real rows 50%)" in found.meaning
    assert set(found.row_scores) == set(rows.ids[:150])
    assert found.row_scores[rows.ids[0]] == pytest.approx(1 / 3)  # 25 of 75 are too many


def test_the_same_mix_is_ok_and_blames_no_row():
    first = Kinds("first", "First letters", lambda said: said.text[0])
    (found,) = audit(letters("ab" * 90), letters("ba" * 100), checks=[MixCheck(kinds=(first,))]).findings
    assert (found.value, found.verdict, found.row_scores) == (0.0, "ok", {})


@pytest.mark.parametrize(("n", "value", "verdict"), [(20, 0.2, "ok"), (100, 0.06, "ok"), (1000, 0.06, "warn")])
def test_what_chance_gives_has_no_verdict(n, value, verdict):
    first = Kinds("first", "First letters", lambda said: said.text[0])
    more = round(2 * value * n)
    (found,) = audit(
        letters("a" * (n + more) + "b" * (n - more)), letters("ab" * n), checks=[MixCheck(kinds=(first,))]
    ).findings
    assert (found.value, found.verdict) == (pytest.approx(value), verdict)


def test_of_three_rows_there_is_no_mix(qa):
    told = [{"question": "Who?", "answer": f"Number {i}"} for i in range(3)]
    with pytest.raises(UsageError, match="no check had anything to ask: mix"):
        audit(qa(told), qa(200, 2), checks=[check for check in default_checks() if check.name == "mix"])
