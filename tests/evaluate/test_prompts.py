"""Prompts drawn from a seed: repeatable, nested by level, and never contradictory."""

from collections import Counter

import pytest

from unflaw._errors import SettingsError
from unflaw.evaluate import instruction_prompts
from unflaw.evaluate._prompts import CLASHES, SLOTS
from unflaw.evaluate._tasks import requests

SLOT_OF = {kind: slot for slot, kinds in SLOTS.items() for kind, _ in kinds}


def witness(constraints):
    """Write an answer that meets all constraints: proof that they do not contradict each other.

    "bla" is none of the words that may be forbidden.
    """
    has = {c.kind: c.params for c in constraints}
    words = ["bla", "bla", "bla"] + ["7"] * ("has_number" in has)
    words += has.get("contains", {"phrases": []})["phrases"]
    words += [has["keyword_at_least"]["word"]] * 2 if "keyword_at_least" in has else []
    words += ["*bla*", "*bla*"] if "highlights_at_least" in has else []
    words += ["bla"] * (has.get("words_at_least", {"n": 0})["n"] - len(words))
    first = " ".join([*has.get("starts_with", {"phrase": ""})["phrase"].split(), *words]) + "."
    middle = ["Bla bla."] * (has.get("sentences_at_least", {"n": 2})["n"] - 2)
    last = "Bla bla?" if "question_end" in has else "Bla bla."
    text = " ".join([first, *middle]) + ("\n\n" if "paragraphs_exactly" in has else " ") + last
    return text + "\nP.S. Bla." * ("postscript" in has)


@pytest.mark.parametrize("seed", range(4))
def test_all_constraints_of_an_item_can_be_met_together(seed):
    for item in instruction_prompts(120, seed, levels=(7,)):
        answer = witness(item.constraints)
        assert [c for c in item.constraints if not c.met(answer)] == [], answer


def test_a_level_adds_one_constraint_to_the_level_below():
    items = instruction_prompts(50, seed=1)
    assert [i.level for i in items] == [1, 2, 3, 4, 5] * 10
    for below, above in zip(items, items[1:], strict=False):
        assert len(above.constraints) == above.level
        if above.level > 1:
            assert above.base == below.base
            assert above.constraints[:-1] == below.constraints
            assert above.prompt == f"{below.prompt} {above.constraints[-1].text}"


def test_one_kind_per_slot_and_no_clash():
    for item in instruction_prompts(200, seed=2, levels=(5,)):
        kinds = [c.kind for c in item.constraints]
        assert len({SLOT_OF[kind] for kind in kinds}) == 5
        assert not any({a, b} in CLASHES for a in kinds for b in kinds)


def test_the_seed_decides():
    assert instruction_prompts(40, seed=3) == instruction_prompts(40, seed=3)
    ours, other = ({i.prompt for i in instruction_prompts(200, seed=s)} for s in (3, 4))
    assert len(ours & other) < 20


def test_ids_are_unique_and_more_prompts_begin_with_the_same():
    many = instruction_prompts(1000, seed=0)
    assert len({i.id for i in many}) == 1000
    assert len({i.prompt for i in many[:480]}) == 480, "each request comes once before any comes again"
    assert many[:480] == instruction_prompts(480, seed=0)


def test_every_kind_of_every_slot_is_drawn():
    drawn = Counter(c.kind for item in instruction_prompts(400, seed=0, levels=(5,)) for c in item.constraints)
    assert set(drawn) == set(SLOT_OF)


def test_requests_are_many_and_distinct():
    assert len(set(requests())) == len(requests()) >= 60


@pytest.mark.parametrize(
    ("n", "levels", "says"),
    [(7, (1, 2, 3, 4, 5), "take 5"), (0, (1,), "take 1"), (5, (0,), "`levels`"), (5, (), "`levels`"), (5, (8,), "7")],
)
def test_what_cannot_be_drawn_is_refused(n, levels, says):
    with pytest.raises(SettingsError, match=says):
        instruction_prompts(n, 0, levels=levels)
