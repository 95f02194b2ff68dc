"""Shingles and their keys, against Python's sets."""

import numpy as np
import pytest

from unflaw.measure import Shingles, band_keys, words_of


def runs(text):
    """Return the runs of three words; a shorter text is one."""
    words = words_of(text) or [text]
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def texts(seed, n=30):
    rng = np.random.default_rng(seed)
    drawn = [" ".join(rng.choice(list("abcde"), size=rng.integers(12))) for _ in range(n)]
    return [*drawn, "", "!", "?", "a", "a b", "b a", "東京 は", "a a a a a", drawn[0]]


@pytest.mark.parametrize("seed", range(4))
def test_jaccard_equals_that_of_sets(seed):
    said = texts(seed)
    i, j = np.divmod(np.arange(len(said) ** 2), len(said))
    found = Shingles.of(said).jaccard(i, j)
    sets = [runs(text) for text in said]
    expected = [len(a & b) / len(a | b) for a in sets for b in sets]
    assert found.tolist() == pytest.approx(expected)


def test_no_pairs_are_no_error():
    nothing = np.empty(0, dtype=np.int64)
    assert len(Shingles.of(["a"]).jaccard(nothing, nothing)) == 0
    assert band_keys(Shingles.of([])).shape == (0, 32)


def test_keys_do_not_depend_on_the_batch():
    said = texts(1)
    alone = np.concatenate([band_keys(Shingles.of([text])) for text in said])
    np.testing.assert_array_equal(band_keys(Shingles.of(said)), alone)


def test_near_copies_share_a_key_and_others_hardly_ever():
    """At J = 57/59 two texts share no key once in 10^28; at J = 0 they share one by chance of 64-bit numbers alone."""
    rng = np.random.default_rng(0)
    said = [" ".join(f"w{k}" for k in rng.integers(10**6, size=60)) for _ in range(50)]
    near = [f"{text} more" for text in said]
    a, b = band_keys(Shingles.of(said)), band_keys(Shingles.of(near))
    assert (a == b).any(axis=1).all()
    assert not (a == np.roll(b, 1, axis=0)).any()
