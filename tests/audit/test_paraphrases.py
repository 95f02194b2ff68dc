"""Paraphrases, with an encoder that says which texts mean the same."""

from zlib import crc32

import numpy as np
import pytest

from unflaw._errors import SettingsError
from unflaw.audit import CopiesCheck, ParaphrasesCheck, audit
from unflaw.data import Rows

DIMENSIONS = 512


class ByTopic:
    """Texts with the same first word lie .95 apart in cosine, all others at right angles."""

    def encode(self, texts):
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            topic, _, rest = text.partition(" ")
            vector[int(topic) % 256] = 0.975
            vector[256 + crc32(rest.encode()) % 256] = (1 - 0.975**2) ** 0.5
        return vectors


def texts(*said):
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


def paraphrases(rows, reference=None, holdout=None, **settings):
    found = audit(rows, reference, holdout=holdout, checks=[ParaphrasesCheck(**settings)], encoder=ByTopic())
    return {f.check.partition(".")[2]: f for f in found.findings}


def distinct(n, first=0):
    return [f"{first + i} is told" for i in range(n)]


def test_rows_that_mean_the_same_are_found_and_each_names_the_first():
    rows = texts(*distinct(90), *(f"7 {word}" for word in "abcdefghij"))
    finding = paraphrases(rows)["inside"]
    same = sorted([rows.ids[7], *rows.ids[90:]])
    assert (finding.verdict, finding.value) == ("ok", 10 / 100)  # without real rows nobody knows whether that is much
    assert paraphrases(rows, texts(*distinct(100, first=100)))["inside"].verdict == "fail"
    assert sorted(finding.row_scores) == same[1:]
    assert {reason.split()[3] for reason in finding.row_reasons.values()} == {same[0]}
    assert all(score == pytest.approx(0.95, abs=0.06) for score in finding.row_scores.values())


def test_a_held_out_row_in_other_words_is_named():
    real, held = texts(*distinct(90, first=100)), texts(*distinct(50, first=200))
    rows = texts(*distinct(80), *(f"{200 + i} reworded" for i in range(10)), *(f"{190 + i} more" for i in range(10)))
    found = paraphrases(rows, real, held)
    assert (found["holdout"].verdict, found["holdout"].value, found["holdout"].control) == ("fail", 0.1, 0.0)
    assert set(found["holdout"].row_scores) == set(rows.ids[80:90])
    assert "held-out row" in found["holdout"].row_reasons[rows.ids[80]]
    assert paraphrases(rows, None, held)["holdout"].verdict == "ok"


def test_equal_texts_are_no_paraphrases():
    finding = paraphrases(texts(*distinct(50), *distinct(50)))["inside"]
    assert (finding.verdict, finding.value, finding.n_rows) == ("ok", 0, 50)


def test_what_real_rows_do_as_well_is_no_flaw():
    rows = texts(*distinct(90), *(f"7 {word}" for word in "abcdefghij"))
    real = texts(*distinct(90, first=100), *(f"107 {word}" for word in "klmnopqrst"))
    found = paraphrases(rows, real)
    assert (found["inside"].verdict, found["inside"].control) == ("ok", 10 / 100)
    assert (found["reference"].verdict, found["reference"].value) == ("ok", 0)


def test_rows_that_say_what_real_rows_say_are_found_but_not_their_copies():
    rows = texts(*(f"{i} put otherwise" for i in range(30)), *distinct(20, first=30), *distinct(50, first=150))
    finding = paraphrases(rows, texts(*distinct(100)))["reference"]
    assert set(finding.row_scores) == set(rows.ids[:30])
    assert (finding.verdict, finding.value, finding.n_reference) == ("fail", 30 / 100, 100)
    assert all(reason.startswith("says what real row ") for reason in finding.row_reasons.values())


def test_wrong_settings_are_told_together():
    with pytest.raises(SettingsError) as error:
        ParaphrasesCheck(threshold=0, exact_rows=0)
    assert len(error.value.problems) == 2


def test_texts_of_which_the_encoder_knows_no_word_say_nothing_alike():
    strange = [f"{chr(0x1F600 + i)}{chr(0x1F600 + i)}" for i in range(60)]
    rows = Rows.from_records([{"text": t} for t in strange], {"text": "text"})
    found = audit(rows, checks=[ParaphrasesCheck(), CopiesCheck()], encoder="potion")
    assert [f.verdict for f in found.findings] == ["ok"] * len(found.findings)
    assert "paraphrases" in found.skipped


def test_rows_in_letters_the_encoder_does_not_read_are_not_asked():
    """All Russian rows lie next to each other, as the default encoder has them; of the English ones two do."""
    told = [f"7 {word} на реке" for word in "дом сад лес мост луг пруд холм двор пляж порт".split()]
    rows = texts(*told, "8 the old house", "8 the house that is old", *(f"{i} row" for i in range(10, 30)))
    finding = audit(rows, checks=[ParaphrasesCheck()], encoder=ByTopic()).findings[0]
    assert (finding.value, finding.n_scored) == (1 / 22, 1)
    every = audit(rows, checks=[ParaphrasesCheck(latin_only=False)], encoder=ByTopic()).findings[0]
    assert every.n_scored == 10
