"""Intervals for a leaderboard: of an arm's mean over folds, and of differences conditional on the trained models.

**An arm's interval** is the wider of two (`summarise`): Student's t over the spread of folds, and the noise of the test
rows by the bootstrap. The folds of one repeat share no test row; two folds of different repeats share a row in F. So
the variance of a mean over any number of repeats is that of one fold over F, the folds of one repeat: the correction
of Nadeau and Bengio (2003) with the overlaps as they are. How often it holds the truth: results/LOG.md, and
`python -m tests.coverage`.

**A difference conditional on the trained models** (`difference`) is a two-level bootstrap. Level one redraws the runs
that are there: folds with replacement, and in each fold drawn its seeds. Level two redraws test rows, positives among
positives and negatives among negatives: one resample of the rows for each fold drawn, shared by its seeds. The
resamples of a fold depend on nothing but the fold, so every arm is measured on the same ones, and a difference of two
arms is paired on seeds, folds and rows. What another training set would have given is not in it: that is for the
corrected t (`bench.stats.corrected`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import norm, t

from bench.errors import UnknownName
from bench.names import REPEAT
from bench.stats.bootstrap import Replicates
from bench.stats.metrics import metrics
from bench.stats.sums import Floats, Places

DRAWS = 10_000  # for a difference: they move the ends of an interval by some 1 % of its half-width


@dataclass(frozen=True)
class Summary:
    """The mean over runs, its interval, and the spread over seeds of the mean over folds (NaN for one)."""

    mean: float
    lo: float
    hi: float
    sd_seed: float


@dataclass(frozen=True)
class Difference:
    """The mean of a - b over paired runs, and given the trained models its interval and two-sided p-value of none."""

    mean: float
    lo: float
    hi: float
    p_value: float
    n_pairs: int


def summarise(
    reps: Replicates,
    names: Iterable[str] | None = None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Summary]:
    """Return for every metric, or those of `names`, the mean over runs and its interval.

    Over several folds the interval is the mean ± the larger of t s / √F and z r / √F: F is the number of folds in one
    repeat, s² the variance between the folds of a repeat, r² the mean variance that resampling a fold's rows gives; a
    fold counts by the mean of its seeds. Over one fold, which says nothing of other training sets, it is the bootstrap
    of seeds and rows, `draws` times, stretched to hold the mean. It never leaves what the metric can be.
    """
    known, out = metrics(), {}
    several = len({fold for fold, _ in reps.runs}) > 1
    for name in reps.values if names is None else names:
        points, values = reps.points[name], reps.values[name]
        mean = float(np.mean(points))
        if several:
            half = _half_width(reps.runs, points, values, level)
            low, high = known[name].bounds
            lo, hi = np.maximum(low, mean - half), np.minimum(high, mean + half)
        else:
            ends = _interval(_plan(reps.runs, values.shape[1], draws, seed).means(values), level)
            lo, hi = np.minimum(ends[0], mean), np.maximum(ends[1], mean)
        out[name] = Summary(mean, float(lo), float(hi), _seed_spread(reps.runs, points))
    return out


def _half_width(runs: Sequence[tuple[int, int]], points: Floats, values: Floats, level: float) -> float:
    """Return half the width of an interval of the mean over several folds; see `summarise`."""
    folds, first, count = np.unique([fold for fold, _ in runs], return_index=True, return_counts=True)
    by_fold = np.add.reduceat(points, first) / count
    noise = np.var(np.add.reduceat(values, first, axis=0) / count[:, None], axis=1)
    _, repeat = np.unique(folds // REPEAT, return_inverse=True)
    n_repeats, freedom = int(repeat.max()) + 1, len(folds) - int(repeat.max()) - 1
    if not freedom:  # every repeat has one fold, all of which may share their rows
        repeat, freedom = np.zeros(len(folds), int), len(folds) - 1
    centres = np.bincount(repeat, by_fold) / np.bincount(repeat)
    between = np.sum((by_fold - centres[repeat]) ** 2) / freedom
    tail, independent = (1 + level) / 2, len(folds) / n_repeats
    ends = student(tail, freedom) * np.sqrt(between), norm.ppf(tail) * np.sqrt(np.mean(noise))
    return float(np.maximum(*ends) / np.sqrt(independent))


def difference(
    a: Replicates, b: Replicates, metric: str, *, draws: int = DRAWS, level: float = 0.95, seed: int = 0
) -> Difference:
    """Return how much higher `metric` is for `a` than for `b`, on the folds and seeds that both ran.

    The p-value is twice the smaller share of draws on either side of 0, each share with one draw
    added, so it is never 0 and identical arms give 1; over one fold it is at least what so many resamples of its rows
    can tell. Raises ValueError where no run pairs, or
    the arms were measured on other rows or other resamples of them.
    """
    pairs, rows_a, rows_b = _paired(a, b, metric)
    differences = a.values[metric][rows_a] - b.values[metric][rows_b]
    means = _plan(pairs, differences.shape[1], draws, seed).means(differences)
    lo, hi = _interval(means, level)
    mean = float(np.mean(a.points[metric][rows_a] - b.points[metric][rows_b]))
    return Difference(mean, lo, hi, _p_value(means, _finest(pairs, differences)), len(pairs))


def comparable(a: Replicates, b: Replicates) -> bool:
    """Return whether the arms have runs of a fold and seed in common, on the same test rows and resamples of them."""
    folds = {fold for fold, _ in set(a.runs) & set(b.runs)}
    return bool(folds) and all(a.resamples[fold] == b.resamples[fold] for fold in folds)


def _paired(
    a: Replicates, b: Replicates, metric: str
) -> tuple[tuple[tuple[int, int], ...], list[int], list[int]]:
    """Return the (fold, seed) that both arms ran, and the places of their runs in each."""
    for reps in (a, b):
        if metric not in reps.values:
            raise UnknownName("metric", metric, reps.values)
    pairs = tuple(sorted(set(a.runs) & set(b.runs)))
    if not comparable(a, b):
        reason = "other test rows or resamples" if pairs else "no fold and seed in common"
        raise ValueError(f"The two arms cannot be compared in pairs: {reason}.")
    return pairs, [a.runs.index(pair) for pair in pairs], [b.runs.index(pair) for pair in pairs]


def difference_of_means(
    a: Replicates, b: Replicates, metric: str, *, draws: int = DRAWS, level: float = 0.95, seed: int = 0
) -> Difference:
    """Return `difference` of two arms that share neither runs nor rows: the noises of both add up; `n_pairs` is 0."""
    drawn = []
    for i, reps in enumerate((a, b)):
        values = reps.values[metric]
        drawn.append(_plan(reps.runs, values.shape[1], draws, seed + i).means(values))
    means = drawn[0] - drawn[1]
    lo, hi = _interval(means, level)
    mean = float(np.mean(a.points[metric]) - np.mean(b.points[metric]))
    finest = max(_finest(reps.runs, reps.values[metric]) for reps in (a, b))
    return Difference(mean, lo, hi, _p_value(means, finest), 0)


@dataclass(frozen=True)
class Improvement:
    """How often a paired run of `a` beats its counterpart of `b`, ties being half, with its interval."""

    share: float
    lo: float
    hi: float


def improvement(
    a: Replicates, b: Replicates, metric: str, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Improvement:
    """Return the probability of improvement over the runs that both have (Agarwal et al. 2021, paired).

    For a metric of which less is better it is how often `a` is lower. Raises ValueError as `difference` does.
    """
    pairs, rows_a, rows_b = _paired(a, b, metric)
    sign = 1 if metrics()[metric].higher_is_better else -1
    won = (1 + np.sign(sign * (a.values[metric][rows_a] - b.values[metric][rows_b]))) / 2
    lo, hi = _interval(_plan(pairs, won.shape[1], draws, seed).means(won), level)
    share = float(np.mean((1 + np.sign(sign * (a.points[metric][rows_a] - b.points[metric][rows_b]))) / 2))
    return Improvement(share, min(lo, share), max(hi, share))


@lru_cache(maxsize=64)
def student(level: float, freedom: int) -> float:
    """Return the quantile of Student's t."""
    return float(t.ppf(level, freedom))


def differences_by_fold(a: Replicates, b: Replicates, metric: str) -> dict[int, float]:
    """Return by fold how much higher `metric` is for `a` than for `b`, the mean over the seeds that both ran there."""
    pairs, rows_a, rows_b = _paired(a, b, metric)
    ahead = a.points[metric][rows_a] - b.points[metric][rows_b]
    folds, first, count = np.unique([fold for fold, _ in pairs], return_index=True, return_counts=True)
    return dict(zip(folds.tolist(), (np.add.reduceat(ahead, first) / count).tolist(), strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being read together (Holm 1979); NaN stays, and does not count."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    adjusted = p.copy()
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return [float(value) for value in adjusted]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which runs, on which resample of their rows, make up each of D draws of F folds of up to S seeds."""

    run: Places  # (D, F, S)
    replicate: Places  # (D, F, 1)
    weight: Floats  # (D, F, S), 1 for a run, 0 where the fold has fewer seeds

    def means(self, values: Floats) -> Floats:
        """Return the mean (D,) of values (runs, R) over the runs of each draw."""
        drawn = values.reshape(-1).take(self.run * values.shape[1] + self.replicate)
        means: Floats = np.einsum("dfs,dfs->d", drawn, self.weight) / np.einsum("dfs->d", self.weight)
        return means


@lru_cache(maxsize=4)  # neighbouring arms and metrics share it; 25 MB for 50 runs and 20,000 draws
def _plan(runs: Sequence[tuple[int, int]], resamples: int, draws: int, seed: int) -> _Plan:
    """Draw folds, seeds within folds, and a resample of rows for each fold drawn."""
    rng = np.random.default_rng(seed)
    _, first, count = np.unique([fold for fold, _ in runs], return_index=True, return_counts=True)
    fold = rng.integers(len(first), size=(draws, len(first), 1))
    pick = rng.random((draws, len(first), count.max())) * count[fold]
    return _Plan(
        run=first[fold] + pick.astype(np.intp),  # runs are sorted by fold
        replicate=rng.integers(resamples, size=fold.shape),
        weight=(np.arange(count.max()) < count[fold]).astype(np.float64),
    )


def _interval(means: Floats, level: float) -> tuple[float, float]:
    lo, hi = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(lo), float(hi)


def _finest(runs: Sequence[tuple[int, int]], values: Floats) -> float:
    """Return the smallest p-value that resamples of one fold's rows can tell; several folds combine theirs."""
    return 2 / (values.shape[1] + 1) if len({fold for fold, _ in runs}) == 1 else 0.0


def _p_value(means: Floats, finest: float) -> float:
    if np.isnan(means).any():
        return float("nan")
    tail = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    return float(min(1.0, max(finest, 2 * (tail + 1) / (len(means) + 1))))


def _seed_spread(runs: Sequence[tuple[int, int]], points: Floats) -> float:
    """Return the standard deviation over seeds of the mean over folds; of those that ran every fold."""
    by_seed: dict[int, list[float]] = {}
    for (_, seed), point in zip(runs, points, strict=True):
        by_seed.setdefault(seed, []).append(float(point))
    n_folds = len({fold for fold, _ in runs})
    means = [np.mean(values) for values in by_seed.values() if len(values) == n_folds]
    return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
