"""Losses of one logit, by value and by slope, with per-member settings.

A loss is seen by the engine only through ∂ℓ/∂z; the values are for the tests and for reading. Only
`exp`, `log1p` and arithmetic are used: `sigmoid` and its kin treat the tail of a vector otherwise
than its body, which would make a member's bits depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Settings = Mapping[str, Tensor]  # each (K, 1)


@dataclass(frozen=True)
class Loss:
    """`value` and `slope` (∂ value/∂z) map z, y (K, B) and the members' settings to (K, B), per row."""

    description: str
    value: Callable[[Tensor, Tensor, Settings], Tensor]
    slope: Callable[[Tensor, Tensor, Settings], Tensor]


def sigmoid(z: Tensor) -> Tensor:
    """Return 1/(1 + e^−z); exact enough at both ends, and bitwise independent of the position."""
    return 1.0 / (1.0 + torch.exp(-z))


def log_sigmoid(z: Tensor) -> Tensor:
    """Return log σ(z) without overflow."""
    return torch.clamp(z, max=0.0) - torch.log1p(torch.exp(-z.abs()))


def cross_entropy_value(z: Tensor, y: Tensor, settings: Settings) -> Tensor:
    """Return −log p of the label that is there, shape (K, B)."""
    return -log_sigmoid((2.0 * y - 1.0) * z)


def cross_entropy_slope(z: Tensor, y: Tensor, settings: Settings) -> Tensor:
    """Return σ(z) − y."""
    return sigmoid(z) - y


def focal_value(z: Tensor, y: Tensor, settings: Settings) -> Tensor:
    """Return −(1 − p)^γ log p of the label that is there (Lin et al. 2017, eq. 4), γ = settings["gamma"]."""
    signed = (2.0 * y - 1.0) * z
    log_p = log_sigmoid(signed)
    return -torch.exp(settings["gamma"] * (log_p - signed)) * log_p


def focal_slope(z: Tensor, y: Tensor, settings: Settings) -> Tensor:
    """Return the focal loss's derivative, s (1 − p)^γ (γ p log p − (1 − p)) with s = ±1."""
    sign = 2.0 * y - 1.0
    signed = sign * z
    log_p = log_sigmoid(signed)
    log_rest = log_p - signed  # log(1 − p)
    p, rest = torch.exp(log_p), torch.exp(log_rest)
    gamma = settings["gamma"]
    return sign * torch.exp(gamma * log_rest) * (gamma * p * log_p - rest)


LOSSES: Mapping[str, Loss] = {
    "cross-entropy": Loss("binary cross-entropy with logits", cross_entropy_value, cross_entropy_slope),
    "focal": Loss(
        "focal loss (Lin et al. 2017): easy rows count less, by (1 − p)^γ", focal_value, focal_slope
    ),
}
