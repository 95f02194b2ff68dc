"""A run folder such as `unflaw demo` leaves, made up from a seed, with hostile rows planted in it."""

from __future__ import annotations

import math
import random

import pyarrow as pa
import pytest

from unflaw.data import ID, Finding, Plot, Rejection, Rows, Score, Selection, Series, open_run

PLANTED = "<script>window.planted = 1; document.title = 'owned'</script>"
HOSTILE = [
    PLANTED,
    "<img src=x onerror='window.planted = 1'> \"quotes\" 'and' & </p></td></table></main>",
    "right to left: \u202eabc\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627",
    "smile \U0001f600 and family \U0001f468\u200d\U0001f469\u200d\U0001f467 and null \x00 byte \x1b[31m",
    "long " + "x" * 20_000,
    "{{ 7 * 7 }} {% raw %} ${window.planted = 1}",
    "\udcff half a surrogate",
]
TOPICS = ["the Treaty of Tordesillas", "osmosis", "the Doppler effect", "Byzantine mosaics", "monsoon winds", "zinc"]


def synthetic_row(rng: random.Random, i: int) -> dict[str, str]:
    topic = rng.choice(TOPICS)
    return {
        "question": f"What is the main idea of passage {i} about {topic}?",
        "answer": f"Answer: {topic} is described.\nExplanation: The passage says that {topic} matters, "
        f"because {rng.randint(2, 90)} sources agree.\nSummary: {topic}.",
    }


def bump(centre: float, width: float, n: int = 80) -> Series:
    xs = [centre + width * (i / n - 0.5) * 6 for i in range(n)]
    return xs, [math.exp(-(((x - centre) / width) ** 2) / 2) / (width * 2.5066) for x in xs]


def cloud(rng, centre, n=900):
    return [rng.gauss(centre[0], 1.0) for _ in range(n)], [rng.gauss(centre[1], 0.8) for _ in range(n)]


def phrase(word):
    return {
        "tokens": [word, ":"],
        "anchor": "line",
        "text": f"{word}:",
        "position": "line start",
        "share": 0.9,
        "reference_share": 0.0,
        "z": 30.0,
    }


def build_plots(rng):
    """Overlap, tokens, perplexity."""
    bar_words = ["Answer:", "Explanation:", "Summary:", "the passage", "describes", "because"]
    overlap = Plot(
        "scatter",
        "Where rows lie, first two principal components",
        "component 1",
        "component 2",
        (Series("synthetic", *cloud(rng, (1.8, 0.4))), Series("real", *cloud(rng, (-0.9, -0.2)))),
        "Two clouds that overlap by about a quarter; the synthetic one lies to the right",
    )
    tokens = Plot(
        "bars",
        "Tokens the synthetic rows lean on",
        "",
        "share of rows",
        (
            Series("synthetic", bar_words, [0.98, 0.96, 0.91, 0.74, 0.5, 0.41]),
            Series("real", bar_words, [0.01, 0.02, 0.01, 0.08, 0.11, 0.19]),
        ),
        "Six tokens stand in most synthetic rows and in few real ones, Answer: leading with .98 against .01",
    )
    perplexity = Plot(
        "density",
        "Log-perplexity of rows under the untouched model",
        "nats per token",
        "density",
        (Series("synthetic", *bump(1.9, 0.25)), Series("real", *bump(3.1, 0.7))),
        "The synthetic rows form a narrow peak near 1.9, the real ones a wide hill near 3.1",
    )
    return overlap, tokens, perplexity


def build_findings(ids: list[str], seed: int = 0, hostile: bool = False) -> list[Finding]:
    rng = random.Random(seed)
    scores = {i: round(rng.betavariate(2, 3), 4) for i in ids}
    reasons = {i: "opens with “Answer:”, 3 template tokens" for i in ids[::2]}
    overlap, tokens, perplexity = build_plots(rng)
    common = {"n_rows": len(ids), "n_reference": 812}
    return [
        Finding(
            "gap.c2st_auc",
            "A classifier tells synthetic from real",
            0.941,
            0.928,
            0.953,
            "lower",
            "fail",
            "warn from 0.7, fail from 0.9",
            "Nearly every row can be told from real text by its embedding alone, so a "
            "model trained on these rows learns a different distribution.",
            0.512,
            0.478,
            0.547,
            "AUC",
            row_scores=scores,
            row_reasons=reasons,
            plots=(overlap,),
            settings={"encoder": "potion", "folds": 5},
            **common,
        ),
        Finding(
            "tokens.structural",
            "Most rows follow one template" + (PLANTED if hostile else ""),
            0.873,
            0.861,
            0.884,
            "lower",
            "fail",
            "warn from 0.2, fail from 0.5",
            "Nine in ten answers open with the same words; a model will answer everything in this form.",
            0.021,
            0.012,
            0.034,
            row_scores={i: s / 2 for i, s in scores.items()},
            row_reasons=reasons,
            plots=(tokens,),
            evidence={"phrases": [phrase(w) for w in ("Answer", "Explanation", "Summary")]},
            settings={"top_k": 5},
            **common,
        ),
        Finding(
            "perplexity.variance_ratio",
            "Rows are more alike in difficulty than real text",
            0.31,
            0.27,
            0.36,
            "higher",
            "warn",
            "warn below 0.6, fail below 0.2",
            "The spread of perplexity is a third of that of real text.",
            0.98,
            0.81,
            1.17,
            "ratio",
            row_scores=scores,
            plots=(perplexity,),
            **common,
        ),
        Finding(
            "copies.holdout",
            "No row copies the held-out set",
            0.0,
            None,
            None,
            "lower",
            "ok",
            "fail above 0",
            "None of the rows appears in the held-out questions.",
            0.0,
            unit="rows",
            **common,
        ),
    ]


PROMPTS = {
    f"p{i}": f"Write {2 + i % 4} short sentences about {TOPICS[i % 6]}, without the letter “z”." for i in range(120)
}
MODELS = {"untouched": 0.55, "damaged": 0.26, "replay only": 0.39, "repaired": 0.48}


def build_scores(n: int = 120, hostile: bool = False) -> list[Score]:
    rng = random.Random(1)
    out = []
    for benchmark, shift in (("instructions.soft", 0.0), ("instructions.hard", -0.18), ("qa.f1", 0.05)):
        for model, level in MODELS.items():
            items = {i: float(rng.random() < level + shift) for i in PROMPTS}
            value = sum(items.values()) / n
            told = {i: answer(model, i, hostile) for i in PROMPTS} if benchmark == "instructions.hard" else {}
            half = 1.96 * math.sqrt(value * (1 - value) / n)
            out.append(
                Score(
                    benchmark,
                    model,
                    value,
                    value - half,
                    value + half,
                    n,
                    items=items,
                    outputs=told,
                    unit="share",
                    settings={"prompts": PROMPTS} if told else {},
                )
            )
    for model, level in zip(MODELS, (2.91, 3.4, 2.99, 2.95), strict=True):
        out.append(
            Score("text.log_perplexity", model, level, level - 0.05, level + 0.05, 200, "lower", "nats per token")
        )
    return out


def answer(model: str, item: str, hostile: bool) -> str:
    if hostile and item == "p0":
        return PLANTED
    if model == "damaged":
        return f"Answer: {TOPICS[int(item[1:]) % 6]}.\nExplanation: The passage describes it.\nSummary: It matters."
    return (
        f"{TOPICS[int(item[1:]) % 6].capitalize()} can be put simply. It took people long to understand it ({model})."
    )


def build_pairs(scores: list[Score]) -> list[dict]:
    by = {(s.benchmark, s.model): s for s in scores}
    pairs = []
    for benchmark in dict.fromkeys(s.benchmark for s in scores):
        for a, b in (("untouched", "damaged"), ("damaged", "repaired"), ("replay only", "repaired")):
            one, two = by[benchmark, a], by[benchmark, b]
            d = two.value - one.value
            pairs.append(
                {
                    "benchmark": benchmark,
                    "model_a": a,
                    "model_b": b,
                    "difference": d,
                    "low": d - 0.1,
                    "high": d + 0.1,
                    "verdict": "",
                    "n": one.n,
                    "gained": [i for i in one.items if two.items[i] > one.items[i]],
                    "lost": [i for i in one.items if two.items[i] < one.items[i]],
                }
            )
    return pairs


def build_curve() -> list[dict]:
    rng = random.Random(2)
    curve = [{"step": 0, "guard": 3.32}]
    for step in range(1, 31):
        curve.append(
            {
                "step": step,
                "forget": 3.1 * math.exp(-step / 9) + rng.random() / 9,
                "replay": 2.6 - step / 90 + rng.random() / 8,
                "kl": 0.02 * step**0.5 + rng.random() / 60,
                "loss": 3.0 - step / 40,
            }
        )
        if step % 5 == 0:
            curve.append({"step": step, "guard": 3.32 - 0.012 * step + max(0, step - 20) * 0.03})
    return curve


def build_changes(hostile: bool = False) -> dict:
    def change(check, turn, before, now):
        told = {"before_value": before[0], "before_verdict": before[1], "now_value": now[0], "now_verdict": now[1]}
        return {"check": check, "turn": turn, **told}

    changes = [
        change("gap.c2st_auc", "worse", (0.71, "warn"), (0.941, "fail")),
        change("copies.inside" + (PLANTED if hostile else ""), "gone", (0.5, "fail"), (None, None)),
        change("copies.holdout", "same", (0.0, "ok"), (0.0, "ok")),
    ]
    return {"rows": {"added": 1200, "removed": 3, "kept": 237}, "changes": changes}


def build_run(folder, *, n_rows: int = 240, hostile: bool = False, findings=None):
    """Leave a run folder as an audit, a repair and an evaluation do. With `hostile`, markup is planted everywhere."""
    rng = random.Random(3)
    rows = [synthetic_row(rng, i) for i in range(n_rows)]
    ids = [f"{i:016x}" for i in range(n_rows)]
    findings = findings or build_findings(ids, hostile=hostile)
    if hostile:
        worst = sorted(ids, key=lambda i: (-findings[0].row_scores[i], i))
        for i, text in zip(worst, HOSTILE, strict=False):
            rows[ids.index(i)]["answer"] = text.encode("utf-8", "replace").decode()
    answer_name = "answer" + (PLANTED if hostile else "")
    table = pa.table(
        {
            ID: ids,
            "question": [r["question"] for r in rows],
            answer_name: [r["answer"] for r in rows],
            "weight": [1.0] * n_rows,
        }
    )
    with open_run(
        folder, command="audit", settings={"encoder": "potion", "checks": ["gap", "tokens"], "seed": 0}
    ) as run:
        run.add_findings(findings)
        run.add_changes(build_changes(hostile=hostile))
        run.add_rows(Rows(table))
        run.add_row_columns({i: {"unflaw.score.gap.c2st_auc": 0.5} for i in ids})
        lines = [
            Rejection(7 + i, "not JSON: it ends early", PLANTED if hostile else '{"question": "Who wr')
            for i in range(4)
        ]
        run.add_rejected([*lines, Rejection(90, "no response", "")], "synthetic.jsonl")
    why = dict(zip(ids, (f"refuses; {PLANTED if hostile else 'shouts'}", "refuses"), strict=False))
    with open_run(folder, command="curate filter", settings={"worst": 0.1}) as run:
        run.add_selection(Selection(tuple(ids[2:]), tuple(why), why, dict.fromkeys(why, 0.9), {"worst": 0.1}))
    with open_run(folder, command="repair", settings={"what": "template", "w_forget": 0.1, "steps": 30}) as run:
        notes = ("kept the weights of step 20 of 30", "guard perplexity did not improve for 2 checks")
        run.add_curve("repair", build_curve(), notes)
    scores = build_scores(hostile=hostile)
    with open_run(folder, command="evaluate", settings={"n_prompts": 120}) as run:
        run.add_scores(scores)
        run.add_comparisons(build_pairs(scores))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("runs") / "qa-demo")


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("runs") / "hostile", hostile=True)


@pytest.fixture(scope="session")
def make_run():
    return build_run


@pytest.fixture(scope="session")
def make_findings():
    return build_findings


@pytest.fixture(scope="session")
def planted():
    return PLANTED
