import math
from importlib import import_module

import pytest

from labelled import labelled_rows, pair_rows
from unflaw._errors import DataError, SettingsError
from unflaw.data import Rows
from unflaw.train import ARMS, DIVERSITY, QUALITY, digest_of_weights, train_arms
from unflaw.train._arms import _bare, _rows_of


@pytest.fixture
def weighed():
    """Half of the labels are wrong; the quality knows which, and the weight is twice as sure."""
    rows = labelled_rows(40, noise=0.5)
    quality = [0.1 if wrong else 0.9 for wrong in rows.column("wrong")]
    return rows.with_columns_of(
        rows.ids, {QUALITY: quality, DIVERSITY: [0.5] * len(rows), "weight": [2 * q for q in quality]}
    )


def test_each_arm_takes_its_rows(weighed):
    real = labelled_rows(20, seed=1)
    told = {arm: _rows_of(arm, weighed, real, 0.5) for arm in ARMS if arm != "after"}
    right = [i for i, wrong in zip(weighed.ids, weighed.column("wrong"), strict=True) if not wrong]
    assert told["filter"][0].ids == right
    assert told["quality"][0].weights() == weighed.column(QUALITY) and told["imp"][0].weights() == weighed.weights()
    assert told["plain"][0].weights() is None and told["dimp"][0].weights() is None
    assert told["real"][0].ids == real.ids and len(told["mix"][0]) == 60
    assert told["dimp"][1] == {"objective": "dimp"} and told["hu"][1]["meta"].ids == real.ids
    labels, weights = weighed.column("label"), told["balanced"][0].weights()
    by = [sum(w for w, v in zip(weights, labels, strict=True) if v == label) for label in ("bad", "good")]
    assert by == pytest.approx([1.0, 1.0])
    assert told["focal"][1] == {"objective": "focal"} and told["plain"][1] == {}


def test_rows_that_come_twice_stay_twice(weighed):
    assert len(_bare(weighed, weighed)) == 80


def test_all_arms_take_as_many_steps_and_are_chosen_by_the_same_rows(tiny_encoder, tmp_path, weighed):
    told = []
    done = train_arms(
        f"hf:{tiny_encoder}", weighed, labelled_rows(20, seed=1), labelled_rows(16, seed=2), tmp_path, epochs=3,
        batch_size=16, learning_rate=3e-3, on_arm=lambda *now: told.append(now),
    )  # fmt: skip
    assert list(done) == list(ARMS) and told[0] == ("plain", 0, 12)
    assert {made.steps for made in done.values()} == {3 * math.ceil(40 / 16)}
    assert [step["step"] for step in done["after"].curve] == list(range(1, 10))
    assert all(made.epochs and (tmp_path / arm / "model.safetensors").exists() for arm, made in done.items())
    assert all(made.labels == ("bad", "good") for made in done.values())
    judged = {arm: len(made.epochs) for arm, made in done.items()}  # however many rows an arm has
    assert judged.pop("after") == 2 and set(judged.values()) == {3}


def test_what_is_missing_is_told_at_once(tmp_path):
    rows, real = labelled_rows(20), labelled_rows(20, seed=1)
    with pytest.raises(SettingsError) as refused:
        train_arms("minilm", rows, real, labelled_rows(10, seed=2), tmp_path, arms=["dimp", "imp", "plane"])
    assert len(refused.value.problems) == 3 and "Did you mean 'plain'" in refused.value.problems[0]
    gaps = rows.with_column(QUALITY, [None] * 20)
    with pytest.raises(SettingsError, match=r"must be a probability in every row, got None \(for the arms filter"):
        train_arms("minilm", gaps, real, labelled_rows(10, seed=2), tmp_path, arms=["filter", "quality"])


def test_pairs_beside_texts_are_told_before_an_arm_is_trained(tmp_path, weighed):
    with pytest.raises(SettingsError, match="`real` must hold text in its rows, as `synthetic` does"):
        train_arms("minilm", weighed, pair_rows(20), labelled_rows(10, seed=2), tmp_path, arms=["plain"])


def test_the_checkers_rows_do_not_choose_the_epoch(tmp_path, weighed):
    real = labelled_rows(20, seed=1)
    with pytest.raises(DataError, match="`real` and `validation` share"):
        train_arms("minilm", weighed, real, real.take([1, 2]), tmp_path)


def test_a_threshold_above_all_is_refused(tmp_path, weighed):
    with pytest.raises(SettingsError, match="must leave rows of two labels, got 0 rows"):
        train_arms("minilm", weighed, labelled_rows(20, seed=1), labelled_rows(8, seed=2), tmp_path, arms=["filter"],
                   threshold=0.95)  # fmt: skip


def test_rows_of_two_files_may_have_the_same_ids():
    one, other = ({"unflaw.id": f"{k}", "text": f"{name} {k}", "label": k % 2} for name in "ab" for k in range(1))
    sets = [Rows.from_records([r], {"text": "text", "label": "label"}) for r in (one, other)]
    assert len(_bare(*sets)) == 2


@pytest.mark.parametrize(
    ("threshold", "arms", "told"),
    [(1.5, ["filter"], "must be a probability below 1"), (0.5, ["plain"], "changes nothing without the arm filter")],
)
def test_a_threshold_that_says_nothing_is_refused(tmp_path, weighed, threshold, arms, told):
    with pytest.raises(SettingsError, match=told):
        train_arms("minilm", weighed, labelled_rows(20, seed=1), labelled_rows(8, seed=2), tmp_path, arms=arms,
                   threshold=threshold)  # fmt: skip


def test_labels_that_are_spelt_otherwise_are_no_more_classes(tmp_path, weighed):
    spelt = weighed.with_column("label", [v.title() for v in weighed.column("label")], "label")
    with pytest.raises(SettingsError, match=r"every label of `synthetic`, got no row of \['Bad', 'Good"):
        train_arms("minilm", spelt, labelled_rows(20, seed=1), labelled_rows(8, seed=2), tmp_path, arms=["plain"])


def test_weights_of_quality_alone_are_not_those_of_imp(tmp_path, weighed):
    bare = weighed.without_column(DIVERSITY)
    with pytest.raises(
        SettingsError, match="column `unflaw.diversity` for the arm imp; `unflaw curate weigh --method imp`"
    ):
        train_arms("minilm", bare, labelled_rows(20, seed=1), labelled_rows(8, seed=2), tmp_path, arms=["imp"])


def test_a_model_that_another_call_replaced_is_trained_again(tiny_encoder, tmp_path, weighed, monkeypatch):
    given = (f"hf:{tiny_encoder}", weighed, labelled_rows(20, seed=1), labelled_rows(16, seed=2), tmp_path)
    how = {"arms": ["plain"], "steps": 2, "batch_size": 16}
    train_arms(*given, **how)
    module = import_module("unflaw.train._arms")
    real, trained = module.train_classifier, []

    def killed(*given, **how):
        real(*given, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_classifier", killed)
    with pytest.raises(KeyboardInterrupt):
        train_arms(*given, **{**how, "learning_rate": 1e-5})
    monkeypatch.setattr(module, "train_classifier", lambda *a, **k: trained.append(a) or real(*a, **k))
    train_arms(*given, **how, resume=True)
    assert len(trained) == 1
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert train_arms(*given[:-1], moved, **how, resume=True)["plain"].path == moved / "plain" and len(trained) == 1
    (moved / "plain" / "model.safetensors").unlink()
    train_arms(*given[:-1], moved, **how, resume=True)
    assert len(trained) == 2


def test_arms_that_were_trained_are_not_trained_again(tiny_encoder, tmp_path, weighed, monkeypatch):
    given = (f"hf:{tiny_encoder}", weighed, labelled_rows(20, seed=1), labelled_rows(16, seed=2), tmp_path)
    how = {"arms": ["plain", "imp"], "steps": 2, "batch_size": 16}
    first = train_arms(*given, **how)
    module = import_module("unflaw.train._arms")
    trained = []
    real = module.train_classifier
    monkeypatch.setattr(module, "train_classifier", lambda *a, **k: trained.append(a) or real(*a, **k))
    again = train_arms(*given, **{**how, "arms": ["plain", "imp", "focal"]}, resume=True)
    assert len(trained) == 1 and again["plain"] == first["plain"] and again["imp"].labels == ("bad", "good")
    train_arms(*given, **{**how, "steps": 3}, resume=True)
    assert len(trained) == 3  # another call is another training


def test_no_steps_and_no_batches_are_refused(tmp_path, weighed):
    real, validation = labelled_rows(20, seed=1), labelled_rows(10, seed=2)
    with pytest.raises(SettingsError, match=r"(?s)`batch_size` must be at least 1, got 0.*`steps` must be at least 1"):
        train_arms("minilm", weighed, real, validation, tmp_path, arms=["plain"], batch_size=0, steps=0)


def test_weights_of_either_format_are_told_apart(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    told = []
    for said in ("one", "two"):
        (tmp_path / "pytorch_model.bin").write_text(said)
        told.append(digest_of_weights(f"hf:{tmp_path}"))
    assert len(set(told)) == 2
