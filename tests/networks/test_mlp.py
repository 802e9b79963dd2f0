"""The stacked networks against autograd on one network at a time, and against PyTorch's initialisation."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (PyTorch's own name for it)

from bench.networks import streams
from bench.networks.mlp import forward, gradient, initialise, logits, product, r_forward
from tests.conftest import one_network, random_masks, random_networks, relative_distance

SIZES = [(3, 1), (5, 4, 1), (13, 7, 1), (6, 5, 3, 1), (9, 16, 24, 20, 1)]


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_forward_and_gradient_equal_autograd(sizes, dropout):
    K, rows = 3, 11
    parameters, g = random_networks(sizes, K)
    x = torch.randn(K, rows, sizes[0], generator=g, dtype=torch.float64)
    y = torch.randint(0, 2, (K, rows), generator=g).double()
    keep = random_masks(sizes, (K, rows), g) if dropout else None
    trace = forward(parameters, x, keep)
    found = gradient(parameters, trace, (torch.sigmoid(trace.logits) - y) / rows)
    for k in range(K):
        leaves = [p[k].clone().requires_grad_() for p in parameters]
        z = one_network(leaves, x[k], None if keep is None else [m[k] for m in keep])
        expected = torch.autograd.grad(F.binary_cross_entropy_with_logits(z, y[k]), leaves)
        torch.testing.assert_close(trace.logits[k], z.detach(), rtol=1e-12, atol=1e-12)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine[k], theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", SIZES)
def test_logits_equal_forward_without_dropout(sizes):
    parameters, g = random_networks(sizes, 4)
    x = torch.randn(4, 19, sizes[0], generator=g, dtype=torch.float64)
    expected = forward(parameters, x).logits
    for k in range(4):
        torch.testing.assert_close(logits(parameters, k, x[k]), expected[k], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("P", [1, 3])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_r_operator_is_the_derivative_along_a_direction(sizes, P, dropout):
    """Each of P pairs of a member has its own rows and its own direction; autograd's is the reference."""
    K, B = 3, 7
    parameters, g = random_networks(sizes, K)
    along, _ = random_networks(sizes, K * P, seed=1)
    x = torch.randn(K, P * B, sizes[0], generator=g, dtype=torch.float64)
    keep = random_masks(sizes, (K, P * B), g) if dropout else None
    hiddens, z = r_forward(parameters, forward(parameters, x, keep), along, P)
    assert z.shape == (K, P * B)
    assert hiddens[0] is None
    assert [h.shape for h in hiddens[1:]] == [(K, P * B, width) for width in sizes[1:-1]]
    for k in range(K):
        for p in range(P):
            rows = slice(p * B, (p + 1) * B)
            factors = None if keep is None else [m[k, rows] for m in keep]
            _, expected = torch.autograd.functional.jvp(
                lambda *leaves, k=k, rows=rows, factors=factors: one_network(leaves, x[k, rows], factors),
                tuple(parameter[k] for parameter in parameters),
                tuple(direction[k * P + p] for direction in along),
            )
            assert relative_distance([z[k, rows][None]], [expected[None]]) <= 1e-12


@pytest.mark.parametrize("sizes", [(40, 30, 1), (7, 50, 20, 1)])
def test_initialisation_is_that_of_torch_linear(sizes):
    """Uniform on the interval that torch.nn.Linear fills, for weights and biases."""
    torch.manual_seed(0)
    K = 64
    parameters = initialise(streams.keys(list(range(K)), "init"), sizes)
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layers = [torch.nn.Linear(fan_in, fan_out) for _ in range(K)]
        theirs = (
            torch.stack([layer.weight.detach().T for layer in layers]),
            torch.stack([la.bias for la in layers]),
        )
        for mine, reference in zip(parameters[2 * i : 2 * i + 2], theirs, strict=True):
            bound = fan_in**-0.5
            assert mine.shape == reference.shape
            assert mine.dtype == torch.float32
            assert mine.is_contiguous()
            assert float(mine.abs().max()) <= bound
            assert float(reference.detach().abs().max()) <= bound * (1 + 1e-6)
            assert float(mine.abs().max()) > 0.9 * bound
            assert abs(float(mine.mean())) < 5 * bound / (3 * mine.numel()) ** 0.5
            assert float(mine.std()) == pytest.approx(bound / 3**0.5, rel=5 / mine.numel() ** 0.5)


def test_initialisation_in_double_precision_starts_from_the_same_numbers():
    keys = streams.keys([3, 4], "init")
    for single, double in zip(
        initialise(keys, (5, 3, 1)), initialise(keys, (5, 3, 1), torch.float64), strict=True
    ):
        assert double.dtype == torch.float64
        assert torch.equal(single.double(), double)


def test_initialisation_does_not_depend_on_company():
    seeds = list(range(11))
    together = initialise(streams.keys(seeds, "init"), (13, 7, 5, 1))
    for order in ([4], [9, 2], seeds[::-1]):
        found = initialise(streams.keys([seeds[k] for k in order], "init"), (13, 7, 5, 1))
        for mine, all_of_them in zip(found, together, strict=True):
            assert torch.equal(mine, all_of_them[order])


def test_members_and_layers_start_from_different_weights():
    parameters = initialise(streams.keys(list(range(5)), "init"), (20, 20, 20, 1))
    values = torch.cat([p.flatten() for p in parameters[:4]])
    assert len(values.unique()) > 0.99 * values.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", ["neither", "first", "second"])
@pytest.mark.parametrize(
    ("m", "n", "p"), [(25, 13, 7), (7, 9, 11), (24, 13, 7), (13, 24, 7), (25, 5, 13), (24, 16, 1)]
)
def test_a_product_has_the_same_bits_at_every_place_of_a_stack(m, n, p, transposed, dtype):
    """MKL treats matrices that begin at unaligned addresses otherwise; where one begins depends on its place."""
    g = torch.Generator().manual_seed(m)
    a, b, added = (
        torch.randn(1, *shape, generator=g, dtype=dtype).expand(24, -1, -1)
        for shape in ((m, n), (n, p), (1, p))
    )
    a, b = a.contiguous(), b.contiguous()
    if transposed == "first":
        a = a.transpose(1, 2).contiguous().transpose(1, 2)
    if transposed == "second":
        b = b.transpose(1, 2).contiguous().transpose(1, 2)
    for found in (product(a, b), product(a, b, added)):
        assert torch.equal(found, found[:1].expand_as(found))
    torch.testing.assert_close(product(a, b), torch.matmul(a, b))
    torch.testing.assert_close(product(a, b, added), torch.matmul(a, b) + added)
