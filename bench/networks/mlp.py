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

from bench.networks import streams
from bench.networks.tensors import Parameters

ALIGNMENT = 32  # bytes, of which 16 were seen to matter; batches of 24, 16 and 640 rows always fit


@dataclass(frozen=True)
class Trace:
    """What a backward pass needs of a forward pass: each layer's input, each ReLU's mask, the logits (N, B)."""

    inputs: list[Tensor]
    masks: list[Tensor]
    logits: Tensor


def initialise(keys: Tensor, sizes: Sequence[int], dtype: torch.dtype = torch.float32) -> Parameters:
    """Return PyTorch's default Linear initialisation, U(±1/√fan_in), for each of the (K,) keys.

    `sizes` runs from the inputs over the hidden layers to 1. Layers are told apart by the counter. Numbers
    are drawn in float32 whatever the dtype: the same start for both.
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
    return [tensor.to(dtype).contiguous() for tensor in parameters]


def layers(parameters: Parameters) -> list[tuple[Tensor, Tensor]]:
    """Return the parameters as (W, b) pairs, first layer first."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def forward(parameters: Parameters, x: Tensor, keep: Sequence[Tensor] | None = None) -> Trace:
    """Return the trace of x (N, B, in) through the N networks."""
    inputs, masks, hidden = [x], [], x
    *hidden_layers, (W_last, b_last) = layers(parameters)
    for i, (W, b) in enumerate(hidden_layers):
        a = product(hidden, W, b.unsqueeze(1))
        mask = (a > 0).to(a.dtype)
        mask = mask * keep[i] if keep is not None else mask
        hidden = a * mask
        inputs.append(hidden)
        masks.append(mask)
    logits = product(hidden, W_last, b_last.unsqueeze(1)).squeeze(-1)
    return Trace(inputs, masks, logits)


def deltas(parameters: Parameters, trace: Trace, d: Tensor) -> list[Tensor]:
    """Return ∂ℓ/∂(pre-activation) of each layer, (N, B, out), from d = ∂ℓ/∂z (N, B)."""
    delta = d.unsqueeze(-1)
    from_last = [delta]
    for (W, _), mask in zip(reversed(layers(parameters)[1:]), reversed(trace.masks), strict=True):
        delta = product(delta, W.transpose(1, 2)) * mask
        from_last.append(delta)
    return from_last[::-1]


def gradient(parameters: Parameters, trace: Trace, d: Tensor) -> Parameters:
    """Return the gradient of each network's loss, shaped like `parameters`, from d = ∂ℓ/∂z (N, B)."""
    return products(trace.inputs, deltas(parameters, trace, d))


def products(inputs: list[Tensor], outputs: list[Tensor]) -> Parameters:
    """Return [hᵀδ, Σ δ] layer by layer: (N, in, out) and (N, out)."""
    slopes: Parameters = []
    for h, delta in zip(inputs, outputs, strict=True):
        slopes += [product(h.transpose(1, 2), delta), delta.sum(1)]
    return slopes


def r_forward(
    parameters: Parameters, trace: Trace, along: Parameters, P: int = 1
) -> tuple[list[Tensor | None], Tensor]:
    """Return R{layer inputs} and R{z}: the derivatives of a forward pass along a direction (Pearlmutter 1994).

    The trace is of K networks and P·B rows; `along` is shaped like parameters of K·P networks, one direction
    per pair. The first layer's input is data: its R is None, that is, zero. R{z} is (K, P·B).
    """
    hidden: Tensor | None = None
    hiddens: list[Tensor | None] = [None]
    for i, ((W, _), (V, v)) in enumerate(zip(layers(parameters), layers(along), strict=True)):
        a = product(by_pair(trace.inputs[i], P), V, v.unsqueeze(1)).view(*trace.logits.shape, -1)
        a = a if hidden is None else product(hidden, W, a)
        if i < len(trace.masks):
            hidden = a * trace.masks[i]
            hiddens.append(hidden)
    return hiddens, a.squeeze(-1)


def by_pair(tensor: Tensor, P: int) -> Tensor:
    """View (K, P·B, h) as (K·P, B, h)."""
    return tensor.reshape(tensor.shape[0] * P, -1, tensor.shape[-1])


def logits(parameters: Parameters, k: int, x: Tensor) -> Tensor:
    """Return member k's logits (n,) on rows x (n, in), dropout off; plain two-dimensional products."""
    hidden = x
    *hidden_layers, (W_last, b_last) = layers(parameters)
    for W, b in hidden_layers:
        hidden = torch.relu(torch.addmm(b[k], hidden, W[k].clone()))  # a clone begins where any other would
    return torch.addmm(b_last[k], hidden, W_last[k].clone()).squeeze(-1)


def per_member(values: Tensor, like: Tensor) -> Tensor:
    """Return values (N,) viewed so that they broadcast over a tensor (N, …)."""
    return values.view(-1, *([1] * (like.dim() - 1)))


def product(a: Tensor, b: Tensor, added: Tensor | None = None) -> Tensor:
    """Return the N matrix products a b, plus `added`, each with bits that do not depend on its place.

    On the CPU, MKL computes a matrix that begins at a multiple of 16 bytes in another way than one that does not. In a
    stack of odd-sized matrices, where one begins depends on its place. So stacks of such sizes are copied into one
    with gaps; the usual sizes are not.
    """
    n, m, p = len(a), a.shape[1], b.shape[2]
    if a.device.type != "cpu" or not any(_gap(size, a) for size in (m * p, a[0].numel(), b[0].numel())):
        return torch.bmm(a, b) if added is None else torch.baddbmm(added, a, b)
    out, a, b = _stack(a, n, m, p), _aligned(a), _aligned(b)
    stacked = torch.bmm(a, b, out=out) if added is None else torch.baddbmm(added, a, b, out=out)
    return stacked.contiguous()


def _gap(size: int, like: Tensor) -> int:
    """Return how many elements must follow a matrix of `size` elements for the next to be aligned."""
    return -size % (ALIGNMENT // like.element_size())


def _stack(like: Tensor, n: int, rows: int, columns: int) -> Tensor:
    """Return room for n matrices, each at an aligned place."""
    step = rows * columns + _gap(rows * columns, like)
    return like.new_empty(n * step).as_strided((n, rows, columns), (step, columns, 1))


def _aligned(a: Tensor) -> Tensor:
    """Return the stack as it is, or copied to aligned places; a transposed one stays transposed."""
    if not _gap(a[0].numel(), a):
        return a
    if a.stride(2) != 1 and a.stride(1) == 1:
        return _aligned(a.transpose(1, 2)).transpose(1, 2)
    return _stack(a, *a.shape).copy_(a)
