"""The gradient of one loss on one batch per member: the step of every network but the bilevel ones."""

from __future__ import annotations

from bench.pack.kernel import kernel
from bench.pack.losses import slope
from bench.pack.network import forward, gradient
from bench.pack.tensors import Batch, Keep, Parameters, Terms


def loss_gradient(parameters: Parameters, batch: Batch, terms: Terms, keep: Keep = None) -> Parameters:
    """Return the gradient of the batch mean of the loss, shaped like `parameters`.

    `parameters` are `[W1 (K, in, h), b1 (K, h), …]`, `keep` dropout's factors (K, B, h) per hidden layer.
    """
    if fused := kernel(parameters[0], len(parameters) // 2):
        return fused.loss_gradient(parameters, batch, terms, keep)
    return torch_loss_gradient(parameters, batch, terms, keep)


def torch_loss_gradient(parameters: Parameters, batch: Batch, terms: Terms, keep: Keep = None) -> Parameters:
    """Return `loss_gradient`, made of torch operations: what runs on a GPU, and the kernel's reference."""
    trace = forward(parameters, batch.features(), keep)
    return gradient(parameters, trace, slope(trace.logits, batch.labels(), terms) / batch.shape[1])
