"""Shingles and their keys, against Python's sets."""

import unicodedata

import numpy as np
import pytest

from unflaw.measure import Shingles, band_keys, normalise, words_of


def runs(text):
    """Return the runs of three words, in order; a shorter text is one."""
    words = words_of(text) or [text]
    return [tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))]


def texts(seed, n=30):
    rng = np.random.default_rng(seed)
    drawn = [" ".join(rng.choice(list("abcde"), size=rng.integers(12))) for _ in range(n)]
    return [*drawn, "", "!", "?", "a", "a b", "b a", "東京 は", "a a a a a", drawn[0]]


@pytest.mark.parametrize("seed", range(4))
def test_jaccard_equals_that_of_sets(seed):
    said = texts(seed)
    i, j = np.divmod(np.arange(len(said) ** 2), len(said))
    found = Shingles.of(said).jaccard(i, j)
    sets = [set(runs(text)) for text in said]
    expected = [len(a & b) / len(a | b) for a in sets for b in sets]
    assert found.tolist() == pytest.approx(expected)


def test_words_of_every_length_and_alphabet_are_told_apart():
    """Words that share all but their last byte, up to three times as long as the longest hashed at once."""
    rng = np.random.default_rng(0)
    ends = ["", "x", "y", "\0", "_z", "é", "\u00b2", "東", "\ud800", "\ud800a", " -", "!?"]
    said = [f"a {letter * n}{end} b" for n in range(0, 200, 7) for letter in ("q", "é") for end in ends]
    said += ["", " ", "\ud800", "\ud801", "?!", "!?", "_"]
    said = [said[i] for i in rng.permutation(len(said))]
    shingles = Shingles.of(said)
    meant = [run for text in said for run in runs(text)]
    assert len(meant) == len(shingles.hashes)
    pairs = set(zip(meant, shingles.hashes.tolist(), strict=True))
    assert len(pairs) == len(set(meant)) == len(set(shingles.hashes.tolist()))


def test_comparing_changes_nothing():
    shingles = Shingles.of(["x y z x y z x y z x y", "a b c d e f", "p q r s t u"])
    starts = shingles.starts.tolist()
    assert shingles.jaccard(np.array([1]), np.array([2])).tolist() == [0.0]
    assert shingles.starts.tolist() == starts


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


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("co\u00adop\u200b\u200d\ufeff", "coop"), ("\u2067right\u2069 \u200eleft", "right left"),
        ("heart \u2764\ufe0f", "heart \u2764"), ("“a” ‘b’ «c» ‹d› „e‟", "\"a\" 'b' \"c\" 'd' \"e\""),
        ("it\u2019s \u00b4so\u00b4", "it's 'so'"), ("a\u2014b\u2013c\u2212d \u2011 --- e", "a-b-c-d - - e"),
        ("a\x97b \x93c\x94 d\x92s", "a-b \"c\" d's"), ("wait\u2026", "wait..."), ("A -- B", "a - b"),
        ("ＡＢＣ\u3000ﬁn Ⅳ", "abc fin iv"), ("STRASSE Straße", "strasse strasse"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("p\u0430ypal \u0410pple", "paypal apple"), ("pa\u200b\u0443pal", "paypal"), ("N\u039fTE", "note"),
    ],
)  # fmt: skip
def test_what_is_written_otherwise_is_the_same_text(written, typed):
    assert normalise(written) == typed == normalise(typed)


@pytest.mark.parametrize(
    "text",
    [
        "r\u00e9sum\u00e9", "\u0441\u043e\u0441\u043d\u0430", "\u03bd\u03cc\u03bc\u03bf\u03c2", "\u03bcm", "\u0434a",
        "a_b", "5 - 3", "\u6771\u4eac",
    ],
)  # fmt: skip
def test_accents_other_alphabets_and_words_that_mix_them_for_good_stay(text):
    """Of "μm" and "дa" a letter looks like no Latin one, so neither is a word in disguise."""
    assert normalise(text) == unicodedata.normalize("NFKC", text).casefold()


def test_normalising_twice_changes_nothing():
    rng = np.random.default_rng(0)
    signs = [*"aB cé\u0430\u03bf-\u2014\u201c\u200b\u00ad\u0301ﬁ\u00b4 \ud800\n…Ⅳ"]
    for _ in range(300):
        once = normalise("".join(rng.choice(signs, size=rng.integers(12))))
        assert normalise(once) == once
