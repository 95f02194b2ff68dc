from dataclasses import replace

import pytest

from unflaw._errors import DataError, SettingsError, TooFewRowsError
from unflaw.audit import Batch, GapCheck, audit

SMALL = GapCheck(max_rows=200, n_permutations=99, picture="pca")


def gap(rows, reference, encoder, check=SMALL):
    return {f.check: f for f in audit(rows, reference, checks=[check], encoder=encoder).findings}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_draws_of_one_grammar_raise_nothing(qa, encoder, seed):
    found = gap(qa(200, seed), qa(200, seed + 100), encoder, replace(SMALL, n_permutations=999))
    assert {f.verdict for f in found.values()} == {"ok"}


def test_a_template_is_told_from_real_rows_and_its_rows_score_high(qa, records, encoder):
    template = [{**r, "answer": f"The answer to this question is {r['answer']} indeed."} for r in records(150, 1)]
    finding = gap(qa(template), qa(200, 2), encoder)["gap.c2st_auc"]
    assert finding.verdict == "fail"
    assert finding.low > finding.control_high
    assert sum(score > 0.5 for score in finding.row_scores.values()) > 0.9 * 150
    worst = max(finding.row_scores, key=finding.row_scores.get)
    assert "told from real rows" in finding.row_reasons[worst]


def test_dropped_topics_lower_recall_and_not_precision(qa, encoder):
    found = gap(qa(200, 1, topics=[0, 1]), qa(400, 2), encoder, replace(SMALL, n_permutations=999))
    assert found["gap.recall"].verdict != "ok"
    assert found["gap.coverage"].verdict != "ok"
    assert found["gap.precision"].verdict == "ok"
    assert found["gap.mmd2"].verdict == "warn"


def test_rows_about_nothing_real_lower_precision(qa, records, encoder):
    strange = [{"question": f"zq{i} xw{i % 7} vv", "answer": f"ww{i % 5} qq"} for i in range(300)]
    assert gap(qa(strange), qa(300, 2), encoder)["gap.precision"].verdict != "ok"


def test_length_alone_is_named_as_the_explanation(qa, records, encoder):
    long = [{**r, "answer": " ".join([r["answer"]] * 6)} for r in records(200, 1)]
    finding = gap(qa(long), qa(200, 2), encoder)["gap.c2st_auc"]
    assert finding.evidence["length_auc"] > 0.9
    assert finding.verdict == "ok" or "Length alone" in finding.meaning


def test_copies_cannot_be_remembered(qa, records, encoder):
    """200 rows, each twice, under random labels: copies that straddled folds would be told apart."""
    once = records(100, 1)
    finding = gap(qa(once * 2), qa(records(100, 2) * 2), encoder)["gap.c2st_auc"]
    assert finding.verdict == "ok"
    assert finding.value < 0.65


def test_every_row_is_scored_also_those_outside_the_sample(qa, encoder):
    rows = qa(300, 1)
    finding = gap(rows, qa(100, 2), encoder, GapCheck(max_rows=50, picture="pca", n_permutations=9))["gap.c2st_auc"]
    assert finding.n_rows == 50
    assert set(finding.row_scores) == set(rows.ids)


def test_few_rows_are_refused_unless_asked_for(qa, encoder):
    with pytest.raises(TooFewRowsError, match="at least 50 rows on either side, got 40 synthetic and 300 real"):
        gap(qa(40), qa(300, 1), encoder)
    few = GapCheck(allow_few=True, picture="pca", n_permutations=9)
    assert "gap.c2st_auc" in gap(qa(40), qa(300, 1), encoder, few)
    with pytest.raises(TooFewRowsError, match="6 synthetic rows"):
        gap(qa(4), qa(300, 1), encoder, few)


def test_settings_name_all_mistakes():
    with pytest.raises(SettingsError, match="3 problems"):
        GapCheck(max_rows=3, n_folds=1, picture="umap")


def test_nan_vectors_are_refused(qa, encoder):
    rows = qa(3)
    vectors = encoder.encode(rows.texts())
    vectors[1, 0] = float("nan")
    with pytest.raises(DataError, match="finite"):
        SMALL.summarise(Batch(rows, rows.texts(), vectors))


def test_pictures_are_small_and_carry_words(qa, encoder):
    check = GapCheck(picture="tsne", n_permutations=9)
    plots = gap(qa(60, 1), qa(60, 2), encoder, check)["gap.c2st_auc"].plots
    assert [plot.title for plot in plots] == ["Overlap: principal components", "Overlap: t-SNE"]
    for plot in plots:
        assert [s.name for s in plot.series] == ["real", "synthetic"]
        assert all(len(s.x) == len(s.y) == 60 for s in plot.series)
        assert "60 real and 60 synthetic" in plot.alt
