"""What signatures state, shapes and other types, is what the tests see."""

import jaxtyping
import numpy as np
import pytest

from unflaw.measure import auc, compression_ratio, label_issues, wilson_interval


def test_what_is_stated_passes():
    assert auc(np.array([0.1, 0.2]), np.array([0.3, 0.4])) is not None
    assert compression_ratio(["a text"]) > 0


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: auc(np.zeros((2, 2)), np.zeros(2)), id="another number of dimensions"),
        pytest.param(lambda: label_issues(np.zeros(3, np.int64), np.ones((2, 1))), id="a dimension of two lengths"),
        pytest.param(lambda: compression_ratio(3), id="a number for texts"),
        pytest.param(lambda: wilson_interval(1, 2, "three"), id="a text for a number"),
    ],
)
def test_what_is_not_stated_is_refused(call):
    with pytest.raises(jaxtyping.TypeCheckError):
        call()
