"""Columns that tell a row from its copy and say nothing else: identifiers, and those that nearly are.

An identifier has another whole number or text in every row. A column may be one but for a few slips (a missing value, a
number given twice) or hold times to the second: then it is taken for one only where rows are equal without it that
would hardly be so by chance. An amount of its own in every row is none: without it rows are equal as often as few
values make them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.values import Series

Ints = NDArray[np.int64]

NEARLY = 0.95  # of the values of a column that differ, from which it may be an identifier
SAMPLE = 5000  # rows of which most columns show that they are none
MOST_MISSING = 0.5
RICH = (20, 0.02)  # different values, and per row, from which two rows share one hardly by chance
TIMES_CHANCE, FEWEST_PAIRS = 10, 3  # pairs of equal rows to those that chance gives
DETERMINED = 0.8  # of pairs that are equal in all other columns, those equal in this one too
FEWEST_COLUMNS = 3  # that say together that a row is a copy, where none has many values
_WORDS = "id|ids|uuid|guid|key|no|nr|num|number|nummer|index|idx|hash|ref|reference|serial|row|rowid|record"
_NAMED = re.compile(rf"(?i:(^|[^a-z])({_WORDS})[ _.]?\d*$)|(?<=[a-z])(ID|Id|Nr|No|Key|Index|Number)$")
_MIXED = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Equality:
    """Which rows are equal: by all columns, and without identifiers; a number per row, (n,), equal rows share one.

    `identifiers` differ in every row, `nearly` in nearly every one. `without` leaves out the first, `coarse` both; None
    where that makes no more rows equal.
    """

    known: Ints
    without: Ints | None
    coarse: Ints | None
    identifiers: tuple[str, ...]
    nearly: tuple[str, ...]


def equality(X: pd.DataFrame) -> Equality:
    """Return which rows of a frame are equal, and which columns do not count."""
    known = numbered(X)
    unique = identifiers(X)
    rest = X.drop(columns=unique)
    without = numbered(rest) if unique and rest.shape[1] else None
    if without is not None and without.max(initial=0) == known.max(initial=0):
        without = None
    nearly = _nearly(rest, known if without is None else without)
    coarse = numbered(rest.drop(columns=nearly)) if nearly else None
    return Equality(known, without, coarse, tuple(unique), tuple(nearly))


def identifiers(X: pd.DataFrame) -> list[str]:
    """Return the columns that tell no row from its duplicate: another text in every row, or a number of its own.

    A number of its own is one where the column is named like an identifier, numbers the rows, or goes with their order.
    Any other may be an amount in cents, without which rows are equal that are no copies.
    """
    return [str(name) for name in X if len(X) > 1 and is_unique(X[name]) and _is_sure(X[name])]


def _is_sure(column: Series) -> bool:
    """Return whether a column with another value in every row is an identifier by its kind, name or values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    ordered = column.is_monotonic_increasing or column.is_monotonic_decreasing
    return bool(_NAMED.search(str(column.name)) or ordered or is_numbering(column))


def is_unique(column: Series) -> bool:
    """Return whether every row has another text, or another number whole steps from the first."""
    if not column.iloc[:SAMPLE].is_unique or not column.is_unique or column.isna().any():
        return False
    return isinstance(column.dtype, pd.CategoricalDtype) or _in_whole_steps(column)


def is_numbering(column: Series) -> bool:
    """Return whether a column numbers nearly all rows: different numbers, whole steps apart, that leave few out."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return False
    values = column.dropna()
    if not len(values) or not _in_whole_steps(values.iloc[:SAMPLE]) or not _in_whole_steps(values):
        return False
    return bool(values.max() - values.min() < 2 * len(column)) and _share_different(column) > 0


def numbered(X: pd.DataFrame) -> Ints:
    """Return a number per row, 0 … G − 1: equal rows share one."""
    hashed = pd.util.hash_pandas_object(X, index=False).to_numpy() & ~np.uint64(1)
    return renumbered(hashed)


def renumbered(numbers: NDArray[np.uint64] | NDArray[np.int32] | Ints) -> Ints:
    """Return the numbers as 0 … G − 1 in their order."""
    smallest: Ints = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return smallest


def _in_whole_steps(values: Series) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(((values - values.iloc[0]) % 1 == 0).all())


def _share_different(column: Series) -> float:
    """Return the share of a column's values that differ; 0 where it is less than `NEARLY`, or much is missing."""
    step = max(1, len(column) // SAMPLE)
    for values in (column.iloc[::step].dropna(), column.dropna()):
        share = values.nunique() / max(1, len(values))
        if share < NEARLY or len(values) < MOST_MISSING * len(column) / step:
            return 0.0
    return float(share)


def _nearly(X: pd.DataFrame, known: Ints) -> list[str]:
    """Return the columns that differ in nearly every row, where rows are equal without them and not by chance.

    Columns that differ more often come first: what a copy shares with its row differs less.
    """
    shares = {str(name): share for name in X if (share := _share_different(X[name]))}
    if not shares or len(X) < SHORTEST:
        return []
    values = _Values(X)
    n_known = _n_pairs(known)
    for least in sorted(set(shares.values())):
        left_out = [name for name, share in shares.items() if share >= least]
        rest = [str(name) for name in X if name not in left_out]
        if not rest:
            continue
        n_equal = values.n_pairs(rest) - n_known
        if n_equal < FEWEST_PAIRS:
            break  # with fewer columns left out, fewer rows are equal
        if values.are_copies(rest, n_equal):
            return left_out
    return []


SHORTEST = 20  # rows of a table, below which chance makes anything equal


class _Values:
    """The columns of a frame as hashes, which add up to those of rows."""

    def __init__(self, X: pd.DataFrame) -> None:
        self.n_rows = len(X)
        self.hashes = {str(name): self._hashed(X[name], place) for place, name in enumerate(X)}
        self.shared: dict[str, float] = {}  # by column: the share of pairs that chance makes equal in it
        self.n_different: dict[str, int] = {}

    @staticmethod
    def _hashed(column: Series, place: int) -> NDArray[np.uint64]:
        hashed = pd.util.hash_pandas_object(column, index=False).to_numpy()
        mixed = (hashed ^ (hashed >> np.uint64(29))) * (_MIXED + np.uint64(2 * place))
        return mixed.astype(np.uint64)

    def n_pairs(self, names: Sequence[str]) -> float:
        """Return how many pairs of rows are equal in these columns."""
        return _n_pairs(sum(self.hashes[name] for name in names))  # type: ignore[arg-type]  # not empty

    def are_copies(self, names: Sequence[str], n_equal: float) -> bool:
        """Return whether so many pairs are equal in these columns as chance would hardly make them."""
        self._look_at(names)
        telling = [name for name in names if self.shared[name] < 0.9]
        rich = [name for name in telling if self.n_different[name] >= max(RICH[0], RICH[1] * self.n_rows)]
        usual = [name for name in telling if name not in rich]
        if len(rich) > 1 and self._is_more(n_equal, rich) and self._determine(names, usual):
            return True
        return (
            len(telling) >= FEWEST_COLUMNS
            and self._is_more(n_equal, telling)
            and self._determine(names, telling)
        )

    def _look_at(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.shared:
                counts = np.unique(self.hashes[name], return_counts=True)[1]
                self.n_different[name] = len(counts)
                self.shared[name] = float(((counts / self.n_rows) ** 2).sum())

    def _is_more(self, n_equal: float, names: Sequence[str]) -> bool:
        by_chance = self.n_rows**2 / 2 * float(np.prod([self.shared[name] for name in names]))
        return n_equal >= TIMES_CHANCE * by_chance + FEWEST_PAIRS

    def _determine(self, names: Sequence[str], each: Sequence[str]) -> bool:
        """Return whether rows that are equal in all columns but one are mostly equal in that too, whichever it is."""
        n_all = self.n_pairs(names)
        return all(
            n_all >= DETERMINED * self.n_pairs([other for other in names if other != name]) for name in each
        )


def _n_pairs(numbers: NDArray[np.uint64] | Ints) -> float:
    """Return how many pairs of rows have one number."""
    counts = np.unique(numbers, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())
