import random
from collections import Counter

from unflaw.data._seen import Seen, digest


def test_counts_like_a_counter_whatever_the_batches():
    rng = random.Random(0)
    names = [digest(str(rng.randrange(400))) for _ in range(2000)]
    counter, expected = Counter(), []
    for name in names:
        counter[name] += 1
        expected.append(counter[name])
    seen, counted = Seen(), []
    while len(counted) < len(names):
        counted += seen.add(names[len(counted) : len(counted) + rng.randrange(1, 60)])
    assert counted == expected


def test_costs_eight_bytes_a_row():
    seen = Seen()
    for start in range(0, 20_000, 1000):
        seen.add([digest(str(i)) for i in range(start, start + 1000)])
    assert sum(run.nbytes for run in seen._runs) == 8 * 20_000
    assert len(seen._runs) <= 5
