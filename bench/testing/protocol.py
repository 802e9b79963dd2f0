"""The contract of a protocol, as checks on a small table: its splits, those within them, and its encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.contract import Protocol
from bench.data.split import Split, check_splits
from bench.errors import BadSetting, BenchError
from bench.stats.metrics import metrics
from bench.testing.checks import Check, examine, expect, loans

ASKED = ((2, 1), (3, 2))  # folds and repeats


@dataclass
class Subject:
    """A protocol, and its splits of the simulated table."""

    protocol: Protocol

    @cached_property
    def splits(self) -> list[Split]:
        """Its splits by default."""
        return self.protocol.splits(loans())


def examine_protocol(protocol: Protocol) -> list[Check]:
    """Return what holds and what does not of a protocol."""
    return examine(TESTS, Subject(protocol))


def it_is_named(subject: Subject) -> None:
    """It has a name, a description and a main metric that bench measures."""
    named = subject.protocol
    expect(
        named.name and not set(named.name) & set("/ \\"),
        f"the name {named.name!r}; give letters and hyphens",
    )
    expect(named.description.strip(), "the description is empty")
    expect(
        named.main_metric in metrics(),
        f"the main metric {named.main_metric!r}; bench list metrics has the known",
    )
    lacking = [word for word in named.words if named.variant([word]) is None]
    expect(not lacking, f"the words {lacking}: `variant` knows no protocol {named.name}+WORD of them")
    expect(named.seeds is None or named.seeds >= 1, f"{named.seeds} seeds; expected 1 or more, or None")


def parts_are_apart(subject: Subject) -> None:
    """The parts of a split share no row, each holds both classes, and each split has its own repeat and fold."""
    protocol = subject.protocol
    check_splits(subject.splits, loans(), protocol.name, validates=protocol.validates)


def splits_are_as_many_as_asked(subject: Subject) -> None:
    """It gives as many splits as it is asked for, or refuses the number."""
    for folds, repeats in ASKED:
        try:
            n_folds, n_repeats = subject.protocol.number_of_splits(folds, repeats)
        except BadSetting:
            continue
        n_splits = len(subject.protocol.splits(loans(), folds=folds, repeats=repeats))
        expect(
            n_splits == n_folds * n_repeats,
            f"{n_splits} splits for {n_folds} folds and {n_repeats} repeats; expected {n_folds * n_repeats}",
        )


def splits_are_the_same_again(subject: Subject) -> None:
    """The same table is split the same again."""
    again = subject.protocol.splits(replace(loans()))
    expect(
        [split.sha256 for split in again] == [split.sha256 for split in subject.splits], "the rows are others"
    )


def inner_splits_lie_within(subject: Subject) -> None:
    """A study's inner splits lie within the training rows, test nothing, and validate no row twice."""
    for outer in subject.splits:
        try:
            inner = subject.protocol.inner(loans(), outer, 2)
        except BenchError:
            return  # it says that there is nothing to tune on
        for split in inner:
            within = np.isin(split.training, outer.training).all() and not len(split.test)
            expect(
                within, f"fold {outer.repeat}.{outer.fold}: rows that test, or no training rows of the fold"
            )
            expect(not np.isin(split.train, split.valid).any(), "rows that train and validate")
            for name, rows in (("training", split.train), ("validation", split.valid)):
                expect(len(np.unique(loans().y[rows])) == 2, f"inner {name} rows lack a class")
        validated = np.concatenate([split.valid for split in inner])
        expect(len(np.unique(validated)) == len(validated), "rows that validate twice")


def rows_are_encoded(subject: Subject) -> None:
    """Rows are encoded as finite float32 numbers in the order of the split, those that test without labels."""
    split = subject.splits[0]
    encoded = subject.protocol.encode(loans(), split)
    for name in ("train", "valid", "test"):
        part, rows = getattr(encoded, name), getattr(split, name)
        expect(np.array_equal(part.rows, rows), f"the {name} part has other rows than the split")
        shape = (len(rows), len(encoded.feature_names))
        expect(part.X.shape == shape, f"the {name} part has the shape {part.X.shape}; expected {shape}")
        expect(part.X.dtype == np.float32, f"the {name} part is {part.X.dtype}; expected float32")
        expect(np.isfinite(part.X).all(), f"the {name} part has numbers that are not finite")
        labels = None if name == "test" else loans().y[rows]
        expect(np.array_equal(part.y, labels), f"the labels of the {name} part are not those of the table")  # type: ignore[arg-type]


def nothing_is_learnt_from_test_rows(subject: Subject) -> None:
    """The encoding of training rows does not depend on test rows, nor on their labels."""
    split, table = subject.splits[0], loans()
    X, y = table.X.copy(), table.y.copy()
    y[split.test] = 1 - y[split.test]
    for name in table.numeric:
        X.loc[X.index[split.test], name] = 1e6
    before, after = (subject.protocol.encode(each, split) for each in (table, replace(table, X=X, y=y)))
    for name in ("train", "valid"):
        same = getattr(before, name).X.tobytes() == getattr(after, name).X.tobytes()
        expect(same, f"the {name} part changed with the test rows")


TESTS = (
    it_is_named,
    parts_are_apart,
    splits_are_as_many_as_asked,
    splits_are_the_same_again,
    inner_splits_lie_within,
    rows_are_encoded,
    nothing_is_learnt_from_test_rows,
)
