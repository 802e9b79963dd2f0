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

import numpy as np
import numpy.typing as npt

from bench.ranking import SLACK, Array, Floats, Tally, not_finite, rank, ratio

ECE_BINS = 15
CHUNK = 1 << 19  # weights held at once, as float64: 4 MiB


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
    ranking = rank(y, score, threshold)
    if weights.ndim != 2 or weights.shape[1] != len(ranking.order):
        raise ValueError(f"Weights of shape {weights.shape} for {len(ranking.order)} rows: expected (R, n).")
    names = list(METRICS if names is None else names)
    out = {name: np.empty(len(weights)) for name in names}
    step = max(1, CHUNK // len(ranking.order))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        tally = Tally(ranking, weights[part].take(ranking.order, axis=1).astype(np.float64))
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
    ends = ranking.ties[1:]
    f1 = 2 * ranking.leading[ends] / (ends + ranking.leading[-1])
    best = int(ends[np.argmax(f1)])
    ranked = np.append(np.asarray(score, np.float64)[ranking.order], 0.0)
    lowest, below = float(ranked[best - 1]), float(ranked[best])
    middle = (lowest + below) / 2
    return middle if middle > below else lowest  # between neighbouring floats there is no middle


def row_weights(y: Array, replicates: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return bootstrap multiplicities (R, n): positives redrawn among positives, negatives likewise.

    So every resample has the prevalence of `y` (n,). A multiplicity is about Poisson(1): no byte
    overflows.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((replicates, len(y)), np.uint8)
    for label in (True, False):
        rows = np.flatnonzero(np.asarray(y).astype(bool) == label)
        if not len(rows):
            continue
        for replicate in weights:
            drawn = rng.integers(len(rows), size=len(rows), dtype=np.int32)
            replicate[rows] = np.bincount(drawn, minlength=len(rows))
    return weights


@dataclass(frozen=True)
class Metric:
    """A function of a `Tally` giving (R,) values, which way is better, and one line on it."""

    function: Callable[[Tally], Floats]
    higher_is_better: bool
    description: str


def _average_precision(t: Tally) -> Floats:
    area: Floats = np.sum(np.diff(t.tp) * ratio(t.tp[:, 1:], t.alerts[:, 1:]), axis=1)
    return area / t.positives


def _roc_auc(t: Tally) -> Floats:
    pairs: Floats = np.sum(np.diff(t.fp) * (t.tp[:, 1:] + t.tp[:, :-1]), axis=1)
    return pairs / (2 * t.positives * t.negatives)


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
        allowed = t.fp <= percent / 100 * t.negatives[:, None] + SLACK
        best: Floats = np.max(t.tp, axis=1, initial=0, where=allowed)
        return best / t.positives

    return Metric(recall, True, f"highest recall that flags at most {percent:g} % of negatives")


def _ks(t: Tally) -> Floats:
    gaps = np.abs(t.tp / t.positives[:, None] - t.fp / t.negatives[:, None])
    largest: Floats = np.max(gaps, axis=1)
    return largest


def _log_loss(t: Tally) -> Floats:
    eps = np.finfo(np.float64).eps  # as scikit-learn clips
    return t.mean(-np.log(np.clip(t.ranking.truth, eps, 1 - eps)))


def _ece(t: Tally) -> Floats:
    """Sum |Σ (y - score)| over bins of equal mass, per row (Nixon et al. 2019; Roelofs et al. 2022).

    At a prevalence of 0.2 % bins of equal width would put nearly every row into the first one.
    The ends of bins move with the resample.
    """
    total: Floats = np.sum(np.abs(t.bin_errors(ECE_BINS)), axis=1)
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
    "average_precision": Metric(_average_precision, True, "area under precision over recall, as a step sum"),
    "roc_auc": Metric(_roc_auc, True, "chance that a positive outranks a negative, ties half"),
    **{f"recall_at_{_word(q)}pct_review": _recall_at_review(q) for q in REVIEWS},
    **{f"precision_at_{_word(q)}pct_review": _precision_at_review(q) for q in REVIEWS},
    **{f"recall_at_{_word(x)}pct_fpr": _recall_at_fpr(x) for x in RATES},
    "ks": Metric(_ks, True, "largest gap between true and false positive rate (Kolmogorov and Smirnov)"),
    "gini": Metric(lambda t: 2 * _roc_auc(t) - 1, True, "2 ROC-AUC - 1"),
    "brier": Metric(lambda t: t.mean(t.ranking.error**2), False, "mean squared error of the probability"),
    "log_loss": Metric(_log_loss, False, "mean negative log-likelihood, in nats"),
    "ece": Metric(_ece, False, f"expected calibration error, {ECE_BINS} bins of equal mass"),
    "f1": Metric(_f1, True, "F1 at the validation threshold"),
    "mcc": Metric(_mcc, True, "Matthews correlation at the validation threshold"),
    "balanced_accuracy": Metric(_balanced_accuracy, True, "mean recall of the two classes at the threshold"),
    "precision": Metric(_precision, True, "precision at the validation threshold"),
    "recall": Metric(lambda t: t.confusion[0] / t.positives, True, "recall at the validation threshold"),
}
