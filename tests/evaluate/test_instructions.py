"""Hard, soft and consistent satisfaction, counted by hand."""

from dataclasses import replace

import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.evaluate import (
    Constraint,
    InstructionItem,
    constraint_rates,
    constraint_table,
    instruction_prompts,
    instructions,
    score_instructions,
)
from unflaw.evaluate._score import mean_score
from unflaw.models import ScriptedGenerator

SMALL, SEA, SHORT = Constraint("all_lowercase"), Constraint("contains", {"phrases": ["sea"]}), Constraint("no_commas")


def items():
    return [
        InstructionItem(f"{base}/{level}", level, f"{base} {level}", (SMALL, SEA, SHORT)[:level], base)
        for base in ("a", "b")
        for level in (1, 2, 3)
    ]


def by_name(scores):
    return {s.benchmark.removeprefix("instructions."): s for s in scores}


ANSWERS = {
    "a/1": "the sea here",  # 1 of 1
    "a/2": "the sea here",  # 2 of 2
    "a/3": "The sea here",  # 2 of 3
    "b/1": "The red sea",  # 0 of 1
    "b/2": "the blue sea",  # 2 of 2: too late for the consistent level of b
    "b/3": "Red, blue sky",  # 0 of 3
}


def test_rates_by_hand():
    scores = by_name(score_instructions(items(), ANSWERS, name="m"))
    assert scores["hard"].value == 3 / 6
    assert scores["soft"].value == pytest.approx((1 + 1 + 2 / 3 + 0 + 1 + 0) / 6)
    assert scores["consistent_level"].items == {"a": 2.0, "b": 0.0}
    assert scores["consistent_level"].value == 1.0
    assert [scores[f"level_{level}"].value for level in (1, 2, 3)] == [0.5, 1.0, 0.0]
    assert scores["hard"].items["a/3"] == 0.0 and scores["hard"].outputs == ANSWERS
    assert all(s.low <= s.value <= s.high and s.model == "m" for s in scores.values())


def test_lift_takes_away_what_is_met_without_being_asked():
    asked = [replace(item, request=f"{item.base} alone") for item in items()]
    # level 0 of a meets all three rules unasked, that of b only the commas
    scores = by_name(score_instructions(asked, {**ANSWERS, "a/0": "the sea now", "b/0": "Red is red"}))
    assert scores["lift"].items == pytest.approx(
        {"a/1": 0.0, "a/2": 0.0, "a/3": 2 / 3 - 1, "b/1": 0.0, "b/2": 1.0, "b/3": 0 - 1 / 3}
    )
    assert scores["lift"].value == pytest.approx((-1 / 3 + 1 - 1 / 3) / 6)
    assert scores["hard"].outputs == ANSWERS and "lift" not in by_name(score_instructions(items(), ANSWERS))


def test_lift_is_no_share_whose_interval_could_be_above_none():
    same = mean_score("instructions.lift", "m", {f"{k}": 0.0 for k in range(20)}, signed=True)
    assert (same.low, same.high) == (0.0, 0.0)
    assert mean_score("instructions.hard", "m", {f"{k}": 0.0 for k in range(20)}).high == pytest.approx(0.161, abs=1e-3)


def test_a_model_that_never_listens_has_no_lift():
    model = ScriptedGenerator(lambda prompt: "the sea, always")
    scores = by_name(instructions(model, instruction_prompts(50, seed=0)))
    assert set(scores["lift"].items.values()) == {0.0} and scores["soft"].value > 0
    assert len(model.calls) == 60  # ten requests alone, each asked once


def test_the_mean_over_items_is_the_mean_over_levels():
    scores = by_name(score_instructions(items(), ANSWERS))
    assert scores["hard"].value == pytest.approx(sum(scores[f"level_{level}"].value for level in (1, 2, 3)) / 3)


def test_an_empty_or_tiny_answer_earns_nothing():
    scores = by_name(score_instructions(items(), dict.fromkeys(ANSWERS, "sea sea")))
    assert scores["soft"].value == 0.0


def test_the_model_is_asked_each_prompt_once_and_greedily():
    model, seen = ScriptedGenerator(lambda prompt: "the sea"), []
    instructions(model, items(), max_tokens=7, seed=5, progress=lambda *done: seen.append(done))
    assert [prompt for prompt, _ in model.calls] == [i.prompt for i in items()]
    assert {(s.max_tokens, s.temperature) for _, s in model.calls} == {(7, 0.0)}
    assert seen == [(i, 6) for i in range(1, 7)]


def test_items_without_levels_have_no_consistent_level():
    loose = [InstructionItem(f"{i}", 1, "p", (SEA,)) for i in range(3)]
    scores = by_name(score_instructions(loose, {"0": "the sea here", "1": "", "2": "the red sky"}))
    assert set(scores) == {"hard", "soft"} and scores["hard"].value == pytest.approx(1 / 3)


def test_intervals_resample_requests_not_items():
    """Two requests, one all met and one never: the interval must reach both ends, as two draws do."""
    answers = {i.id: "the sea here" if i.base == "a" else "NO, NO" for i in items()}
    hard = by_name(score_instructions(items(), answers))["hard"]
    assert (hard.low, hard.value, hard.high) == (0.0, 0.5, 1.0)


def test_constraint_rates():
    assert constraint_rates(items(), ANSWERS) == {"all_lowercase": (3, 6), "contains": (3, 4), "no_commas": (1, 2)}


def test_a_missing_answer_or_a_single_item_is_refused():
    with pytest.raises(SettingsError, match="a/1"):
        score_instructions(items(), {})
    with pytest.raises(SettingsError, match="non-empty"):
        score_instructions([], {})
    with pytest.raises(TooFewRowsError, match="two independent"):
        score_instructions(items()[:3], ANSWERS)


def test_other_prompts_have_another_hash():
    ours, other = (
        score_instructions(drawn, {i.id: "x" for i in drawn})[0].settings["prompts_hash"]
        for drawn in (instruction_prompts(10, 0), instruction_prompts(10, 1))
    )
    assert ours != other


@pytest.mark.parametrize(
    ("kind", "params", "says"),
    [
        ("contain", {}, "Did you mean 'contains'"),
        ("contains", {"words": ["a"]}, "'phrases'"),
        ("no_commas", {"n": 1}, "n"),
    ],
)
def test_constraints_that_cannot_be_are_refused(kind, params, says):
    with pytest.raises(SettingsError, match=says):
        Constraint(kind, params)


def test_the_page_of_constraints_is_current():
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "instructions.md"
    assert constraint_table() in page.read_text(encoding="utf-8"), "paste constraint_table() into docs/instructions.md"
