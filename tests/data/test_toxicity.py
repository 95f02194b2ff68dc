"""The fast search before the slow one hides nothing."""

import itertools
import random

import pytest

from unflaw.data import find_toxic, star
from unflaw.data._toxicity import _STEMS, _TOXIC

FORMS = (
    "fuck", "motherfuckers", "Fuking", "BULLSHIT", "shitty", "dipshits", "bitches", "asshole", "assshole", "dumbass",
    "jackasses", "dickheads", "cocksucker", "cunts", "twat", "wanking", "pussies", "whores", "slutty", "bastards",
    "faggots", "fags", "niggas", "retarded", "trannies", "kikes", "spics", "gook", "wetbacks", "ragheads", "imbecile",
    "morons", "scumbags", "subhuman", "libtards", "I'll kill you", "i\u2019m going to murder him", "gonna rape them",
    "I will strangle her", "I am going to stab you", "kill yourself", "Hang yourselves", "deserve to die",
    "ought to be shot", "gas the jews", "exterminate the immigrants",
    "\u017fhit", "b\u0131tch", "sh\u0130t", "\u212aikes",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_in_small_and_in_capitals(form):
    for text in (form, form.upper() if form.isascii() else form, f"So {form}, he said."):
        assert find_toxic(text) == [m[0] for m in _TOXIC.finditer(text.replace("\u2019", "'"))] != []


def test_there_is_a_form_of_every_stem():
    import re

    for stem in _STEMS:
        assert any(re.fullmatch(stem, form, re.IGNORECASE) for form in FORMS), stem


def test_mixtures_are_told_as_by_the_slow_search_alone():
    rng = random.Random(0)
    pieces = [*FORMS, "conspicuous", "custard", "class", "thought to be", "skill you", "Scunthorpe", "ß", "i\u0307"]
    for n in itertools.islice(itertools.cycle(range(1, 6)), 500):
        text = "".join(rng.choice(pieces) + rng.choice(["", " ", ". "]) for _ in range(n))
        assert find_toxic(text) == [m[0] for m in _TOXIC.finditer(text.replace("\u2019", "'"))]


def test_words_are_starred_in_their_places():
    assert star("Fuck that, you Moron’s friend.") == "F*** that, you M****’s friend."
    assert star("Nothing of the kind.") == "Nothing of the kind."
