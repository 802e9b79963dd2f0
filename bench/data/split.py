"""Splits: which rows train, validate and test.

Folds are stratified. Rows that are equal in every feature form one group, and so do those of one entity; a group is
never on two sides of a split: a duplicate in the test part would be a leak (`bench.data.groups`). Groups of one label
are dealt in turn, by their rows where that would be uneven; those of mixed labels and of entities by what a fold lacks.
Within a fold's training rows a stratified fifth validates (early stopping, thresholds, tuning). A split is made of row
ids only and named by their hash, so that a record can say on which rows it stands. A protocol chooses the splits of a
data set (`bench.protocols`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heapreplace
from operator import index

import numpy as np
from numpy.typing import NDArray

from bench.data.groups import WEIGHED, Groups, groups
from bench.data.table import Table
from bench.errors import BadSplit, BadTable
from bench.names import digest, seed_from

RowIds = NDArray[np.int64]
BIG_TABLE_ROWS = 50_000
VALID_SHARE = 0.2  # of a fold's training groups
UNEVEN = 0.1  # of a fold's rows, from which groups of one label are dealt by their rows and not in turn
OFF = 0.05  # that groups in turn may miss VALID_SHARE by, for the same reason
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


def check_splits(
    splits: Sequence[Split], table: Table, protocol: str, *, validates: bool, divides_entities: bool = False
) -> None:
    """Raise BadSplit where there is no split, one has a fault (`check_split`), or two have one repeat and fold."""
    if not splits:
        raise BadSplit(
            f"The protocol {protocol} gives no split of {table.name!r}; it must give at least one."
        )
    for split in splits:
        check_split(split, table, protocol, validates=validates, divides_entities=divides_entities)
    places = Counter((split.repeat, split.fold) for split in splits)
    if twice := [place for place, count in places.items() if count > 1]:
        raise BadSplit(
            f"The protocol {protocol} gives two splits the repeat and fold {twice[0]}; by them records and tables tell "
            "splits apart."
        )


def check_split(
    split: Split, table: Table, protocol: str, *, validates: bool, divides_entities: bool = False
) -> None:
    """Raise BadSplit, which names the protocol, the fold and the fault, where the parts are no parts of the table.

    They are sorted, disjoint row ids of the table. Training and test rows hold both classes, and so do validation rows
    where the protocol `validates`; else there are none. An entity lies in one part, unless the protocol
    `divides_entities`.
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
    if table.entity is not None and not divides_entities:
        owners = np.concatenate([np.unique(table.entity[rows]) for rows in parts.values()])
        if n_shared := len(owners) - len(np.unique(owners)):
            raise BadSplit(
                f"{where}: {n_shared:,} values of {table.card.entity!r} lie in more than one part; an entity has one "
                "side."
            )


def stratified(table: Table, folds: int, repeats: int) -> list[Split]:
    """Return stratified folds of `table`, repeat by repeat and fold by fold, each with a validation part.

    The same table and numbers give the same splits everywhere. Raises BadTable where there are too few positives or
    negatives, with the largest number of folds that works, or where one entity holds too many of them.
    """
    rows = np.arange(table.n_rows)
    whole = groups(table, rows, folds)
    splits = _folds(whole, folds, repeats) if works(folds, _fewest(whole)) else []
    if not splits or not all(_has_both(split, table.y) for split in splits):
        if table.entity is None and whole.mixed.any():
            whole = groups(table, rows, folds, one_by_one=True)
        _check_folds(whole, folds, table)
        splits = _folds(whole, folds, repeats)
    if table.entity is not None:
        _check_entities(splits, table, whole)
    return splits


def notes(table: Table, folds: int) -> list[str]:
    """Return in a line each what a table's owner should know of how its rows are dealt to so many folds."""
    whole = groups(table, np.arange(table.n_rows), folds)
    lines = []
    if whole.divided:
        lines.append(
            f"{whole.divided:,} of {table.n_rows:,} rows lie in combinations of values too large for one side of a "
            "split: rows of one such combination train and test"
        )
    if table.entity is not None and len(np.unique(table.entity)) == table.n_rows:
        lines.append(
            f"{table.card.entity!r} is different in every row: as --entity it holds no rows together and protects "
            "nothing"
        )
    if whole.owned and whole.rows.max() > table.n_rows / folds:
        lines.append(
            f"one value of {table.card.entity!r} holds {whole.rows.max():,} of {table.n_rows:,} rows and is never "
            "divided: the parts of the splits are of uneven size"
        )
    if whole.chained:
        lines.append(
            f"equal rows would chain too many values of {table.card.entity!r} into one: each is on one side of every "
            "split, but equal rows of two may lie on both"
        )
    return lines


def largest_folds(n_scarce: int) -> int:
    """Return the most folds that leave every part of every fold one of `n_scarce` rows; 0 if none does."""
    return next((k for k in range(n_scarce, 1, -1) if works(k, n_scarce)), 0)


def works(folds: int, n_scarce: int) -> bool:
    """Return whether each of `folds` tests one of `n_scarce` rows and leaves one to validate and one to train on."""
    return folds <= n_scarce and n_scarce - -(-n_scarce // folds) >= 2


def _check_folds(whole: Groups, folds: int, table: Table) -> None:
    """Raise BadTable, with the largest number of folds that works, where a class has too few groups."""
    counts = _groups_with(whole)
    scarce = min(counts, key=lambda name: counts[name])
    largest = largest_folds(counts[scarce])
    if works(folds, counts[scarce]):
        return
    way_out = (
        f"The largest number that works is {largest}: --folds {largest}." if largest else "No number works."
    )
    what = f"{counts[scarce]} distinct {scarce}"
    if table.entity is not None:
        what = f"{scarce} in {counts[scarce]} of the values of {table.card.entity!r}"
        way_out += " An entity is never divided; name another column as --entity, or none."
    raise BadTable(
        f"{folds} folds were asked for {table.name!r}, which has {what}; each fold needs one to test, one to validate "
        f"and one to train on. {way_out}"
    )


def _groups_with(whole: Groups) -> dict[str, int]:
    """Return how many groups hold a positive, and how many a negative."""
    return {
        "positives": int(np.count_nonzero(whole.positives)),
        "negatives": int(np.count_nonzero(whole.positives < whole.rows)),
    }


def _fewest(whole: Groups) -> int:
    return min(_groups_with(whole).values())


def _has_both(split: Split, y: NDArray[np.int8]) -> bool:
    """Return whether all three parts hold both classes."""
    return all(0 < y[part].sum() < len(part) for part in (split.train, split.valid, split.test))


def _check_entities(splits: Sequence[Split], table: Table, whole: Groups) -> None:
    """Raise BadTable, which names the largest, where an entity that is not divided leaves a part without a class."""
    lacking = next((split for split in splits if not _has_both(split, table.y)), None)
    if lacking is None:
        return
    counts = _groups_with(whole)
    word, label = ("positives", 1) if counts["positives"] <= counts["negatives"] else ("negatives", 0)
    is_scarce = table.y == label
    held = np.bincount(whole.of[is_scarce])
    row = int(np.flatnonzero(whole.of == held.argmax())[0])
    raise BadTable(
        f"One value of {table.card.entity!r}, with what is equal to its rows, holds {held.max():,} of "
        f"{is_scarce.sum():,} {word} of {table.name!r} (row {row:,} is of it), and is never divided: a part of fold "
        f"{lacking.repeat}.{lacking.fold} lacks a class. Ask for other --folds, or leave out --entity."
    )


@dataclass(frozen=True)
class _Dealt:
    """Groups in the order in which they were dealt, and the fold that each tests in."""

    members: RowIds
    fold: RowIds


def _folds(whole: Groups, folds: int, repeats: int) -> list[Split]:
    splits = []
    for repeat in range(repeats):
        negatives, positives = (_dealt_in_turn(whole, folds, ("folds", FOLDED, repeat), i) for i in (0, 1))
        # Negatives are dealt from the last fold backwards, so that the folds' sizes differ by one row at most.
        pure = [_Dealt(negatives.members, folds - 1 - negatives.fold), positives]
        mixed = _dealt_by_need(whole, pure, [1 / folds] * folds, ("folds", FOLDED, repeat))
        splits += [_split(whole, [*pure, mixed], repeat, fold) for fold in range(folds)]
    return splits


def _dealt_in_turn(whole: Groups, folds: int, seed: tuple[object, ...], label: int) -> _Dealt:
    """Return the groups of one label, dealt to the folds in turn; those of entities by falling rows.

    Where a few groups hold so many rows that the folds would be uneven, each goes to the fold that has the fewest.
    """
    members = np.random.default_rng(seed_from(*seed, label)).permutation(np.flatnonzero(whole.kind == label))
    if whole.owned:
        members = members[np.argsort(-whole.rows[members], kind="stable")]
    fold = np.arange(len(members)) % folds
    held = np.bincount(fold, whole.rows[members], minlength=folds)
    if held.max() - held.min() <= UNEVEN * whole.rows.sum() / folds:
        return _Dealt(members, fold)
    even = _dealt_by_need(whole, [], [1 / folds] * folds, (*seed, label), members)
    n_groups = np.bincount(even.fold, minlength=folds)
    is_enough = n_groups.min() >= 1 and len(members) - n_groups.max() >= 2  # to train on, and to validate
    return even if is_enough else _Dealt(members, fold)


def _dealt_by_need(
    whole: Groups,
    pure: Sequence[_Dealt],
    shares: Sequence[float],
    seed: tuple[object, ...],
    among: RowIds | None = None,
) -> _Dealt:
    """Return the other groups, each dealt to the side that has the fewest positives for its share, then rows.

    They come by falling positives, then rows; the seed orders those that are alike. `pure` were dealt before.
    """
    members = np.flatnonzero(whole.kind == WEIGHED) if among is None else among
    if not len(members):
        return _Dealt(members, members)
    members = np.random.default_rng(seed_from(*seed, "mixed")).permutation(members)
    members = members[np.lexsort((-whole.rows[members], -whole.positives[members]))]
    has = np.zeros((len(shares), 2))
    for dealt in pure:
        for column, counts in enumerate((whole.positives, whole.rows)):
            has[:, column] += np.bincount(dealt.fold, counts[dealt.members], minlength=len(shares))
    heap = [(has[i, 0] / share, has[i, 1] / share, i) for i, share in enumerate(shares)]
    heapify(heap)
    side = np.empty(len(members), dtype=np.int64)
    added = zip(whole.positives[members].tolist(), whole.rows[members].tolist(), strict=True)
    for place, (positives, rows) in enumerate(added):
        had_positives, had_rows, i = heap[0]
        heapreplace(heap, (had_positives + positives / shares[i], had_rows + rows / shares[i], i))
        side[place] = i
    return _Dealt(members, side)


def _split(whole: Groups, dealt: Sequence[_Dealt], repeat: int, fold: int) -> Split:
    """Return one fold: the groups dealt to it test, and of the rest of every kind a share validates."""
    part = np.zeros(len(whole.rows), dtype=np.int8)  # 0 train, 1 valid, 2 test
    rest = []
    for label, kind in enumerate(dealt[:2]):
        rng = np.random.default_rng(seed_from("valid", FOLDED, repeat, fold, label))
        others = rng.permutation(kind.members[kind.fold != fold])
        rest.append(_validating(whole, others, ("valid", FOLDED, repeat, fold, label)))
    mixed = dealt[2].members[dealt[2].fold != fold]
    seed = ("valid", FOLDED, repeat, fold)
    rest.append(_dealt_by_need(whole, rest, (1 - VALID_SHARE, VALID_SHARE), seed, mixed))
    for kind, others_of_kind in zip(dealt, rest, strict=True):
        part[kind.members[kind.fold == fold]] = 2
        part[others_of_kind.members] = others_of_kind.fold
    train, valid, test = (np.flatnonzero(part[whole.of] == i).astype(np.int64) for i in range(3))
    return Split(repeat, fold, train, valid, test)


def _validating(whole: Groups, others: RowIds, seed: tuple[object, ...]) -> _Dealt:
    """Return the first groups as validating (1), the others as training (0); by their rows where that is uneven."""
    n_validating = max(1, round(VALID_SHARE * len(others)))
    rows = whole.rows[others]
    if len(others) > 1 and abs(rows[:n_validating].sum() / rows.sum() - n_validating / len(others)) > OFF:
        return _dealt_by_need(whole, [], (1 - VALID_SHARE, VALID_SHARE), seed, others)
    return _Dealt(others, (np.arange(len(others)) < n_validating).astype(np.int64))


def inner_splits(table: Table, outer: Split, folds: int) -> list[Split]:
    """Return stratified folds of `outer`'s training rows: each validates once, and nothing tests.

    Equal rows, and those of one entity, stay on one side. Raises BadTable where the training rows are too few.
    """
    rows = outer.training
    whole = groups(table, rows, max(folds, 2))
    fewest = _fewest(whole)
    if not 2 <= folds <= fewest and table.entity is None and whole.mixed.any():
        whole = groups(table, rows, max(folds, 2), one_by_one=True)
        fewest = _fewest(whole)
    if not 2 <= folds <= fewest:
        raise BadTable(
            f"{folds} inner folds were asked for a fold of {table.name!r} whose training rows hold {fewest} distinct "
            f"ones of the rarer class; 2 to {fewest} work."
        )
    seed = ("inner folds", outer.training_sha256)
    pure = [_dealt_in_turn(whole, folds, seed, label) for label in (0, 1)]
    dealt = [*pure, _dealt_by_need(whole, pure, [1 / folds] * folds, seed)]
    fold_of = np.empty(len(whole.rows), dtype=np.int64)
    for kind in dealt:
        fold_of[kind.members] = kind.fold
    row_fold, no_rows = fold_of[whole.of], rows[:0]
    return [
        Split(outer.repeat, outer.fold * folds + i, rows[row_fold != i], rows[row_fold == i], no_rows)
        for i in range(folds)
    ]
