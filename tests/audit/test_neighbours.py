"""The search in cells against all with all."""

import numpy as np
import pytest

from unflaw.audit import _neighbours
from unflaw.audit._kept import Kept, kept_vectors
from unflaw.audit._neighbours import neighbours_of, neighbours_within


def clouds(seed, n, ideas=40, spread=0.02, name="r"):
    """Draw unit vectors, half of them near one of some ideas; ids in random order."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(ideas, 24))
    x = np.where(rng.random(n)[:, None] < 0.5, centres[rng.integers(ideas, size=n)], rng.normal(size=(n, 24)))
    x = x / np.linalg.norm(x, axis=1, keepdims=True) + rng.normal(scale=spread, size=(n, 24))
    ids = [f"{name}{i:05d}" for i in rng.permutation(n)]
    return ids, (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def kept_of(ids, x, texts=None):
    return kept_vectors(range(len(ids)), ids, texts or [f"text {i}" for i in ids], x)


def found_in(neighbours):
    return {c["id"]: c["of"] for c in neighbours.twins.to_pylist()}


def test_each_row_repeats_the_nearest_first_one_before_it():
    ids, x = clouds(1, 120)
    order = np.argsort(ids)
    first, expected = [], {}
    half = x.astype(np.float16).astype(np.float64)
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    for i in order:
        cosine, j = max(((float(half[i] @ half[j]), -j) for j in first), default=(0.0, 0))
        if cosine >= 0.9:
            expected[ids[i]] = ids[-j]
        else:
            first.append(i)
    found = neighbours_within(kept_of(ids, x), 0.9, 1000, map)
    assert found_in(found) == expected and found.found is None and found.n_rows == 120


def test_equal_texts_count_once_and_equal_words_in_the_originals_are_left_out():
    ids, x = ["b", "a", "c"], np.eye(3, dtype=np.float32)[[0, 0, 1]]
    mine = kept_of(ids, x, ["Same words", "same  WORDS", "other"])
    assert neighbours_within(mine, 0.9, 10, map).n_rows == 2 and not found_in(neighbours_within(mine, 0.9, 10, map))
    others = kept_of(["o", "p"], np.eye(3, dtype=np.float32)[[0, 1]], ["same words", "what else"])
    assert found_in(neighbours_of(mine, others, 0.9, 10, map)) == {"c": "p"}


@pytest.mark.parametrize("seed", range(2))
def test_cells_find_what_all_with_all_finds_but_for_the_share_they_tell(seed, monkeypatch):
    monkeypatch.setattr(_neighbours, "_TASK_ROWS", 300)
    ids, x = clouds(seed, 1500)
    kept = kept_of(ids, x)
    exact, cells = (neighbours_within(kept, 0.9, most, map) for most in (1500, 100))
    assert exact.found is None and cells.n_rows == exact.n_rows
    assert set(found_in(cells)) <= {*found_in(exact), *found_in(exact).values()}
    n_found, n_judged = cells.found
    assert n_judged > 100 and n_found >= 0.9 * n_judged
    assert len(found_in(cells)) >= 0.9 * len(found_in(exact))

    other, y = clouds(seed + 10, 700, name="o")
    exact, cells = (neighbours_of(kept, kept_of(other, y), 0.9, most, map) for most in (2000, 100))
    assert set(found_in(cells)) <= set(found_in(exact))
    assert len(found_in(cells)) >= 0.9 * len(found_in(exact)) and cells.found[0] >= 0.9 * cells.found[1]


def test_what_lies_far_from_all_is_no_neighbour():
    ids = [f"{i:02d}" for i in range(20)]
    assert found_in(neighbours_within(kept_of(ids, np.eye(20, dtype=np.float32)), 0.5, 100, map)) == {}
    assert found_in(neighbours_of(kept_of(ids, np.eye(20, dtype=np.float32)), Kept(), 0.5, 100, map)) == {}


def test_a_handful_of_rows_lies_in_fewer_cells_than_are_looked_in():
    ids, x = clouds(1, 3)
    assert found_in(neighbours_within(kept_of(ids, x), 0.9, 1, map)) == found_in(
        neighbours_within(kept_of(ids, x), 0.9, 100, map)
    )


def test_rows_whose_words_all_stand_in_the_reference_have_no_neighbours_there():
    ids, x = clouds(1, 60)
    texts = [f"text {i}" for i in range(60)]
    assert found_in(neighbours_of(kept_of(ids[:30], x[:30], texts[:30]), kept_of(ids, x, texts), 0.9, 10, map)) == {}
