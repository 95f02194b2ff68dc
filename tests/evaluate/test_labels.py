from importlib import import_module

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from labelled import labelled_rows
from unflaw._errors import DataError, SettingsError
from unflaw.data import Rows
from unflaw.evaluate import accuracy_by_agreement, compare, labels


class Rule:
    """A classifier that knows the right labels but for some, whatever the texts are."""

    def __init__(self, rows, wrong, order=("bad", "good")):
        self.labels, self._truth, self._wrong = order, rows.column("label"), set(wrong)

    def predict_proba(self, texts):
        p = np.full((len(texts), len(self.labels)), 0.1)
        for k, label in enumerate(self._truth):
            right = self.labels.index(label)
            p[k, (right + (k in self._wrong)) % len(self.labels)] = 0.9
        return p


@pytest.fixture
def rows():
    return labelled_rows(40)


def test_scores_are_those_of_scikit_learn(rows):
    truth = rows.column("label")
    told = [("bad", "good")[(("bad", "good").index(v) + (k < 7)) % 2] for k, v in enumerate(truth)]
    one, two = labels(Rule(rows, range(7)), rows, name="m")
    assert (one.benchmark, two.benchmark, one.n) == ("labels.accuracy", "labels.macro_f1", 40)
    assert one.value == pytest.approx(accuracy_score(truth, told))
    assert two.value == pytest.approx(f1_score(truth, told, average="macro"))
    assert one.low < one.value < one.high and two.low < two.value < two.high
    assert one.outputs == dict(zip(rows.ids, told, strict=True))


def test_the_order_of_a_models_classes_does_not_matter(rows):
    one, other = labels(Rule(rows, [1, 2]), rows), labels(Rule(rows, [1, 2], ("good", "bad")), rows)
    assert [s.value for s in one] == [s.value for s in other] and one[1].items == other[1].items


def test_two_classifiers_compare_paired(rows):
    a, b = labels(Rule(rows, range(16)), rows, name="a"), labels(Rule(rows, range(4)), rows, name="b")
    accuracy, f1 = compare(a, b)
    assert accuracy.difference == pytest.approx(12 / 40) and len(accuracy.gained) == 12 and not accuracy.lost
    assert f1.difference == pytest.approx(b[1].value - a[1].value) and f1.verdict == "better"
    assert f1.low < f1.difference < f1.high and set(f1.gained) == set(accuracy.gained)


def test_against_itself_nothing_changes(rows):
    a = labels(Rule(rows, range(5)), rows, name="a")
    for pair in compare(a, a):
        assert (pair.difference, pair.low, pair.high, pair.verdict) == (0.0, 0.0, 0.0, "within noise")


def test_an_unknown_label_is_named(rows):
    with pytest.raises(SettingsError, match=r"got 'good' in 20 rows"):
        labels(Rule(rows, [], ("bad", "fine")), rows)


def annotated(rows, split):
    """Give the first rows labels that all agree, and the others a tie of two."""
    given = [["a"] * 4 if k < split else ["a", "a", "b", "b"] for k in range(len(rows))]
    return rows.with_column("annotations", given)


def test_mistakes_are_where_people_do_not_agree(rows):
    asked = annotated(rows, 20)
    unsure = labels(Rule(rows, range(20, 40)), asked, name="unsure")  # wrong on the ties alone
    found = accuracy_by_agreement(unsure, asked)
    assert found.value == pytest.approx(1.0) and found.title == "Labels are told where people agree"
    (curve,) = found.plots[0].series
    assert (curve.y[0], curve.y[-1]) == (0.5, 1.0)
    turned = accuracy_by_agreement(labels(Rule(rows, range(20)), asked), asked)
    assert turned.value == pytest.approx(-1.0)


def test_a_lead_that_is_where_people_do_not_agree_goes_against_agreement(rows):
    asked = annotated(rows, 20)
    real, synthetic = (labels(Rule(rows, wrong), asked, name=n) for n, wrong in (("r", []), ("s", range(20, 40))))
    found = accuracy_by_agreement([*real, *synthetic], asked)
    assert found.evidence["leads"]["s"] == pytest.approx((-1.0, -1.0, -1.0))
    same = labels(Rule(rows, []), asked, name="t")
    assert set(accuracy_by_agreement([*real, *same, *synthetic], asked).evidence["leads"]) == {"s"}  # t never differs
    assert "the lead of r over s: -1.00" in found.meaning


def test_of_many_classifiers_the_first_and_the_best_are_drawn_and_all_are_told(rows):
    asked, wrong = annotated(rows, 20), {"a": 16, "b": 20, "c": 4, "d": 12, "e": 8, "f": 2}
    scores = [s for name, n in wrong.items() for s in labels(Rule(rows, range(20, 20 + n)), asked, name=name)]
    found = accuracy_by_agreement(scores, asked)
    (plot,) = found.plots
    assert [s.name for s in plot.series] == ["a", "f", "c", "e"] and "first of 6 classifiers" in plot.title
    assert found.evidence["recall"] == {name: (pytest.approx(1 - n / 40), 1.0) for name, n in wrong.items()}
    assert "lead of a over f" in found.meaning and "b" not in found.meaning.partition("lead of")[2].split()


def test_each_label_counts_alike_where_people_agree(rows):
    """Of the rows that all agree on, 15 of 15 good ones are told and none of 5 bad ones: a mean recall of a half."""
    rows = rows.with_column("label", ["good" if k < 15 or k % 2 else "bad" for k in range(40)], "label")
    rows = rows.with_column("label", ["good" if k < 15 else "bad" if k < 20 else v
                                      for k, v in enumerate(rows.column("label"))], "label")  # fmt: skip
    asked = annotated(rows, 20)
    found = accuracy_by_agreement(labels(Rule(rows, range(15, 20)), asked), asked)
    (curve,) = found.plots[0].series
    assert curve.y[-1] == 0.5 and curve.low[-1] < 0.5 < curve.high[-1]


def test_all_right_claims_no_certainty(rows):
    accuracy, f1 = labels(Rule(rows, []), rows)
    assert (accuracy.value, accuracy.high) == (1.0, 1.0) and accuracy.low == pytest.approx(40 / (40 + 1.959964**2))
    below = 1.959964**2 / (20 + 1.959964**2)  # of the recall of either label, 20 rows each
    assert (f1.value, f1.high) == (1.0, 1.0) and f1.low == pytest.approx(1 - below / 2**0.5)
    accuracy, f1 = labels(Rule(rows, range(40)), rows)
    assert (f1.value, f1.low) == (0.0, 0.0) and f1.high == pytest.approx(below / 2**0.5) and accuracy.high > 0


@pytest.mark.parametrize(
    ("p", "told"), [(np.full((40, 2), np.nan), "others in 40 of 40 rows"), (np.zeros((39, 2)), "got 39 × 2")]
)
def test_what_are_no_probabilities_is_not_graded(rows, p, told):
    rule = Rule(rows, [])
    rule.predict_proba = lambda texts: p
    with pytest.raises(DataError, match=told):
        labels(rule, rows)


def test_no_rows_are_refused_and_those_of_one_label_are_not(rows):
    good = rows.take([k for k, v in enumerate(rows.column("label")) if v == "good"])  # as a level may be
    assert labels(Rule(good, range(5)), good)[0].value == 0.75
    with pytest.raises(SettingsError, match="a label at least, got no row"):
        labels(Rule(rows, []), rows.take([]))


def test_chance_is_of_all_labels_though_nobody_gave_some(rows):
    """Two of three agree: of two labels that is below chance, of the rows' three it is above."""
    of_three = rows.with_column("label", [("good", "bad", "fair")[k % 3] for k in range(40)], "label")
    asked = of_three.with_column(
        "annotations", [["good"] * 3 if k < 20 else ["good", "good", "bad"] for k in range(40)]
    )
    scores = labels(Rule(of_three, range(20, 40), ("bad", "good", "fair")), asked)
    (plot,) = accuracy_by_agreement(scores, asked).plots
    two_thirds, chance = 2 / 3, (3 * 1 + 18 * 2 / 3 + 6 * 1 / 3) / 27  # 27 ways to give three of three labels
    assert plot.series[0].x[0] == pytest.approx((two_thirds - chance) / (1 - chance))


def test_votes_of_models_are_called_so_and_without_any_nothing_is_said(rows):
    asked = annotated(rows, 20).with_column("unflaw.annotators", [["smollm2"]] * 40)
    scores = labels(Rule(rows, range(10)), asked)
    assert "a panel of language models (smollm2)" in accuracy_by_agreement(scores, asked).title
    assert accuracy_by_agreement(scores, rows) is None
    assert accuracy_by_agreement(scores, annotated(rows, 40)) is None  # all agree
    many = Rows.from_records([{"text": f"{k}", "label": "ab"[k % 2], "annotations": [f"{k}", "x"]} for k in range(150)],
                             {"text": "text", "label": "label"})  # fmt: skip
    assert accuracy_by_agreement(labels(Rule(many, range(9), "ab"), many), many) is None  # no votes, but spans


def test_an_interval_is_the_same_however_few_tables_are_held_at_once(monkeypatch):
    module = import_module("unflaw.evaluate._interval")
    rng = np.random.default_rng(0)
    a, b = (rng.integers(16, size=60) for _ in range(2))
    whole = module.confusion_interval(a, 4, b)
    monkeypatch.setattr(module, "_CELLS", 100)  # six tables of sixteen cells
    assert module.confusion_interval(a, 4, b) == whole
