"""The search for copies against one that compares every pair."""

from typing import NamedTuple

import numpy as np
import pytest

from unflaw.audit import _search
from unflaw.audit._kept import Kept, kept_texts
from unflaw.audit._search import copies_of, copies_within


class Said(NamedTuple):
    ids: list
    texts: list
    about: list

    def keep(self):
        return kept_texts(range(len(self.ids)), self.ids, self.texts, self.about)


def jaccard(a, b):
    a, b = ({tuple(t.split()[i : i + 3]) for i in range(len(t.split()) - 2)} for t in (a, b))
    return len(a & b) / len(a | b)


def near_texts(seed, n=60, passages=(0,), name=""):
    """Draw texts that repeat one of six, with up to two words changed."""
    rng = np.random.default_rng(seed)
    originals = [[f"w{k}" for k in rng.integers(1000, size=40)] for _ in range(6)]
    said = Said([f"{name}{i:03d}" for i in rng.permutation(n)], [], [])
    for _ in range(n):
        words = list(originals[rng.integers(6)])
        for place in rng.integers(40, size=rng.integers(3)):
            words[place] = f"x{rng.integers(1000)}"
        said.texts.append(" ".join(words))
        said.about.append(f"passage {p}" if (p := rng.choice(passages)) else "")
    return said


def may(a, b):
    return a == b or not a or not b


def expected_within(said):
    """Compare every pair, in order of id."""
    kept, expected = [], {}
    for row, text, about in sorted(zip(*said, strict=True)):
        same = [r for r, t, a in sorted(zip(*said, strict=True)) if r < row and (t, a) == (text, about)]
        alike = [(-jaccard(text, t), r) for r, t, a in kept if may(a, about)]
        best, nearest = min(alike, default=(0.0, ""))
        if same:
            expected[row] = (same[0], 1.0)
        elif -best >= 0.7:
            expected[row] = (nearest, pytest.approx(-best))
        else:
            kept.append((row, text, about))
    return expected


def found_in(table):
    return {c["id"]: (c["of"], c["similarity"]) for c in table.to_pylist()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("passages", [(0,), (1, 2), (0, 1, 2)])
def test_copies_within_equal_a_comparison_of_all_pairs(seed, passages):
    said = near_texts(seed, passages=passages)
    assert found_in(copies_within(said.keep(), 0.7)) == expected_within(said)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("mine", "theirs"), [((0,), (0,)), ((1, 2), (0,)), ((0,), (1, 2)), ((0, 1, 2), (0, 1, 2))])
def test_copies_of_originals_equal_a_comparison_of_all_pairs(seed, mine, theirs):
    said, originals = near_texts(seed, 40, mine, name="t"), near_texts(seed, 25, theirs, name="o")
    expected = {}
    for row, text, about in zip(*said, strict=True):
        others = sorted(zip(*originals, strict=True))
        same = [(-1.0, o) for o, t, a in others if (t, a) == (text, about)]
        best, nearest = min(same or [(-jaccard(text, t), o) for o, t, a in others if may(a, about)], default=(0, ""))
        if -best >= 0.7:
            expected[row] = (nearest, pytest.approx(-best))
    assert found_in(copies_of(said.keep(), originals.keep(), 0.7)) == expected


def test_numbers_of_some_rows_are_those_of_the_whole_column(tmp_path):
    """Over tables in memory and on disk, in any order, and of a row twice."""
    parts = [near_texts(seed, 20, passages=(0, 1)) for seed in range(3)]
    kept = [kept_texts(range(20 * k, 20 * k + 20), *part) for k, part in enumerate(parts)]
    columns = sum([kept[0].keep(tmp_path / "0"), *kept[1:]], Kept()).open()
    rows = np.array([59, 0, 20, 19, 20, 41])
    for name in ("place", "about", "draw"):
        some = columns.numbers(name, rows)
        assert some.tolist() == columns.numbers(name)[rows].tolist() and some.dtype == columns.numbers(name).dtype
    assert columns.numbers("place", rows).tolist() == rows.tolist()


@pytest.mark.parametrize("seed", range(2))
def test_in_many_tasks_and_from_disk_the_answer_is_the_same(seed, tmp_path, monkeypatch):
    said, originals = near_texts(seed, n=80, passages=(0, 1)), near_texts(seed, n=30, name="o")
    whole = copies_within(said.keep(), 0.7), copies_of(said.keep(), originals.keep(), 0.7)
    monkeypatch.setattr(_search, "_TASK_ROWS", 9)
    monkeypatch.setattr(_search, "_PAIRS", 64)
    parts = [Said(*(column[i : i + 27] for column in said)) for i in range(0, 80, 27)]
    apart = [kept_texts(range(27 * k, 27 * k + len(part.ids)), *part) for k, part in enumerate(parts)]
    stored = sum((of.keep(tmp_path / f"{k}") for k, of in enumerate(apart)), Kept())
    assert len(list(tmp_path.iterdir())) == 6 and len(stored) == 80
    again = copies_within(stored, 0.7), copies_of(stored, originals.keep(), 0.7)
    assert [a.equals(b) for a, b in zip(whole, again, strict=True)] == [True, True]


def test_a_sample_is_searched_as_if_the_rest_were_not_there():
    said = near_texts(5, n=60)
    kept = said.keep()
    draws = dict(zip(said.ids, kept.open().numbers("draw").tolist(), strict=True))
    chosen = [i for i, row in enumerate(said.ids) if draws[row] in sorted(draws.values())[:25]]
    alone = Said(*([column[i] for i in chosen] for column in said))
    assert found_in(copies_within(kept, 0.7, most=25)) == expected_within(alone)


def test_nothing_is_found_among_nothing():
    assert len(copies_within(Kept(), 0.7)) == len(copies_of(Kept(), near_texts(1).keep(), 0.7)) == 0
    assert len(copies_of(near_texts(1).keep(), Kept(), 0.7)) == 0


def test_labels_travel_with_the_copies():
    texts = ["one two three four", "one two three four", "five six seven eight"]
    kept = kept_texts(range(3), ["a", "b", "c"], texts, [""] * 3, ["good", "bad", "good"])
    found = copies_within(kept, 0.7).to_pylist()
    assert [(c["id"], c["of"], c["label"], c["of_label"], c["exact"]) for c in found] == [
        ("b", "a", "bad", "good", True)
    ]
