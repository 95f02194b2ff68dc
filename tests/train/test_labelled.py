import pytest

from labelled import labelled_rows, pair_rows
from unflaw._errors import DataError, SchemaError, SettingsError
from unflaw.data import Rows
from unflaw.train import (
    label_ids,
    label_names,
    labels_of,
    normal_texts,
    problems_of_kinds,
    problems_of_labelled,
    refuse_shared,
    texts_of,
)


def rows_of(*pairs, roles=("text", "label")):
    return Rows.from_records([{"text": t, "label": v} for t, v in pairs], {r: r for r in roles})


def test_a_classifier_reads_texts_or_pairs():
    assert texts_of(rows_of(("a b", 1))) == ["a b"]
    first = pair_rows(1)
    assert texts_of(first) == [(first.column("premise")[0], first.column("hypothesis")[0])]
    answers = Rows.from_records([{"q": "a", "a": "b"}], {"prompt": "q", "response": "a"})
    with pytest.raises(SchemaError, match=r"roles \['prompt', 'response'\]"):
        texts_of(answers)


def test_labels_are_text_in_a_fixed_order_whatever_they_were():
    rows = rows_of(("a", 10), ("b", 9), ("c", 10))
    assert label_names(rows) == ["10", "9"]
    assert label_ids(rows, ["9", "10"]).tolist() == [1, 0, 1]
    with pytest.raises(SettingsError, match=r"got '10' in 2 rows. Did you mean '1'\?"):
        label_ids(rows, ["9", "1"])


def test_everything_wrong_with_rows_is_named_with_ids():
    rows = Rows.from_records(
        [{"unflaw.id": i, "text": t, "label": v} for i, t, v in [("a", "", "x"), ("b", "t", None), ("c", " ", "x")]],
        {"text": "text", "label": "label"},
    )
    told = problems_of_labelled(rows, "rows")
    assert told == [
        "`rows` must have a text in every row, got 2 without: a, c",
        "`rows` must have a label in every row, got 1 without: b",
        "`rows` must hold two labels at least, got only 'x'",
    ]
    assert problems_of_labelled(labelled_rows(4), "rows") == []


def test_shared_texts_are_found_whatever_their_case_and_blanks():
    one, other = rows_of(("A  film.", "x"), ("b", "y")), rows_of(("a film.", "y"), ("c", "x"))
    with pytest.raises(DataError, match="`real` and `test` share 1 texts"):
        refuse_shared(real=one, test=other, validation=None)
    refuse_shared(real=one, test=rows_of(("c", "x")))


def test_a_text_in_another_unicode_form_is_the_same_text():
    composed, apart = "das caf\u00e9 ist gut", "das cafe\u0301 ist gut"
    with pytest.raises(DataError, match="share 1 texts"):
        refuse_shared(real=rows_of((composed, "x"), ("b", "y")), test=rows_of((apart, "x")))
    refuse_shared(real=rows_of((composed, "x")), test=rows_of(("das cafe ist gut", "x")))  # an accent is a letter


def test_a_row_without_a_label_has_no_place():
    with pytest.raises(SettingsError, match="a label in every row, got 1 without"):
        label_ids(rows_of(("a", "x"), ("b", None)), ["x"])


def test_a_pair_is_shared_only_where_both_sides_are():
    rows = pair_rows(4)
    assert len(set(normal_texts(rows))) == 4
    turned = rows.with_column("hypothesis", ["other"] * 4, "hypothesis")
    refuse_shared(a=rows, b=turned)


def test_pairs_beside_texts_are_told():
    texts, pairs = labelled_rows(4), pair_rows(4)
    assert problems_of_kinds(rows=texts, validation=None, meta=labelled_rows(2)) == []
    (told,) = problems_of_kinds(rows=pairs, validation=texts)
    assert told == "`validation` must hold premise and hypothesis in its rows, as `rows` does, got text"


def test_a_label_that_is_not_a_number_is_none():
    assert labels_of(rows_of(("a", 1.0), ("b", float("nan")))) == ["1.0", None]
