"""Template rate: what the hundred commonest patterns say, what ours says, and whether it needs a tagger.

    pip install 'unflaw[pos]'                               # for the comparison with parts of speech
    python studies/audit_power/sources.py . --out sets      # once; see there
    python studies/templates/run.py sets                    # writes results/templates.json; minutes
    python studies/templates/run.py sets --tune             # other splits, and nothing is kept

Three questions. A fifth of 400 stories is cast in five moulds, each that of another story: does the rate rise? Do sets
that have a high rate by kinds of words have one by parts of speech (textblob's PatternTagger on words without capitals
and marks)? And how far apart are clean halves in the check's `diversity.template_rate`, and halves with planted moulds?
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from unflaw import read
from unflaw.audit import Batch, DiversityCheck
from unflaw.audit._comparable import RowSample, comparable
from unflaw.audit._diversity import MEASURES
from unflaw.audit._diversity import _interval as interval
from unflaw.audit._moulds import mould_rate
from unflaw.audit._template import above
from unflaw.data import Rows, atomic_write
from unflaw.measure import Words, normalise, template_rate, word_classes, words_of
from unflaw.models import pattern_tagger

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "audit_power"))
from flaws import FLAWS  # noqa: E402 - beside it

EXAMPLES = HERE.parents[1] / "examples" / "data"
SPLITS, TUNING = 20, 1000
DOSES = (0.05, 0.1, 0.2)


def words(rows: Rows) -> list[list[str]]:
    """Return the words of each row."""
    return [words_of(normalise(text)) for text in rows.texts()]


def hundred(rows: Rows, seeds: Sequence[int]) -> dict[str, Any]:
    """Cast a fifth of 400 rows in five moulds and ask by the hundred commonest patterns, and by four texts."""
    classes, found = [word_classes(of) for of in words(rows)], {}
    for k in (5, 6, 8):
        told: list[list[float]] = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            order = rng.permutation(len(classes))[:400]
            clean = [classes[i] for i in order]
            moulds = [clean[i] for i in rng.choice(400, 5, replace=False)]
            cast = [moulds[i % 5] if i < 80 else text for i, text in enumerate(clean)]
            told.append([
                template_rate(Words.of(of), k, **by)
                for by in ({"most": 100}, {"least": 4}) for of in (clean, cast)
            ])  # fmt: skip
        names = ("hundred, clean", "hundred, cast", "four texts, clean", "four texts, cast")
        found[str(k)] = dict(zip(names, np.mean(told, axis=0).round(3).tolist(), strict=True))
    return found


def by_tags(sets: Path) -> dict[str, Any]:
    """Compare kinds of words with parts of speech over draws of 250 texts, cut to one length, of eight sets."""
    tags = pattern_tagger()
    files = [sets / f"{name}.jsonl" for name in ("reviews", "human", "gpt2", "alpaca", "squad")]
    said = {path.stem: words(read(path)) for path in (*files, EXAMPLES / "real.jsonl", EXAMPLES / "synthetic.jsonl")}
    passages = dict.fromkeys(read(sets / "squad.jsonl").column("context"))
    said["passages"] = [words_of(normalise(text)) for text in passages]
    found: dict[str, Any] = {}
    for cut in (12, 40, 80):
        rng, rates = np.random.default_rng(0), []
        for texts in said.values():
            long = [text[:cut] for text in texts if len(text) >= cut]
            for _ in range(6 if len(long) >= 250 else 0):
                drawn = [long[i] for i in rng.permutation(len(long))[:250]]
                both = [Words.of([kind(text) for text in drawn]) for kind in (word_classes, tags)]
                rates.append([template_rate(of, k, least=4) for k in (6, 8) for of in both])
        columns = np.array(rates).T
        found[str(cut)] = {
            f"{k} kinds": [round(float(r(columns[at], columns[at + 1])[0]), 2) for r in (pearsonr, spearmanr)]
            for k, at in ((6, 0), (8, 2))
        } | {"draws": len(rates)}
    return found


def asked(rows: Rows, reference: Rows, seed: int) -> tuple[str, float]:
    """Return the check's verdict and the loss, without its other measures, which take fifty times as long."""
    check, rng = DiversityCheck(seed=seed), np.random.default_rng(seed)
    samples = [check.summarise(Batch(of, of.texts(), np.ones((len(of), 1)))) for of in (rows, reference)]
    n = min(len(sample.draws) for sample in samples)
    sets = [RowSample.of(sample, n) for sample in samples]
    drawn = []
    for _ in range(check.n_draws):
        halves = comparable(*(of.longest_first(rng.permutation(n)[: n // 2].tolist()) for of in sets))
        drawn.append(mould_rate(halves[0]) - mould_rate(halves[1]))
    lost, least, _ = interval(np.array(drawn))
    rule = MEASURES["template_rate"]
    return above(lost, rule.warn, rule.fail) if least > 0 else "ok", round(lost, 4)


def splits(sets: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Ask of clean halves and of halves with planted moulds."""
    found: dict[str, Any] = {}
    for name, path, side in (
        ("examples", EXAMPLES / "real.jsonl", 300), ("squad", sets / "squad.jsonl", 1000),
        ("reviews", sets / "reviews.jsonl", 1000), ("human", sets / "human.jsonl", 800),
    ):  # fmt: skip
        rows, told = read(path), {}
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(rows))[: 2 * side]
            mine, real = rows.take(order[:side].tolist()), rows.take(order[side:].tolist())
            for dose in (0.0, *(DOSES if seed - seeds[0] < 10 else ())):
                spoilt = FLAWS["moulds"].spoil(mine, dose, seed)[0] if dose else mine
                told.setdefault(str(dose), []).append(asked(spoilt, real, seed))
        found[name] = {
            dose: {"told": sum(v != "ok" for v, _ in of), "of": len(of), "lost": sorted(lost for _, lost in of)}
            for dose, of in told.items()
        }
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Ask, and write results/templates.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--tune", action="store_true")
    told = parser.parse_args()
    seeds = range(TUNING, TUNING + SPLITS) if told.tune else range(SPLITS)
    record = {
        "hundred commonest": hundred(read(told.sets / "human.jsonl"), seeds),
        "parts of speech": by_tags(told.sets),
        "splits": splits(told.sets, seeds),
    }
    print(json.dumps(record, indent=1))
    if not told.tune:
        with atomic_write(HERE / "results" / "templates.json") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
