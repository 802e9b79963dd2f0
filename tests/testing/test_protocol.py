"""Each check of a protocol finds a protocol that is broken in this way, and no other check does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.protocols import strict
from bench.testing import BrokenContract, check_protocol
from bench.testing.protocol import (
    TESTS,
    inner_splits_lie_within,
    it_is_named,
    nothing_is_learnt_from_test_rows,
    parts_are_apart,
    rows_are_encoded,
    splits_are_as_many_as_asked,
    splits_are_the_same_again,
)
from tests.protocols.test_protocols_own import PARTS
from tests.testing.broken import (
    OWN_PROTOCOL,
    Broken,
    changed,
    each,
    expect_faults,
    fail_alone,
    faults_of,
    written,
)

SPLIT = "    def split("
IMPORT = "from dataclasses import dataclass"


def method(*lines: str) -> dict[str, str]:
    """Return the change that gives the protocol one more method."""
    body = "".join(f"    {line}\n" for line in lines)
    return {IMPORT: "from dataclasses import dataclass, replace", SPLIT: f"{body}\n{SPLIT}"}


def inner(splits: str) -> dict[str, str]:
    """Return the change that gives a study these splits."""
    return method(
        "def inner(self, table, outer, folds):",
        "    own, no_rows = super().inner(table, outer, folds), outer.test[:0]",
        f"    return {splits}",
    )


def encoding(encoded: str) -> dict[str, str]:
    """Return the change that gives a split these encoded parts."""
    return method(
        "def encode(self, table, part):",
        "    own = super().encode(table, part)",
        "    train = own.train",
        f"    return {encoded}",
    )


UNCHECKED = method(  # by `Protocol.splits`
    "def splits(self, table, *, folds=None, repeats=None):",
    "    return self.split(table, 1, 1)",
)
ALL_BUT_THE_NAME = TESTS[1:]
CASES = [
    Broken([it_is_named], {'"the last rows test"': '" "'}, "the description is empty"),
    Broken([it_is_named], {"seeds=2": "seeds=0"}, "0 seeds; expected 1 or more"),
    Broken(
        ALL_BUT_THE_NAME,
        {PARTS: "rows[:first], rows[first:second], rows[:first]"},
        "360 rows lie in more than one",
    ),
    Broken(
        ALL_BUT_THE_NAME,
        {PARTS: "rows[:first], rows[first:first], rows[second:]"},
        "its validation part (0 rows) lacks a class",
    ),
    Broken(
        [parts_are_apart],
        {PARTS: "rows[:first][::-1], rows[first:second], rows[second:]"} | UNCHECKED,
        "its training part must be sorted",
    ),
    Broken(
        [parts_are_apart, nothing_is_learnt_from_test_rows],
        {PARTS: "rows[:first], rows[first:second], rows[first:]"} | UNCHECKED,
        "120 rows lie in more than one part",
    ),
    Broken(
        ALL_BUT_THE_NAME,
        {"return 1, 1": "return 2, 1", "[Split(0, 0,": "2 * [Split(0, 0,"},
        "two splits the repeat and fold (0, 0)",
    ),
    Broken(
        [splits_are_as_many_as_asked],
        {"return 1, 1": "return 2, 1"},
        "1 splits for 2 folds and 1 repeats; expected 2",
    ),
    Broken(
        [splits_are_the_same_again],
        {
            "rows = np.arange": "globals()['calls'] = globals().get('calls', 0) + 1; first += calls; "
            "rows = np.arange"
        },
        "the rows are others",
    ),
    Broken(
        [inner_splits_lie_within],
        inner("[outer, outer]"),
        "rows that test, or no training rows of the fold",
    ),
    Broken(
        [inner_splits_lie_within],
        inner("[replace(each, train=outer.test) for each in own]"),
        "rows that test, or no training rows of the fold",
    ),
    Broken(
        [inner_splits_lie_within],
        inner("[replace(each, train=outer.training) for each in own]"),
        "rows that train and validate",
    ),
    Broken(
        [inner_splits_lie_within],
        inner("[replace(each, valid=each.valid[table.y[each.valid] == 0]) for each in own]"),
        "inner validation rows lack a class",
    ),
    Broken([inner_splits_lie_within], inner("own + own"), "rows that validate twice"),
    Broken(
        [rows_are_encoded],
        encoding("replace(own, train=replace(train, rows=train.rows[::-1]))"),
        "the train part has other rows than the split",
    ),
    Broken(
        [rows_are_encoded],
        encoding("replace(own, feature_names=own.feature_names[1:])"),
        "the train part has the shape",
    ),
    Broken(
        [rows_are_encoded],
        encoding("replace(own, train=replace(train, X=train.X.astype(np.float64)))"),
        "the train part is float64; expected float32",
    ),
    Broken(
        [rows_are_encoded],
        encoding(
            "replace(own, train=replace(train, X=np.where(train.rows[:, None] == 5, np.float32('nan'), train.X)))"
        ),
        "the train part has numbers that are not finite",
    ),
    Broken(
        [rows_are_encoded],
        encoding("replace(own, test=replace(own.test, y=table.y[part.test]))"),
        "the labels of the test part are not those of the table",
    ),
    Broken(
        [nothing_is_learnt_from_test_rows],
        method(
            "def encode(self, table, part):",
            "    first = table.numeric[0]",
            "    ranked = table.X.assign(**{first: table.X[first].rank()})",
            "    return super().encode(replace(table, X=ranked), part)",
        ),
        "the train part changed with the test rows",
    ),
]


@each(CASES)
def test_a_fault_of_a_protocol_is_told_by_its_check(case: Broken, tmp_path: Path) -> None:
    text = changed(OWN_PROTOCOL, case.changes)
    expect_faults(case, check_protocol, written(tmp_path, text, "last_rows.py"))


def test_every_check_fails_alone_for_some_protocol() -> None:
    assert fail_alone(CASES) == set(TESTS)


def test_an_object_needs_a_name_that_can_be_a_file_s() -> None:
    with pytest.raises(BrokenContract, match="the name 'last/rows'; give letters and hyphens"):
        check_protocol(replace(strict.PROTOCOL, name="last/rows"))


def test_a_protocol_of_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, changed(OWN_PROTOCOL, {'"last-rows"': '"strict"'}), "last_rows.py")
    (fault,) = faults_of(check_protocol, file).values()
    assert "Two protocols are called 'strict'" in fault
