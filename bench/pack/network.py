"""K stacked multilayer perceptrons with ReLU and one logit: forward and backward by hand.

`parameters` is a list `[W1 (N, in, h), b1 (N, h), …, WL (N, h, 1), bL (N, 1)]`; N is K, or K·P where
each pair of MetaBalance has weights of its own. Dropout enters as `keep`, one factor tensor (N, B, h)
per hidden layer (0, or 1/(1 − rate)), drawn by the caller, so that a mask can be held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from bench.pack import streams

Parameters = list[Tensor]


@dataclass(frozen=True)
class Trace:
    """What a backward pass needs of a forward pass: each layer's input, each ReLU's mask, the logits (N, B)."""

    inputs: list[Tensor]
    masks: list[Tensor]
    logits: Tensor


def initialise(keys: Tensor, sizes: Sequence[int]) -> Parameters:
    """Return PyTorch's default Linear initialisation, U(±1/√fan_in), for each of the (K,) keys.

    `sizes` runs from the inputs over the hidden layers to 1. Layers are told apart by the counter.
    """
    parameters: Parameters = []
    start = 0
    for fan_in, fan_out in pairwise(sizes):
        bound = fan_in**-0.5
        counter = torch.arange(start, start + (fan_in + 1) * fan_out, device=keys.device)
        drawn = (2.0 * streams.uniform(keys[:, None], counter) - 1.0) * bound
        parameters += [
            drawn[:, : fan_in * fan_out].reshape(-1, fan_in, fan_out),
            drawn[:, fan_in * fan_out :],
        ]
        start += (fan_in + 1) * fan_out
    return [tensor.contiguous() for tensor in parameters]


def layers(parameters: Parameters) -> list[tuple[Tensor, Tensor]]:
    """Return the parameters as (W, b) pairs, first layer first."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def forward(parameters: Parameters, x: Tensor, keep: Sequence[Tensor] | None = None) -> Trace:
    """Return the trace of x (N, B, in) through the N networks."""
    inputs, masks, hidden = [x], [], x
    *hidden_layers, (W_last, b_last) = layers(parameters)
    for i, (W, b) in enumerate(hidden_layers):
        a = torch.baddbmm(b.unsqueeze(1), hidden, W)
        mask = (a > 0).to(a.dtype)
        mask = mask * keep[i] if keep is not None else mask
        hidden = a * mask
        inputs.append(hidden)
        masks.append(mask)
    logits = torch.baddbmm(b_last.unsqueeze(1), hidden, W_last).squeeze(-1)
    return Trace(inputs, masks, logits)


def deltas(parameters: Parameters, trace: Trace, d: Tensor) -> list[Tensor]:
    """Return ∂ℓ/∂(pre-activation) of each layer, (N, B, out), from d = ∂ℓ/∂z (N, B)."""
    delta = d.unsqueeze(-1)
    found = [delta]
    for (W, _), mask in zip(reversed(layers(parameters)[1:]), reversed(trace.masks), strict=True):
        delta = torch.bmm(delta, W.transpose(1, 2)) * mask
        found.append(delta)
    return found[::-1]


def gradient(parameters: Parameters, trace: Trace, d: Tensor) -> Parameters:
    """Return the gradient of each network's loss, shaped like `parameters`, from d = ∂ℓ/∂z (N, B)."""
    return products(trace.inputs, deltas(parameters, trace, d))


def products(inputs: list[Tensor], outputs: list[Tensor]) -> Parameters:
    """Return [hᵀδ, Σ δ] layer by layer: (N, in, out) and (N, out)."""
    found: Parameters = []
    for h, delta in zip(inputs, outputs, strict=True):
        found += [torch.bmm(h.transpose(1, 2), delta), delta.sum(1)]
    return found


def logits(parameters: Parameters, k: int, x: Tensor) -> Tensor:
    """Return member k's logits (n,) on rows x (n, in), dropout off; plain two-dimensional products."""
    hidden = x
    *hidden_layers, (W_last, b_last) = layers(parameters)
    for W, b in hidden_layers:
        hidden = torch.relu(torch.addmm(b[k], hidden, W[k]))
    return torch.addmm(b_last[k], hidden, W_last[k]).squeeze(-1)
