"""Rows ranked by score once, and their counts in any number of resamples at once.

A resample of the rows is a weight for each row. Rank metrics see the rows only through the
counts at the ends of blocks: rows of equal score share a block, and neighbouring blocks without a
positive are merged, since no rank metric can tell their rows apart. So at most 2 P + 1 blocks are
left of n rows with P positives. `Tally` sums the weights, each sum when a metric first asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

SLACK = 1e-9  # 0.07 * 100 is a little above 7
STRIDE = 64  # rows to a block of `RunningSums`


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows in the order of falling score, and where that order may be cut.

    `cuts` and `ties` count leading rows, from 0 to n: `ties` (T,) after every group of equal
    scores, `cuts` (M,) after every block, M ≤ 2 P + 2.
    """

    order: Places  # (n,) row numbers, most suspect first
    positive: npt.NDArray[np.bool_]  # (n,) in that order, as are the next two
    error: Floats  # (n,) y - score
    truth: Floats  # (n,) probability given to the label that came true
    leading: Places  # (n + 1,) positives among the leading rows
    ties: Places
    cuts: Places
    flagged: int | None  # how many leading rows reach the threshold


def rank(y: Array, score: Array, threshold: float | None = None) -> Ranking:
    """Rank rows by score, and find the blocks; raises ValueError as `measure` does."""
    positive, score = _checked(y, score)
    if threshold is not None and np.isnan(threshold):
        raise ValueError("The threshold is NaN; expected a number, or None for no threshold.")
    order = np.argsort(-score, kind="stable")
    positive, ranked = positive[order], score[order]
    ties = np.concatenate(([0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]))
    leading = np.concatenate(([0], np.cumsum(positive)))
    bare = np.diff(leading[ties]) == 0  # groups without a positive
    inside = np.concatenate(([False], bare[1:] & bare[:-1], [False]))  # between two such groups
    return Ranking(
        order=order,
        positive=positive,
        error=positive - ranked,
        truth=np.where(positive, ranked, 1 - ranked),
        leading=leading,
        ties=ties,
        cuts=ties[~inside],
        flagged=None if threshold is None else int(np.count_nonzero(ranked >= threshold)),
    )


def _checked(y: Array, score: Array) -> tuple[npt.NDArray[np.bool_], Floats]:
    y, score = np.asarray(y), np.asarray(score, np.float64)
    if y.ndim != 1 or y.shape != score.shape:
        raise ValueError(f"Labels of shape {y.shape} and scores of shape {score.shape}: expected (n,) both.")
    if not np.isfinite(score).all():
        raise ValueError(not_finite(score))
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


def not_finite(score: Array) -> str:
    """Return the message for scores of which some are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(score)))
    return f"Scores must be finite; {bad} of {len(score)} are NaN or infinite."


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums over R weightings of ranked rows, each made when first asked for.

    `weights` (R, n) are in the order of the ranking; M counts the cuts.
    """

    ranking: Ranking
    weights: Floats

    @cached_property
    def alerts(self) -> Floats:
        """Rows before each cut, (R, M), from 0 to n."""
        return _running(np.add.reduceat(self.weights, self.ranking.cuts[:-1], axis=1))

    @cached_property
    def _hits(self) -> Floats:  # (R, P + 1) weight of the leading positives
        return _running(self.weights[:, self.ranking.positive])

    @cached_property
    def tp(self) -> Floats:
        """Positives before each cut, (R, M)."""
        return self._hits.take(self.ranking.leading[self.ranking.cuts], axis=1)

    @cached_property
    def size(self) -> Floats:
        """Rows in each resample, (R,)."""
        return self.alerts[:, -1]

    @cached_property
    def positives(self) -> Floats:
        """Positives in each resample, (R,)."""
        return self._hits[:, -1]

    @cached_property
    def negatives(self) -> Floats:
        """Negatives in each resample, (R,)."""
        return self.size - self.positives

    @cached_property
    def fp(self) -> Floats:
        """Negatives before each cut, (R, M)."""
        return self.alerts - self.tp

    @cached_property
    def confusion(self) -> tuple[Floats, Floats, Floats, Floats]:
        """TP, FP, FN, TN at the threshold, each (R,); NaN without one."""
        flagged = self.ranking.flagged
        if flagged is None:
            nothing = np.full(len(self.weights), np.nan)
            return nothing, nothing, nothing, nothing
        tp = self._hits[:, self.ranking.leading[flagged]]
        fp = np.sum(self.weights[:, :flagged], axis=1) - tp
        return tp, fp, self.positives - tp, self.negatives - fp

    def mean(self, loss: Floats) -> Floats:
        """Return the weighted mean (R,) of a per-row loss (n,) given in the order of the ranking."""
        return (self.weights @ loss) / self.size

    def reviewed(self, share: float) -> tuple[Floats, Floats]:
        """Return how many rows (R,) a review of `share` looks at, and the positives it expects to find."""
        rows = np.ceil(share * self.size - SLACK)
        return rows, _interpolate(rows[:, None], self.alerts, self.tp)[:, 0]

    def bin_errors(self, bins: int) -> Floats:
        """Return Σ (y - score) over each of `bins` bins of equal weight along the ranking, (R, bins).

        A row, or a group of ties, on the end of a bin is shared out in proportion.
        """
        rows, errors = RunningSums(self.weights), RunningSums(self.weights * self.ranking.error)
        ends = self.size[:, None] * np.arange(bins + 1) / bins
        group = np.searchsorted(self.ranking.ties, rows.reach(ends), side="right")
        first, last = self.ranking.ties[group - 1], self.ranking.ties[group]
        before, ahead = rows.at(first), errors.at(first)
        share = ratio(ends - before, rows.at(last) - before)
        return np.diff(ahead + share * (errors.at(last) - ahead), axis=1)


@dataclass(frozen=True, eq=False)
class RunningSums:
    """Running sums of values (R, n), found where they are asked for.

    The sums of blocks lead to the block, its rows to the place. Summing all rows one after the other
    (`np.cumsum`) takes six times as long.
    """

    values: Floats

    @cached_property
    def _blocks(self) -> Floats:  # (R, blocks + 1) sum before each block
        starts = np.arange(0, self.values.shape[1], STRIDE)
        return _running(np.add.reduceat(self.values, starts, axis=1))

    def _within(self, block: Places) -> Floats:
        """Return the running sums over the rows of blocks (R, T): (R, T, STRIDE), from the first row on."""
        places = block[..., None] * STRIDE + np.arange(STRIDE)
        replicate = np.arange(len(self.values))[:, None]
        inside = places < self.values.shape[1]
        rows = self.values[replicate[..., None], np.where(inside, places, 0)] * inside
        before: Floats = self._blocks[replicate, block]
        sums: Floats = before[..., None] + np.cumsum(rows, axis=-1)
        return sums

    def at(self, rows: Places) -> Floats:
        """Return the sum over the first `rows` (R, T) rows, (R, T)."""
        block, rest = np.divmod(np.maximum(rows - 1, 0), STRIDE)
        found = np.take_along_axis(self._within(block), rest[..., None], axis=-1)[..., 0]
        return np.where(rows > 0, found, 0)

    def reach(self, total: Floats) -> Places:
        """Return the first place (R, T) whose running sum is at least `total` (R, T)."""
        ends = self._blocks[:, None, 1:-1]
        block: Places = np.sum(ends < total[..., None], axis=-1)
        place: Places = block * STRIDE + np.sum(self._within(block) < total[..., None], axis=-1)
        last = self.values.shape[1] - 1
        return place.clip(max=last)


def _running(values: Floats) -> Floats:
    """Return running sums along the last axis, with a 0 in front: (R, n) to (R, n + 1)."""
    out = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out


def _interpolate(at: Floats, x: Floats, y: Floats) -> Floats:
    """Interpolate running sums y over running counts x, both (R, M), at counts (R, T).

    A cut within a group of ties, taken in random order, is expected to find just this.
    """
    return np.stack([np.interp(*row) for row in zip(at, x, y, strict=True)])


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, with 0 / 0 = 0; NaN stays NaN."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
