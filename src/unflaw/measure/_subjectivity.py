"""How subjective texts are: by the words that judge, and by how far people agree about them.

Notation
    K_i     labels that people gave row i, one each
    L       different labels there are
    counts  how often each label was given to each row, (n, L)
    a_i     plurality share max_y counts_iy / K_i: 1 where all agree
    e_i     mean of a_i if each of the K_i labels were drawn at random from L
    alpha   Krippendorff's: 1 - disagreement observed / disagreement expected

The share of the commonest label says little by itself: of three people and two labels it is at least 2/3, and .75 on
average where they toss coins. So agreement here is (a_i - e_i) / (1 - e_i): 1 where all agree, 0 on average by chance.

References
----------
    Li et al. 2023, "Synthetic Data Generation with Large Language Models for Text Classification: Potential and
        Limitations" (arXiv 2310.07849): a_i, and why it matters.
    Krippendorff 2004, "Content Analysis", ch. 11: alpha, and .667 as the least for tentative conclusions.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import TooFewRowsError

__all__ = [
    "MOST_LABELS",
    "Tone", "agreement", "chance_plurality", "krippendorff_alpha", "krippendorff_interval", "label_counts",
    "plurality_share", "tone",
]  # fmt: skip

MOST_LABELS = 100
"""Different annotations of a set: more are no votes, but spans or free text."""
_WORD, _ASCII_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*"), re.compile(r"[a-z]+(?:['-][a-z]+)*")
"""The second is the first for small letters of ASCII alone, where it is faster."""
_JUDGING = frozenset(
    # what people do when they hold an opinion
    "think thinks thought believe believes believed feel feels felt guess suppose supposed reckon doubt doubts doubted"
    " hope hopes hoped hoping wish wishes wished wishing love loves loved loving hate hates hated hating like liked"
    " enjoy enjoys enjoyed enjoying prefer preferred dislike disliked despise adore adored admire admired appreciate"
    " appreciated regret regretted recommend recommends recommended recommending impress impresses impressed"
    " disappoint disappoints disappointed bother bothered annoy annoys annoyed bore bores bored amaze amazes amazed"
    " delight delights delighted please pleases pleased seem seems seemed appears admit agree disagree imagine wonder"
    " wondered wondering deserve deserves deserved excuse"
    " opinion opinions personally view impression sense surprise surprises surprised surprising shocked shocking"
    # what ought to be, and how sure one is of it
    " must should ought cannot obviously clearly certainly surely definitely absolutely undoubtedly unquestionably"
    " hopefully arguably presumably perhaps maybe probably possibly apparently seemingly admittedly"
    " unfortunately fortunately luckily thankfully regrettably sadly happily ironically interestingly surprisingly"
    " oddly strangely curiously honestly frankly truly genuinely sincerely"
    # how much
    " really very extremely incredibly unbelievably remarkably exceptionally amazingly terribly awfully horribly"
    " ridiculously insanely totally completely utterly thoroughly entirely wholly quite rather fairly pretty somewhat"
    " too so such just even simply merely barely hardly enough overly far much way super highly deeply hugely"
    " enormously immensely tremendously wonderfully painfully decidedly especially particularly"
    # good
    " good better best great greatest excellent superb wonderful fantastic amazing awesome brilliant brilliantly"
    " perfect perfectly fine finest nice nicely lovely beautiful beautifully gorgeous cute adorable charm charming"
    " clever cleverly smart strong powerful decent solid acceptable adequate ok okay alright memorable unforgettable"
    " interesting fascinating compelling gripping riveting engaging engrossing exciting thrilling entertaining amusing"
    " funny funnier funniest hilarious witty humorous fun enjoyable enjoyably pleasant pleasing delightful touching"
    " moving poignant heartfelt sincere honest incredible unbelievable remarkable extraordinary exceptional outstanding"
    " magnificent marvelous marvellous splendid terrific stunning breathtaking spectacular impressive phenomenal"
    " sublime exquisite elegant graceful masterpiece gem treat joy pleasure triumph success succeeds worth worthwhile"
    " worthy helpful useful handy convenient comfortable comfy cozy flattering affordable bargain reasonable fair right"
    " important crucial vital essential necessary meaningful profound insightful thoughtful intelligent imaginative"
    " inventive original fresh lively vivid sensible wise likable likeable lovable sympathetic believable convincing"
    " plausible credible effective polished smooth smoothly slick happy glad proud grateful thankful excited thrilled"
    " eager tempted favorite favourite fan fans courage courageous brave heroic noble admirable respectable promising"
    " hopeful underrated tasty delicious yummy flavorful friendly polite genius talent talented gifted inspired"
    " inspiring refreshing satisfied satisfying rewarding exhilarating intriguing absorbing haunting intense tender"
    " warm warmth sweet gentle subtle winner"
    # bad
    " bad worse worst terrible horrible awful weak poor poorly cheap flimsy sloppy shoddy mediocre average inadequate"
    " unacceptable ugly stupid dumb silly foolish ridiculous absurd pathetic lame boring dull tedious bland tiresome"
    " predictable cliche cliched forgettable uninteresting unfunny unpleasant disappointing disappointment frustrating"
    " frustrated annoying irritating infuriating disgusting disgusted gross nasty offensive insulting outrageous"
    " shameful disgraceful shame sad depressing heartbreaking dishonest unimpressive graceless flop mess messy disaster"
    " waste wastes wasted garbage trash junk crap crappy rubbish nonsense worthless useless unhelpful inconvenient"
    " uncomfortable unflattering overpriced pricey unreasonable unfair unjust wrong unimportant unnecessary needless"
    " pointless meaningless trivial laughable inept incompetent clumsy awkward heavy-handed pretentious shallow"
    " superficial thoughtless unoriginal derivative stale tired lifeless flat soulless charmless witless mindless"
    " senseless unwise naive unsympathetic unbelievable unconvincing implausible ineffective flawed rough unhappy"
    " dissatisfied unsatisfying upset angry furious ashamed worried unworthy lousy suck sucks sucked hell damn damned"
    " creepy scary weird strange odd bizarre quirky crazy insane dangerous harmful reckless irresponsible immoral evil"
    " cruel vicious brutal brutally hypocritical hypocrisy corrupt arrogant selfish greedy cowardly despicable"
    " worrying alarming troubling hopeless doomed overrated underwhelming overblown overlong overdone tasteless yuck"
    " rude unfriendly loser idiot idiots moron uninspired uninspiring bitter bittersweet harsh crude vulgar tacky"
    " cheesy corny sappy sentimental lack lacks lacking fail fails failed failure suffers ruins ruined problem problems"
    # said aloud
    " alas wow ugh yay lol haha hey please thanks sorry congratulations god".split()
)
"""Words that judge, written down by hand for this check: no other lexicon went into them. Words for oneself are left
out: an "I" tells a story as often as an opinion."""
_COMMON = frozenset(
    "the of and to a in is was that for with on it at by from an are were have has had not but they you i he she his"
    " her me my we our would could will can about than then into out up do does did all one more most many because"
    " while after before during between what which who when where how why be been or as if there their its your so"
    " very".split()
)


class Tone(NamedTuple):
    """Words of a text."""

    n_words: int
    n_judging: int
    n_common: int
    """Of the commonest English words, which make up a third and more of English prose."""

    @property
    def share(self) -> float:
        """Share of words that judge."""
        return self.n_judging / max(1, self.n_words)

    @property
    def is_prose(self) -> bool:
        """Whether this is English sentences: five words at least, a fifth of them common ones."""
        return self.n_words >= 5 and self.n_common >= self.n_words / 5


def tone(text: str) -> Tone:
    """Count the words of a text that judge.

    >>> tone("A truly wonderful film, and far too long.")
    Tone(n_words=8, n_judging=4, n_common=2)
    >>> tone("The film is 90 minutes long.").share
    0.0
    """
    small = text.lower()
    words = _ASCII_WORD.findall(small) if small.isascii() else _WORD.findall(small.replace("\u2019", "'"))
    return Tone(len(words), sum(map(_JUDGING.__contains__, words)), sum(map(_COMMON.__contains__, words)))


def label_counts(labels: Sequence[Sequence[Hashable]]) -> Int[np.ndarray, "n L"]:
    """Count how often each label was given to each row; None is no label.

    >>> label_counts([["yes", "yes", "no"], ["no", None]]).tolist()
    [[1, 2], [1, 0]]
    """
    names = sorted({label for row in labels for label in row if label is not None}, key=repr)
    number = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(labels), len(names)), dtype=np.int64)
    for i, row in enumerate(labels):
        for label in row:
            if label is not None:
                counts[i, number[label]] += 1
    return counts


def plurality_share(counts: Int[np.ndarray, "n L"]) -> Float[np.ndarray, " n"]:
    """Return a_i, nan for a row without labels.

    >>> plurality_share(np.array([[3, 1], [2, 2]])).tolist()
    [0.75, 0.5]
    """
    given = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return counts.max(axis=1, initial=0) / given


@lru_cache(maxsize=4096)
def chance_plurality(n_given: int, n_labels: int) -> float:
    """Return e_i: the mean plurality share of so many labels drawn at random from so many.

    Exactly: the counts are independent Poisson variables of mean K / L, given that they add up to K, so
    P(max <= m) is the K-th coefficient of the L-th power of the truncated Poisson series, over that of the whole one.

    >>> chance_plurality(3, 2), chance_plurality(1, 7), chance_plurality(5, 1)
    (0.75, 1.0, 1.0)
    """
    size = n_given + 1
    log_factorial = np.cumsum(np.log(np.maximum(np.arange(size), 1)))
    rate = n_given / n_labels
    series = np.exp(np.arange(size) * np.log(rate) - rate - log_factorial)
    all_ways = np.exp(n_given * np.log(n_given) - n_given - log_factorial[-1])
    at_most = [_power(np.where(np.arange(size) <= m, series, 0.0), n_labels)[-1] / all_ways for m in range(size)]
    return float(round((n_given - sum(at_most[:-1])) / n_given, 12))  # E[max] is the sum over m of P(max > m)


def _power(series: Float[np.ndarray, " s"], exponent: int) -> Float[np.ndarray, " s"]:
    """Return the first coefficients of a power of a series."""
    size = len(series)
    result = np.eye(1, size)[0]
    while exponent:
        if exponent & 1:
            result = np.convolve(result, series)[:size]
        series, exponent = np.convolve(series, series)[:size], exponent >> 1
    return result


def agreement(counts: Int[np.ndarray, "n L"], n_labels: int | None = None) -> Float[np.ndarray, " n"]:
    """Return (a_i - e_i) / (1 - e_i), nan for a row with fewer than two labels: nobody agrees alone.

    `n_labels` is L where there are more labels than these rows were given.

    >>> agreement(np.array([[3, 0], [2, 1], [1, 0]])).round(3).tolist()
    [1.0, -0.333, nan]
    """
    of = counts.shape[1] if n_labels is None else n_labels
    by_chance = np.array([chance_plurality(k, of) if k else 1.0 for k in counts.sum(axis=1).tolist()])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(by_chance < 1, (plurality_share(counts) - by_chance) / (1 - by_chance), np.nan)


def krippendorff_alpha(counts: Int[np.ndarray, "n L"]) -> float:
    """Return alpha for labels without order, nan where only one label was ever given.

    Rows with fewer than two labels say nothing. Unlike agreement by row it allows for labels that are given more often.

    >>> round(krippendorff_alpha(np.array([[2, 0], [0, 2], [1, 1]])), 3)
    0.444
    """
    pairable = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    return float(_alpha(_disagreement(pairable).sum(keepdims=True), pairable.sum(axis=0, keepdims=True))[0])


def krippendorff_interval(
    counts: Int[np.ndarray, "n L"], *, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Return alpha with the 95 % percentile interval of a bootstrap over rows.

    Raises
    ------
    TooFewRowsError
        Fewer than two rows have two labels, or only one label was ever given.
    """
    pairable = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    if len(pairable) < 2 or np.count_nonzero(pairable.sum(axis=0)) < 2:
        raise TooFewRowsError(
            f"`counts` must hold at least two rows with two labels, and two different labels, got {len(pairable)} rows"
        )
    rng, n, disagreement = np.random.default_rng(seed), len(pairable), _disagreement(pairable)
    draws = []
    for _ in range(n_resamples):
        times = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        draws.append(_alpha((times @ disagreement)[None], (times @ pairable)[None])[0])
    low, high = np.nanquantile(draws, [0.025, 0.975])
    value = krippendorff_alpha(counts)
    return value, min(float(low), value), max(float(high), value)


def _disagreement(counts: Float[np.ndarray, "n L"]) -> Float[np.ndarray, " n"]:
    """Return per row its ordered pairs of labels that differ, over K_i - 1."""
    given = counts.sum(axis=1)
    return (given**2 - (counts**2).sum(axis=1)) / (given - 1)


def _alpha(observed: Float[np.ndarray, " r"], totals: Float[np.ndarray, "r L"]) -> Float[np.ndarray, " r"]:
    in_all = totals.sum(axis=1)
    expected = (in_all**2 - (totals**2).sum(axis=1)) / (in_all - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - observed / expected
