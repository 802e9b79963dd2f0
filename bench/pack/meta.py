"""The outer gradient of MetaBalance, exact, for K members and P pairs at once.

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

from torch import Tensor

from bench.pack.losses import sigmoid
from bench.pack.network import (
    Parameters,
    Trace,
    deltas,
    forward,
    gradient,
    layers,
    per_member,
    product,
    products,
)

Batch = tuple[Tensor, Tensor]


def meta_gradient(
    parameters: Parameters,
    inner: Batch,
    outer: Batch,
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
        `[W1 (K, in, h), b1 (K, h), …, WL (K, h, 1), bL (K, 1)]` of ReLU networks with one logit.
    inner, outer
        `(x (K, P, B, in), y (K, P, B))` with y in {0, 1} of the logits' dtype; the loss is the batch
        mean of binary cross-entropy with logits.
    inner_lr, inner_weight
        α and λ, each (K,).
    order
        2 differentiates through the inner step, 1 does not (what the authors' code computes).
    inner_keep, outer_keep
        Dropout factors per hidden layer, (K, P, B, h); None is no dropout.
    """
    if order not in (1, 2):
        raise ValueError(f"order is 1 or 2, not {order!r}")
    K, P, B_in, n_in = inner[0].shape
    flat = forward(parameters, inner[0].reshape(K, P * B_in, n_in), _flatten(inner_keep, K))
    p = sigmoid(flat.logits)
    d = (p - inner[1].reshape(K, P * B_in)) / B_in
    inner_deltas = deltas(parameters, flat, d)
    per_pair = products(_by_pair(flat.inputs, P), _by_pair(inner_deltas, P))
    alpha = inner_lr.repeat_interleave(P)
    fast = [
        parameter.repeat_interleave(P, 0) - per_member(alpha, slope) * slope
        for parameter, slope in zip(parameters, per_pair, strict=True)
    ]
    out = _outer_gradient(fast, outer, outer_keep)
    total = [slope.view(K, P, *slope.shape[1:]).sum(1) for slope in out]
    weighted = [per_member(inner_weight, delta) * delta for delta in inner_deltas]
    if order == 2:
        q = p * (1.0 - p) / B_in
        hidden_r, delta_r = _r_operator(parameters, flat, inner_deltas, out, q, P)
        _add_hessian_terms(total, flat, inner_deltas, hidden_r, delta_r, inner_lr)
    added = products(flat.inputs, weighted)
    return [(a + b) / P for a, b in zip(total, added, strict=True)]


def _outer_gradient(fast: Parameters, outer: Batch, keep: Sequence[Tensor] | None) -> Parameters:
    """Return ∇L(θ'; outer) of each pair, leading axis K·P."""
    x, y = outer
    K, P, B, n_in = x.shape
    trace = forward(fast, x.reshape(K * P, B, n_in), _flatten(keep, K * P))
    return gradient(fast, trace, (sigmoid(trace.logits) - y.reshape(K * P, B)) / B)


def _r_operator(
    parameters: Parameters, flat: Trace, inner_deltas: list[Tensor], along: Parameters, q: Tensor, P: int
) -> tuple[list[Tensor | None], list[Tensor]]:
    """Return R{layer inputs} and R{deltas} of the inner pass along the pairs' directions `along` (K·P, …).

    q is ∂²ℓ/∂z², (K, P·B_in). The first layer's input is data: its R is None, that is, zero.
    """
    pairs = layers(along)
    inputs = _by_pair(flat.inputs, P)
    hidden: Tensor | None = None
    hiddens: list[Tensor | None] = [None]
    K, n = q.shape
    for i, ((W, _), (V, v)) in enumerate(zip(layers(parameters), pairs, strict=True)):
        a = product(inputs[i], V, v.unsqueeze(1)).view(K, n, -1)
        a = a if hidden is None else product(hidden, W, a)
        if i < len(flat.masks):
            hidden = a * flat.masks[i]
            hiddens.append(hidden)
    delta = q.unsqueeze(-1) * a
    found = [delta]
    for i in range(len(pairs) - 1, 0, -1):
        W, V = parameters[2 * i], pairs[i][0]
        by_pair = _by_pair([inner_deltas[i]], P)[0]
        crossed = product(by_pair, V.transpose(1, 2)).view(K, n, -1)
        delta = product(delta, W.transpose(1, 2), crossed) * flat.masks[i - 1]
        found.append(delta)
    return hiddens, found[::-1]


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


def _by_pair(tensors: list[Tensor], P: int) -> list[Tensor]:
    """View (K, P·B, h) as (K·P, B, h)."""
    return [tensor.reshape(tensor.shape[0] * P, -1, tensor.shape[-1]) for tensor in tensors]


def _flatten(keep: Sequence[Tensor] | None, n: int) -> list[Tensor] | None:
    return None if keep is None else [factor.reshape(n, -1, factor.shape[-1]) for factor in keep]
