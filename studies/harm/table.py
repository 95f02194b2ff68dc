"""A table: who earns more than 50,000 dollars, by gradient boosting and by a linear model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arms import Arms, found_in, taken_out, taken_out_words
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from spoil_table import CATEGORIES, LABEL, NUMBERS, TABLE, TableWorld, places_in

from unflaw.audit import audit
from unflaw.data import Rows

__all__ = ["AUDITED", "DOSES", "measure", "read_table", "tuned"]

DOSES = (0.05, 0.1, 0.2, 0.4)
AUDITED = (0.1, 0.4)
SIZES = {"train": 2000, "reference": 1500, "leak": 800, "pool": 8000, "test": 8000}
ROUNDS, C = 30, 0.3
"""Of boosting, and of the penalty: the best in log-loss on clean rows of other seeds (`run.py --tune`)."""
TRIED = {"boosted": (10, 20, 40, 80, 160), "linear": (0.03, 0.1, 0.3, 1.0, 3.0)}

Table = pd.DataFrame


def read_table(folder: Path) -> Table:
    """Read the people, each once."""
    rows = pd.read_parquet(folder / "adult.parquet").drop_duplicates(ignore_index=True)
    return rows.astype({name: object for name in (*CATEGORIES, LABEL)})


def drawn(table: Table, seed: int) -> tuple[Table, TableWorld, Table]:
    """Deal the table into rows to train on, the world around them, and a test; no two share a row."""
    order, at, parts = np.random.default_rng([seed, 5]).permutation(len(table)), 0, {}
    for name, size in SIZES.items():
        parts[name] = table.iloc[order[at : at + size]].reset_index(drop=True)
        at += size
    return parts["train"], TableWorld(parts["pool"], parts["reference"], parts["leak"]), parts["test"]


class Judge:
    """Trains both kinds of model and judges them on real rows: those of the test, and apart those that leak."""

    def __init__(self, test: Table, leak: Table) -> None:
        self.test, self.leak = test, leak
        self.right = {name: (of[LABEL] == ">50K").to_numpy() for name, of in (("test", test), ("leak", leak))}

    def scores(self, rows: Table, rounds: int = ROUNDS, strength: float = C) -> dict[str, Any]:
        """Return log-loss, AUC and accuracy of both kinds of model."""
        right = (rows[LABEL] == ">50K").to_numpy()
        told = {}
        for kind, model in (("boosted", _boosted(rows, rounds)), ("linear", _linear(strength))):
            model.fit(_features(rows, rows), right)
            told[kind] = self._judged(lambda of, model=model: model.predict_proba(_features(of, rows))[:, 1])
        return told

    def untrained(self, rows: Table) -> dict[str, Any]:
        """Return the scores of what knows the share of the classes alone."""
        share = float((rows[LABEL] == ">50K").mean())
        return dict.fromkeys(("boosted", "linear"), self._judged(lambda of: np.full(len(of), share)))

    def _judged(self, predict: Any) -> dict[str, float]:
        p, leak = (predict(of).clip(1e-6, 1 - 1e-6) for of in (self.test, self.leak))
        hits = (leak > 0.5) == self.right["leak"]
        right = self.right["test"]
        return {
            "log_loss": float(log_loss(right, p)), "auc": float(roc_auc_score(right, p)),
            "accuracy": float(((p > 0.5) == right).mean()),
            **{f"leak_{n}": float(hits[:n].mean()) for n in (round(dose * SIZES["train"]) for dose in DOSES)},
        }  # fmt: skip


def _features(of: Table, trained_on: Table) -> Table:
    """Return what a model reads; a category that training never saw is missing."""
    known = {name: sorted(trained_on[name].dropna().unique()) for name in CATEGORIES}
    return of[list(NUMBERS)].astype(float).assign(
        **{name: pd.Categorical(of[name].where(of[name].isin(known[name])), known[name]) for name in CATEGORIES}
    )  # fmt: skip


def _boosted(rows: Table, rounds: int) -> Any:
    return HistGradientBoostingClassifier(
        max_iter=rounds, early_stopping=False, categorical_features="from_dtype", random_state=0
    )


def _linear(strength: float) -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((numbers, list(NUMBERS)), (words, list(CATEGORIES)))
    return make_pipeline(columns, LogisticRegression(C=strength, max_iter=500))


def measure(table: Table, seeds: Sequence[int], audited: Sequence[int], arms: Arms) -> None:
    """Train on clean rows, on rows with each flaw in each dose, and on what an audit leaves of those."""
    for seed in seeds:
        of_seed(table, seed, seed in audited, arms)
        print(f"adult, seed {seed}: done", flush=True)


def of_seed(table: Table, seed: int, audited: bool, arms: Arms) -> None:
    """Do every arm of one seed."""
    clean, world, test = drawn(table, seed)
    judge = Judge(test, world.leak)
    name: dict[str, Any] = {"set": "adult", "seed": seed, "flaw": "", "dose": 0.0}
    arms.once(lambda: judge.untrained(clean), **name, arm="untrained")
    arms.once(lambda: judge.scores(clean), **name, arm="clean")
    if audited:
        mend(clean, [], world, judge, arms, name)
    exact: dict[bytes, dict[str, Any]] = {}  # most flaws spoil the same rows
    for flaw in TABLE:
        for dose, spoilt, places in _spoilt(flaw, clean, world, seed):
            name = {"set": "adult", "seed": seed, "flaw": flaw, "dose": dose}
            arms.once(lambda spoilt=spoilt: judge.scores(spoilt), **name, arm="flawed")
            if dose in AUDITED:
                rest = np.setdiff1d(np.arange(len(clean)), places)
                key = rest.tobytes()
                exact[key] = exact.get(key) or judge.scores(clean.iloc[rest])
                arms.once(lambda key=key: exact[key], **name, arm="exact")
                if audited:
                    mend(spoilt, places.tolist(), world, judge, arms, name)


def _spoilt(flaw: str, rows: Table, world: TableWorld, seed: int) -> Iterator[tuple[float, Table, np.ndarray]]:
    for dose in DOSES:
        places = places_in(TABLE[flaw], rows, dose, np.random.default_rng([seed, 17]))
        if len(places) == round(dose * len(rows)):  # the rarer class is no two fifths of the rows
            yield dose, TABLE[flaw].plant(rows, places, np.random.default_rng([seed, 18]), world), places


def mend(
    spoilt: Table, planted: Sequence[int], world: TableWorld, judge: Judge, arms: Arms, name: Mapping[str, Any]
) -> None:
    """Train on what an audit leaves, and on as many rows drawn at random."""
    n, seed = len(spoilt), int(name["seed"])

    def mended() -> dict[str, Any]:
        rows, real, held = as_rows(spoilt, "s"), as_rows(world.reference, "r"), as_rows(world.leak, "t")
        found = audit(rows, real, holdout=held, seed=seed)
        gone = {int(i[1:]) for i in taken_out(rows, found)}
        left = spoilt.iloc[[i for i in range(n) if i not in gone]]
        return {**judge.scores(left), "found": found_in(found), "taken": taken_out_words(gone, planted)}

    removed = arms.once(mended, **name, arm="mended")["taken"]["removed"]
    kept = np.sort(np.random.default_rng([seed, 19]).permutation(n)[removed:])
    arms.once(lambda: judge.scores(spoilt.iloc[kept]), **name, arm="random")


def as_rows(table: Table, prefix: str) -> Rows:
    """Return a table as rows whose label is the income."""
    columns = {
        name: [None if pd.isna(v) else int(v) if name in NUMBERS else str(v) for v in table[name]]
        for name in table.columns
    }
    records = [
        {"unflaw.id": f"{prefix}{i:05d}", **dict(zip(columns, values, strict=True))}
        for i, values in enumerate(zip(*columns.values(), strict=True))
    ]
    return Rows.from_records(records, {"label": LABEL})


def tuned(table: Table, seeds: Sequence[int]) -> dict[str, float]:
    """Return the log-loss on clean rows of every setting, for each kind of model."""
    losses: dict[str, list[float]] = {}
    for seed in seeds:
        clean, world, test = drawn(table, seed)
        judge = Judge(test, world.leak)
        for rounds, strength in zip(TRIED["boosted"], TRIED["linear"], strict=True):
            told = judge.scores(clean, int(rounds), strength)
            losses.setdefault(f"boosted {rounds}", []).append(told["boosted"]["log_loss"])
            losses.setdefault(f"linear {strength:g}", []).append(told["linear"]["log_loss"])
    return {name: float(np.mean(of)) for name, of in losses.items()}
