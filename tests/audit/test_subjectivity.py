"""Rows that judge and rows that report, told apart; what people disagree about; and what is left out."""

import numpy as np
import pytest

from unflaw._errors import SettingsError, UsageError
from unflaw.audit import Batch, SubjectivityCheck, audit
from unflaw.audit._trained import trained
from unflaw.data import Rows
from unflaw.models import HashEncoder, open_encoder

THINGS = ["film", "phone", "hotel", "dress", "novel", "concert", "meal", "camera", "course", "museum"]
JUDGE = [
    "I loved this {}, it is truly wonderful and I would recommend it to everyone.",
    "What a terrible {}, I was so disappointed and felt my time was wasted.",
    "Honestly the {} is far too boring, and that is a shame because it looked great.",
    "The {} was surprisingly good, really charming, and worth every minute of it.",
]
REPORT = [
    "The {} was made in 1987 by a company that is based in the north of Denmark.",
    "According to the ministry the {} opened in March and is used by 4,000 people a year.",
    "The {} consists of three parts, of which the second was added after the war.",
    "In 2004 the {} was sold to a firm from Ohio, which moved it to Cleveland.",
]


@pytest.fixture(scope="module")
def potion():
    return open_encoder("potion")


def texts(forms, n=80, first=0):
    """n different rows of these forms."""
    said = [f"{form.format(THINGS[i % 10])} No. {first + i}." for i, form in enumerate(forms * (n // len(forms)))]
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


def subjectivity(rows, reference=None, encoder=None):
    found = audit(rows, reference, checks=[SubjectivityCheck()], encoder=encoder or HashEncoder()).findings
    return {f.check.partition(".")[2]: f for f in found}


def test_every_row_that_judges_scores_higher_than_every_row_that_reports(potion):
    both = [*texts(JUDGE).texts(), *texts(REPORT).texts()]
    rows = Rows.from_records([{"text": text} for text in both], {"text": "text"})
    scores = subjectivity(rows, encoder=potion)["score"].row_scores
    judge, report = ([scores[i] for i in part] for part in (rows.ids[:80], rows.ids[80:]))
    assert min(judge) > max(report)


def test_a_task_of_opinion_is_warned_of_whatever_the_set_and_no_row_is_accused(potion):
    for mine in (JUDGE, REPORT):
        found = subjectivity(texts(mine), texts(JUDGE, first=100), potion)
        assert found["task"].verdict == "warn" and not found["task"].row_scores
        assert "accuses no row" in found["task"].meaning
    found = subjectivity(texts(JUDGE), texts(REPORT, first=100), potion)
    assert found["task"].verdict == "ok" and found["task"].value < 0.5
    assert subjectivity(texts(JUDGE), encoder=potion)["task"].verdict == "warn", "without real rows its own tell"


def test_rows_that_judge_less_than_real_ones_are_warned_of_and_the_plainest_named(potion):
    rows = texts(JUDGE[:2] + REPORT[:2])
    shift = subjectivity(rows, texts(JUDGE, first=100), potion)["shift"]
    assert shift.verdict == "warn" and shift.value < 0 and shift.better == "higher"
    plain = [i for i, text in zip(rows.ids, rows.texts(), strict=True) if text.startswith(("According", "The"))]
    assert set(shift.row_reasons) >= set(plain) and all("judges less" in r for r in shift.row_reasons.values())
    assert subjectivity(texts(JUDGE), texts(JUDGE, first=100), potion)["shift"].verdict == "ok"
    assert subjectivity(texts(JUDGE), texts(REPORT, first=100), potion)["shift"].value > 0


@pytest.mark.parametrize("dim", [64, 256])
def test_vectors_of_another_encoder_get_no_score_but_the_words_are_counted(dim):
    found = subjectivity(texts(JUDGE), texts(REPORT, first=100), HashEncoder(dim))
    assert set(found) == {"lexicon", "task", "shift"}
    assert "for vectors of `potion` alone" in found["lexicon"].meaning
    assert found["shift"].evidence["by"] == "lexicon" and found["shift"].verdict == "warn"
    assert min(found["lexicon"].row_scores.values()) > 0.1
    assert subjectivity(texts(REPORT), texts(JUDGE, first=100), HashEncoder(dim))["task"].verdict == "warn"


def test_the_weights_know_the_vectors_they_are_for(potion):
    rows = texts(JUDGE)
    x = potion.encode(rows.texts())
    assert trained().fits(Batch(rows, rows.texts(), x))
    assert not trained().fits(Batch(rows, rows.texts(), x[:, ::-1].copy()))
    assert not trained().fits(Batch(rows, rows.texts(), None))


def test_rows_that_are_no_english_prose_are_counted_and_have_no_score(potion):
    said = [*texts(REPORT).texts(), *(f"Wort {i}: Der Fluss fließt hinab ins Meer und schweigt." for i in range(20))]
    rows = Rows.from_records([{"text": text} for text in said], {"text": "text"})
    found = subjectivity(rows, encoder=potion)["score"]
    assert "20 of 100 rows are no English prose and left out" in found.meaning
    assert (found.n_rows, set(found.row_scores)) == (80, set(rows.ids[:80]))


def test_of_too_few_rows_nothing_is_said(potion):
    with pytest.raises(UsageError, match="no check had anything to ask: subjectivity"):
        subjectivity(texts(JUDGE, 16), encoder=potion)


def annotated(labels, first=0):
    records = [{"text": f"Text {first + i}.", "annotations": row} for i, row in enumerate(labels)]
    return Rows.from_records(records, {"text": "text"})


AGREED, SPLIT = [["a", "a", "a"], ["b", "b", "b"]] * 30, [["a", "a", "b"], ["b", "b", "a"]] * 30


def test_what_people_disagree_about_is_warned_of_row_by_row():
    """Of aab two pairs of six agree, as by chance, so alpha is near 0; 2/3 are below the 3/4 of coins: score 1."""
    (found,) = subjectivity(annotated(SPLIT)).values()
    assert found.verdict == "warn" and found.value < 0 and found.high < 0.667
    assert set(found.row_scores.values()) == {1.0} and len(found.row_scores) == 60
    assert "67% of the labels of a row are its commonest" in found.meaning
    (found,) = subjectivity(annotated([*AGREED, ["a"], [None, "b"], None])).values()
    assert (found.verdict, found.value, found.control) == ("ok", 1, None)
    assert set(found.row_scores.values()) == {0.0} and len(found.row_scores) == 60


def test_the_real_rows_labels_decide():
    mine, real = annotated(AGREED), annotated(SPLIT, first=100)
    (found,) = subjectivity(mine, real).values()
    assert (found.verdict, found.value, found.control < 0) == ("warn", 1, True)
    (found,) = subjectivity(real, mine).values()
    assert (found.verdict, found.value < 0, found.control) == ("ok", True, 1)
    bare = Rows.from_records([{"text": f"Row {i}."} for i in range(60)], {"text": "text"})
    (found,) = subjectivity(bare, real).values()
    assert found.verdict == "warn" and found.value < 0 and found.control < 0 and not found.row_scores
    assert found.n_reference == 60


def test_nonsense_is_refused():
    with pytest.raises(SettingsError, match="max_rows"):
        SubjectivityCheck(max_rows=3)


def test_the_shipped_weights_say_what_they_were_made_of():
    import json
    from importlib.resources import files

    record = json.loads(files("unflaw.audit").joinpath("subjectivity.json").read_text(encoding="utf-8"))
    assert len(record["weights"]) == 256 and record["encoder"] == "potion"
    assert record["licences"] and set(record["sources"]) == set(record["held_out_auc"])
    assert np.isfinite(record["weights"]).all()


@pytest.mark.parametrize("label", [{"span": 3}, ["a", "b"], float("nan"), None])
def test_annotations_that_are_no_labels_are_not_counted(potion, label):
    rows = Rows.from_records(
        [{"text": f"Text {i} says so.", "annotations": [label, label]} for i in range(40)], {"text": "text"}
    )
    with pytest.raises(UsageError, match="anything to ask"):
        subjectivity(rows, encoder=potion)


def test_words_of_peoples_own_are_no_votes(potion):
    rows = annotated([[f"word {i}", f"word {i + 1}"] for i in range(300)])
    with pytest.raises(UsageError, match="anything to ask"):
        subjectivity(rows, encoder=potion)
