"""The score of members in training: average precision, one by one on the CPU or many at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bench.data.encode import Part
from bench.networks.mlp import logits
from bench.networks.scoring import NO_NUMBER, Scorer, batched_logits, batched_scores
from bench.stats.metrics import average_precision
from tests.conftest import random_networks

SIZES = (6, 5, 4, 1)


def part(n, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(np.int8)
    y[:2] = 0, 1
    return Part(np.arange(n), rng.normal(size=(n, SIZES[0])).astype(np.float32), y)


@settings(max_examples=150, deadline=None)
@given(
    y=st.lists(st.booleans(), min_size=1, max_size=60).filter(any),
    K=st.integers(1, 4),
    decimals=st.integers(0, 3),
    seed=st.integers(0, 10**6),
)
def test_many_scorings_at_once_have_the_average_precision_of_each(y, K, decimals, seed):
    """Rounded, so that many rows tie; scikit-learn's, too."""
    labels = np.array(y, dtype=np.int8)
    z = np.round(np.random.default_rng(seed).normal(size=(K, len(y))), decimals).astype(np.float32)
    found = batched_scores(torch.from_numpy(z), labels)
    assert found == pytest.approx([average_precision(labels, row) for row in z], rel=1e-14)
    assert found == pytest.approx([average_precision_score(labels, row) for row in z], rel=1e-12)


def test_a_scoring_that_is_not_finite_scores_below_all_others():
    y = part(50).labels
    z = torch.randn(5, 50, generator=torch.Generator().manual_seed(0))
    worst = z[0].clone()
    worst[torch.from_numpy(y) > 0] = -100.0
    z[0], z[1, 3], z[2, 7], z[3, 0] = worst, torch.nan, torch.inf, -torch.inf
    found = batched_scores(z, y)
    assert found[1:4] == [NO_NUMBER] * 3
    assert found[0] > NO_NUMBER
    for k in (0, 4):
        assert found[k] == pytest.approx(average_precision(y, z[k].numpy()), rel=1e-14)


def test_a_constant_scoring_has_the_share_of_positives():
    y = part(50).labels
    assert batched_scores(torch.zeros(2, 50), y) == pytest.approx([y.mean()] * 2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_logits_of_many_members_equal_those_of_each(dtype, tolerance):
    parameters = [p.to(dtype) for p in random_networks(SIZES, 5)[0]]
    x = torch.from_numpy(part(77).X).to(dtype)
    at = [4, 0, 0, 2]
    found = batched_logits(parameters, at, x)
    assert found.shape == (4, 77)
    for row, k in zip(found, at, strict=True):
        torch.testing.assert_close(row, logits(parameters, k, x), rtol=tolerance, atol=tolerance)


def test_a_scorer_scores_each_member_on_its_own_part():
    """Members are named by number, their parameters lie at other places; shared parts are held once."""
    parts = [part(60), part(40, seed=1)]
    valid = [parts[0], parts[1], parts[0]]
    parameters = random_networks(SIZES, 4)[0]
    scorer = Scorer(valid, parameters[0])
    assert len(scorer.rows) == 2
    found = scorer.scores(parameters, [3, 0, 1], [2, 0, 1])
    for score, k, m in zip(found, (3, 0, 1), (2, 0, 1), strict=True):
        z = logits(parameters, k, torch.from_numpy(valid[m].X).double())
        assert score == average_precision(valid[m].labels, z.numpy())
    assert len(set(found)) == 3


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_scorer_gives_a_member_without_finite_logits_no_number(value):
    parameters = random_networks(SIZES, 3)[0]
    parameters[-1][1] = value
    found = Scorer([part(60)] * 3, parameters[0]).scores(parameters, [0, 1, 2], [0, 1, 2])
    assert found[1] == NO_NUMBER
    assert min(found[0], found[2]) > 0
