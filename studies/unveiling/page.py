"""Fill the study's page from `results/`: claims, tables, pictures. `python studies/unveiling/page.py`.

The front page and docs/repair.md show some of it, too, between marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from _study import BESIDE, RESULTS, SHOWN, above, keep
from pictures import draw, pictures

from unflaw.data import atomic_write

__all__ = ["arms_table", "write_page"]

PAGE = RESULTS.parent / "README.md"
MARK = "<!-- results -->"
FRONT, ADVICE = (PAGE.parents[2] / name for name in ("README.md", "docs/repair.md"))
SHOWN_IN_FRONT = {
    "damage: damaged − untouched": ("C4p", "C4"),
    "as many real rows instead − untouched": ("", "R0"),
    "repair: repaired − damaged": ("C5p", "C5"),
    "repaired − replay alone, as many tokens": ("C5d", "C5c"),
    "half of the training taken back − damaged": ("I1p", "I1"),
}
SHOWN_IN_ADVICE = {
    "untouched": "before the damage",
    "damaged": "damaged, not repaired",
    "retrained": "never damaged: trained on as many real rows instead",
    "retrained_plain": "on the same synthetic rows without their template instead",
    "retrained_replay": "on as many rows to replay instead",
    "replay": "replay alone: `--w-forget 0 --w-kl 0`, as many tokens",
    "replay_10x": "replay alone, ten times the tokens",
    "replay_real": "replay alone, on questions and answers people wrote",
    "bounded_auto": "`bounded`, `--w-forget auto`: the default, but for its steps",
    "bounded": "`--w-forget 0.1`",
    "no_kl": "`--w-forget 0.1 --w-kl 0`",
    "no_replay": "`--w-forget 0.1 --w-replay 0`",
    "npo": "`--w-forget 0.1 --objective npo`",
    "simnpo": "`--w-forget 0.1 --objective simnpo`",
    "ga": "`--w-forget 0.1 --objective ga`",
}
"""Arm → what docs/repair.md calls it."""
SHOWN_OF_LENGTHS = {
    "untouched": "before the damage",
    "damaged": "damaged, not repaired",
    "bounded": "12 steps, `--w-forget 0.1`",
    "replay": "12, replay alone",
    "bounded_auto_3x": "36, `--w-forget auto`: the default",
    "bounded_3x": "36, `--w-forget 0.1`",
    "barred_3x": "36, `--forget BAD --w-forget 0`",
    "replay_3x": "36, replay alone",
    "bounded_10x": "120, `--w-forget 0.1`",
    "replay_10x": "120, replay alone",
}
"""Arm of the second table → what docs/repair.md calls it, by length."""
SHOWN_OF_SHARES = {
    "untouched": "before the damage: share 0",
    "share 0.25": "`--interpolate 0.25`",
    "share 0.5": "`--interpolate 0.5`",
    "share 0.75": "`--interpolate 0.75`",
    "damaged": "damaged: share 1",
    "replay": "damaged, then replay alone",
    "repaired": "damaged, then a repair",
    "repaired half": "`--interpolate 0.5`, then a repair",
}
"""Model of interpolate.py → what docs/repair.md calls it."""
SHOWN_OF_WEIGHTS = {
    "untouched": "before any training",
    "damaged": "on the synthetic rows alone, half the steps",
    "bounded_auto_3x": "the same, then a repair by the defaults, of 36 steps",
    "weight 1": "on both, all of weight 1",
    "weight 0.3": "on both, synthetic rows of weight .3",
    "weight 0.1": "on both, synthetic rows of weight .1",
    "weight 0": "on the everyday answers alone",
}
"""Model of reweigh.py → what docs/repair.md calls it."""


def write_page() -> None:
    """Write `results/claims.json`, the pictures, and the pages."""
    found = results()
    keep("claims.json", {"claims": claims_of(found)})
    for name, picture in pictures(found).items():
        with atomic_write(RESULTS / name) as file:
            file.write(draw(**picture))
    for path, text in pages(found).items():
        with atomic_write(path) as file:
            file.write(text)


def pages(found: Mapping[str, Any]) -> dict[Path, str]:
    """Return each page with what the results say filled in, and the rest as it is."""
    return {
        PAGE: page(found),
        FRONT: filled(FRONT, measured=front(claims_of(found))),
        ADVICE: filled(
            ADVICE,
            arms=advice(found.get("arms.json", {"arms": {}})),
            lengths=lengths(found.get("arms_more.json", {"arms": {}})),
            shares=values_table(found, "interpolate.json", SHOWN_OF_SHARES),
            weights=values_table(found, "reweigh.json", SHOWN_OF_WEIGHTS),
        ),
    }


def filled(path: Path, **tables: str) -> str:
    """Return a page with each table between the marks of its name."""
    page = path.read_text()
    for name, table in tables.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(opening)
        page = f"{before}{opening}\n{table}\n\n{closing}{rest.split(closing)[1]}"
    return page


def results() -> dict[str, Any]:
    """Read what the scripts have written so far."""
    return {name: json.loads((RESULTS / name).read_text()) for name in PARTS if (RESULTS / name).exists()}


def claims_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Gather all claims, by name."""
    judged = [record for name, record in found.items() if name not in NOT_JUDGED]
    return sorted((c for record in judged for c in record.get("claims", [])), key=lambda c: c["claim"])


def page(found: Mapping[str, Any]) -> str:
    """Return the README: what stands above its mark stays."""
    parts = ["## Claims", claims_table(claims_of(found))]
    for name, told in PARTS.items():
        if name in found:
            parts += told(found[name])
    head = PAGE.read_text().split(MARK)[0]
    return f"{head}{MARK}\n\n" + "\n\n".join(part.strip() for part in parts) + "\n"


def front(claims: Sequence[Mapping[str, Any]]) -> str:
    """Return what the front page shows of the claims."""
    known = {c["claim"]: (c["value"], c["low"], c["high"]) for c in claims}
    rows = [
        (words, *("{:+.2f} [{:+.2f}, {:+.2f}]".format(*known[name]) if name else "" for name in names))
        for words, names in SHOWN_IN_FRONT.items()
        if {*names} <= {"", *known}
    ]
    return markdown(("", "answers in the template", "constraints met because asked"), rows)


def advice(record: Mapping[str, Any]) -> str:
    """Return what docs/repair.md shows of the arms: lift and pattern, and how they differ from replay alone."""
    rows = []
    for arm, words in SHOWN_IN_ADVICE.items():
        if told := record["arms"].get(arm):
            shown = [(mean(told["values"][b]), *told["against_replay"][b]) for b in BESIDE]
            cells = ["{:.2f} ({:+.2f} [{:+.2f}, {:+.2f}])".format(*values) for values in shown]
            rows.append((words, *(cell.split(" ")[0] if arm == "replay" else cell for cell in cells)))
    return markdown(("", "lift: constraints met because asked", "answers in the template"), rows)


def lengths(record: Mapping[str, Any]) -> str:
    """Return what docs/repair.md shows of short and long repairs: means over seeds, real text beside the untouched."""
    values = {arm: {b: mean(told["values"][b]) for b in SHOWN} for arm, told in record["arms"].items()}
    lift, soft, pattern, text = SHOWN
    rows = [
        (words, *(f"{of[b]:.2f}" for b in (lift, soft, pattern)), f"{of[text] - values['untouched'][text]:+.2f}")
        for arm, words in SHOWN_OF_LENGTHS.items()
        if (of := values.get(arm))
    ]
    return markdown(("steps", "lift", "soft satisfaction", "answers in the template", "real text, nats"), rows)


def values_table(found: Mapping[str, Any], name: str, shown: Mapping[str, str]) -> str:
    """Return what docs/repair.md shows of models that were asked what the synthetic rows ask: means over seeds."""
    values = found.get(name, {"values": {}})["values"]
    rows = [
        (words, *(f"{mean(values[model][b]):.2f}" for b in (*BESIDE, "qa.f1")))
        for model, words in shown.items()
        if model in values
    ]
    return markdown(("", "lift", "answers in the template", "F1 on the synthetic task"), rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def claims_table(claims: Sequence[Mapping[str, Any]]) -> str:
    """One line per claim."""
    head = ("claim", "statement", "value", "95 % interval, or extremes", "threshold", "seeds", "verdict")
    return markdown(head, [
        (
            c["claim"], c["statement"], f"{c['value']:.3f}",
            "" if c["low"] is None else f"{c['low']:.3f} to {c['high']:.3f}",
            str(c["threshold"]), str(c["n_seeds"]), c["verdict"],
        )
        for c in claims
    ])  # fmt: skip


ARMS_WORDS = (
    "The settings of each arm stand in `arms.py` as `ARMS`. Means over seeds; beside replay: paired difference from "
    "`replay` with 95 % interval, * where it is clear of 0. Lift: share of constraints met because they were asked "
    "for (more is better). Pattern: share of answers in the template, unasked (less is better)."
)


def arms_table(record: Mapping[str, Any]) -> str:
    """One line per arm: means over seeds, and how its lift and pattern differ from those of replay alone."""
    rows = []
    for arm, told in record["arms"].items():
        tokens = f"{mean(told['tokens']):,.0f}" if "tokens" in told else ""
        cells = [arm, tokens, *(f"{mean(told['values'][b]):.3f}" for b in SHOWN)]
        for b in BESIDE if arm != "replay" else ():
            value, low, high = told["against_replay"][b]
            clear = "" if above((value, low, high), 0.0) == "unclear" else " *"
            cells.append(f"{value:+.3f} [{low:+.3f}, {high:+.3f}]{clear}")
        rows.append(cells + [""] * (6 + len(BESIDE) - len(cells)))
    head = ("arm", "tokens", *SHOWN, *(f"{b} beside replay" for b in BESIDE))
    return f"Seeds {', '.join(map(str, record['seeds']))}.\n\n" + markdown(head, rows)


def arms(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell how the arms compare on seeds that did not choose."""
    yield "## What to forget, and how: seeds that did not choose"
    yield ARMS_WORDS
    yield arms_table(record)


def arms_more(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what longer repairs and other masks give."""
    yield "### More arms, and a dose of tokens"
    yield (
        "Longer repairs; `barred` forgets nothing, but stays close to the damaged model without what opens the "
        "template. The damaged models were trained again for these, on the machine of the later run of `order.py`: "
        "compare within this table, not with the one above."
    )
    yield arms_table(record)
    yield "![Lift and pattern rate against tokens](results/dose.svg)\n\nOne point a seed."


def arms_chosen_on(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what was looked at to choose."""
    yield "### Looked at: seed 0, which served to choose"
    yield arms_table(record)


def stability(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell how far forgetting alone carries natural text away."""
    yield "## Forgetting alone, and nobody stops it"
    yield "![Log-perplexity of held-out answers against steps](results/stability.svg)"


ORDER_WORDS = (
    "Share of the mixture's pieces that are synthetic; all mixtures have as many pieces and steps. All arms end with "
    "the same instruction tuning, on everyday answers of the untouched model, after which they are judged; `untuned` "
    "is the mixture before it, `repaired_untuned` and `refined_untuned` those two arms before it. `mixed` has nothing "
    "in between (at 0 % it is the untouched arm, and what training again without the synthetic rows gives), `refined` "
    "as many tokens of natural text as the repair reads, `refined_10x` ten times as many, `repaired` bounded "
    "unlearning, `no_kl` and `no_replay` that without a term, `ga`, `npo` and `simnpo` that with another objective."
)


def order(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what the paper's order gave, by share of synthetic tokens."""
    yield "## The paper's order: mixture, repair, then the same instruction tuning"
    yield ORDER_WORDS
    rows = [
        (f"{share:.0%}", arm, str(len(values[SHOWN[0]])), *(f"{mean(values[b]):.3f}" for b in SHOWN))
        for share, arms in ((float(s), a) for s, a in record["shares"].items())
        for arm, values in arms.items()
    ]
    yield markdown(("share", "arm", "seeds", *SHOWN), rows)
    yield "### Dose: share of synthetic pieces\n\n![Lift and pattern rate against share](results/share.svg)"


def order_elsewhere(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell how far the same seeds came apart on another machine, where `order.py` has judged all of them here."""
    here = results()["order.json"]
    if here["seeds"] != record["seeds"]:
        return
    moved = {
        benchmark: [
            b - a
            for share, arms in record["shares"].items()
            for arm, values in arms.items()
            for a, b in zip(values[benchmark], here["shares"][share][arm][benchmark], strict=True)
        ]
        for benchmark in SHOWN
    }
    yield "### The same seeds on another machine"
    noise = {benchmark: mean(d * d for d in by) ** 0.5 for benchmark, by in moved.items()}
    turned = [c["claim"] for c in claims_of(results()) if turned_by(noise, c)]
    yield (
        f"Same code, data and seeds, other rounding: {len(moved[SHOWN[0]])} trainings differ by "
        f"{', '.join(f'{of:.3f} in {benchmark}' for benchmark, of in noise.items())} (root mean square; in "
        f"{SHOWN[0]} at most {max(map(abs, moved[SHOWN[0]])):.3f}). The intervals do not count this. With it, these "
        f"verdicts would be unclear: {', '.join(turned) or 'none'}."
    )
    known = {c["claim"]: c for c in here["claims"]}
    rows = [
        (
            c["claim"],
            *("{value:+.3f} [{low:+.3f}, {high:+.3f}] {verdict}".format(**of) for of in (c, known[c["claim"]])),
        )
        for c in record["claims"]
    ]
    yield markdown(("claim", "there", "here"), rows)


def turned_by(noise: Mapping[str, float], judged: Mapping[str, Any]) -> bool:
    """Whether a verdict on a difference would be unclear, did its interval count how runs differ by `noise`."""
    told = re.search(r"\((\S+), (.+) - (.+)\)$", judged["statement"])
    if told is None or told[1] not in noise or judged["verdict"] == "unclear":
        return False
    one_run = noise[told[1]] / 2**0.5  # two runs differ by the noise of both
    variance = sum(one_run**2 / len(models.split(" + ")) for models in told.groups()[1:]) / judged["n_seeds"]
    value, end = judged["value"], judged["low"] if judged["value"] > judged["threshold"] else judged["high"]
    return abs(value - judged["threshold"]) < ((value - end) ** 2 + 1.96**2 * variance) ** 0.5


def ifbench(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what the models of the first story make of prompts that others wrote."""
    yield "## IFBench, by our checks"
    yield (
        f"The first {record['n_prompts']} prompts that can be judged ({record['skipped']} cannot). Scores are "
        "comparable with each other, not with a leaderboard: the checks are ours."
    )
    yield values_by_seed(record["values"])


def interpolate(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what taking a part of the training back gives."""
    yield "## A part of the training taken back"
    yield (
        "Share: how much of the damaging adapter is left; no training, no data. `repaired` is bounded unlearning of "
        "the damaged model, `replay` replay alone on as many tokens, `repaired half` bounded unlearning from share "
        "0.5. `qa.f1`: held-out questions of the kind trained on."
    )
    yield values_by_seed(record["values"])
    yield "![Lift, pattern rate and F1 against share](results/interpolate.svg)"


def reweigh(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell what less weight for the synthetic rows gives, before any damage."""
    yield "## Less weight in place of repair"
    yield (
        "The untouched model trained on the synthetic rows and as many everyday answers, in twice the steps that did "
        "the damage. Weight: that of a synthetic row in the loss, an everyday answer having 1."
    )
    yield values_by_seed(record["values"])


def families(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell whether forgetting one family mends what others did."""
    yield "## Several families of synthetic rows"
    yield (
        "Damaged by rows in the shipped template (`pattern.rate`), in another one (`pattern.second`), and in none "
        "(shorter answers: `answer.words`). Replay alone may read as many tokens as `forget_first`."
    )
    yield values_by_seed(record["values"])


def values_by_seed(values: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """One line per model, the seeds side by side."""
    shown = list(next(iter(values.values())))
    rows = [(model, *(", ".join(f"{v:.3f}" for v in of[b]) for b in shown)) for model, of in values.items()]
    return markdown(("model", *(f"{b}, by seed" for b in shown)), rows)


def by_seed(record: Mapping[str, Any]) -> Iterator[str]:
    """Tell every score of every seed."""
    yield "## All scores of the first story"
    n_seeds = len(next(iter(record["by_seed"].values())))
    rows = [(name, *(f"{v:.3f}" for v in values)) for name, values in record["by_seed"].items()]
    yield markdown(("score", *(f"seed {i}" for i in range(1, n_seeds + 1))), rows)


PARTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "arms.json": arms, "arms_more.json": arms_more, "arms_chosen_on.json": arms_chosen_on,
    "stability.json": stability, "order.json": order, "order_elsewhere.json": order_elsewhere,
    "interpolate.json": interpolate, "reweigh.json": reweigh, "families.json": families, "ifbench.json": ifbench,
    "run.json": by_seed,
}  # fmt: skip
"""What the scripts write → its part of the page, in order."""
NOT_JUDGED = ("arms_chosen_on.json", "order_elsewhere.json")
"""Those whose claims are not the study's: of seeds that chose, and of `order.py` on another machine."""


if __name__ == "__main__":
    write_page()
