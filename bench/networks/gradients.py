"""The gradients: of one loss on one batch per member, and MetaBalance's outer one, exact, for K members and P pairs.

Per pair (Bansal et al. 2021): θ' = θ − α ∇L(θ; inner), ℓ = L(θ'; outer) + λ L(θ; inner). With
g_out = ∇L(θ'; outer) and H the inner loss's Hessian at θ,

    second order:  ∇J = mean over pairs of (I − α H) g_out + λ ∇L(θ; inner)
    first order:   ∇J = mean over pairs of g_out + λ ∇L(θ; inner)

All pairs share θ, so the inner forward and backward are one product over all P·B_in rows; only the
per-pair gradients and the outer pass have weights of their own. H g_out is a Hessian-vector product by
hand: the R-operator (Pearlmutter 1994) through the same forward and backward. ReLU has no curvature;
the loss enters through its first and second derivative alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.networks.compiled.kernel import kernel
from bench.networks.losses import sigmoid, slope
from bench.networks.mlp import (
    Trace,
    by_pair,
    deltas,
    forward,
    gradient,
    layers,
    per_member,
    product,
    products,
    r_forward,
)
from bench.networks.tensors import Batch, Keep, Parameters, Terms


def loss_gradient(parameters: Parameters, batch: Batch, terms: Terms, keep: Keep = None) -> Parameters:
    """Return the gradient of the batch mean of the loss, shaped like `parameters`.

    `parameters` are `[W1 (K, in, h), b1 (K, h), …]`, `keep` dropout's factors (K, B, h) per hidden layer.
    """
    if fused := kernel(parameters[0], len(parameters) // 2):
        return fused.loss_gradient(parameters, batch, terms, keep)
    return torch_loss_gradient(parameters, batch, terms, keep)


def torch_loss_gradient(parameters: Parameters, batch: Batch, terms: Terms, keep: Keep = None) -> Parameters:
    """Return `loss_gradient` by torch operations: used on a GPU, and as the kernel's reference."""
    trace = forward(parameters, batch.features(), keep)
    return gradient(parameters, trace, slope(trace.logits, batch.labels(), terms) / batch.shape[1])


@torch.no_grad()
def meta_gradient(
    parameters: Parameters,
    inner: tuple[Tensor, Tensor],
    outer: tuple[Tensor, Tensor],
    *,
    inner_lr: Tensor,
    inner_weight: Tensor,
    order: int = 2,
    inner_keep: Sequence[Tensor] | None = None,
    outer_keep: Sequence[Tensor] | None = None,
) -> Parameters:
    """Return the gradient of the mean over pairs of L(θ'; outer) + λ L(θ; inner), shaped like `parameters`.

    Parameters
    ----------
    parameters
        `[W1 (K, in, h), b1 (K, h), …, WL (K, h, 1), bL (K, 1)]` of ReLU networks with one logit, all of one
        floating dtype and device.
    inner, outer
        `(x (K, P, B, in), y (K, P, B))` with y in {0, 1}; the loss is the batch mean of binary
        cross-entropy with logits.
    inner_lr, inner_weight
        α and λ, each (K,).
    order
        2 differentiates through the inner step, 1 does not (what the authors' code computes).
    inner_keep, outer_keep
        Dropout factors per hidden layer, (K, P, B, h); None is no dropout.

    Raises
    ------
    ValueError
        Where a shape or kind does not fit, an axis is empty, or the order is neither 1 nor 2.
    """
    _check_tensors(parameters, inner=inner, outer=outer, inner_lr=inner_lr, inner_weight=inner_weight)
    leading = K, P = inner[0].shape[0], inner[0].shape[1]
    _check(parameters, K, order, inner_lr=inner_lr, inner_weight=inner_weight)
    inner_batch, inner_flat = _side("inner", parameters, inner, inner_keep, leading)
    outer_batch, outer_flat = _side("outer", parameters, outer, outer_keep, leading)
    return outer_gradient(
        [p.contiguous() for p in parameters],
        inner_batch,
        outer_batch,
        pairs=P,
        inner_lr=inner_lr.to(parameters[0]).contiguous(),
        inner_weight=inner_weight.to(parameters[0]).contiguous(),
        order=int(order),
        inner_keep=inner_flat,
        outer_keep=outer_flat,
    )


def outer_gradient(
    parameters: Parameters,
    inner: Batch,
    outer: Batch,
    *,
    pairs: int,
    inner_lr: Tensor,
    inner_weight: Tensor,
    order: int,
    inner_keep: Keep = None,
    outer_keep: Keep = None,
) -> Parameters:
    """Return `meta_gradient` on batches of `pairs` times B rows; dropout factors are (K, P·B, h)."""
    fused = kernel(parameters[0], len(parameters) // 2)
    gradient_of = fused.meta_gradient if fused else torch_outer_gradient
    return gradient_of(
        parameters,
        inner,
        outer,
        pairs=pairs,
        inner_lr=inner_lr,
        inner_weight=inner_weight,
        order=order,
        inner_keep=inner_keep,
        outer_keep=outer_keep,
    )


def torch_outer_gradient(
    parameters: Parameters,
    inner: Batch,
    outer: Batch,
    *,
    pairs: int,
    inner_lr: Tensor,
    inner_weight: Tensor,
    order: int,
    inner_keep: Keep,
    outer_keep: Keep,
) -> Parameters:
    """Return `outer_gradient` by torch operations: used on a GPU, and as the kernel's reference."""
    flat = forward(parameters, inner.features(), inner_keep)
    p, B = sigmoid(flat.logits), inner.shape[1] // pairs
    inner_deltas = deltas(parameters, flat, (p - inner.labels()) / B)
    per_pair = products(*([by_pair(t, pairs) for t in tensors] for tensors in (flat.inputs, inner_deltas)))
    alpha = inner_lr.repeat_interleave(pairs)
    fast = [
        parameter.repeat_interleave(pairs, 0) - per_member(alpha, slope) * slope
        for parameter, slope in zip(parameters, per_pair, strict=True)
    ]
    out = _after_step(fast, outer, pairs, outer_keep)
    total = [per_pair_slope.view(-1, pairs, *per_pair_slope.shape[1:]).sum(1) for per_pair_slope in out]
    weighted = [per_member(inner_weight, delta) * delta for delta in inner_deltas]
    if order == 2:
        curvature = p * (1.0 - p) / B
        hidden_r, delta_r = _r_operator(parameters, flat, inner_deltas, out, curvature, pairs)
        _add_hessian_terms(total, flat, inner_deltas, hidden_r, delta_r, inner_lr)
    added = products(flat.inputs, weighted)
    return [(a + b) / pairs for a, b in zip(total, added, strict=True)]


def _check_tensors(parameters: Parameters, **others: Any) -> None:
    """Raise ValueError where something is no tensor, has too few axes, or is empty."""
    arguments = [(f"{'Wb'[i % 2]}{i // 2 + 1}", p, 3 - i % 2) for i, p in enumerate(parameters)]
    for name, value in others.items():
        if name not in ("inner", "outer"):
            arguments.append((name, value, 1))
        elif len(value) != 2:
            raise ValueError(f"{name} is a pair (x, y), not {len(value)} things.")
        else:
            arguments += [(f"{name} x", value[0], 4), (f"{name} y", value[1], 3)]
    for name, tensor, n_axes in arguments:
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is a {type(tensor).__name__}, expected a tensor.")
        if tensor.dim() != n_axes or 0 in tensor.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, expected {n_axes} axes, none of them empty."
            )
    if parameters and not parameters[0].is_floating_point():
        raise ValueError(f"parameters are {parameters[0].dtype}, expected real floating numbers.")


def _check(parameters: Parameters, K: int, order: float, **settings: Tensor) -> None:
    if order not in (1, 2):
        raise ValueError(f"order is 1 or 2, not {order!r}")
    if not parameters or len(parameters) % 2 or len({(p.dtype, p.device) for p in parameters}) > 1:
        tensors = [f"{tuple(p.shape)} {p.dtype} on {p.device}" for p in parameters]
        raise ValueError(
            f"parameters are weights and biases in turn, of one dtype and device; found {tensors}."
        )
    for name, values in settings.items():
        _expect(name, values, (K,))
    fan_in = parameters[0].shape[1]
    for i, (W, b) in enumerate(layers(parameters)):
        _expect(f"W{i + 1}", W, (K, fan_in, 1 if 2 * i + 2 == len(parameters) else W.shape[-1]))
        _expect(f"b{i + 1}", b, (K, W.shape[-1]))
        fan_in = W.shape[-1]


def _expect(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}.")


def _side(
    name: str,
    parameters: Parameters,
    batch: tuple[Tensor, Tensor],
    keep: Sequence[Tensor] | None,
    leading: tuple[int, int],
) -> tuple[Batch, Keep]:
    """Return one side's tensors as a batch, and its dropout factors as (K, P·B, h), their shapes checked."""
    (x, y), like, (K, P) = batch, parameters[0], leading
    B = y.shape[-1]
    _expect(f"{name} x", x, (K, P, B, like.shape[1]))
    _expect(f"{name} y", y, (K, P, B))
    rows, labels = x.to(like).reshape(K * P * B, -1), y.to(like).reshape(-1)
    flat = Batch(rows.contiguous(), labels.contiguous(), None, (K, P * B))
    if keep is None:
        return flat, None
    widths = [b.shape[1] for b in parameters[1:-1:2]]
    if len(keep) != len(widths):
        raise ValueError(f"{name}_keep has factors for {len(keep)} hidden layers, expected {len(widths)}.")
    for factor, width in zip(keep, widths, strict=True):
        _expect(f"{name}_keep", factor, (K, P, B, width))
    return flat, [factor.to(like).reshape(K, P * B, -1).contiguous() for factor in keep]


def _after_step(fast: Parameters, outer: Batch, P: int, keep: Keep) -> Parameters:
    """Return ∇L(θ'; outer) of each pair, leading axis K·P."""
    x, y = by_pair(outer.features(), P), by_pair(outer.labels().unsqueeze(-1), P).squeeze(-1)
    trace = forward(fast, x, None if keep is None else [by_pair(factor, P) for factor in keep])
    return gradient(fast, trace, (sigmoid(trace.logits) - y) / x.shape[1])


def _r_operator(
    parameters: Parameters, flat: Trace, inner_deltas: list[Tensor], along: Parameters, q: Tensor, P: int
) -> tuple[list[Tensor | None], list[Tensor]]:
    """Return R{layer inputs} and R{deltas} of the inner pass along the pairs' directions `along` (K·P, …).

    q is ∂²ℓ/∂z², (K, P·B_in).
    """
    hiddens, z = r_forward(parameters, flat, along, P)
    delta = (q * z).unsqueeze(-1)
    from_last = [delta]
    for i in range(len(along) // 2 - 1, 0, -1):
        W, V = parameters[2 * i], along[2 * i]
        crossed = product(by_pair(inner_deltas[i], P), V.transpose(1, 2)).view(*q.shape, -1)
        delta = product(delta, W.transpose(1, 2), crossed) * flat.masks[i - 1]
        from_last.append(delta)
    return hiddens, from_last[::-1]


def _add_hessian_terms(
    total: Parameters,
    flat: Trace,
    inner_deltas: list[Tensor],
    hidden_r: list[Tensor | None],
    delta_r: list[Tensor],
    inner_lr: Tensor,
) -> None:
    """Subtract α Σ_pairs H g_out from `total` in place; the sum over pairs is one product per layer."""
    for i, (h, delta) in enumerate(zip(flat.inputs, inner_deltas, strict=True)):
        curved = product(h.transpose(1, 2), delta_r[i])
        r = hidden_r[i]
        if r is not None:
            curved = product(r.transpose(1, 2), delta, curved)
        total[2 * i] -= per_member(inner_lr, curved) * curved
        total[2 * i + 1] -= inner_lr[:, None] * delta_r[i].sum(1)
