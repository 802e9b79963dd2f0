"""The gradient of one loss on one batch per member: C against torch, and both against autograd."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from bench.methods import method
from bench.networks.compiled.kernel import MAX_LAYERS, kernel
from bench.networks.gradients import loss_gradient
from bench.networks.losses import LOSSES, terms, value
from bench.networks.tensors import Batch, Terms
from tests.conftest import by_both, one_network, random_masks, random_networks, relative_distance, steps_by

COUNTS = [(900.0, 30.0), (40.0, 40.0), (5000.0, 9.0)]
VARIED = [
    {"gamma": 0.0, "beta": 0.9, "tau": 1.0, "max_margin": 0.5, "scale": 1.0},
    {"gamma": 0.7, "beta": 0.0, "tau": 0.0, "max_margin": 0.0, "scale": 4.0, "class_weight": "balanced"},
    {"gamma": 3.0, "beta": 0.9999, "tau": 0.5, "max_margin": 1.0, "scale": 0.5},
]
SIZES = [
    (3, 1),
    (1, 1),
    (1, 1, 1),
    (13, 7, 1),
    (8, 16, 4, 1),
    (29, 16, 24, 20, 24, 1),
    (33, 65, 1),
    (2, 1, 9, 1),
]
DEEP = (5, *[6] * (MAX_LAYERS - 1), 1)


@cache
def problem(sizes, B, loss="focal", dropout=False, dtype=torch.float64):
    """Return the arguments of `loss_gradient`: three members on rows of a pool, some drawn twice."""
    parameters, g = random_networks(sizes, len(VARIED))
    X = torch.randn(50, sizes[0], generator=g, dtype=torch.float64)
    y = (torch.rand(50, generator=g) < 0.4).double()
    rows = torch.randint(0, 50, (len(VARIED), B), generator=g)
    keep = random_masks(sizes, (len(VARIED), B), g) if dropout else None
    made = terms([method("network").config(loss=loss, **each) for each in VARIED], COUNTS, X)
    return in_dtype((parameters, Batch(X, y, rows, tuple(rows.shape)), made, keep), dtype)


def in_dtype(value, dtype):
    """Return the arguments with all that is floating in this dtype."""
    if torch.is_tensor(value):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, (list, tuple)):
        return type(value)([in_dtype(each, dtype) for each in value])
    if isinstance(value, (Batch, Terms)):
        return type(value)(**{name: in_dtype(of, dtype) for name, of in vars(value).items()})
    return value


def member(arguments, k):
    """Return the arguments of members `k`, a list of places, alone."""
    parameters, batch, made, keep = arguments
    rows = batch.rows[k]
    return (
        [p[k] for p in parameters],
        Batch(batch.X, batch.y, rows, tuple(rows.shape)),
        Terms(made.weight[k], made.margin[k], made.scale[k], made.gamma[k], made.focusing),
        None if keep is None else [factor[k] for factor in keep],
    )


def by_autograd(arguments):
    """Return the gradient by autograd through the loss's value, member by member."""
    found = []
    for k in range(len(VARIED)):
        parameters, batch, made, keep = member(arguments, [k])
        leaves = [p[0].clone().requires_grad_() for p in parameters]
        z = one_network(leaves, batch.features()[0], None if keep is None else [m[0] for m in keep])
        found.append(torch.autograd.grad(value(z[None], batch.labels(), made).mean(), leaves))
    return [torch.stack(slopes) for slopes in zip(*found, strict=True)]


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_engines_and_autograd_agree_to_the_last_digits(sizes, loss, dropout):
    arguments = problem(sizes, 37, loss, dropout)
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert [slope.shape for slope in fused] == [p.shape for p in arguments[0]]
    assert relative_distance(fused, plain) <= 1e-12
    assert relative_distance(plain, by_autograd(arguments)) <= 1e-12


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_engines_agree_in_single_precision(sizes, loss, dropout):
    """Both are within rounding of float64, too."""
    arguments = problem(sizes, 37, loss, dropout, torch.float32)
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert all(slope.dtype == torch.float32 for slope in (*fused, *plain))
    assert relative_distance(fused, plain) <= 1e-5
    assert relative_distance(fused, by_autograd(in_dtype(arguments, torch.float64))) <= 1e-5


@pytest.mark.parametrize("B", [1, 2, 7, 31, 32, 33, 63, 64, 65, 96, 640])
def test_the_engines_agree_for_every_remainder_of_the_block_of_rows(B):
    """The kernel takes 32 rows at once; a shorter block at the end must not see the rows before it."""
    arguments = problem((9, 12, 5, 1), B, dropout=True)
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert relative_distance(fused, plain) <= 1e-12


@pytest.mark.parametrize("width", range(1, 40))
def test_the_engines_agree_for_every_width(width):
    """Full vectors, what is left of one, and one or two of them side by side."""
    arguments = problem((width, width, 41 - width, 1), 6, dropout=True)
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert relative_distance(fused, plain) <= 1e-12


@pytest.mark.parametrize("n_layers", range(1, MAX_LAYERS + 1))
def test_the_engines_agree_for_every_depth_of_the_kernel(n_layers):
    sizes = (*DEEP[:n_layers], 1)
    arguments = problem(sizes, 35, dropout=True)
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert len(arguments[0]) == 2 * n_layers
    assert relative_distance(fused, plain) <= 1e-12
    assert relative_distance(fused, by_autograd(arguments)) <= 1e-12


def test_deeper_networks_are_left_to_torch():
    arguments = problem((5, *[6] * MAX_LAYERS, 1), 35)
    with steps_by("c"):
        assert kernel(arguments[0][0], MAX_LAYERS) is not None
        assert kernel(arguments[0][0], MAX_LAYERS + 1) is None
    fused, plain = by_both(lambda: loss_gradient(*arguments))
    assert all(torch.equal(a, b) for a, b in zip(fused, plain, strict=True))


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
def test_a_batch_without_row_numbers_is_its_pool_in_order(dropout, engine):
    parameters, batch, made, keep = problem((13, 7, 1), 37, dropout=dropout)
    rows = batch.rows.flatten()
    whole = Batch(batch.X[rows], batch.y[rows], None, batch.shape)
    found, expected = (loss_gradient(parameters, of, made, keep) for of in (whole, batch))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_reads_and_does_not_write(loss, engine):
    arguments = problem((8, 16, 4, 1), 37, loss, dropout=True)
    parameters, batch, made, keep = arguments
    given = [
        *parameters,
        batch.X,
        batch.y,
        batch.rows,
        made.weight,
        made.margin,
        made.scale,
        made.gamma,
        *keep,
    ]
    before = [tensor.clone() for tensor in given]
    first, again = loss_gradient(*arguments), loss_gradient(*arguments)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("sizes", [(13, 7, 1), (33, 65, 1)], ids=str)
def test_a_members_gradient_in_c_has_the_same_bits_in_any_company(sizes):
    """The kernel computes a member alone, so no company need be kept to."""
    arguments = problem(sizes, 37, dropout=True, dtype=torch.float32)
    with steps_by("c"):
        together = loss_gradient(*arguments)
        for members in ([0], [2], [2, 1], [1] * 5):
            found = loss_gradient(*member(arguments, members))
            assert all(torch.equal(a, b[members]) for a, b in zip(found, together, strict=True))


def test_a_member_that_is_no_number_does_not_reach_another(engine):
    arguments = problem((13, 7, 1), 37)
    expected = loss_gradient(*arguments)
    parameters = [p.clone() for p in arguments[0]]
    parameters[0][1] = torch.nan
    found = loss_gradient(parameters, *arguments[1:])
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a[[0, 2]], b[[0, 2]])
    assert not found[-1][1].isfinite().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [-1e30, -1e4, -1e2, 1e2, 1e4, 1e30])
@pytest.mark.parametrize("loss", LOSSES)
def test_extreme_logits_have_finite_gradients_by_either_engine(loss, bias, dtype):
    parameters, *others = problem((13, 7, 1), 37, loss, dtype=dtype)
    extreme = [*parameters[:-1], torch.full_like(parameters[-1], bias)]
    fused, plain = by_both(lambda: loss_gradient(extreme, *others))
    for a, b in zip(fused, plain, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))
