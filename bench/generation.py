"""Is a fine-tuned model written from as fast as the embedded one? And as transformers would?

    python bench/generation.py

One run, the jobs in turn, the same 24 prompts, 48 tokens each at most.
`equal_answer`: all texts are the same to the letter.
"""

import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _machine import machine

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
        opening: dict[str, list[float]] = {name: [] for name in openers}
        texts: dict[str, list[str]] = {}
        for number in range(ROUNDS):
            for name, opener in openers.items():
                started = time.perf_counter()
                generator = opener()
                opening[name].append(time.perf_counter() - started)
                started = time.perf_counter()
                texts[name] = generator.generate(PROMPTS, SAMPLING)
                speeds[name].append(generator.usage.completion_tokens / (time.perf_counter() - started))
                del generator
                print(f"round {number + 1}, {name}: opened in {opening[name][-1]:.1f} s, "
                      f"{speeds[name][-1]:.0f} tokens/s", flush=True)  # fmt: skip
    ours, theirs = f"unflaw {version('unflaw')}", f"transformers {version('transformers')}"
    record = {
        "machine": machine(),
        "rows": [
            row("fine_tuned_vs_embedded", "tokens/s", speeds, texts, "embedded", ours),
            row("fine_tuned_vs_transformers", "tokens/s", speeds, texts, "transformers", theirs),
            row("opening_fine_tuned_vs_transformers", "s", opening, texts, "transformers", theirs),
        ],
    }
    with atomic_write(Path(__file__).parent / "results" / "generation.json") as file:
        json.dump(record, file, indent=1)
    print(json.dumps(record, indent=1))


def row(
    job: str, unit: str, measured: dict[str, list[float]], texts: dict[str, list[str]], peer: str, peer_version: str
) -> dict[str, object]:
    """Compare the fine-tuned model with another round by round: a ratio below 1 says that it costs less time."""
    ours = "fine_tuned"
    times = {name: 1 / np.array(v) if unit == "tokens/s" else np.array(v) for name, v in measured.items()}
    per_round = times[ours] / times[peer]
    return {
        "job": job, "ours": float(np.median(measured[ours])), "peer": float(np.median(measured[peer])),
        "peer_version": peer_version, "unit": unit, "ratio": float(np.median(per_round)),
        "low": float(per_round.min()), "high": float(per_round.max()), "equal_answer": texts[ours] == texts[peer],
    }  # fmt: skip


if __name__ == "__main__":
    main()
