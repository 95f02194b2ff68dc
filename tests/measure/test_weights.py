import numpy as np
import pytest
import torch

from unflaw.measure import fitted_temperature, importance_weights, tempered


@pytest.mark.parametrize(
    ("a", "b", "weight"), [(0.9, 0.9, 1.0), (0.9, 0.5, 1.8), (0.9, 0.01, 90.0), (0.1, 0.9, 1 / 9), (0.02, 0.01, 2.0)]
)
def test_weights_are_quality_over_diversity_in_numpy_and_torch(a, b, weight):
    # the table of the digest, worked out by hand
    assert importance_weights(np.array([a]), np.array([b]))[0] == pytest.approx(weight)
    assert importance_weights(torch.tensor([a]), torch.tensor([b])).item() == pytest.approx(weight)


def test_a_cap_and_a_temperature_hold_weights_together_and_keep_their_order():
    a, b = np.array([0.9, 0.9, 0.1]), np.array([0.01, 0.9, 0.9])
    assert importance_weights(a, b, cap=10.0).tolist() == pytest.approx([10, 1, 1 / 9])
    assert importance_weights(a, b, temperature=2.0).tolist() == pytest.approx([90**0.5, 1, 1 / 3])
    assert importance_weights(torch.tensor(a), torch.tensor(b), temperature=2.0, cap=5.0).tolist() == pytest.approx(
        [5, 1, 1 / 3]
    )


def test_the_weighted_mean_over_q_is_the_mean_over_p():
    # y given x is (.8, .2) under P and (.5, .5) under Q: E_Q[w f] = E_P[f] for any f
    p, q = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    f = np.array([3.0, -1.0])
    assert (q * importance_weights(p, q) * f).sum() == pytest.approx((p * f).sum())


def test_tempering_divides_logits():
    p = np.array([[0.9, 0.1], [0.5, 0.5]])
    # sqrt(.9) : sqrt(.1) = 3 : 1
    assert tempered(p, 2.0).tolist() == [pytest.approx([0.75, 0.25]), pytest.approx([0.5, 0.5])]
    assert tempered(p, 1.0) == pytest.approx(p)
    assert np.isfinite(tempered(np.array([[1.0, 0.0]]), 3.0)).all()


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_the_temperature_that_made_probabilities_too_sure_is_found(true):
    rng = np.random.default_rng(0)
    honest = tempered(rng.dirichlet([1.0, 1.0, 1.0], 20_000), 1.0)
    labels = (honest.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    sure = tempered(honest, 1 / true)
    assert fitted_temperature(sure, labels) == pytest.approx(true, rel=0.05)


def test_a_classifier_that_is_always_right_keeps_its_temperature():
    """The likelier the surer, without end: rows cannot tell."""
    assert fitted_temperature(np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([0, 1])) == 1.0
