"""What in a table may tell the label where it should not, named before anything trains; nothing is left out in silence.

A column may be an identifier, the order of the file, a copy of the label, a weight, or nearly equal to the label; the
whole file may have been resampled before it was given. Each is a suspicion in one line that says what to type. They are
looked for on all rows, since it is their owner who reads them and no method.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from bench.data.identifiers import is_numbering, is_unique
from bench.data.table import Table
from bench.data.values import Numbers, Series

SUSPECT_AUC = 0.995  # of one column: above it, the column nearly is the label
JUDGED = 20_000  # rows of which a column is judged
FEWEST = 5  # rows of each class, below which no column is judged by them
ORDERED = 20  # different values that a column in the order of the file has at least
SLIPS = 0.03  # of its steps that may go the other way
CODES, BINS = (
    20,
    50,
)  # different whole numbers that may be codes; parts of other numbers, of as many rows each
NEIGHBOURS, LOOKED_AT = 20, 300  # of positives that may lie on lines between others
STRAIGHT = 1 - 1e-7  # |cosine| of two directions that are one line
NEARLY_STRAIGHT = 1 - 1e-4  # the same of rows that were rounded
ROUNDED_TO = 3  # up to which values are taken for rounded
RESAMPLED_SHARE, RESAMPLED_TIMES = (
    0.2,
    5,
)  # of positives that look made, and how many times that of the negatives

_INDEX = re.compile(
    r"(Unnamed: ?\d+(\.\d+)*|\.\.\.\d+|index|level_\d+|_c0|rownames|__index_level_\d+__)", re.IGNORECASE
)
_SURVEYS = r"(sampl\w*|survey|instance|case|row|design)[_ .-]?(w|wt|wgt|weights?)"
_WEIGHT = re.compile(rf"(.*[_ .-])?([pfia]?weights?|[pfia]?wgt|wt|fnlwgt|{_SURVEYS})", re.IGNORECASE)


def suspicions(table: Table) -> list[str]:
    """Return, in a line each, what may tell the label of `table` where it should not; empty where nothing does."""
    rows = _sampled(table.y)
    columns = [line for name in table.X if (line := _suspicion(table, str(name), rows))]
    return [*columns, *_resampled(table)]


def _suspicion(table: Table, name: str, rows: NDArray[np.int64]) -> str | None:
    """Return what is suspicious of one column, in a line."""
    fault = _fault(table, table.X[name], rows)
    return f"{name!r} {fault}: --drop {shlex.quote(name)}" if fault else None


def _fault(table: Table, column: Series, rows: NDArray[np.int64]) -> str | None:
    name = str(column.name)
    if area := _copies(column.iloc[rows], table.y[rows]):
        return area
    if _INDEX.fullmatch(name):
        return "is named like the index of a saved table"
    if _is_ordered(column):
        return "goes with the order of the file, an identifier or a time (--time)"
    if name in table.equality.identifiers:
        return "has another value in every row, an identifier"
    if name in table.equality.nearly:
        return (
            "has another value in nearly every row, and rows are equal without it, an identifier or a time; these are "
            "on one side of every split"
        )
    if is_numbering(column):
        return "numbers nearly all rows, an identifier"
    if is_unique(column):
        return "has another value in every row, an identifier or an amount"
    if _WEIGHT.fullmatch(name) and not isinstance(column.dtype, pd.CategoricalDtype):
        return "is named like a weight of rows"
    return None


def _copies(column: Series, y: NDArray[np.int8]) -> str | None:
    """Say how a column tells the label by itself; None where it does not."""
    if min(y.sum(), (1 - y).sum()) < FEWEST:
        return None
    missing = column.isna().to_numpy()
    if (area := _area(missing.astype(np.float64), y)) > SUSPECT_AUC:
        return f"is missing where the label is one value, and only there (ROC-AUC {area:.4f})"
    area = max(_area(score, y) for score in _scores(column, y))
    if area == 1 and column.nunique() <= 2 and not missing.any():
        return "is a copy of the label"
    if area > SUSPECT_AUC:
        return f"alone tells the label (ROC-AUC {area:.4f})"
    present = ~missing
    n_rarer = min(y[present].sum(), (1 - y[present]).sum())
    if not missing.any() or n_rarer < FEWEST or present.mean() < PRESENT:
        return None
    area = max(_area(score, y[present]) for score in _scores(column[present], y[present]))
    if area <= SUSPECT_AUC:
        return None
    what = "is a copy of the label" if area == 1 and column.nunique() <= 2 else "alone tells the label"
    return f"{what} in the {present.mean():.0%} of the rows where it is not missing (ROC-AUC {area:.4f})"


PRESENT = 0.1  # of the rows, at which present values alone are judged


def _scores(column: Series, y: NDArray[np.int8]) -> Iterator[Numbers]:
    """Yield what a column says of the label: its numbers, and as codes or in bins the shares of positives."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        yield _shares(column.cat.codes.to_numpy().astype(np.int64) + 1, y)
        return
    values = column.to_numpy(np.float64)
    filled = np.where(np.isnan(values), -np.inf, values)
    yield filled
    places, different = pd.factorize(filled, sort=True)
    if len(different) <= 2:
        return
    if len(different) > CODES:
        edges = np.quantile(filled[np.isfinite(filled)], np.linspace(0, 1, BINS + 1)[1:-1])
        places = np.searchsorted(edges, filled)
    yield _shares(places.astype(np.int64), y)


def _shares(codes: NDArray[np.int64], y: NDArray[np.int8]) -> Numbers:
    """Return of each row's code the share of positives in the other half of the rows."""
    half = np.arange(len(y)) % 2  # not a row's own label, nor all others', from which its own could be told
    shares = np.empty(len(y))
    for place in (0, 1):
        given, asked = half != place, half == place
        rows = np.bincount(codes[given], minlength=codes.max() + 1)
        positives = np.bincount(codes[given], weights=y[given], minlength=codes.max() + 1)
        # A value that is in no row of the other half says nothing; one in few is drawn towards all rows' share.
        shares[asked] = ((positives + y.mean()) / (rows + 1))[codes[asked]]
    return shares


def _area(score: Numbers, y: NDArray[np.int8]) -> float:
    """Return the area under the ROC curve, of a score or of its reverse, whichever is larger."""
    n_positives = int(y.sum())
    ranks = rankdata(score)[y == 1].sum()
    area = (ranks - n_positives * (n_positives + 1) / 2) / (n_positives * (len(y) - n_positives))
    return float(max(area, 1 - area))


def _is_ordered(column: Series) -> bool:
    """Return whether a column of numbers hardly ever falls, or rises, from row to row."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    values = column.to_numpy(np.float64)
    step = np.diff(values[~np.isnan(values)])
    n_up, n_down = int((step > 0).sum()), int((step < 0).sum())
    return min(n_up, n_down) <= SLIPS * len(step) and max(n_up, n_down) >= ORDERED and _follows(values, step)


def _follows(values: Numbers, step: Numbers) -> bool:
    """Return whether values go with their rows: without a slip, or but for a few rows that lie elsewhere."""
    known = values[~np.isnan(values)]
    if len(np.unique(known)) <= ORDERED:
        return False
    if not ((step > 0).any() and (step < 0).any()):
        return True
    ranks, places = rankdata(known), np.arange(len(known))
    return abs(float(np.corrcoef(ranks, places)[0, 1])) > FOLLOWS


FOLLOWS = 0.95  # |Spearman's rank correlation| with the rows' places


def _sampled(y: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return the rows that columns are judged on: all, or an equal number of either class where that is enough."""
    if len(y) <= JUDGED:
        return np.arange(len(y))
    rng = np.random.default_rng(0)
    by_class = [rng.permutation(np.flatnonzero(y == label)) for label in (0, 1)]
    few = min(JUDGED // 2, *(len(rows) for rows in by_class))
    most = JUDGED - few
    return np.sort(np.concatenate([rows[:most] for rows in by_class]))


def _resampled(table: Table) -> list[str]:
    """Return a line where the positives look as if a sampler had made them."""
    lines = []
    if (line := _copied(table)) is not None:
        lines.append(line)
    same = table.equality
    others = [name for name in table.numeric if name not in (*same.identifiers, *same.nearly)]
    numbered = [name for name in others if _is_ordered(table.X[name]) or is_numbering(table.X[name])]
    names = [name for name in others if name not in numbered and table.X[name].notna().all()]
    made, usual = (_between_others(table, label, names) for label in (1, 0))
    if made > RESAMPLED_SHARE and made > RESAMPLED_TIMES * usual:
        lines.append(
            f"{made:.0%} of the positives lie on a straight line between others ({usual:.0%} of the negatives): the "
            "file looks over-sampled, as by SMOTE; give the table from before, since made-up rows would test"
        )
    return lines


def _copied(table: Table) -> str | None:
    """Say that positives are copies of one another where negatives are not."""
    equality = table.equality
    numbers = next(each for each in (equality.coarse, equality.without, equality.known) if each is not None)
    is_copy = np.bincount(numbers)[numbers] > 1
    made, usual = (float(is_copy[table.y == label].mean()) for label in (1, 0))
    if made > RESAMPLED_SHARE and made > RESAMPLED_TIMES * usual:
        return (
            f"{made:.0%} of the positives are copies of another row ({usual:.0%} of the negatives): the file looks "
            "over-sampled; give the table from before"
        )
    return None


def _between_others(table: Table, label: int, numeric: Sequence[str]) -> float:
    """Return the share of rows of a class that lie on a line with two of their neighbours of that class.

    Rows of three or more numbers do so by a sampler's doing, hardly ever by chance; with fewer, 0.
    """
    values = table.X.loc[table.y == label, list(numeric)].to_numpy(np.float64)
    values = values[np.random.default_rng(0).permutation(len(values))[: JUDGED // 4]]
    is_rounded = bool(values.size) and bool((values.round(ROUNDED_TO) == values).all())
    with np.errstate(over="ignore", invalid="ignore"):  # numbers too large to be squared say nothing
        spread = values.std(axis=0) if len(values) else np.zeros(len(numeric))
    values = np.unique((values / np.where(spread > 0, spread, 1))[:, spread > 0], axis=0)
    if values.shape[1] < 3 or len(values) <= NEIGHBOURS:
        return 0.0
    looked_at = values[np.random.default_rng(1).permutation(len(values))[:LOOKED_AT]]
    near = (
        NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(values).kneighbors(looked_at, return_distance=False)
    )
    direction = values[near[:, 1:]] - looked_at[:, None]  # (rows, neighbours, features)
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    cosine = np.abs(direction @ direction.transpose(0, 2, 1))
    cosine[:, np.arange(NEIGHBOURS), np.arange(NEIGHBOURS)] = 0
    straight = NEARLY_STRAIGHT if is_rounded else STRAIGHT
    return float((cosine.max(axis=(1, 2)) > straight).mean())
