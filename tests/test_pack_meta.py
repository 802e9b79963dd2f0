"""The gradient of MetaBalance against double backward and finite differences, in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  (PyTorch's own name for it)

from bench.pack import meta_gradient

ALPHA = (0.0, 0.01, 0.3, 1.5)
LAMBDA = (0.7, 0.0, 0.01, 2.0)
SIZES = [(3, 1), (4, 3, 1), (13, 7, 1), (5, 8, 6, 1), (6, 5, 7, 4, 3, 1), (2, 1, 1, 1)]


def problem(sizes, *, K=4, P=3, b_in=7, b_out=5, dropout=False, seed=0):
    """Return parameters, both batches and the keyword arguments of `meta_gradient`."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    parameters = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        parameters += [normal(K, fan_in, fan_out) / fan_in**0.5, 0.3 * normal(K, fan_out)]

    def batch(rows):
        return normal(K, P, rows, sizes[0]), torch.randint(0, 2, (K, P, rows), generator=g).double()

    def keep(rows):
        if not dropout:
            return None
        return [
            (torch.rand(K, P, rows, h, generator=g, dtype=torch.float64) > 0.3) / 0.7 for h in sizes[1:-1]
        ]

    arguments = {
        "inner_lr": torch.tensor(ALPHA[:K], dtype=torch.float64),
        "inner_weight": torch.tensor(LAMBDA[:K], dtype=torch.float64),
        "inner_keep": keep(b_in),
        "outer_keep": keep(b_out),
    }
    return parameters, batch(b_in), batch(b_out), arguments


def loss_of(parameters, x, y, keep):
    """Return the mean cross-entropy of one network on one batch, in plain PyTorch."""
    hidden = x
    for i in range(0, len(parameters) - 2, 2):
        hidden = F.relu(F.linear(hidden, parameters[i].T, parameters[i + 1]))
        hidden = hidden if keep is None else hidden * keep[i // 2]
    z = F.linear(hidden, parameters[-2].T, parameters[-1]).squeeze(-1)
    return F.binary_cross_entropy_with_logits(z, y)


def objective(leaves, k, inner, outer, arguments, *, order=2):
    """Return member k's mean over pairs of L(θ'; outer) + λ L(θ; inner); order 1 cuts the inner step's graph."""
    keeps = [arguments["inner_keep"], arguments["outer_keep"]]
    alpha, weight = arguments["inner_lr"][k], arguments["inner_weight"][k]
    total = torch.zeros((), dtype=torch.float64)
    for p in range(inner[0].shape[1]):
        inner_keep, outer_keep = (None if keep is None else [m[k, p] for m in keep] for keep in keeps)
        inner_loss = loss_of(leaves, inner[0][k, p], inner[1][k, p], inner_keep)
        slopes = torch.autograd.grad(inner_loss, leaves, create_graph=True)
        slopes = slopes if order == 2 else [slope.detach() for slope in slopes]
        fast = [leaf - alpha * slope for leaf, slope in zip(leaves, slopes, strict=True)]
        total = total + loss_of(fast, outer[0][k, p], outer[1][k, p], outer_keep) + weight * inner_loss
    return total / inner[0].shape[1]


def double_backward(parameters, inner, outer, arguments, order):
    """Return the reference gradients, stacked like `parameters`."""
    found = []
    for k in range(len(parameters[0])):
        leaves = [p[k].clone().requires_grad_() for p in parameters]
        found.append(torch.autograd.grad(objective(leaves, k, inner, outer, arguments, order=order), leaves))
    return [torch.stack(slopes) for slopes in zip(*found, strict=True)]


def assert_close_relative(found, expected, tolerance):
    """Hold every member's gradient to the reference, relative to the reference's norm."""
    for k in range(len(found[0])):
        mine, theirs = (torch.cat([slope[k].flatten() for slope in slopes]) for slopes in (found, expected))
        assert float((mine - theirs).norm()) <= tolerance * float(theirs.norm())


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_gradient_equals_double_backward(sizes, order, dropout):
    """Per member with its own α and λ, among them zero; order 1 is the same graph with the inner step cut."""
    parameters, inner, outer, arguments = problem(sizes, dropout=dropout)
    found = meta_gradient(parameters, inner, outer, order=order, **arguments)
    assert [slope.shape for slope in found] == [p.shape for p in parameters]
    assert_close_relative(found, double_backward(parameters, inner, outer, arguments, order), 1e-12)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    K=st.integers(1, 3),
    P=st.integers(1, 4),
    batches=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    order=st.sampled_from([1, 2]),
    dropout=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_the_gradient_equals_double_backward_for_any_shape(widths, K, P, batches, order, dropout, seed):
    given_ = problem((*widths, 1), K=K, P=P, b_in=batches[0], b_out=batches[1], dropout=dropout, seed=seed)
    parameters, inner, outer, arguments = given_
    found = meta_gradient(parameters, inner, outer, order=order, **arguments)
    assert_close_relative(found, double_backward(*given_, order), 1e-10)


def difference_quotient(parameters, inner, outer, arguments, k, direction, h=1e-6):
    """Return the central difference of member k's objective along `direction`."""
    values = []
    for sign in (1, -1):
        moved = [p[k] + sign * h * d for p, d in zip(parameters, direction, strict=True)]
        leaves = [leaf.requires_grad_() for leaf in moved]
        values.append(float(objective(leaves, k, inner, outer, arguments).detach()))
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("sizes", [(3, 1), (5, 8, 6, 1), (6, 5, 7, 4, 3, 1)])
def test_the_second_order_gradient_is_the_difference_quotient_of_the_objective(sizes, dropout):
    parameters, inner, outer, arguments = problem(sizes, dropout=dropout)
    found = meta_gradient(parameters, inner, outer, **arguments)
    g = torch.Generator().manual_seed(1)
    for k in range(4):
        for _ in range(5):
            direction = [torch.randn(p[k].shape, generator=g, dtype=torch.float64) for p in parameters]
            along = sum(float((slope[k] * d).sum()) for slope, d in zip(found, direction, strict=True))
            quotient = difference_quotient(parameters, inner, outer, arguments, k, direction)
            assert along == pytest.approx(quotient, rel=1e-6, abs=1e-8)


def test_every_component_of_the_second_order_gradient_is_a_difference_quotient():
    parameters, inner, outer, arguments = problem((3, 4, 1), K=3)
    found = meta_gradient(parameters, inner, outer, **arguments)
    for i, parameter in enumerate(parameters):
        for j in range(parameter[2].numel()):
            direction = [torch.zeros_like(p[2]) for p in parameters]
            direction[i].view(-1)[j] = 1.0
            quotient = difference_quotient(parameters, inner, outer, arguments, 2, direction)
            assert float(found[i][2].flatten()[j]) == pytest.approx(quotient, rel=1e-6, abs=1e-8)


def test_the_orders_agree_where_alpha_is_zero_and_differ_elsewhere():
    """So at α = 0 the first order is the objective's gradient too; elsewhere it is not the gradient of anything."""
    parameters, inner, outer, arguments = problem((5, 8, 6, 1))
    first, second = (meta_gradient(parameters, inner, outer, order=order, **arguments) for order in (1, 2))
    distance = [
        float(torch.cat([(a - b)[k].flatten() for a, b in zip(first, second, strict=True)]).norm())
        for k in range(4)
    ]
    assert distance[0] < 1e-14
    assert 0 < distance[1] < distance[2] < distance[3]


def test_second_order_is_the_default():
    parameters, inner, outer, arguments = problem((4, 3, 1))
    found, second = (
        meta_gradient(parameters, inner, outer, **arguments, **more) for more in ({}, {"order": 2})
    )
    assert all(torch.equal(a, b) for a, b in zip(found, second, strict=True))


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_of_p_pairs_is_the_mean_of_p_gradients_of_one_pair(order, dropout):
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), P=4, dropout=dropout)
    together = meta_gradient(parameters, inner, outer, order=order, **arguments)

    def pair(p):
        cut = {
            name: value
            if name.startswith("inner_lr") or name == "inner_weight" or value is None
            else [m[:, p : p + 1] for m in value]
            for name, value in arguments.items()
        }
        batches = [(x[:, p : p + 1], y[:, p : p + 1]) for x, y in (inner, outer)]
        return meta_gradient(parameters, *batches, order=order, **cut)

    singles = [pair(p) for p in range(4)]
    mean = [torch.stack(slopes).mean(0) for slopes in zip(*singles, strict=True)]
    assert_close_relative(together, mean, 1e-13)


def test_a_members_gradient_does_not_depend_on_the_others():
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), dropout=True)
    together = meta_gradient(parameters, inner, outer, **arguments)
    for k in range(4):
        alone = {
            name: value[k : k + 1] if torch.is_tensor(value) else [m[k : k + 1] for m in value]
            for name, value in arguments.items()
        }
        batches = [(x[k : k + 1], y[k : k + 1]) for x, y in (inner, outer)]
        found = meta_gradient([p[k : k + 1] for p in parameters], *batches, **alone)
        assert_close_relative(found, [slope[k : k + 1] for slope in together], 1e-13)


@pytest.mark.parametrize("order", [0, 3, -1, 1.5, None, "2"])
def test_an_order_other_than_one_and_two_is_refused(order):
    parameters, inner, outer, arguments = problem((3, 1), K=1)
    with pytest.raises(ValueError, match="order is 1 or 2"):
        meta_gradient(parameters, inner, outer, order=order, **arguments)


def test_float32_agrees_with_float64():
    parameters, inner, outer, arguments = problem((13, 16, 8, 1), P=16, b_in=24, b_out=16, dropout=True)

    def single(value):
        if torch.is_tensor(value):
            return value.float()
        return None if value is None else [single(v) for v in value]

    exact = meta_gradient(parameters, inner, outer, **arguments)
    found = meta_gradient(
        single(parameters), single(inner), single(outer), **{k: single(v) for k, v in arguments.items()}
    )
    assert all(slope.dtype == torch.float32 for slope in found)
    assert_close_relative([slope.double() for slope in found], exact, 1e-5)
