"""Prompts drawn from a seed: repeatable, nested by level, and never contradictory."""

import json
from collections import Counter
from pathlib import Path

import pytest

from unflaw._errors import SettingsError
from unflaw.evaluate import instruction_prompts
from unflaw.evaluate._prompts import CLASHES, SLOTS
from unflaw.evaluate._tasks import requests

SLOT_OF = {kind: slot for slot, kinds in SLOTS.items() for kind, _ in kinds}


FILLERS = [f"bla{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]


def witness(constraints):
    """Write an answer that meets all constraints: proof that they do not contradict each other.

    Fillers are none of the words that may be asked for, are short, and stand once each.
    """
    has, spare = {c.kind: c.params for c in constraints}, iter(FILLERS)

    def n(kind, name="n"):
        return has.get(kind, {name: 0})[name]

    def some(form, count):
        return [form.format(next(spare)) for _ in range(count)]

    opening = has["starts_with"]["phrase"].split() if "starts_with" in has else []
    opening += has["first_word_in"]["options"][:1] if "first_word_in" in has else []
    wanted = ["7"] * ("has_number" in has)
    wanted += has["contains"]["phrases"] if "contains" in has else []
    wanted += has["contains_any"]["phrases"][-1:] if "contains_any" in has else []
    wanted += has["distinct_of_at_least"]["options"][:2] if "distinct_of_at_least" in has else []
    wanted += has["total_of_at_least"]["options"][:1] * 2 if "total_of_at_least" in has else []
    wanted += some("*{}*", n("highlights_at_least")) + some("[{}]", n("placeholders_at_least"))
    wanted += some("<<{}>>", "titled" in has)
    wanted += [f"{has['sections_at_least']['marker']} {i + 1}" for i in range(n("sections_at_least"))]
    words = [*opening, *wanted]
    words += some("{}", 15 - len(" ".join(words).split()))
    if "json_with_keys" in has:
        first, second = has["json_with_keys"]["keys"]
        return json.dumps({first: " ".join(words[:7]), second: " ".join(words[7:])})
    text = " ".join(words)
    text += "".join(f"\n{i + 1}. {next(spare)}" for i in range(n("numbered_list")))
    text += f"\nP.S. {next(spare)}" * ("postscript" in has)
    return text + ("?" if "question_end" in has else "")


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


def test_every_kind_drawn_had_lift_where_it_was_measured():
    measured = json.loads((Path(__file__).parents[2] / "studies/constraints/results/lift.json").read_text())["kinds"]
    assert {row["kind"] for row in measured if row["drawn"]} == set(SLOT_OF) and len(SLOT_OF) >= 25
    assert [row["kind"] for row in measured if row["drawn"] and row["lift"] <= 0] == []


def test_requests_are_many_and_distinct():
    assert len(set(requests())) == len(requests()) >= 60


@pytest.mark.parametrize("request_", requests(), ids=lambda r: r.text)
def test_no_request_holds_a_word_that_may_be_asked_for(request_):
    assert len(set(request_.words)) == 3
    assert not [word for word in request_.words if word.lower() in request_.text.lower().split()]


@pytest.mark.parametrize(
    ("n", "levels", "says"),
    [(7, (1, 2, 3, 4, 5), "take 5"), (0, (1,), "take 1"), (5, (0,), "`levels`"), (5, (), "`levels`"), (5, (8,), "7")],
)
def test_what_cannot_be_drawn_is_refused(n, levels, says):
    with pytest.raises(SettingsError, match=says):
        instruction_prompts(n, 0, levels=levels)
