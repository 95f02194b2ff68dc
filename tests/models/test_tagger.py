import importlib.util

import pytest

from unflaw._errors import MissingExtraError
from unflaw.models import pattern_tagger


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # textblob leaves its lexicon open
def test_every_word_gets_a_tag():
    tags = pattern_tagger()
    assert tags("the old ship was slowly sinking in 1815".split()) == ["DT", "JJ", "NN", "VBD", "RB", "VBG", "IN", "CD"]
    assert tags([]) == [] and len(tags(["don", "t", "東京", "x1"])) == 4


def test_without_textblob_the_pip_line_is_told(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("unflaw.models._tagger.find_spec", lambda name: None if name == "textblob" else find(name))
    with pytest.raises(MissingExtraError, match=r"unflaw\[pos\]"):
        pattern_tagger()
