"""Protocols, and the splits they make: which rows train, validate and test.

`strict` repeats stratified folds. Rows that are equal in every feature and in the label form one
group, and a group is never on two sides of a split: a duplicate in the test part would be a leak. Within a
fold's training rows a stratified fifth validates (early stopping, thresholds, tuning). `published` is the
protocol of the MetaBalance paper's code, faults included: one split drawn without regard to the label, no
validation. Its faults can be repaired one by one: `published+stratified+train-scaler`. A split
is made of row ids only and named by their hash, so that a record can say on which rows it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from bench.data.table import Table
from bench.errors import BadSetting, BadTable, UnknownName
from bench.names import MAIN_METRIC, digest, seed_from

RowIds = NDArray[np.int64]
BIG_TABLE_ROWS = 50_000
FOLDED = "strict"  # part of what folds are drawn by: those of a repaired `published` are the same


@dataclass(frozen=True)
class Protocol:
    """How a data set is judged.

    `valid_share` is the share of a fold's training groups that validate. Tables of more than
    50,000 rows default to one seed per fold: their test parts are large enough that the rows, not
    the seeds, set the width of an interval, and a newcomer's first run should end in minutes. `repairs` are the
    faults of `published` that are mended; None where it is another protocol.
    """

    name: str
    description: str
    main_metric: str = MAIN_METRIC
    folds: int = 5
    repeats: int = 1
    seeds: int = 3
    seeds_big: int = 1
    valid_share: float = 0.2
    repairs: frozenset[str] | None = None

    @property
    def is_published(self) -> bool:
        """Whether this is the paper's protocol, repaired or not."""
        return self.repairs is not None

    def has(self, repair: str) -> bool:
        """Return whether the protocol is free of the fault that `repair` mends; `strict` is free of all."""
        return self.repairs is None or repair in self.repairs

    @property
    def validates(self) -> bool:
        """Whether some training rows are held out for validation."""
        return any(self.has(repair) for repair in NEED_VALIDATION)

    def default_seeds(self, n_rows: int) -> int:
        """Return the default number of seeds per fold for a table of `n_rows` rows."""
        return self.seeds if n_rows <= BIG_TABLE_ROWS else self.seeds_big


REPAIRS: Mapping[str, str] = {
    "stratified": "stratified folds with a validation part, duplicates on one side",
    "train-scaler": "the scaler is fitted on training rows alone",
    "evaluation-mode": "dropout is off when rows are scored",
    "equal-updates": "every network makes the same number of updates",
    "early-stopping": "the best state on validation counts, not the last",
    "equal-search": "every network arm has its learning rate chosen on validation from the same rates",
    "second-order": "MetaBalance differentiates through its inner step",
    "row-weights": "Meta-Weight-Net trains on the weights that it learns",
}
NEED_VALIDATION = ("stratified", "early-stopping", "equal-search")

PROTOCOLS: Mapping[str, Protocol] = {
    "strict": Protocol(
        "strict",
        "repeated stratified folds; everything fitted on training rows only; duplicates never on both sides; "
        "validation for early stopping and thresholds; one budget of steps for every network; test scored once",
    ),
    "published": Protocol(
        "published",
        "as the MetaBalance paper's code, faults included: one split, scaler on all rows, epochs, last epoch; each "
        "fault can be repaired: published+REPAIR+…, of " + ", ".join(REPAIRS),
        main_metric="roc_auc",
        folds=1,
        repairs=frozenset(),
    ),
}


def seeds_by_size(seeds: int, n_rows: int) -> int:
    """Return the default number of seeds per fold: one above 50,000 rows.

    The test parts are large enough then that the rows, not the seeds, set the width of an interval, and a newcomer's
    first run should end in minutes.
    """
    return seeds if n_rows <= BIG_TABLE_ROWS else 1


def protocol_named(name: str) -> Protocol:
    """Return the protocol of that name, `published+REPAIR+…` included; raise UnknownName with the nearest names."""
    base, *repairs = name.split("+")
    if base not in PROTOCOLS or (repairs and not PROTOCOLS[base].is_published):
        raise UnknownName("protocol", name, [*PROTOCOLS, "published+REPAIR"])
    for repair in repairs:
        if repair not in REPAIRS:
            raise UnknownName("repair", repair, REPAIRS)
    if not repairs:
        return PROTOCOLS[base]
    ordered = [repair for repair in REPAIRS if repair in repairs]
    folds = PROTOCOLS["strict"].folds if "stratified" in repairs else 1
    return replace(PROTOCOLS[base], name="+".join([base, *ordered]), folds=folds, repairs=frozenset(ordered))


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

    @cached_property
    def training(self) -> RowIds:
        """The sorted ids of all rows that train or validate: what a study may see."""
        return np.sort(np.concatenate([self.train, self.valid]))

    @cached_property
    def training_sha256(self) -> str:
        """The hash of `training`."""
        return digest(self.training.astype("<i8").tobytes())


def split(
    table: Table, protocol: Protocol, *, folds: int | None = None, repeats: int | None = None
) -> list[Split]:
    """Return the protocol's splits of `table`, repeat by repeat and fold by fold.

    The same table, protocol and numbers give the same splits everywhere. Raises BadSetting for fewer
    than two folds or no repeat, and BadTable where there are too few positives or negatives, with the
    largest number of folds that works.
    """
    folds, repeats = number_of_splits(protocol, folds, repeats)
    if not protocol.has("stratified"):
        return [_one_split(table, protocol)]
    group = duplicate_groups(table.X, table.y)
    group_label = np.zeros(group.max() + 1, dtype=np.int8)
    group_label[group] = table.y
    _check_folds(group_label, folds, table)
    return [
        _split(group, group_label, protocol, repeat, fold, folds)
        for repeat in range(repeats)
        for fold in range(folds)
    ]


def number_of_splits(
    protocol: Protocol, folds: int | None = None, repeats: int | None = None
) -> tuple[int, int]:
    """Return the folds and repeats asked for, else the protocol's; raise BadSetting for those it cannot have."""
    if not protocol.has("stratified"):
        asked = (1 if folds is None else folds, 1 if repeats is None else repeats)
        if asked != (1, 1):
            raise BadSetting(
                f"The protocol {protocol.name} has one split; folds and repeats go with published+stratified or strict."
            )
        return asked
    folds = protocol.folds if folds is None else folds
    repeats = protocol.repeats if repeats is None else repeats
    if folds < 2 or repeats < 1:
        raise BadSetting(
            f"Asked for {folds} folds and {repeats} repeats; at least 2 folds and 1 repeat are needed."
        )
    return folds, repeats


def _one_split(table: Table, protocol: Protocol) -> Split:
    """Return the paper's split: a fifth of all rows tests, drawn with seed 0 and without regard to the label.

    A repair that needs validation holds out a stratified share of the training rows.
    """
    train, test = train_test_split(np.arange(table.n_rows), test_size=0.2, random_state=0)
    valid = train[:0]
    if protocol.validates:
        train, valid = train_test_split(
            train, test_size=protocol.valid_share, random_state=0, stratify=table.y[train]
        )
    for name, rows in (("training", train), ("test", test)):
        if len(np.unique(table.y[rows])) < 2:
            raise BadTable(
                f"The paper's split of {table.name!r} ({table.n_rows:,} rows, {table.n_positives} positives) has one "
                f"class alone in its {name} part; --protocol strict divides the classes evenly."
            )
    return Split(0, 0, *(np.sort(rows).astype(np.int64) for rows in (train, valid, test)))


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
        dealt = np.random.default_rng(seed_from("folds", FOLDED, repeat, label)).permutation(members)
        # Negatives are dealt from the last fold backwards, so that the folds' sizes differ by one row at most.
        test = np.arange(len(dealt)) % folds == (fold if label else folds - 1 - fold)
        rng = np.random.default_rng(seed_from("valid", FOLDED, repeat, fold, label))
        rest = rng.permutation(dealt[~test])
        n_valid = max(1, round(protocol.valid_share * len(rest)))
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
    for wanted in (0, 1):
        rng = np.random.default_rng(seed_from("inner folds", outer.training_sha256, wanted))
        dealt = rng.permutation(np.flatnonzero(label == wanted))
        fold_of[dealt] = np.arange(len(dealt)) % folds
    row_fold, none = fold_of[group], rows[:0]
    return [
        Split(outer.repeat, outer.fold * folds + i, rows[row_fold != i], rows[row_fold == i], none)
        for i in range(folds)
    ]
