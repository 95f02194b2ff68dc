"""Ways to forget, by name: what each needs and how it is reached from hidden states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unflaw.train import losses

__all__ = ["FORGETTING", "Forgetting"]


@dataclass(frozen=True)
class Forgetting:
    """One way to forget."""

    value: Callable[..., Any]
    """Of tokens: (z, y[, z_reference][, beta]) → (N,). Of rows: (s[, n][, s_reference][, beta]) → (B,)."""
    of: str
    """"tokens", or "rows", or "pairs" of an answer to forget and one to prefer."""
    needs_reference: bool = False
    needs_length: bool = False
    w_kl: float = 0.1
    """Default weight of the KL term."""
    beta: float | None = None
    """Default of its strength, None where it has none."""


FORGETTING: Mapping[str, Forgetting] = {
    "bounded": Forgetting(losses.bounded, "tokens"),
    "ga": Forgetting(losses.ga, "tokens"),
    "grad_diff": Forgetting(losses.ga, "tokens", w_kl=0.0),
    "wga": Forgetting(losses.wga, "tokens", beta=1.0),
    "ce_u": Forgetting(losses.ce_u, "tokens"),
    "undial": Forgetting(losses.undial, "tokens", needs_reference=True, beta=10.0),
    "npo": Forgetting(losses.npo, "rows", needs_reference=True, beta=0.1),
    "simnpo": Forgetting(losses.simnpo, "rows", needs_length=True, beta=4.5),
    "dpo": Forgetting(losses.dpo, "pairs", needs_reference=True, beta=0.1),
}
