"""Merged blocks say all that rank metrics need; running sums are found without summing every row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics import METRICS, row_weights
from bench.ranking import STRIDE, RunningSums, Tally, rank

RANK_METRICS = [name for name in METRICS if "_at_" in name or name in ("average_precision", "roc_auc", "ks")]


@given(st.integers(2, 80), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_merging_blocks_of_negatives_changes_no_rank_metric(n, levels, seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) < rng.integers(1, n))
    merged = rank(y, rng.integers(levels, size=n) / levels)
    apart = replace(merged, cuts=merged.ties)
    assert len(merged.cuts) <= 2 * y.sum() + 2
    assert set(merged.cuts) <= set(merged.ties)
    weights = row_weights(y, 3, seed).take(merged.order, axis=1).astype(float)
    for name in RANK_METRICS:
        values = [METRICS[name].function(Tally(ranking, weights)) for ranking in (merged, apart)]
        np.testing.assert_allclose(*values, atol=1e-12, err_msg=name)


def test_a_ranking_of_few_positives_has_few_blocks():
    rng = np.random.default_rng(0)
    y = np.zeros(5000)
    y[rng.choice(5000, 4, replace=False)] = 1
    ranking = rank(y, rng.random(5000))
    assert len(ranking.ties) == 5001
    assert len(ranking.cuts) <= 10


@given(st.integers(1, 4 * STRIDE), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_running_sums_are_those_of_cumsum(n, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, size=(2, n)).astype(float)
    values[:, rng.integers(n)] += 1
    sums, every = RunningSums(values), np.cumsum(values, axis=1)
    rows = rng.integers(0, n + 1, size=(2, 5))
    wanted = np.take_along_axis(np.pad(every, ((0, 0), (1, 0))), rows, axis=1)
    assert np.array_equal(sums.at(rows), wanted)
    totals = rng.random((2, 5)) * every[:, -1:]
    totals[:, 0] = every[:, -1]
    wanted = [np.searchsorted(e, t) for e, t in zip(every, totals, strict=True)]
    assert np.array_equal(sums.reach(totals), wanted)


def test_bins_share_out_a_group_of_ties():
    """Three tied rows in two bins: one and a half rows each, and half of the errors."""
    ranking = rank(np.array([1, 0, 0]), np.full(3, 0.5))
    assert Tally(ranking, np.ones((1, 3))).bin_errors(2)[0] == pytest.approx([-0.25, -0.25])
