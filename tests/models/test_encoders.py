import numpy as np
import pytest

from unflaw._errors import SpecError
from unflaw.models import Encoder, open_encoder

TEXTS = ["A cat sat on the mat.", "A kitten was sitting on a rug.", "Interest rates rose again in March.", "Stop"]


@pytest.fixture(scope="module", params=["potion", "minilm"])
def encoder(request):
    return open_encoder(request.param)


def test_unit_float32_vectors(encoder):
    vectors = encoder.encode([*TEXTS, ""])
    assert isinstance(encoder, Encoder)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1, 1, np.linalg.norm(vectors[4])], abs=1e-5)
    assert len(encoder.encode([])) == 0


def test_meaning_is_nearer_than_chance(encoder):
    cat, kitten, rates, _ = encoder.encode(TEXTS)
    assert cat @ kitten > cat @ rates + 0.3


def test_neither_order_nor_company_matters(encoder):
    together = encoder.encode(TEXTS)
    assert encoder.encode(TEXTS[::-1])[::-1] == pytest.approx(together, abs=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert alone == pytest.approx(together, abs=1e-5)


def test_minilm_reads_a_long_text_up_to_its_limit():
    encoder = open_encoder("minilm")
    long = "word " * 400
    assert encoder.encode([long]) == pytest.approx(encoder.encode([long + "and a different end"]), abs=1e-6)


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(SpecError, match="must hold an encoder"):
        open_encoder(f"hf:{tmp_path}")
