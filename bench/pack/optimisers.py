"""Optimisers over stacked parameters, every hyperparameter one number per member.

They follow `torch.optim.SGD` (Nesterov) and `torch.optim.AdamW` step by step; the tests hold them
against those. An optimiser keeps state between steps, hence the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from bench.pack.network import Parameters, per_member


class Optimiser(Protocol):
    """`step` changes the parameters in place."""

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""


class SGD:
    """Nesterov momentum and coupled weight decay, as in `torch.optim.SGD`; settings are (K,)."""

    def __init__(self, *, lr: Tensor, weight_decay: Tensor, momentum: Tensor) -> None:
        self.lr, self.weight_decay, self.momentum = lr, weight_decay, momentum
        self.velocity: Parameters = []

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""
        first = not self.velocity
        for i, (parameter, slope) in enumerate(zip(parameters, gradients, strict=True)):
            lr, decay, momentum = (
                per_member(v, parameter) for v in (self.lr, self.weight_decay, self.momentum)
            )
            slope = slope + decay * parameter
            if first:
                self.velocity.append(slope)
            else:
                self.velocity[i] = momentum * self.velocity[i] + slope
            parameter -= lr * (slope + momentum * self.velocity[i])


class AdamW:
    """Decoupled weight decay (Loshchilov & Hutter 2019), β = (.9, .999), ε = 1e-8; settings are (K,).

    `momentum` is β₁.
    """

    def __init__(self, *, lr: Tensor, weight_decay: Tensor, momentum: Tensor) -> None:
        self.lr, self.weight_decay, self.momentum = lr, weight_decay, momentum
        self.betas: list[float] = momentum.tolist()
        self.mean: Parameters = []
        self.square: Parameters = []
        self.steps = 0

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""
        if not self.mean:
            self.mean = [torch.zeros_like(p) for p in parameters]
            self.square = [torch.zeros_like(p) for p in parameters]
        self.steps += 1
        # By number, not by torch.pow: its vector tail has other bits than its body (see bench.pack.losses).
        correction = self.lr.new_tensor([1.0 - beta**self.steps for beta in self.betas])
        root = (1.0 - 0.999**self.steps) ** 0.5
        for parameter, slope, mean, square in zip(parameters, gradients, self.mean, self.square, strict=True):
            lr, beta, decay = (per_member(v, parameter) for v in (self.lr, self.momentum, self.weight_decay))
            parameter *= 1.0 - lr * decay
            mean.mul_(beta).add_((1.0 - beta) * slope)
            square.mul_(0.999).addcmul_(slope, slope, value=0.001)
            parameter -= lr / per_member(correction, parameter) * mean / (square.sqrt() / root + 1e-8)


OPTIMISERS: Mapping[str, type[SGD] | type[AdamW]] = {"sgd": SGD, "adamw": AdamW}
