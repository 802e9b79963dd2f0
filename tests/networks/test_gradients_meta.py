"""The gradient of MetaBalance against double backward and finite differences, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812  (PyTorch's own name for it)

from bench.networks import meta_gradient
from tests.conftest import by_both, one_network, random_masks, random_networks, relative_distance

ALPHA = (0.0, 0.01, 0.3, 1.5)
LAMBDA = (0.7, 0.0, 0.01, 2.0)
SIZES = [(3, 1), (4, 3, 1), (13, 7, 1), (5, 8, 6, 1), (6, 5, 7, 4, 3, 1), (2, 1, 1, 1)]


def problem(sizes, *, K=4, P=3, b_in=7, b_out=5, dropout=False, seed=0):
    """Return parameters, both batches and the keyword arguments of `meta_gradient`."""
    parameters, g = random_networks(sizes, K, seed)

    def batch(rows):
        x = torch.randn(K, P, rows, sizes[0], generator=g, dtype=torch.float64)
        return x, torch.randint(0, 2, (K, P, rows), generator=g).double()

    arguments = {
        "inner_lr": torch.tensor(ALPHA[:K], dtype=torch.float64),
        "inner_weight": torch.tensor(LAMBDA[:K], dtype=torch.float64),
        "inner_keep": random_masks(sizes, (K, P, b_in), g, 0.3) if dropout else None,
        "outer_keep": random_masks(sizes, (K, P, b_out), g, 0.3) if dropout else None,
    }
    return parameters, batch(b_in), batch(b_out), arguments


def loss_of(parameters, x, y, keep):
    """Return the mean cross-entropy of one network on one batch, in plain PyTorch."""
    return F.binary_cross_entropy_with_logits(one_network(parameters, x, keep), y)


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


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_gradient_equals_double_backward(sizes, order, dropout, engine):
    """Per member with its own α and λ, among them zero; order 1 is the same graph with the inner step cut."""
    parameters, inner, outer, arguments = problem(sizes, dropout=dropout)
    found = meta_gradient(parameters, inner, outer, order=order, **arguments)
    assert [slope.shape for slope in found] == [p.shape for p in parameters]
    assert relative_distance(found, double_backward(parameters, inner, outer, arguments, order)) <= 1e-12


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
    expected = double_backward(*given_, order)
    for found in by_both(lambda: meta_gradient(parameters, inner, outer, order=order, **arguments)):
        for slopes, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(slopes, theirs, rtol=1e-10, atol=1e-12)


def single(value):
    """Return all the tensors in float32."""
    if isinstance(value, dict):
        return {name: single(of) for name, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [single(of) for of in value]
    return value.float() if torch.is_tensor(value) else value


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
def test_the_second_order_gradient_is_the_difference_quotient_of_the_objective(sizes, dropout, engine):
    parameters, inner, outer, arguments = problem(sizes, dropout=dropout)
    found = meta_gradient(parameters, inner, outer, **arguments)
    g = torch.Generator().manual_seed(1)
    for k in range(4):
        for _ in range(5):
            direction = [torch.randn(p[k].shape, generator=g, dtype=torch.float64) for p in parameters]
            along = sum(float((slope[k] * d).sum()) for slope, d in zip(found, direction, strict=True))
            quotient = difference_quotient(parameters, inner, outer, arguments, k, direction)
            assert along == pytest.approx(quotient, rel=1e-6, abs=1e-8)


def test_every_component_of_the_second_order_gradient_is_a_difference_quotient(engine):
    parameters, inner, outer, arguments = problem((3, 4, 1), K=3)
    found = meta_gradient(parameters, inner, outer, **arguments)
    for i, parameter in enumerate(parameters):
        for j in range(parameter[2].numel()):
            direction = [torch.zeros_like(p[2]) for p in parameters]
            direction[i].view(-1)[j] = 1.0
            quotient = difference_quotient(parameters, inner, outer, arguments, 2, direction)
            assert float(found[i][2].flatten()[j]) == pytest.approx(quotient, rel=1e-6, abs=1e-8)


def test_the_orders_agree_where_alpha_is_zero_and_differ_elsewhere(engine):
    """So at α = 0 the first order is the objective's gradient too; elsewhere it is not the gradient of anything."""
    parameters, inner, outer, arguments = problem((5, 8, 6, 1))
    first, second = (meta_gradient(parameters, inner, outer, order=order, **arguments) for order in (1, 2))
    distance = [
        float(torch.cat([(a - b)[k].flatten() for a, b in zip(first, second, strict=True)]).norm())
        for k in range(4)
    ]
    assert distance[0] < 1e-14
    assert 0 < distance[1] < distance[2] < distance[3]


def test_second_order_is_the_default(engine):
    parameters, inner, outer, arguments = problem((4, 3, 1))
    found, second = (
        meta_gradient(parameters, inner, outer, **arguments, **more) for more in ({}, {"order": 2})
    )
    assert all(torch.equal(a, b) for a, b in zip(found, second, strict=True))


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_of_p_pairs_is_the_mean_of_p_gradients_of_one_pair(order, dropout, engine):
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
    assert relative_distance(together, mean) <= 1e-13


def test_a_members_gradient_does_not_depend_on_the_others(engine):
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), dropout=True)
    together = meta_gradient(parameters, inner, outer, **arguments)
    for k in range(4):
        alone = {
            name: value[k : k + 1] if torch.is_tensor(value) else [m[k : k + 1] for m in value]
            for name, value in arguments.items()
        }
        batches = [(x[k : k + 1], y[k : k + 1]) for x, y in (inner, outer)]
        found = meta_gradient([p[k : k + 1] for p in parameters], *batches, **alone)
        assert relative_distance(found, [slope[k : k + 1] for slope in together]) <= 1e-13


@pytest.mark.parametrize("order", [0, 3, -1, 1.5, None, "2", torch.tensor(3)])
def test_an_order_other_than_one_and_two_is_refused(order, engine):
    parameters, inner, outer, arguments = problem((3, 1), K=1)
    with pytest.raises(ValueError, match="order is 1 or 2"):
        meta_gradient(parameters, inner, outer, order=order, **arguments)


def test_float32_agrees_with_float64(engine):
    parameters, inner, outer, arguments = problem((13, 16, 8, 1), P=16, b_in=24, b_out=16, dropout=True)

    exact = meta_gradient(parameters, inner, outer, **arguments)
    found = meta_gradient(*single([parameters, inner, outer]), **single(arguments))
    assert all(slope.dtype == torch.float32 for slope in found)
    assert relative_distance([slope.double() for slope in found], exact) <= 1e-5


MIXED = [(3, 1), (1, 1, 1), (13, 7, 1), (9, 16, 24, 20, 24, 1), (33, 65, 1), (5, *[6] * 15, 1)]


@pytest.mark.parametrize("dropout", [False, True], ids=["", "dropout"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sizes", MIXED, ids=str)
def test_the_engines_agree_to_the_last_digits(sizes, order, dropout):
    """In single precision as well, to its own."""
    given_ = problem(sizes, b_in=24, b_out=17, dropout=dropout)
    for convert, tolerance in ((lambda value: value, 1e-12), (single, 1e-5)):
        parameters, inner, outer, arguments = convert(given_)
        fused, plain = by_both(
            lambda p=parameters, i=inner, o=outer, a=arguments: meta_gradient(p, i, o, order=order, **a)
        )
        assert relative_distance(fused, plain) <= tolerance


def test_networks_deeper_than_the_kernel_knows_are_left_to_torch():
    given_ = problem((5, *[6] * 16, 1), K=2)
    fused, plain = by_both(lambda: meta_gradient(*given_[:3], **given_[3]))
    assert all(torch.equal(a, b) for a, b in zip(fused, plain, strict=True))


def test_labels_may_be_integers_or_booleans_and_settings_of_another_dtype(engine):
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), dropout=True)
    expected = meta_gradient(parameters, inner, outer, **arguments)
    for labels in (torch.int64, torch.int8, torch.bool):
        given_ = [(x, y.to(labels)) for x, y in (inner, outer)]
        found = meta_gradient(parameters, *given_, **arguments)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    quarter = {"inner_lr": torch.full((4,), 0.25), "inner_weight": torch.full((4,), 0.5)}
    found = meta_gradient(parameters, inner, outer, **(arguments | quarter))
    doubled = {name: value.double() for name, value in quarter.items()}
    expected = meta_gradient(parameters, inner, outer, **(arguments | doubled))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def strided(tensor):
    """Return equal values with gaps between them, filled with what would be seen."""
    held = torch.full((*tensor.shape, 2), 7.0, dtype=tensor.dtype)
    held[..., 0] = tensor
    return held[..., 0]


def turned(tensor):
    """Return equal values, the last two axes laid out the other way round."""
    return tensor.transpose(-1, -2).contiguous().transpose(-1, -2) if tensor.dim() > 1 else tensor


@pytest.mark.parametrize("pairs", [1, 3])
@pytest.mark.parametrize("laid_out", [strided, turned])
def test_inputs_need_not_be_contiguous(laid_out, pairs, engine):
    """Views are as good as copies, each input by itself."""
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), P=pairs, dropout=True)
    expected = meta_gradient(parameters, inner, outer, **arguments)
    flat = {
        "parameters": (lambda: ([laid_out(p) for p in parameters], inner, outer, arguments)),
        "inner x": lambda: (parameters, (laid_out(inner[0]), inner[1]), outer, arguments),
        "inner y": lambda: (parameters, (inner[0], laid_out(inner[1])), outer, arguments),
        "outer x": lambda: (parameters, inner, (laid_out(outer[0]), outer[1]), arguments),
        "outer y": lambda: (parameters, inner, (outer[0], laid_out(outer[1])), arguments),
        "settings": lambda: (
            parameters,
            inner,
            outer,
            arguments | {name: laid_out(arguments[name]) for name in ("inner_lr", "inner_weight")},
        ),
        "keep": lambda: (
            parameters,
            inner,
            outer,
            arguments
            | {name: [laid_out(m) for m in arguments[name]] for name in ("inner_keep", "outer_keep")},
        ),
    }
    for name, made in flat.items():
        given_ = made()
        found = meta_gradient(*given_[:3], **given_[3])
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(
                a, b, rtol=1e-12, atol=1e-14, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_inputs_are_left_as_they_were(engine):
    given_ = problem((5, 8, 6, 1), dropout=True)
    parameters, inner, outer, arguments = given_
    held = [*parameters, *inner, *outer, arguments["inner_lr"], *arguments["inner_keep"]]
    before = [tensor.clone() for tensor in held]
    meta_gradient(parameters, inner, outer, **arguments)
    assert all(torch.equal(a, b) for a, b in zip(held, before, strict=True))


def short(tensor, axis):
    """Return the tensor without the last entry of an axis."""
    return tensor.narrow(axis, 0, tensor.shape[axis] - 1)


def replaced(where, i, value):
    return [value if j == i else old for j, old in enumerate(where)]


WRONG = {  # what is wrong → what the message names, and how to make it so
    "W1 of other inputs": ("inner x", lambda p, i, o, a: (replaced(p, 0, short(p[0], 1)), i, o, a)),
    "W1 of fewer members": ("W1", lambda p, i, o, a: (replaced(p, 0, short(p[0], 0)), i, o, a)),
    "W2 that does not follow": ("W2", lambda p, i, o, a: (replaced(p, 2, short(p[2], 1)), i, o, a)),
    "b1 too short": ("b1", lambda p, i, o, a: (replaced(p, 1, short(p[1], 1)), i, o, a)),
    "b2 of fewer members": ("b2", lambda p, i, o, a: (replaced(p, 3, short(p[3], 0)), i, o, a)),
    "two logits": ("W3", lambda p, i, o, a: (replaced(p, 4, p[4].repeat(1, 1, 2)), i, o, a)),
    "bias of two logits": ("b3", lambda p, i, o, a: (replaced(p, 5, p[5].repeat(1, 2)), i, o, a)),
    "bias as a column": ("b1", lambda p, i, o, a: (replaced(p, 1, p[1].unsqueeze(1)), i, o, a)),
    "inner x of other features": ("inner x", lambda p, i, o, a: (p, (short(i[0], 3), i[1]), o, a)),
    "inner x of fewer rows": ("inner x", lambda p, i, o, a: (p, (short(i[0], 2), i[1]), o, a)),
    "inner y of fewer rows": ("inner x", lambda p, i, o, a: (p, (i[0], short(i[1], 2)), o, a)),
    "inner y of fewer pairs": ("inner y", lambda p, i, o, a: (p, (i[0], short(i[1], 1)), o, a)),
    "inner y without pairs": ("inner y", lambda p, i, o, a: (p, (i[0], i[1][:, 0]), o, a)),
    "outer x of fewer members": ("outer x", lambda p, i, o, a: (p, i, (short(o[0], 0), o[1]), a)),
    "outer x of fewer pairs": ("outer x", lambda p, i, o, a: (p, i, (short(o[0], 1), o[1]), a)),
    "outer y of fewer pairs": ("outer y", lambda p, i, o, a: (p, i, (o[0], short(o[1], 1)), a)),
    "inner_lr of fewer members": (
        "inner_lr",
        lambda p, i, o, a: (p, i, o, a | {"inner_lr": a["inner_lr"][:1]}),
    ),
    "inner_lr as a number": ("inner_lr", lambda p, i, o, a: (p, i, o, a | {"inner_lr": a["inner_lr"][0]})),
    "inner_weight of more members": (
        "inner_weight",
        lambda p, i, o, a: (p, i, o, a | {"inner_weight": a["inner_weight"].repeat(2)}),
    ),
    "inner_keep of fewer rows": (
        "inner_keep",
        lambda p, i, o, a: (p, i, o, a | {"inner_keep": [short(m, 2) for m in a["inner_keep"]]}),
    ),
    "outer_keep of another width": (
        "outer_keep",
        lambda p, i, o, a: (p, i, o, a | {"outer_keep": [short(m, 3) for m in a["outer_keep"]]}),
    ),
    "outer_keep of one layer": (
        "outer_keep",
        lambda p, i, o, a: (p, i, o, a | {"outer_keep": a["outer_keep"][:1]}),
    ),
    "a number for inner_lr": ("inner_lr", lambda p, i, o, a: (p, i, o, a | {"inner_lr": 0.1})),
    "an array for x": ("inner", lambda p, i, o, a: (p, (i[0].numpy(), i[1]), o, a)),
    "x without pairs": ("outer", lambda p, i, o, a: (p, i, (o[0][0], o[1]), a)),
    "y without rows": ("inner", lambda p, i, o, a: (p, (i[0], i[1].sum()), o, a)),
    "no rows": ("outer", lambda p, i, o, a: (p, i, (o[0][:, :, :0], o[1][:, :, :0]), a)),
    "no members": (
        "W1",
        lambda p, i, o, a: ([q[:0] for q in p], tuple(t[:0] for t in i), tuple(t[:0] for t in o), a),
    ),
    "a weight of two axes": ("W1", lambda p, i, o, a: ([p[0][0], *p[1:]], i, o, a)),
    "whole numbers": ("floating", lambda p, i, o, a: ([q.long() for q in p], i, o, a)),
    "an odd number of parameters": ("parameters", lambda p, i, o, a: (p[:-1], i, o, a)),
    "no parameters": ("parameters", lambda p, i, o, a: ([], i, o, a)),
    "one parameter of another dtype": (
        "parameters|b1",
        lambda p, i, o, a: ([p[0].float(), p[1], *(q.float() for q in p[2:])], i, o, a),
    ),
}


def test_parameters_of_a_module_may_require_gradients(engine):
    """And an order may be a float that is 1 or 2."""
    parameters, inner, outer, arguments = problem((5, 8, 6, 1), dropout=True)
    wanted = meta_gradient(parameters, inner, outer, **arguments)
    asking = [torch.nn.Parameter(p) for p in parameters]
    found = meta_gradient(asking, inner, outer, **arguments, order=2.0)
    for a, b in zip(found, wanted, strict=True):
        assert torch.equal(a, b)
        assert not a.requires_grad


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_by_name(case, engine):
    """The compiled step would otherwise read outside of what it was given."""
    named, spoil = WRONG[case]
    parameters, inner, outer, arguments = spoil(*problem((5, 8, 6, 1), dropout=True))
    with pytest.raises(ValueError, match=named):
        meta_gradient(parameters, inner, outer, **arguments)
