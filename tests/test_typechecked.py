"""The shapes that signatures state are those the tests see."""

import jaxtyping
import numpy as np
import pytest

from unflaw.measure import auc


def test_an_array_of_another_shape_is_refused():
    assert auc(np.array([0.1, 0.2]), np.array([0.3, 0.4])) is not None
    with pytest.raises(jaxtyping.TypeCheckError):
        auc(np.zeros((2, 2)), np.zeros(2))
