"""Optimisers over stacked parameters, every hyperparameter one number per member.

They follow `torch.optim.SGD` (Nesterov) and `torch.optim.AdamW` step by step; the tests compare them. An optimiser
keeps state between steps, hence the classes. All of it changes in place and stays on the device, so that a step can be
captured and replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from bench.networks.compiled.kernel import kernel
from bench.networks.mlp import per_member
from bench.networks.tensors import Parameters


class Optimiser(Protocol):
    """`step` changes the parameters in place."""

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""

    def keep(self, members: Sequence[int]) -> None:
        """Keep these members only; they take the places 0, 1, … in this order."""


class SGD:
    """Nesterov momentum and coupled weight decay, as in `torch.optim.SGD`; settings are (K,)."""

    def __init__(self, *, lr: Tensor, weight_decay: Tensor, momentum: Tensor) -> None:
        self.settings = [lr, weight_decay, momentum]
        self.velocity: Parameters = []

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""
        if not self.velocity:
            self.velocity = [torch.zeros_like(p) for p in parameters]
        fused = kernel(parameters[0])
        for parameter, slope, velocity in zip(parameters, gradients, self.velocity, strict=True):
            if fused:
                fused.sgd_step(parameter, slope, velocity, *self.settings)
                continue
            lr, decay, momentum = (per_member(value, parameter) for value in self.settings)
            slope = slope + decay * parameter
            velocity.mul_(momentum).add_(slope)
            parameter -= lr * (slope + momentum * velocity)

    def keep(self, members: Sequence[int]) -> None:
        """Keep these members only; they take the places 0, 1, … in this order."""
        self.settings, self.velocity = (_chosen(state, members) for state in (self.settings, self.velocity))


class AdamW:
    """Decoupled weight decay (Loshchilov & Hutter 2019), β = (.9, .999), ε = 1e-8; settings are (K,).

    `momentum` is β₁.
    """

    def __init__(self, *, lr: Tensor, weight_decay: Tensor, momentum: Tensor) -> None:
        self.settings = [lr, weight_decay, momentum]
        self.betas = torch.stack([momentum.double(), torch.full_like(momentum.double(), 0.999)])
        self.powers = torch.ones_like(self.betas)  # (2, K): β₁ and β₂ to the number of steps
        self.mean: Parameters = []
        self.square: Parameters = []

    def step(self, parameters: Parameters, gradients: Parameters) -> None:
        """Take one step along the gradients, shaped like the parameters."""
        corrections = self.begin(parameters)
        fused = kernel(parameters[0])
        for tensors in zip(parameters, gradients, self.mean, self.square, strict=True):
            if fused:
                fused.adamw_step(*tensors, *self.settings, *corrections)
            else:
                self._step(*tensors, *(per_member(v, tensors[0]) for v in (*self.settings, *corrections)))

    def begin(self, parameters: Parameters) -> list[Tensor]:
        """Count a step, and return the corrections of its mean and of its root of squares, each (K,)."""
        if not self.mean:
            self.mean, self.square = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        # By products, not by torch.pow: its vector tail has other bits than its body (see bench.networks.losses).
        self.powers *= self.betas
        rest = (1.0 - self.powers).to(parameters[0])
        return [rest[0], rest[1].sqrt()]

    def _step(
        self, parameter: Tensor, slope: Tensor, mean: Tensor, square: Tensor, *settings: Tensor
    ) -> None:
        lr, decay, beta, correction, root = settings
        parameter *= 1.0 - lr * decay
        mean.mul_(beta).add_((1.0 - beta) * slope)
        square.mul_(0.999).addcmul_(slope, slope, value=0.001)
        parameter -= lr / correction * mean / (square.sqrt() / root + 1e-8)

    def keep(self, members: Sequence[int]) -> None:
        """Keep these members only; they take the places 0, 1, … in this order."""
        self.settings, self.mean, self.square = (
            _chosen(state, members) for state in (self.settings, self.mean, self.square)
        )
        self.betas, self.powers = (state[:, list(members)] for state in (self.betas, self.powers))


def _chosen(tensors: Parameters, members: Sequence[int]) -> Parameters:
    return [tensor[list(members)] for tensor in tensors]


OPTIMISERS: Mapping[str, type[SGD] | type[AdamW]] = {"sgd": SGD, "adamw": AdamW}
