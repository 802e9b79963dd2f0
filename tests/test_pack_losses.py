"""Every loss against PyTorch or its paper's formula, its slope against autograd, and its ends."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (PyTorch's own name for it)

from bench.pack.losses import LOSSES, log_sigmoid, sigmoid

GAMMA = torch.tensor([[0.0], [0.5], [2.0], [5.0]], dtype=torch.float64)


def focal_of_the_paper(z, y, gamma):
    """Return FL(p_t) = −(1 − p_t)^γ log p_t (Lin et al. 2017, eq. 4; α_t is the class weight)."""
    p = torch.sigmoid(z)
    p_t = torch.where(y > 0, p, 1 - p)
    return -((1 - p_t) ** gamma) * torch.log(p_t)


REFERENCES = {
    "cross-entropy": lambda z, y, gamma: F.binary_cross_entropy_with_logits(z, y, reduction="none"),
    "focal": focal_of_the_paper,
}


def rows(limit=8.0, dtype=torch.float64):
    """Return logits and labels (4, 82), one member per γ."""
    z = torch.linspace(-limit, limit, 41, dtype=dtype).repeat(2)
    y = torch.cat([torch.zeros(41, dtype=dtype), torch.ones(41, dtype=dtype)])
    return z.expand(4, -1), y.expand(4, -1)


def test_every_loss_has_a_reference_here():
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_equals_the_reference(name):
    z, y = rows()
    found = LOSSES[name].value(z, y, {"gamma": GAMMA})
    torch.testing.assert_close(found, REFERENCES[name](z, y, GAMMA), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_equals_autograd_of_the_reference(name):
    z, y = rows()
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(REFERENCES[name](leaf, y, GAMMA).sum(), leaf)
    torch.testing.assert_close(LOSSES[name].slope(z, y, {"gamma": GAMMA}), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_is_the_difference_quotient_of_the_value(name):
    z, y = rows()
    loss, h = LOSSES[name], 1e-5
    up, down = (loss.value(z + sign * h, y, {"gamma": GAMMA}) for sign in (1, -1))
    torch.testing.assert_close(
        loss.slope(z, y, {"gamma": GAMMA}), (up - down) / (2 * h), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_give_finite_values_and_slopes(name, dtype):
    for limit in (1e2, 1e4, 1e30):
        z, y = rows(limit, dtype)
        settings = {"gamma": GAMMA.to(dtype)}
        value, slope = (f(z, y, settings) for f in (LOSSES[name].value, LOSSES[name].slope))
        assert value.isfinite().all()
        assert slope.isfinite().all()
        assert (value >= 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_confident_mistake_costs_and_a_confident_hit_does_not(name):
    z, y = torch.tensor([[-50.0, 50.0]] * 4), torch.tensor([[1.0, 1.0]] * 4)
    loss, settings = LOSSES[name], {"gamma": GAMMA.float()}
    torch.testing.assert_close(loss.value(z, y, settings), torch.tensor([[50.0, 0.0]] * 4))
    torch.testing.assert_close(loss.slope(z, y, settings), torch.tensor([[-1.0, 0.0]] * 4))


def test_focal_with_gamma_zero_is_cross_entropy():
    z, y = rows()
    settings = {"gamma": torch.zeros(4, 1, dtype=torch.float64)}
    for part in ("value", "slope"):
        focal, plain = (getattr(LOSSES[name], part)(z, y, settings) for name in ("focal", "cross-entropy"))
        torch.testing.assert_close(focal, plain, rtol=1e-12, atol=1e-15)


def test_sigmoid_and_its_logarithm_equal_pytorchs():
    z = torch.linspace(-40, 40, 801, dtype=torch.float64)
    torch.testing.assert_close(sigmoid(z), torch.sigmoid(z), rtol=1e-14, atol=0)
    torch.testing.assert_close(log_sigmoid(z), F.logsigmoid(z), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_rows_slope_has_the_same_bits_at_every_place(name):
    """A vector's tail must be treated as its body is, or a member's bits depend on its company."""
    g = torch.Generator().manual_seed(0)
    for n in (1, 7, 9, 25, 63, 200):
        z, y = torch.randn(8, n, generator=g) * 5, torch.randint(0, 2, (8, n), generator=g).float()
        settings = {"gamma": torch.linspace(0, 4, 8)[:, None]}
        together = LOSSES[name].slope(z, y, settings)
        for i in range(n):
            alone = LOSSES[name].slope(z[:, i : i + 1].clone(), y[:, i : i + 1].clone(), settings)
            assert torch.equal(alone[:, 0], together[:, i])
