"""Groups of rows that no split may divide: equal rows, and an entity's.

Rows are equal that no method could tell apart: in every feature but identifiers, whatever their labels. Would labels
count, a combination's positives and negatives were different groups, and a model would meet in testing the opposite of
what it saw. Where few combinations of values make up the table, one of them may hold too much to lie on one side: its
rows are dealt one by one, which tells nothing that a row drawn anew would not. An entity (a customer, a card) is never
divided; what is equal goes with it, unless that chains too many together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.data.leaks import identifiers
from bench.data.table import Table

Ints = NDArray[np.int64]
NEGATIVE, POSITIVE, WEIGHED = 0, 1, 2
CHANCE = 4  # standard deviations that positives lie above what a group's rows would hold, so that it is not by chance


@dataclass(frozen=True)
class Groups:
    """A number for each row's group, `of` (n,), 0 … G − 1; and by group its rows and positives, (G,).

    `divided` counts rows that are dealt one by one though others equal them. `owned` groups are of entities, so that
    one may hold many positives; `chained` says that equal rows of different entities are not held together.
    """

    of: Ints
    rows: Ints
    positives: Ints
    divided: int = 0
    owned: bool = False
    chained: bool = False

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Which groups hold both labels."""
        return (self.positives > 0) & (self.positives < self.rows)

    @property
    def kind(self) -> NDArray[np.int8]:
        """How every group is dealt: NEGATIVE and POSITIVE ones count one each, WEIGHED ones by what they hold."""
        weighed = self.positives > 0 if self.owned else self.mixed
        return np.where(weighed, WEIGHED, (self.positives > 0).astype(np.int8)).astype(np.int8)


def groups(table: Table, rows: Ints, folds: int, *, one_by_one: bool = False) -> Groups:
    """Return the groups of some of a table's rows, which are to be dealt to so many folds.

    A table without groups of mixed labels keeps every group whole. `one_by_one` divides all that are mixed.
    """
    y = table.y[rows].astype(np.int64)
    equal = duplicate_groups(table.X.iloc[rows], identifiers(table.X))
    if table.entity is not None:
        return _of_entities(equal, table.entity[rows], y, folds)
    whole = _counted(equal, y)
    if not whole.mixed.any():
        # Where too much is equal but for whole numbers that all differ, these tell rows apart after all.
        return _counted(duplicate_groups(table.X.iloc[rows]), y) if _too_large(whole, folds).any() else whole
    divide = whole.mixed if one_by_one else _too_large(whole, folds)
    return _divided(whole, divide, y)


def duplicate_groups(X: pd.DataFrame, left_out: list[str] | None = None) -> Ints:
    """Return a group number per row, shape (n,): equal rows share one, 0 … n_groups − 1.

    The columns `left_out` do not count, unless nothing is left or all rows differ without them.
    """
    known = _numbered(X)
    kept = X.drop(columns=left_out or [])
    if not left_out or not kept.shape[1]:
        return known
    without = _numbered(kept)
    return without if without.max() < known.max() else known


def _numbered(X: pd.DataFrame) -> Ints:
    hashed = pd.util.hash_pandas_object(X, index=False).to_numpy() & ~np.uint64(1)
    return _compact(hashed)


def _compact(numbers: NDArray[np.uint64] | NDArray[np.int32] | Ints) -> Ints:
    """Return the numbers as 0 … G − 1 in their order."""
    compact: Ints = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return compact


def _counted(numbers: Ints, y: Ints) -> Groups:
    """Return groups from numbers 0 … G − 1 of all rows."""
    return Groups(numbers, np.bincount(numbers), np.bincount(numbers, weights=y).astype(np.int64))


def _too_large(whole: Groups, folds: int) -> NDArray[np.bool_]:
    """Return which groups hold too much for one side of a split.

    By rows alone where chance could give a group its positives: to divide those that are rich by chance would let a
    model learn in training what chance did in the test part too.
    """
    share = whole.rows / whole.rows.sum()
    n_positives = whole.positives.sum()
    usual = share * n_positives
    by_chance = usual + CHANCE * np.sqrt(usual + 1)
    too_rich = (whole.positives > n_positives / folds) & (whole.positives > by_chance)
    too_large: NDArray[np.bool_] = (share > 1 / (2 * folds)) | (too_rich & whole.mixed)
    return too_large


def _divided(whole: Groups, divide: NDArray[np.bool_], y: Ints) -> Groups:
    """Return the groups with each row of some of them as its own."""
    alone = divide[whole.of]
    numbers = whole.of.copy()
    numbers[alone] = len(whole.rows) + np.arange(np.count_nonzero(alone))
    counted = _counted(_compact(numbers), y)
    return replace(counted, divided=int(whole.rows[divide & (whole.rows > 1)].sum()))


def _of_entities(equal: Ints, entity: Ints, y: Ints, folds: int) -> Groups:
    """Return the groups in which an entity's rows, and equal rows, are together; else its rows alone."""
    owner = _compact(entity)
    n_owners = int(owner.max()) + 1
    size = n_owners + int(equal.max()) + 1
    links = coo_array((np.ones(len(owner), dtype=np.int8), (owner, n_owners + equal)), shape=(size, size))
    component = connected_components(links, directed=False)[1][owner]
    joined, alone = _compact(component), owner
    whole = _counted(joined, y)
    if chained := joined.max() < alone.max() and bool(_too_large(whole, folds).any()):
        whole = _counted(alone, y)
    return replace(whole, owned=True, chained=chained)
