"""The corrected t keeps its level, and what is said in a word is what both tests say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from bench.stats.bootstrap import Replicates
from bench.stats.corrected import (
    BETTER,
    EQUAL,
    UNDECIDED,
    VERDICTS,
    WORSE,
    corrected_t,
    is_sure,
    paired,
    paired_columns,
    tiers,
    verdict,
)

FOUND = {0: 0.02, 1: 0.01, 2: 0.03, 3: -0.01, 4: 0.02}


def test_the_corrected_t_is_the_plain_one_with_a_larger_variance() -> None:
    found = {0: 0.02, 1: 0.01, 2: 0.03, 3: -0.01, 4: 0.02}
    plain = ttest_1samp(list(found.values()), 0).pvalue
    assert corrected_t(found, 0.0).p_value == pytest.approx(plain)
    assert corrected_t(found, 0.25).p_value > plain
    # By hand: mean .014, variance 2.3e-4, so t = .014 / sqrt((1/5 + 1/4) 2.3e-4) = 1.37612 with 4 degrees of freedom.
    assert corrected_t(found, 0.25).p_value == pytest.approx(0.24083, abs=1e-4)


def test_the_corrected_t_keeps_its_level_over_overlapping_folds() -> None:
    """Two equally good linear classifiers, each on five features of its own, over five folds of 120 rows."""
    y = np.arange(120) % 2
    fold_of = np.arange(120) // 2 % 5
    rejected = np.zeros(2)
    for i in range(400):
        X = np.random.default_rng([3, i]).normal(size=(2, 120, 5)) + 0.35 * y[:, None]
        found = {}
        for fold in range(5):
            train, test = fold_of != fold, fold_of == fold
            right = []
            for features in X:
                w, *_ = np.linalg.lstsq(features[train], 2.0 * y[train] - 1, rcond=None)
                right.append(np.mean((features[test] @ w > np.mean(features[train] @ w)) == y[test]))
            found[fold] = right[0] - right[1]
        rejected += [corrected_t(found, ratio).p_value < 0.05 for ratio in (0.0, 0.25)]
    plain, corrected = rejected / 400
    assert corrected <= 0.05 < plain


def test_its_interval_holds_no_difference_just_where_p_is_above_five_percent() -> None:
    for shift in np.linspace(-0.05, 0.05, 41):
        moved = corrected_t({fold: value + shift for fold, value in FOUND.items()}, 0.25)
        assert (moved.lo <= 0 <= moved.hi) == (moved.p_value >= 0.05)
        assert moved.mean == pytest.approx(0.014 + shift)
        assert moved.hi - moved.mean == pytest.approx(moved.mean - moved.lo)


def test_more_repeats_of_the_same_folds_make_it_surer_but_not_without_end() -> None:
    few = corrected_t(FOUND, 0.25)
    many = corrected_t({10_000 * r + fold: value for r in range(200) for fold, value in FOUND.items()}, 0.25)
    assert many.p_value < few.p_value
    least = math.sqrt(0.25 * np.var(list(FOUND.values())))  # what shared training rows leave
    assert (many.hi - many.mean) / t.ppf(0.975, 999) > least


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    """Independent folds, of which no correction is needed: power by simulation."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(4000, 5))
    size = np.mean([corrected_t(dict(enumerate(row)), 0.0).detectable for row in values])
    size /= np.mean(np.std(values, axis=1, ddof=1))  # of a spread of 1
    found = np.mean([corrected_t(dict(enumerate(row + size)), 0.0).p_value < 0.05 for row in values])
    assert found == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("differences", [{0: 0.1}, {0: 0.1, 1: 0.1}, {0: 0.1, 1: math.nan}])
def test_one_fold_or_folds_without_a_spread_say_nothing(differences: dict[int, float]) -> None:
    found = corrected_t(differences, 0.25)
    assert all(math.isnan(x) for x in (found.lo, found.hi, found.p_value, found.detectable))
    assert found.mean == pytest.approx(np.mean(list(differences.values())), nan_ok=True)


def test_without_numbers_of_rows_there_is_no_correction() -> None:
    assert math.isnan(corrected_t(FOUND, math.nan).p_value)


def test_no_difference_at_all_is_no_evidence() -> None:
    found = corrected_t({0: 0.0, 1: 0.0}, 0.25)
    assert (found.mean, found.lo, found.hi, found.p_value) == (0, 0, 0, 1)


# A pair, and its verdict.


def numbers(
    mean: float, half: float, p_holm: float, given: float | None = None, **more: float
) -> dict[str, float]:
    """Return the columns of a difference ± `half` by the corrected t and ± `given` by the bootstrap."""
    given = half if given is None else given
    ends = {
        "lo": mean - half,
        "hi": mean + half,
        "conditional_lo": mean - given,
        "conditional_hi": mean + given,
    }
    return {f"d_{name}": value for name, value in {"mean": mean, "p_holm": p_holm, **ends, **more}.items()}


@pytest.mark.parametrize(
    ("found", "metric", "word"),
    [
        (numbers(0.02, 0.01, 0.01), "average_precision", BETTER),
        (numbers(-0.02, 0.01, 0.01), "average_precision", WORSE),
        (numbers(-0.02, 0.01, 0.01), "brier", BETTER),  # less is better
        (numbers(0.02, 0.01, 0.2), "average_precision", UNDECIDED),  # not after Holm
        (
            numbers(0.02, 0.01, 0.01, given=0.03),
            "average_precision",
            UNDECIDED,
        ),  # the bootstrap does not agree
        (numbers(0.001, 0.003, 0.9), "average_precision", EQUAL),
        (numbers(0.003, 0.001, 0.01), "average_precision", EQUAL),  # surely above 0, and too small to matter
        (numbers(0.001, 0.003, 0.9, given=0.01), "average_precision", UNDECIDED),
        (numbers(0.001, 0.007, 0.9), "gini", EQUAL),  # on twice the scale
        (numbers(0.001, 0.007, 0.9), "roc_auc", UNDECIDED),
        (numbers(0.0001, 0.0003, 0.9), "brier", UNDECIDED),  # of it there is no region
        (numbers(0.02, math.nan, math.nan, given=0.001), "average_precision", UNDECIDED),  # one fold
        (numbers(0.0, math.nan, math.nan, given=0.001), "average_precision", UNDECIDED),
    ],
)
def test_a_verdict_needs_both_tests(found: dict[str, float], metric: str, word: str) -> None:
    assert word in VERDICTS
    assert verdict(found, "d", metric) == word


def test_the_region_may_be_another() -> None:
    found = numbers(0.006, 0.001, 0.01)
    assert [verdict(found, "d", "roc_auc", rope) for rope in (0.0, 0.005, 0.01)] == [BETTER, BETTER, EQUAL]


def test_sure_is_both_and_on_one_side() -> None:
    assert is_sure(0.01, 0.1, 0.02, 0.3)
    assert is_sure(0.01, -0.1, -0.3, -0.02)
    assert not is_sure(0.01, 0.1, -0.02, 0.3)
    assert not is_sure(0.06, 0.1, 0.02, 0.3)
    assert not is_sure(math.nan, 0.1, 0.02, 0.3)


def test_a_pair_has_the_numbers_of_both() -> None:
    runs = tuple((fold, seed) for fold in range(3) for seed in range(2))
    rng = np.random.default_rng(0)

    def arm(shift: float) -> Replicates:
        points = 0.5 + shift + 0.01 * rng.normal(size=6)
        values = points[:, None] + 0.01 * rng.normal(size=(6, 30))
        return Replicates(runs, {"ks": points}, {"ks": values}, {0: "", 1: "", 2: ""})

    a, b = arm(0.1), arm(0.0)
    found = paired(a, b, "ks", 0.25)
    by_fold = (a.points["ks"] - b.points["ks"]).reshape(3, 2).mean(axis=1)
    assert found.corrected == corrected_t(dict(enumerate(by_fold)), 0.25)
    columns = found.columns("d")
    assert list(columns) == paired_columns("d")
    assert columns["d_mean"] == pytest.approx(np.mean(by_fold))
    assert (columns["d_conditional_lo"], columns["d_p"]) == (found.conditional.lo, found.corrected.p_value)


# Tiers.


def test_a_tier_is_the_best_and_all_that_is_not_told_from_it() -> None:
    value = {"a": 10.0, "b": 9.5, "c": 7.0, "d": 6.6, "e": 6.2, "f": 1.0}

    def p_value(a: str, b: str) -> float:
        return 0.001 if abs(value[a] - value[b]) > 1 else 0.5

    assert tiers(list(value), p_value) == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 2, "f": 3}


def test_tiers_are_adjusted_for_all_that_an_arm_is_held_against() -> None:
    """Each p of .02 alone would tell an arm apart; among three Holm's factor makes it .06."""
    assert tiers(["a", "b"], lambda *_: 0.02) == {"a": 1, "b": 2}
    assert set(tiers(list("abcd"), lambda *_: 0.02).values()) == {1}


def test_what_no_test_tells_apart_is_in_one_tier() -> None:
    assert tiers(["a", "b", "c"], lambda *_: math.nan) == {"a": 1, "b": 1, "c": 1}
    assert tiers([], lambda *_: 0.0) == {}
    assert tiers(["a"], lambda *_: 0.0) == {"a": 1}
