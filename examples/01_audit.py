"""What is wrong with these synthetic rows, and which of them carry it?

Under a minute on two cores. Run it from anywhere: python examples/01_audit.py
"""

from pathlib import Path

import unflaw

DATA = Path(__file__).parent / "data"

synthetic = unflaw.read(DATA / "synthetic.jsonl", limit=300)
real = unflaw.read(DATA / "real.jsonl", limit=300)
found = unflaw.audit(synthetic, real)

print(f"verdict: {found.verdict}")
for finding in found.findings:
    print(f"{finding.verdict:4}  {finding.check:28} {finding.value:8.3f}   real against real: {finding.control:.3f}")

print("\nthe worst row says:")
worst = synthetic.ids.index(found.worst(1)[0])
print(synthetic.take([worst]).texts()[0])

# Any remedy starts from row ids: here, keep the better half.
better = synthetic.only(sorted(synthetic.ids, key=found.row_scores().get)[: len(synthetic) // 2])
print(f"\nkept {len(better)} of {len(synthetic)} rows")
