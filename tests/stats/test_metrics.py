"""Every metric against scikit-learn or its formula written out, and resamples against repeated rows."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bench.stats import metrics, ranking
from bench.stats.bootstrap import row_weights
from bench.stats.metrics import (
    METRICS,
    average_precision,
    best_threshold,
    measure,
    measure_resampled,
)
from tests.conftest import as_scored

RANK_METRICS = [
    name for name in METRICS if name in ("average_precision", "roc_auc", "ks", "gini") or "_at_" in name
]


@st.composite
def scored(draw):
    """Return labels of both classes, scores with many ties, and a threshold."""
    n = draw(st.integers(2, 60))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda y: 0 < sum(y) < len(y)))
    level = st.one_of(st.integers(0, 5).map(lambda i: i / 5), st.floats(0, 1))
    score = draw(st.lists(level, min_size=n, max_size=n))
    return np.array(y), np.array(score), draw(level)


@st.composite
def weighted(draw):
    """Return a scored sample and how often each row occurs in each of three resamples of both classes."""
    y, score, threshold = draw(scored())
    row = st.lists(st.integers(0, 3), min_size=len(y), max_size=len(y)).filter(
        lambda w: 0 < np.dot(w, y) < np.sum(w)
    )
    return y, score, threshold, np.array(draw(st.lists(row, min_size=3, max_size=3)), np.uint8)


def expected(y, score, threshold) -> dict[str, float]:
    """Return every metric from scikit-learn, or by going through rows and thresholds one by one."""
    called = (score >= threshold).astype(int)
    auc = sk.roc_auc_score(y, score)
    cuts = [score >= cut for cut in (*np.unique(score), np.inf)]
    rates = [(np.mean(cut[y == 0]), np.mean(cut[y == 1])) for cut in cuts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn on 0 / 0
        at_threshold = {
            "f1": sk.f1_score(y, called, zero_division=0),
            "mcc": sk.matthews_corrcoef(y, called),
            "balanced_accuracy": sk.balanced_accuracy_score(y, called),
            "precision": sk.precision_score(y, called, zero_division=0),
            "recall": sk.recall_score(y, called),
        }
    found = {q: review(y, score, q) for q in (0.1, 0.5, 1, 5)}
    return {
        "average_precision": sk.average_precision_score(y, score),
        "roc_auc": auc,
        **{f"recall_at_{word(q)}pct_review": hits / y.sum() for q, (_, hits) in found.items()},
        **{f"precision_at_{word(q)}pct_review": hits / k for q, (k, hits) in found.items()},
        **{
            f"recall_at_{word(x)}pct_fpr": max(tpr for fpr, tpr in rates if fpr <= x / 100 + 1e-12)
            for x in (1, 5)
        },
        "ks": max(abs(tpr - fpr) for fpr, tpr in rates),
        "gini": 2 * auc - 1,
        "brier": sk.brier_score_loss(y, score),
        "log_loss": sk.log_loss(y, score),
        "ece": ece(y, score),
        **at_threshold,
    }


def word(percent) -> str:
    return str(percent).replace(".", "_")


def review(y, score, percent) -> tuple[int, float]:
    """Return the rows looked at, and the mean positives found over random orders of tied rows."""
    k = math.ceil(round(percent * len(y) / 100, 9))
    cut = np.sort(score)[::-1][k - 1]
    sure, tied = score > cut, score == cut
    return k, y[sure].sum() + (k - sure.sum()) * y[tied].mean()


def ece(y, score, bins=15) -> float:
    """Return the error over bins of n / bins rows, ties shuffled: each row is cut into `bins` parts."""
    error = np.array([np.mean((y - score)[score == value]) for value in np.sort(score)[::-1]])
    parts = np.repeat(error / bins, bins)  # the ends of bins fall between parts
    return float(np.abs(parts.reshape(bins, -1).sum(axis=1)).sum() / len(y))


@given(scored())
@settings(max_examples=200, deadline=None)
def test_every_metric_is_that_of_scikit_learn_or_of_its_formula(sample):
    y, score, threshold = sample
    found, wanted = measure(as_scored(y, score, threshold)), expected(y, score, threshold)
    assert list(found) == list(METRICS)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@given(weighted())
@settings(max_examples=100, deadline=None)
def test_a_resample_measures_as_its_rows_physically_repeated(sample):
    y, score, threshold, weights = sample
    found = measure_resampled(as_scored(y, score, threshold), weights)
    for r, times in enumerate(weights):
        repeated = measure(as_scored(np.repeat(y, times), np.repeat(score, times), threshold))
        for name, value in repeated.items():
            assert found[name][r] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize(("n", "positives", "decimals"), [(3000, 30, 12), (2999, 1500, 12), (1000, 40, 2)])
def test_samples_of_many_pages_measure_as_small_ones(n, positives, decimals):
    rng = np.random.default_rng(n)
    y = rng.permutation(np.arange(n) < positives).astype(int)
    score = (1 / (1 + np.exp(2 - y - rng.normal(size=n)))).round(decimals)
    for name, value in expected(y, score, 0.3).items():
        assert measure(as_scored(y, score, 0.3))[name] == pytest.approx(value, abs=1e-9), name
    weights = row_weights(y, 3, 0)
    found = measure_resampled(as_scored(y, score, 0.3), weights)
    for r, times in enumerate(weights):
        for name, value in measure(as_scored(np.repeat(y, times), np.repeat(score, times), 0.3)).items():
            assert found[name][r] == pytest.approx(value, abs=1e-9), name


@given(scored())
@settings(max_examples=100, deadline=None)
def test_a_monotone_transformation_leaves_rank_metrics_the_same(sample):
    y, score, _ = sample
    grade = np.unique(score, return_inverse=True)[1]
    before, after = measure(as_scored(y, score)), measure(as_scored(y, grade / 100))
    assert all(before[name] == pytest.approx(after[name], abs=1e-12) for name in RANK_METRICS)


@given(scored())
@settings(max_examples=100, deadline=None)
def test_the_fast_average_precision_is_scikit_learns_at_any_scale(sample):
    y, score, _ = sample
    logits = (20 * score - 10).astype(np.float32)
    assert average_precision(y, logits) == pytest.approx(sk.average_precision_score(y, logits), abs=1e-12)


@given(scored())
@settings(max_examples=50, deadline=None)
def test_no_threshold_has_a_higher_f1_than_the_best(sample):
    y, score, _ = sample
    highest = max(sk.f1_score(y, score >= cut) for cut in np.unique(score))
    assert sk.f1_score(y, score >= best_threshold(y, score)) == pytest.approx(highest, abs=1e-12)


def test_the_best_threshold_lies_midway_below_the_last_row_called_positive():
    assert best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)
    assert best_threshold(np.array([1, 0]), np.array([0.2, 0.6])) == pytest.approx(
        0.1
    )  # all rows: 0 is below


def test_of_equal_f1_the_highest_threshold_is_taken():
    """One of two positives first (F1 2/3) equals both among four rows (4/6): the first alerts less."""
    y, score = np.array([1, 0, 0, 1]), np.array([0.8, 0.6, 0.4, 0.2])
    assert best_threshold(y, score) == pytest.approx(0.7)


def test_the_best_threshold_keeps_neighbouring_floats_apart():
    y, score = np.array([0, 1]), np.array([0.5, np.nextafter(0.5, 1)])
    assert list(score >= best_threshold(y, score)) == [False, True]


def test_constant_scores_measure_as_chance():
    y = np.repeat([1, 0], [10, 990])
    found = measure(as_scored(y, np.full(1000, 0.01), 0.5))
    assert found["roc_auc"] == 0.5
    assert found["average_precision"] == found["precision_at_1pct_review"] == pytest.approx(0.01)
    assert found["recall_at_5pct_review"] == pytest.approx(0.05)
    assert found["recall_at_5pct_fpr"] == found["ks"] == found["f1"] == found["mcc"] == 0
    assert found["ece"] == pytest.approx(0, abs=1e-12)


def test_a_review_of_a_share_that_floats_cannot_hold_counts_whole_rows():
    """0.1 % of 3,000 rows is 3 rows, though 0.1 / 100 * 3000 is not quite 3."""
    y = np.zeros(3000)
    y[:3] = 1
    assert measure(as_scored(y, np.linspace(1, 0, 3000)))["precision_at_0_1pct_review"] == 1


def test_metrics_at_the_threshold_are_nan_without_one():
    found = measure(as_scored([0, 1], [0.2, 0.7]))
    missing = [name for name, value in found.items() if math.isnan(value)]
    assert missing == ["f1", "mcc", "balanced_accuracy", "precision", "recall"]


def test_resamples_are_the_same_in_parts_and_by_name(monkeypatch):
    rng = np.random.default_rng(0)
    y, score = rng.permutation(np.repeat([1, 0], [20, 480])), rng.random(500).round(2)
    weights = row_weights(y, 11, seed=0)
    whole = measure_resampled(as_scored(y, score, 0.5), weights)
    monkeypatch.setattr(metrics, "WIDTH", 3)
    monkeypatch.setattr(ranking, "CACHED", 100)
    for name, values in measure_resampled(as_scored(y, score, 0.5), np.ascontiguousarray(weights)).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-13)
    assert list(measure_resampled(as_scored(y, score), weights, names=["ks"])) == ["ks"]


def test_row_weights_keep_both_classes_their_size():
    y = np.random.default_rng(0).permutation(np.repeat([1, 0], [7, 300]))
    weights = row_weights(y, 50, seed=3)
    assert weights.dtype == np.uint8
    assert set(weights[:, y == 1].sum(axis=1)) == {7}
    assert set(weights[:, y == 0].sum(axis=1)) == {300}
    assert np.array_equal(weights, row_weights(y, 50, seed=3))
    assert not np.array_equal(weights, row_weights(y, 50, seed=4))
    assert weights.mean(axis=0) == pytest.approx(np.ones(307), abs=0.75)  # 5 standard errors


@pytest.mark.parametrize("n", [1, 2, 9, 40])
def test_row_weights_are_as_of_rows_drawn_one_by_one(n):
    """A row's count is binomial, of n draws at 1 / n each; two rows' counts have a covariance of -1 / n."""
    weights = row_weights(np.ones(n), 40_000, seed=5).astype(float)
    assert (weights.sum(axis=1) == n).all()
    for k in range(5):
        chance = math.comb(n, k) * (1 / n) ** k * (1 - 1 / n) ** (n - k) if k <= n else 0
        error = math.sqrt(chance * (1 - chance) / weights.shape[0])
        assert np.mean(weights == k, axis=0) == pytest.approx(np.full(n, chance), abs=5 * error + 1e-12)
    if n > 1:
        covariance = np.cov(weights.T)
        assert covariance == pytest.approx(np.eye(n) - 1 / n, abs=5 * math.sqrt(3 / 40_000))


def test_row_weights_lie_rows_first_and_a_class_may_be_missing():
    weights = row_weights(np.zeros(20), 3, seed=0)
    assert set(weights.sum(axis=1)) == {20}
    assert weights.T.flags.c_contiguous


GOOD = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("y", "score", "threshold", "message"),
    [
        (GOOD, [0.1, np.nan, 0.2], None, "1 of 3 are NaN"),
        (GOOD, [0.1, np.inf, 0.2], None, "must be finite"),
        (GOOD, [0.1, 1.5, 0.2], None, "probabilities"),
        (GOOD, [0.1, -0.5, 0.2], None, "probabilities"),
        (GOOD, [0.1, 0.5], None, "shape"),
        (GOOD, [0.1, 0.5, 0.5], math.nan, "threshold is NaN"),
        (GOOD * 2, [0.1, 0.5, 0.5], None, "0 or 1"),
        (GOOD * 0, [0.1, 0.5, 0.5], None, "Both classes"),
        (GOOD * 0 + 1, [0.1, 0.5, 0.5], None, "Both classes"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(y, score, threshold, message):
    with pytest.raises(ValueError, match=message):
        measure(as_scored(y, score, threshold))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_the_fast_average_precision_refuses_what_is_not_finite(bad, row):
    score = np.array([0.1, 0.2, 0.3])
    score[row] = bad
    with pytest.raises(ValueError, match="1 of 3"):
        average_precision(GOOD, score)


def test_the_fast_average_precision_needs_a_positive():
    with pytest.raises(ValueError, match="positive"):
        average_precision(GOOD * 0, np.array([0.1, 0.2, 0.3]))


def test_weights_that_fit_no_rows_or_lose_a_class_are_refused():
    with pytest.raises(ValueError, match=r"expected \(R, n\)"):
        measure_resampled(as_scored(GOOD, GOOD / 2), np.ones((2, 4)))
    with pytest.raises(ValueError, match="one class only"):
        measure_resampled(as_scored(GOOD, GOOD / 2), np.array([[0, 1, 1]]))


def test_every_metric_says_what_it_is_in_one_line():
    assert all(m.description and "\n" not in m.description for m in METRICS.values())
    assert [name for name, m in METRICS.items() if not m.higher_is_better] == ["brier", "log_loss", "ece"]
