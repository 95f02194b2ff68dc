from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelled import labelled_rows
from unflaw._errors import SettingsError
from unflaw.curate import split
from unflaw.data import Rows


def test_parts_have_their_sizes_and_each_label_its_share():
    rows = labelled_rows(100, labels=("good", "good", "good", "bad"))
    dealt = split(rows, {"a": 0.4, "b": 20, "c": 0.4})
    assert {name: len(ids) for name, ids in dealt.items()} == {"a": 40, "b": 20, "c": 40}
    of = dict(zip(rows.ids, rows.column("label"), strict=True))
    assert {name: Counter(of[i] for i in ids)["bad"] for name, ids in dealt.items()} == {"a": 10, "b": 5, "c": 10}
    assert len({i for ids in dealt.values() for i in ids}) == 100


def test_equal_texts_stay_together():
    texts = [f"Text {k // 2}" if k % 2 else f"text  {k // 2}" for k in range(40)]
    rows = Rows.from_records(
        [{"text": t, "label": k // 2 % 2} for k, t in enumerate(texts)], {"text": "text", "label": "label"}
    )
    dealt = split(rows, {"a": 0.5, "b": 0.5})
    part = {i: name for name, ids in dealt.items() for i in ids}
    assert len(part) == 40
    assert all(part[rows.ids[k]] == part[rows.ids[k + 1]] for k in range(0, 40, 2))


@pytest.mark.parametrize("n_parts", [3, 4, 10])
def test_parts_that_ask_for_all_rows_get_all(n_parts):
    rows = Rows.from_records([{"text": f"{k}", "label": k % 3} for k in range(50)], {"text": "text", "label": "label"})
    dealt = split(rows, {str(k): 1 / n_parts for k in range(n_parts)})
    assert sum(map(len, dealt.values())) == 50 and set(map(len, dealt.values())) <= {50 // n_parts, -(-50 // n_parts)}


def test_same_seed_same_parts():
    rows = labelled_rows(30)
    assert split(rows, {"a": 0.5}, seed=1) == split(rows, {"a": 0.5}, seed=1) != split(rows, {"a": 0.5}, seed=2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.05, 0.33), min_size=1, max_size=3), st.integers(3, 60), st.integers(1, 4))
def test_no_row_is_dealt_twice_and_sizes_are_met_to_within_a_row_of_each_label(shares, n, n_labels):
    rows = Rows.from_records(
        [{"text": f"{k}", "label": k % n_labels} for k in range(n)], {"text": "text", "label": "label"}
    )
    parts = {str(k): share for k, share in enumerate(shares)}
    dealt = split(rows, parts)
    ids = [i for part in dealt.values() for i in part]
    assert len(set(ids)) == len(ids)
    assert all(abs(len(dealt[name]) - share * n) <= n_labels for name, share in parts.items())


@pytest.mark.parametrize(
    ("parts", "told"),
    [({}, "at least one part"), ({"a": 0.7, "b": 0.4}, "more rows than there are"), ({"a": 1.5}, "got 1.5 for 'a'"),
     ({"a": 11}, "more rows than there are"), ({"a": 0.0}, "got 0.0 for 'a'"), ({"a": float("inf")}, "got inf")],
)  # fmt: skip
def test_sizes_that_are_none_are_refused(parts, told):
    with pytest.raises(SettingsError, match=told):
        split(labelled_rows(10), parts)


def test_questions_and_answers_are_dealt_by_their_questions():
    records = [{"prompt": f"What is {k // 2}?", "response": f"It is {k}."} for k in range(40)]
    rows = Rows.from_records(records, {"prompt": "prompt", "response": "response"})
    parts = split(rows, {"a": 0.5, "b": 0.5}, by=None)
    asked = {name: {*rows.only(ids).column("prompt")} for name, ids in parts.items()}
    assert len(parts["a"]) == len(parts["b"]) == 20 and not asked["a"] & asked["b"]
