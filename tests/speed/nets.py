"""The networks that are timed, and what a step of each method costs them in floating-point operations.

Matrix products only are counted, B rows through `in` by `out` weights being 2 · B · in · out; with
s = Σ in · out over the layers, and u the same without the first layer, whose input is data and needs no
gradient:

    plain step of B rows        2B (2s + u)                   forward, weight gradients; deltas
    MetaBalance, first order    P (2B (2s + u) + 2C (2s + u))     B inner and C outer rows, P pairs
    and second order            P 2B (2s + 4u) more: R-forward s + u, R-backward 2u, curvature s + u
    Meta-Weight-Net             2B (2s + u) + 2C (2s + u) + 2B (s + u) + 2B s, and of its weight net,
                                with t = Σ in · out and v without the first layer, 2B (3t + v)

In Meta-Weight-Net these are the virtual step, the meta gradient, R-forward along it, the gradient with the
new weights; in the weight net, weights before, weight gradient and weights after; deltas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Net:
    """A multilayer perceptron with ReLU and one logit, and how many rows its data set has to train on."""

    name: str
    inputs: int
    hidden: tuple[int, ...]
    rows: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths from the inputs to the logit."""
        return (self.inputs, *self.hidden, 1)

    @property
    def title(self) -> str:
        """The name and the widths."""
        return f"{self.name} {'-'.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class MetaBatch:
    """P pairs of inner and outer rows, α, λ and the learning rate: the paper's for tables."""

    pairs: int = 81
    inner: int = 24
    outer: int = 16
    inner_lr: float = 0.01
    inner_weight: float = 0.01
    lr: float = 0.02


NETS = (
    Net("fraud", 29, (16, 24, 20, 24), 227_845),
    Net("loan", 12, (25,), 7_662),
)
META = MetaBatch()
BATCH = 24  # of a plain step, and of each of Meta-Weight-Net's two batches
PLAIN_LR = 0.1
WEIGHT_HIDDEN = 100
MOMENTUM, DECAY = 0.9, 5e-4


def _weights(sizes: Sequence[int]) -> tuple[int, int]:
    """Return s and u: the weights of all layers, and of all but the first."""
    found = [fan_in * fan_out for fan_in, fan_out in pairwise(sizes)]
    return sum(found), sum(found[1:])


def plain_flop(sizes: Sequence[int], rows: int) -> int:
    """Return the operations of a gradient of one batch."""
    s, u = _weights(sizes)
    return 2 * rows * (2 * s + u)


def meta_flop(sizes: Sequence[int], batch: MetaBatch, order: int) -> int:
    """Return the operations of one update of MetaBalance."""
    s, u = _weights(sizes)
    curvature = 2 * batch.inner * (2 * s + 4 * u) if order == 2 else 0
    return batch.pairs * (plain_flop(sizes, batch.inner) + plain_flop(sizes, batch.outer) + curvature)


def weight_net_flop(sizes: Sequence[int], rows: int, meta_rows: int, hidden: int) -> int:
    """Return the operations of one step of Meta-Weight-Net."""
    s, u = _weights(sizes)
    t, v = _weights((1, hidden, 1))
    network = plain_flop(sizes, rows) + plain_flop(sizes, meta_rows) + 2 * rows * (2 * s + u)
    return network + 2 * rows * (3 * t + v)
