"""Claims C1 to C5 and C9 of "Unveiling the Flaws" (arXiv 2406.12397) on a 135M model.

    python studies/unveiling/run.py             # three seeds, about 40 minutes on two cores
    python studies/unveiling/run.py --seeds 1 2 3 4 5

Every seed is one `unflaw demo`, a little larger: the same shipped rows; other batches, other adapters, other
instruction prompts. Seed 0 served to choose the settings and is not used here. What was trained is not
trained twice, so an interrupted study goes on where it stopped. Intervals are paired bootstraps over requests (the
levels of one request stay together), pooled over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
from _study import (
    F1,
    SCALE,
    Contrast,
    Interval,
    above,
    below,
    claim,
    claims_from,
    examples,
    keep,
    over_use,
    parser,
    template_of,
    word_counts,
)
from page import write_page

from unflaw._cli._demo import tell
from unflaw.data import Finding, RunFolder
from unflaw.measure import Template

LIFT, SOFT, PATTERN, TEXT = "instructions.lift", "instructions.soft", "pattern.rate", "text.log_perplexity"
CONTAINED = "qa.contains"
CLAIMS: Mapping[str, Contrast] = {
    "C4": Contrast("training on the synthetic rows costs instruction following", LIFT, "untouched", "damaged", below),
    "C4s": Contrast("the same in soft satisfaction", SOFT, "untouched", "damaged", below),
    "C4p": Contrast(
        "training on the synthetic rows puts answers into their template", PATTERN, "untouched", "damaged", above
    ),
    "C4b": Contrast(
        "training on the synthetic rows gains on the synthetic task (right answers contained)", CONTAINED, "untouched",
        "damaged", above,
    ),
    "C5": Contrast("bounded unlearning regains instruction following", LIFT, "damaged", "repaired", above),
    "C5s": Contrast("the same in soft satisfaction", SOFT, "damaged", "repaired", above),
    "C5p": Contrast("bounded unlearning removes the template from answers", PATTERN, "damaged", "repaired", below),
    "C5b": Contrast("the repaired model is near the untouched one", LIFT, "untouched", "repaired", above, -0.05),
    "C5c": Contrast(
        "bounded unlearning regains more than replay alone with as many tokens", LIFT, "replay_only", "repaired", above
    ),
    "C5d": Contrast(
        "bounded unlearning removes more of the template than replay alone", PATTERN, "replay_only", "repaired", below
    ),
    "C5e": Contrast(
        "bounded unlearning keeps real text likelier than replay alone", TEXT, "replay_only", "repaired", below
    ),
    "C9": Contrast(
        "bounded unlearning costs some of the synthetic task (right answers contained)", CONTAINED, "damaged",
        "repaired", below,
    ),
    "C9f": Contrast("the same in F1, which also counts the words around the answer", F1, "damaged", "repaired", below),
    "C9g": Contrast("it leaves some of what was gained there", F1, "untouched", "repaired", above),
}  # fmt: skip


def main() -> None:
    """Run the seeds, write the claims."""
    arguments = parser(__doc__, "runs/unveiling").parse_args()
    print(f"at most {14 * len(arguments.seeds)} minutes on two cores", flush=True)
    folders = []
    for seed in arguments.seeds:
        tell(arguments.runs / f"seed{seed}", SCALE, seed=seed, resume=True)
        folders.append(RunFolder(arguments.runs / f"seed{seed}"))
    keep("run.json", claims(folders))
    write_page()


def claims(folders: list[RunFolder]) -> dict[str, Any]:
    """Turn run folders into claims."""
    found = [{f.check: f for f in folder.findings()} for folder in folders]
    scores = [{(s.benchmark, s.model): s for s in folder.scores()} for folder in folders]

    auc, auc_control = pooled(found, "gap.c2st_auc"), mean([f["gap.c2st_auc"].control for f in found])
    jsd, jsd_control = (mean([getattr(f["tokens.jsd"], of) for f in found]) for of in ("value", "control"))
    odd = odd_tokens(template_of(folders[0].path))
    shift, variance = (pooled(found, f"perplexity.after_{name}") for name in ("shift", "variance_ratio"))
    of_data = (
        ("C1", "synthetic and real rows do not overlap (two-sample AUC; real against real stays below 0.6)",
         auc, 0.9, "pass" if auc[1] >= 0.9 and auc_control < 0.6 else "fail"),
        ("C2", "the most over-used tokens are structural (share that is template; divergence over twice its control)",
         odd, 0.5, above(odd, 0.5) if jsd > 2 * jsd_control else "fail"),
        ("C3", "after training, log-perplexity on held-out synthetic rows is lower (nats per token, after - before)",
         shift, 0.0, below(shift, 0.0)),
        ("C3b", "after training, log-perplexity on held-out synthetic rows is narrower (variance, after / before)",
         variance, 1.0, below(variance, 1.0)),
    )  # fmt: skip
    return {
        "claims": [claim(*row, len(folders)) for row in of_data] + claims_from(CLAIMS, scores),
        "controls": {"gap.c2st_auc": auc_control, "tokens.jsd": [jsd, jsd_control]},
        "by_seed": {
            f"{s.benchmark} {s.model}": [by[s.benchmark, s.model].value for by in scores] for s in scores[0].values()
        },
    }


def odd_tokens(template: Template, n_resamples: int = 1000) -> Interval:
    """Share of the most over-used tokens, as many as the template has, that are the template's.

    The interval draws rows anew. What is drawn is the same for all seeds, whose audits read the same rows.
    """
    synthetic, real = examples("synthetic", "real").values()
    sets = [[answer for _, answer in rows.pairs()] for rows in (synthetic.take(range(SCALE.n_trained)), real)]
    words, counts = word_counts(*sets)
    structural = {token for phrase in template.phrases for token in phrase.tokens}
    its_own = np.array([word in structural for word in words])
    prior = np.sum([np.ones(of.shape[0]) @ of for of in counts], 0)

    def share(weights: Sequence[np.ndarray]) -> float:
        worst = over_use(*(w @ of for w, of in zip(weights, counts, strict=True)), prior=prior)
        return float(its_own[worst[: its_own.sum()]].mean())

    rng = np.random.default_rng(0)
    drawn = [share([rng.multinomial(n, np.full(n, 1 / n)) for n in map(len, sets)]) for _ in range(n_resamples)]
    return share([np.ones(len(of)) for of in sets]), *map(float, np.percentile(drawn, [2.5, 97.5]))


def pooled(found: list[dict[str, Finding]], check: str) -> tuple[float, float, float]:
    """Mean over seeds of a finding's value and of its interval's ends: the same rows, other folds and trainings."""
    ends = np.array([[f[check].value, f[check].low, f[check].high] for f in found], dtype=float)
    value, low, high = ends.mean(0)
    return float(value), float(low), float(high)


if __name__ == "__main__":
    main()
