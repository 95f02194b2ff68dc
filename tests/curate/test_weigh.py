"""Weights from checkers: known answers with scripted checkers, the same by real ones, and what is refused."""

from importlib import import_module

import numpy as np
import pytest

from labelled import labelled_rows, pair_rows
from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.curate import DIVERSITY, weigh
from unflaw.curate._checkers import open_checker, out_of_fold
from unflaw.data import Rows
from unflaw.models import HashEncoder
from unflaw.train import QUALITY


@pytest.fixture
def scripted(monkeypatch):
    """Checkers that tell labels by the text's words: .9 of the one that learnt real rows, from .3 on of the others."""
    learnt = []

    def open_scripted(spec, labels, **how):
        def checker(rows):
            learnt.append(rows.ids)
            real = rows.column("text")[0].split()[-2] == "1"  # the seed of the real rows

            def ask(of):
                p = np.zeros((len(of), len(labels)))
                for k, text in enumerate(of.column("text")):
                    good = any(w in text for w in ("water", "river", "people"))
                    sure = 0.9 if real else 0.3 + int(of.ids[k], 16) % 7 / 10
                    p[k] = 1 - sure
                    p[k, labels.index("good" if good else "bad")] = sure
                return p

            return ask

        return checker

    module = import_module("unflaw.curate._weigh")
    monkeypatch.setattr(module, "open_checker", open_scripted)
    monkeypatch.setattr(module, "find_checker", lambda spec: None)
    return learnt


def test_weights_are_quality_over_diversity(scripted):
    rows, real = labelled_rows(40, noise=0.25), labelled_rows(30, seed=1)
    found = weigh(rows, real, check=False)
    wrong = np.array(rows.column("wrong"))
    assert found.quality == pytest.approx(np.where(wrong, 0.1, 0.9))
    sure = np.array([0.3 + int(i, 16) % 7 / 10 for i in rows.ids])
    assert found.diversity == pytest.approx(np.where(wrong, 1 - sure, sure).clip(min=1e-6))
    assert found.weight == pytest.approx(found.quality / found.diversity) and np.ptp(found.weight) > 1
    scripted.clear()
    by_quality = weigh(rows, real, method="quality", check=False)
    assert by_quality.weight == pytest.approx(by_quality.quality) and by_quality.diversity is None


def test_nobody_is_asked_about_what_they_learnt(scripted):
    rows, real = labelled_rows(40), labelled_rows(30, seed=1)
    weigh(rows, real, n_folds=4, check=False)
    quality, *folds = scripted
    assert quality == real.ids and len(folds) == 4
    left = [set(rows.ids) - set(of) for of in folds]
    assert sorted(i for of in left for i in of) == sorted(rows.ids)


def test_one_fold_asks_about_all_that_was_learnt_as_the_paper_does(scripted):
    rows = labelled_rows(40)
    weigh(rows, labelled_rows(30, seed=1), n_folds=1, check=False)
    assert scripted[1] == rows.ids


def test_columns_go_to_their_rows_in_any_order(scripted):
    rows, real = labelled_rows(40, noise=0.3), labelled_rows(30, seed=1)
    found = weigh(rows, real, check=False)
    turned = rows.take(list(range(39, -1, -1)))
    weighed = found.on(turned)
    assert weighed.column("weight") == pytest.approx(found.weight[::-1].tolist())
    assert {QUALITY, DIVERSITY, "weight"} < set(weighed.table.column_names)
    live = weigh(weighed, real, method="dimp", check=False)
    assert live.weight is None and "weight" not in live.on(weighed).table.column_names


def test_findings_say_how_good_the_checker_is_and_what_it_doubts(scripted):
    rows, real = labelled_rows(40, noise=0.25), labelled_rows(30, seed=1)
    found = weigh(rows, real, wrong="wrong")
    by = {f.check: f for f in found.findings}
    assert list(by) == ["weights.checker", "weights.quality", "weights.spread", "weights.truth"]
    assert by["weights.checker"].value == 1.0 and by["weights.checker"].verdict == "ok"
    wrong = sum(rows.column("wrong"))
    assert by["weights.quality"].value == pytest.approx(wrong / 40)
    assert by["weights.truth"].evidence["auc"]["quality"] == 1.0
    worst = max(by["weights.quality"].row_scores, key=by["weights.quality"].row_scores.get)
    assert by["weights.quality"].row_scores[worst] == pytest.approx(0.9)


def test_a_checker_that_knows_nothing_fails(scripted):
    rows = labelled_rows(40)
    real = labelled_rows(30, seed=1).with_column("text", [f"the of {k}" for k in range(30)], "text")
    found = weigh(rows, real)
    assert {f.check: f.verdict for f in found.findings}["weights.checker"] == "fail"


def test_a_label_less_likely_than_chance_is_in_doubt(scripted):
    """Of four labels: .3 is above chance, .1 is below it, and only such rows are listed."""
    told = import_module("unflaw.curate._weights_told")
    rows, a = labelled_rows(4), np.array([0.9, 0.3, 0.26, 0.1])
    finding = told._quality(rows, list("abcd"), np.arange(4), a, None, {"n_real": 9})
    assert finding.value == 0.25 and list(finding.row_scores) == [rows.ids[3]] and "which is 25%" in finding.meaning


def test_few_rows_that_carry_the_weight_are_warned_of(scripted):
    rows, real = labelled_rows(40, noise=0.25), labelled_rows(30, seed=1)
    found = weigh(rows, real, check=False)
    spread = next(f for f in found.findings if f.check == "weights.spread")
    w = found.weight
    assert spread.value == pytest.approx(w.sum() ** 2 / (w**2).sum() / 40) and spread.verdict == "ok"
    told = import_module("unflaw.curate._weights_told")
    few = told._spread(["a", "b"], np.arange(40) % 2, np.array([1.0] * 2 + [1e-3] * 38), {})
    assert few.value < 0.1 and few.verdict == "warn"


@pytest.mark.parametrize("checker", ["probe:potion", "probe:minilm"])
def test_a_probe_finds_wrong_labels(checker):
    rows, real = labelled_rows(60, noise=0.3), labelled_rows(60, seed=1)
    found = weigh(rows, real, checker=checker, wrong="wrong")
    by = {f.check: f for f in found.findings}
    assert by["weights.truth"].evidence["auc"]["quality"] > 0.9
    assert by["weights.checker"].verdict == "ok"


class Counts:
    """Anybody's encoder: how often each of two words stands in a text."""

    def encode(self, texts):
        return [[float(text.split().count(word)) for word in ("water", "king")] for text in texts]


def test_anybodys_encoder_is_probed(tmp_path):
    texts = {"good": "water water and a king", "bad": "king king and water"}
    rows, real = (
        Rows.from_records(
            [{"text": f"{of} {texts[('good', 'bad')[k % 2]]} {k}", "label": ("good", "bad")[(k + (k < turned)) % 2]}
             for k in range(24)], {"text": "text", "label": "label"},
        )
        for of, turned in (("one", 4), ("other", 0))
    )  # fmt: skip
    found = weigh(rows, real, checker=Counts())
    assert (found.quality[:4] < 0.2).all() and (found.quality[4:] > 0.8).all()
    assert found.settings["checker"] == "Counts"
    with pytest.raises(SettingsError, match="cannot tell this Counts from another"):
        weigh(rows, real, checker=Counts(), work=tmp_path)


def test_a_fine_tuned_checker_finds_wrong_labels(tiny_encoder):
    rows, real = labelled_rows(60, noise=0.3).with_column("weight", [0.0] * 60), labelled_rows(96, seed=1)
    stages = []
    found = weigh(
        rows, real, checker=f"hf:{tiny_encoder}", wrong="wrong", check=False, epochs=8, batch_size=16,
        learning_rate=3e-3, progress=lambda stage, done, total: stages.append(stage),
    )  # fmt: skip
    truth = next(f for f in found.findings if f.check == "weights.truth")
    assert truth.evidence["auc"]["quality"] > 0.9
    assert list(dict.fromkeys(stages)) == ["quality checker", "diversity checker"]


def test_pairs_are_probed_by_both_sides():
    rows = pair_rows(80)
    ask = open_checker("probe:potion", ["other", "same"])(rows)
    p = ask(rows)
    assert p.shape == (80, 2) and ((p[:, 1] > 0.5) == [v == "same" for v in rows.column("label")]).mean() > 0.8


def test_temperature_is_fitted_on_rows_that_were_not_learnt():
    rows, real = labelled_rows(40), labelled_rows(60, seed=1, noise=0.3)
    plain, calm = (weigh(rows, real, checker="probe:potion", method="quality", calibrate=c) for c in (False, True))
    assert plain.settings["quality_temperature"] == 1.0 and calm.settings["quality_temperature"] != 1.0
    assert (np.argsort(plain.quality) == np.argsort(calm.quality)).all()


def test_folds_need_rows_of_every_label():
    rows = labelled_rows(9, labels=("good", "bad", "year"))
    with pytest.raises(TooFewRowsError, match="at least 5 rows that are no copies, one per fold, got 3"):
        out_of_fold(lambda rows: None, rows, np.arange(9) % 3, 3, n_folds=5, seed=0)


def test_all_mistakes_are_told_at_once():
    rows, real = labelled_rows(10, labels=("good", "bad", "year")), labelled_rows(10, seed=1)
    with pytest.raises(SettingsError) as refused:
        weigh(rows, real, method="imps", n_folds=0, cap=-1.0, checker="probe:potions", wrong="wrongg", check=False,
              calibrate=True)  # fmt: skip
    told = "\n".join(refused.value.problems)
    parts = ("no row of ['year']", "Did you mean 'imp'", "`n_folds`", "`cap`", "`checker`", "'wrong'", "`calibrate`")
    for part in parts:
        assert part in told


def test_what_checkers_said_is_not_asked_again(scripted, tmp_path):
    rows, real = labelled_rows(40, noise=0.25), labelled_rows(30, seed=1)
    first = weigh(rows, real, check=False, work=tmp_path)
    asked = len(scripted)
    again = weigh(rows, real, check=False, work=tmp_path)
    assert len(scripted) == asked and again.weight == pytest.approx(first.weight)
    capped = weigh(rows, real, check=False, work=tmp_path, cap=1.0, temperature=2.0)
    weigh(rows, real, check=False, work=tmp_path, method="dimp")
    assert len(scripted) == asked and capped.weight.max() == 1.0  # what changes no answer asks nobody
    weigh(rows, real, check=False, work=tmp_path, seed=1)
    assert len(scripted) > asked  # another call is another answer


def test_copies_of_a_row_do_not_tell_on_each_other():
    one = labelled_rows(60, seed=3)
    records = [{"text": text, "label": label} for text in one.column("text") for label in ("good", "bad", "good")]
    thrice, asked = Rows.from_records(records, {"text": "text", "label": "label"}), []

    def checker(rows):
        def ask(of):
            asked.append(({*rows.column("text")}, {*of.column("text")}))
            return np.full((len(of), 2), 0.5)

        return ask

    y = np.array([label == "good" for label in thrice.column("label")], dtype=np.int64)
    assert out_of_fold(checker, thrice, y, 2, 5, 0, texts=thrice.column("text")).shape == (180, 2)
    assert len(asked) == 5 and all(not learnt & told for learnt, told in asked)
    assert set().union(*(told for _, told in asked)) == {*thrice.column("text")}


def test_settings_that_would_change_nothing_are_refused():
    rows, real = labelled_rows(20), labelled_rows(20, seed=1)
    with pytest.raises(SettingsError) as refused:
        weigh(rows, real, method="dimp", cap=5.0, n_folds=3, temperature=2.0, checker="probe:potion", epcohs=3)
    told = "\n".join(refused.value.problems)
    for part in (
        "`cap` changes nothing under `method` dimp",
        "`n_folds` changes",
        "`temperature` changes",
        "takes no epcohs",
    ):
        assert part in told
    assert len(refused.value.problems) == 4


def test_labels_with_too_few_rows_for_the_folds_are_told_before_anything_is_asked(scripted):
    rows = labelled_rows(20).with_column("label", ["bad"] + ["good"] * 19, "label")
    real = labelled_rows(30, seed=1)
    real = real.with_column("label", ["bad"] * 3 + ["good"] * 27, "label")
    with pytest.raises(SettingsError) as refused:
        weigh(rows, real)
    assert not scripted and [p[:6] for p in refused.value.problems] == ["`rows`", "`real`"]
    assert "got 1 of 'bad'; add some, or take `n_folds` 1" in refused.value.problems[0]
    assert "got 3 of 'bad'; add some, or leave `check` off" in refused.value.problems[1]
    assert weigh(rows, real, n_folds=1, check=False).weight is not None


def test_pairs_are_not_weighed_by_texts():
    with pytest.raises(SettingsError, match="`real` must hold text in its rows, as `rows` does, got premise and hyp"):
        weigh(labelled_rows(20, labels=("other", "same")), pair_rows(20), checker="probe:potion", check=False)


def test_rows_are_not_weighed_by_themselves(scripted):
    rows = labelled_rows(40)
    with pytest.raises(DataError, match="`rows` and `real` share 40 texts"):
        weigh(rows, rows, check=False)
    assert len(weigh(rows, rows, check=False, allow_shared=True).weight) == 40


def test_marks_may_come_from_a_csv():
    rows = labelled_rows(20, noise=0.25)
    said = rows.with_column("wrong", [str(v).lower() for v in rows.column("wrong")])
    asked = dict(checker="probe:potion", method="quality", check=False, wrong="wrong")
    real = labelled_rows(20, seed=1)
    truth = [[f.value for f in weigh(of, real, **asked).findings if f.check == "weights.truth"] for of in (rows, said)]
    assert truth[0] == truth[1] and truth[0]
    with pytest.raises(SettingsError, match="must be true or false in every row"):
        weigh(rows.with_column("wrong", ["perhaps"] * 20), real, **asked)


def test_another_model_in_the_same_folder_is_asked_anew(scripted, tmp_path, monkeypatch):
    rows, real, weights = labelled_rows(40), labelled_rows(30, seed=1), ["first"]
    monkeypatch.setattr(import_module("unflaw.curate._weigh"), "digest_of_weights", lambda spec: f"{spec} {weights[0]}")
    counts = []
    for weights[0] in ("first", "first", "second"):
        weigh(rows, real, check=False, checker="hf:there", work=tmp_path)
        counts.append(len(scripted))
    assert counts[0] == counts[1] < counts[2]


def test_vectors_that_are_no_numbers_are_told():
    class Broken:
        def encode(self, texts):
            return np.full((len(texts), 3), np.nan)

    with pytest.raises(DataError, match="encoder Broken must give finite numbers"):
        weigh(labelled_rows(20), labelled_rows(20, seed=1), checker=Broken(), check=False)


def test_a_probe_encodes_no_text_twice():
    class Counting(HashEncoder):
        said = []

        def encode(self, texts):
            self.said += texts
            return super().encode(texts)

    rows, real = labelled_rows(40), labelled_rows(30, seed=1)
    weigh(rows, real, checker=Counting())
    assert sorted(Counting.said) == sorted({*rows.column("text"), *real.column("text")})
