import numpy as np
import pytest
from model2vec import StaticModel

from unflaw._errors import SpecError
from unflaw.models import Encoder, open_encoder
from unflaw.models._embedded import asset_folder

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


ODD = [
    "", " ", "[CLS] is said", "na\u00efve caf\u00e9\u200bs \U0001f600\U0001f600 \u4f60\u597d \u4e16\u754c\ttab\nline",
    "x" * 200 + " y", "a " * 3000, "\U0001f600 " * 700 + "dog", "un-hyphen-ated, isn't it?!",
    "end\x0cNext page", "a\x0bb cat", "foo\x1cbar", "foo\x85bar baz", "nul\x00l",
]  # fmt: skip


@pytest.mark.parametrize("most_words", [50_000, 3])
def test_words_cut_once_are_as_the_library_cuts_whole_texts(monkeypatch, most_words):
    monkeypatch.setattr("unflaw.models._encoders._MOST_WORDS", most_words)
    theirs = StaticModel.from_pretrained(asset_folder("potion")).encode([*TEXTS, *ODD], use_multiprocessing=False)
    encoder = open_encoder("potion")
    assert encoder.encode([*TEXTS, *ODD]) == pytest.approx(theirs, abs=1e-6)
    assert encoder.encode([*TEXTS, *ODD]) == pytest.approx(theirs, abs=1e-6)  # by words that are known now


def test_minilm_reads_a_long_text_up_to_its_limit():
    encoder = open_encoder("minilm")
    long = "word " * 400
    assert encoder.encode([long]) == pytest.approx(encoder.encode([long + "and a different end"]), abs=1e-6)


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(SpecError, match="must hold an encoder"):
        open_encoder(f"hf:{tmp_path}")
