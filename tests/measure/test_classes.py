import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from unflaw.measure import accuracy, cells, confusion, macro_f1


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_both_agree_with_scikit_learn(n_classes):
    rng = np.random.default_rng(n_classes)
    y, p = rng.integers(0, n_classes, 200), rng.integers(0, n_classes, 200)
    table = confusion(cells(y, p, n_classes), n_classes)
    assert table.tolist() == confusion_matrix(y, p).tolist()
    assert accuracy(table) == pytest.approx(accuracy_score(y, p))
    assert macro_f1(table) == pytest.approx(f1_score(y, p, average="macro"))


def test_resamples_are_counted_one_by_one():
    rng = np.random.default_rng(0)
    cell = cells(rng.integers(0, 3, 50), rng.integers(0, 3, 50), 3)
    draws = rng.integers(0, 50, (4, 50))
    tables = confusion(cell[draws], 3)
    assert tables.shape == (4, 3, 3)
    assert macro_f1(tables).tolist() == [pytest.approx(macro_f1(confusion(cell[d], 3))) for d in draws]


def test_a_class_that_nobody_has_or_names_is_left_out():
    y = p = np.array([0, 0, 2])
    assert macro_f1(confusion(cells(y, p, 4), 4)) == 1.0


def test_macro_f1_by_hand():
    # right: 0 0 0 1, told: 0 0 1 1. F1 of 0: 2*2 / (3 + 2) = .8; of 1: 2*1 / (1 + 2) = 2/3
    table = confusion(cells(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2), 2)
    assert macro_f1(table) == pytest.approx((0.8 + 2 / 3) / 2)
    assert accuracy(table) == 0.75
