import numpy as np
import pytest

from unflaw._errors import ModelCallError, SettingsError
from unflaw.models import Encoder, Generator, HashEncoder, Sampling, Scorer, ScriptedGenerator, UnigramScorer


def test_fakes_are_models():
    assert isinstance(ScriptedGenerator([]), Generator)
    assert isinstance(HashEncoder(), Encoder)
    assert isinstance(UnigramScorer([]), Scorer)


def test_script_is_read_in_order_and_calls_are_kept():
    fake = ScriptedGenerator(["one", "two", "three"])
    assert fake.generate(["a", "b"], Sampling()) == ["one", "two"]
    assert fake.generate(["c"], Sampling(seed=7)) == ["three"]
    assert [(prompt, sampling.seed) for prompt, sampling in fake.calls] == [("a", 0), ("b", 0), ("c", 7)]


def test_a_function_sees_the_last_turn():
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "u"}]
    assert ScriptedGenerator(lambda text: text + "!").generate([chat], Sampling()) == ["u!"]


def test_an_exhausted_script_says_so():
    with pytest.raises(ModelCallError, match="ran out of answers at call 2"):
        ScriptedGenerator(["only"]).generate(["a", "b"], Sampling())


def test_hashed_texts_are_near_when_they_share_words():
    same, shuffled, other, empty = HashEncoder(256).encode(["red green blue", "Blue red green", "one two six", ""])
    assert same @ shuffled == pytest.approx(1, abs=1e-6)
    assert abs(same @ other) < 0.5
    assert np.linalg.norm(same) == pytest.approx(1, abs=1e-6) and not empty.any()
    assert same.dtype == np.float32


def test_hashed_empty_input_and_bad_dimension():
    assert HashEncoder(8).encode([]).shape == (0, 8)
    with pytest.raises(SettingsError, match="`dim` must be at least 1, got 0"):
        HashEncoder(0)


def test_unigrams_by_hand():
    """Counts a: 2, b: 1, plus one for each of a, b and the unseen: 3, 2 and 1 sixths."""
    scorer = UnigramScorer(["a a", "b"])
    answer, text, empty = scorer.log_probs([("?", "a b x"), ("", "a b x"), ("", "")])
    assert np.exp(answer) == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert np.exp(text) == pytest.approx([2 / 6, 1 / 6])
    assert len(empty) == 0
