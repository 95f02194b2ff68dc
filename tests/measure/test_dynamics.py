from importlib import import_module

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.measure import LEVELS, dynamics, levels


def slow(z, y):
    """Each feature row by row, as the papers write them."""
    found = []
    for i, label in enumerate(y):
        p = [np.exp(z[e, i] - z[e, i].max()) / np.exp(z[e, i] - z[e, i].max()).sum() for e in range(len(z))]
        likely = [row[label] for row in p]
        mean = sum(likely) / len(likely)
        rights = [row.argmax() == label for row in p]
        margins = [z[e, i, label] - max(v for k, v in enumerate(z[e, i]) if k != label) for e in range(len(z))]
        lost = sum(a and not b for a, b in zip(rights, rights[1:], strict=False)) if any(rights) else np.nan
        spread = (sum((v - mean) ** 2 for v in likely) / len(likely)) ** 0.5
        found.append([mean, spread, sum(rights) / len(rights), sum(margins) / len(margins), lost])
    return np.array(found)


def test_features_equal_a_slow_reference():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(5, 40, 3)) * 3, rng.integers(0, 3, 40)
    got = np.column_stack(dynamics(z, y))
    assert got == pytest.approx(slow(z, y), nan_ok=True)


def test_features_by_hand():
    # p of the label: .8, then .4 (the other class has .6): mean .6, spread .2, right once of two, forgotten once
    z = np.log(np.array([[[0.8, 0.2]], [[0.4, 0.6]]]))
    d = dynamics(z, np.array([0]))
    assert [float(v[0]) for v in d[:3]] == pytest.approx([0.6, 0.2, 0.5])
    # margins log(.8/.2) = log 4 and log(.4/.6) = -log 1.5
    assert d.aum[0] == pytest.approx((np.log(4) - np.log(1.5)) / 2)
    assert d.forgotten[0] == 1


def test_what_was_never_learnt_was_not_forgotten_either():
    z = np.zeros((3, 1, 2)) + [0.0, 5.0]
    assert np.isnan(dynamics(z, np.array([0])).forgotten[0])
    assert dynamics(z, np.array([1])).forgotten[0] == 0


def test_large_logits_do_no_harm():
    z = np.full((2, 1, 2), 0.0)
    z[..., 0] = 2000.0
    assert dynamics(z, np.array([0])).mu[0] == 1.0
    assert dynamics(z, np.array([1])).mu[0] == 0.0


def test_one_epoch_or_one_class_is_refused():
    with pytest.raises(SettingsError, match="two epochs") as refused:
        dynamics(np.zeros((1, 3, 1)), np.zeros(3, dtype=np.int64))
    assert len(refused.value.problems) == 2


def course(rng, n, start, end, spread=0.3):
    """Logits of the label over five epochs, that of the other class 0."""
    steps = np.linspace(start, end, 5)[:, None] + rng.normal(size=(5, n)) * spread
    return np.stack([steps, np.zeros_like(steps)], axis=-1)


@pytest.fixture
def mixed():
    """120 rows learnt at once, 60 learnt late, 40 never."""
    rng = np.random.default_rng(1)
    z = np.concatenate([course(rng, 120, 3, 5), course(rng, 60, -1.5, 1.5), course(rng, 40, -4, -3)], axis=1)
    return z, np.repeat([0, 1, 2], [120, 60, 40])


def test_three_kinds_of_rows_are_told_apart_and_named(mixed):
    z, kind = mixed
    found = levels([dynamics(z, np.zeros(len(kind), dtype=np.int64))])
    assert (found.level == kind).mean() > 0.97
    assert LEVELS[int(np.bincount(found.level[kind == 2]).argmax())] == "hard"
    assert found.p.sum(axis=1) == pytest.approx(np.ones(len(kind)))
    assert found.stability > 0.9


def test_order_of_rows_and_seed_change_nothing_here(mixed):
    z, kind = mixed
    y = np.zeros(len(kind), dtype=np.int64)
    order = np.random.default_rng(2).permutation(len(kind))
    one, other = levels([dynamics(z, y)]), levels([dynamics(z[:, order], y)], seed=7)
    assert (one.level[order] == other.level).mean() > 0.97


def test_the_first_view_names_the_levels(mixed):
    z, kind = mixed
    y = np.zeros(len(kind), dtype=np.int64)
    whole, part = dynamics(z, y), dynamics(np.random.default_rng(3).normal(size=z.shape), y)
    found = levels([whole, part], forgetting=True)
    means = [whole.mu[found.level == k].mean() for k in range(3)]
    assert means == sorted(means, reverse=True)


def test_few_rows_are_refused():
    with pytest.raises(TooFewRowsError, match="at least 30 rows, got 4"):
        levels([dynamics(np.zeros((2, 4, 2)), np.zeros(4, dtype=np.int64))])


def test_a_mixture_that_other_starts_do_not_find_is_not_taken(mixed, monkeypatch):
    z, kind = mixed
    view = dynamics(z, np.zeros(len(kind), dtype=np.int64))
    most, spike = kind % 3, np.minimum(np.arange(len(kind)), 2)  # two rows alone, and all others

    def mixture(scaled, seed):
        return np.eye(3)[spike if seed == 4 else most]

    monkeypatch.setattr(import_module("unflaw.measure._dynamics"), "_mixture", mixture)
    found = levels([view], n_seeds=3, seed=4)
    expected = levels([view], n_seeds=3, seed=5)
    assert found.level.tolist() == expected.level.tolist() and expected.stability == 1.0
    against = adjusted_rand_score(most, spike)
    assert found.stability == pytest.approx((2 + against) / 3)
