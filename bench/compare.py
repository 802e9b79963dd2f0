"""Intervals for a leaderboard: two-level bootstrap over runs and test rows, and paired differences.

Level one redraws runs: folds with replacement, and in each fold drawn its seeds with replacement.
Level two redraws test rows, positives among positives and negatives among negatives: one resample of
the rows for each fold drawn, shared by its seeds. The resamples of a fold depend on nothing but the
fold, so every arm is measured on the same ones, and a difference of two arms is paired on seeds, folds
and rows. Since folds differ by their test rows too, the noise of rows counts twice where there are
several folds: the intervals are on the wide side. Folds share training rows, which makes them
on the narrow side (Bengio and Grandvalet 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np

from bench.allocator import keep_freed_memory
from bench.errors import UnknownName
from bench.metrics import METRICS, WIDTH, measure_ranked, row_weights
from bench.names import cores, digest, seed_from
from bench.ranking import Curve, Ranking, rank
from bench.sums import Array, Floats, Places

RANKED = ("average_precision", "roc_auc", "gini")  # cheap enough to be measured on more resamples
HELD = 1 << 25  # bytes of weights drawn at once
WAVE = 5  # draws held at once


@dataclass(frozen=True, eq=False)
class RunScores:
    """What one run said of the test rows of its fold.

    All runs of a fold, of every arm, hold the same rows in the same order.
    """

    fold: int
    seed: int
    y: Array  # (n,) labels in {0, 1}
    score: Array  # (n,) probabilities
    threshold: float | None = None  # chosen on the validation part


@dataclass(frozen=True, eq=False)
class Replicates:
    """The metrics of one arm's runs, on the test rows and on R resamples of them."""

    runs: tuple[tuple[int, int], ...]  # (fold, seed), sorted
    points: Mapping[str, Floats]  # by metric, (runs,)
    values: Mapping[str, Floats]  # by metric, (runs, R), R being another for some metrics than for others
    resamples: Mapping[int, str]  # by fold, a hash of its rows and their resamples


@dataclass(frozen=True)
class Summary:
    """The mean over runs, its interval, and the spread over seeds of the mean over folds (NaN for one)."""

    mean: float
    lo: float
    hi: float
    sd_seed: float


@dataclass(frozen=True)
class Difference:
    """The mean of a - b over paired runs, its interval, and the two-sided p-value of no difference."""

    mean: float
    lo: float
    hi: float
    p_value: float
    n_pairs: int


def replicates(
    runs: Sequence[RunScores],
    *,
    row_replicates: int = 200,
    rank_replicates: int = 2000,
    seed: int = 0,
    names: Iterable[str] | None = None,
) -> Replicates:
    """Measure the runs of one arm on their test rows and on resamples of them.

    All metrics are measured on the first `row_replicates` resamples, those of `RANKED` on all
    `rank_replicates`. `names` limits the metrics. Raises ValueError where there is no run, a (fold, seed)
    comes twice, or the labels of a fold differ, and as `bench.metrics.measure` does.
    """
    found = replicates_by_arm(
        {"": runs}, row_replicates=row_replicates, rank_replicates=rank_replicates, seed=seed, names=names
    )
    return found[""]


def replicates_by_arm(
    arms: Mapping[str, Sequence[RunScores]],
    *,
    row_replicates: int = 200,
    rank_replicates: int = 2000,
    seed: int = 0,
    names: Iterable[str] | None = None,
) -> dict[str, Replicates]:
    """Return `replicates` of every arm; a fold's resamples are drawn once and shared by all arms and seeds.

    The runs of a fold are measured by as many threads as there are cores: numpy does the work.
    """
    for arm, runs in arms.items():
        labels = [(run.fold, run.seed) for run in runs]
        if not runs or len(set(labels)) < len(runs):
            raise ValueError(f"Expected one run for each fold and seed; found {labels} {arm}".rstrip() + ".")
    every = sorted(
        ((run, arm) for arm, runs in arms.items() for run in runs), key=lambda found: found[0].fold
    )
    metrics = list(METRICS if names is None else names)
    keep_freed_memory()
    measured: dict[str, dict[tuple[int, int], dict[str, Floats]]] = {arm: {} for arm in arms}
    resamples: dict[str, dict[int, str]] = {arm: {} for arm in arms}
    with ThreadPoolExecutor(cores()) as threads:
        for fold, group in groupby(every, key=lambda found: found[0].fold):
            members = list(group)
            runs = [run for run, _ in members]
            y = _labels(runs)
            name = digest([digest(y.tobytes()), row_replicates, rank_replicates, seed])
            draws = _draws(len(y), row_replicates, rank_replicates, metrics)
            values = _measured(threads, runs, partial(_weights, y, fold=fold, seed=seed), draws)
            for (run, arm), found in zip(members, values, strict=True):
                measured[arm][fold, run.seed] = found
                resamples[arm][fold] = name
    return {arm: _stacked(measured[arm], resamples[arm]) for arm in arms}


@dataclass(frozen=True)
class _Draw:
    """Some of the resamples of a fold's rows, and the metrics measured on them."""

    first: int
    count: int
    names: list[str]


def _draws(n: int, row_replicates: int, rank_replicates: int, names: list[str]) -> list[_Draw]:
    """Share a fold's resamples out: at first those for all metrics, then the rest for `RANKED`."""
    ranked = [name for name in names if name in RANKED]
    step = max(1, min(WIDTH, HELD // n))
    starts = range(row_replicates, rank_replicates if ranked else 0, step)
    rest = [_Draw(start, min(step, rank_replicates - start), ranked) for start in starts]
    return [_Draw(0, row_replicates, names), *rest]


def _weights(y: Array, draw: _Draw, *, fold: int, seed: int) -> Array:
    """Draw the weights (R, n); as the very first come the rows themselves, for the point estimate."""
    weights = row_weights(y, draw.count, seed_from("rows", fold, seed, draw.first))
    return weights if draw.first else np.concatenate((np.ones((len(y), 1), np.uint8), weights.T), axis=1).T


def _measured(
    threads: ThreadPoolExecutor,
    runs: Sequence[RunScores],
    weights_of: Callable[[_Draw], Array],
    draws: Sequence[_Draw],
) -> list[dict[str, Floats]]:
    """Measure the runs of a fold on all draws, a few of which are held at once; by metric, (1 + R,)."""
    found: list[dict[str, list[Floats]]] = [{} for _ in runs]
    for start in range(0, len(draws), WAVE):
        wave = draws[start : start + WAVE]
        weights = list(threads.map(weights_of, wave))
        for values, parts in zip(found, threads.map(partial(_measure, wave, weights), runs), strict=True):
            for part in parts:
                for name, value in part.items():
                    values.setdefault(name, []).append(value)
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in found]


def _measure(draws: Sequence[_Draw], weights: Sequence[Array], run: RunScores) -> list[dict[str, Floats]]:
    ranking = rank(run.y, run.score, run.threshold)
    return [
        measure_ranked(ranking, part, names=draw.names) for draw, part in zip(draws, weights, strict=True)
    ]


def _stacked(measured: Mapping[tuple[int, int], dict[str, Floats]], resamples: dict[int, str]) -> Replicates:
    runs = tuple(sorted(measured))
    stacked = {name: np.stack([measured[run][name] for run in runs]) for name in measured[runs[0]]}
    return Replicates(
        runs=runs,
        points={name: values[:, 0] for name, values in stacked.items()},
        values={name: values[:, 1:] for name, values in stacked.items()},
        resamples=resamples,
    )


def _labels(members: Sequence[RunScores]) -> Array:
    first = np.asarray(members[0].y).astype(bool)
    for member in members[1:]:
        if not np.array_equal(first, np.asarray(member.y).astype(bool)):
            raise ValueError(
                f"Runs of fold {member.fold} must hold the same test rows in the same order; the labels of "
                f"seeds {members[0].seed} and {member.seed} differ."
            )
    return first


def bootstrap_ranks(y: Array, score: Array, *, replicates: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Return ROC-AUC and average precision on resamples of the rows, within the classes: each (replicates,).

    Resamples of this scoring alone, for its own interval: not shared with another's, so nothing is paired.
    With few positives a resample is drawn as counts of negatives between positives, which has
    the distribution of drawing rows. Raises ValueError as `bench.metrics.measure` does.
    """
    ranking = rank(y, score)
    # A count costs as much as drawing and counting some 40 rows.
    draw = _by_block if 40 * len(ranking.cuts) < len(ranking.order) else _by_row
    step = max(1, min(replicates, HELD // (50 * len(ranking.cuts))))
    parts = [
        draw(ranking, min(step, replicates - start), seed_from("ranks", seed, start))
        for start in range(0, replicates, step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in ("roc_auc", "average_precision")}


def _by_row(ranking: Ranking, replicates: int, seed: int) -> dict[str, Floats]:
    y = np.zeros(len(ranking.order), bool)
    y[ranking.order[ranking.hits]] = True
    names = ["roc_auc", "average_precision"]
    return measure_ranked(ranking, row_weights(y, replicates, seed), names=names)


def _by_block(ranking: Ranking, replicates: int, seed: int) -> dict[str, Floats]:
    found, tp = ranking.found(row_weights(np.ones(len(ranking.hits)), replicates, seed).T)
    blocks = np.diff(ranking.cuts - ranking.leading(ranking.cuts))
    held = np.flatnonzero(blocks)
    chances = blocks[held] / np.sum(blocks)
    fp = np.zeros((len(ranking.cuts), replicates))
    rng = np.random.default_rng([seed, 1])  # another stream than that of the positives
    fp[held + 1] = rng.multinomial(np.sum(blocks), chances, size=replicates).T
    fp = np.cumsum(fp, axis=0, out=fp)
    before, after = (fp[np.searchsorted(ranking.cuts, at)] for at in (ranking.starts, ranking.ends))
    curve = Curve(found, tp, before, after)
    return {"roc_auc": curve.roc_area(fp[-1]), "average_precision": curve.average_precision}


def summarise(
    reps: Replicates, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> dict[str, Summary]:
    """Return for every metric the mean over runs with its two-level bootstrap interval.

    `lo` and `hi` are percentiles of the draws, stretched to hold the mean: a resample repeats rows,
    which lifts ECE (and a little KS and AP) above its value on the rows themselves.
    """
    counts = {values.shape[1] for values in reps.values.values()}
    plans = {count: _plan(reps.runs, count, draws, seed) for count in counts}
    out = {}
    for name, values in reps.values.items():
        mean = float(np.mean(reps.points[name]))
        lo, hi = _interval(plans[values.shape[1]].means(values), level)
        spread = _seed_spread(reps.runs, reps.points[name])
        out[name] = Summary(mean, float(np.minimum(lo, mean)), float(np.maximum(hi, mean)), spread)
    return out


def difference(
    a: Replicates, b: Replicates, metric: str, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Difference:
    """Return how much higher `metric` is for `a` than for `b`, on the folds and seeds that both ran.

    The p-value is twice the smaller share of draws on either side of 0, each share with one draw
    added, so it is never 0 and identical arms give 1. Raises ValueError where no run pairs, or
    the arms were measured on other rows or other resamples of them.
    """
    for reps in (a, b):
        if metric not in reps.values:
            raise UnknownName("metric", metric, reps.values)
    pairs = sorted(set(a.runs) & set(b.runs))
    folds = {fold for fold, _ in pairs}
    if not pairs or any(a.resamples[fold] != b.resamples[fold] for fold in folds):
        reason = "other test rows or resamples" if pairs else "no fold and seed in common"
        raise ValueError(f"The two arms cannot be compared in pairs: {reason}.")
    rows_a, rows_b = ([reps.runs.index(pair) for pair in pairs] for reps in (a, b))
    differences = a.values[metric][rows_a] - b.values[metric][rows_b]
    means = _plan(pairs, differences.shape[1], draws, seed).means(differences)
    lo, hi = _interval(means, level)
    mean = float(np.mean(a.points[metric][rows_a] - b.points[metric][rows_b]))
    return Difference(mean, lo, hi, _p_value(means), len(pairs))


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


def _p_value(means: Floats) -> float:
    if np.isnan(means).any():
        return float("nan")
    tail = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    return float(min(1.0, 2 * (tail + 1) / (len(means) + 1)))


def _seed_spread(runs: Sequence[tuple[int, int]], points: Floats) -> float:
    """Return the standard deviation over seeds of the mean over folds; of those that ran every fold."""
    by_seed: dict[int, list[float]] = {}
    for (_, seed), point in zip(runs, points, strict=True):
        by_seed.setdefault(seed, []).append(float(point))
    n_folds = len({fold for fold, _ in runs})
    means = [np.mean(values) for values in by_seed.values() if len(values) == n_folds]
    return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
