"""Splits: which rows train, validate and test.

Folds are stratified. Rows that are equal in every feature and in the label form one group, and a group is never on two
sides of a split: a duplicate in the test part would be a leak. Within a fold's training rows a stratified fifth
validates (early stopping, thresholds, tuning). A split is made of row ids only and named by their hash, so that a
record can say on which rows it stands. A protocol chooses the splits of a data set (`bench.protocols`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.table import Table
from bench.errors import BadSplit, BadTable
from bench.names import digest, seed_from

RowIds = NDArray[np.int64]
BIG_TABLE_ROWS = 50_000
VALID_SHARE = 0.2  # of a fold's training groups
FOLDED = "strict"  # part of the seed of folds, so that every protocol gets the same ones


def seeds_by_size(seeds: int, n_rows: int) -> int:
    """Return the default number of seeds per fold: one above 50,000 rows.

    The test parts are large enough then that the rows, not the seeds, set the width of an interval, and a newcomer's
    first run should end in minutes.
    """
    return seeds if n_rows <= BIG_TABLE_ROWS else 1


@dataclass(frozen=True)
class Split:
    """The row ids of one fold: three disjoint, sorted int64 arrays."""

    repeat: int
    fold: int
    train: RowIds
    valid: RowIds
    test: RowIds

    def __post_init__(self) -> None:
        """Take NumPy's whole numbers as Python's; raise TypeError for a repeat or fold that is none."""
        object.__setattr__(self, "repeat", index(self.repeat))
        object.__setattr__(self, "fold", index(self.fold))

    @cached_property
    def sha256(self) -> str:
        """The hash of the three parts' row ids."""
        return digest(b"|".join(part.astype("<i8").tobytes() for part in (self.train, self.valid, self.test)))

    @cached_property
    def training(self) -> RowIds:
        """The sorted ids of all rows that train or validate: what a study may see."""
        return np.sort(np.concatenate([self.train, self.valid]))

    @cached_property
    def training_sha256(self) -> str:
        """The hash of `training`."""
        return digest(self.training.astype("<i8").tobytes())


def check_splits(splits: Sequence[Split], table: Table, protocol: str, *, validates: bool) -> None:
    """Raise BadSplit where there is no split, one has a fault (`check_split`), or two have one repeat and fold."""
    if not splits:
        raise BadSplit(
            f"The protocol {protocol} gives no split of {table.name!r}; it must give at least one."
        )
    for split in splits:
        check_split(split, table, protocol, validates=validates)
    places = Counter((split.repeat, split.fold) for split in splits)
    if twice := [place for place, count in places.items() if count > 1]:
        raise BadSplit(
            f"The protocol {protocol} gives two splits the repeat and fold {twice[0]}; by them records and tables tell "
            "splits apart."
        )


def check_split(split: Split, table: Table, protocol: str, *, validates: bool) -> None:
    """Raise BadSplit, which names the protocol, the fold and the fault, where the parts are no parts of the table.

    They are sorted, disjoint row ids of the table. Training and test rows hold both classes, and so do validation rows
    where the protocol `validates`; else there are none.
    """
    if not isinstance(split, Split):
        raise BadSplit(f"The protocol {protocol} gives a {type(split).__name__} among its splits.")
    where = f"The protocol {protocol}, fold {split.repeat}.{split.fold} of {table.name!r}"
    parts = {"training": split.train, "validation": split.valid, "test": split.test}
    for name, rows in parts.items():
        if not isinstance(rows, np.ndarray) or rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise BadSplit(f"{where}: its {name} part is no array of row ids.")
        if len(rows) and (rows[0] < 0 or rows[-1] >= table.n_rows or (np.diff(rows) <= 0).any()):
            raise BadSplit(
                f"{where}: its {name} part must be sorted, distinct row ids of 0 to {table.n_rows - 1:,}."
            )
        empty = name == "validation" and not validates
        classes = len(np.unique(table.y[rows]))
        if classes != (0 if empty else 2):
            fault = "holds rows, and the protocol does not validate" if empty else "lacks a class"
            raise BadSplit(f"{where}: its {name} part ({len(rows):,} rows) {fault}.")
    together = np.concatenate(list(parts.values()))
    n_twice = len(together) - len(np.unique(together))
    if n_twice:
        raise BadSplit(f"{where}: {n_twice:,} rows lie in more than one part; a row has one side.")


def stratified(table: Table, folds: int, repeats: int) -> list[Split]:
    """Return stratified folds of `table`, repeat by repeat and fold by fold, each with a validation part.

    The same table and numbers give the same splits everywhere. Raises BadTable where there are too few positives or
    negatives, with the largest number of folds that works.
    """
    group = duplicate_groups(table.X, table.y)
    group_label = np.zeros(group.max() + 1, dtype=np.int8)
    group_label[group] = table.y
    _check_folds(group_label, folds, table)
    return [
        _split(group, group_label, repeat, fold, folds) for repeat in range(repeats) for fold in range(folds)
    ]


def duplicate_groups(X: pd.DataFrame, y: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return a group number per row, shape (n,): rows equal in X and y share one, 0 … n_groups − 1."""
    hashed = pd.util.hash_pandas_object(X, index=False).to_numpy()
    hashed = (hashed & ~np.uint64(1)) | y.astype(np.uint64)
    groups: NDArray[np.int64] = np.unique(hashed, return_inverse=True)[1].astype(np.int64)
    return groups


def _check_folds(group_label: NDArray[np.int8], folds: int, table: Table) -> None:
    counts = {"positives": int(group_label.sum()), "negatives": int((group_label == 0).sum())}
    scarce = min(counts, key=lambda name: counts[name])
    largest = largest_folds(counts[scarce])
    if works(folds, counts[scarce]):
        return
    way_out = (
        f"The largest number that works is {largest}: --folds {largest}." if largest else "No number works."
    )
    raise BadTable(
        f"{folds} folds were asked for {table.name!r}, which has {counts[scarce]} distinct {scarce}; each fold "
        f"needs one to test, one to validate and one to train on. {way_out}"
    )


def largest_folds(n_scarce: int) -> int:
    """Return the most folds that leave every part of every fold one of `n_scarce` rows; 0 if none does."""
    return next((k for k in range(n_scarce, 1, -1) if works(k, n_scarce)), 0)


def works(folds: int, n_scarce: int) -> bool:
    """Return whether each of `folds` tests one of `n_scarce` rows and leaves one to validate and one to train on."""
    return folds <= n_scarce and n_scarce - -(-n_scarce // folds) >= 2


def _split(
    group: NDArray[np.int64],
    group_label: NDArray[np.int8],
    repeat: int,
    fold: int,
    folds: int,
) -> Split:
    """Return one fold: groups are dealt to folds class by class, then a share of the rest validates."""
    part = np.empty(len(group_label), dtype=np.int8)  # 0 train, 1 valid, 2 test
    for label in (0, 1):
        members = np.flatnonzero(group_label == label)
        dealt = np.random.default_rng(seed_from("folds", FOLDED, repeat, label)).permutation(members)
        # Negatives are dealt from the last fold backwards, so that the folds' sizes differ by one row at most.
        test = np.arange(len(dealt)) % folds == (fold if label else folds - 1 - fold)
        rng = np.random.default_rng(seed_from("valid", FOLDED, repeat, fold, label))
        rest = rng.permutation(dealt[~test])
        n_valid = max(1, round(VALID_SHARE * len(rest)))
        part[dealt[test]], part[rest[:n_valid]], part[rest[n_valid:]] = 2, 1, 0
    train, valid, test_rows = (np.flatnonzero(part[group] == i).astype(np.int64) for i in range(3))
    return Split(repeat, fold, train, valid, test_rows)


def inner_splits(table: Table, outer: Split, folds: int) -> list[Split]:
    """Return stratified folds of `outer`'s training rows: each validates once, and nothing tests.

    Rows equal in features and label stay on one side. Raises BadTable where the training rows are too few.
    """
    rows = outer.training
    group = duplicate_groups(table.X.iloc[rows], table.y[rows])
    label = np.zeros(group.max() + 1, dtype=np.int8)
    label[group] = table.y[rows]
    fewest = int(np.bincount(label, minlength=2).min())
    if not 2 <= folds <= fewest:
        raise BadTable(
            f"{folds} inner folds were asked for a fold of {table.name!r} whose training rows hold {fewest} distinct "
            f"ones of the rarer class; 2 to {fewest} work."
        )
    fold_of = np.empty(len(label), dtype=np.int64)
    for one_label in (0, 1):
        rng = np.random.default_rng(seed_from("inner folds", outer.training_sha256, one_label))
        dealt = rng.permutation(np.flatnonzero(label == one_label))
        fold_of[dealt] = np.arange(len(dealt)) % folds
    row_fold, no_rows = fold_of[group], rows[:0]
    return [
        Split(outer.repeat, outer.fold * folds + i, rows[row_fold != i], rows[row_fold == i], no_rows)
        for i in range(folds)
    ]
