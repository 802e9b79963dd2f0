"""Merged blocks say all that rank metrics need; counts are found without summing every row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.stats.bootstrap import row_weights
from bench.stats.metrics import METRICS, measure_resampled
from bench.stats.ranking import Tally, rank
from bench.stats.sums import PAGE, running
from tests.conftest import as_scored

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
    weights = row_weights(y, 3, seed).T
    for name in RANK_METRICS:
        values = [METRICS[name].tally(Tally(ranking, weights)) for ranking in (merged, apart)]
        np.testing.assert_allclose(*values, atol=1e-12, err_msg=name)


def test_a_ranking_of_few_positives_has_few_blocks():
    rng = np.random.default_rng(0)
    y = np.zeros(5000)
    y[rng.choice(5000, 4, replace=False)] = 1
    ranking = rank(y, rng.random(5000))
    assert len(ranking.ties) == 5001
    assert len(ranking.cuts) <= 10


@given(
    st.integers(1, 3 * PAGE**2),
    st.sampled_from([np.uint8, np.uint16, np.float64]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_running_sums_are_those_of_cumsum(n, dtype, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, size=(n, 2)).astype(dtype)
    values[rng.integers(n)] += 1
    sums, every = running(values), np.cumsum(values, axis=0, dtype=float)
    padded = np.pad(every, ((1, 0), (0, 0)))
    rows = rng.integers(0, n + 1, size=(5, 2))
    assert np.array_equal(sums.at(rows), np.take_along_axis(padded, rows, axis=0))
    assert np.array_equal(sums.at(rows[:, 0]), padded[rows[:, 0]])
    totals = rng.random((5, 2)) * every[-1]
    totals[0] = every[-1]
    wanted = [np.searchsorted(e, t) for e, t in zip(every.T, totals.T, strict=True)]
    assert np.array_equal(sums.reach(totals), np.transpose(wanted))


@given(st.integers(2, 4 * PAGE**2), st.integers(1, 10**6), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_the_weight_of_leading_rows_is_their_sum(n, levels, seed):
    rng = np.random.default_rng(seed)
    ranking = rank(np.arange(n) < rng.integers(1, n), rng.integers(levels, size=n) / levels)
    weights = rng.integers(0, 16, size=(n, 3)).astype(np.uint8)
    every = np.pad(np.cumsum(weights[ranking.order], axis=0, dtype=float), ((1, 0), (0, 0)))
    rows = rng.integers(0, n + 1, size=6)
    assert np.array_equal(Tally(ranking, weights).at(rows), every[rows])
    assert np.array_equal(Tally(ranking, weights).size, every[-1])


@pytest.mark.parametrize("times", [1, 20, 300, 5000, 10**7])
@pytest.mark.parametrize("n", [PAGE**2, 700])
def test_weights_too_large_for_bytes_count_as_well(n, times):
    """No metric but those of a review, which round to whole rows, changes when every row comes `times` as often."""
    rng = np.random.default_rng(times)
    y, score = rng.permutation(np.arange(n) < 40), rng.integers(300, size=n) / 300
    once = row_weights(y, 5, 0)
    names = [name for name in METRICS if "review" not in name]
    wanted = measure_resampled(as_scored(y, score, 0.5), once, names=names)
    for weights in (once.astype(np.int64) * times, once.astype(float) * times):
        found = measure_resampled(as_scored(y, score, 0.5), weights, names=names)
        for name in names:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, err_msg=name)


@given(st.integers(2, 80), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_the_areas_are_those_of_scikit_learn(n, levels, seed):
    rng = np.random.default_rng(seed)
    y, score = rng.permutation(np.arange(n) < rng.integers(1, n)), rng.integers(levels, size=n) / levels
    tally = Tally(rank(y, score), np.ones((n, 1), np.uint8))
    assert tally.curve.average_precision[0] == pytest.approx(average_precision_score(y, score), abs=1e-12)
    assert tally.roc_area[0] == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_bins_share_out_a_group_of_ties():
    """Three tied rows in two bins: one and a half rows each, and half of the errors."""
    ranking = rank(np.array([1, 0, 0]), np.full(3, 0.5))
    assert Tally(ranking, np.ones((3, 1))).bin_errors(2)[:, 0] == pytest.approx([-0.25, -0.25])
