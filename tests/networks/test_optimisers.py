"""The stacked optimisers against `torch.optim`, one reference optimiser per member, by either engine."""

from __future__ import annotations

import pytest
import torch

from bench.networks.optimisers import OPTIMISERS
from tests.conftest import by_both, relative_distance

LR = (0.1, 0.003, 0.02, 1e-4)
DECAY = (0.0, 0.01, 5e-4, 1.0)
MOMENTUM = (0.9, 0.5, 0.8, 0.99)
SHAPES = [(5, 3), (3,), (3, 1), (1,), (16, 4)]
REFERENCES = {
    "sgd": lambda ps, lr, decay, momentum: torch.optim.SGD(
        ps, lr=lr, weight_decay=decay, momentum=momentum, nesterov=True
    ),
    "adamw": lambda ps, lr, decay, momentum: torch.optim.AdamW(
        ps, lr=lr, weight_decay=decay, betas=(momentum, 0.999), eps=1e-8
    ),
}


def slopes(parameters, step):
    """Return gradients that depend on the parameters and change from step to step, some of them tiny."""
    return [torch.sin(3 * p + step) + p * 10.0 ** -(step % 5) for p in parameters]


def settings(K, dtype=torch.float64):
    return {
        name: torch.tensor(values[:K], dtype=dtype)
        for name, values in (("lr", LR), ("weight_decay", DECAY), ("momentum", MOMENTUM))
    }


def start(K, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    return [torch.randn(K, *shape, generator=g, dtype=torch.float64).to(dtype) for shape in SHAPES]


def state(optimiser):
    """Return all that an optimiser keeps between steps."""
    if hasattr(optimiser, "velocity"):
        return optimiser.velocity
    return [*optimiser.mean, *optimiser.square, optimiser.powers, optimiser.betas]


def test_every_optimiser_has_a_reference_here():
    assert set(REFERENCES) == set(OPTIMISERS)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_fifty_steps_equal_torch_optim_member_by_member(name, engine):
    K = len(LR)
    parameters = start(K)
    theirs = [[torch.nn.Parameter(p[k].clone()) for p in parameters] for k in range(K)]
    references = [REFERENCES[name](theirs[k], LR[k], DECAY[k], MOMENTUM[k]) for k in range(K)]
    mine = OPTIMISERS[name](**settings(K))
    for step in range(50):
        mine.step(parameters, slopes(parameters, step))
        for leaves, reference in zip(theirs, references, strict=True):
            for leaf, slope in zip(leaves, slopes([leaf.detach() for leaf in leaves], step), strict=True):
                leaf.grad = slope
            reference.step()
        for i, parameter in enumerate(parameters):
            expected = torch.stack([leaves[i].detach() for leaves in theirs])
            torch.testing.assert_close(parameter, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_engines_take_the_same_steps(name, dtype, tolerance):
    """Parameters and state, over gradients that do not depend on where a step led."""
    given = [slopes(start(4, dtype), step) for step in range(20)]

    def steps():
        parameters, optimiser = start(4, dtype), OPTIMISERS[name](**settings(4, dtype))
        for gradients in given:
            optimiser.step(parameters, gradients)
        return parameters, state(optimiser)

    (fused, mine), (plain, theirs) = by_both(steps)
    assert relative_distance(fused, plain) <= tolerance
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_step_changes_everything_in_place_and_leaves_the_gradients(name, engine):
    """Parameters and state keep their storage, or a captured step would go on writing elsewhere."""
    parameters = start(2)
    held, before = list(parameters), [p.clone() for p in parameters]
    given = slopes(parameters, 0)
    kept = [slope.clone() for slope in given]
    optimiser = OPTIMISERS[name](**settings(2))
    optimiser.step(parameters, given)
    places = [tensor.data_ptr() for tensor in (*parameters, *state(optimiser), *optimiser.settings)]
    for _ in range(3):
        optimiser.step(parameters, given)
    assert places == [tensor.data_ptr() for tensor in (*parameters, *state(optimiser), *optimiser.settings)]
    for p, same, old, slope, copy in zip(parameters, held, before, given, kept, strict=True):
        assert p is same
        assert not torch.equal(p, old)
        assert torch.equal(slope, copy)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_members_steps_have_the_same_bits_in_any_company(name, dtype, engine):
    """Over sizes that end in the middle of a vector register."""
    values = settings(4, dtype)
    eight = start(8, dtype)

    def trained(members):
        parameters = [p[members].clone() for p in eight]
        chosen = [k % 4 for k in members]
        optimiser = OPTIMISERS[name](**{field: value[chosen] for field, value in values.items()})
        for step in range(20):
            given = [p * 0.5 - step / 10 for p in parameters]
            optimiser.step(parameters, given)
        return parameters

    together = trained(list(range(8)))
    for members in ([5], [7, 0, 3], [6, 5, 4, 3, 2, 1, 0]):
        for alone, all_of_them in zip(trained(members), together, strict=True):
            assert torch.equal(alone, all_of_them[members])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_members_that_are_kept_go_on_as_if_nothing_had_happened(name, dtype, engine):
    """Some twice, and in another order: settings, momentum, and Adam's count of steps go along."""
    parameters, at = start(4, dtype), [3, 0, 0]
    all_of_them, kept = (OPTIMISERS[name](**settings(4, dtype)) for _ in range(2))
    apart = [p.clone() for p in parameters]
    for step in range(7):
        all_of_them.step(parameters, slopes(parameters, step))
        kept.step(apart, slopes(apart, step))
    kept.keep(at)
    apart = [p[at] for p in apart]
    for step in range(7, 14):
        given = slopes(parameters, step)
        all_of_them.step(parameters, given)
        kept.step(apart, [slope[at] for slope in given])
    for mine, theirs in zip(apart, parameters, strict=True):
        assert torch.equal(mine, theirs[at])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_members_may_be_kept_before_the_first_step(name, engine):
    parameters, optimiser = start(4), OPTIMISERS[name](**settings(4))
    optimiser.keep([2])
    apart, alone = [p[[2]] for p in parameters], OPTIMISERS[name](**settings(4))
    given = slopes(parameters, 0)
    optimiser.step(apart, [slope[[2]] for slope in given])
    alone.step(parameters, given)
    assert all(torch.equal(mine[0], theirs[2]) for mine, theirs in zip(apart, parameters, strict=True))
