"""Record what SDMetrics says of a small table, for `test_tables.py` to compare with.

python -m venv other && other/bin/pip install sdmetrics==0.32.0
other/bin/python tests/measure/tables_references.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

HERE = Path(__file__).parent
NUMBERS, WORDS = ["age", "hours", "gain"], ["work", "home"]


def table(n, seed, shift):
    """Return rows whose columns depend on each other; `shift` moves them."""
    rng = np.random.default_rng(seed)
    age = rng.integers(17, 90, n)
    hours = np.round(20 + 0.3 * age + rng.normal(0, 8 + shift, n), 1)
    gain = np.where(rng.random(n) < 0.8 - shift / 20, 0.0, np.round(rng.exponential(1000, n), 2))
    work = rng.choice(["office", "field", "none"], n, p=[0.5, 0.3 - shift / 40, 0.2 + shift / 40])
    home = np.where((age > 40) ^ (rng.random(n) < 0.1 + shift / 20), "owned", rng.choice(["rented", "shared"], n))
    return pd.DataFrame({"age": age + shift, "hours": hours, "gain": gain, "work": work, "home": home})


def main():
    real, synthetic = table(120, 1, 0), table(80, 2, 3)
    pairs = {}
    for i, a in enumerate([*NUMBERS, *WORDS]):
        for b in [*NUMBERS, *WORDS][i + 1 :]:
            both = real[[a, b]], synthetic[[a, b]]
            if b in NUMBERS:
                pairs[f"{a} {b}"] = float(CorrelationSimilarity.compute(*both))
            else:
                binned = [a] if a in NUMBERS else None
                pairs[f"{a} {b}"] = float(ContingencySimilarity.compute(*both, continuous_column_names=binned))
    record = {
        "versions": {name: version(name) for name in ("sdmetrics", "pandas", "numpy", "scipy")},
        "real": real.to_dict("list"),
        "synthetic": synthetic.to_dict("list"),
        "shapes": {c: float(KSComplement.compute(real[c], synthetic[c])) for c in NUMBERS}
        | {c: float(TVComplement.compute(real[c], synthetic[c])) for c in WORDS},
        "pairs": pairs,
        "spearman": {
            f"{a} {b}": float(CorrelationSimilarity.compute(real[[a, b]], synthetic[[a, b]], coefficient="Spearman"))
            for a, b in (("age", "hours"), ("age", "gain"), ("hours", "gain"))
        },
    }
    (HERE / "tables_references.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
