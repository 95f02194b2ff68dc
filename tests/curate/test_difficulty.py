"""Levels of rows by a real course of training, by recorded ones, and what is refused."""

import json
from collections import Counter
from importlib import import_module

import numpy as np
import pytest

from labelled import labelled_rows, pair_rows
from unflaw._errors import DataError, SettingsError
from unflaw.curate import LEVEL, difficulty, view_of
from unflaw.curate._difficulty_told import _tells
from unflaw.train import record_epoch

HOW = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3}


def record(folder, rows, kinds, ids=None, ends=((3, 5), (-1.5, 1.5), (-4, -3))):
    """Record four epochs in which rows of kind 0 are sure at once, 1 late, 2 never."""
    rng = np.random.default_rng(0)
    names = sorted(set(rows.column("label")))
    y = np.array([names.index(v) for v in rows.column("label")])
    ends = np.array(ends)[kinds]
    for epoch in range(4):
        z = np.zeros((len(y), len(names)))
        z[np.arange(len(y)), y] = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * epoch / 3 + rng.normal(size=len(y)) * 0.3
        record_epoch(folder, epoch + 1, ids or rows.ids, z, y)


@pytest.fixture
def recorded(tmp_path):
    rows = labelled_rows(120)
    kinds = np.repeat([0, 1, 2], [70, 30, 20])
    record(tmp_path / "dynamics", rows, kinds)
    return rows, kinds, tmp_path / "dynamics"


def test_recorded_dynamics_are_graded(recorded):
    rows, kinds, folder = recorded
    found = difficulty(rows, recorded=[folder])
    expected = [("easy", "ambiguous", "hard")[k] for k in kinds]
    assert np.mean([a == b for a, b in zip(found.level, expected, strict=True)]) > 0.95
    graded = found.on(rows.take(list(range(119, -1, -1))))
    assert graded.column(LEVEL) == found.level[::-1]
    assert graded.column("unflaw.confidence") == pytest.approx(found.views["full"].mu[::-1].tolist())
    assert graded.column("unflaw.forgotten").count(None) > 0  # never learnt, so never forgotten


def test_findings_show_the_map_and_what_to_read(recorded):
    rows, kinds, folder = recorded
    found = difficulty(rows, recorded=[folder])
    by = {f.check: f for f in found.findings}
    assert list(by) == [
        "difficulty.levels", "difficulty.stability", "difficulty.labels", "difficulty.told", "difficulty.artefacts",
        "difficulty.surface",
    ]  # fmt: skip
    counts = Counter(found.level)
    assert by["difficulty.levels"].value == counts["hard"] / 120
    assert [len(s.x) for s in by["difficulty.levels"].plots[0].series] == [
        counts["easy"],
        counts["ambiguous"],
        counts["hard"],
    ]
    assert by["difficulty.stability"].verdict == "ok" and by["difficulty.labels"].verdict == "ok"
    hard = {i for i, level in zip(rows.ids, found.level, strict=True) if level == "hard"}
    assert set(by["difficulty.levels"].row_scores) == hard


def test_a_feature_that_few_rows_have_tells_what_it_tells():
    """Of 200 rows 15 % have it, all of one label: I = H(y) - (1 - .15) H(.5 - .15 / .85)."""
    y = np.arange(200) % 2
    values = np.zeros(200)
    values[np.flatnonzero(y)[:30]] = 1.0
    left = 70 / 170
    entropy = -(left * np.log(left) + (1 - left) * np.log(1 - left))
    assert _tells(values, y) == pytest.approx(1 - 0.85 * entropy / np.log(2), abs=0.005)


def test_hard_rows_that_were_known_from_the_start_are_warned_of(tmp_path):
    """All labels are told after every epoch: what is hard is only less sure."""
    rows = labelled_rows(120)
    record(tmp_path, rows, np.repeat([0, 1, 2], [60, 30, 30]), ends=((5, 7), (2.5, 4), (1.2, 2)))
    (levels,) = [f for f in difficulty(rows, recorded=tmp_path).findings if f.check == "difficulty.levels"]
    assert levels.verdict == "warn" and "knew them by heart" in levels.meaning


def test_levels_that_only_repeat_the_labels_are_warned_of(tmp_path):
    rows = labelled_rows(120, labels=("good", "bad", "year"))
    record(tmp_path, rows, np.arange(120) % 3)
    found = difficulty(rows, recorded=[tmp_path])
    finding = next(f for f in found.findings if f.check == "difficulty.labels")
    assert finding.verdict == "warn" and finding.value > 0.9


def test_a_level_that_is_one_label_is_warned_of(tmp_path):
    rows, k = labelled_rows(120, labels=("good", "bad", "year")), np.arange(120)
    record(tmp_path, rows, np.where(k % 6 == 0, 0, 1 + k // 3 % 2))  # half of one label is easy, and nothing else
    found = difficulty(rows, recorded=[tmp_path])
    finding = next(f for f in found.findings if f.check == "difficulty.labels")
    assert finding.value < 0.5 and finding.verdict == "warn" and "(easy: 95% or more have one label)" in finding.meaning


def test_a_model_that_has_learnt_nothing_is_warned_of(tmp_path):
    """Always the same logits: half of the labels are told, as by always naming one."""
    rows, z = labelled_rows(120), np.tile([0.1, 0.0], (120, 1))
    y = np.array([("bad", "good").index(v) for v in rows.column("label")])
    for epoch in range(3):
        record_epoch(tmp_path, epoch + 1, rows.ids, z + epoch, y)
    by = {f.check: f for f in difficulty(rows, recorded=tmp_path).findings}
    assert by["difficulty.told"].verdict == "warn" and "its levels may be noise" in by["difficulty.told"].meaning
    assert "difficulty.artefacts" not in by  # easy rows have one label, of which nothing can be told


def test_levels_without_rows_are_warned_of(tmp_path):
    rows = labelled_rows(120)
    y = np.array([("bad", "good").index(v) for v in rows.column("label")])
    for epoch in range(3):
        record_epoch(tmp_path, epoch + 1, rows.ids, 40.0 * np.eye(2)[y], y)
    (finding,) = [f for f in difficulty(rows, recorded=tmp_path).findings if f.check == "difficulty.levels"]
    assert finding.verdict == "warn" and "Grade with fewer epochs" in finding.meaning
    (told,) = [f for f in difficulty(rows, recorded=tmp_path).findings if f.check == "difficulty.told"]
    assert "0%" not in told.meaning.replace("100%", "")  # nothing is told of a level without rows


def test_surface_features_set_easy_rows_apart_whatever_their_labels(tmp_path):
    """Easy rows are twice as long, and their labels as they come."""
    rows = labelled_rows(120)
    texts = [f"{t} {t}" if k < 70 else t for k, t in enumerate(rows.column("text"))]
    record(tmp_path, rows, np.repeat([0, 1, 2], [70, 30, 20]))
    longer = rows.with_column("text", texts, "text")
    by = {f.check: f for f in difficulty(longer, recorded=tmp_path, views="full").findings}
    assert by["difficulty.surface"].value == by["difficulty.surface"].evidence["easy_over_hard"]["length"] > 0.95
    assert "more of the feature length" in by["difficulty.surface"].meaning


def test_rows_may_be_named_by_their_places(recorded, tmp_path):
    rows, kinds, folder = recorded
    record(tmp_path / "places", rows, kinds, ids=[str(k) for k in range(120)])
    assert difficulty(rows, recorded=[tmp_path / "places"]).level == difficulty(rows, recorded=[folder]).level


def test_dynamics_of_other_rows_or_labels_are_refused(recorded):
    rows, _, folder = recorded
    with pytest.raises(DataError, match="must be of these 50 rows"):
        difficulty(rows.take(list(range(50))), recorded=[folder])
    labels = rows.column("label")
    with pytest.raises(DataError, match="several `gold`"):
        difficulty(rows.with_column("label", [labels[1], *labels[1:]], "label"), recorded=[folder])


def test_rows_are_chosen_by_level(recorded):
    rows, _, folder = recorded
    found = difficulty(rows, recorded=[folder])
    chosen = found.only("ambiguous", "hard")
    assert set(chosen.kept) == {i for i, v in zip(rows.ids, found.level, strict=True) if v != "easy"}
    assert set(chosen.reasons.values()) == {"easy to learn"}
    with pytest.raises(SettingsError, match="got 'heavy'"):
        found.only("heavy")


def test_wrong_labels_end_up_hard_and_both_views_are_learnt(tiny_encoder, tmp_path):
    rows, stages = pair_rows(160, artefact=0.6), []
    found = difficulty(
        rows, model=f"hf:{tiny_encoder}", out=tmp_path, progress=lambda stage, *_: stages.append(stage), **HOW
    )
    assert list(found.views) == ["full", "hypothesis"]
    assert list(dict.fromkeys(stages)) == ["learning the view full", "learning the view hypothesis"]
    told = next(f for f in found.findings if f.check == "difficulty.told").evidence["told"]
    assert told["hypothesis"]["easy"] > 0.6
    kept = tmp_path / "hypothesis" / "dynamics_epoch_7.jsonl"
    assert json.loads(kept.read_text().splitlines()[0])["guid"] == rows.ids[0]
    again = difficulty(rows, recorded=[tmp_path / "full", tmp_path / "hypothesis"])
    assert again.level == found.level


def test_noise_is_found_among_the_hard(tiny_encoder):
    rows = labelled_rows(160, noise=0.12)
    found = difficulty(rows, model=f"hf:{tiny_encoder}", **HOW)
    wrong = np.array(rows.column("wrong"))
    rate = {level: wrong[[v == level for v in found.level]].mean() for level in ("easy", "hard")}
    assert rate["hard"] > 0.5 > 0.1 > rate["easy"]


def test_views_by_hand():
    rows = pair_rows(2)
    assert view_of(rows, "hypothesis").column("text") == rows.column("hypothesis")
    assert view_of(rows, "first:2").column("text")[0] == " ".join(rows.column("premise")[0].split()[:2])
    assert view_of(rows, "last:1").column("text")[0] == rows.column("hypothesis")[0].split()[-1]
    both = f"{rows.column('premise')[0]} {rows.column('hypothesis')[0]}"
    mixed = view_of(rows, "shuffled")
    assert sorted(mixed.column("text")[0].split()) == sorted(both.split()) and mixed.ids == rows.ids
    assert view_of(rows, "full") is rows


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"views": ["hypotesis"]}, "Did you mean 'hypothesis'"),
        ({"views": ["first:x"]}, "number of words"),
        ({"views": ["full", "full"]}, "each view once"),
        ({"epochs": 1}, "`epochs` must be at least 2"),
        ({"recorded": ["a"]}, "one folder for each of the views"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(how, told):
    with pytest.raises(SettingsError, match=told):
        difficulty(pair_rows(40), **how)


def test_what_was_recorded_by_the_same_call_is_not_learnt_again(tiny_encoder, tmp_path, monkeypatch):
    rows, how = labelled_rows(40), {"model": f"hf:{tiny_encoder}", "epochs": 2, "batch_size": 16}
    first = difficulty(rows, out=tmp_path, **how)
    module = import_module("unflaw.curate._difficulty")
    real, trained = module.train_classifier, []
    monkeypatch.setattr(module, "train_classifier", lambda *a, **k: trained.append(a) or real(*a, **k))
    assert difficulty(rows, out=tmp_path, **how).level == first.level and not trained
    difficulty(rows, out=tmp_path, **{**how, "epochs": 3})
    assert len(trained) == 1 and len(list((tmp_path / "full").glob("*.jsonl"))) == 3
