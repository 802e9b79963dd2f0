"""AllKNN and SMOTEENN as imbalanced-learn has them, row for row, without most of their searching.

Edited nearest neighbours drops a row if one of its k nearest neighbours is of the other class. For most
rows that can be ruled out cheaply: a lower bound on the distance to the other class, and k rows of its
own class that are certainly nearer. Both come from float32 matrix products, with a margin that covers
their rounding. The rest are looked up exactly in float64, and where that leaves two rows of different
classes within rounding of a tie, imbalanced-learn's own index decides, asked for that row at the place
in a block of rows where imbalanced-learn would have asked for it.

The other class is covered by segments: each of its rows is a segment of no length, and a row that SMOTE
made lies on the segment between the two rows it was made from. Measured times: `results/LOG.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import sklearn
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import SMOTE
from imblearn.under_sampling import AllKNN, EditedNearestNeighbours
from numpy.typing import NDArray
from sklearn.neighbors import KDTree, NearestNeighbors
from threadpoolctl import threadpool_info, threadpool_limits

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.generic]  # of any type: a table's own are int8
_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Float = TypeVar("_Float", np.float32, np.float64)

_CELL = 256  # rows in whose company near rows of the same class are looked for first, and how many at a time
WIDER = (2**12, 2**15, 2**62)  # and in what widths then, the last being all
TILE = 4096  # rows to which distances are held at a time
_BLOCK = 2**20  # distances held at a time
FEW_SEGMENTS = 10  # bounds are tried where there are so many rows to a segment that covers the other class
_TINY = 1e-30  # more than float32 loses of a small square at its lower end
_LARGEST = 1e15  # no square of a larger number is looked at in float32


class ProvingENN(EditedNearestNeighbours):  # type: ignore[misc]  # imbalanced-learn ships no types
    """EditedNearestNeighbours that keeps the same rows and searches fewer.

    `smote` is the sampler that made some of the rows, where one did.
    """

    smote: DrawingSMOTE | None = None

    def _fit_resample(self, X: Singles, y: Labels) -> tuple[Singles, Labels]:
        if not _provable(self, X, y):
            return super()._fit_resample(X, y)  # type: ignore[no-any-return]  # as above
        self._validate_estimator()
        k, targets, rows = int(self.n_neighbors), list(self.sampling_strategy_), np.ascontiguousarray(X)
        sure = sure_to_stay(rows, y, k, targets, self.smote)
        kept = np.ones(len(y), dtype=bool)
        for label in targets:
            kept[y == label] = _stay(rows, y, label, k, sure, self.nn_)
        self.sample_indices_ = np.concatenate([np.flatnonzero((y == c) & kept) for c in np.unique(y)])
        return X[self.sample_indices_], y[self.sample_indices_]


class ProvingAllKNN(AllKNN):  # type: ignore[misc]  # imbalanced-learn ships no types
    """AllKNN that keeps the same rows and searches fewer."""

    enn_: Any

    def _validate_estimator(self) -> None:
        super()._validate_estimator()
        self.enn_ = ProvingENN(**self.enn_.get_params(deep=False))


class ProvingSMOTEENN(SMOTEENN):  # type: ignore[misc]  # imbalanced-learn ships no types
    """SMOTEENN that keeps the same rows and searches fewer."""

    smote_: Any
    enn_: Any

    def _validate_estimator(self) -> None:
        super()._validate_estimator()
        self.smote_ = DrawingSMOTE(**self.smote_.get_params(deep=False))
        self.enn_ = ProvingENN(**self.enn_.get_params(deep=False))
        self.enn_.smote = self.smote_


class DrawingSMOTE(SMOTE):  # type: ignore[misc]  # imbalanced-learn ships no types
    """SMOTE that remembers in `drawn` the label it made rows of, and the two ends of each (n, 2)."""

    drawn: tuple[object, Ids] | None = None

    def _generate_samples(
        self,
        X: Singles,
        nn_data: Singles,
        nn_num: Ids,
        rows: Ids,
        cols: Ids,
        steps: Doubles,
        y_type: object = None,
        y: Labels | None = None,
    ) -> Singles:
        self.drawn = y_type, np.stack([rows, nn_num[rows, cols]], axis=1)
        drawn: Singles = super()._generate_samples(X, nn_data, nn_num, rows, cols, steps, y_type, y)
        return drawn


def _provable(sampler: EditedNearestNeighbours, X: object, y: Labels) -> bool:
    """Return whether this module covers such a table and settings; else imbalanced-learn's own code runs."""
    return (
        isinstance(X, np.ndarray)
        and X.dtype == np.float32
        and isinstance(sampler.n_neighbors, int | np.integer)
        and sampler.kind_sel == "all"
        and len(np.unique(y)) == 2
        and bool(sklearn.get_config()["enable_cython_pairwise_dist"])
    )


def sure_to_stay(
    X: Singles, y: Labels, k: int, targets: Iterable[object], smote: DrawingSMOTE | None = None
) -> Mask:
    """Return which rows (n,) surely stay: k rows of their class are nearer than any row of the other.

    Rows of a class that is not a target count as not sure.
    """
    sure = np.zeros(len(y), dtype=bool)
    drawn = None if smote is None else smote.drawn
    labels, counts = np.unique(y, return_counts=True)
    few = labels[np.argmin(counts)] if drawn is None else drawn[0]
    small, large = X[y == few], X[y != few]
    segments = _segments(small, None if drawn is None else drawn[1])
    if FEW_SEGMENTS * len(segments.start) > len(y) or len(y) < _CELL or np.abs(X).max() > _LARGEST:
        return sure
    gap_large, gap_small = _gaps(large, segments)
    for label in targets:
        own, gap = (small, gap_small[segments.of_row]) if label == few else (large, gap_large)
        sure[y == label] = _nearer(own, gap, k + 1)
    return sure


@dataclass(frozen=True)
class _Segments:
    """S segments that cover a class: `start` and `step` (S, d), every row within `radius` of its own."""

    start: Singles
    step: Singles
    radius: float
    of_row: Ids


def _segments(rows: Singles, ends: Ids | None) -> _Segments:
    """Cover `rows`: the last ones lie between the rows that `ends` names, the others are points."""
    points = np.repeat(np.arange(len(rows) - (0 if ends is None else len(ends)))[:, None], 2, axis=1)
    pairs, of_row = np.unique(
        points if ends is None else np.concatenate([points, ends]), axis=0, return_inverse=True
    )
    of_row = of_row.reshape(-1)
    start, step = rows[pairs[:, 0]], rows[pairs[:, 1]] - rows[pairs[:, 0]]
    step[_dots(step, step) < _TINY] = 0
    radius = 0.0
    for i in range(0, len(rows), _BLOCK // 64):
        own = of_row[i : i + _BLOCK // 64]
        away, along = rows[i : i + _BLOCK // 64] - start[own].astype(np.float64), step[own]
        t = np.clip(_dots(away, along) * _inverse(_dots(along, along)), 0, 1)
        radius = max(radius, float(np.linalg.norm(away - t[:, None] * along, axis=1).max()))
    return _Segments(start, step, radius, of_row)


def _inverse(x: NDArray[_Float]) -> NDArray[_Float]:
    inverse: NDArray[_Float] = np.divide(1, x, out=np.zeros_like(x), where=x > 0)
    return inverse


def _margin(d: int) -> float:
    """Return how much of |x|² + |c|² a float32 distance² may be off by, with room to spare.

    Summing d + 2 products is off by (d + 2) 2⁻²⁴ of their absolute sum at worst; a distance to a segment adds
    up to 4 |x|² + 8 |c|² of them. Half of this would do, and what is left covers float64's rounding.
    """
    return (d + 16) * 2.0**-20


def _left(rows: Singles, norms: Doubles) -> Singles:
    """Return (n, d + 2) such that `_left(x) @ _right(c).T` is |x|² − 2 x·c + |c|², the squares being given."""
    return np.hstack([rows, norms[:, None].astype(np.float32), np.ones((len(rows), 1), np.float32)])


def _right(rows: Singles, norms: Doubles) -> Singles:
    return np.hstack([-2 * rows, np.ones((len(rows), 1), np.float32), norms[:, None].astype(np.float32)])


def _dots(a: Singles | Doubles, b: Singles | Doubles) -> Doubles:
    products: Doubles = np.einsum("ij,ij->i", a, b, dtype=np.float64)
    return products


def _gaps(large: Singles, segments: _Segments) -> tuple[Singles, Singles]:
    """Return lower bounds (n,), (S,) on the squared distances of rows and segments to the nearest of the other."""
    margin = _margin(large.shape[1])
    rows = _left(large, (1 - margin) * _dots(large, large) - _TINY)
    of_large, of_segment = np.full(len(large), np.inf, dtype=np.float32), []
    for i in range(0, len(segments.start), TILE):
        squared = _squared(rows, segments.start[i : i + TILE], segments.step[i : i + TILE], margin)
        of_large = np.minimum(of_large, np.concatenate([block[0] for block in squared]))
        of_segment.append(np.min([block[1] for block in squared], axis=0))
    return _shrunk(of_large, segments.radius), _shrunk(np.concatenate(of_segment), segments.radius)


def _squared(rows: Singles, start: Singles, step: Singles, margin: float) -> list[tuple[Singles, Singles]]:
    """Return of each block of rows the least squared distances of its rows and to each of S segments."""
    ends = (1 - margin) * _dots(start, start) - margin * _dots(start + step, start + step)
    to_start = np.ascontiguousarray(_right(start, ends).T)
    along = np.zeros_like(to_start)
    along[:-2] = step.T
    along[-1] = -_dots(start, step)
    length = _dots(step, step).astype(np.float32)
    inverse = _inverse(length)
    size = max(1, _BLOCK // len(start))

    def of_block(i: int) -> tuple[Singles, Singles]:
        distance = rows[i : i + size] @ to_start  # (block, S): |x − start|²
        if length.any():  # less t (2 (x − start)·step − t |step|²), with the t in [0, 1] that is nearest
            shadow = rows[i : i + size] @ along
            t = shadow * inverse
            np.clip(t, 0, 1, out=t)
            shadow *= 2
            shadow -= t * length
            shadow *= t
            distance -= shadow
        return distance.min(axis=1), distance.min(axis=0)

    return _in_threads(of_block, range(0, len(rows), size))


def _shrunk(squared: Singles, radius: float) -> Singles:
    """Return the squares of the distances less the radius and less what the subtraction may be off by."""
    distance = np.sqrt(np.maximum(squared, 0, dtype=np.float64)) - radius * (1 + 1e-6)
    return ((1 - 1e-6) * np.maximum(distance, 0) ** 2).astype(np.float32)


def _nearer(own: Singles, gap: Singles, need: int) -> Mask:
    """Return which rows have `need` rows, themselves among them, within their gap.

    They are looked for among few near rows, then among more, as long as most of all rows are sure by then.
    """
    sure = np.zeros(len(own), dtype=bool)
    if len(own) < _CELL:
        return sure
    order = _by_place(own)
    norms = (1 + _margin(own.shape[1])) * _dots(own, own) + _TINY
    left, right, gap = _left(own, norms)[order], _right(own, norms)[order], gap[order]
    sure_in_order = _in_cells(left, right, gap, need)
    for width in WIDER:
        _widen(left, right, gap, sure_in_order, need, width)
        if 2 * sure_in_order.sum() < len(own):
            break
    sure[order] = sure_in_order
    return sure


def _in_cells(left: Singles, right: Singles, gap: Singles, need: int) -> Mask:
    """Return the rows that have `need` rows within their gap among the rows of their cell."""

    def of_cells(cells: Ids) -> Mask:
        nearer = left[cells] @ right[cells].transpose(0, 2, 1) < gap[cells][:, :, None]
        enough: Mask = nearer.sum(axis=2, dtype=np.int16) >= need
        return enough

    sure = np.zeros(len(gap), dtype=bool)
    starts = np.append(np.arange(0, len(gap) - _CELL, _CELL), len(gap) - _CELL)  # the last may overlap
    cells = starts[:, None] + np.arange(_CELL)
    chunks = [cells[i : i + _BLOCK // _CELL**2] for i in range(0, len(cells), _BLOCK // _CELL**2)]
    for chunk, enough in zip(chunks, _in_threads(of_cells, chunks), strict=True):
        sure[chunk] |= enough
    return sure


def _widen(left: Singles, right: Singles, gap: Singles, sure: Mask, need: int, width: int) -> None:
    """Make the rows sure that have `need` rows within their gap among the `width` rows around them."""

    def of_rows(rows: Ids) -> Mask:
        start = int(rows[0]) // width * width
        count, open_ = np.zeros(len(rows), dtype=np.int64), np.arange(len(rows))
        for i in range(start, min(start + width, len(sure)), TILE):
            nearer = left[rows[open_]] @ right[i : i + TILE].T < gap[rows[open_]][:, None]
            count[open_] += nearer.sum(axis=1, dtype=np.int16)
            open_ = np.flatnonzero(count < need)
        return count >= need

    unsure = [i + np.flatnonzero(~sure[i : i + width]) for i in range(0, len(sure), width)]
    chunks = [rows[i : i + _CELL] for rows in unsure for i in range(0, len(rows), _CELL)]
    for rows, enough in zip(chunks, _in_threads(of_rows, chunks), strict=True):
        sure[rows] = enough


def _by_place(rows: Singles) -> Ids:
    """Return an order in which near rows are near: that of a tree over eight random directions."""
    d = rows.shape[1]
    if d > 8:
        rows = rows @ np.random.default_rng(0).normal(size=(d, 8)).astype(np.float32)
    return np.asarray(KDTree(rows, leaf_size=_CELL // 2).get_arrays()[1], dtype=np.int64)


def _stay(X: Singles, y: Labels, label: object, k: int, sure: Mask, index: NearestNeighbors) -> Mask:
    """Return which rows of the class edited nearest neighbours keeps."""
    own, other = X[y == label], X[y != label]
    stay: Mask = sure[y == label]
    open_ = np.flatnonzero(~stay)
    if 2 * len(open_) < len(own) and len(own) > k:
        stay[open_], decided = _decide(own[open_], own, other, k)
        open_ = open_[~decided]
    if len(open_):
        neighbours = _ask(index.fit(X), own, open_)
        stay[open_] = (y[neighbours] == label).all(axis=1)
    return stay


def _decide(rows: Singles, own: Singles, other: Singles, k: int) -> tuple[Mask, Mask]:
    """Return which rows stay, and for which that does not depend on the rounding of a distance."""
    if not len(rows):
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    near = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(own).kneighbors(rows)[0]
    gap = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(other).kneighbors(rows)[0][:, 0]
    reach = 2 * np.linalg.norm(rows.astype(np.float64), axis=1) + np.maximum(gap, near[:, k])
    rounding = (rows.shape[1] + 16) * 2.0**-49 * reach**2  # sixteen times what a float64 product is off by
    itself, last, gap = near[:, 0] ** 2, near[:, k] ** 2, gap**2
    stay = last + rounding < gap
    # The nearest of all is taken for the row itself, and does not count.
    go = (itself + rounding < gap) & (gap + rounding < last)
    return stay, stay | go


def _ask(index: NearestNeighbors, own: Singles, rows: Ids) -> Ids:
    """Return the neighbours (n, k) of some rows of `own` as the index gives them when asked for all at once.

    A tree answers row by row. A brute search multiplies blocks of rows, and among ties the last bit may
    depend on a row's place in its block; so whole blocks are asked, and enough of them for the search
    to share them out to threads as it shares out all.
    """
    if index._fit_method != "brute":
        return np.asarray(index.kneighbors(own[rows], return_distance=False)[:, 1:])
    block = int(sklearn.get_config()["pairwise_dist_chunk_size"])
    wanted = np.zeros(-(-len(own) // block), dtype=bool)
    wanted[rows // block] = True
    spare = np.flatnonzero(~wanted)
    wanted[spare[: max(0, 4 * _threads() + 2 - wanted.sum())]] = True
    asked = np.flatnonzero(np.repeat(wanted, block)[: len(own)])
    neighbours = index.kneighbors(own[asked], return_distance=False)[:, 1:]
    return np.asarray(neighbours[np.searchsorted(asked, rows)])


def _threads() -> int:
    """Return the most threads that any library here may use."""
    return max([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"], default=1)


def _in_threads(work: Callable[[_Item], _T], items: Iterable[_Item]) -> list[_T]:
    """Return `work` of each item in order. Each thread multiplies alone: small products gain nothing from more."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(work, items))
