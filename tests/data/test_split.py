"""Splits keep their promises for any table: whole, disjoint, stratified, deaf to order of calls, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.cards import card, card_for_file
from bench.data.split import BIG_TABLE_ROWS, VALID_SHARE, Split, duplicate_groups, largest_folds
from bench.data.table import Table
from bench.errors import BadSetting, BadTable
from bench.protocols import protocol_named

STRICT = protocol_named("strict")
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan")])
WORDS = st.sampled_from(["u", "v", None])


def made(a: list[float], b: list[str | None], y: list[int]) -> Table:
    """Return a table of one numeric and one categorical feature."""
    X = pd.DataFrame({"a": np.array(a, dtype=float), "b": pd.Categorical(b, categories=["u", "v"])})
    return Table(card_for_file(Path("my.csv"), target="y"), X, np.array(y, dtype=np.int8), "0" * 64, "file")


def distinct(n_positive: int, n_negative: int) -> Table:
    """Return a table without duplicates, its labels in a fixed disorder."""
    y = np.random.default_rng(n_positive).permutation([1] * n_positive + [0] * n_negative)
    return made(list(range(len(y))), ["u"] * len(y), y.tolist())


@st.composite
def with_duplicates(draw: st.DrawFn) -> Table:
    """Draw a table most of whose rows come again, with equal or differing labels."""
    rows = draw(st.lists(st.tuples(VALUES, WORDS, st.integers(0, 1)), min_size=10, max_size=60))
    # Enough distinct rows of each class for three folds, whatever else was drawn.
    rows += [(100.0 + i, "u", i % 2) for i in range(8)]
    a, b, y = zip(*draw(st.permutations(rows)), strict=True)
    return made(list(a), list(b), list(y))


@settings(max_examples=100, deadline=None)
@given(table=with_duplicates(), folds=st.integers(2, 4), repeats=st.integers(1, 2))
def test_parts_are_disjoint_and_complete_and_test_parts_share_out_the_table(
    table: Table, folds: int, repeats: int
) -> None:
    made_splits = STRICT.splits(table, folds=folds, repeats=repeats)
    assert [(s.repeat, s.fold) for s in made_splits] == [(r, f) for r in range(repeats) for f in range(folds)]
    for one in made_splits:
        parts = (one.train, one.valid, one.test)
        assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
        assert sorted(np.concatenate(parts)) == list(range(table.n_rows))
    for repeat in range(repeats):
        tested = np.concatenate([s.test for s in made_splits if s.repeat == repeat])
        assert sorted(tested) == list(range(table.n_rows))


@settings(max_examples=100, deadline=None)
@given(table=with_duplicates(), folds=st.integers(2, 4))
def test_a_duplicate_is_never_on_two_sides(table: Table, folds: int) -> None:
    """Equal are rows of one label that no method tells apart: missing equals missing, and -0.0 equals 0.0."""
    rows = zip(table.X["a"], table.X["b"].cat.codes, table.y, strict=True)
    words = [f"{'missing' if np.isnan(a) else a + 0.0} {b} {y}" for a, b, y in rows]
    for one in STRICT.splits(table, folds=folds):
        sides = [{words[row] for row in part} for part in (one.train, one.valid, one.test)]
        assert sum(map(len, sides)) == len(set().union(*sides))


@settings(max_examples=60, deadline=None)
@given(positives=st.integers(6, 40), negatives=st.integers(6, 200), folds=st.integers(2, 5))
def test_every_test_part_has_its_share_of_each_class_to_within_one_row(
    positives: int, negatives: int, folds: int
) -> None:
    table = distinct(positives, negatives)
    made_splits = STRICT.splits(table, folds=folds)
    for label, total in ((1, positives), (0, negatives)):
        counts = [int((table.y[s.test] == label).sum()) for s in made_splits]
        assert max(counts) - min(counts) <= 1
        for one, tested in zip(made_splits, counts, strict=True):
            validated = int((table.y[one.valid] == label).sum())
            assert abs(validated - VALID_SHARE * (total - tested)) <= 1
    sizes = [len(s.test) for s in made_splits]
    assert max(sizes) - min(sizes) <= 1


def test_the_same_table_gives_the_same_splits_and_hashes_whatever_was_split_before() -> None:
    table = distinct(20, 100)
    first = STRICT.splits(table)
    STRICT.splits(distinct(30, 60))
    again = STRICT.splits(distinct(20, 100))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.test, b.test)
        assert a.sha256 == b.sha256
    assert len({s.sha256 for s in first}) == len(first)


def test_the_folds_of_one_repeat_do_not_depend_on_how_many_repeats_there_are() -> None:
    table = distinct(20, 100)
    once, twice = STRICT.splits(table, repeats=1), STRICT.splits(table, repeats=2)
    assert [s.sha256 for s in once] == [s.sha256 for s in twice[:5]]
    assert {s.sha256 for s in twice[5:]}.isdisjoint(s.sha256 for s in once)


def test_a_split_is_named_by_its_rows_and_by_the_part_they_are_in() -> None:
    rows = [np.array(part, dtype=np.int64) for part in ([0, 1, 2], [3], [4, 5])]
    one = Split(0, 0, *rows)
    assert one.sha256 == Split(0, 0, *(part.copy() for part in rows)).sha256
    assert len(one.sha256) == 64
    others = [replace(one, train=rows[1], valid=rows[0]), replace(one, test=np.array([4, 6]))]
    assert len({one.sha256, *(other.sha256 for other in others)}) == 3


@settings(max_examples=40, deadline=None)
@given(scarce=st.integers(1, 12), label=st.integers(0, 1))
def test_too_few_rows_of_a_class_name_the_largest_number_of_folds_and_it_works(
    scarce: int, label: int
) -> None:
    table = distinct(scarce, 40) if label else distinct(40, scarce)
    largest = largest_folds(scarce)
    with pytest.raises(BadTable) as refused:
        STRICT.splits(table, folds=max(2, largest + 1))
    word = "positives" if label else "negatives"
    assert f"{scarce} distinct {word}" in str(refused.value)
    if not largest:
        assert "No number works" in str(refused.value)
        return
    assert f"--folds {largest}" in str(refused.value)
    for one in STRICT.splits(table, folds=largest):
        assert all((table.y[part] == label).any() for part in (one.train, one.valid, one.test))


def test_positives_that_are_copies_of_one_another_count_once() -> None:
    table = made([7.0] * 10 + list(range(20, 60)), ["u"] * 50, [1] * 10 + [0] * 40)
    with pytest.raises(BadTable, match="1 distinct positives"):
        STRICT.splits(table)


@pytest.mark.parametrize(("folds", "repeats"), [(1, 1), (0, 1), (-3, 1), (5, 0)])
def test_fewer_than_two_folds_or_no_repeat_are_refused(folds: int, repeats: int) -> None:
    with pytest.raises(BadSetting, match="at least 2 folds and 1 repeat"):
        STRICT.splits(distinct(20, 100), folds=folds, repeats=repeats)


def test_group_numbers_have_no_gaps() -> None:
    X = pd.DataFrame({"a": [3.0, 1.0, 3.0, np.nan, np.nan, 3.0], "b": [0.0, 1, 0, 2, 2, 0]})
    groups = duplicate_groups(X, np.array([0, 0, 0, 1, 1, 1], dtype=np.int8))
    assert groups[0] == groups[2] != groups[5]
    assert groups[3] == groups[4]
    assert sorted(set(groups)) == [0, 1, 2, 3]


def test_big_tables_default_to_fewer_seeds() -> None:
    assert STRICT.seeds_for(card("loan-sim"), BIG_TABLE_ROWS) == 3
    assert STRICT.seeds_for(card("loan-sim"), BIG_TABLE_ROWS + 1) == 1


def test_splitting_does_not_change_the_table(table: Table) -> None:
    before = table.X.copy()
    STRICT.splits(table)
    pd.testing.assert_frame_equal(table.X, before)


def test_a_number_of_folds_that_starves_a_training_part_is_refused_though_a_larger_one_works() -> None:
    """Of three positives two folds test two at once, and leave one for training and validating."""
    with pytest.raises(BadTable, match=r"The largest number that works is 3: --folds 3"):
        STRICT.splits(distinct(3, 40), folds=2)
    assert len(STRICT.splits(distinct(3, 40), folds=3)) == 3
