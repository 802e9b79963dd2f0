"""Metrics of a scored test part: one entry of `METRICS` each, and those that an author brings.

One implementation serves the point estimate and its bootstrap: a resample of the rows is a weight
for each row; the point estimate is the one weighting by ones. The metrics here are functions of R weightings at
once (a `Tally`); one from outside is a plain function of one weighting (`bench.stats.scored.Metric`).

Conventions, for rows of which the most suspect come first:

* AP and ROC-AUC are scikit-learn's, ties included; a higher score is more suspect.
* Review at q %: the ⌈q n⌉ most suspect rows are looked at; ties at the cut are taken in random
  order, and the expected count is what is reported.
* Recall at an FPR of x: the highest recall of any threshold whose FPR is at most x.
* Threshold metrics call a row positive when score ≥ threshold; 0 / 0 is 0. Without a threshold, NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from math import inf

import numpy as np

from bench import plugins
from bench.errors import BadPlugin
from bench.plugins.guards import file_of
from bench.stats.ranking import SLACK, NotFinite, Ranking, Tally, not_finite, rank, ratio
from bench.stats.scored import COLUMNS, Metric, Scored
from bench.stats.sums import Array, Floats

ECE_BINS = 15
_HELD = 1 << 26  # bytes of weights and counts held at once
WIDTH = 2048  # resamples measured at once


def measure(scored: Scored) -> dict[str, float]:
    """Return every metric of `metrics()` of the rows scored; NaN where one is not defined, or lacks its columns.

    Raises ValueError where a score is not a probability or a class is missing.
    """
    once = np.ones((1, len(scored.y)), np.uint8)
    return {name: float(values[0]) for name, values in measure_resampled(scored, once).items()}


def measure_resampled(
    scored: Scored,
    weights: Array,
    *,
    names: Iterable[str] | None = None,
    ranking: Ranking | None = None,
    faults: dict[str, str] | None = None,
) -> dict[str, Floats]:
    """Return the metrics (all, or those in `names`) of R resamples at once, each (R,).

    `weights` (R, n) says how often each row occurs in each resample; the result is that of `measure`
    on the rows physically repeated. `ranking` is that of the rows, where it is made already; `faults` is
    given, by metric, the first reason why a metric from outside gave no number, and its file. Raises ValueError as
    `measure` does, also for a resample without rows of one class.
    """
    known = metrics()
    names = list(known if names is None else names)
    ranking = ranking or rank(scored.y, scored.score, scored.threshold)
    values = measure_ranked(ranking, weights, names=[name for name in names if name in METRICS])
    for name in names:
        if name not in METRICS:
            values[name], fault = known[name].resampled(scored, weights)
            if fault and faults is not None:
                faults.setdefault(name, f"{fault} ({file_of(known[name].measure)})")
    return {name: values[name] for name in names}


def measure_ranked(ranking: Ranking, weights: Array, *, names: Iterable[str]) -> dict[str, Floats]:
    """Return `measure_resampled` of ranked rows, for metrics of `METRICS`."""
    if weights.ndim != 2 or weights.shape[1] != len(ranking.order):
        raise ValueError(f"Weights of shape {weights.shape} for {len(ranking.order)} rows: expected (R, n).")
    tallies = {name: tally for name in names if (tally := METRICS[name].tally)}
    values = {name: np.empty(len(weights)) for name in tallies}
    step = max(1, min(WIDTH, _HELD // (len(ranking.order) + 50 * len(ranking.cuts))))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        counts = Tally(ranking, np.ascontiguousarray(weights[part].T))
        if not (counts.positives.all() and counts.negatives.all()):
            raise ValueError("A resample has rows of one class only: resample within the classes.")
        for name, tally in tallies.items():
            values[name][part] = tally(counts)
    return values


def average_precision(y: Array, score: Array) -> float:
    """Return the average precision of one scoring, equal to scikit-learn's, for any finite scores.

    The mean, over the positives, of the precision among rows scored at least as high. Made for
    early stopping: one sort of values, then P binary searches. Raises ValueError on NaN or infinity.
    """
    everyone = np.sort(score)
    if not (np.isfinite(everyone[0]) and np.isfinite(everyone[-1])):  # NaN sorts last
        raise NotFinite(not_finite(np.asarray(score)))
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


# A metric's columns in a leaderboard are NAME_mean and so on; there is one such set that is no metric's.
_TAKEN = ("difference", "difference_conditional")


def metrics() -> Mapping[str, Metric]:
    """Return every metric by name, in the order of tables: `METRICS`, then those of the user's plugin files.

    Raises BadPlugin that names the file and the fault.
    """
    return _known(plugins.key())


def needed_columns() -> list[str]:
    """Return the columns of each row that some metric needs, which scores are kept with."""
    needed = {name for metric in metrics().values() for name in metric.needs}
    return [name for name in COLUMNS if name in needed]


@lru_cache(maxsize=4)
def _known(_: plugins.Key) -> Mapping[str, Metric]:
    known, files = dict(METRICS), dict.fromkeys(METRICS, "bench")
    for plugin in plugins.modules("metrics"):
        entries = plugin.module.METRICS
        if entries is METRICS:  # imported, to be used
            continue
        if not isinstance(entries, Mapping):
            raise BadPlugin(
                f"{plugin.file}: METRICS is a {type(entries).__name__}; expected a dict of metrics by name."
            )
        for name, metric in entries.items():
            _check(name, metric, files, plugin.file)
            known[name], files[name] = metric, plugin.file
    return known


def _check(name: object, metric: object, files: Mapping[str, str], file: str) -> None:
    """Raise BadPlugin where the entry is no metric, or its name is taken or cannot be part of a column's."""
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise BadPlugin(
            f"{file}: {name!r} cannot be a metric's name: lower-case words, joined by underscores."
        )
    if name in files or name in _TAKEN:
        raise BadPlugin(
            f"{file}: the name {name!r} is taken by {files.get(name, 'bench')}; give your metric another."
        )
    if not isinstance(metric, Metric):
        raise BadPlugin(
            f"{file}: METRICS[{name!r}] is a {type(metric).__name__}; expected a bench.contract.Metric."
        )


def _tallied(
    tally: Callable[[Tally], Floats],
    higher_is_better: bool,
    description: str,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Metric:
    """Return a metric that is a function of a `Tally` giving (R,) values."""
    return Metric(partial(_by_tally, tally), higher_is_better, description, bounds, tally=tally)


def _by_tally(tally: Callable[[Tally], Floats], scored: Scored, weight: Array) -> float:
    ranking = rank(scored.y, scored.score, scored.threshold)
    return float(tally(Tally(ranking, weight[:, None]))[0])


def _recall_at_review(percent: float) -> Metric:
    return _tallied(
        lambda t: t.reviewed(percent / 100)[1] / t.positives,
        True,
        f"share of all positives found in the top {percent:g} % of rows",
    )


def _precision_at_review(percent: float) -> Metric:
    return _tallied(
        lambda t: t.reviewed(percent / 100)[1] / t.reviewed(percent / 100)[0],
        True,
        f"share of positives among the top {percent:g} % of rows",
    )


def _recall_at_fpr(percent: float) -> Metric:
    def recall(t: Tally) -> Floats:
        allowed = t.fp <= percent / 100 * t.negatives + SLACK
        best: Floats = np.max(t.tp, axis=0, initial=0, where=allowed)
        return best / t.positives

    return _tallied(recall, True, f"highest recall that flags at most {percent:g} % of negatives")


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
_RATES = (1, 5)  # percent of negatives

METRICS: dict[str, Metric] = {
    "average_precision": _tallied(
        lambda t: t.curve.average_precision, True, "area under precision over recall, as a step sum"
    ),
    "roc_auc": _tallied(lambda t: t.roc_area, True, "chance that a positive outranks a negative, ties half"),
    **{f"recall_at_{_word(q)}pct_review": _recall_at_review(q) for q in REVIEWS},
    **{f"precision_at_{_word(q)}pct_review": _precision_at_review(q) for q in REVIEWS},
    **{f"recall_at_{_word(x)}pct_fpr": _recall_at_fpr(x) for x in _RATES},
    "ks": _tallied(_ks, True, "largest gap between true and false positive rate (Kolmogorov and Smirnov)"),
    "gini": _tallied(lambda t: 2 * t.roc_area - 1, True, "2 ROC-AUC - 1", (-1.0, 1.0)),
    "brier": _tallied(lambda t: t.mean_losses[0], False, "mean squared error of the probability"),
    "log_loss": _tallied(
        lambda t: t.mean_losses[1], False, "mean negative log-likelihood, in nats", (0.0, inf)
    ),
    "ece": _tallied(_ece, False, f"expected calibration error, {ECE_BINS} bins of equal mass"),
    "f1": _tallied(_f1, True, "F1 at the validation threshold"),
    "mcc": _tallied(_mcc, True, "Matthews correlation at the validation threshold", (-1.0, 1.0)),
    "balanced_accuracy": _tallied(
        _balanced_accuracy, True, "mean recall of the two classes at the threshold"
    ),
    "precision": _tallied(_precision, True, "precision at the validation threshold"),
    "recall": _tallied(lambda t: t.confusion[0] / t.positives, True, "recall at the validation threshold"),
}
