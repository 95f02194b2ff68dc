"""Diversity of rows: what is planted is found, what is as diverse as the reference is not."""

import re
from pathlib import Path

import numpy as np
import pytest

from unflaw import read
from unflaw._errors import DataError, SettingsError, TooFewRowsError, UsageError
from unflaw.audit import DiversityCheck, audit
from unflaw.audit._comparable import tagged
from unflaw.audit._diversity import MEASURES
from unflaw.audit._stock import stock_phrases
from unflaw.measure import word_classes
from unflaw.models import HashEncoder


def diversity(rows, reference, **settings):
    found = audit(rows, reference, checks=[DiversityCheck(**settings)], encoder=HashEncoder())
    return {f.check.partition(".")[2]: f for f in found.findings}


def test_two_draws_of_one_grammar_are_as_diverse(qa):
    found = diversity(qa(300, 1), qa(300, 2))
    assert set(found) == {*MEASURES, "phrases", "similarity"}
    assert {f.verdict for f in found.values()} == {"ok"}
    for finding in found.values():
        assert finding.low < finding.control_high and finding.control_low < finding.high


def test_one_topic_of_eight_is_less_diverse_in_words_and_meaning(qa):
    found = diversity(qa(300, 1, topics=[0]), qa(300, 2))
    worse = {name for name in MEASURES if found[name].evidence["lost"][1] > 0}
    assert {"distinct", "compression", "self_bleu", "homogenisation", "vendi", "remote_clique"} <= worse
    assert any(f.verdict != "ok" for f in found.values())


def test_stock_phrases_are_named_and_the_rows_that_hold_them(qa, records):
    told = records(300, 1)
    for record in told[:100]:
        record["answer"] = "as far as we can tell from the sources"
    rows = qa(told)
    finding = diversity(rows, qa(300, 2))["phrases"]
    assert (finding.verdict, finding.value, finding.control) == ("fail", pytest.approx(1 / 3), 0)
    phrases = {p["phrase"]: p for p in finding.evidence["phrases"]}
    assert phrases["as we can tell"]["share"] == pytest.approx(1 / 3)
    assert phrases["as we can tell"]["reference_share"] == 0
    planted, others = rows.ids[:100], rows.ids[100:]
    assert set(finding.row_scores) == set(planted) and not set(others) & set(finding.row_reasons)
    assert all("a stock phrase" in finding.row_reasons[i] for i in planted)


def test_longer_rows_of_the_same_kind_are_not_less_diverse(qa, records):
    """Twice as long rows share twice as many words; cut to one length they do not."""
    long = [
        {"question": a["question"], "answer": f"{a['answer']} {b['question']} {b['answer']}"}
        for a, b in zip(records(300, 1), records(300, 3), strict=True)
    ]
    found = diversity(qa(long), qa(300, 2))
    assert {f.verdict for f in found.values()} == {"ok"}
    assert found["vendi"].value < 0.9 * found["vendi"].control and not found["vendi"].judges


def test_a_phrase_is_stock_from_three_standard_errors_on():
    """In 10 of 100 texts and none of 100: z = 0.1 / sqrt(0.05 · 0.95 · 0.02) = 3.24; in 9, z = 3.07; in 8, 2.89."""
    others = [["x"] * 4] * 100
    for count, found in ((10, True), (9, True), (8, False)):
        texts = [list("abcd")] * count + [["y"] * 4] * (100 - count)
        assert ("a b c d" in stock_phrases(texts, others)) == found
    assert "a b c d" not in stock_phrases([list("abcd")] * 10 + [["y"] * 4] * 90, [list("abcd")] * 5 + others[5:])


def test_without_real_rows_it_is_told_and_has_no_verdict(qa):
    rows = qa(60, 1)
    alone = diversity(rows, None)
    beside = diversity(rows, qa(60, 2))
    assert set(alone) == set(MEASURES) and {f.verdict for f in alone.values()} == {"ok"}
    assert all(f.control is None and not f.judges for f in alone.values())
    assert all(f.low <= f.value <= f.high and "real" not in f.meaning for f in alone.values())
    assert alone["distinct"].value == pytest.approx(beside["distinct"].value, rel=0.05)
    with pytest.raises(UsageError, match="no check had anything to ask"):
        diversity(qa(49, 1), None)


def test_too_few_rows_are_refused(qa):
    with pytest.raises(TooFewRowsError, match="at least 50 rows of each set, got 49 synthetic and 60 real"):
        diversity(qa(49, 1), qa(60, 2))
    assert diversity(qa(10, 1), qa(10, 2), allow_few=True)
    with pytest.raises(TooFewRowsError, match="at least 4 rows"):
        diversity(qa(3, 1), qa(10, 2), allow_few=True)


def test_all_wrong_settings_are_told_together():
    with pytest.raises(SettingsError) as error:
        DiversityCheck(max_rows=3, max_words=1, n_draws=1)
    assert len(error.value.problems) == 3


@pytest.mark.parametrize("max_rows", [1000, 150])
def test_rows_with_less_room_than_real_ones_are_named(max_rows, qa, records):
    told = records(300, 1)
    for record in told[:150]:
        record["question"] = " ".join([*told[0]["question"].split(), record["question"].split()[-1]])
    rows = qa(told)
    finding = diversity(rows, qa(300, 2), max_rows=max_rows)["chamfer"]
    assert finding.verdict != "ok"
    crowded, planted = set(finding.row_scores), set(rows.ids[:150])
    assert len(crowded & planted) > 100 and len(crowded - planted) < 30
    assert all("than" in finding.row_reasons[i] for i in crowded)


@pytest.mark.parametrize("max_rows", [1000, 150])
def test_rows_in_one_mould_are_found_whatever_they_say(max_rows):
    real = read(Path(__file__).parents[2] / "examples" / "data" / "real.jsonl")
    order = np.random.default_rng(0).permutation(600).tolist()
    mine, reference = real.take(order[:300]), real.take(order[300:])
    words = dict.fromkeys(re.findall("[a-z]{4,}", " ".join(real.texts())))
    words = [word for word in words if word_classes([word]) == ["-"]]
    moulded = [f"the {a} of {b} is a {c} in the {d}" for a, b, c, d in zip(*[iter(words)] * 4, strict=False)][:60]
    mine = mine.with_column("question", [*moulded, *mine.column("prompt")[60:]])
    found = audit(mine, reference, checks=[DiversityCheck(max_rows=max_rows)], encoder=HashEncoder()).findings
    rate, phrases = (next(f for f in found if f.check == f"diversity.{name}") for name in ("template_rate", "phrases"))
    assert phrases.verdict == "ok", "no four words come back"
    assert rate.verdict != "ok" and 0.1 < rate.value - rate.control < 0.3
    held, planted = set(rate.row_scores), set(mine.ids[:60])
    assert len(planted & held) > 50 and len(held - planted) < 15
    assert rate.evidence["templates"][0]["pattern"] in "the - of - is a - in the -"
    assert all("in a mould of others" in rate.row_reasons[i] for i in held)


def test_a_tagger_takes_the_place_of_endings(qa, records):
    def one_for_all(words):
        return ["X"] * len(words)

    found = diversity(qa(300, 1), qa(300, 2), tagger=one_for_all)["template_rate"]
    assert found.value > 0.9 and found.control > 0.9 and found.verdict == "ok"
    assert found.settings["tagger"] == "given"
    assert diversity(qa(300, 1), qa(300, 2))["template_rate"].settings["tagger"] == "endings"


def test_a_tagger_that_leaves_out_a_word_is_refused():
    with pytest.raises(DataError, match="one tag per word, got 2 for the 3 words 'so it is'"):
        tagged(lambda words: ["X"] * 2, "so it is".split())


def test_real_rows_find_copies_nearest_and_strangers_far(qa):
    real = qa(300, 2)
    near = {
        name: diversity(rows, real)["similarity"]
        for name, rows in (("like", qa(300, 1)), ("copies", real.take(list(range(299)))))
    }
    far = diversity(qa(300, 1, topics=[0]), real)["similarity"]
    assert near["copies"].value > near["like"].value > far.value
    assert near["like"].value == pytest.approx(near["like"].control, abs=0.05)
    assert not far.judges and far.verdict == "ok"
