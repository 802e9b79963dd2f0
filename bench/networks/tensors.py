"""What the modules of the engine pass to one another: parameters, batches, dropout's factors, a loss's numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

Step = int | Tensor  # the number of a training step, or a tensor on the device that counts it
Parameters = list[Tensor]  # [W1 (N, in, h), b1 (N, h), …, WL (N, h, 1), bL (N, 1)]
Keep = list[Tensor] | None  # dropout's factors (K, rows, h) of each hidden layer


@dataclass(frozen=True)
class Batch:
    """Rows of a pool, (K, B) numbers; with None, the pool itself is K times B rows in order."""

    X: Tensor
    y: Tensor
    rows: Tensor | None
    shape: tuple[int, int]

    def features(self) -> Tensor:
        """Return x (K, B, d)."""
        x = self.X if self.rows is None else self.X.index_select(0, self.rows.reshape(-1))
        return x.view(*self.shape, -1)

    def labels(self) -> Tensor:
        """Return y (K, B)."""
        return self.y.view(self.shape) if self.rows is None else self.y[self.rows]


@dataclass(frozen=True)
class Terms:
    """The formula's numbers for K members: `weight`, `margin` (K, 2), `scale`, `gamma` (K,).

    Without `focusing` γ is not looked at: the power would cost as much as all the rest.
    """

    weight: Tensor
    margin: Tensor
    scale: Tensor
    gamma: Tensor
    focusing: bool

    def at(self, step: int | Tensor, deferred_until: Tensor | None) -> Terms:
        """Return the terms of one step: before `deferred_until` (K,) weights are 1; None defers nothing."""
        if deferred_until is None:
            return self
        early = (deferred_until > step)[:, None]
        return replace(self, weight=torch.where(early, torch.ones_like(self.weight), self.weight))
