"""Damage a small language model with synthetic rows, then repair it. A few steps each: the shape of it, not a result.

A minute on two cores. `unflaw demo` does the same at a size where the numbers mean something.
Run it from anywhere: python examples/02_repair.py
"""

import tempfile
from pathlib import Path

import unflaw

DATA = Path(__file__).parent / "data"

synthetic = unflaw.read(DATA / "synthetic.jsonl", limit=60)
replay = unflaw.read(DATA / "real.jsonl", limit=60)
guard = unflaw.read(DATA / "guard.jsonl", limit=4)

with tempfile.TemporaryDirectory() as folder:
    damaged = unflaw.finetune(
        "smollm2", synthetic, f"{folder}/damaged", method="lora", steps=4, batch_size=4, learning_rate=1e-3
    )
    print(f"damaged: loss {damaged.curve[0]['loss']:.2f} → {damaged.curve[-1]['loss']:.2f}")

    repaired = unflaw.unlearn(
        f"peft:{damaged.path}", synthetic, replay, guard, f"{folder}/repaired",
        what="response", method="lora", steps=4, batch_size=2, learning_rate=5e-5, keep="last",
    )  # fmt: skip
    for step in repaired.curve:
        if "forget" in step:  # the other entries are looks at the guard
            print(", ".join(f"{name} {step[name]:.3f}" for name in ("step", "forget", "replay", "kl")))
    print(*repaired.notes, sep="\n")
