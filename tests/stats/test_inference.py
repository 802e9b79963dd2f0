"""Intervals cover what they promise, and pairing takes out what two arms share."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import norm, t

from bench.errors import UnknownName
from bench.names import REPEAT
from bench.stats import bootstrap as measured
from bench.stats.bootstrap import (
    MOST_STEPS,
    RANKED,
    Replicates,
    RunScores,
    bootstrap_ranks,
    replicates,
    replicates_by_arm,
)
from bench.stats.inference import (
    difference,
    difference_of_means,
    differences_by_fold,
    holm,
    improvement,
    summarise,
)
from bench.stats.metrics import METRICS, measure, measure_resampled
from tests.conftest import as_scored

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
            runs.append(RunScores(fold, seed, as_scored(y, 1 / (1 + np.exp(-signal - own)), threshold)))
    return runs


def test_the_mean_is_the_plain_mean_over_runs():
    runs = arm()
    points = [measure(run.scored) for run in runs]
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


def by_hand(points: list[list[float]], noise: float, *, repeats: int = 1) -> Replicates:
    """Return folds of a repeat, each with the AP of its seeds, whose rows' noise is ± `noise`."""
    folds = [r * REPEAT + f for r in range(repeats) for f in range(len(points) // repeats)]
    runs = tuple(
        (fold, seed) for fold, seeds in zip(folds, points, strict=True) for seed in range(len(seeds))
    )
    flat = np.array([point for seeds in points for point in seeds])
    values = flat[:, None] + noise * np.array([1.0, -1.0])
    return Replicates(runs, {"ks": flat}, {"ks": values}, dict.fromkeys(folds, ""))


def test_the_interval_over_folds_is_students_t() -> None:
    """By hand: fold means .4, .5, .6 (seeds averaged), so s = .1, and t of two degrees of freedom, over √3."""
    found = summarise(by_hand([[0.3, 0.5], [0.5, 0.5], [0.65, 0.55]], 0.0))["ks"]
    half = t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert (found.mean, found.hi - found.mean) == pytest.approx((0.5, half))
    assert found.mean - found.lo == pytest.approx(half)


def test_folds_that_agree_by_luck_have_the_noise_of_their_rows() -> None:
    found = summarise(by_hand([[0.5], [0.5], [0.5], [0.5]], 0.08))["ks"]
    assert found.hi - found.mean == pytest.approx(norm.ppf(0.975) * 0.08 / math.sqrt(4))


def test_repeats_judge_the_same_rows_again() -> None:
    """Two repeats of two folds: the mean is as sure as that of two folds, and s is that within repeats."""
    found = summarise(by_hand([[0.4], [0.6], [0.5], [0.7]], 0.01, repeats=2))["ks"]
    half = t.ppf(0.975, 2) * math.sqrt(0.02) / math.sqrt(2)
    assert (found.mean, found.hi - found.mean) == pytest.approx((0.55, half))
    quiet = summarise(by_hand([[0.5]] * 4, 0.08, repeats=2))["ks"]
    assert quiet.hi - quiet.mean == pytest.approx(norm.ppf(0.975) * 0.08 / math.sqrt(2))


def test_repeats_of_one_fold_each_may_share_all_of_their_rows() -> None:
    found = summarise(by_hand([[0.4], [0.5], [0.6]], 0.0, repeats=3))["ks"]
    assert found.hi - found.mean == pytest.approx(t.ppf(0.975, 2) * 0.1)


def test_an_interval_ends_at_what_the_metric_can_be() -> None:
    found = summarise(by_hand([[0.9], [1.0]], 0.0))["ks"]
    assert (found.lo, found.hi) == (pytest.approx(0.95 - t.ppf(0.975, 1) * 0.05, abs=0.4), 1.0)
    assert found.lo >= 0


def test_more_resamples_of_the_same_noise_change_no_width() -> None:
    few, many = (by_hand([[0.4], [0.6]], 0.3), by_hand([[0.4], [0.6]], 0.3))
    many = replace(many, values={"ks": np.tile(many.values["ks"], 50)})
    assert summarise(few)["ks"].hi == pytest.approx(summarise(many)["ks"].hi)


def test_differences_by_fold_are_means_over_the_seeds_that_both_ran() -> None:
    a, b = by_hand([[0.4, 0.8], [0.5, 0.7]], 0.0), by_hand([[0.3], [0.2, 0.2]], 0.0)
    assert differences_by_fold(a, b, "ks") == pytest.approx({0: 0.1, 1: 0.4})


def coverage(interval, truth, n_simulations=200) -> float:
    return np.mean([lo <= truth <= hi for lo, hi in map(interval, range(n_simulations))])


def test_the_interval_of_an_auc_covers_the_truth():
    """Two normals a distance d apart have an AUC of Φ(d / √2); one fold of 40 positives and 160 negatives."""
    y, shift = np.repeat([1, 0], [40, 160]), 1.2

    def interval(i):
        score = 1 / (1 + np.exp(-np.random.default_rng([1, i]).normal(size=200) - shift * y))
        reps = replicates([RunScores(0, 0, as_scored(y, score))], rank_replicates=500, seed=i, names=NAMES)
        found = summarise(reps, seed=i)["roc_auc"]
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
            runs += [RunScores(fold, seed, as_scored(y, score)) for seed, score in enumerate(scores)]
        reps = replicates(runs, row_replicates=50, rank_replicates=50, seed=i, names=NAMES)
        found = summarise(reps, draws=500, seed=i)["roc_auc"]
        return found.lo, found.hi

    truth = NormalDist().cdf(shift / math.sqrt(2 * (1 + noise**2)))
    assert coverage(interval, truth, n_simulations=100) >= 0.93


def test_the_interval_of_a_difference_covers_none_between_equal_scorers():
    y = np.repeat([1, 0], [40, 160])

    def interval(i):
        rng = np.random.default_rng([3, i])
        signal = rng.normal(size=200) + 1.2 * y
        scores = 1 / (1 + np.exp(-signal - rng.normal(size=(2, 200))))
        a, b = (
            replicates([RunScores(0, 0, as_scored(y, score))], rank_replicates=500, names=["roc_auc"])
            for score in scores
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
    found, expected = difference(*torn, "brier"), difference(*whole, "brier")
    assert (found.mean, found.n_pairs) == (expected.mean, 5)
    # The noise of rows is an arm's mean over all of its seeds in a fold, of which one more ran on one side.
    assert [found.lo, found.hi] == pytest.approx(
        [expected.lo, expected.hi], abs=0.1 * (expected.hi - expected.lo)
    )


def test_the_order_of_runs_and_the_other_folds_change_no_replicate():
    runs = arm(folds=3)
    whole = replicates(runs[::-1], row_replicates=10, names=NAMES)
    part = replicates(runs[2:4], row_replicates=10, names=NAMES)
    assert whole.runs == tuple((run.fold, run.seed) for run in runs)
    assert np.array_equal(whole.values["roc_auc"][2:4], part.values["roc_auc"])


def test_rank_metrics_have_more_replicates_of_which_the_first_are_those_of_all_metrics():
    few, many = (replicates(arm(), row_replicates=20, rank_replicates=count) for count in (0, 90))
    for name, values in many.values.items():
        assert values.shape == (4, 90 if name in (*RANKED, "gini") else 20)
        step = max(found.scale for found in many.noise["roc_auc" if name == "gini" else name].values())
        assert np.allclose(values[:, :20], few.values[name], rtol=0, atol=2 * step, equal_nan=True)
        assert np.array_equal(many.points[name], few.points[name], equal_nan=True)
    assert many.values["gini"] == pytest.approx(2 * many.values["roc_auc"] - 1)
    assert len(np.unique(many.values["roc_auc"][0])) > 60


def test_how_the_work_is_shared_out_changes_no_replicate(monkeypatch):
    arms = {"a": arm(1), "b": arm(2, seeds=3)}
    whole = replicates_by_arm(arms, row_replicates=20, rank_replicates=100)
    monkeypatch.setattr(measured, "WAVE", 1)
    monkeypatch.setattr(measured, "cores", lambda: 5)
    again = replicates_by_arm(arms, row_replicates=20, rank_replicates=100)
    for name in arms:
        for metric in METRICS:
            assert np.array_equal(whole[name].values[metric], again[name].values[metric])


def test_the_noise_of_rows_is_the_mean_over_seeds_within_half_a_step():
    runs = arm(folds=2, seeds=3, threshold=None)
    reps = replicates(runs, row_replicates=30, rank_replicates=60)
    for fold in (0, 1):
        mine = [run for run in runs if run.fold == fold]
        for name in ("average_precision", "brier"):
            alone = [replicates([run], row_replicates=30, rank_replicates=60) for run in mine]
            added = [one.values[name][0] - one.points[name][0] for one in alone]
            found = reps.noise[name][fold]
            assert found.scale * MOST_STEPS == pytest.approx(np.abs(np.mean(added, axis=0)).max(), rel=0.02)
            rounding = found.scale / 2 + np.mean([one.noise[name][fold].scale for one in alone]) / 2
            assert np.allclose(found.scale * found.steps, np.mean(added, axis=0), rtol=0, atol=rounding)
    assert math.isnan(reps.noise["f1"][0].scale)


def test_rounding_the_noise_changes_no_difference_of_arms_that_are_nearly_the_same():
    """Scores that differ by 1e-4 in the logit: the difference is a thousandth of either arm's noise of rows."""
    runs = arm(folds=1, seeds=4, n=2000)
    logit = [np.log(run.scored.score / (1 - run.scored.score)) for run in runs]
    own = [np.random.default_rng([9, run.seed]).normal(size=2000) for run in runs]
    twins = [
        replace(run, scored=replace(run.scored, score=1 / (1 + np.exp(-z - 1e-4 * noise))))
        for run, z, noise in zip(runs, logit, own, strict=True)
    ]
    a, b = (replicates(some, rank_replicates=500, names=["roc_auc"]) for some in (runs, twins))
    found = difference(a, b, "roc_auc")
    exact = []
    for reps, some in ((a, runs), (b, twins)):
        alone = [replicates([run], rank_replicates=500, names=["roc_auc"]) for run in some]
        exact.append(
            replace(reps, values={"roc_auc": np.concatenate([one.values["roc_auc"] for one in alone])})
        )
    expected = difference(*exact, "roc_auc")
    assert 0 < expected.hi - expected.lo < 1e-3
    assert found.hi - found.lo == pytest.approx(expected.hi - expected.lo, rel=0.25)


def test_no_interval_leaves_what_a_metric_can_be() -> None:
    reps = replicates(arm(shift=6.0, noise=0.1, n=60), row_replicates=100, rank_replicates=100)
    for name, found in summarise(reps).items():
        low, high = METRICS[name].bounds
        assert low <= found.lo <= found.mean <= found.hi <= high, name


def test_a_p_value_is_no_smaller_than_its_resamples_of_one_fold_allow():
    a, b = (replicates(arm(1, folds=1, noise=n), row_replicates=50, names=["brier"]) for n in (0.0, 6.0))
    assert difference(a, b, "brier").p_value == pytest.approx(2 / 51)
    a, b = (replicates(arm(1, folds=5, noise=n), row_replicates=50, names=["brier"]) for n in (0.0, 6.0))
    assert difference(a, b, "brier").p_value < 2e-3


def test_seeds_that_share_the_noise_of_rows_have_the_interval_of_their_own_noises():
    """Against the bootstrap that keeps every seed's own noise, made here from runs measured one by one."""
    runs = arm(folds=4, seeds=5, n=300)
    reps = replicates(runs, rank_replicates=500, names=["roc_auc"])
    alone = [replicates([run], rank_replicates=500, names=["roc_auc"]) for run in runs]
    own = replace(reps, values={"roc_auc": np.concatenate([one.values["roc_auc"] for one in alone])})
    nothing = {"roc_auc": 0 * reps.points["roc_auc"]}, {"roc_auc": 0 * reps.values["roc_auc"]}
    zero = replace(reps, points=nothing[0], values=nothing[1])
    found, expected = (difference(one, zero, "roc_auc") for one in (reps, own))
    assert found.mean == pytest.approx(expected.mean)
    assert found.hi - found.lo == pytest.approx(expected.hi - expected.lo, rel=0.05)


def test_seeds_and_arms_of_a_fold_share_the_resamples_of_its_rows():
    first, second, *_ = arm(1)
    twin = RunScores(first.fold, second.seed, first.scored)
    reps = replicates_by_arm({"a": [first, twin], "b": [twin]}, row_replicates=20, rank_replicates=50)
    for name in METRICS:
        a, b = reps["a"].values[name], reps["b"].values[name]
        assert np.array_equal(a[0], a[1])
        assert np.array_equal(a[0], b[0])


@pytest.mark.parametrize(("n", "positives", "levels"), [(4000, 12, 10**6), (3000, 15, 25), (300, 140, 10**6)])
def test_the_bootstrap_of_ranks_has_the_distribution_of_drawing_rows(n, positives, levels):
    """By blocks where positives are few, else by rows: both against rows drawn and repeated one by one."""
    rng = np.random.default_rng(n)
    y = rng.permutation(np.arange(n) < positives)
    score = np.floor(levels / (1 + np.exp(2 - 1.5 * y - rng.normal(size=n)))) / levels
    classes = [np.flatnonzero(y == label) for label in (True, False)]
    drawn = [np.concatenate([rng.choice(rows, len(rows)) for rows in classes]) for _ in range(4000)]
    counts = np.array([np.bincount(rows, minlength=n) for rows in drawn])
    naive = measure_resampled(as_scored(y, score), counts, names=["roc_auc", "average_precision"])
    for name, found in bootstrap_ranks(y, score, replicates=8000, seed=1).items():
        assert found.shape == (8000,)
        four_errors = 0.08 * np.std(found)  # standard errors
        assert np.mean(found) == pytest.approx(np.mean(naive[name]), abs=four_errors)
        assert np.std(found) == pytest.approx(np.std(naive[name]), rel=0.06)
        for level in (0.025, 0.25, 0.5, 0.75, 0.975):
            share = np.mean(naive[name] <= np.quantile(found, level))
            assert share == pytest.approx(level, abs=5 * math.sqrt(level * (1 - level) / 4000))


@pytest.mark.parametrize("positives", [5, 900])
def test_the_bootstrap_of_ranks_is_the_same_again_and_held_in_parts(monkeypatch, positives):
    rng = np.random.default_rng(0)
    y, score = np.arange(2000) < positives, rng.random(2000)
    first, again, other = (bootstrap_ranks(y, score, replicates=50, seed=seed) for seed in (0, 0, 1))
    for name, values in first.items():
        assert np.array_equal(values, again[name])
        assert not np.array_equal(values, other[name])
    monkeypatch.setattr(measured, "_HELD", 1)
    parts = bootstrap_ranks(y, score, replicates=7)
    assert len(np.unique(parts["roc_auc"])) == 7


def test_arms_that_cannot_be_paired_are_refused():
    runs = arm()
    reps = replicates(runs, row_replicates=5, names=NAMES)
    with pytest.raises(ValueError, match="no fold and seed in common"):
        difference(replicates(runs[:1], row_replicates=5), replicates(runs[1:], row_replicates=5), "ks")
    with pytest.raises(ValueError, match="other test rows"):
        difference(reps, replicates(arm(n=160), row_replicates=5), "roc_auc")
    for other in ({"row_replicates": 6}, {"row_replicates": 5, "rank_replicates": 6}):
        with pytest.raises(ValueError, match="resamples"):
            difference(reps, replicates(runs, **other), "roc_auc")
    with pytest.raises(UnknownName, match="roc_auc"):
        difference(reps, reps, "roc")


def test_runs_that_do_not_belong_together_are_refused():
    first, second, *_ = arm()
    with pytest.raises(ValueError, match="one run for each fold and seed"):
        replicates([])
    with pytest.raises(ValueError, match="one run for each fold and seed"):
        replicates([first, first])
    with pytest.raises(ValueError, match="same test rows"):
        replicates([first, RunScores(0, 1, as_scored(second.scored.y[::-1], second.scored.score))])


def test_improvement_is_the_share_of_paired_runs_that_win() -> None:
    a, b = (replicates(arm(seed, folds=3, seeds=4), names=NAMES) for seed in (1, 2))
    for metric in NAMES:
        sign = 1 if METRICS[metric].higher_is_better else -1
        gains = sign * (a.points[metric] - b.points[metric])
        wins = (gains > 0) + (gains == 0) / 2
        found = improvement(a, b, metric)
        assert found.share == pytest.approx(wins.mean())
        assert 0 <= found.lo <= found.share <= found.hi <= 1
        assert improvement(b, a, metric).share == pytest.approx(1 - found.share)
    assert improvement(a, a, "roc_auc").share == 0.5


def test_a_better_arm_improves_for_sure() -> None:
    clear, blurred, others = (
        replicates(arm(1, noise=noise, n=n, folds=3), names=["roc_auc"])
        for noise, n in ((0.0, 150), (6.0, 150), (0.0, 160))
    )
    found = improvement(clear, blurred, "roc_auc")
    assert (found.share, found.hi) == (1.0, 1.0)
    assert found.lo > 0.9
    with pytest.raises(ValueError, match="other test rows"):
        improvement(clear, others, "roc_auc")


def test_without_shared_rows_the_noises_of_both_arms_add_up() -> None:
    a, b = (replicates(arm(seed, folds=3), names=["roc_auc"]) for seed in (1, 2))
    paired, apart = difference(a, b, "roc_auc"), difference_of_means(a, b, "roc_auc")
    assert apart.mean == pytest.approx(paired.mean)
    assert apart.hi - apart.lo > 1.5 * (paired.hi - paired.lo)
    nothing = replace(
        a, points={"roc_auc": 0 * a.points["roc_auc"]}, values={"roc_auc": 0 * a.values["roc_auc"]}
    )
    widths = [
        one.hi - one.lo for one in (difference(a, nothing, "roc_auc"), difference(b, nothing, "roc_auc"))
    ]
    assert apart.hi - apart.lo == pytest.approx(np.hypot(*widths), rel=0.15)


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    with_gap = holm([0.01, math.nan, 0.04])
    assert with_gap[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(with_gap[1])
    assert holm([]) == []


def test_the_interval_of_a_difference_of_means_covers_none_between_equal_scorers() -> None:
    """Other rows and other runs on the two sides, five folds of two seeds each."""
    y = np.repeat([1, 0], [20, 80])

    def interval(i: int) -> tuple[float, float]:
        rng = np.random.default_rng([5, i])
        sides = []
        for _ in range(2):
            runs = []
            for fold in range(5):
                signal = rng.normal(size=100) + 1.2 * y
                scores = 1 / (1 + np.exp(-signal - 0.5 * rng.normal(size=(2, 100))))
                runs += [RunScores(fold, seed, as_scored(y, score)) for seed, score in enumerate(scores)]
            sides.append(replicates(runs, row_replicates=1, rank_replicates=100, seed=i, names=["roc_auc"]))
        found = difference_of_means(*sides, "roc_auc", draws=1000, seed=i)
        return found.lo, found.hi

    assert coverage(interval, 0.0, n_simulations=100) >= 0.93


def test_the_interval_of_improvement_covers_a_half_between_equal_scorers() -> None:
    y = np.repeat([1, 0], [20, 80])

    def interval(i: int) -> tuple[float, float]:
        rng = np.random.default_rng([6, i])
        runs: list[list[RunScores]] = [[], []]
        for fold in range(5):
            signal = rng.normal(size=100) + 1.2 * y
            for seed in range(3):
                for side in runs:
                    score = 1 / (1 + np.exp(-signal - 0.5 * rng.normal(size=100)))
                    side.append(RunScores(fold, seed, as_scored(y, score)))
        a, b = (replicates(s, row_replicates=1, rank_replicates=100, seed=i, names=["roc_auc"]) for s in runs)
        found = improvement(a, b, "roc_auc", draws=1000, seed=i)
        return found.lo, found.hi

    assert coverage(interval, 0.5, n_simulations=100) >= 0.90
