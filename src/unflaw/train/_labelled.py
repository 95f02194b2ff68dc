"""Rows with labels, as a classifier learns them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unflaw._errors import DataError, SchemaError, SettingsError, did_you_mean
from unflaw.data import Rows
from unflaw.measure import normalise
from unflaw.models import Features, Text, encode_texts, pad_features

__all__ = [
    "DIVERSITY", "QUALITY", "LabelledBatch", "LabelledSet", "label_ids", "label_names", "labels_of", "normal_texts",
    "problems_of_kinds", "problems_of_labelled", "problems_of_texts", "refuse_shared", "texts_of",
]  # fmt: skip

QUALITY = "unflaw.quality"
"""Column of how likely a row's label is to a classifier that learnt from real rows."""
DIVERSITY = "unflaw.diversity"
"""Column of how likely a row's label is to a classifier that learnt from the other synthetic rows."""
_N_NAMED = 3


@dataclass(frozen=True)
class LabelledBatch:
    """Some rows of a step, padded."""

    rows: list[int]
    """Their places in the set."""
    batch: dict[str, Any]
    """What the model takes, each (B, T)."""
    y: Any
    """Class of each row, (B,)."""
    weight: Any
    """(B,)."""
    quality: Any
    """(B,), or None."""
    count: float
    """Rows of the whole step, divided by the number of processes, whose gradients are averaged."""

    def to(self, device: Any) -> LabelledBatch:
        """Move the tensors."""
        moved = {name: t.to(device) for name, t in self.batch.items()}
        quality = None if self.quality is None else self.quality.to(device)
        return replace(self, batch=moved, y=self.y.to(device), weight=self.weight.to(device), quality=quality)


@dataclass(frozen=True)
class LabelledSet:
    """Encoded rows that batches are cut from."""

    ids: list[str]
    features: Sequence[Features]
    y: Int[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]
    """Scaled to mean 1: only proportions matter, and the learning rate means what it does without weights."""
    quality: Float[np.ndarray, " n"] | None
    pad_id: int
    cut: int
    """Rows that fill what the model reads, or are longer."""

    @classmethod
    def of(
        cls, rows: Rows, labels: Sequence[str], model: Any, tokenizer: Any, max_tokens: int, *, weighted: bool = True
    ) -> LabelledSet:
        """Encode rows; `weighted` false leaves their `weight` column aside."""
        features = encode_texts(tokenizer, texts_of(rows), max_tokens)
        weight = np.asarray((rows.weights() if weighted else None) or [1.0] * len(rows), dtype=np.float64)
        weight /= weight.max()  # or the sum of huge ones is infinite
        weight = (weight / weight.mean()).astype(np.float32)
        held = QUALITY in rows.table.column_names
        quality = np.asarray(rows.column(QUALITY), dtype=np.float32) if held else None
        full = sum(len(f["input_ids"]) >= max_tokens for f in features)
        pad_id = model.config.pad_token_id or 0
        return cls(rows.ids, features, label_ids(rows, labels), weight, quality, pad_id, full)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Int[np.ndarray, " m"]) -> LabelledSet:
        """Rows at these positions, their weights as they are."""
        at = indices.tolist()
        quality = None if self.quality is None else self.quality[at]
        return replace(
            self, ids=[self.ids[i] for i in at], features=[self.features[i] for i in at], y=self.y[at],
            weight=self.weight[at], quality=quality,
        )  # fmt: skip

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(f["input_ids"]) for f in self.features]

    def batch(self, step: Sequence[int], rank: int = 0, world: int = 1) -> LabelledBatch:
        """Cut this process's share of a step; one that gets no row takes one that counts for nothing."""
        import torch

        share = list(step[rank::world])
        rows = share or list(step[:1])
        weight = torch.from_numpy(self.weight[rows]) * bool(share)
        quality = None if self.quality is None else torch.from_numpy(self.quality[rows])
        features = pad_features([self.features[i] for i in rows], self.pad_id)
        return LabelledBatch(rows, features, torch.from_numpy(self.y[rows]), weight, quality, len(step) / world)


def texts_of(rows: Rows) -> list[Text]:
    """Return what a classifier reads of each row: premise and hypothesis, or the text.

    Raises SchemaError for rows of neither.
    """
    if rows.has("premise") and rows.has("hypothesis"):
        return [(p or "", h or "") for p, h in zip(rows.column("premise"), rows.column("hypothesis"), strict=True)]
    if rows.has("text"):
        return [text or "" for text in rows.column("text")]
    roles = sorted(rows.roles) or "none"
    raise SchemaError(
        f"a classifier reads `text`, or `premise` and `hypothesis`; {rows.source or 'these rows'} have roles {roles}"
    )


def labels_of(rows: Rows) -> list[str | None]:
    """Return the label of each row as text, None where it has none. Raises SchemaError without the role `label`."""
    if not rows.has("label"):
        raise SchemaError(
            f"{rows.source or 'these rows'} have no role `label`; say which column it is, e.g. --columns label=topic"
        )
    given = rows.column("label")
    return [None if label is None or label == "" or label != label else str(label) for label in given]


def label_names(rows: Rows) -> list[str]:
    """Return the labels there are, sorted."""
    return sorted({label for label in labels_of(rows) if label is not None})


def label_ids(rows: Rows, labels: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the place of each row's label in `labels`. Raises SettingsError for one that is not there, or none."""
    told = labels_of(rows)
    if problems := _problems_of_labels(rows, "rows", told) + _strangers(told, "rows", labels):
        raise SettingsError(problems)
    places = {label: k for k, label in enumerate(labels)}
    return np.array([places[label] for label in told if label is not None], dtype=np.int64)


def problems_of_labelled(
    rows: Rows, name: str, labels: Sequence[str] | None = None, *, weighted: bool = True, least: int = 2
) -> list[str]:
    """Say all that is wrong with rows to learn from or be judged by.

    They must hold `least` different labels, 1 or 2, and where `labels` are given no others.
    """
    try:
        texts, told = texts_of(rows), labels_of(rows)
    except SchemaError as error:
        return [f"`{name}`: {error}"]
    problems = problems_of_texts(rows, name, texts) + _problems_of_labels(rows, name, told)
    if len(there := set(told) - {None}) < least:
        got = f"only {next(iter(there))!r}" if there else "none" if told else "no row"
        problems.append(f"`{name}` must hold {'two labels' if least == 2 else 'a label'} at least, got {got}")
    if labels is not None:
        problems += _strangers(told, name, labels)
    return problems + (_problems_of_weights(rows, name) if weighted and "weight" in rows.table.column_names else [])


def problems_of_texts(rows: Rows, name: str, texts: Sequence[Text]) -> list[str]:
    """Say which rows have a blank text."""
    blank = [i for i, text in zip(rows.ids, texts, strict=True) if not "".join(text).strip()]
    return [f"`{name}` must have a text in every row, got {len(blank):,} without: {_some(blank)}"] if blank else []


def _problems_of_labels(rows: Rows, name: str, told: Sequence[str | None]) -> list[str]:
    bare = [i for i, label in zip(rows.ids, told, strict=True) if label is None]
    return [f"`{name}` must have a label in every row, got {len(bare):,} without: {_some(bare)}"] if bare else []


def problems_of_kinds(**sets: Rows | None) -> list[str]:
    """Say where pairs lie beside texts: what learnt from one reads no other. Sets without either are left to others."""
    kinds = {
        name: "premise and hypothesis" if rows.has("premise") and rows.has("hypothesis") else "text"
        for name, rows in sets.items()
        if rows is not None and (rows.has("text") or (rows.has("premise") and rows.has("hypothesis")))
    }
    first = next(iter(kinds), "")
    return [
        f"`{name}` must hold {kinds[first]} in its rows, as `{first}` does, got {kind}"
        for name, kind in kinds.items()
        if kind != kinds[first]
    ]


def _problems_of_weights(rows: Rows, name: str) -> list[str]:
    given = [1.0 if w is None else w for w in rows.column("weight")]
    strange = [w for w in given if isinstance(w, bool) or not isinstance(w, (int, float)) or not 0 <= w < float("inf")]
    if strange:
        return [f"`weight` of `{name}` must be finite numbers that are not negative, got {strange[0]!r}"]
    if not any(given):
        return [f"`weight` of `{name}` must be above 0 somewhere, got 0 in all {len(given):,} rows"]
    return []


def _strangers(told: Sequence[str | None], name: str, labels: Sequence[str]) -> list[str]:
    known = set(labels)
    unknown = Counter(label for label in told if label is not None and label not in known)
    return [
        f"`{name}` must hold known labels only, got {label!r} in {n:,} rows. {did_you_mean(label, labels)}"
        for label, n in unknown.most_common(_N_NAMED)
    ]


def refuse_shared(**sets: Rows | None) -> None:
    """Refuse rows that serve two ends: a text learnt from, or chosen by, says nothing as a test.

    Texts are compared without what does not make a text another text: see `measure.normalise`.

    Raises
    ------
    DataError
        Two of the sets share texts: every such pair is named, with some ids.
    """
    said = {
        name: dict(zip(normal_texts(rows), rows.ids, strict=True)) for name, rows in sets.items() if rows is not None
    }
    names, told = list(said), []
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            if both := said[one].keys() & said[other].keys():
                ids = [said[other][text] for text in said[other] if text in both]
                told.append(
                    f"`{one}` and `{other}` share {len(both):,} texts, e.g. {_some(ids)} of `{other}`; "
                    "take them out of one"
                )
    if told:
        raise DataError("; ".join(told))


def normal_texts(rows: Rows) -> list[str]:
    """Return what a classifier reads of each row, equal for rows that say the same (see `measure.normalise`)."""
    sides = [(text,) if isinstance(text, str) else text for text in texts_of(rows)]
    return ["\n".join(map(normalise, both)) for both in sides]


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _N_NAMED:,} more" if len(ids) > _N_NAMED else ""
    return ", ".join(ids[:_N_NAMED]) + more
