import numpy as np
import pytest

from unflaw.measure import pair_artefacts, text_artefacts


def test_pairs_by_hand():
    found = pair_artefacts([("The cat sat on the mat", "The dog didn't sit"), ("No one came", "All came")])
    # the, of "the dog didn't sit"; came, of "all came"
    assert found["overlap"].tolist() == [0.25, 0.5]
    assert found["length mismatch"].tolist() == [pytest.approx((6 - 4) / 4), pytest.approx((3 - 2) / 2)]
    assert found["negation"].tolist() == [1.0, 1.0]
    assert found["hypothesis length"].tolist() == [4.0, 2.0]


@pytest.mark.parametrize(
    ("text", "denies"),
    [("It is not so.", 1), ("Nobody came", 1), ("She can’t go", 1), ("A knot in the note", 0), ("", 0)],
)
def test_negation_is_a_word_and_not_a_part_of_one(text, denies):
    assert text_artefacts([text])["negation"].tolist() == [denies]


def test_empty_sides_do_no_harm():
    assert all(np.isfinite(values).all() for values in pair_artefacts([("", ""), ("a", "")]).values())
    assert all(np.isfinite(values).all() for values in text_artefacts(["", "!!"]).values())
