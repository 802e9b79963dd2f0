"""What a few folds can carry of a difference: the corrected resampled t, a region of equivalence, and tiers.

The models of two folds have most of their training rows in common, and those of two repeats also test rows. So folds
agree more than new data would, and a plain t test finds differences that are none. Nadeau and Bengio (2003, "Inference
for the generalization error", Machine Learning 52) take for the variance of the mean over J folds s² (1 / J + n_test /
n_train) in place of s² / J. Repeats and folds are pooled, seeds are averaged within each. Of one fold there is no such
test: how much another training set would change is not in it.

`ROPE` is the region of practical equivalence (Kruschke 2018): differences in it are too small to matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from scipy.stats import t

from bench.names import ROPE
from bench.stats.bootstrap import Replicates
from bench.stats.inference import Difference, difference, differences_by_fold, holm, student
from bench.stats.metrics import metrics

ROPE_METRICS = {
    "average_precision": 1,
    "roc_auc": 1,
    "gini": 2,
}  # 2 ROC-AUC - 1; of other metrics there is none
SIGNIFICANT, POWER = 0.05, 0.8
BETTER, WORSE, EQUAL, UNDECIDED = VERDICTS = ("better", "worse", "equal within the ROPE", "undecided")


@dataclass(frozen=True)
class Corrected:
    """A mean difference over folds, by the corrected resampled t its interval and p, and the smallest detectable one.

    `detectable` is the true difference that so many folds with such a spread would show as significant (two-sided, .05)
    four times in five; NaN for arms that do not differ at all. All but the mean are NaN for one fold, or where folds
    differ by the same amount.
    """

    mean: float
    lo: float
    hi: float
    p_value: float
    detectable: float


def corrected_t(differences: Mapping[int, float], test_to_train: float, *, level: float = 0.95) -> Corrected:
    """Return what folds say of no difference, corrected for the rows that they share.

    `differences` are means over seeds by fold, `test_to_train` is n_test / n_train.
    """
    by_fold = np.array(list(differences.values()))
    mean = float(np.mean(by_fold))
    if len(by_fold) > 1 and not by_fold.any():
        return Corrected(0.0, 0.0, 0.0, 1.0, nan)
    if len(by_fold) < 2 or not np.isfinite(by_fold).all() or not np.isfinite(test_to_train):
        return Corrected(mean, nan, nan, nan, nan)
    freedom = len(by_fold) - 1
    error = float(np.sqrt(np.var(by_fold, ddof=1) * (1 / len(by_fold) + test_to_train)))
    if error == 0:
        return Corrected(mean, nan, nan, nan, nan)
    half = student((1 + level) / 2, freedom) * error
    detectable = (student(1 - SIGNIFICANT / 2, freedom) + student(POWER, freedom)) * error
    p_value = float(2 * t.sf(abs(mean) / error, freedom))
    return Corrected(mean, mean - half, mean + half, p_value, detectable)


@dataclass(frozen=True)
class Paired:
    """How far one arm is ahead of another: by the corrected t, and by the bootstrap given the models."""

    corrected: Corrected
    conditional: Difference

    def columns(self, name: str) -> dict[str, float]:
        """Return the numbers by column, in the order of `paired_columns`."""
        corrected, ends = self.corrected, (self.conditional.lo, self.conditional.hi)
        numbers = (corrected.mean, corrected.lo, corrected.hi, corrected.p_value, corrected.detectable)
        return dict(zip(paired_columns(name), (*numbers, *ends), strict=True))


def paired_columns(name: str) -> list[str]:
    """Return the columns of a paired difference, but for p after Holm's adjustment.

    They are `name_mean`; of the corrected t `_lo, _hi, _p, _detectable`; of the bootstrap `_conditional_lo, _hi`.
    """
    ends = ("mean", "lo", "hi", "p", "detectable", "conditional_lo", "conditional_hi")
    return [column(name, end) for end in ends]


def column(name: str, end: str) -> str:
    """Return a column of the difference called `name`, which may have no name."""
    return f"{name}_{end}" if name else end


def paired(a: Replicates, b: Replicates, metric: str, test_to_train: float) -> Paired:
    """Return how much higher `metric` is for `a` than for `b`, on the folds and seeds that both ran.

    Raises ValueError as `bench.stats.inference.difference` does.
    """
    by_fold = differences_by_fold(a, b, metric)
    return Paired(corrected_t(by_fold, test_to_train), difference(a, b, metric))


def is_sure(p_holm: float, mean: float, conditional_lo: float, conditional_hi: float) -> bool:
    """Return whether a difference is significant by the corrected t and the interval given the models agrees."""
    return bool(p_holm < SIGNIFICANT and (conditional_lo > 0 if mean > 0 else conditional_hi < 0))


def verdict(numbers: Mapping[str, float], name: str, metric: str, rope: float = ROPE) -> str:
    """Return in a word what a paired difference in `metric` comes to; `numbers` has its columns and `_p_holm`.

    Equal: both intervals lie within the region of practical equivalence, `rope` on either side of 0. Better or worse:
    it is `is_sure`. Else it is undecided, as it always is over one fold.
    """
    mean, lo, hi, conditional_lo, conditional_hi, p_holm = (
        numbers[column(name, end)]
        for end in ("mean", "lo", "hi", "conditional_lo", "conditional_hi", "p_holm")
    )
    width = rope * ROPE_METRICS.get(metric, 0)
    if -width <= min(lo, conditional_lo) and max(hi, conditional_hi) <= width and lo <= hi:
        return EQUAL
    if not is_sure(p_holm, mean, conditional_lo, conditional_hi):
        return UNDECIDED
    return BETTER if (mean > 0) == metrics()[metric].higher_is_better else WORSE


def tiers(ordered: Sequence[str], p_value: Callable[[str, str], float]) -> dict[str, int]:
    """Return each arm's tier, from 1; `ordered` are the arms from the best on.

    The first tier is the best arm and all that the test does not tell from it, adjusted (Holm) for all that it is held
    against; the best of those left begins the next. `p_value` is of no difference between two arms.
    """
    out: dict[str, int] = {}
    left, tier = list(ordered), 1
    while left:
        best, *others = left
        adjusted = holm([p_value(best, arm) for arm in others])
        told = [arm for arm, p in zip(others, adjusted, strict=True) if p < SIGNIFICANT]
        out |= {arm: tier for arm in left if arm not in told}
        left, tier = told, tier + 1
    return out
