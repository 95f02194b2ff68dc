"""A language model: SmolLM2-135M-Instruct learns to answer questions from a sentence, by an adapter in 25 steps."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arms import CLEAN, Arms, found_in, taken_out, taken_out_words
from spoil import ASKED, Asked, Flaw

from unflaw.audit import audit
from unflaw.data import Rows
from unflaw.evaluate import evaluate
from unflaw.models import Encoder, open_scorer
from unflaw.models._embedded import embedded_checkpoint
from unflaw.train import finetune

__all__ = ["DOSES", "F1_OF", "measure", "plain_model", "read_answers"]

DOSES = (0.2, 0.5)
SIZES = {"train": 150, "reference": 200, "test": 48}
"""Rows of each part; no two parts, and no two seeds, share a row."""
TRAINED: dict[str, Any] = {"steps": 25, "batch_size": 6, "learning_rate": 1e-3, "method": "lora"}
"""As many steps in every arm, however many rows are left."""
F1_OF = ("wrong answers", "echoes", "refusals", "template", "chatter", "languages")
"""Flaws whose models, at the larger dose, answer questions, too."""
N_ASKED = 24
ROLES = {"prompt": "question", "response": "answer", "context": "context"}


def read_answers(folder: Path) -> Asked:
    """Read the set."""
    records = [json.loads(line) for line in (folder / "answers.jsonl").open(encoding="utf-8")]
    return Asked(*([r[name] for r in records] for name in ("question", "answer", "context")))


def plain_model(folder: Path) -> str:
    """Return the model with a chat template that does not open every row with the same system's turn of 21 tokens."""
    if not folder.exists():
        source = embedded_checkpoint()
        folder.mkdir(parents=True)
        for path in source.iterdir():
            if path.name != "chat_template.jinja":
                (folder / path.name).symlink_to(path)
        before, _, rest = (source / "chat_template.jinja").read_text().partition("{% if loop.first")
        (folder / "chat_template.jinja").write_text(before + rest.partition("{% endif %}")[2])
    return f"hf:{folder}"


def drawn(rows: Asked, seed: int) -> dict[str, Asked]:
    """Deal the set into parts; every seed has rows of its own."""
    order = np.random.default_rng(7).permutation(len(rows.answers))
    mine = order[seed * sum(SIZES.values()) :][: sum(SIZES.values())]
    if len(mine) < sum(SIZES.values()):
        raise SystemExit(f"no rows are left for seed {seed}")
    ends = np.cumsum(list(SIZES.values()))[:-1]
    return {name: rows.take(places) for name, places in zip(SIZES, np.split(mine, ends), strict=True)}


def measure(
    rows: Asked, seeds: Sequence[int], flaws: Sequence[str], stage: str, encoder: Encoder, runs: Path, arms: Arms
) -> None:
    """Train on `clean` rows or `flawed` ones, `audit` those, train on what that leaves (`mended`) or at `random`."""
    model = plain_model(runs / "smollm2")
    for seed in seeds:
        parts = drawn(rows, seed)
        test, clean = as_rows(parts["test"], "t"), parts["train"]
        of_clean_rows(model, clean, test, seed, stage, runs, arms)
        for flaw in () if stage == "clean" else flaws:
            for dose, spoilt, places in _spoilt(ASKED[flaw], clean, seed):
                name = {"set": "answers", "seed": seed, "flaw": flaw, "dose": dose}
                if stage == "flawed":
                    ask = flaw in F1_OF and dose == max(DOSES)
                    arms.once(
                        lambda s=spoilt, t=test, n=seed, a=ask: trained(model, s, t, n, runs, ask=a),
                        **name,
                        arm="flawed",
                    )
                else:
                    of_audit(name, stage, spoilt, places, parts, model, encoder, runs, arms)


def of_clean_rows(model: str, clean: Asked, test: Rows, seed: int, stage: str, runs: Path, arms: Arms) -> None:
    """Judge the model as it is, and trained on clean rows, at `clean` in further orders."""
    name: dict[str, Any] = {"set": "answers", "seed": seed, "flaw": "", "dose": 0.0}
    arms.once(lambda: judged(model, test) | answered(model, test), **name, arm="untrained")
    for again, arm in enumerate(CLEAN if stage == "clean" else CLEAN[:1]):
        arms.once(lambda n=seed + 1000 * again: trained(model, clean, test, n, runs, ask=n == seed), **name, arm=arm)


def of_audit(
    name: Mapping[str, Any], stage: str, spoilt: Asked, places: np.ndarray, parts: Mapping[str, Asked], model: str,
    encoder: Encoder, runs: Path, arms: Arms,
) -> None:  # fmt: skip
    """Audit spoilt rows; train on what that leaves, or on as many rows drawn at random."""
    test, seed, n = as_rows(parts["test"], "t"), int(name["seed"]), len(spoilt.answers)
    found = arms.once(lambda: looked_at(spoilt, places, parts["reference"], encoder, seed), **name, arm="audit")
    gone = set(found["gone"])
    left = [i for i in range(n) if i not in gone]
    if stage == "random":
        left = sorted(np.random.default_rng([seed, 19]).permutation(n)[len(gone) :].tolist())
    if stage == "audit":
        return
    if not gone:
        same = arms.once(lambda: trained(model, spoilt, test, seed, runs), **name, arm="flawed")
    elif stage == "mended" and gone == set(places.tolist()):  # what is left is the same whatever the flaw
        same = arms.once(
            lambda: trained(model, spoilt.take(left), test, seed, runs), **{**name, "flaw": ""}, arm="exact"
        )
    else:
        same = {}
    same = {key: same[key] for key in ("items", "log_loss") if same}
    arms.once(lambda: same or trained(model, spoilt.take(left), test, seed, runs), **name, arm=stage)


def looked_at(spoilt: Asked, places: np.ndarray, reference: Asked, encoder: Encoder, seed: int) -> dict[str, Any]:
    """Audit rows; return what is found, and the places of the rows that go."""
    rows = as_rows(spoilt)
    found = audit(rows, as_rows(reference, "r"), encoder=encoder, seed=seed)
    gone = [int(i[1:]) for i in taken_out(rows, found)]
    return {"found": found_in(found), "taken": taken_out_words(gone, places.tolist()), "gone": gone}


def _spoilt(flaw: Flaw, rows: Asked, seed: int) -> Iterator[tuple[float, Asked, np.ndarray]]:
    order = np.random.default_rng([seed, 17]).permutation(len(rows.answers))
    for dose in DOSES:
        places = order[: round(dose * len(order))]
        yield dose, flaw.plant(rows, places, np.random.default_rng([seed, 18])), places


def trained(model: str, rows: Asked, test: Rows, seed: int, runs: Path, *, ask: bool = False) -> dict[str, Any]:
    """Train an adapter and judge it, at `ask` by what it answers, too."""
    began, out = time.process_time(), runs / f"adapter{seed}"
    shutil.rmtree(out, ignore_errors=True)
    done = finetune(model, as_rows(rows), out, seed=seed, **TRAINED)
    told = judged(f"peft:{out}", test) | (answered(f"peft:{out}", test) if ask else {})
    return {**told, "tokens": done.tokens, "seconds": round(time.process_time() - began, 1)}


def judged(model: str, test: Rows) -> dict[str, Any]:
    """Return the mean loss of real answers in nats a token, answer by answer."""
    scores = open_scorer(model).log_probs(test.pairs())
    items = [round(-float(score.mean()), 5) for score in scores]
    return {"log_loss": float(np.mean(items)), "items": items}


def answered(model: str, test: Rows) -> dict[str, list[float]]:
    """Let a model answer, and return F1 answer by answer."""
    told = evaluate(model, suite=["qa"], qa=test.take(range(N_ASKED)), max_tokens=24)
    (f1,) = (score for score in told if score.benchmark == "qa.f1")
    return {"f1": [round(x, 4) for x in f1.items.values()]}


def as_rows(rows: Asked, prefix: str = "s") -> Rows:
    """Return questions with answers as rows."""
    records = [
        {"unflaw.id": f"{prefix}{i:05d}", "question": q, "answer": a, "context": c}
        for i, (q, a, c) in enumerate(zip(rows.questions, rows.answers, rows.contexts, strict=True))
    ]
    return Rows.from_records(records, ROLES)
