"""What weights, dynamics and asking a server cost on top of what would be done anyway.

    python bench/classify.py                                    # some minutes on two cores
    python bench/classify.py --data-designer /path/to/python    # a Python that has data-designer installed

Step: the same MiniLM, rows and batches, an epoch in turn: by weights that are fixed, by live ones (DIMP), by weights
that are learnt (Hu et al., SunGen), and plain; plain by `transformers.Trainer` as it comes, and by `WeightedTrainer` in
its place. Seconds per step. `equal_answer`: weights of 1 give the losses of no weights.

Dynamics: an evaluation pass over the rows after an epoch, alone and with what is recorded of it. Seconds.

Generation: labelled texts from one server that waits 20 ms and answers at once then: by `unflaw generate text`'s own
function, by the same requests sent in parallel with nothing around them, and by Data Designer (whose profile of the
columns gives up at once without a network). Milliseconds of processor time a row, of the client alone; rows per second,
too.

Own: texts that a writer gives at once, every answer kept in a run's file of calls: what a row takes of our own time.

Shots: texts written after four of 30,000 real rows, and after four of 300, by a writer that answers at once: what it
takes to draw shots, to show them, and to hold answers against them. Milliseconds of processor time a row.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from _record import compare, write

from unflaw.data import Rows
from unflaw.generate import TextTask, text, text_prompts
from unflaw.models import CallCache, cached, class_logits, open_generator, open_trainable_classifier
from unflaw.train import QUALITY, read_dynamics, record_epoch, train_classifier
from unflaw.train._labelled import LabelledSet

ROUNDS, N_ROWS, BATCH = 5, 192, 32
N_SERVED, PARALLEL, WAIT = 500, 32, 0.02
N_INSTANT = 2000
TASK = TextTask("one sentence of a film review", {"positive": "it praises", "negative": "it blames"}, (3, 40))
WORDS = "the film story actor scene music plot end quiet slow bright long a of and in to was for that".split()


def main() -> None:
    """Measure and write bench/results/classify.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-designer", metavar="PYTHON", help="a Python that has data-designer installed")
    parser.add_argument("--only", choices=("step", "dynamics", "generation", "own", "shots"))
    told = parser.parse_args()
    jobs = {
        "step": steps, "dynamics": dynamics, "generation": lambda: generation(told.data_designer), "own": own,
        "shots": shots,
    }  # fmt: skip
    rows = [row for name, job in jobs.items() if told.only in (None, name) for row in job()]
    write("classify", rows, keep=True)
    print(json.dumps(rows, indent=1))


def labelled(n: int, seed: int = 0) -> Rows:
    """Make rows of 12 to 30 words."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(12, 31))) + f" {k}" for k in range(n)]
    records = [{"text": t, "label": ("positive", "negative")[k % 2]} for k, t in enumerate(texts)]
    return Rows.from_records(records, {"text": "text", "label": "label"})


def steps() -> Iterator[dict[str, Any]]:
    """Compare a training step by weights with a plain one."""
    rows, meta = labelled(N_ROWS), labelled(64, seed=1)
    ones = rows.with_column("weight", [1.0] * N_ROWS).with_column(QUALITY, [0.9] * N_ROWS)
    arms: dict[str, tuple[Rows, dict[str, Any]]] = {
        "plain": (rows, {}), "weighted": (ones, {}), "dimp": (ones, {"objective": "dimp"}),
        "hu": (rows, {"objective": "hu", "meta": meta}), "sungen": (rows, {"objective": "sungen", "meta": meta}),
    }  # fmt: skip
    spent: dict[str, list[float]] = {name: [] for name in (*arms, "trainer", "weighted_trainer")}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        train_classifier("minilm", rows, folder, epochs=1, batch_size=BATCH)  # what is loaded and compiled once
        for number in range(ROUNDS):
            for name, (given, how) in list(arms.items())[:: -1 if number % 2 else 1]:
                done = train_classifier("minilm", given, folder, epochs=1, batch_size=BATCH, **how)
                spent[name].append(done.seconds / done.steps)
                losses[name] = [step["loss"] for step in done.curve]
            spent["trainer"].append(trainer_step(rows, folder))
            spent["weighted_trainer"].append(trainer_step(ones, folder))
            print(f"round {number + 1}: " + ", ".join(f"{n} {s[-1]:.3f} s" for n, s in spent.items()), flush=True)
    equal = bool(np.allclose(losses["plain"], losses["weighted"], rtol=1e-4))
    ours, theirs = f"unflaw {version('unflaw')}, plain", f"transformers {version('transformers')}"
    for name in ("weighted", "dimp", "hu", "sungen"):
        same = equal if name == "weighted" else None
        yield compare(f"{name}_step_vs_plain", "s per step", spent[name], spent["plain"], ours, equal_answer=same)
    for name in ("plain", "weighted_trainer"):
        job = f"{name}_step_vs_trainer".replace("trainer_step_vs", "vs")
        yield compare(job, "s per step", spent[name], spent["trainer"], theirs, equal_answer=None)


def trainer_step(rows: Rows, folder: str) -> float:
    """Train an epoch by a Trainer, or by ours where rows hold a weight; return seconds per step."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from unflaw.train import WeightedCollator, WeightedTrainer

    model, tokenizer, _ = open_trainable_classifier("minilm", ["negative", "positive"])
    encoded = LabelledSet.of(rows, ["negative", "positive"], model, tokenizer, 128)
    data = Dataset.from_list([{**f, "labels": int(y)} for f, y in zip(encoded.features, encoded.y, strict=True)])
    kind, collate = Trainer, DataCollatorWithPadding(tokenizer)
    if (weights := rows.weights()) is not None:
        kind, collate, data = WeightedTrainer, WeightedCollator(collate), data.add_column("weight", weights)
    arguments = TrainingArguments(
        output_dir=folder, num_train_epochs=1, per_device_train_batch_size=BATCH, use_cpu=True, report_to="none",
        disable_tqdm=True, save_strategy="no", logging_steps=1, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = kind(model=model, args=arguments, train_dataset=data, data_collator=collate)
    for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == "PrinterCallback"]:
        trainer.remove_callback(callback)
    started = time.perf_counter()
    trainer.train()
    return (time.perf_counter() - started) / trainer.state.global_step


def dynamics() -> Iterator[dict[str, Any]]:
    """Compare an evaluation pass that is recorded with one that is not."""
    rows = labelled(4 * N_ROWS)
    model, tokenizer, _ = open_trainable_classifier("minilm", ["negative", "positive"])
    encoded = LabelledSet.of(rows, ["negative", "positive"], model, tokenizer, 128)
    alone: list[float] = []
    recorded: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS + 1):
            started = time.perf_counter()
            z = class_logits(model, encoded.features)
            passed = time.perf_counter()
            record_epoch(folder, number + 1, encoded.ids, z, encoded.y)
            if number:  # the first warms up
                alone.append(passed - started)
                recorded.append(time.perf_counter() - started)
        equal = bool(np.allclose(read_dynamics(folder).logits[-1], z, atol=1e-5))
    yield compare("dynamics_overhead", "s per epoch", recorded, alone, "the evaluation pass alone", equal_answer=equal)


def generation(data_designer: str | None) -> Iterator[dict[str, Any]]:
    """Compare writing rows through a server with asking the server alone, and with Data Designer."""
    spent: dict[str, list[float]] = {"ours": [], "raw": [], "data_designer": []}
    speed: dict[str, list[float]] = {"ours": [], "raw": [], "data_designer": []}
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with server() as url:
        for job in (ours_served, raw_served):
            job(url, ROUNDS)  # imports, and what else is done once
        for number in range(ROUNDS):
            for name, job in (("ours", ours_served), ("raw", raw_served)):
                cpu, wall = time.process_time(), time.perf_counter()
                n = job(url, number)
                spent[name].append(1000 * (time.process_time() - cpu) / n)
                speed[name].append(n / (time.perf_counter() - wall))
            if data_designer is not None:
                cpu_s, wall_s, n = peer_served(data_designer, url)
                spent["data_designer"].append(1000 * cpu_s / n)
                speed["data_designer"].append(n / wall_s)
            told = ", ".join(f"{k} {v[-1]:.2f} ms, {speed[k][-1]:.0f} rows/s" for k, v in spent.items() if v)
            print(f"round {number + 1}: {told}", flush=True)
    raw = f"openai {version('openai')}, requests alone"
    yield compare("generation_vs_requests", "ms CPU per row", spent["ours"], spent["raw"], raw, equal_answer=None)
    yield compare(
        "generation_speed_vs_requests", "rows/s", speed["ours"], speed["raw"], raw, equal_answer=None,
        more_is_better=True,
    )  # fmt: skip
    if data_designer is not None:
        found = subprocess.run(
            [data_designer, "-c", "from importlib.metadata import version; print(version('data-designer'))"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        peer = f"data-designer {found}"
        for job, unit, by in (("_overhead", "ms CPU per row", spent), ("_speed", "rows/s", speed)):
            yield compare(
                f"generation{job}_vs_data_designer", unit, by["ours"], by["data_designer"], peer, equal_answer=None,
                more_is_better=unit == "rows/s",
            )  # fmt: skip


def own() -> Iterator[dict[str, Any]]:
    """Measure our own time: a writer that answers at once, every answer kept in a file as a run keeps it."""
    spent = []
    for number in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder, CallCache(Path(folder) / "calls.db") as calls:
            cpu = time.process_time()
            text(TASK, cached(_Instant(), calls, name="instant"), n=N_INSTANT, turns=1)
            if number:  # the first warms up
                spent.append(1000 * (time.process_time() - cpu) / N_INSTANT)
    goal = [1.0] * len(spent)
    yield compare("generation_overhead", "ms CPU per row", spent, goal, "the goal of 1 ms", equal_answer=None)


def shots() -> Iterator[dict[str, Any]]:
    """Compare drawing shots from many examples with drawing them from few."""
    many, few = labelled(30_000), labelled(300)
    spent: dict[str, list[float]] = {"many": [], "few": []}
    for number in range(ROUNDS + 1):
        for name, examples in (("many", many), ("few", few)):
            cpu = time.process_time()
            text(TASK, _Instant(), n=N_INSTANT, examples=examples, shots=4, seed=number * N_INSTANT)
            if number:  # the first warms up
                spent[name].append(1000 * (time.process_time() - cpu) / N_INSTANT)
    yield compare(
        "shots_of_30000_vs_300", "ms CPU per row", spent["many"], spent["few"], "300 examples", equal_answer=None
    )


class _Instant:
    """Writes words at once."""

    def generate(self, prompts: Any, sampling: Any) -> list[str]:
        rng = np.random.default_rng(sampling.seed)
        return [json.dumps({"text": " ".join([*rng.choice(WORDS, 12), str(sampling.seed), str(k)])})
                for k in range(len(prompts))]  # fmt: skip


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server of its own process."""
    path = Path(__file__).with_name("_server.py")
    process = subprocess.Popen([sys.executable, str(path), str(WAIT)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"  # type: ignore[union-attr]
    finally:
        process.kill()


def ours_served(url: str, number: int) -> int:
    """Write rows as `unflaw generate text` does."""
    generator = open_generator(f"openai:mock@{url}", n_parallel=PARALLEL)
    made = text(TASK, generator, n=N_SERVED, turns=1, seed=number * N_SERVED)
    return len(made.rows)


def raw_served(url: str, number: int) -> int:
    """Send as many requests that say the same, and do nothing with the answers."""
    from openai import AsyncOpenAI

    sampling = text(TASK, _Instant(), n=2).settings["sampling"]
    schema = {"name": "answer", "strict": False, "schema": sampling["json_schema"]}
    asked: list[Any] = text_prompts(TASK, n=2, turns=1)

    async def ask_all() -> None:
        client, free = AsyncOpenAI(base_url=url, api_key="none"), asyncio.Semaphore(PARALLEL)

        async def ask(k: int) -> None:
            async with free:
                await client.chat.completions.create(
                    model="mock", messages=asked[k % 2], max_tokens=sampling["max_tokens"],
                    temperature=sampling["temperature"], top_p=sampling["top_p"], seed=number * N_SERVED + k,
                    response_format={"type": "json_schema", "json_schema": schema},
                )  # fmt: skip

        await asyncio.gather(*(ask(k) for k in range(N_SERVED)))
        await client.close()

    asyncio.run(ask_all())
    return N_SERVED


def peer_served(python: str, url: str) -> tuple[float, float, int]:
    """Have Data Designer write as many rows; return processor seconds, seconds, and rows."""
    settings = json.dumps({"url": url, "n": N_SERVED, "parallel": PARALLEL})
    path = Path(__file__).with_name("_peers.py")
    done = subprocess.run(
        [python, str(path), "data_designer", "-", settings], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return said["cpu"], said["answer"]["seconds"], said["answer"]["rows"]


if __name__ == "__main__":
    main()
