"""Classifiers: reviews of films by sentiment and news by topic, by a linear model of words and one of an encoder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arms import Arms, found_in, taken_out, taken_out_words
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from spoil import LABELLED, Flaw, Labelled, World, places_of

from unflaw.audit import audit
from unflaw.data import Rows
from unflaw.models import Encoder

__all__ = ["AUDITED", "DOSES", "Source", "measure", "read_source", "tuned"]

DOSES = (0.05, 0.1, 0.2, 0.4)
AUDITED = (0.1, 0.4)
"""Doses that an audit is asked about, and rows are taken out of."""
SIZES = {
    "films": {"train": 1000, "reference": 600, "leak": 400, "pool": 3000, "test": 2000},
    "news": {"train": 400, "reference": 300, "leak": 160, "pool": 604, "test": 600},
}
"""Rows of each part; `leak` is held out as the test is, and what of it is trained on all the same is planted."""
C = {("films", "words"): 30.0, ("films", "encoder"): 3.0, ("news", "words"): 3000.0, ("news", "encoder"): 100.0}
"""Inverse strength of the penalty: the best in log-loss on clean rows of other seeds (`run.py --tune`), so that what a
flaw does to how sure the model is counts for little, and what it does to what it knows for most."""
TRIED = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
KINDS = ("words", "encoder")


@dataclass(frozen=True)
class Source:
    """A set with the vectors of its texts."""

    name: str
    rows: Labelled
    vectors: np.ndarray
    elsewhere: Labelled | None
    plots: list[str] | None


def read_source(name: str, folder: Path, encoder: Encoder) -> Source:
    """Read a set."""
    rows = _labelled(folder / f"{name}.jsonl")
    elsewhere = plots = None
    if name == "films":
        elsewhere = _labelled(folder / "snippets.jsonl")
        plots = [json.loads(line)["text"] for line in (folder / "plots.jsonl").open(encoding="utf-8")]
    return Source(name, rows, encoder.encode(rows.texts), elsewhere, plots)


def _labelled(path: Path) -> Labelled:
    records = [json.loads(line) for line in path.open(encoding="utf-8")]
    return Labelled([r["text"] for r in records], [r["label"] for r in records])


def drawn(source: Source, seed: int, encoder: Encoder) -> tuple[Labelled, World, Judge]:
    """Deal a set into rows to train on, the world around them, and what judges a model."""
    order, at, dealt = np.random.default_rng([seed, 5]).permutation(len(source.rows.texts)), 0, {}
    for name, size in SIZES[source.name].items():
        dealt[name] = order[at : at + size]
        at += size
    rows = {name: source.rows.take(places) for name, places in dealt.items()}
    world = World(
        rows["pool"], source.vectors[dealt["pool"]], rows["reference"], rows["leak"], source.elsewhere, source.plots
    )
    held = np.concatenate([dealt["test"], dealt["leak"]])
    return rows["train"], world, Judge(source.name, source.rows.take(held), source.vectors[held], encoder)


class Judge:
    """Trains both kinds of model and judges them on real rows: those of the test, and apart those that leak."""

    def __init__(self, name: str, held: Labelled, vectors: np.ndarray, encoder: Encoder) -> None:
        self.name, self.held, self.encoder, self.n = name, held, encoder, SIZES[name]["test"]
        self.count = HashingVectorizer(n_features=2**18, alternate_sign=False, norm=None)
        self.counts, self.vectors = self.count.transform(held.texts), vectors

    @property
    def test(self) -> Labelled:
        """What no model is trained on."""
        return self.held.take(range(self.n))

    def scores(self, rows: Labelled, strength: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Return log-loss, accuracy and macro-F1 of both kinds of model."""
        told: dict[str, Any] = {}
        for kind in KINDS:
            model, x = self._fitted(kind, rows, (strength or {}).get(kind, C[self.name, kind]))
            told[kind] = self._judged(model.predict_proba(x), [str(label) for label in model.classes_])
        return told

    def untrained(self, rows: Labelled) -> dict[str, Any]:
        """Return the scores of what knows the shares of the classes alone."""
        classes, n = np.unique(rows.labels, return_counts=True)
        p = np.tile(n / n.sum(), (len(self.held.labels), 1))
        return dict.fromkeys(KINDS, self._judged(p, [str(label) for label in classes]))

    def _fitted(self, kind: str, rows: Labelled, strength: float) -> tuple[Any, Any]:
        model = LogisticRegression(C=strength, max_iter=300)
        if kind == "encoder":
            return model.fit(self.encoder.encode(rows.texts), rows.labels), self.vectors
        counts = self.count.transform(rows.texts)
        there = np.unique(counts.indices)  # a word that no row holds has no weight
        weigh = TfidfTransformer(sublinear_tf=True).fit(counts[:, there])
        return model.fit(weigh.transform(counts[:, there]), rows.labels), weigh.transform(self.counts[:, there])

    def _judged(self, p: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
        place = {label: i for i, label in enumerate(classes)}
        truth = np.array([place.get(label, -1) for label in self.held.labels])
        # a class of which no row was left has no chance
        right = np.where(truth >= 0, p[np.arange(len(p)), truth], 0.0).clip(1e-6)
        hits, n = p.argmax(1) == truth, self.n
        said = np.array(classes)[p[:n].argmax(1)]
        return {
            "log_loss": float(-np.log(right[:n]).mean()), "accuracy": float(hits[:n].mean()),
            "macro_f1": float(f1_score(self.held.labels[:n], said, average="macro", zero_division=0)),
            **{f"leak_{k}": float(hits[n : n + k].mean()) for k in self.leaks()},
        }  # fmt: skip

    def leaks(self) -> list[int]:
        """Return how many rows leak at each dose."""
        return [round(dose * SIZES[self.name]["train"]) for dose in DOSES]


def measure(source: Source, seeds: Sequence[int], audited: Sequence[int], encoder: Encoder, arms: Arms) -> None:
    """Train on clean rows, on rows with each flaw in each dose, and on what an audit leaves of those."""
    for seed in seeds:
        of_seed(source, seed, seed in audited, encoder, arms)
        print(f"{source.name}, seed {seed}: done", flush=True)


def of_seed(source: Source, seed: int, audited: bool, encoder: Encoder, arms: Arms) -> None:
    """Do every arm of one seed."""
    clean, world, judge = drawn(source, seed, encoder)
    name = {"set": source.name, "seed": seed, "flaw": "", "dose": 0.0}
    arms.once(lambda: judge.untrained(clean), **name, arm="untrained")
    arms.once(lambda: judge.scores(clean), **name, arm="clean")
    if audited:
        mend(clean, [], world, judge, arms, name)
    exact: dict[bytes, dict[str, Any]] = {}  # most flaws spoil the same rows
    for flaw_name, flaw in LABELLED.items():
        if flaw.needs and getattr(world, flaw.needs) is None:
            continue
        for dose, spoilt, places in _spoilt(flaw, clean, world, seed):
            name = {"set": source.name, "seed": seed, "flaw": flaw_name, "dose": dose}
            arms.once(lambda spoilt=spoilt: judge.scores(spoilt), **name, arm="flawed")
            if audited and dose in AUDITED:
                rest = np.setdiff1d(np.arange(len(spoilt.texts)), places)
                key = rest.tobytes()
                exact[key] = exact.get(key) or judge.scores(clean.take(rest))
                arms.once(lambda key=key: exact[key], **name, arm="exact")
                mend(spoilt, places.tolist(), world, judge, arms, name)


def _spoilt(flaw: Flaw, rows: Labelled, world: World, seed: int) -> Iterator[tuple[float, Labelled, np.ndarray]]:
    for dose in DOSES:
        places = places_of(flaw, rows.labels, dose, np.random.default_rng([seed, 17]))
        yield dose, flaw.plant(rows, places, np.random.default_rng([seed, 18]), world), places


def mend(
    spoilt: Labelled, planted: Sequence[int], world: World, judge: Judge, arms: Arms, name: Mapping[str, Any]
) -> None:
    """Train on what an audit leaves, and on as many rows drawn at random."""
    n, seed = len(spoilt.texts), int(name["seed"])

    def mended() -> dict[str, Any]:
        rows, real, held = as_rows(spoilt), as_rows(world.reference, "r"), as_rows(world.leak, "t")
        found = audit(rows, real, holdout=held, encoder=judge.encoder, seed=seed)
        gone = {int(i[1:]) for i in taken_out(rows, found)}
        left = spoilt.take([i for i in range(n) if i not in gone])
        return {**judge.scores(left), "found": found_in(found), "taken": taken_out_words(gone, planted)}

    removed = arms.once(mended, **name, arm="mended")["taken"]["removed"]
    kept = np.sort(np.random.default_rng([seed, 19]).permutation(n)[removed:])
    arms.once(lambda: judge.scores(spoilt.take(kept)), **name, arm="random")


def as_rows(rows: Labelled, prefix: str = "s") -> Rows:
    """Return texts and labels as rows; the places are drawn, so that an id says nothing of the flaw."""
    records = [
        {"unflaw.id": f"{prefix}{i:05d}", "text": text, "label": label}
        for i, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True))
    ]
    return Rows.from_records(records, {"text": "text", "label": "label"})


def tuned(source: Source, seeds: Sequence[int], encoder: Encoder) -> dict[str, float]:
    """Return the strength with the least log-loss on clean rows, for each kind of model."""
    losses: dict[str, list[float]] = {}
    for seed in seeds:
        clean, world, judge = drawn(source, seed, encoder)
        for strength in TRIED:
            for kind, told in judge.scores(clean, dict.fromkeys(KINDS, strength)).items():
                losses.setdefault(f"{kind} {strength:g}", []).append(told["log_loss"])
    return {name: float(np.mean(of)) for name, of in losses.items()}
