import pytest

from unflaw.report._text import clip, marked, number, template_pattern, visible, with_interval


def test_what_cannot_be_printed_becomes_a_symbol():
    assert visible("a\x00b\x1bc\r\nd\re\x7f\udcff\x85") == "a␀b␛c\nd\ne␡��"
    assert visible("tab\tstays, so does \U0001f600") == "tab\tstays, so does \U0001f600"


def test_a_short_text_is_not_cut():
    assert clip("x" * 600) == "x" * 600


@pytest.mark.parametrize(("letter", "bytes_each"), [("x", 1), ("<", 4), ('"', 6), ("é", 2), ("\U0001f600", 4)])
def test_text_is_cut_by_what_it_weighs_in_the_page(letter, bytes_each):
    kept, _, rest = clip(letter * 5000, 600).partition(" … ")
    assert kept == letter * (600 // bytes_each)
    assert rest == f"({5000 - len(kept):,} more characters)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (0.12345, "0.123"), (-3, "−3"), (1234.5, "1,234"), (999.7, "1000"), (0.00002, "2.0e−05"), (0, "0")]
    + [(None, "–"), (float("inf"), "not finite")],
)
def test_numbers_read_as_a_person_writes_them(value, text):
    assert number(value) == text


def test_an_interval_stands_in_brackets():
    assert with_interval(0.5, 0.4, 0.6, "AUC") == "0.5 [0.4, 0.6] AUC"
    assert with_interval(0.5, None, 0.6) == "0.5"


PHRASES = [
    {"tokens": ["Answer", ":"], "anchor": "line"},
    {"tokens": ["1", "."], "anchor": "line"},
    {"tokens": ["Thus"], "anchor": "sentence"},
    {"tokens": ["hope", "this", "helps", "!"], "anchor": "end"},
]


def marks(text):
    return [piece for piece, is_template in marked(text, template_pattern(PHRASES)) if is_template]


def test_a_template_counts_only_at_its_place():
    assert marks("Answer: no Answer: yes\nAnswer : 3") == ["Answer:", "Answer :"]
    assert marks("12. one\n13. two, 14. three") == ["12.", "13."]
    assert marks("It is. Thus it was, Thus. Thusly") == ["Thus"]
    assert marks("I hope this helps! I hope this helps!\n") == ["hope this helps!"]


def test_pieces_add_up_to_the_text():
    text = "Answer: a\n\n1. b. Thus c"
    assert "".join(piece for piece, _ in marked(text, template_pattern(PHRASES))) == text
    assert marked(text, None) == [(text, False)]


def test_phrases_are_words_and_not_patterns():
    assert template_pattern([]) is None
    pattern = template_pattern([{"tokens": ["(", ".*", "["], "anchor": "line"}])
    assert marked("(.*[", pattern) == [("(.*[", True)]
    assert marked("(abc[", pattern) == [("(abc[", False)]
