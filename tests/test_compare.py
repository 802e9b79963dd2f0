"""Intervals cover what they promise, and pairing takes out what two arms share."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from bench.compare import Replicates, RunScores, difference, replicates, summarise
from bench.errors import UnknownName
from bench.metrics import METRICS, measure

NAMES = ["roc_auc", "average_precision", "brier"]


def arm(rng_seed=0, *, folds=2, seeds=2, n=150, shift=1.5, noise=0.5, threshold=0.5) -> list[RunScores]:
    """Return runs whose rows depend on the fold alone, and whose scores add noise of their own."""
    runs = []
    for fold in range(folds):
        rows = np.random.default_rng([7, fold])
        y = rows.permutation(np.arange(n) < n // 5).astype(int)
        signal = rows.normal(size=n) + shift * y
        for seed in range(seeds):
            own = noise * np.random.default_rng([rng_seed, fold, seed]).normal(size=n)
            runs.append(RunScores(fold, seed, y, 1 / (1 + np.exp(-signal - own)), threshold))
    return runs


def test_the_mean_is_the_plain_mean_over_runs():
    runs = arm()
    points = [measure(run.y, run.score, run.threshold) for run in runs]
    summary = summarise(replicates(runs, row_replicates=20), draws=100)
    assert list(summary) == list(METRICS)
    for name, found in summary.items():
        assert found.mean == pytest.approx(np.mean([point[name] for point in points]))
        assert found.lo <= found.mean <= found.hi
        assert all(map(math.isfinite, (found.lo, found.hi, found.sd_seed)))


def test_the_spread_over_seeds_is_that_of_the_means_over_folds():
    reps = replicates(arm(folds=3, seeds=2), row_replicates=5, names=NAMES)
    auc = reps.points["roc_auc"].reshape(3, 2)  # (fold, seed)
    assert summarise(reps, draws=10)["roc_auc"].sd_seed == pytest.approx(np.std(auc.mean(axis=0), ddof=1))


def test_a_seed_that_missed_a_fold_does_not_count_in_the_spread():
    runs = arm(folds=2, seeds=3)
    whole = summarise(replicates(runs[:2] + runs[3:5], row_replicates=5, names=NAMES), draws=10)
    torn = summarise(replicates(runs[:5], row_replicates=5, names=NAMES), draws=10)
    assert torn["brier"].sd_seed == pytest.approx(whole["brier"].sd_seed)
    assert math.isfinite(torn["brier"].lo)


def test_a_single_run_has_the_interval_of_its_rows():
    reps = replicates(arm(folds=1, seeds=1), row_replicates=300, names=NAMES)
    found = summarise(reps, draws=20_000)["roc_auc"]
    assert [found.lo, found.hi] == pytest.approx(
        np.quantile(reps.values["roc_auc"], [0.025, 0.975]), abs=0.005
    )
    assert math.isnan(found.sd_seed)


def test_metrics_without_a_threshold_stay_nan_and_the_rest_does_not():
    found = summarise(replicates(arm(threshold=None), row_replicates=5), draws=20)
    assert math.isnan(found["f1"].mean)
    assert math.isnan(found["f1"].lo)
    assert math.isfinite(found["ks"].lo)


def test_a_fold_counts_by_its_runs():
    """Values known by hand: the only draws of two folds, with 1 and 3 runs, are 0, 3/4 and 1."""
    reps = Replicates(
        runs=((0, 0), (1, 0), (1, 1), (1, 2)),
        points={"ks": np.array([0.0, 1, 1, 1])},
        values={"ks": np.array([[0.0], [1], [1], [1]])},
        resamples={0: "", 1: ""},
    )
    found = summarise(reps, draws=500)["ks"]
    assert (found.mean, found.lo, found.hi) == (0.75, 0.0, 1.0)
    assert summarise(reps, draws=500, level=0.02)["ks"].lo == 0.75


def coverage(interval, truth, n_simulations=200) -> float:
    return np.mean([lo <= truth <= hi for lo, hi in map(interval, range(n_simulations))])


def test_the_interval_of_an_auc_covers_the_truth():
    """Two normals a distance d apart have an AUC of Φ(d / √2); one fold of 40 positives and 160 negatives."""
    y, shift = np.repeat([1, 0], [40, 160]), 1.2

    def interval(i):
        score = 1 / (1 + np.exp(-np.random.default_rng([1, i]).normal(size=200) - shift * y))
        found = summarise(replicates([RunScores(0, 0, y, score)], seed=i, names=NAMES), seed=i)["roc_auc"]
        return found.lo, found.hi

    assert 0.90 <= coverage(interval, NormalDist().cdf(shift / math.sqrt(2))) <= 0.99


def test_the_interval_over_folds_and_seeds_covers_the_truth():
    """Rows are new in every fold, and seeds add noise: the mean over runs estimates one AUC."""
    y, shift, noise = np.repeat([1, 0], [20, 80]), 1.5, 0.7

    def interval(i):
        rng = np.random.default_rng([2, i])
        runs = []
        for fold in range(5):
            signal = rng.normal(size=100) + shift * y
            scores = 1 / (1 + np.exp(-signal - noise * rng.normal(size=(2, 100))))
            runs += [RunScores(fold, seed, y, score) for seed, score in enumerate(scores)]
        found = summarise(replicates(runs, row_replicates=50, seed=i, names=NAMES), draws=500, seed=i)[
            "roc_auc"
        ]
        return found.lo, found.hi

    truth = NormalDist().cdf(shift / math.sqrt(2 * (1 + noise**2)))
    assert coverage(interval, truth, n_simulations=100) >= 0.93


def test_the_interval_of_a_difference_covers_none_between_equal_scorers():
    y = np.repeat([1, 0], [40, 160])

    def interval(i):
        rng = np.random.default_rng([3, i])
        signal = rng.normal(size=200) + 1.2 * y
        a, b = (
            replicates([RunScores(0, 0, y, 1 / (1 + np.exp(-signal - rng.normal(size=200))))], names=NAMES)
            for _ in range(2)
        )
        found = difference(a, b, "roc_auc", seed=i)
        assert (found.p_value < 0.05) == (not found.lo <= 0 <= found.hi) or 0.04 < found.p_value < 0.06
        return found.lo, found.hi

    assert 0.90 <= coverage(interval, 0.0) <= 0.99


def test_identical_arms_differ_by_nothing():
    reps = replicates(arm(), row_replicates=20)
    for name in METRICS:
        found = difference(reps, reps, name, draws=100)
        assert (found.mean, found.lo, found.hi, found.p_value, found.n_pairs) == (0, 0, 0, 1, 4)


def test_pairing_narrows_the_difference_of_arms_that_share_their_rows():
    a, b = (replicates(arm(i, folds=3, noise=0.1), names=NAMES) for i in (1, 2))
    paired = difference(a, b, "roc_auc")
    sides = [summarise(reps)["roc_auc"] for reps in (a, b)]
    unpaired = math.hypot(*(side.hi - side.lo for side in sides))
    assert paired.hi - paired.lo < unpaired / 3


def test_a_better_arm_is_found_better_and_the_reverse_is_its_mirror():
    a = replicates(arm(1, noise=0.1), names=NAMES)
    b = replicates(arm(2, noise=3.0), names=NAMES)
    there, back = difference(a, b, "roc_auc"), difference(b, a, "roc_auc")
    assert there.lo > 0
    assert there.p_value == back.p_value < 0.05
    assert [back.mean, back.lo, back.hi] == pytest.approx([-there.mean, -there.hi, -there.lo])


def test_only_folds_and_seeds_that_both_ran_are_paired():
    runs, others = arm(1, folds=3, seeds=3), arm(2, folds=3, seeds=3)
    whole = replicates(runs[:5], row_replicates=30, names=NAMES), replicates(others[:5], row_replicates=30)
    torn = replicates(runs[:5], row_replicates=30, names=NAMES), replicates(others, row_replicates=30)
    assert difference(*torn, "brier") == difference(*whole, "brier")
    assert difference(*torn, "brier").n_pairs == 5


def test_the_order_of_runs_and_the_other_folds_change_no_replicate():
    runs = arm(folds=3)
    whole = replicates(runs[::-1], row_replicates=10, names=NAMES)
    part = replicates(runs[2:4], row_replicates=10, names=NAMES)
    assert whole.runs == tuple((run.fold, run.seed) for run in runs)
    assert np.array_equal(whole.values["roc_auc"][2:4], part.values["roc_auc"])


def test_arms_that_cannot_be_paired_are_refused():
    runs = arm()
    reps = replicates(runs, row_replicates=5, names=NAMES)
    with pytest.raises(ValueError, match="no fold and seed in common"):
        difference(replicates(runs[:1], row_replicates=5), replicates(runs[1:], row_replicates=5), "ks")
    with pytest.raises(ValueError, match="other test rows"):
        difference(reps, replicates(arm(n=160), row_replicates=5), "roc_auc")
    with pytest.raises(ValueError, match="resamples"):
        difference(reps, replicates(runs, row_replicates=6), "roc_auc")
    with pytest.raises(UnknownName, match="roc_auc"):
        difference(reps, reps, "roc")


def test_runs_that_do_not_belong_together_are_refused():
    first, second, *_ = arm()
    with pytest.raises(ValueError, match="one run for each fold and seed"):
        replicates([])
    with pytest.raises(ValueError, match="one run for each fold and seed"):
        replicates([first, first])
    with pytest.raises(ValueError, match="same test rows"):
        replicates([first, RunScores(0, 1, second.y[::-1], second.score)])
