"""Is a fine-tuned model written from as fast as the embedded one? And as transformers would?

    python bench/generation.py

One run, the jobs in turn, the same 24 prompts, 48 tokens each at most, two threads.
"""

import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from unflaw.data import Rows, atomic_write
from unflaw.models import HFGenerator, Sampling, open_causal, open_generator
from unflaw.train import finetune

PLACES = "France Spain Italy Germany Peru Chile Japan China India Egypt Kenya Ghana".split()
PROMPTS = [f"Write a short paragraph about {p}." for p in PLACES] + [f"Why visit {p}?" for p in PLACES]
SAMPLING = Sampling(max_tokens=48)
ROUNDS = 3


def main() -> None:
    """Measure and write bench/results/generation.json."""
    rows = Rows.from_records(
        [{"prompt": "Say hi.", "response": "Hi there!"}] * 8, {"prompt": "prompt", "response": "response"}
    )
    with tempfile.TemporaryDirectory() as folder:
        finetune("smollm2", rows, folder, steps=1, batch_size=2, method="lora")
        openers = {
            "embedded": lambda: open_generator("smollm2"),
            "fine_tuned": lambda: open_generator(f"peft:{folder}"),
            "transformers": lambda: HFGenerator(*open_causal(f"peft:{folder}")),
        }
        speeds: dict[str, list[float]] = {name: [] for name in openers}
        generators = {name: opener() for name, opener in openers.items()}
        for _ in range(ROUNDS):
            for name, generator in generators.items():
                started, before = time.perf_counter(), generator.usage.completion_tokens
                generator.generate(PROMPTS, SAMPLING)
                tokens = generator.usage.completion_tokens - before
                speeds[name].append(tokens / (time.perf_counter() - started))
                print(f"{name}: {speeds[name][-1]:.0f} tokens/s", flush=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}, 2 threads"
    record = {
        "machine": machine,
        "rows": [ratio("fine_tuned_vs_embedded", speeds, "fine_tuned", "embedded", f"unflaw {version('unflaw')}"),
                 ratio("fine_tuned_vs_transformers", speeds, "fine_tuned", "transformers",
                       f"transformers {version('transformers')}")],
    }  # fmt: skip
    with atomic_write(Path(__file__).parent / "results" / "generation.json") as file:
        json.dump(record, file, indent=1)
    print(json.dumps(record, indent=1))


def ratio(job: str, speeds: dict[str, list[float]], ours: str, peer: str, peer_version: str) -> dict[str, object]:
    """Seconds per token, ours over the peer's, round by round: below 1 is faster."""
    per_round = np.array(speeds[peer]) / np.array(speeds[ours])
    return {
        "job": job, "ours": float(np.median(speeds[ours])), "peer": float(np.median(speeds[peer])),
        "peer_version": peer_version, "unit": "tokens/s", "ratio": float(np.median(per_round)),
        "low": float(per_round.min()), "high": float(per_round.max()), "equal_answer": False,
    }  # fmt: skip


if __name__ == "__main__":
    main()
