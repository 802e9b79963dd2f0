"""Rows ranked by score once, and their counts in any number of resamples at once.

A resample of the rows is a weight for each row. Rank metrics see the rows only through the
counts at the ends of blocks: rows of equal score share a block, and neighbouring blocks without a
positive are merged, since no rank metric can tell their rows apart. So at most 2 P + 1 blocks are
left of n rows with P positives. `Tally` counts the weights, each count when a metric first asks for it.

Of n x R weights that is all the time it takes. So they stay bytes, resamples of a row side by side, and are
summed over pages of 16 ranked rows, once; counts at any place need the sums of pages and a few rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from bench.stats.sums import PAGE, Array, Floats, Places, RunningSums, pick, run_down, running

Value = TypeVar("Value")

TINY = np.finfo(np.float64).tiny
SLACK = 1e-9  # 0.07 * 100 is a little above 7
CACHED = 1 << 17  # values worked on at once: as floats 1 MiB
WITHIN = np.arange(PAGE)[:, None, None]


class lazy(Generic[Value]):  # noqa: N801  (a decorator, written as `property` is)
    """An attribute computed when first asked for, and kept.

    Up to Python 3.11 `functools.cached_property` holds a lock that all instances share, so that only one of
    several threads would be counting.
    """

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type) -> Value:
        value = self.function(instance)
        instance.__dict__[self.function.__name__] = value
        return value


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of falling score, and where that order may be cut.

    `cuts`, `ties`, `starts` and `ends` count leading rows, from 0 to n: `ties` (T,) after every group of
    equal scores, `cuts` (M,) after every block, M ≤ 2 P + 2, the last two before and after each group
    that holds a positive, (G,).
    """

    order: Places  # (n,) row numbers, most suspect first
    score: Floats  # (n,) in that order
    hits: Places  # (P,) places of the positives in that order
    ties: Places
    cuts: Places
    starts: Places
    ends: Places
    flagged: int | None  # how many leading rows reach the threshold

    def leading(self, rows: Places | int) -> Places:
        """Return how many positives are among the leading `rows`."""
        return np.searchsorted(self.hits, rows)

    def positives_by_group(self, weights: Array) -> tuple[Floats, Floats]:
        """Return the weight of the positives in each group of `starts`, and up to its end, each (G, R).

        `weights` (P, R) are those of the positives in order.
        """
        groups = weights.astype(np.float64)
        if len(self.starts) < len(weights):
            groups = np.add.reduceat(groups, self.leading(self.starts), axis=0)
        upto = groups.copy()
        run_down(upto)
        return groups, upto

    @lazy
    def losses(self) -> Floats:
        """Return y - score, its square, and the negative log-likelihood of each row in order, (3, n)."""
        eps = np.finfo(np.float64).eps  # as scikit-learn clips
        error, truth = -self.score, 1 - self.score
        error[self.hits] += 1
        truth[self.hits] = self.score[self.hits]
        return np.stack((error, error**2, -np.log(np.clip(truth, eps, 1 - eps))))


def rank(y: Array, score: Array, threshold: float | None = None) -> Ranking:
    """Rank rows by score, and find the blocks; raises ValueError as `measure` does."""
    positive, score = _checked(y, score)
    if threshold is not None and np.isnan(threshold):
        raise ValueError("The threshold is NaN; expected a number, or None for no threshold.")
    order = np.argsort(-score)
    ranked, hits = score[order], np.flatnonzero(positive[order])
    ties = np.concatenate(([0], np.flatnonzero(ranked[1:] != ranked[:-1]) + 1, [len(ranked)]))
    group = np.unique(np.searchsorted(ties, hits, side="right"))
    starts, ends = ties[group - 1], ties[group]
    return Ranking(
        order=order,
        score=ranked,
        hits=hits,
        ties=ties,
        cuts=np.unique(np.concatenate(([0], starts, ends, [len(ranked)]))),
        starts=starts,
        ends=ends,
        flagged=None if threshold is None else int(np.count_nonzero(ranked >= threshold)),
    )


def _checked(y: Array, score: Array) -> tuple[npt.NDArray[np.bool_], Floats]:
    y, score = np.asarray(y), np.asarray(score, np.float64)
    if y.ndim != 1 or y.shape != score.shape:
        raise ValueError(f"Labels of shape {y.shape} and scores of shape {score.shape}: expected (n,) both.")
    if not np.isfinite(score).all():
        raise NotFinite(not_finite(score))
    positive = y == 1
    if not (positive | (y == 0)).all():
        raise ValueError("Labels must be 0 or 1.")
    if positive.all() or not positive.any():
        raise ValueError(f"Both classes are needed; {int(positive.sum())} of {len(y)} rows are positive.")
    if score.min() < 0 or score.max() > 1:
        raise ValueError(
            f"Scores must be probabilities in [0, 1]; found {score.min():.6g} to {score.max():.6g}."
        )
    return positive, score


class NotFinite(ValueError):
    """Scores of which some are NaN or infinite: what makes them so is mended in the data or the arm, not by a retry."""


def not_finite(score: Array) -> str:
    """Return the message for scores of which some are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(score)))
    return f"Scores must be finite; {bad} of {len(score)} are NaN or infinite."


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts at each group of equal scores that holds a positive, in R resamples: each (G, R).

    The areas need no more: between two groups no positive is found.
    """

    in_group: Floats  # positives in the group
    tp: Floats  # positives up to its end
    before: Floats  # negatives before the group
    after: Floats  # negatives up to its end

    def roc_area(self, negatives: Floats) -> Floats:
        """Return the ROC-AUC (R,), with so many negatives (R,) in all."""
        lost = np.einsum("gr,gr->r", self.in_group, self.before + self.after)
        area: Floats = 1 - lost / (2 * self.tp[-1] * negatives)
        return area

    @property
    def average_precision(self) -> Floats:
        """The average precision, (R,)."""
        precision = self.tp / np.maximum(self.tp + self.after, TINY)  # where no row is, none is found
        area: Floats = np.einsum("gr,gr->r", self.in_group, precision) / self.tp[-1]
        return area


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over R weightings of ranked rows, each made when first asked for.

    `weights` (n, R) are in the order in which the rows came; M counts the cuts.
    """

    ranking: Ranking
    weights: Array

    @lazy
    def alerts(self) -> Floats:
        """Rows before each cut, (M, R), from 0 to n."""
        return self.at(self.ranking.cuts)

    @lazy
    def _hits(self) -> Floats:  # (P + 1, R) weight of the leading positives
        hits = np.zeros((len(self.ranking.hits) + 1, self.weights.shape[1]))
        hits[1:] = self.weights.take(self.ranking.order[self.ranking.hits], axis=0)
        run_down(hits)
        return hits

    @lazy
    def tp(self) -> Floats:
        """Positives before each cut, (M, R)."""
        return self._hits.take(self.ranking.leading(self.ranking.cuts), axis=0)

    @lazy
    def size(self) -> Floats:
        """Rows in each resample, (R,)."""
        size: Floats = self._counts.before[-1]
        return size

    @lazy
    def positives(self) -> Floats:
        """Positives in each resample, (R,)."""
        positives: Floats = self.curve.tp[-1]
        return positives

    @lazy
    def negatives(self) -> Floats:
        """Negatives in each resample, (R,)."""
        return self.size - self.positives

    @lazy
    def fp(self) -> Floats:
        """Negatives before each cut, (M, R)."""
        return self.alerts - self.tp

    @lazy
    def curve(self) -> Curve:
        """Numbers at the groups of ties that hold a positive."""
        starts, ends, hits = self.ranking.starts, self.ranking.ends, self.ranking.hits
        in_group, tp = self.ranking.positives_by_group(self.weights.take(self.ranking.order[hits], axis=0))
        before = after = self.at(starts) - (tp - in_group)
        if len(hits) < np.sum(ends - starts):  # some group has negatives too
            after = self.at(ends) - tp
        return Curve(in_group, tp, before, after)

    @lazy
    def roc_area(self) -> Floats:
        """ROC-AUC, (R,)."""
        return self.curve.roc_area(self.negatives)

    @lazy
    def confusion(self) -> tuple[Floats, Floats, Floats, Floats]:
        """TP, FP, FN, TN at the threshold, each (R,); NaN without one."""
        flagged = self.ranking.flagged
        if flagged is None:
            nothing = np.full(self.weights.shape[1], np.nan)
            return nothing, nothing, nothing, nothing
        tp = self._hits[self.ranking.leading(flagged)]
        fp = self.at(np.array([flagged]))[0] - tp
        return tp, fp, self.positives - tp, self.negatives - fp

    @lazy
    def mean_losses(self) -> Floats:
        """Mean squared error and mean negative log-likelihood, (2, R)."""
        return self._sums[1] / self.size

    @lazy
    def _reviews(self) -> dict[float, tuple[Floats, Floats]]:
        return {}

    def reviewed(self, share: float) -> tuple[Floats, Floats]:
        """Return how many rows (R,) a review of `share` looks at, and the positives it expects to find.

        A cut within a group of ties, taken in random order, is expected to find its part of them.
        """
        if share not in self._reviews:
            rows = np.ceil(share * self.size - SLACK)
            after = np.count_nonzero(self.alerts < rows, axis=0)
            after = np.clip(after, 1, len(self.alerts) - 1)
            start, tp = pick(self.alerts, after - 1), pick(self.tp, after - 1)
            part = ratio(rows - start, pick(self.alerts, after) - start)
            self._reviews[share] = rows, tp + part * (pick(self.tp, after) - tp)
        return self._reviews[share]

    def bin_errors(self, bins: int) -> Floats:
        """Return Σ (y - score) over each of `bins` bins of equal weight along the ranking, (bins, R).

        A row, or a group of ties, on the end of a bin is shared out in proportion.
        """
        ends = self.size * np.arange(1, bins)[:, None] / bins
        group = np.searchsorted(self.ranking.ties, self._reach(ends), side="right")
        first, last = self.ranking.ties[group - 1], self.ranking.ties[group]
        before, ahead = self._own(first)
        behind, done = self._own(last)
        inner = ahead + ratio(ends - before, behind - before) * (done - ahead)
        errors: Floats = np.diff(inner, axis=0, prepend=0, append=self._sums[0].before[-1:])
        return errors

    def _reach(self, total: Floats) -> Places:
        """Return the first place (T, R) with which the weight is at least `total` (T, R)."""
        page = self._counts.reach(total)
        rest = total - self._counts.at(page)
        within = self._pick(page * PAGE + WITHIN).astype(self._narrow)
        run_down(within.reshape(PAGE, -1))
        step: Places = np.count_nonzero(within < rest, axis=0)
        return page * PAGE + step

    def _own(self, rows: Places) -> tuple[Floats, Floats]:
        """Return the weight of as many leading `rows` (T, R) in each resample, and Σ (y - score)."""
        page = rows // PAGE
        places = page * PAGE + WITHIN
        weights = self._pick(places) * (places < rows)
        errors = weights * self.ranking.losses[0].take(places, mode="clip")
        weight: Floats = self._counts.at(page) + np.sum(weights, axis=0)
        return weight, self._sums[0].at(page) + np.sum(errors, axis=0)

    def _pick(self, places: Places) -> Array:
        return pick(self.weights, self.ranking.order.take(places, mode="clip"))

    def at(self, rows: Places) -> Floats:
        """Return the weight (T, R) of the leading `rows` (T,)."""
        page, index = np.unique(rows // PAGE, return_inverse=True)
        places = self.ranking.order.take(page * PAGE + np.arange(PAGE - 1)[:, None], mode="clip")
        within = np.zeros((PAGE, len(page), self.weights.shape[1]), self._narrow)
        within[1:] = self.weights.take(places, axis=0)
        run_down(within.reshape(PAGE, -1))
        return self._counts.at(page)[index] + within[rows % PAGE, index]

    @lazy
    def _counts(self) -> RunningSums:
        """Weight of the pages, run up."""
        counts = np.empty((len(self._pages), self.weights.shape[1]), self._narrow)
        for part in self._parts(4 * CACHED):
            # (PAGE, pages, R): sums over the first axis run through long stretches of memory
            weights = self.weights.take(self._pages[part].T, axis=0)
            np.add.reduce(weights, axis=0, dtype=counts.dtype, out=counts[part])
        surplus = self._pages.size - len(self.weights)
        counts[-1] -= surplus * self.weights[self.ranking.order[-1]].astype(counts.dtype)
        return running(counts)

    @lazy
    def _sums(self) -> tuple[RunningSums, Floats]:
        """Σ (y - score) over the pages, run up, and the sums of the two other losses, (2, R)."""
        columns = self.weights.shape[1]
        losses = np.pad(self.ranking.losses, ((0, 0), (0, self._pages.size - len(self.weights))))
        losses = losses.reshape(3, -1, 1, PAGE)
        errors, totals = np.empty((len(self._pages), columns)), np.zeros((2, columns))
        for part in self._parts(CACHED):
            weights = self.weights.take(self._pages[part], axis=0).astype(np.float64)
            # One small product a page: BLAS gives larger ones to threads of its own, which get in our way.
            sums = (losses[:, part] @ weights)[:, :, 0]
            errors[part] = sums[0]
            totals += np.sum(sums[1:], axis=1)
        return running(errors), totals

    @lazy
    def _pages(self) -> Places:
        """Row numbers by page, (pages, PAGE), the last page filled up with the last row's."""
        order = self.ranking.order
        return np.pad(order, (0, -len(order) % PAGE), mode="edge").reshape(-1, PAGE)

    def _parts(self, values: int) -> list[slice]:
        """Share the pages out into parts with about so many weights."""
        step = max(1, values // (PAGE * self.weights.shape[1]))
        return [slice(start, start + step) for start in range(0, len(self._pages), step)]

    @lazy
    def _narrow(self) -> np.dtype[Any]:
        """Return the type in which weights of a page's rows are summed."""
        if self.weights.dtype.kind not in "bui":
            return np.dtype(np.float64)
        return np.min_scalar_type(PAGE * int(self.weights.max()))


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, with 0 / 0 = 0; NaN stays NaN."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
