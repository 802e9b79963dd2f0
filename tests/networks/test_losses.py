"""Every loss against PyTorch or its paper's formula, its slope against autograd, and its ends."""

from __future__ import annotations

from math import log

import pytest
import torch
from torch.nn import functional as F  # noqa: N812  (PyTorch's own name for it)

from bench.methods import method
from bench.networks.losses import LOSSES, cross_entropy, log_sigmoid, sigmoid, slope, terms, value

COUNTS = [(900.0, 30.0), (50.0, 50.0), (4000.0, 10.0), (30.0, 70.0)]
VARIED = [
    {"gamma": 0.0, "beta": 0.9, "tau": 1.0, "max_margin": 0.5, "scale": 1.0},
    {"gamma": 0.5, "beta": 0.0, "tau": 0.0, "max_margin": 0.0, "scale": 30.0},
    {"gamma": 2.0, "beta": 0.9999, "tau": 2.5, "max_margin": 2.0, "scale": 3.0},
    {"gamma": 5.0, "beta": 1.0, "tau": 0.3, "max_margin": 1.0, "scale": 0.1, "class_weight": "balanced"},
]


def _binary(z, y, config, counts):
    return F.binary_cross_entropy_with_logits(z, y, reduction="none")


def _focal(z, y, config, counts):
    """Return FL(p_t) = −(1 − p_t)^γ log p_t (Lin et al. 2017, eq. 4; α_t is the class weight)."""
    p = torch.sigmoid(z)
    p_t = torch.where(y > 0, p, 1 - p)
    return -((1 - p_t) ** config.gamma) * torch.log(p_t)


def _of_class(y, pair):
    """Return the number of each row's class."""
    return y.new_tensor(pair)[y.long()]


def _by_effective_number(y, config, counts):
    """Return each row's (1 − β)/(1 − β^n_y), scaled to sum to the number of classes (Cui et al. 2019, eq. 12)."""
    beta = 1 - 1 / sum(counts) if config.beta is None else config.beta
    inverse = [(1 - beta) / (1 - beta**n) if beta < 1 else 1 / n for n in counts]
    return _of_class(y, [2 * w / sum(inverse) for w in inverse])


def _class_balanced(z, y, config, counts):
    return _by_effective_number(y, config, counts) * _binary(z, y, config, counts)


def _two_logits(z):
    return torch.stack([torch.zeros_like(z), z], -1)


def _logit_adjusted(z, y, config, counts):
    """Return softmax cross-entropy of f_y + τ log π_y (Menon et al. 2021, eq. 10)."""
    priors = torch.tensor([log(n / sum(counts)) for n in counts], dtype=z.dtype)
    return F.cross_entropy(_two_logits(z) + config.tau * priors, y.long(), reduction="none")


def _ldam_drw(z, y, config, counts):
    """Return the loss of the paper's code: the label's logit less Δ = C/n^(1/4), times s, by weight (eq. 11)."""
    largest = max(n**-0.25 for n in counts)
    margins = torch.tensor([config.max_margin / largest * n**-0.25 for n in counts], dtype=z.dtype)
    logits = _two_logits(z) - margins * F.one_hot(y.long(), 2)
    plain = F.cross_entropy(config.scale * logits, y.long(), reduction="none")
    return _by_effective_number(y, config, counts) * plain


def _class_weighted(loss):
    """Return the loss with its rows weighted by n / (2 n_y) where the configuration says so."""

    def weighted(z, y, config, counts):
        found = loss(z, y, config, counts)
        if config.class_weight is None:
            return found
        return found * _of_class(y, [sum(counts) / (2 * n) for n in counts])

    return weighted


PAPER = {  # name → loss of each row, from logits (n,), labels (n,), a configuration and the class counts
    "cross-entropy": _class_weighted(_binary),
    "focal": _class_weighted(_focal),
    "class-balanced": _class_weighted(_class_balanced),
    "logit-adjusted": _class_weighted(_logit_adjusted),
    "ldam-drw": _class_weighted(_ldam_drw),
}


def configs(loss):
    return [method("network").config(loss=loss, **each) for each in VARIED]


def terms_of(loss, dtype=torch.float64):
    """Return the terms of four members that differ in all that the losses can be set to."""
    return terms(configs(loss), COUNTS, torch.empty(0, dtype=dtype))


def rows(limit=8.0, dtype=torch.float64):
    """Return logits and labels (4, 82), one row of both for each member."""
    z = torch.linspace(-limit, limit, 41, dtype=dtype).repeat(2)
    y = torch.cat([torch.zeros(41, dtype=dtype), torch.ones(41, dtype=dtype)])
    return z.expand(4, -1), y.expand(4, -1)


def of_the_paper(loss, z, y):
    """Return the reference of each member, (4, n)."""
    made = zip(z, y, configs(loss), COUNTS, strict=True)
    return torch.stack([PAPER[loss](*member) for member in made])


def test_every_loss_has_a_reference_here():
    assert list(PAPER) == list(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_equals_the_papers_formula(name):
    z, y = rows()
    torch.testing.assert_close(value(z, y, terms_of(name)), of_the_paper(name, z, y), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_equals_autograd_of_the_papers_formula(name):
    z, y = rows()
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(of_the_paper(name, leaf, y).sum(), leaf)
    torch.testing.assert_close(slope(z, y, terms_of(name)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_is_the_difference_quotient_of_the_value(name):
    z, y = rows()
    settings, h = terms_of(name), 1e-5
    up, down = (value(z + sign * h, y, settings) for sign in (1, -1))
    torch.testing.assert_close(slope(z, y, settings), (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_logits_give_finite_values_and_slopes(name, dtype):
    for limit in (1e2, 1e4, 1e30):
        z, y = rows(limit, dtype)
        found, slopes = (f(z, y, terms_of(name, dtype)) for f in (value, slope))
        assert found.isfinite().all()
        assert slopes.isfinite().all()
        assert (found >= 0).all()
        assert found.dtype == slopes.dtype == dtype


@pytest.mark.parametrize("name", LOSSES)
def test_a_confident_mistake_costs_and_a_confident_hit_does_not(name):
    """The cost of a mistake rises by weight times scale with the logit."""
    z, y = torch.tensor([[-600.0, 600.0]] * 4).double(), torch.ones(4, 2).double()
    settings = terms_of(name)
    steepest = settings.weight[:, 1] * settings.scale
    found = slope(z, y, settings)
    torch.testing.assert_close(found[:, 0], -steepest)
    torch.testing.assert_close(found[:, 1], torch.zeros(4).double(), rtol=0, atol=1e-15)
    costs = value(z, y, settings)
    torch.testing.assert_close(costs[:, 0], steepest * (600 + settings.margin[:, 1]))
    torch.testing.assert_close(costs[:, 1], torch.zeros(4).double(), rtol=0, atol=1e-15)


def test_focal_with_gamma_zero_is_cross_entropy():
    z, y = (of[:1] for of in rows())
    focal, plain = (terms(configs(name)[:1], COUNTS[:1], z) for name in ("focal", "cross-entropy"))
    assert focal.focusing
    assert not plain.focusing
    for f in (value, slope):
        torch.testing.assert_close(f(z, y, focal), f(z, y, plain), rtol=1e-12, atol=1e-15)


def test_plain_cross_entropy_needs_no_configuration():
    z, y = rows()
    expected = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    torch.testing.assert_close(value(z, y, cross_entropy(4, z)), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["class-balanced", "ldam-drw"])
def test_weights_by_effective_number_sum_to_two_and_reach_from_none_to_inverse_counts(name):
    """At β = 0 all rows weigh 1; at β = 1, the limit, classes weigh the same as wholes."""
    weight = terms_of(name).weight
    torch.testing.assert_close(weight[:3].sum(1), torch.full((3,), 2.0).double())
    torch.testing.assert_close(weight[1], torch.ones(2).double())
    assert weight[0, 1] > weight[0, 0]
    balanced = 100 / (2 * torch.tensor(COUNTS[3], dtype=torch.float64))
    share = weight[3] / balanced * torch.tensor(COUNTS[3])
    torch.testing.assert_close(share[0], share[1])


def test_the_rarer_class_has_the_largest_margin():
    margin = terms_of("ldam-drw").margin
    torch.testing.assert_close(margin.amax(1), torch.tensor([0.5, 0.0, 2.0, 1.0]).double())
    torch.testing.assert_close(margin[0, 0] / margin[0, 1], torch.tensor((30 / 900) ** 0.25).double())
    torch.testing.assert_close(margin[3, 1] / margin[3, 0], torch.tensor((30 / 70) ** 0.25).double())


def test_deferred_weights_are_one_before_their_step_and_themselves_from_it_on():
    """Each member has a step of its own; it is compared with an integer or with a tensor."""
    settings, until = terms_of("ldam-drw"), torch.tensor([0, 5, 6, 100])
    for step in (0, 4, 5, 6, 99, 100):
        expected = settings.weight.clone()
        expected[until > step] = 1.0
        for given in (step, torch.tensor(step)):
            found = settings.at(given, until)
            assert torch.equal(found.weight, expected)
            assert found.margin is settings.margin
            assert found.scale is settings.scale
    assert settings.at(3, None) is settings


def test_one_loss_alone_defers_its_weights():
    assert [name for name, loss in LOSSES.items() if loss.deferred] == ["ldam-drw"]


def test_sigmoid_and_its_logarithm_equal_pytorchs():
    z = torch.linspace(-40, 40, 801, dtype=torch.float64)
    torch.testing.assert_close(sigmoid(z), torch.sigmoid(z), rtol=1e-14, atol=0)
    torch.testing.assert_close(log_sigmoid(z), F.logsigmoid(z), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_a_rows_slope_and_value_have_the_same_bits_at_every_place(name):
    """A vector's tail must be treated as its body is, or a member's bits depend on its company."""
    g = torch.Generator().manual_seed(0)
    settings = terms_of(name, torch.float32)
    for n in (1, 7, 9, 25, 63, 200):
        z, y = torch.randn(4, n, generator=g) * 5, torch.randint(0, 2, (4, n), generator=g).float()
        for f in (slope, value):
            together = f(z, y, settings)
            for i in range(n):
                assert torch.equal(
                    f(z[:, i : i + 1].clone(), y[:, i : i + 1].clone(), settings)[:, 0], together[:, i]
                )
