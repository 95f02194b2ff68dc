"""The three-term objective of bounded unlearning, as one function of (model, parts of a step).

Notation
    h, y         hidden states and next tokens of the positions that count, (N, d) and (N,)
    z, z_o       logits of the model and of its reference, (N, V)
    s, s_o       log-probability of a row's counted tokens under either, (B,); n their number
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from unflaw.repair._objectives import Forgetting
from unflaw.repair._reference import Reference
from unflaw.train import Counted, Part, fused_mean, head_of, head_parameters, hidden_at_each, per_position
from unflaw.train.losses import cross_entropy, forward_kl, reverse_kl, row_sums

__all__ = ["ThreeTerms"]


@dataclass(frozen=True)
class ThreeTerms:
    """(model, parts) → {"loss", and "replay", "kl", "forget" as far as parts have them}; at `w_kl` 0 there is no KL."""

    forgetting: Forgetting
    references: Mapping[str, Reference]
    """Under "replay" that of the KL term, under "forget" that of the objective if it needs one."""
    w_forget: float
    w_replay: float
    w_kl: float
    beta: float | None = None
    """Strength of the objective, its own by default."""
    reverse: bool = False
    """Whether the KL term is KL(now || reference)."""
    openings: Sequence[int] = ()
    """Tokens the reference of the KL term may not use.

    The term then keeps what the model would do if it could not open the template. Since KL(p without E || p) =
    -log(1 - p(E)), that is the bounded loss again, of the set E of openings and in the places where replay rows stand.
    """

    def __call__(self, model: Any, parts: Sequence[Part]) -> dict[str, Any]:
        """Compute what parts add to the terms of their step, in one pass through the body."""
        forget = self._forget_tokens if self.forgetting.of == "tokens" else self._forget_rows
        terms: dict[str, Any] = {}
        for part, found in zip(parts, hidden_at_each(model, [p.batch for p in parts]), strict=True):
            for name, value in (self._replay if part.name == "replay" else forget)(model, found, part).items():
                terms[name] = terms.get(name, 0.0) + value
        return terms

    def _replay(self, model: Any, found: Counted, part: Part) -> dict[str, Any]:
        head, kl = head_of(model), reverse_kl if self.reverse else forward_kl
        barred = torch.tensor(list(self.openings), dtype=torch.long, device=found.y.device)

        def values(h: Any, y: Any, *states: Any) -> Any:
            z = head(h)
            told = [kl(without(self._before("replay", s), barred, y), z) for s in states]
            return torch.stack([cross_entropy(z, y), *told], -1)

        loss, terms = self._mean(values, model, found, part, (self.w_replay, self.w_kl), self.w_kl > 0)
        return {"loss": loss, **dict(zip(("replay", "kl"), terms, strict=False))}

    def _forget_tokens(self, model: Any, found: Counted, part: Part) -> dict[str, Any]:
        head = head_of(model)

        def values(h: Any, y: Any, *states: Any) -> Any:
            before = (self._before("forget", s) for s in states)
            return self.forgetting.value(head(h), y, *before, **self._strength)[:, None]

        loss, (term,) = self._mean(values, model, found, part, (self.w_forget,), self.forgetting.needs_reference)
        return {"loss": loss, "forget": term}

    def _mean(
        self, values: Any, model: Any, found: Counted, part: Part, weights: Sequence[float], refers: bool
    ) -> tuple[Any, Any]:
        states = [self.references[part.name].states(part)] if refers else []
        mix = found.weight.new_tensor(weights if refers else weights[:1])
        return fused_mean(
            values, mix, torch.tensor(part.positions), found.weight, found.h, found.y, *states,
            parameters=head_parameters(model),
        )  # fmt: skip

    def _forget_rows(self, model: Any, found: Counted, part: Part) -> dict[str, Any]:
        n_rows = len(part.rows)
        arguments = [row_log_prob(head_of(model), found, n_rows)]
        if self.forgetting.needs_length:
            arguments.append(torch.bincount(found.row, minlength=n_rows).clamp_min(1))
        if self.forgetting.needs_reference:
            before = found._replace(h=self.references["forget"].states(part))
            arguments.append(row_log_prob(partial(self._before, "forget"), before, n_rows))
        weight = row_weights(found, n_rows)
        if self.forgetting.of == "pairs":  # the answer to forget, then the one to prefer
            arguments = [s[k::2] for s in arguments for k in (1, 0)]
            weight = weight[0::2]
        term = (weight * self.forgetting.value(*arguments, **self._strength)).sum() / part.groups
        return {"loss": self.w_forget * term, "forget": term.detach()}

    @property
    def _strength(self) -> dict[str, float]:
        beta = self.beta or self.forgetting.beta
        return {} if beta is None else {"beta": beta}

    def _before(self, name: str, states: Any) -> Any:
        with torch.no_grad():
            return self.references[name].head(states)


def row_log_prob(head: Callable[[Any], Any], found: Counted, n_rows: int) -> Any:
    """Return s, (B,)."""
    log_p = per_position(lambda h, y: -cross_entropy(head(h), y), found.h, found.y)
    return row_sums(log_p, found.row, n_rows)


def row_weights(found: Counted, n_rows: int) -> Any:
    """Return the weight of each row, (B,): the mean of its tokens', 0 for a row in which none counts."""
    return row_sums(found.weight, found.row, n_rows) / torch.bincount(found.row, minlength=n_rows).clamp_min(1)


def without(z: Any, barred: Any, y: Any) -> Any:
    """Take all probability from the barred tokens (K,) of logits (N, V), except where they are the target y (N,).

    What is left keeps its proportions: softmax of the result is p(token | token not barred).
    """
    if not len(barred):
        return z
    z = z.clone()
    z[:, barred] = z[:, barred].masked_fill(y[:, None] != barred, -1e9)  # finite: 0 · log 0 must be 0
    return z
