"""The expensive things a check may need, computed once per row and kept on disk for the second look at it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from unflaw._errors import DataError
from unflaw.audit._frame import Batch, Check
from unflaw.audit._parts import Part
from unflaw.audit._work import finished, save_array
from unflaw.data import Rows
from unflaw.models import Encoder, Scorer, open_encoder, open_scorer

__all__ = ["Inputs", "close_scorer", "opened_encoder"]


@dataclass(frozen=True)
class Inputs:
    """The models that the checks of one audit need, and nothing they do not: named by a spec, or as objects."""

    encoder: Encoder | str | None
    scorer: Scorer | str | None
    scorer_after: Scorer | str | None
    needs: frozenset[str]
    """What any of the checks needs."""
    batch_size: int
    device: str

    @classmethod
    def of(
        cls,
        checks: Sequence[Check],
        encoder: Encoder | str | None,
        scorer: Scorer | str | None,
        scorer_after: Scorer | str | None,
        batch_size: int,
        device: str,
    ) -> Inputs:
        """Leave out the models that no check needs."""
        needs = frozenset[str]().union(*(check.needs for check in checks))
        seen = bool(needs & {"embeddings", "pair_embeddings", "context_embeddings"})
        read = bool(needs & {"log_probs", "log_probs_after"})
        return cls(
            encoder if seen else None, scorer if read else None, scorer_after if read else None, needs, batch_size,
            device,
        )  # fmt: skip

    def batches(self, part: Part, *, needs: frozenset[str] | None = None) -> Iterator[Batch]:
        """Yield the rows of a part with everything the checks need to know, or with what is needed alone."""
        wanted = self.needs if needs is None else self.needs & needs
        known = {name: _Kept(part, name) for name in self._asked(part, wanted)}
        before, after = self._log_probs(part) if needs is None else (None, None)
        for start, rows in part.batches(self.batch_size):
            texts = rows.texts()
            vectors = {name: kept.at(start, len(rows), rows, texts, self) for name, kept in known.items()}
            yield Batch(
                rows,
                texts,
                vectors.get("embeddings"),
                None if before is None else before[start : start + len(rows)],
                None if after is None else after[start : start + len(rows)],
                None if "asked" not in vectors else (vectors["asked"], vectors["answered"]),
                vectors.get("passages"),
                start=part.first + start,
                n_set=part.n_set,
            )
        for kept in known.values():
            kept.finish()

    @property
    def scorers(self) -> dict[str, Scorer | str]:
        """Name of what it says → model, of those that are to read the rows."""
        given = {"log_probs": self.scorer, "log_probs_after": self.scorer_after}
        return {name: scorer for name, scorer in given.items() if scorer is not None}

    def read(self, name: str, part: Part) -> int:
        """Let a scorer read a part; what it says is kept."""
        path = part.folder / f"{name}.npy"
        if not finished(path):
            scorer = self.scorers[name]
            model = _scorer(scorer, self.device) if isinstance(scorer, str) else scorer
            said = [row for _, rows in part.batches(self.batch_size) for row in model.log_probs(rows.pairs())]
            save_array(path.with_name(f"{name}-ends.npy"), np.cumsum([0, *map(len, said)]))
            save_array(path, np.concatenate([np.empty(0, np.float32), *said]))
        return part.n_rows

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return a vector per text, as it will be read from disk again."""
        model = self.encoder
        if isinstance(model, str):
            model = opened_encoder(model, self.device)
        vectors = np.asarray(model.encode(texts))  # type: ignore[union-attr]
        if not np.isfinite(vectors).all():
            raise DataError("`embeddings` must be finite numbers; the encoder returned nan or inf")
        return _unit(vectors).astype(np.float16)

    def _asked(self, part: Part, needs: frozenset[str]) -> list[str]:
        """Name the vectors that are kept of a part."""
        if self.encoder is None:
            return []
        pairs = part.kind.has("prompt") and part.kind.has("response")
        asked = {
            "embeddings": ["embeddings"],
            "pair_embeddings": ["asked", "answered"] if pairs else [],
            "context_embeddings": ["passages"] if part.kind.has_passages else [],
        }
        return [name for need, names in asked.items() if need in needs for name in names]

    def _log_probs(self, part: Part) -> tuple[_Ragged | None, _Ragged | None]:
        found = {}
        for name in self.scorers:
            values, ends = (np.load(part.folder / f"{n}.npy", mmap_mode="r") for n in (name, f"{name}-ends"))
            found[name] = _Ragged(values, ends)
        return found.get("log_probs"), found.get("log_probs_after")


@dataclass(frozen=True)
class _Ragged:
    """Rows of unlike length in one array."""

    values: np.ndarray
    ends: np.ndarray

    def __getitem__(self, rows: slice) -> list[np.ndarray]:
        ends = self.ends[rows.start : rows.stop + 1]
        return [np.array(self.values[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]


class _Kept:
    """Vectors of a part: read from disk, or computed batch by batch and put there in the end.

    They are kept as half floats and always read as such, so that both looks at a row see the same numbers: cosines
    move by a thousandth at most.
    """

    def __init__(self, part: Part, name: str) -> None:
        self.path, self.name = part.folder / f"{name}.npy", name
        self.stored = np.load(self.path, mmap_mode="r") if finished(self.path) else None
        self.new: list[np.ndarray] = []

    def at(self, start: int, n: int, rows: Rows, texts: Sequence[str], inputs: Inputs) -> Float[np.ndarray, "n d"]:
        if self.stored is not None:
            return _unit(np.array(self.stored[start : start + n]))
        said = texts if self.name == "embeddings" else [str(v or "") for v in rows.column(_ROLES[self.name])]
        self.new.append(inputs.encode(said))
        return _unit(self.new[-1])

    def finish(self) -> None:
        if self.stored is None:
            save_array(self.path, np.concatenate(self.new))


_ROLES = {"asked": "prompt", "answered": "response", "passages": "context"}


def _unit(vectors: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Return the rows at length 1; a text without any known word has no direction, and stays at 0."""
    x = vectors.astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


@lru_cache(maxsize=2)
def opened_encoder(spec: str, device: str) -> Encoder:
    """Return the encoder of this spec, opened once."""
    return open_encoder(spec, device)


_opened: dict[tuple[str, str], Scorer] = {}


def _scorer(spec: str, device: str) -> Scorer:
    """Return the scorer of this spec, opened once; no other stays open, since one may fill the memory."""
    scorer = _opened.get((spec, device))
    if scorer is None:
        close_scorer()
        scorer = _opened[spec, device] = open_scorer(spec, device)
    return scorer


def close_scorer() -> None:
    """Let go of the scorer that this process has opened."""
    _opened.clear()
    gc.collect()
