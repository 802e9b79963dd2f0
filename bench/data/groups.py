"""Groups of rows that no split may divide: equal rows, and an entity's.

Rows are equal that no method could tell apart: in every feature but identifiers (`bench.data.identifiers`), whatever
their labels. Would labels
count, a combination's positives and negatives were different groups, and a model would meet in testing the opposite of
what it saw. One combination of values may hold too much to lie on one side, of either label or of both: its rows are
dealt one by one, which tells nothing that a row drawn anew would not. An entity (a customer, a card) is never divided;
what is equal goes with it, unless that chains too many together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.data.identifiers import Equality, renumbered
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

    `one_by_one` divides all groups that are mixed, not only those that are too large.
    """
    y = table.y[rows].astype(np.int64)
    equal = _equal(table.equality, rows)
    if table.entity is not None:
        return _of_entities(equal, table.entity[rows], y, folds)
    whole = _counted(_without_near_identifiers(equal, table.equality, rows, y, folds), y)
    if not whole.mixed.any() and _too_large(whole, folds).any():
        # Where too much is equal but for whole numbers that all differ, these tell rows apart after all.
        whole = _counted(renumbered(table.equality.known[rows]), y)
    divide = _too_large(whole, folds) | (whole.mixed & one_by_one)
    if not whole.mixed.any():  # copies of one row of the rarer label stay one
        divide &= (whole.positives > 0) == (2 * y.sum() > len(y))
    return _divided(whole, divide, y) if divide.any() else whole


def _equal(equality: Equality, rows: Ints) -> Ints:
    """Return a group number for each of these rows, 0 … G − 1: equal rows share one, whatever their identifiers."""
    known = renumbered(equality.known[rows])
    if equality.without is None:
        return known
    without = renumbered(equality.without[rows])
    return without if without.max() < known.max() else known


def _without_near_identifiers(equal: Ints, equality: Equality, rows: Ints, y: Ints, folds: int) -> Ints:
    """Return the groups with those put together that nearly unique columns alone tell apart, where they fit."""
    if equality.coarse is None:
        return equal
    coarse = renumbered(equality.coarse[rows])
    too_large = _too_large(_counted(coarse, y), folds)[coarse]
    return renumbered(np.where(too_large, coarse.max() + 1 + equal, coarse))


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
    counted = _counted(renumbered(numbers), y)
    return replace(counted, divided=int(whole.rows[divide & (whole.rows > 1)].sum()))


def _of_entities(equal: Ints, entity: Ints, y: Ints, folds: int) -> Groups:
    """Return the groups in which an entity's rows, and equal rows, are together; else its rows alone."""
    owner = renumbered(entity)
    n_owners = int(owner.max()) + 1
    size = n_owners + int(equal.max()) + 1
    links = coo_array((np.ones(len(owner), dtype=np.int8), (owner, n_owners + equal)), shape=(size, size))
    component = connected_components(links, directed=False)[1][owner]
    joined, alone = renumbered(component), owner
    whole = _counted(joined, y)
    if chained := joined.max() < alone.max() and bool(_too_large(whole, folds).any()):
        whole = _counted(alone, y)
    return replace(whole, owned=True, chained=chained)
