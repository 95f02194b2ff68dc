"""What an audit costs, by itself and part by part beside what a user would pick instead.

    pip install --no-deps datasketch==2.0.0 diversity==0.3.1 rouge-score==0.1.2 nltk==3.10.4 six absl-py joblib click
    python bench/audit.py                        # a quarter of an hour on two cores

Texts have 60 words of the shipped passages, drawn one by one or, where it says "overlapping", in two runs of 30: then
nine texts in ten share a run with another and must be compared with it. Costs are processor seconds of this process and
its threads, so that a busy machine does not lengthen them. The whole audit has no peer; it is compared with its goal:
10,000 rows against 10,000 real ones in 20 s and 1 GiB.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import get_context
from types import ModuleType
from typing import Any

import numpy as np
from _record import compare, write

from unflaw import read
from unflaw._cli._demo import example_folder
from unflaw.audit import audit
from unflaw.audit._kept import kept_texts
from unflaw.audit._search import copies_within
from unflaw.data import Rows
from unflaw.measure import (
    Words,
    compression_ratio,
    normalise,
    rouge_l,
    self_repetition,
    words_of,
)

ROUNDS = 3
THRESHOLD, BANDS, MINIMA = 0.7, 32, 4
GOAL_SECONDS, GOAL_MEMORY = 20.0, 1.0
SIZES = (1_000, 10_000, 100_000)


def main() -> None:
    """Measure and write bench/results/audit.json."""
    rows = [*near_duplicates(10_000), *near_duplicates(50_000), *near_duplicates(10_000, overlapping=True)]
    rows += [*diversity(), *whole()]
    write("audit", rows)


def shingles(text: str) -> set[str]:
    """Return the runs of three words of a text."""
    words = words_of(normalise(text))
    return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def texts(n: int, seed: int = 0, copies: float = 0.1, run: int = 1) -> list[str]:
    """Draw texts of 60 words, run by run, from the passages; a share are copies of another with one word changed."""
    rng = np.random.default_rng(seed)
    words = " ".join(read(example_folder() / "passages.jsonl").column("text")).split()
    made: list[str] = []
    for i in range(n):
        if i and rng.random() < copies:
            near = made[rng.integers(i)].split()
            near[rng.integers(len(near))] = "changed"
            made.append(" ".join(near))
        else:
            starts = rng.integers(len(words) - run, size=60 // run)
            made.append(" ".join(word for start in starts for word in words[start : start + run]))
    return made


def in_turn(*arms: Callable[[], Any]) -> tuple[list[list[float]], list[Any]]:
    """Run the arms in turn, round by round: processor seconds of each, and what each answered last."""
    costs: list[list[float]] = [[] for _ in arms]
    answers: list[Any] = [None] * len(arms)
    for turn in range(ROUNDS):
        for i in range(len(arms)) if turn % 2 == 0 else reversed(range(len(arms))):
            started = time.process_time()
            answers[i] = arms[i]()
            costs[i].append(time.process_time() - started)
    return costs, answers


def near_duplicates(n: int, *, overlapping: bool = False) -> Iterator[dict[str, Any]]:
    """Find near copies among n texts: ours verifies each, rensa and datasketch go by their estimate."""
    from datasketch import MinHash, MinHashLSH
    from rensa import RMinHash, RMinHashDeduplicator

    said = texts(n, run=30 if overlapping else 1)
    ids = [f"{i:06d}" for i in range(n)]

    def ours() -> set[int]:
        return {int(row_id) for row_id in copies_within(kept_texts(range(n), ids, said, [""] * n), THRESHOLD)["id"].to_pylist()}

    def rensa() -> set[int]:
        sets = [list(shingles(text)) for text in said]
        hashes = RMinHash.from_token_sets(sets, BANDS * MINIMA, 1)
        found = RMinHashDeduplicator(THRESHOLD, BANDS * MINIMA, True, BANDS, 1)
        return set(np.flatnonzero(~np.array(found.add_pairs(list(zip(ids, hashes, strict=True))))).tolist())

    def datasketch() -> set[int]:
        index, found, kept = MinHashLSH(params=(BANDS, MINIMA), num_perm=BANDS * MINIMA), set(), {}
        hashes = MinHash.generator(([s.encode() for s in shingles(text)] for text in said), num_perm=BANDS * MINIMA)
        for i, minhash in enumerate(hashes):
            if any(minhash.jaccard(kept[j]) >= THRESHOLD for j in index.query(minhash)):
                found.add(i)
            else:
                index.insert(i, minhash)
                kept[i] = minhash
        return found

    arms = [ours, rensa] + ([datasketch] if n <= 10_000 else [])
    costs, answers = in_turn(*arms)
    for peer, cost, answer in zip(("rensa", "datasketch"), costs[1:], answers[1:], strict=False):
        differ = len(answers[0] ^ answer) / max(1, len(answers[0]))
        job = f"near_duplicates{'_overlapping' if overlapping else ''}_vs_{peer}_{n}"
        yield compare(job, "CPU s", costs[0], cost, f"{peer} {version(peer)}", equal_answer=differ <= 0.01)
        print(f"{job}: {len(answers[0])} near copies, {peer} {len(answer)}; {differ:.2%} differ", flush=True)


@contextmanager
def without_models() -> Iterator[None]:
    """Let `diversity` be imported without the models it loads for what is not asked of it here."""
    for name, inside in (("evaluate", "load"), ("sentence_transformers", "SentenceTransformer")):
        stand_in = ModuleType(name)
        setattr(stand_in, inside, None)
        sys.modules.setdefault(name, stand_in)
    yield


def diversity() -> Iterator[dict[str, Any]]:
    """Measure homogenisation of 300 texts, self-repetition and compression of 10,000."""
    from importlib.util import find_spec

    package = ModuleType("diversity")  # its __init__ imports everything
    package.__path__ = list(find_spec("diversity").submodule_search_locations)
    sys.modules["diversity"] = package
    with without_models():
        from diversity.compression import compression_ratio as their_ratio
        from diversity.homogenization import homogenization_score
        from diversity.self_repetition import self_repetition_score

    few, many = (texts(n, copies=0.0) for n in (300, 10_000))

    def homogenisation() -> float:
        pairs = rouge_l(Words.of([text.split() for text in few]))
        return float((pairs.sum() - np.trace(pairs)) / (len(few) * (len(few) - 1)))

    jobs = {
        "homogenisation": (homogenisation, lambda: homogenization_score(few, verbose=False), 5e-3),
        "self_repetition": (
            lambda: self_repetition(Words.of([text.split() for text in many])).mean(),
            lambda: self_repetition_score(many, verbose=False), 1e-6,
        ),
        "compression": (lambda: compression_ratio(many), lambda: their_ratio(many), 1e-2),
    }  # fmt: skip
    for job, (ours, theirs, tolerance) in jobs.items():
        costs, (mine, other) = in_turn(ours, theirs)
        equal = abs(mine - other) <= tolerance * max(1.0, abs(other))
        yield compare(
            f"{job}_vs_diversity", "CPU s", *costs, f"diversity {version('diversity')}", equal_answer=bool(equal)
        )
        print(f"{job}: {mine:.4f} and {other:.4f}", flush=True)


def whole() -> Iterator[dict[str, Any]]:
    """Audit more and more rows, each in a process of its own, and say how the cost grows."""
    spent: dict[int, list[tuple[float, float]]] = {}
    for n in SIZES:
        with get_context("spawn").Pool(1) as pool:
            spent[n] = [pool.apply(one_audit, (n,))]
        print(f"{n} rows: {spent[n][0][0]:.1f} CPU s, {spent[n][0][1]:.2f} GiB", flush=True)
        goal = {"peer_version": "the goal", "equal_answer": None}
        if n == 10_000:
            yield compare("whole_audit_time", "CPU s", [s for s, _ in spent[n]], [GOAL_SECONDS], **goal)
            yield compare("whole_audit_memory", "GiB", [m for _, m in spent[n]], [GOAL_MEMORY], **goal)
    for small, large in zip(SIZES, SIZES[1:], strict=False):
        costs = [[spent[n][0][0] / n * 1000] for n in (large, small)]
        yield compare(f"whole_audit_{large}_vs_{small}", "CPU s per 1000 rows", *costs, "ours", equal_answer=None)


def one_audit(n: int) -> tuple[float, float]:
    """Audit n rows against as many; return processor seconds and peak memory in GiB."""
    import resource

    sets = [as_rows(texts(n, seed, copies=0.0)) for seed in (1, 2)]
    audit(as_rows(texts(100, 3)), as_rows(texts(100, 4)))  # models and libraries are loaded
    started = time.process_time()
    audit(*sets)
    scale = 1 if sys.platform == "darwin" else 1024
    return time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def as_rows(said: Sequence[str]) -> Rows:
    """Return texts as rows."""
    return Rows.from_records([{"text": text} for text in said], {"text": "text"})


if __name__ == "__main__":
    main()
