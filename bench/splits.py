"""Protocols, and the splits they make: which rows train, validate and test.

`strict` repeats stratified folds. Rows that are equal in every feature and in the label form one
group, and a group is never on two sides of a split: a duplicate in the test part would be a leak. Within a
fold's training rows a stratified fifth validates (early stopping, thresholds, tuning). A split
is made of row ids only and named by their hash, so that a record can say on which rows it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import BadSetting, BadTable
from bench.names import MAIN_METRIC, digest, seed_from
from bench.tables import Table

RowIds = NDArray[np.int64]
BIG_TABLE_ROWS = 50_000


@dataclass(frozen=True)
class Protocol:
    """How a data set is judged.

    `valid_share` is the share of a fold's training groups that validate. Tables of more than
    50,000 rows default to one seed per fold: their test parts are large enough that the rows, not
    the seeds, set the width of an interval, and a newcomer's first run should end in minutes.
    """

    name: str
    description: str
    main_metric: str = MAIN_METRIC
    folds: int = 5
    repeats: int = 1
    seeds: int = 3
    seeds_big: int = 1
    valid_share: float = 0.2

    def default_seeds(self, n_rows: int) -> int:
        """Return the default number of seeds per fold for a table of `n_rows` rows."""
        return self.seeds if n_rows <= BIG_TABLE_ROWS else self.seeds_big


PROTOCOLS: Mapping[str, Protocol] = {
    "strict": Protocol(
        "strict",
        "repeated stratified folds; everything fitted on training rows only; duplicates never on both sides; "
        "validation for early stopping and thresholds; one budget for every network; test scored once",
    ),
}


@dataclass(frozen=True)
class Split:
    """The row ids of one fold: three disjoint, sorted int64 arrays."""

    repeat: int
    fold: int
    train: RowIds
    valid: RowIds
    test: RowIds

    @cached_property
    def sha256(self) -> str:
        """The hash of the three parts' row ids."""
        return digest(b"|".join(part.astype("<i8").tobytes() for part in (self.train, self.valid, self.test)))


def split(
    table: Table, protocol: Protocol, *, folds: int | None = None, repeats: int | None = None
) -> list[Split]:
    """Return the protocol's splits of `table`, repeat by repeat and fold by fold.

    The same table, protocol and numbers give the same splits everywhere. Raises BadSetting for fewer
    than two folds or no repeat, and BadTable where there are too few positives or negatives, with the
    largest number of folds that works.
    """
    folds = protocol.folds if folds is None else folds
    repeats = protocol.repeats if repeats is None else repeats
    if folds < 2 or repeats < 1:
        raise BadSetting(
            f"Asked for {folds} folds and {repeats} repeats; at least 2 folds and 1 repeat are needed."
        )
    group = duplicate_groups(table.X, table.y)
    group_label = np.zeros(group.max() + 1, dtype=np.int8)
    group_label[group] = table.y
    _check_folds(group_label, folds, table)
    return [
        _split(group, group_label, protocol, repeat, fold, folds)
        for repeat in range(repeats)
        for fold in range(folds)
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
    protocol: Protocol,
    repeat: int,
    fold: int,
    folds: int,
) -> Split:
    """Return one fold: groups are dealt to folds class by class, then a share of the rest validates."""
    part = np.empty(len(group_label), dtype=np.int8)  # 0 train, 1 valid, 2 test
    for label in (0, 1):
        members = np.flatnonzero(group_label == label)
        dealt = np.random.default_rng(seed_from("folds", protocol.name, repeat, label)).permutation(members)
        # Negatives are dealt from the last fold backwards, so that the folds' sizes differ by one row at most.
        test = np.arange(len(dealt)) % folds == (fold if label else folds - 1 - fold)
        rest = np.random.default_rng(seed_from("valid", protocol.name, repeat, fold, label)).permutation(
            dealt[~test]
        )
        n_valid = max(1, round(protocol.valid_share * len(rest)))
        part[dealt[test]], part[rest[:n_valid]], part[rest[n_valid:]] = 2, 1, 0
    train, valid, test_rows = (np.flatnonzero(part[group] == i).astype(np.int64) for i in range(3))
    return Split(repeat, fold, train, valid, test_rows)
