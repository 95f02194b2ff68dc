"""Paired comparison: what changed, which way is better, and when it is noise."""

from dataclasses import replace

import numpy as np
import pytest

from unflaw._errors import SettingsError, TooFewRowsError
from unflaw.data import Score
from unflaw.evaluate import compare
from unflaw.evaluate._interval import group_of, grouped_interval


def score(items, *, benchmark="qa.f1", better="higher", **settings):
    value = sum(items.values()) / len(items)
    return Score(benchmark, "m", value, 0.0, 1.0, len(items), better, items=items, settings=settings)


def numbered(*values):
    return {str(i): float(v) for i, v in enumerate(values)}


def test_the_difference_is_paired():
    """Items differ wildly, the model adds exactly 1 to each: paired, there is no doubt at all."""
    [pair] = compare([score(numbered(0, 50, 100))], [score(numbered(1, 51, 101))])
    assert (pair.difference, pair.low, pair.high, pair.verdict) == (1.0, 1.0, 1.0, "better")
    assert (pair.value_a, pair.value_b, pair.n) == (50.0, 51.0, 3)


@pytest.mark.parametrize(("better", "verdict"), [("higher", "better"), ("lower", "worse")])
def test_which_way_is_better_decides_the_word_and_the_lists(better, verdict):
    a, b = numbered(0, 0, 0, 1), numbered(1, 3, 0, 2)
    [pair] = compare([score(a, better=better)], [score(b, better=better)])
    assert pair.verdict == verdict
    changed = ("1", "0", "3")  # the greatest change first
    assert (pair.gained, pair.lost) == ((changed, ()) if better == "higher" else ((), changed))


def test_as_much_gained_as_lost_is_noise():
    [pair] = compare([score(numbered(0, 1, 0, 1))], [score(numbered(1, 0, 1, 0))])
    assert pair.verdict == "within noise" and pair.difference == 0.0
    assert set(pair.gained) == {"0", "2"} and set(pair.lost) == {"1", "3"}


def test_swapping_the_models_swaps_the_signs():
    a, b = score(numbered(0, 1, 1, 0, 1)), score(numbered(1, 1, 1, 1, 1))
    [there], [back] = compare([a], [b]), compare([b], [a])
    assert there.difference == -back.difference and there.gained == back.lost
    assert (there.low, there.high) == (-back.high, -back.low)


def test_only_common_items_are_paired():
    [pair] = compare([score({"a": 0.0, "b": 0.0, "x": 1.0})], [score({"a": 1.0, "b": 1.0, "y": 0.0})])
    assert (pair.n, pair.unpaired, pair.difference) == (2, 2, 1.0)


def test_levels_of_one_request_are_resampled_together():
    """Two requests of 50 items: one gains everything, one nothing. Only two things were drawn, so it is noise."""
    before = {f"{base}/{i}": 0.0 for base in "ab" for i in range(50)}
    after = {i: float(i[0] == "a") for i in before}
    [grouped] = compare([score(before, separator="/")], [score(after, separator="/")])
    [single] = compare([score(before)], [score(after)])
    assert (grouped.low, grouped.high, grouped.verdict) == (0.0, 1.0, "within noise")
    assert single.verdict == "better"


def test_grouped_interval_agrees_with_a_slow_reference():
    values = {f"g{g}/{i}": float((g * 7 + i * 3) % 5) for g in range(12) for i in range(1 + g % 3)}
    rng = np.random.default_rng(1)
    groups = [[v for k, v in values.items() if group_of(k, "/") == f"g{g}"] for g in range(12)]
    means = []
    for _ in range(4000):
        drawn = [v for g in rng.integers(0, 12, 12) for v in groups[g]]
        means.append(sum(drawn) / len(drawn))
    assert grouped_interval(values, "/") == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.06)


def test_the_group_of_an_item():
    assert [group_of(i, "/") for i in ("a/1", "a/b/2", "a")] == ["a", "a/b", "a"]
    assert group_of("a/1", None) == "a/1"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, "`seed` must be the same, got 0 and 1"),
        ({"better": "lower"}, "`better`"),
        ({"settings": {"prompts_hash": "y"}}, "other prompts"),
        ({"settings": {"prompts_hash": "x", "max_tokens": 9}}, "max_tokens"),
        ({"benchmark": "qa.contains"}, "lacks 'qa.f1'"),
        ({"items": {}, "n": 0}, "`items`"),
    ],
)
def test_what_is_not_comparable_is_refused(change, says):
    a = score(numbered(0, 1), prompts_hash="x")
    with pytest.raises(SettingsError, match=says):
        compare([a], [replace(a, **change)])


def test_nothing_in_common_one_item_twice_the_same_or_nothing_at_all():
    a = score({"a": 1.0, "b": 0.0})
    with pytest.raises(TooFewRowsError, match="no item in common"):
        compare([a], [score({"c": 1.0, "d": 0.0})])
    with pytest.raises(TooFewRowsError):
        compare([score({"a": 1.0})], [score({"a": 0.0})])
    with pytest.raises(SettingsError, match="once"):
        compare([a, a], [a])
    with pytest.raises(SettingsError, match="got none"):
        compare([], [])
