"""Losses of one logit: one formula, and for each loss the numbers that it puts in.

With s = ±1 for the label that is there, and per class a weight w and a margin m,

    u = scale (s z − m),    ℓ = −w (1 − σ(u))^γ log σ(u).

A loss turns the class counts into two weights, two margins, a scale and γ for each member. Training uses only ∂ℓ/∂z;
the values are for Meta-Weight-Net and the tests. Only `exp`, `log1p` and arithmetic are used: torch's `sigmoid` and its
kin compute the tail of a vector in another way than its body, so that a member's bits would depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal, Protocol

import torch
from torch import Tensor

from bench.networks.tensors import Terms

Pair = tuple[float, float]  # of the negative class, of the positive class


class LossConfig(Protocol):
    """The settings that losses look at: those of the plain network's `Config`."""

    @property
    def loss(self) -> str:
        """The loss, by its name in `LOSSES`."""

    @property
    def class_weight(self) -> Literal["balanced"] | float | None:
        """A positive row's weight per negative row's."""

    @property
    def gamma(self) -> float:
        """The focal loss's power."""

    @property
    def beta(self) -> float | None:
        """The β of the effective number of rows; None is (n − 1)/n."""

    @property
    def tau(self) -> float:
        """How much of the log prior odds the logit-adjusted loss takes."""

    @property
    def max_margin(self) -> float:
        """The rarer class's margin."""

    @property
    def scale(self) -> float:
        """The factor of a logit less its margin."""


@dataclass(frozen=True)
class Loss:
    """What a loss puts into the formula, from a member's settings and its counts of the two classes."""

    description: str
    weight: Callable[[LossConfig, Pair], Pair] = lambda config, counts: (1.0, 1.0)
    margin: Callable[[LossConfig, Pair], Pair] = lambda config, counts: (0.0, 0.0)
    scale: Callable[[LossConfig], float] = lambda config: 1.0
    focusing: bool = False
    deferred: bool = False


def sigmoid(z: Tensor) -> Tensor:
    """Return 1/(1 + e^−z); exact enough at both ends, and bitwise independent of the position."""
    return 1.0 / (1.0 + torch.exp(-z))


def log_sigmoid(z: Tensor) -> Tensor:
    """Return log σ(z) without overflow."""
    return torch.clamp(z, max=0.0) - torch.log1p(torch.exp(-z.abs()))


def value(z: Tensor, y: Tensor, terms: Terms) -> Tensor:
    """Return ℓ of every row, (K, B), from logits z and labels y in {0, 1}, both (K, B)."""
    u, factor, _ = _argument(z, y, terms)
    log_p = log_sigmoid(u)
    return -factor * (torch.exp(terms.gamma[:, None] * (log_p - u)) if terms.focusing else 1.0) * log_p


def slope(z: Tensor, y: Tensor, terms: Terms) -> Tensor:
    """Return ∂ℓ/∂z of every row, (K, B): −w s scale (1 − p)^γ (1 − p − γ p log p), p = σ(u)."""
    u, weight, sign = _argument(z, y, terms)
    factor = weight * terms.scale[:, None] * sign
    if not terms.focusing:
        return -factor * sigmoid(-u)
    log_p = log_sigmoid(u)
    log_rest = log_p - u  # log(1 − p)
    p, rest, gamma = torch.exp(log_p), torch.exp(log_rest), terms.gamma[:, None]
    return factor * torch.exp(gamma * log_rest) * (gamma * p * log_p - rest)


def _argument(z: Tensor, y: Tensor, terms: Terms) -> tuple[Tensor, Tensor, Tensor]:
    """Return u, the row's weight and s = ±1, each (K, B)."""
    positive, sign = y > 0, 2.0 * y - 1.0
    margin, weight = (
        torch.where(positive, by_class[:, 1:], by_class[:, :1]) for by_class in (terms.margin, terms.weight)
    )
    return terms.scale[:, None] * (sign * z - margin), weight, sign


def terms(configs: Sequence[LossConfig], counts: Sequence[Pair], like: Tensor) -> Terms:
    """Return the members' terms as tensors of the kind of `like`; their `loss` is the same."""
    loss = LOSSES[configs[0].loss]
    rows = [
        (_weight(loss, config, count), loss.margin(config, count), loss.scale(config), config.gamma)
        for config, count in zip(configs, counts, strict=True)
    ]
    weight, margin, scale, gamma = (like.new_tensor(column) for column in zip(*rows, strict=True))
    return Terms(weight, margin, scale, gamma, loss.focusing)


def cross_entropy(K: int, like: Tensor) -> Terms:
    """Return the terms of plain cross-entropy for K members."""
    ones = like.new_ones(K)
    return Terms(like.new_ones(K, 2), like.new_zeros(K, 2), ones, torch.zeros_like(ones), False)


def _weight(loss: Loss, config: LossConfig, counts: Pair) -> Pair:
    own = loss.weight(config, counts)
    if config.class_weight is None:
        return own
    positive = counts[0] / counts[1] if config.class_weight == "balanced" else config.class_weight
    unit = sum(counts) / (counts[0] + positive * counts[1])  # so that the mean weight is 1
    return own[0] * unit, own[1] * unit * positive


def _effective_number(config: LossConfig, counts: Pair) -> Pair:
    """Weights by inverse effective number of rows, (1 − β)/(1 − β^n), made to sum to 2 (Cui et al. 2019, eq. 6).

    β is (N − 1)/N, with N the rows of both classes where it is not set: their N is the number of prototypes.
    """
    beta = 1 - 1 / sum(counts) if config.beta is None else config.beta
    raw = [(1 - beta) / (1 - beta**n) if beta < 1 else 1 / n for n in counts]
    return 2 * raw[0] / sum(raw), 2 * raw[1] / sum(raw)


def _log_prior(config: LossConfig, counts: Pair) -> Pair:
    """Margins that make cross-entropy of z that of z + τ log(π₁/π₀) (Menon et al. 2021, eq. 10)."""
    shift = config.tau * log(counts[0] / counts[1])
    return -shift, shift


def _by_rarity(config: LossConfig, counts: Pair) -> Pair:
    """Δ ∝ n^(−1/4), the rarer class's being `max_margin` (Cao et al. 2019, eq. 13)."""
    raw = [n**-0.25 for n in counts]
    return config.max_margin * raw[0] / max(raw), config.max_margin * raw[1] / max(raw)


LOSSES: Mapping[str, Loss] = {
    "cross-entropy": Loss("binary cross-entropy with logits"),
    "focal": Loss("focal loss (Lin et al. 2017): easy rows count less, by (1 − p)^γ", focusing=True),
    "class-balanced": Loss(
        "cross-entropy weighted by the inverse effective number of rows (Cui et al. 2019)",
        weight=_effective_number,
    ),
    "logit-adjusted": Loss(
        "cross-entropy of the logit plus τ times the log prior odds (Menon et al. 2021)", margin=_log_prior
    ),
    "ldam-drw": Loss(
        "margins by rarity, class-balanced weights in the last part of training (Cao et al. 2019)",
        weight=_effective_number,
        margin=_by_rarity,
        scale=lambda config: config.scale,
        deferred=True,
    ),
}
