"""The metrics of runs on their test rows and on resamples of them, for intervals (`bench.stats.inference`).

A resample draws positives among positives and negatives among negatives. The resamples of a fold depend on nothing
but the fold, so every arm is measured on the same ones, and a difference of two arms is paired on seeds, folds
and rows. What a resample adds to a metric is averaged over an arm's seeds and rounded to two bytes: that is all that
intervals need of the scores, and tables can be made again without them (`bench.store.compact`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import numpy as np
import numpy.typing as npt

from bench.machine import keep_freed_memory
from bench.names import cores, digest, seed_from
from bench.stats.metrics import WIDTH, measure_ranked, measure_resampled, metrics
from bench.stats.ranking import Curve, Ranking, rank
from bench.stats.scored import Scored
from bench.stats.sums import Array, Floats

log = logging.getLogger(__name__)

RANKED = ("average_precision", "roc_auc")  # cheap enough to be measured on more resamples
_HELD = 1 << 25  # bytes of weights drawn at once
WAVE = 5  # draws held at once
MOST_STEPS = 4095  # on either side of 0: thirteen bits
PIECE = 1 << 19  # random bytes drawn at once

_said: set[tuple[str, str]] = set()  # metrics that gave no number, with the reason that was said


@dataclass(frozen=True, eq=False)
class RunScores:
    """The scored test rows of one run, which all runs of its fold, of every arm, have in the same order."""

    fold: int
    seed: int
    scored: Scored


@dataclass(frozen=True, eq=False)
class Replicates:
    """The metrics of one arm's runs, on the test rows and on R resamples of them."""

    runs: tuple[tuple[int, int], ...]  # (fold, seed), sorted
    points: Mapping[str, Floats]  # by metric, (runs,)
    values: Mapping[str, Floats]  # by metric, (runs, R), R being another for some metrics than for others
    resamples: Mapping[int, str]  # by fold, a hash of its rows and their resamples
    noise: Mapping[str, Mapping[int, Noise]] = field(default_factory=dict)  # by metric and fold


@dataclass(frozen=True, eq=False)
class Noise:
    """What resamples of a fold's rows add to a metric of an arm, the mean over its seeds there, in steps of `scale`.

    Seeds of a fold share their test rows, so they share nearly all of this noise. The steps are fine (1e-5 for a
    ROC-AUC of some thousand rows): a difference of arms that are nearly the same is smaller than the noise of either by
    orders. A metric that is not defined on a resample has the scale NaN.
    """

    scale: float
    steps: npt.NDArray[np.int16]  # (R,)

    @classmethod
    def of(cls, values: Floats, points: Floats) -> Noise:
        """Return the noise of `values` (seeds, R) about `points` (seeds,)."""
        added = np.mean(values - points[:, None], axis=0)
        if not np.isfinite(added).all():
            return cls(float("nan"), np.zeros(len(added), np.int16))
        scale = float(np.max(np.abs(added), initial=0.0)) / MOST_STEPS
        return cls(scale, np.rint(added / (scale or 1.0)).astype(np.int16))


def with_noise(
    runs: Sequence[tuple[int, int]],
    points: Mapping[str, Floats],
    noise: Mapping[str, Mapping[int, Noise]],
    resamples: Mapping[int, str],
) -> Replicates:
    """Return the replicates of runs, sorted by fold and seed: each run's metric and the noise of its fold's rows.

    Gini is 2 ROC-AUC - 1: it comes with ROC-AUC, and has its noise from there.
    """
    points, values, known = dict(points), {}, metrics()
    for name, by_fold in noise.items():
        added = {fold: of_fold.scale * of_fold.steps.astype(np.float64) for fold, of_fold in by_fold.items()}
        around = points[name][:, None] + np.stack([added[fold] for fold, _ in runs])
        values[name] = np.clip(around, *known[name].bounds)
    if "roc_auc" in noise:
        points["gini"], values["gini"] = (2 * by_name["roc_auc"] - 1 for by_name in (points, values))
    return Replicates(tuple(runs), points, {m: values[m] for m in known if m in values}, resamples, noise)


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
    comes twice, or the labels of a fold differ, and as `bench.stats.metrics.measure` does.
    """
    by_arm = replicates_by_arm(
        {"": runs}, row_replicates=row_replicates, rank_replicates=rank_replicates, seed=seed, names=names
    )
    return by_arm[""]


def replicates_by_arm(
    arms: Mapping[str, Sequence[RunScores]],
    *,
    row_replicates: int = 200,
    rank_replicates: int = 2000,
    seed: int = 0,
    names: Iterable[str] | None = None,
) -> dict[str, Replicates]:
    """Return `replicates` of every arm; a fold's resamples are drawn once and shared by all arms and seeds.

    The runs of a fold are measured by as many threads as there are cores: numpy does the work. A metric from outside
    that gives no number has NaN there, and the log says why, once.
    """
    for arm, runs in arms.items():
        labels = [(run.fold, run.seed) for run in runs]
        if not runs or len(set(labels)) < len(runs):
            raise ValueError(f"Expected one run for each fold and seed; found {labels} {arm}".rstrip() + ".")
    every = sorted(((run, arm) for arm, runs in arms.items() for run in runs), key=lambda pair: pair[0].fold)
    wanted = metrics() if names is None else names
    measured_names = list(dict.fromkeys("roc_auc" if name == "gini" else name for name in wanted))
    keep_freed_memory()
    measured: dict[str, dict[tuple[int, int], dict[str, Floats]]] = {arm: {} for arm in arms}
    resamples: dict[str, dict[int, str]] = {arm: {} for arm in arms}
    faults: dict[str, str] = {}
    with ThreadPoolExecutor(cores()) as threads:
        for fold, group in groupby(every, key=lambda pair: pair[0].fold):
            members = list(group)
            runs = [run for run, _ in members]
            y = _labels(runs)
            name = digest([digest(y.tobytes()), row_replicates, rank_replicates, seed])
            draws = _draws(len(y), row_replicates, rank_replicates, measured_names)
            values = _measured(threads, runs, partial(_weights, y, fold=fold, seed=seed), draws, faults)
            for (run, arm), of_run in zip(members, values, strict=True):
                measured[arm][fold, run.seed] = of_run
                resamples[arm][fold] = name
    _say(faults)
    return {arm: _stacked(measured[arm], resamples[arm]) for arm in arms}


def _say(faults: Mapping[str, str]) -> None:
    """Say which metrics gave no number somewhere, and why; each reason once in the life of the process."""
    for name, fault in faults.items():
        if (name, fault) not in _said:
            _said.add((name, fault))
            log.warning("The metric %s gave no number on some rows, and is missing there: %s.", name, fault)


@dataclass(frozen=True)
class _Draw:
    """Some of the resamples of a fold's rows, and the metrics measured on them."""

    first: int
    count: int
    names: list[str]


def _draws(n: int, row_replicates: int, rank_replicates: int, names: list[str]) -> list[_Draw]:
    """Share a fold's resamples out: at first those for all metrics, then the rest for `RANKED`."""
    ranked = [name for name in names if name in RANKED]
    step = max(1, min(WIDTH, _HELD // n))
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
    faults: dict[str, str],
) -> list[dict[str, Floats]]:
    """Measure the runs of a fold on all draws, a few of which are held at once; by metric, (1 + R,)."""
    parts_of: list[dict[str, list[Floats]]] = [{} for _ in runs]
    for start in range(0, len(draws), WAVE):
        wave = draws[start : start + WAVE]
        weights = list(threads.map(weights_of, wave))
        measured = threads.map(partial(_measure, wave, weights, faults), runs)
        for parts, by_draw in zip(parts_of, measured, strict=True):
            for by_name in by_draw:
                for name, values in by_name.items():
                    parts.setdefault(name, []).append(values)
    return [{name: np.concatenate(values) for name, values in parts.items()} for parts in parts_of]


def _measure(
    draws: Sequence[_Draw], weights: Sequence[Array], faults: dict[str, str], run: RunScores
) -> list[dict[str, Floats]]:
    ranking = rank(run.scored.y, run.scored.score, run.scored.threshold)
    return [
        measure_resampled(run.scored, drawn, names=draw.names, ranking=ranking, faults=faults)
        for draw, drawn in zip(draws, weights, strict=True)
    ]


def _stacked(measured: Mapping[tuple[int, int], dict[str, Floats]], resamples: dict[int, str]) -> Replicates:
    runs = sorted(measured)
    stacked = {name: np.stack([measured[run][name] for run in runs]) for name in measured[runs[0]]}
    points = {name: values[:, 0] for name, values in stacked.items()}
    at = {fold: [i for i, run in enumerate(runs) if run[0] == fold] for fold in resamples}
    noise = {
        name: {fold: Noise.of(values[rows, 1:], points[name][rows]) for fold, rows in at.items()}
        for name, values in stacked.items()
    }
    return with_noise(runs, points, noise, resamples)


def _labels(members: Sequence[RunScores]) -> Array:
    first = members[0].scored.y.astype(bool)
    for member in members[1:]:
        if not np.array_equal(first, member.scored.y.astype(bool)):
            raise ValueError(
                f"Runs of fold {member.fold} must hold the same test rows in the same order; the labels of "
                f"seeds {members[0].seed} and {member.seed} differ."
            )
    return first


def row_weights(y: Array, replicates: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return bootstrap multiplicities (R, n): positives redrawn among positives, negatives likewise.

    So every resample has the prevalence of `y` (n,). A multiplicity is about Poisson(1): no byte
    overflows. The array is a view of one with the rows first, which is how `measure_resampled` reads it.
    """
    rng = np.random.default_rng(seed)
    negative = ~np.asarray(y).astype(bool)
    counts = np.empty((len(negative), replicates), np.uint8)  # at first positives, then negatives
    for part in np.split(counts, [np.count_nonzero(~negative)]):
        _draw_multiplicities(part, rng)
    place = np.argsort(np.argsort(negative, kind="stable"))
    return counts.take(place, axis=0).T


def _draw_multiplicities(counts: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Fill `counts` (n, R) with how often each of n rows is among n draws with replacement.

    Exactly so: independent Poisson counts are, given their sum, the counts of so many draws. Of a rate a
    little below 1 they mostly are too few, and the rest is drawn row by row; one in a thousand is
    too many, and is drawn anew.
    """
    n, replicates = counts.shape
    _draw_poisson(counts.reshape(-1), max(0.0, 1 - 3 / np.sqrt(max(n, 1))), rng)
    eighth = n // 8
    eights = np.sum(counts[: 8 * eighth].reshape(8, eighth, replicates), axis=0, dtype=np.uint8)
    missing = (
        n - np.sum(eights, axis=0, dtype=np.int64) - np.sum(counts[8 * eighth :], axis=0, dtype=np.int64)
    )
    for over in np.flatnonzero(missing < 0):
        counts[:, over] = np.bincount(rng.integers(n, size=n), minlength=n)
        missing[over] = 0
    replicate = np.repeat(np.arange(replicates), missing)
    row = rng.integers(max(n, 1), size=len(replicate))
    np.add.at(counts.reshape(-1), row * replicates + replicate, np.uint8(1))


def _draw_poisson(counts: npt.NDArray[np.uint8], rate: float, rng: np.random.Generator) -> None:
    """Fill `counts` (n,) with Poisson counts, exactly, from about a random byte each; none is above 31.

    Of its 256 values as many stand for a count as its probability allows; the few values left
    over stand for a draw from what probability is left over (Walker's mixture, with one table).
    """
    share = 256 * np.exp(-rate) * np.cumprod(np.concatenate(([1], rate / np.arange(1, 32))))
    whole = np.floor(share).astype(int)
    first, *ends = np.cumsum(whole[: np.flatnonzero(whole)[-1] + 1]).tolist()
    left = np.cumsum(share - whole)
    for start in range(0, len(counts), PIECE):
        part = counts[start : start + PIECE]
        drawn = rng.bit_generator.random_raw(-(-len(part) // 8)).view(np.uint8)[: len(part)]
        above = drawn >= first
        part[:] = above
        for end in ends:
            above = drawn >= end
            part += above.view(np.uint8)
        rest = np.flatnonzero(above)
        part[rest] = np.searchsorted(left, rng.random(len(rest)) * left[-1], side="right")


def bootstrap_ranks(y: Array, score: Array, *, replicates: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Return ROC-AUC and average precision on resamples of the rows, within the classes: each (replicates,).

    Resamples of this scoring alone, for its own interval: not shared with another's, so nothing is paired.
    With few positives a resample is drawn as counts of negatives between positives, which has
    the distribution of drawing rows. Raises ValueError as `bench.stats.metrics.measure` does.
    """
    ranking = rank(y, score)
    # A count costs as much as drawing and counting some 40 rows.
    draw = _by_block if 40 * len(ranking.cuts) < len(ranking.order) else _by_row
    step = max(1, min(replicates, _HELD // (50 * len(ranking.cuts))))
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
    in_group, tp = ranking.positives_by_group(row_weights(np.ones(len(ranking.hits)), replicates, seed).T)
    blocks = np.diff(ranking.cuts - ranking.leading(ranking.cuts))
    held = np.flatnonzero(blocks)
    chances = blocks[held] / np.sum(blocks)
    fp = np.zeros((len(ranking.cuts), replicates))
    rng = np.random.default_rng([seed, 1])  # another stream than that of the positives
    fp[held + 1] = rng.multinomial(np.sum(blocks), chances, size=replicates).T
    fp = np.cumsum(fp, axis=0, out=fp)
    before, after = (fp[np.searchsorted(ranking.cuts, at)] for at in (ranking.starts, ranking.ends))
    curve = Curve(in_group, tp, before, after)
    return {"roc_auc": curve.roc_area(fp[-1]), "average_precision": curve.average_precision}
