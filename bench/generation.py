"""Is a fine-tuned model written from as fast as the embedded one? And as transformers would?

    python bench/generation.py

One run, the jobs in turn, the same 24 prompts, 48 tokens each at most.
`equal_answer`: all texts are the same to the letter.
"""

import json
import tempfile
import time
from importlib.metadata import version as version_of

from _record import compare, write

from unflaw.data import Rows
from unflaw.models import HFGenerator, Sampling, open_causal, open_generator
from unflaw.train import finetune

PLACES = "France Spain Italy Germany Peru Chile Japan China India Egypt Kenya Ghana".split()
PROMPTS = [f"Write a short paragraph about {p}." for p in PLACES] + [f"Why visit {p}?" for p in PLACES]
SAMPLING = Sampling(max_tokens=48)
ROUNDS = 3


def main() -> None:
    """Measure and write bench/results/generation.json."""
    said = Rows.from_records(
        [{"prompt": "Say hi.", "response": "Hi there!"}] * 8, {"prompt": "prompt", "response": "response"}
    )
    with tempfile.TemporaryDirectory() as folder:
        finetune("smollm2", said, folder, steps=1, batch_size=2, method="lora")
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
    ours, theirs = f"unflaw {version_of('unflaw')}", f"transformers {version_of('transformers')}"
    rows = [
        compare(job, unit, measured["fine_tuned"], measured[peer], version, more_is_better=unit == "tokens/s",
                equal_answer=texts["fine_tuned"] == texts[peer])
        for job, unit, measured, peer, version in (
            ("fine_tuned_vs_embedded", "tokens/s", speeds, "embedded", ours),
            ("fine_tuned_vs_transformers", "tokens/s", speeds, "transformers", theirs),
            ("opening_fine_tuned_vs_transformers", "s", opening, "transformers", theirs),
        )
    ]  # fmt: skip
    write("generation", rows)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
