r"""What an audit costs, by itself and part by part beside what a user would pick instead.

    pip install --no-deps datasketch==2.0.0 diversity==0.3.1 rouge-score==0.1.2 nltk==3.10.4 six absl-py joblib click
    for peer in "semhash semhash==0.5.0" "datatrove datatrove[processing]==0.10.1 spacy orjson" \
        "ydata ydata-profiling==4.18.4 setuptools" "data_juicer torch aiohttp py-data-juicer==1.6.1"; do
        set -- $peer; name=$1; shift; python -m venv peers/$name && peers/$name/bin/pip install "$@"
    done
    python bench/audit.py --peers peers          # half an hour on two cores; one job: --only near_duplicates

Peers whose dependencies bar others from the same environment have one of their own below `--peers`; without it they
are left out. Texts have 60 words of the shipped passages, drawn one by one or, where it says "overlapping", in two runs
of 30: then nine texts in ten share a run with another and must be compared with it. Costs are processor seconds of a
process, its threads and its children, so that a busy machine lengthens them little. The whole audit has no peer that
does as much; it is compared with its goal, 10,000 rows in 20 s and 1 GiB (against 10,000 real ones, rows and models
loaded before; and the command, which loads them), and with what Data-Juicer's analyser takes for its statistics.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from _record import compare, write
from _texts import as_questions, as_rows, shingles, texts

from unflaw.audit import LabelsCheck, audit
from unflaw.audit._kept import kept_texts, kept_vectors
from unflaw.audit._neighbours import neighbours_within
from unflaw.audit._sample import draw
from unflaw.audit._search import copies_within
from unflaw.data import Rows
from unflaw.data import write as save
from unflaw.measure import (
    Words,
    compression_ratio,
    out_of_sample,
    rouge_l,
    self_repetition,
)
from unflaw.models import open_encoder
from unflaw.models._embedded import asset_folder

ROUNDS = 3
THRESHOLD, BANDS, MINIMA = 0.7, 32, 4
ESTIMATED = 3 * math.sqrt(THRESHOLD * (1 - THRESHOLD) / (BANDS * MINIMA))
"""Three standard errors of what a peer estimates of two texts as alike as the threshold asks: nearer it cannot tell."""
GOAL_SECONDS, GOAL_MEMORY = 20.0, 1.0


def main() -> None:
    """Measure and write bench/results/audit.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder of environments, one for each peer")
    parser.add_argument("--only", choices=JOBS, help="measure this alone, and keep the rest as it was")
    told = parser.parse_args()
    for job in JOBS if told.only is None else [told.only]:
        write("audit", list(JOBS[job](told.peers)), keep=True)


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


def peer(folder: Path | None, name: str, path: Path, **settings: Any) -> Callable[[], tuple[float, Any]] | None:
    """Return what runs a peer on a file and says (processor seconds, answer); None where the peer is not there."""
    python = None if folder is None else folder / name / "bin" / "python"
    if python is None or not python.exists():
        print(f"{name} is left out: no {python or '--peers'}", flush=True)
        return None

    def run() -> tuple[float, Any]:
        call = [str(python), str(Path(__file__).with_name("_peers.py")), name, str(path), json.dumps(settings)]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        return told["cpu"], told["answer"]

    return run


def beside(ours: Callable[[], Any], theirs: Callable[[], tuple[float, Any]]) -> tuple[list[list[float]], list[Any]]:
    """Run ours here and a peer in its own environment in turn: processor seconds of each, and what each answered."""
    costs: list[list[float]] = [[], []]
    answers: list[Any] = [None, None]
    for _ in range(ROUNDS):
        spent, answers[1] = theirs()
        costs[1].append(spent)
        started = sum(os.times()[:4])
        answers[0] = ours()
        costs[0].append(sum(os.times()[:4]) - started)
    return costs, answers


def near_duplicates_of_all_sizes(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Compare with rensa and datasketch at three settings, and with datatrove at one."""
    yield from near_duplicates(10_000)
    yield from near_duplicates(50_000)
    yield from near_duplicates(10_000, overlapping=True)
    said = texts(10_000)
    with written(said) as path:
        if theirs := peer(peers, "datatrove", path, bands=BANDS, minima=MINIMA):
            costs, (mine, other) = beside(lambda: len(near_copies(said)), theirs)
            equal = abs(mine - other) <= 0.02 * mine
            yield compare("near_duplicates_vs_datatrove_10000", "CPU s", *costs, "datatrove 0.10.1", equal_answer=equal)
            print(f"datatrove: {mine} near copies, {other}", flush=True)


def near_copies(said: Sequence[str]) -> list[str]:
    """Return the names of the texts that repeat another, as our check finds them; a name is the text's number."""
    kept = kept_texts(range(len(said)), [f"{i:06d}" for i in range(len(said))], said, [""] * len(said))
    found: list[str] = copies_within(kept, THRESHOLD)["id"].to_pylist()
    return found


@contextmanager
def written(said: Sequence[str]) -> Iterator[Path]:
    """Write texts to a file that goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in said))
        yield path


def paraphrases(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Find rows alike by the same vectors at the same cosine: exactly, and in cells, beside an index."""
    encoder, folder = open_encoder("potion"), asset_folder("potion")
    for n in (10_000, 50_000):
        said = texts(n)
        with written(said) as path:
            if not (theirs := peer(peers, "semhash", path, encoder=str(folder), threshold=0.85)):
                return
            for way, most in (("exact", n), ("cells", 1000)):

                def ours(most: int = most, said: list[str] = said) -> int:
                    ids = [f"{i:06d}" for i in range(len(said))]
                    kept = kept_vectors(range(len(said)), ids, said, encoder.encode(said))
                    found = neighbours_within(kept, 0.85, most, map)
                    return len(found.twins) + len(said) - found.n_rows

                costs, (mine, other) = beside(ours, theirs)
                equal = abs(mine - other) <= 0.02 * mine
                job = f"paraphrases_{way}_vs_semhash_{n}"
                yield compare(job, "CPU s", *costs, "semhash 0.5.0", equal_answer=equal)
                print(f"{job}: {mine} rows alike, {other}", flush=True)


def labels(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Ask our four questions of labels, beside cleanlab's Datalab with the same vectors and probabilities."""
    from cleanlab import Datalab

    rng, n = np.random.default_rng(0), 4000
    classes = rng.integers(5, size=n)
    said = [f"{'abcde'[k]}{'vwxyz'[k]} topic {k} " + text for k, text in zip(classes, texts(n, 5), strict=True)]
    given = np.where(rng.random(n) < 0.05, rng.integers(5, size=n), classes)
    rows = Rows.from_records(
        [{"text": t, "label": str(k)} for t, k in zip(said, given, strict=True)], {"text": "text", "label": "label"}
    )
    encoder = open_encoder("potion")

    def ours() -> set[str]:
        found = audit(rows, checks=[LabelsCheck()], encoder=encoder).findings
        (finding,) = (f for f in found if f.check == "labels.noise")
        return set(finding.row_scores)

    order = sorted(range(n), key=lambda i: draw(rows.ids[i], 0))  # as ours are dealt into folds

    def theirs() -> set[str]:
        x, labels = encoder.encode(rows.texts()).astype(np.float64)[order], given[order]
        lab = Datalab(data={"label": labels}, label_name="label", verbosity=0)
        lab.find_issues(pred_probs=out_of_sample(x, labels, seed=0), issue_types={"label": {}})
        return {rows.ids[order[i]] for i in np.flatnonzero(lab.get_issues("label")["is_label_issue"])}

    costs, (mine, other) = in_turn(ours, theirs)
    equal = len(mine ^ other) <= 0.05 * max(1, len(other))
    yield compare("label_issues_vs_cleanlab", "CPU s", *costs, f"cleanlab {version('cleanlab')}", equal_answer=equal)
    print(f"labels: {len(mine)} in doubt, cleanlab {len(other)}, {len(mine ^ other)} differ", flush=True)


def near_duplicates(n: int, *, overlapping: bool = False) -> Iterator[dict[str, Any]]:
    """Find near copies among n texts: ours verifies each, rensa and datasketch go by their estimate."""
    from datasketch import MinHash, MinHashLSH
    from rensa import RMinHash, RMinHashDeduplicator

    said = texts(n, run=30 if overlapping else 1)
    ids = [f"{i:06d}" for i in range(n)]

    def ours() -> set[int]:
        return {int(row_id) for row_id in near_copies(said)}

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
        job, differ = f"near_duplicates{'_overlapping' if overlapping else ''}_vs_{peer}_{n}", answers[0] ^ answer
        clear = [i for i in differ if abs(nearest(said, i) - THRESHOLD) > ESTIMATED]
        equal = len(clear) <= 0.01 * len(answers[0])
        yield compare(job, "CPU s", costs[0], cost, f"{peer} {version(peer)}", equal_answer=equal)
        told = (
            f"{len(answers[0])} near copies, {peer} {len(answer)}; {len(differ)} differ, {len(clear)} of them clearly"
        )
        print(f"{job}: {told}", flush=True)


def nearest(said: Sequence[str], i: int) -> float:
    """Return the highest Jaccard similarity of a text to any other."""
    mine = shingles(said[i])
    others = (shingles(text) for j, text in enumerate(said) if j != i)
    return max(len(mine & of) / len(mine | of) for of in others)


@contextmanager
def without_models() -> Iterator[None]:
    """Let `diversity` be imported without the models it loads for what is not asked of it here."""
    for name, inside in (("evaluate", "load"), ("sentence_transformers", "SentenceTransformer")):
        stand_in = ModuleType(name)
        setattr(stand_in, inside, None)
        sys.modules.setdefault(name, stand_in)
    yield


def diversity(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Measure homogenisation of 300 texts, self-repetition and compression of 10,000."""
    from importlib.util import find_spec

    package = ModuleType("diversity")  # its __init__ imports everything
    package.__path__ = list(find_spec("diversity").submodule_search_locations)
    sys.modules["diversity"] = package
    with without_models():
        from diversity.compression import compression_ratio as their_ratio
        from diversity.homogenization import homogenization_score
        from diversity.self_repetition import self_repetition_score
    from rouge_score.tokenizers import DefaultTokenizer

    tokens = DefaultTokenizer(use_stemmer=False).tokenize  # as theirs; ours takes any words
    few, many = (texts(n, copies=0.0) for n in (300, 10_000))

    def homogenisation() -> float:
        pairs = rouge_l(Words.of([tokens(text) for text in few]))
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


def whole(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Audit 10,000 rows against as many in a process of its own, beside the goal and Data-Juicer's statistics."""
    goal = {"peer_version": "the goal", "equal_answer": None}
    for kind in ("questions", "texts"):
        spent = []
        for _ in range(ROUNDS):
            with get_context("spawn").Pool(1) as pool:
                spent.append(pool.apply(one_audit, (10_000, kind == "questions")))
            print(f"10,000 {kind}: {spent[-1][0]:.1f} CPU s, {spent[-1][1]:.2f} GiB", flush=True)
        job = f"whole_audit_{kind}" if kind == "questions" else "whole_audit"
        yield compare(f"{job}_time", "CPU s", [s for s, _ in spent], [GOAL_SECONDS] * ROUNDS, **goal)
        yield compare(f"{job}_memory", "GiB", [m for _, m in spent], [GOAL_MEMORY] * ROUNDS, **goal)
    for beside in (False, True):
        costs = [one_command(10_000, beside=beside) for _ in range(ROUNDS)]
        print(f"the command, {'beside real rows' if beside else 'alone'}: {costs} CPU s", flush=True)
        job = f"whole_audit_command_{'beside_real_rows' if beside else 'alone'}_time"
        yield compare(job, "CPU s", costs, [GOAL_SECONDS] * ROUNDS, **goal)
    with written(texts(10_000, 1, copies=0.0)) as path:
        if theirs := peer(peers, "data_juicer", path):
            costs = [theirs()[0] for _ in range(ROUNDS)]
            name = {"peer_version": "py-data-juicer 1.6.1, 8 statistics, no real rows", "equal_answer": None}
            yield compare("whole_audit_vs_data_juicer", "CPU s", [s for s, _ in spent], costs, **name)


def report(peers: Path | None) -> Iterator[dict[str, Any]]:
    """Write the report of 10,000 rows, and open it in Chromium, beside ydata-profiling's."""
    from unflaw._cli import main as unflaw

    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        for name, seed in (("rows", 1), ("real", 2)):
            lines = ({"question": t[:100], "answer": t[100:]} for t in texts(10_000, seed, copies=0.05))
            (at / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        theirs = peer(peers, "ydata", at / "rows.jsonl", out=str(at / "theirs.html"))
        if theirs is None:
            return
        theirs()
        for call in (["audit", f"{at}/rows.jsonl", "--reference", f"{at}/real.jsonl", "--run", f"{at}/run"],
                     ["report", f"{at}/run"]):  # fmt: skip
            with suppress(SystemExit):
                sys.argv = ["unflaw", *call]
                unflaw()
        pages = at / "run" / "report.html", at / "theirs.html"
        sizes = [[page.stat().st_size / 2**20] for page in pages]
        of = {"peer_version": "ydata-profiling 4.18.4, of the same table", "equal_answer": None}
        yield compare("report_size_vs_ydata", "MiB", *sizes, **of)
        opened = [[opening_seconds(page) for page in pages] for _ in range(ROUNDS)]
        yield compare("report_opening_vs_ydata", "s", *map(list, zip(*opened, strict=True)), **of)


def opening_seconds(page: Path) -> float:
    """Return how long Chromium takes from navigation to the end of loading."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    browser = webdriver.Chrome(options=options)
    try:
        browser.get(page.as_uri())
        took = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    finally:
        browser.quit()
    return float(took) / 1000


def one_audit(n: int, asked: bool) -> tuple[float, float]:
    """Audit n texts, or questions with answers, against as many; return processor seconds and peak memory in GiB."""
    of = as_questions if asked else as_rows
    sets = [of(texts(n, seed, copies=0.0)) for seed in (1, 2)]
    audit(of(texts(100, 3)), of(texts(100, 4)))  # models and libraries are loaded
    started = time.process_time()
    audit(*sets)
    return time.process_time() - started, peak_memory() / 2**30


def one_command(n: int, *, beside: bool) -> float:
    """Call `unflaw audit --run` on n questions with answers, start and files included; return processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        for name, seed in (("rows", 1), ("real", 2)):
            save(as_questions(texts(n, seed, copies=0.0)), Path(folder) / f"{name}.jsonl")
        call = [str(Path(sys.executable).with_name("unflaw")), "audit", f"{folder}/rows.jsonl"]
        call += ["--columns", "prompt=q,response=a", "--run", f"{folder}/run"]
        call += ["--reference", f"{folder}/real.jsonl"] if beside else []
        before = sum(os.times()[2:4])
        subprocess.run(call, check=True, capture_output=True)
        return sum(os.times()[2:4]) - before


def peak_memory() -> int:
    """Return the most bytes that this process has held, those of the one that started it left out."""
    import resource

    if (status := Path("/proc/self/status")).exists():
        return int(next(line.split()[1] for line in status.open() if line.startswith("VmHWM"))) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


JOBS = {
    "near_duplicates": near_duplicates_of_all_sizes, "paraphrases": paraphrases, "labels": labels,
    "diversity": diversity, "whole": whole, "report": report,
}  # fmt: skip


if __name__ == "__main__":
    main()
