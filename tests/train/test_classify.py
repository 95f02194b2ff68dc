"""Training a classifier: it learns, its weights count, its best epoch is kept, a killed run goes on."""

import json
import math

import numpy as np
import pytest
import torch

from labelled import labelled_rows, pair_rows
from unflaw._errors import DataError, SettingsError
from unflaw.data import ID, Rows
from unflaw.models import open_classifier, open_trainable_classifier
from unflaw.train import QUALITY, normal_texts, read_dynamics, train_classifier
from unflaw.train._classify import _apart, _Kept, _Rule
from unflaw.train._labelled import LabelledBatch, LabelledSet

HOW = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3}


def accuracy(path, rows):
    model = open_classifier(f"hf:{path}")
    told = [model.labels[k] for k in model.predict_proba([str(t) for t in rows.column("text")]).argmax(axis=1)]
    return np.mean([a == b for a, b in zip(told, rows.column("label"), strict=True)])


def test_a_classifier_learns_and_loads_by_its_labels(tiny_encoder, tmp_path):
    done = train_classifier(f"hf:{tiny_encoder}", labelled_rows(96), tmp_path, **HOW)
    assert done.labels == ("bad", "good") and done.steps == 48 and len(done.curve) == 48
    assert done.curve[-1]["loss"] < done.curve[0]["loss"] / 2
    assert accuracy(tmp_path, labelled_rows(60, seed=1)) > 0.9


def test_pairs_are_read_as_pairs(tiny_encoder, tmp_path):
    train_classifier(f"hf:{tiny_encoder}", pair_rows(40), tmp_path, steps=1)
    model = open_classifier(f"hf:{tmp_path}")
    one, other = model.logits([("water", "city")]), model.logits(["water city"])
    assert model.labels == ("other", "same") and not np.allclose(one, other, atol=1e-6)


def test_equal_calls_give_equal_models_and_another_seed_another(tiny_encoder, tmp_path):
    rows, texts = labelled_rows(32), ["water of the"]
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_classifier(f"hf:{tiny_encoder}", rows, tmp_path / name, steps=3, seed=seed)
        made.append(open_classifier(f"hf:{tmp_path / name}").logits(texts))
    assert np.array_equal(made[0], made[1]) and not np.allclose(made[0], made[2])


def test_rows_of_no_weight_are_as_if_they_were_not_there(tiny_encoder, tmp_path):
    """Half of the labels are turned round and weigh nothing: what is learnt is the other half."""
    rows = labelled_rows(96)
    turned = labelled_rows(96, seed=1, noise=1.0)
    both = rows.table.append_column("weight", [[1.0] * 96]), turned.table.append_column("weight", [[0.0] * 96])
    import pyarrow as pa

    from unflaw.data import Rows

    mixed = Rows(pa.concat_tables(both), rows.roles)
    train_classifier(f"hf:{tiny_encoder}", mixed, tmp_path, **HOW)
    assert accuracy(tmp_path, labelled_rows(60, seed=2)) > 0.9


def test_only_the_proportions_of_weights_matter(tiny_encoder, tmp_path):
    rows = labelled_rows(32)
    made = []
    for name, factor in (("a", 1.0), ("b", 50.0)):
        weighed = rows.with_column("weight", [factor * (1 + k % 3) for k in range(32)])
        made.append(train_classifier(f"hf:{tiny_encoder}", weighed, tmp_path / name, steps=4).curve)
    assert [s["loss"] for s in made[0]] == pytest.approx([s["loss"] for s in made[1]], rel=1e-5)


def test_the_best_epoch_is_kept_and_told(tiny_encoder, tmp_path):
    checked = labelled_rows(40, seed=3)
    done = train_classifier(f"hf:{tiny_encoder}", labelled_rows(64), tmp_path, validation=checked, **HOW)
    assert [e["epoch"] for e in done.epochs] == list(range(1, 9))
    best = done.epochs[done.best_epoch - 1]
    assert best["accuracy"] == max(e["accuracy"] for e in done.epochs)
    assert accuracy(tmp_path, checked) == pytest.approx(best["accuracy"])


def batch(quality, y, weight=None):
    n = len(y)
    return LabelledBatch(
        list(range(n)), {}, torch.tensor(y), torch.ones(n) if weight is None else torch.tensor(weight),
        None if quality is None else torch.tensor(quality), float(n),
    )  # fmt: skip


class Says(torch.nn.Module):
    """A classifier that says the same of everything, by logits that can be learnt."""

    def __init__(self, z):
        super().__init__()
        self.z = torch.nn.Parameter(torch.tensor(z))

    def forward(self):
        return type("Output", (), {"logits": self.z})()


def rule(objective, **how):
    given = {"gamma": 1.0, "temperature": 1.0, "cap": None, "n_rows": 2, "meta_step": 0.1, "meta_rate": 0.1, **how}
    return _Rule(objective, *given.values())


def test_dimp_weighs_by_quality_over_its_own_probability_and_does_not_learn_through_it():
    # b = .1 for the label, a = .9: w = 9 held fixed, so d loss / d log b = -9 and not -29.7 (digest, 2.3)
    model = Says([[math.log(0.1), math.log(0.9)]])
    terms = rule("dimp").terms(model, [batch([0.9], [0])])
    assert terms["weight"].item() == pytest.approx(9.0, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(-9 * math.log(0.1), rel=1e-5)
    terms["loss"].backward()
    # d(-log b)/dz = p - e_y = (-.9, .9), times 9
    assert model.z.grad[0].tolist() == pytest.approx([-8.1, 8.1], rel=1e-4)


def test_dimp_is_cross_entropy_where_quality_is_what_the_model_thinks():
    z = [[0.3, -0.2], [1.0, 0.4]]
    own = torch.tensor(z).softmax(-1)[[0, 1], [0, 1]].tolist()
    live = rule("dimp").terms(Says(z), [batch(own, [0, 1])])["loss"]
    plain = rule("cross_entropy").terms(Says(z), [batch(None, [0, 1])])["loss"]
    assert live.item() == pytest.approx(plain.item(), rel=1e-5)


def test_a_cap_bounds_live_weights():
    terms = rule("dimp", cap=2.0).terms(Says([[math.log(0.1), math.log(0.9)]]), [batch([0.9], [0])])
    assert terms["weight"].item() == 2.0


def test_the_loss_of_a_step_is_the_mean_over_its_rows_of_weight_times_cross_entropy():
    model = Says([[math.log(3), 0.0], [0.0, 0.0]])
    got = rule("cross_entropy").terms(model, [batch(None, [0, 1], [2.0, 0.5])])["loss"]
    assert got.item() == pytest.approx((2 * math.log(4 / 3) + 0.5 * math.log(2)) / 2)


@pytest.mark.parametrize("objective", ["cross_entropy", "hu", "sungen"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tiny_encoder, tmp_path, objective):
    rows, checked = labelled_rows(48), labelled_rows(20, seed=5)
    how = {"epochs": 3, "batch_size": 16, "save_every": 2, "validation": checked, "objective": objective}
    how["meta"] = labelled_rows(16, seed=7) if objective == "hu" else None
    whole = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path / "whole", **how)

    class Killed(RuntimeError):
        pass

    def kill(step):
        if step["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train_classifier(f"hf:{tiny_encoder}", rows, tmp_path / "cut", on_step=kill, **how)
    rest = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path / "cut", resume=True, **how)
    assert [s["loss"] for s in rest.curve] == pytest.approx([s["loss"] for s in whole.curve], rel=1e-5)
    assert rest.best_epoch == whole.best_epoch and len(rest.epochs) == 3
    assert rest.weights == pytest.approx(whole.weights, abs=1e-5)
    texts = ["water of the", "city"]
    logits = [open_classifier(f"hf:{tmp_path / name}").logits(texts) for name in ("whole", "cut")]
    assert logits[0] == pytest.approx(logits[1], abs=1e-5)


def test_a_run_of_other_labels_is_not_gone_on_from(tiny_encoder, tmp_path):
    rows = labelled_rows(32)
    how = {"steps": 2, "batch_size": 16, "save_every": 1}
    train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, **how)
    turned = rows.with_column("label", ["good"] * 16 + ["bad"] * 16, "label")
    with pytest.raises(SettingsError, match="another run"):
        train_classifier(f"hf:{tiny_encoder}", turned, tmp_path, resume=True, **how)


def test_a_classifier_of_the_same_labels_goes_on_with_its_head(tiny_encoder, tmp_path):
    rows = labelled_rows(96)
    train_classifier(f"hf:{tiny_encoder}", rows, tmp_path / "first", **HOW)
    again = train_classifier(f"hf:{tmp_path / 'first'}", labelled_rows(16, seed=4), tmp_path / "second", steps=1)
    assert again.curve[0]["loss"] < 0.3 and "went on from its head" in again.notes[0]
    other = labelled_rows(16, seed=4, labels=("good", "bad", "year"))
    anew = train_classifier(f"hf:{tmp_path / 'first'}", other, tmp_path / "third", steps=1)
    assert anew.curve[0]["loss"] > 0.5 and anew.labels == ("bad", "good", "year")


def test_dynamics_are_recorded_after_each_epoch(tiny_encoder, tmp_path):
    rows = labelled_rows(40)
    done = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, dynamics="rows", epochs=3, batch_size=16)
    found = read_dynamics(tmp_path)
    assert found.ids == rows.ids and found.logits.shape == (3, 40, 2)
    assert [done.labels[k] for k in found.y] == rows.column("label")
    model = open_classifier(f"hf:{tmp_path}")
    assert found.logits[-1] == pytest.approx(model.logits(rows.column("text")), abs=1e-4)


@pytest.mark.parametrize("objective", ["focal", "hu", "sungen"])
def test_every_objective_learns(tiny_encoder, tmp_path, objective):
    meta = labelled_rows(32, seed=7) if objective == "hu" else None
    done = train_classifier(f"hf:{tiny_encoder}", labelled_rows(96), tmp_path, objective=objective, meta=meta, **HOW)
    assert accuracy(tmp_path, labelled_rows(60, seed=1)) > 0.8
    assert bool(done.weights) == (objective != "focal")


@pytest.mark.parametrize("objective", ["hu", "sungen"])
def test_wrong_rows_end_lighter_where_weights_are_learnt(tiny_encoder, tmp_path, objective):
    rows = labelled_rows(128, noise=0.25)
    meta = labelled_rows(64, seed=7)
    done = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, objective=objective, meta=meta, meta_rate=0.5, **HOW)
    wrong = {i: bad for i, bad in zip(rows.ids, rows.column("wrong"), strict=True)}
    light, right = (np.mean([w for i, w in done.weights.items() if wrong[i] is of]) for of in (True, False))
    assert light < 0.95 * right


def test_all_mistakes_are_told_at_once(tiny_encoder, tmp_path):
    rows = labelled_rows(20, weight=[-1.0] + [1.0] * 19)
    with pytest.raises(SettingsError) as refused:
        train_classifier(
            f"hf:{tiny_encoder}", rows, tmp_path, objective="dimpp", cap=0.0, epochs=0, gamma=-1.0,
            validation=labelled_rows(4, labels=("good", "bat")),
        )  # fmt: skip
    told = "\n".join(refused.value.problems)
    for part in (
        "Did you mean 'dimp'",
        "`cap` must be",
        "`epochs` must be",
        "`gamma` must",
        "`weight` of `rows`",
        "'bat'",
    ):
        assert part in told
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows.with_column("label", ["good"] * 20, "label"), "only 'good'"),
        (lambda rows: rows.with_column("text", [" "] + ["a b"] * 19, "text"), "got 1 without"),
        (lambda rows: rows.with_column(QUALITY, [2.0] * 20), "must be a probability"),
        (lambda rows: rows, "the rows have none"),
    ],
)
def test_rows_that_will_not_do_are_refused(tiny_encoder, tmp_path, spoil, told):
    with pytest.raises(SettingsError, match=told):
        train_classifier(f"hf:{tiny_encoder}", spoil(labelled_rows(20)), tmp_path, objective="dimp")


def test_a_text_that_is_learnt_from_cannot_choose_the_epoch(tiny_encoder, tmp_path):
    rows = labelled_rows(20)
    same = rows.take([3, 4]).with_column("text", [t.upper() for t in rows.column("text")[3:5]], "text")
    with pytest.raises(DataError, match="share 2 texts"):
        train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, validation=same)


def test_rows_of_one_label_and_none_cannot_choose_the_epoch(tiny_encoder, tmp_path):
    other = labelled_rows(20, seed=1)
    bad = other.take([k for k, v in enumerate(other.column("label")) if v == "bad"])
    for some, got in ((bad, "only 'bad'"), (other.take([]), "no row")):
        with pytest.raises(SettingsError, match=f"`validation` must hold two labels at least, got {got}"):
            train_classifier(f"hf:{tiny_encoder}", labelled_rows(20), tmp_path, validation=some)


def test_sungen_holds_out_texts_that_are_not_learnt(tiny_encoder, tmp_path, monkeypatch):
    """Of ten texts, five times each, one is held out, all its rows."""
    ten = labelled_rows(10)
    pairs = list(zip(ten.column("text"), ten.column("label"), strict=True)) * 5
    records = [{ID: f"{k}", "text": text, "label": label} for k, (text, label) in enumerate(pairs)]
    rows = Rows.from_records(records, {"text": "text", "label": "label"})
    learnt = LabelledSet.of(rows, ["bad", "good"], *_opened(tiny_encoder), 32)
    kept, held = _apart(learnt, normal_texts(rows), 0)
    assert (len(kept), len(held)) == (45, 5)
    assert not {tuple(f["input_ids"]) for f in kept.features} & {tuple(f["input_ids"]) for f in held.features}


def _opened(folder):
    net, tokenizer, _ = open_trainable_classifier(f"hf:{folder}", ["bad", "good"], "cpu")
    return net, tokenizer


def test_what_nobody_reads_is_not_checked_and_what_is_recorded_is(tiny_encoder, tmp_path):
    judged = labelled_rows(20, seed=1).with_column("weight", ["10 kg"] * 20)
    how = {"steps": 2, "batch_size": 16, "validation": judged}
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(20), tmp_path, dynamics="rows", **how)
    assert list((tmp_path / "training_dynamics").glob("*.jsonl"))
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(20), tmp_path, **how)  # forgets what is not its own
    assert not list((tmp_path / "training_dynamics").glob("*.jsonl"))
    with pytest.raises(SettingsError, match="or 'rows' for those trained on, got 'validation'"):
        train_classifier(f"hf:{tiny_encoder}", labelled_rows(20), tmp_path, dynamics="validation", **how)


def test_weights_are_scaled_to_mean_one_however_large(tiny_encoder):
    for given in ([0.0, 0.0, 2.0, 6.0], [3e38, 3e38, 3e38, 1e39], [1e-50, 1e-50, 0.0, 2e-50]):
        rows = labelled_rows(4).with_column("weight", given)
        weight = LabelledSet.of(rows, ["bad", "good"], *_opened(tiny_encoder), 32).weight
        assert weight.mean() == pytest.approx(1.0) and weight.argmax() == np.argmax(given)


def test_what_was_recorded_is_in_the_format_of_data_maps(tiny_encoder, tmp_path):
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(16), tmp_path, dynamics="rows", epochs=2)
    line = json.loads((tmp_path / "training_dynamics" / "dynamics_epoch_1.jsonl").read_text().splitlines()[0])
    assert set(line) == {"guid", "logits_epoch_1", "gold"} and len(line["logits_epoch_1"]) == 2


def test_a_classifier_of_as_many_other_labels_gets_a_new_head(tiny_encoder, tmp_path):
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(32), tmp_path, **HOW)
    old = open_classifier(f"hf:{tmp_path}").model.classifier.weight
    heads = [
        open_trainable_classifier(f"hf:{tmp_path}", ["alpha", "beta"], seed=s)[0].classifier.weight for s in (0, 0, 1)
    ]
    assert not torch.allclose(heads[0], old) and torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


def test_dynamics_of_an_earlier_run_do_not_stay(tiny_encoder, tmp_path):
    rows = labelled_rows(16)
    for epochs in (4, 2):
        train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, dynamics="rows", epochs=epochs)
    assert read_dynamics(tmp_path).logits.shape[0] == 2


def test_a_run_that_is_over_keeps_its_last_epoch_although_it_was_cut_short(tiny_encoder, tmp_path):
    rows, checked = labelled_rows(48), labelled_rows(20, seed=5)
    how = {"steps": 7, "batch_size": 16, "save_every": 7, "validation": checked}
    first = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, **how)
    again = train_classifier(f"hf:{tiny_encoder}", rows, tmp_path, resume=True, **how)
    assert len(first.epochs) == 3 and again.epochs == first.epochs and again.best_epoch == first.best_epoch


def test_texts_are_cut_as_they_were_in_training(tiny_encoder, tmp_path):
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(16), tmp_path, steps=1, max_tokens=12)
    assert open_classifier(f"hf:{tmp_path}").max_tokens == 12
    train_classifier(f"hf:{tiny_encoder}", labelled_rows(16), tmp_path, steps=1, max_tokens=4000)
    model = open_classifier(f"hf:{tmp_path}")
    assert model.max_tokens == 64  # what the model can read
    assert model.logits(["river " * 500]).shape == (1, 2)


def test_an_epoch_in_which_the_model_fell_apart_is_never_the_best(tmp_path):
    kept, y = _Kept(tmp_path, 0, dynamics=False), np.array([0, 0, 1])
    kept.judge(1, y, np.full((3, 2), np.nan))
    assert kept.judge(2, y, np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])) and kept.best == 2
    kept.judge(3, y, np.full((3, 2), np.nan))
    assert kept.best == 2


def test_weights_are_not_learnt_by_several_processes(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="in one process"):
        train_classifier(f"hf:{tiny_encoder}", labelled_rows(16), tmp_path, objective="sungen")


def test_a_weight_that_is_no_number_is_told(tiny_encoder, tmp_path):
    with pytest.raises(SettingsError, match="finite numbers that are not negative, got '2 kg'"):
        train_classifier(f"hf:{tiny_encoder}", labelled_rows(2, weight=["2 kg", "1"]), tmp_path)
