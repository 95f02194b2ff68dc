"""Labels: what is planted is found, in an encoder's space where the classes lie apart."""

import numpy as np
import pytest

from unflaw._errors import SettingsError, UsageError
from unflaw.audit import LabelsCheck, audit
from unflaw.data import Rows

WORDS = {"sport": "ball goal team match coach".split(), "food": "soup bread salt oven cook".split()}


class ByWords:
    """Each word is an axis, and each row adds one of its own."""

    def encode(self, texts):
        axes = [*WORDS["sport"], *WORDS["food"]]
        x = np.array([[text.split().count(w) for w in axes] + [0.0] * 40 for text in texts])
        for row, text in zip(x, texts, strict=True):
            row[10 + sum(map(ord, text)) % 40] = 2.0
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def records(n, seed=0, share=0.5):
    rng = np.random.default_rng(seed)
    labels = ["sport" if rng.random() < share else "food" for _ in range(n)]
    return [{"text": f"{' '.join(rng.choice(WORDS[k], 6))} {seed}-{i}", "label": k} for i, k in enumerate(labels)]


def rows(told):
    return Rows.from_records(told, {"text": "text", "label": "label"})


def labels(told, reference=None, **settings):
    real = None if reference is None else rows(reference)
    found = audit(rows(told), real, checks=[LabelsCheck(**settings)], encoder=ByWords())
    return {f.check.partition(".")[2]: f for f in found.findings}


def test_two_draws_of_one_source_raise_nothing():
    found = labels(records(400, 1), records(400, 2))
    assert set(found) == {"balance", "noise", "conflicts", "length", "word"}
    assert {f.verdict for f in found.values()} == {"ok"}


def test_wrong_labels_are_found_row_by_row():
    told = records(400, 1)
    for record in told[:60]:
        record["label"] = "food" if record["label"] == "sport" else "sport"
    finding = labels(told, records(400, 2))["noise"]
    assert finding.verdict == "fail" and finding.value == pytest.approx(0.15, abs=0.03)
    planted, ids = set(rows(told).ids[:60]), set(finding.row_scores)
    assert len(ids & planted) > 54 and len(ids - planted) < 10


@pytest.mark.parametrize("n_real", [400, 60])
def test_wrong_labels_outside_the_sample_are_found_as_well(n_real):
    """All 1,200 rows are named, although a share is one of 200 of them, or of 60."""
    told = records(1200, 1)
    for record in told[:180]:
        record["label"] = "food" if record["label"] == "sport" else "sport"
    told[180]["label"], told[181]["label"] = "rare", None
    finding = labels(told, records(n_real, 2), max_rows=200)["noise"]
    assert finding.n_rows == min(200, n_real) and finding.value == pytest.approx(0.15, abs=0.1)
    planted, ids = set(rows(told).ids[:180]), set(finding.row_scores)
    assert len(ids & planted) > 160 and len(ids - planted) < 60 and finding.n_scored == len(ids)
    assert all("which other rows speak against" in finding.row_reasons[i] for i in ids)


def test_labels_spread_otherwise_fail_and_the_commoner_one_is_named():
    finding = labels(records(400, 1, share=0.9), records(400, 2))["balance"]
    assert finding.verdict == "fail" and finding.value == pytest.approx(0.4, abs=0.06)
    assert "'sport'" in finding.meaning


def test_a_number_is_one_label_however_it_came():
    """Where a label is missing, pandas makes 1 a 1.0."""
    told, real = records(200, 1), records(200, 2)
    for i, (a, b) in enumerate(zip(told, real, strict=True)):
        a["label"], b["label"] = i % 2, float(i % 2)
    real[0]["label"] = None
    assert labels(told, real)["balance"].verdict == "ok"


def test_wrong_labels_of_a_table_are_found_and_the_label_does_not_tell_itself():
    """A label among the cells told the classifier what to say, and no label was wrong."""
    kinds = np.random.default_rng(0).integers(0, 2, 400).tolist()
    records = [{"unflaw.id": f"{i}", "kind": ["apple", "stone"][k], "label": "ab"[k]} for i, k in enumerate(kinds)]
    for record in records[:40]:
        record["label"] = "b" if record["label"] == "a" else "a"
    table = Rows.from_records(records, {"label": "label"})
    assert "label" not in table.texts()[0]
    found = {f.check: f for f in audit(table, checks=[LabelsCheck()], encoder="potion").findings}
    assert set(found) == {"labels.noise", "labels.length", "labels.word"}
    assert set(found["labels.noise"].row_scores) == {str(i) for i in range(40)}


def test_equal_rows_under_two_labels_are_conflicts():
    told = records(200, 1)
    told += [{"text": r["text"], "label": "food" if r["label"] == "sport" else "sport"} for r in told[:20]]
    finding = labels(told, records(220, 2))["conflicts"]
    assert (finding.verdict, finding.value) == ("fail", 20 / 220)


def test_conflicts_outside_the_sample_are_named_as_well():
    """A text stands 300 times under two labels: all those are named whose label its first sampled row has not."""
    told = records(900, 1)
    for i, record in enumerate(told[:300]):
        record |= {"text": "ball goal ball goal", "label": "food" if i % 2 else "sport"}
    told[0]["label"] = None
    ids = rows(told).ids
    finding = labels(told, max_rows=100)["conflicts"]
    sides = [{ids[i] for i in range(1, 300) if told[i]["label"] == label} for label in WORDS]
    named = set(finding.row_scores)
    assert named in sides and finding.n_scored == len(named)
    assert {finding.row_reasons[i].split(",")[1] for i in named} == {" under another label"}


def test_a_word_and_a_length_that_give_the_label_away():
    told = [{**r, "text": f"{r['text']} indeed" if r["label"] == "food" else r["text"]} for r in records(400, 1)]
    found = labels(told, records(400, 2))
    assert found["word"].verdict == "fail" and "'indeed'" in found["word"].meaning
    told = [{**r, "text": r["text"] * 3 if r["label"] == "food" else r["text"]} for r in records(400, 1)]
    assert labels(told, records(400, 2))["length"].verdict == "fail"


@pytest.mark.parametrize("label", [lambda i: i, lambda i: None if i > 20 else i % 2])
def test_what_are_no_classes_is_not_asked(label):
    told = [{**r, "label": label(i)} for i, r in enumerate(records(200, 1))]
    with pytest.raises(UsageError, match="no check had anything to ask: labels"):
        labels(told, records(200, 2))


def test_a_class_that_is_gone_is_a_matter_of_balance():
    told = [{**r, "label": "food"} for r in records(200, 1)]
    found = labels(told, records(400, 2))
    assert list(found) == ["balance"] and found["balance"].verdict == "fail"
    assert found["balance"].value == pytest.approx(0.5, abs=0.1)
    with pytest.raises(UsageError, match="no check had anything to ask: labels"):
        labels(told, None)


def test_a_label_that_is_too_rare_to_tell_is_no_error():
    told = records(200, 1)
    told[0]["label"] = "rare"
    assert set(labels(told)) == {"noise", "conflicts", "length", "word"}


def test_rows_without_labels_are_not_asked():
    told = Rows.from_records([{"text": f"so it is {i}"} for i in range(60)], {"text": "text"})
    found = audit(told, encoder=ByWords())
    assert "`label`" in found.skipped["labels"]
    with pytest.raises(SettingsError, match="`max_rows` must be at least 50, got 3"):
        LabelsCheck(max_rows=3)


@pytest.mark.parametrize("copies", [1, 3])
def test_wrong_labels_are_found_however_often_a_row_comes(copies):
    told = records(300, 1)
    for record in told[:45]:
        record["label"] = "food" if record["label"] == "sport" else "sport"
    again = [{"unflaw.id": f"{k}-{n}", **record} for n in range(copies) for k, record in enumerate(told)]
    finding = labels(again, max_rows=2000)["noise"]
    assert finding.value == pytest.approx(0.15, abs=0.06)
    planted = {f"{k}-{n}" for k in range(45) for n in range(copies)}
    assert len({*finding.row_scores} & planted) > 0.75 * len(planted)
