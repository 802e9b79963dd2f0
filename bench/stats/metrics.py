"""Metrics of a scored test part: one entry of `METRICS` each.

One implementation serves the point estimate and its bootstrap: a resample of the rows is a weight
for each row, and a metric is a function of R weightings at once (a `Tally`); the point estimate
is the one weighting by ones.

Conventions, for rows of which the most suspect come first:

* AP and ROC-AUC are scikit-learn's, ties included; a higher score is more suspect.
* Review at q %: the ⌈q n⌉ most suspect rows are looked at; ties at the cut are taken in random
  order, and the expected count is what is reported.
* Recall at an FPR of x: the highest recall of any threshold whose FPR is at most x.
* Threshold metrics call a row positive when score ≥ threshold; 0 / 0 is 0. Without a threshold, NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from bench.stats.ranking import SLACK, Ranking, Tally, not_finite, rank, ratio
from bench.stats.sums import Array, Floats

ECE_BINS = 15
HELD = 1 << 26  # bytes of weights and counts held at once
WIDTH = 2048  # resamples measured at once
PIECE = 1 << 19  # random bytes drawn at once


def measure(y: Array, score: Array, threshold: float | None = None) -> dict[str, float]:
    """Return every metric of `METRICS` for labels `y` (n,) in {0, 1} and probabilities `score` (n,).

    Raises ValueError where a score is not a probability or a class is missing.
    """
    once = np.ones((1, len(y)), np.uint8)
    return {name: float(value[0]) for name, value in measure_resampled(y, score, threshold, once).items()}


def measure_resampled(
    y: Array, score: Array, threshold: float | None, weights: Array, *, names: Iterable[str] | None = None
) -> dict[str, Floats]:
    """Return the metrics (all, or those in `names`) of R resamples at once, each (R,).

    `weights` (R, n) says how often each row occurs in each resample; the result is that of `measure`
    on the rows physically repeated. Raises ValueError as `measure` does, also for a resample without
    rows of one class.
    """
    return measure_ranked(rank(y, score, threshold), weights, names=names)


def measure_ranked(
    ranking: Ranking, weights: Array, *, names: Iterable[str] | None = None
) -> dict[str, Floats]:
    """Return `measure_resampled` of rows that are ranked already."""
    if weights.ndim != 2 or weights.shape[1] != len(ranking.order):
        raise ValueError(f"Weights of shape {weights.shape} for {len(ranking.order)} rows: expected (R, n).")
    names = list(METRICS if names is None else names)
    out = {name: np.empty(len(weights)) for name in names}
    step = max(1, min(WIDTH, HELD // (len(ranking.order) + 50 * len(ranking.cuts))))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        tally = Tally(ranking, np.ascontiguousarray(weights[part].T))
        if not (tally.positives.all() and tally.negatives.all()):
            raise ValueError("A resample has rows of one class only: resample within the classes.")
        for name in names:
            out[name][part] = METRICS[name].function(tally)
    return out


def average_precision(y: Array, score: Array) -> float:
    """Return the average precision of one scoring, equal to scikit-learn's, for any finite scores.

    The mean, over the positives, of the precision among rows scored at least as high. Made for
    early stopping: one sort of values, then P binary searches. Raises ValueError on NaN or infinity.
    """
    everyone = np.sort(score)
    if not (np.isfinite(everyone[0]) and np.isfinite(everyone[-1])):  # NaN sorts last
        raise ValueError(not_finite(np.asarray(score)))
    positives = np.sort(score[np.asarray(y).astype(bool)])
    if not len(positives):
        raise ValueError("Average precision needs a positive row; there is none.")
    hits = len(positives) - np.searchsorted(positives, positives)
    return float(np.mean(hits / (len(everyone) - np.searchsorted(everyone, positives))))


def best_threshold(y: Array, score: Array) -> float:
    """Return the threshold on `score` (n,) at which F1 is highest; meant for the validation part.

    It lies midway between the lowest score called positive and the next lower one (0 below the
    last). Among equal F1 the highest threshold, that of the fewest alerts, is taken.
    """
    ranking = rank(y, score)
    ends = ranking.cuts[1:]
    f1 = 2 * ranking.leading(ends) / (ends + len(ranking.hits))
    best = int(ends[np.argmax(f1)])
    ranked = np.append(ranking.score, 0.0)
    lowest, below = float(ranked[best - 1]), float(ranked[best])
    middle = (lowest + below) / 2
    return middle if middle > below else lowest  # between neighbouring floats there is no middle


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


@dataclass(frozen=True)
class Metric:
    """A function of a `Tally` giving (R,) values, which way is better, one line on it, and what it can be at all."""

    function: Callable[[Tally], Floats]
    higher_is_better: bool
    description: str
    bounds: tuple[float, float] = (0.0, 1.0)


def _recall_at_review(percent: float) -> Metric:
    return Metric(
        lambda t: t.reviewed(percent / 100)[1] / t.positives,
        True,
        f"share of all positives found in the top {percent:g} % of rows",
    )


def _precision_at_review(percent: float) -> Metric:
    return Metric(
        lambda t: t.reviewed(percent / 100)[1] / t.reviewed(percent / 100)[0],
        True,
        f"share of positives among the top {percent:g} % of rows",
    )


def _recall_at_fpr(percent: float) -> Metric:
    def recall(t: Tally) -> Floats:
        allowed = t.fp <= percent / 100 * t.negatives + SLACK
        best: Floats = np.max(t.tp, axis=0, initial=0, where=allowed)
        return best / t.positives

    return Metric(recall, True, f"highest recall that flags at most {percent:g} % of negatives")


def _ks(t: Tally) -> Floats:
    gaps = np.abs(t.tp / t.positives - t.fp / t.negatives)
    largest: Floats = np.max(gaps, axis=0)
    return largest


def _ece(t: Tally) -> Floats:
    """Sum |Σ (y - score)| over bins of equal mass, per row (Nixon et al. 2019; Roelofs et al. 2022).

    At a prevalence of 0.2 % bins of equal width would put nearly every row into the first one.
    The ends of bins move with the resample.
    """
    total: Floats = np.sum(np.abs(t.bin_errors(ECE_BINS)), axis=0)
    return total / t.size


def _f1(t: Tally) -> Floats:
    tp, fp, fn, _ = t.confusion
    return ratio(2 * tp, 2 * tp + fp + fn)


def _mcc(t: Tally) -> Floats:
    tp, fp, fn, tn = t.confusion
    return ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _balanced_accuracy(t: Tally) -> Floats:
    tp, _, _, tn = t.confusion
    return (tp / t.positives + tn / t.negatives) / 2


def _precision(t: Tally) -> Floats:
    tp, fp, _, _ = t.confusion
    return ratio(tp, tp + fp)


def _word(percent: float) -> str:
    return f"{percent:g}".replace(".", "_")


REVIEWS = (0.1, 0.5, 1, 5)  # percent of rows
RATES = (1, 5)  # percent of negatives

METRICS: dict[str, Metric] = {
    "average_precision": Metric(
        lambda t: t.curve.average_precision, True, "area under precision over recall, as a step sum"
    ),
    "roc_auc": Metric(lambda t: t.roc_area, True, "chance that a positive outranks a negative, ties half"),
    **{f"recall_at_{_word(q)}pct_review": _recall_at_review(q) for q in REVIEWS},
    **{f"precision_at_{_word(q)}pct_review": _precision_at_review(q) for q in REVIEWS},
    **{f"recall_at_{_word(x)}pct_fpr": _recall_at_fpr(x) for x in RATES},
    "ks": Metric(_ks, True, "largest gap between true and false positive rate (Kolmogorov and Smirnov)"),
    "gini": Metric(lambda t: 2 * t.roc_area - 1, True, "2 ROC-AUC - 1", (-1.0, 1.0)),
    "brier": Metric(lambda t: t.mean_losses[0], False, "mean squared error of the probability"),
    "log_loss": Metric(
        lambda t: t.mean_losses[1], False, "mean negative log-likelihood, in nats", (0.0, inf)
    ),
    "ece": Metric(_ece, False, f"expected calibration error, {ECE_BINS} bins of equal mass"),
    "f1": Metric(_f1, True, "F1 at the validation threshold"),
    "mcc": Metric(_mcc, True, "Matthews correlation at the validation threshold", (-1.0, 1.0)),
    "balanced_accuracy": Metric(_balanced_accuracy, True, "mean recall of the two classes at the threshold"),
    "precision": Metric(_precision, True, "precision at the validation threshold"),
    "recall": Metric(lambda t: t.confusion[0] / t.positives, True, "recall at the validation threshold"),
}
